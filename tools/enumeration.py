"""Is the expected update of a method the gradient? Every group that can happen, and its chance.

    python tools/enumeration.py            # writes docs/enumeration.md

Three states in a row. In state t the policy goes on with probability g_t = sigmoid(theta_t), or
stops, and passes with probability q_t; going on from the last state fails. So the policy decides
how many steps there are. Seven trajectories can happen, hence 210 groups of four, and trees of a
chain and a branch (M = 2, N = 1, L = 1, the branch from any node with equal chance) in finite
number: a method is run once over all of them, and its expected update is a sum, not a sample.

Axes: K trajectories, S steps, G groups, 3 states.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from textwrap import fill
from typing import Any, Final, final

import numpy as np

from assay.batch import Batch
from assay.credit import METHODS, method
from assay.errors import AssayError
from assay.records import Call, CallEvidence, ModelStep, ToolStep, Trajectory

PAGE: Final = Path(__file__).parents[1] / "docs" / "enumeration.md"
STATES: Final = 3
SIZE: Final = 4
Kind = tuple[int, float]
"""How often it went on, and the outcome."""
KINDS: Final[tuple[Kind, ...]] = (*((t, r) for t in range(STATES) for r in (1.0, 0.0)), (3, 0.0))
FLOOR: Final = 1e-2
"""Least belief: the logarithm of 0 is none."""
OPTIONS: Final[dict[str, list[dict[str, Any]]]] = {
    "gigpo": [{}, {"gamma": 1.0}, {"variant": "repo"}],
    "hgpo": [{}, {"gamma": 1.0}],
    "mt_grpo": [{}, {"turns": "every"}],
    "tree_grpo": [{}, {"compare": "intra"}, {"compare": "inter"}],
    "delta_belief": [{}, {"variant": "paper"}, {"variant": "repo"}],
    "igpo": [{}, {"variant": "repo"}],
    "reasonflux": [{}, {"level": "trajectory"}],
}
"""Options under which methods are looked at; of others the defaults."""
ON_TREES: Final = ("nodes", "trees")


@final
@dataclass(frozen=True, slots=True)
class World:
    """A policy, and how often each way of stopping passes."""

    theta: tuple[float, float, float]
    passes: tuple[float, float, float]

    @property
    def go(self) -> np.ndarray:
        """Chance of going on, by state."""
        return 1.0 / (1.0 + np.exp(-np.array(self.theta)))

    def value(self, t: int) -> float:
        """Chance of a pass from state t on."""
        if t == STATES:
            return 0.0
        return float((1 - self.go[t]) * self.passes[t] + self.go[t] * self.value(t + 1))

    def chance(self, kind: Kind, begin: int = 0) -> float:
        """Chance of a trajectory from state `begin` on; 0 where it stopped before."""
        went, outcome = kind
        if went < begin:
            return 0.0
        reached = math.prod(self.go[begin:went].tolist())
        if went == STATES:
            return reached
        passed = self.passes[went] if outcome else 1 - self.passes[went]
        return reached * float(1 - self.go[went]) * passed

    def score(self, went: int, t: int) -> float:
        """d log pi / d theta_t of going on from state t, or of stopping in it."""
        return float(1 - self.go[t]) if t < went else -float(self.go[t])

    def gradient(self, reward: Callable[[int, float], float]) -> np.ndarray:
        """The gradient of the expected reward of a trajectory, exactly."""
        found = np.zeros(STATES)
        for went, outcome in KINDS:
            for t in range(min(went, STATES - 1) + 1):
                weight = self.chance((went, outcome)) * reward(went, outcome)
                found[t] += weight * self.score(went, t)
        return found

    def belief(self, went: int, t: int) -> float:
        """log p(pass) that a world that knows has after step t of such a trajectory, nats."""
        p = self.value(t + 1) if t < went else self.passes[t]
        return math.log(max(p, FLOOR))

    def hindsight(self, kind: Kind, t: int) -> float:
        """log p(what it did in state t | it was there, and how it ended), nats."""
        went, outcome = kind
        there = [k for k in KINDS if k[1] == outcome and k[0] >= t]
        same = [k for k in there if (k[0] > t) == (went > t)]
        both = (sum(self.chance(k, t) for k in kinds) for kinds in (same, there))
        return math.log(max(next(both) / next(both), 1e-9))


WORLDS: Final = {
    "half of the attempts pass": World((0.3, -0.4, 0.2), (0.6, 0.3, 0.8)),
    "one attempt in twelve passes": World((0.3, -0.4, 0.2), (0.10, 0.02, 0.15)),
}


def trajectory(world: World, kind: Kind, **fields: Any) -> Trajectory:
    """Returns the record of a trajectory, with every fact that a method may ask for."""
    went, outcome = kind
    nodes: Sequence[str] = fields.pop("nodes")
    steps: list[Any] = []
    for t in range(min(went, STATES - 1) + 1):
        goes, last = t < went, t == min(went, STATES - 1)
        better = world.value(t + 1) > world.passes[t]
        calls: tuple[Call, ...] = ()
        if goes:
            evidence = CallEvidence(parsed=True, ran=True, expert=better)
            calls = (Call(name="go", arguments="{}", start=1, end=2, evidence=evidence),)
        good = world.value(t + 1) if goes else world.passes[t]
        p = float(world.go[t] if goes else 1 - world.go[t])
        entropy = -sum(x * math.log(x) for x in (p, 1 - p))
        size = 1 + len(calls)
        steps.append(
            ModelStep(
                text="go" if goes else "stop",
                token_ids=(1, 2)[:size],
                calls=calls,
                logprobs=(math.log(p), 0.0)[:size],
                entropies=(entropy, 0.0)[:size],
                state_key=f"s{t}",
                node=nodes[t],
                reward=outcome if last else 0.0,
                belief=world.belief(went, t),
                scores={
                    "srl": float(goes == better),
                    "srl_step": float(t),
                    **dict.fromkeys(("state", "quality"), good),
                    **dict.fromkeys(("align", "coherence"), 0.0),
                    "hindsight": world.hindsight(kind, t),
                },
            )
        )
        steps += [ToolStep(text=f"s{t + 1}", token_ids=(0,))] if goes else []
    prior = math.log(world.value(0))
    return Trajectory(outcome=outcome, steps=tuple(steps), prior=prior, **fields)


@final
@dataclass(frozen=True, slots=True)
class Groups:
    """Every group, its chance, and what it costs in steps of the environment."""

    batch: Batch
    chance_G: np.ndarray
    steps_G: np.ndarray
    state_S: np.ndarray
    score_S: np.ndarray


Made = tuple[float, float, list[tuple[Kind, str, list[str]]]]
"""Chance, steps, and members: what happened, the tree, the nodes."""


def chains(world: World, size: int = SIZE) -> Iterator[Made]:
    """Yields every group of chains, in any order."""
    for members in combinations_with_replacement(KINDS, size):
        ways = math.factorial(size)
        for times in Counter(members).values():
            ways //= math.factorial(times)
        steps = float(sum(min(went, STATES - 1) + 1 for went, _ in members))
        named = [(kind, f"{k}", [f"{k}/{t}" for t in range(3)]) for k, kind in enumerate(members)]
        yield ways * math.prod(world.chance(kind) for kind in members), steps, named


def trees(world: World, many: int = 2) -> Iterator[Made]:
    """Yields every group of `many` trees of a chain and one branch."""
    single: list[tuple[float, int, Kind, int, Kind]] = []
    for chain in KINDS:
        nodes = min(chain[0], STATES - 1) + 1
        for begin in range(nodes):
            for branch in KINDS:
                chance = world.chance(chain) / nodes * world.chance(branch, begin)
                if chance > 0:
                    steps = nodes + min(branch[0], STATES - 1) + 1 - begin
                    single.append((chance, steps, chain, begin, branch))
    for picked in combinations_with_replacement(range(len(single)), many):
        ways = math.factorial(many)
        for times in Counter(picked).values():
            ways //= math.factorial(times)
        members: list[tuple[Kind, str, list[str]]] = []
        chance, cost = float(ways), 0.0
        for m, at in enumerate(picked):
            p, steps, chain, begin, branch = single[at]
            chance, cost = chance * p, cost + steps
            own = [f"{m}/{t}" for t in range(STATES)]
            members.append((chain, f"{m}", own))
            members.append((branch, f"{m}", [*own[:begin], *(f"{m}/b{t}" for t in range(3))]))
        yield chance, cost, members


def groups(world: World, made: Iterator[Made]) -> Groups:
    """Returns the groups as one batch."""
    records: list[Trajectory] = []
    chances: list[float] = []
    costs: list[float] = []
    states: list[int] = []
    scores: list[float] = []
    for g, (chance, cost, members) in enumerate(made):
        chances.append(chance)
        costs.append(cost)
        for k, (kind, tree, nodes) in enumerate(members):
            named = {"id": f"{g}-{k}", "group": f"{g}", "task": f"{g}", "tree": f"{g}/{tree}"}
            full = [f"{g}/{node}" for node in nodes]
            records.append(trajectory(world, kind, nodes=full, **named))
            steps = range(min(kind[0], STATES - 1) + 1)
            states += steps
            scores += [world.score(kind[0], t) for t in steps]
    batch = Batch.of(records)
    return Groups(batch, np.array(chances), np.array(costs), np.array(states), np.array(scores))


def updates(of: Groups, name: str, options: dict[str, Any]) -> np.ndarray:
    """Returns the update of each group, for each theta: the mean over its members of A * score."""
    batch = of.batch
    found = method(name, **options)(batch)
    step_N = np.repeat(batch.steps_R, batch.length_R)
    at, n = step_N >= 0, batch.traj_S.size
    sum_S = np.bincount(step_N[at], np.nan_to_num(found.advantage_N[at]), n)
    advantage_S = sum_S / np.bincount(step_N[at], minlength=n)
    update = np.zeros((batch.n_groups, STATES))
    np.add.at(update, (batch.group_K[batch.traj_S], of.state_S), advantage_S * of.score_S)
    return update / np.bincount(batch.group_K, minlength=batch.n_groups)[:, None]


@final
@dataclass(frozen=True, slots=True)
class Found:
    """What a method's update comes to, over all groups."""

    name: str
    steps: float
    zero: float
    """Chance of a group without any update."""
    bias: float
    """Cosine of the expected update with the gradient."""
    share: tuple[float, ...]
    """Expected update over the gradient, by state, that of the first state being 1."""
    cosine: float
    """Expected cosine of one group's update with the gradient, 0 where it has none."""
    noise: float
    """Variance of the update (trace), over the square of the size of its expectation."""


