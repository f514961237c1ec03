"""Trees of trajectories: M chains of a task, then L times N branches from nodes of each.

A node is one complete step: what the policy wrote in a turn and what the world answered; the root
is the prompt. A leaf is where a trajectory ended, and is a record. Tree-GRPO 2025,
https://arxiv.org/abs/2509.21240; as in its code, nodes are chosen with replacement from all that
are no leaves, the root included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, final

import numpy as np
from msgspec import structs

from assay.errors import UsageError
from assay.records import ModelStep, Step, Trajectory
from assay.rollout.backends.base import Backend, Sampling
from assay.rollout.chain import Planned, Watch, collect
from assay.rollout.choice import Choice, Node, choose, surprise
from assay.rollout.start import Start, points
from assay.world.environment import Environment

ROOT: Final = "root"
"""Parent of the first steps of a tree."""
_CHOICE: Final = 0x63686F6963
"""Sets the chance of choices apart from that of sampling."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a task's trees grow."""

    chains: int = 2
    """M, trees of a task; each begins as one trajectory."""
    expansions: int = 2
    """N, branches that a tree gets in a round."""
    rounds: int = 1
    """L; the nodes of a round's branches can be chosen in the next."""
    choose: Choice = "uniform"

    def __post_init__(self) -> None:
        """Refuses what grows nothing."""
        if self.chains < 1 or min(self.expansions, self.rounds) < 0:
            raise UsageError(
                f"tree: got chains={self.chains}, expansions={self.expansions}, "
                f"rounds={self.rounds}; expected at least one chain, and no number below 0"
            )

    @property
    def branches(self) -> int:
        """Leaves of a tree: 1 + L N."""
        return 1 + self.rounds * self.expansions

    @property
    def leaves(self) -> int:
        """Leaves of a task: M (1 + L N)."""
        return self.chains * self.branches


def grow(
    backend: Backend,
    chains: Sequence[Planned],
    shape: Shape,
    make: Callable[[], Environment],
    *,
    sampling: Sampling,
    seed: Sequence[int],
    watch: Watch | None = None,
    **options: Any,
) -> list[Trajectory]:
    """Returns the leaves of all trees: tree by tree as planned, its chain first, then its branches
    in the order in which they were chosen.

    Leaves of a tree share `tree`, and `node` and `parent` of the steps that they share; tokens of a
    shared step are the same, and were sampled once: the ledger of a branch leaves them out. A
    branch goes on from a copy of the environment where it offers one (`Environment.fork`), and else
    in a new one in which the turns are played again. The same seed gives the same records, as far
    as the backend does.

    Args:
        backend: samples.
        chains: the first trajectory of each tree, `shape.chains` of each task with trials from 0.
        shape: how many branches, and where.
        make: makes an environment for a branch that cannot be copied.
        sampling: how, and how far; a branch has the budget that was left at its node.
        seed: names the source of chance.
        watch: sees each record as it is made.
        options: more of `collect`.

    Raises:
        DataError: as `collect`.
    """
    trees = [_Tree(plan, shape) for plan in chains]

    def collected(plans: Sequence[Planned], number: int) -> list[Trajectory]:
        return list(collect(backend, plans, sampling=sampling, seed=(*seed, number), **options))

    def taken(owners: Sequence[_Tree], records: Sequence[Trajectory]) -> None:
        for tree, record in zip(owners, records, strict=True):
            leaf = tree.take(record)
            if watch is not None:
                watch(leaf)

    taken(trees, collected([tree.chain() for tree in trees], 0))
    for number in range(1, shape.rounds + 1):
        owners, plans = list[_Tree](), list[Planned]()
        for place, tree in enumerate(trees):
            rng = np.random.default_rng([*seed, _CHOICE, number, place])
            for node in tree.chosen(rng):
                owners.append(tree)
                plans.append(tree.branch(node, make, later=number < shape.rounds))
        taken(owners, collected(plans, number))
    return [leaf for tree in trees for leaf in tree.leaves]


@final
@dataclass(slots=True)
class _Tree:
    """One tree while it grows."""

    plan: Planned
    shape: Shape
    leaves: list[Trajectory] = field(default_factory=list[Trajectory])
    _shared: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """Of each leaf that is planned or there, the root and the nodes that it begins with."""
    _standing: dict[str, Environment] = field(default_factory=dict[str, Environment])
    """Copies of the environment by the node that they stand at."""
    _copies: bool = True
    """Until the environment has offered none."""

    def chain(self) -> Planned:
        """Returns the first trajectory, as it is planned."""
        return self._noted(self.plan, (ROOT,), later=self.shape.rounds > 0)

    def branch(self, node: Node, make: Callable[[], Environment], *, later: bool) -> Planned:
        """Returns a trajectory that goes on from a node; `later` says whether others may go on
        from what it adds."""
        source, number = self.leaves[node.leaf], len(self._shared)
        shared = _path(source.steps[: node.steps])
        standing = self._standing.get(shared[-1])
        fork = None if standing is None else standing.fork()
        plan = Planned(
            environment=make() if fork is None else fork,
            seed=self.plan.seed,
            trial=self.plan.trial * self.shape.branches + number,
            id=f"{source.tree}.{number}",
            group=source.group,
            start=Start(source, node.steps, fork),
        )
        return self._noted(plan, shared, later=later)

    def _noted(self, plan: Planned, shared: tuple[str, ...], *, later: bool) -> Planned:
        number = len(self._shared)
        self._shared.append(shared)
        depths = count(len(shared) - 1)

        def before_turn(_: int, environment: Environment) -> None:
            name = self._name(number, next(depths))
            if self._copies and name not in self._standing:
                fork = environment.fork()
                self._copies = fork is not None
                self._standing |= {} if fork is None else {name: fork}

        return replace(plan, before_turn=before_turn if later else None)

    def _name(self, number: int, depth: int) -> str:
        """Returns the node of a leaf at a depth, the root's being 0."""
        shared = self._shared[number]
        return shared[depth] if depth < len(shared) else f"{number}.{depth - 1}"

    def take(self, record: Trajectory) -> Trajectory:
        """Adds the next leaf; returns its record, nodes and all."""
        number, last, depth = len(self.leaves), ROOT, 0
        tree = self.leaves[0].tree if self.leaves else record.id
        steps: list[Step] = []
        for step in record.steps:
            if type(step) is ModelStep:
                depth += 1
                name = self._name(number, depth)
                step, last = structs.replace(step, node=name, parent=last), name
            steps.append(step)
        leaf = structs.replace(
            record,
            id=f"{tree}.{number}",
            tree=tree,
            trial=self.plan.trial * self.shape.branches + number,
            steps=tuple(steps),
        )
        self.leaves.append(leaf)
        return leaf

    def chosen(self, rng: np.random.Generator) -> list[Node]:
        """Returns the nodes of a round."""
        found = {ROOT: Node(0, 0)}
        for place, leaf in enumerate(self.leaves):
            for name, at in zip(_path(leaf.steps), points(leaf), strict=False):
                node = found.setdefault(name, Node(place, at))
                child = leaf.steps[at]
                if type(child) is ModelStep:
                    node.surprise[child.node or ""] = surprise(child)
                node.outcomes += [] if leaf.outcome is None else [leaf.outcome]
        return choose(self.shape.choose, [*found.values()], self.shape.expansions, rng)


def _path(steps: Sequence[Step]) -> tuple[str, ...]:
    """Returns the root and the nodes of steps."""
    nodes = (step.node or "" for step in steps if type(step) is ModelStep)
    return ROOT, *nodes