def measured(of: Groups, update: np.ndarray, gradient: np.ndarray, name: str) -> Found:
    """Returns the figures of a method's updates against a gradient."""
    mean = of.chance_G @ update
    size_G, size = np.linalg.norm(update, axis=1), float(np.linalg.norm(gradient))
    length = float(np.linalg.norm(mean))
    live_G = size_G > 1e-12
    cosine_G = np.where(live_G, update @ gradient / np.where(live_G, size_G, 1.0) / size, 0.0)
    ratio = mean / gradient
    return Found(
        name=name,
        steps=float(of.chance_G @ of.steps_G),
        zero=float(of.chance_G @ ~live_G),
        bias=float(mean @ gradient) / length / size if length > 1e-12 else 0.0,
        share=tuple((ratio / ratio[0]).tolist()) if abs(ratio[0]) > 1e-12 else (),
        cosine=float(of.chance_G @ cosine_G),
        noise=(float(of.chance_G @ size_G**2) / length**2 - 1.0) if length > 1e-12 else math.inf,
    )


def table(of: Groups, gradient: np.ndarray, names: Sequence[str]) -> tuple[list[Found], list[str]]:
    """Returns what each method comes to, and why others do not run here."""
    rows: list[Found] = []
    refused: list[str] = []
    for name in names:
        for options in OPTIONS.get(name, [{}]):
            said = ", ".join(f"{key} {value}" for key, value in options.items())
            try:
                update = updates(of, name, options)
            except AssayError as error:
                refused.append(f"{name}: {error}")
                continue
            rows.append(measured(of, update, gradient, f"{name}, {said}" if said else name))
    return rows, refused


def row(found: Found) -> str:
    """Returns a row of the page."""
    shares = " ".join(f"{each:.2f}" for each in found.share) or "-"
    noise = f"{found.noise:.1f}" if found.noise < 1e6 else "-"
    return (
        f"| {found.name} | {found.steps:.2f} | {found.zero:.3f} | {found.bias:.3f} | {shares} "
        f"| {found.cosine:.3f} | {noise} |"
    )


WRAPPED: Final[dict[str, Any]] = {
    "subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False,
}  # fmt: skip
HEAD: Final = (
    "| method | steps | no update | bias cosine | share by state | cosine of one group | noise |\n"
    "|---|---|---|---|---|---|---|"
)


def names_of(trees_too: bool) -> list[str]:
    """Returns the registered methods that are looked at on chains, or on trees."""
    found = []
    for name in METHODS.names():
        grows = any(need in ON_TREES for need in METHODS.get(name).needs)
        if grows == trees_too or (trees_too and name in ("grpo", "dr_grpo", "gigpo")):
            found.append(name)
    return found


def of_belief(world: World, of: Groups) -> list[str]:
    """Returns the rows on turns compared turn by turn, against the return that they estimate."""

    def gained(went: int) -> float:
        last, before = min(went, STATES - 1), math.log(world.value(0))
        total = 0.0
        for t in range(last + 1):
            after = world.belief(went, t)
            total, before = total + max(after - before, 0.0), after
        return total

    rows: list[str] = []
    for lam in (0.1, 1.0):
        gradient = world.gradient(lambda went, r, lam=lam: r + lam * gained(went))
        for variant in ("unbiased", "paper", "repo"):
            options = {"variant": variant, "lam": lam, "turn_cost": 0.0}
            update = updates(of, "delta_belief", options)
            rows.append(row(measured(of, update, gradient, f"{variant}, lam {lam:g}")))
    return rows


def sections(world: World, title: str) -> Iterator[str]:
    """Yields the lines on one world."""
    gradient = world.gradient(lambda _, outcome: outcome)
    said = ", ".join(f"{each:+.4f}" for each in gradient)
    yield f"## {title[0].upper()}{title[1:]}\n"
    yield f"Chance of a pass {world.value(0):.3f}; gradient of it {said}.\n"
    of = groups(world, chains(world))
    for many, names in ((of, names_of(False)), (groups(world, trees(world)), names_of(True))):
        rows, refused = table(many, gradient, names)
        yield "### Chains, four to a group\n" if many is of else "### Two trees, four leaves\n"
        yield "\n".join([HEAD, *map(row, rows)]) + "\n"
        for each in refused:
            yield fill(f"- Does not run here: {each}", 100, **WRAPPED)
    yield "### delta_belief against the return that it estimates: outcome and lam times gains\n"
    yield "\n".join([HEAD, *of_belief(world, of)]) + "\n"


def page() -> str:
    """Returns the whole page."""
    parts = [Path(__file__).with_suffix(".md").read_text(encoding="utf-8")]
    for title, world in WORLDS.items():
        parts += sections(world, title)
    return "\n".join(parts)


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    out = parser.parse_args().out
    out.write_text(page(), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
