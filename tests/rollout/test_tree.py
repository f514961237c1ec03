"""Trees: which leaves there are, what they share, what they cost, and where they branch."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from assay.batch import Batch
from assay.errors import UsageError
from assay.records import ModelStep, Trajectory, decode, encode
from assay.rollout import Sampling, Shape, grow, tasks
from assay.rollout.choice import Node, choose, surprise, wilson
from assay.world import Reply, load
from tests.rollout.fakes import END, Backend, Guess, Said

SAMPLING = Sampling()


class Chance(Backend):
    """Asks for a random number until the chance says that it answers; log-prob -1 a token."""

    def __init__(self, stops: float = 0.3) -> None:
        super().__init__()
        self.stops, self.sampled = stops, 0

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        rng = np.random.default_rng([*self.seeds[-1], at])
        for _ in range(1000):
            number = rng.integers(1, 10)
            text = f"={number}" if rng.random() < self.stops else f">ask({number})\n"
            ids = [ord(c) for c in text] + ([END] if text[0] == "=" else [])
            self.sampled += len(ids)
            if said(ids, [-1.0] * len(ids)) is None:
                break


class Copied(Guess):
    """Can be copied; counts the turns that any of its copies played."""

    name = "guess"
    played = 0

    def step(self, text: str) -> Reply:
        type(self).played += 1
        return super().step(text)

    def fork(self) -> "Copied":
        made = type(self)()
        made.secret = self.secret
        return made


class Deep(Guess):
    """A task of exactly four turns: three calls and whatever comes then."""

    name = "deep"

    def reset(self, seed: int) -> str:
        self.turns = 0
        return super().reset(seed)

    def step(self, text: str) -> Reply:
        self.turns += 1
        if self.turns < 4:
            return Reply(text="<go on", ran=True)
        return Reply(done=True, score=float("5" in text), end="budget")


def grown(
    shape: Shape, make: Any = Guess, seeds: Sequence[int] = (4, 5), **options: Any
) -> tuple[list[Trajectory], Chance]:
    backend = options.pop("backend", None) or Chance()
    chains = tasks(make, seeds, shape.chains, prefix="7/")
    options = {"sampling": SAMPLING, "seed": (1, 2), "clock": None, **options}
    return grow(backend, chains, shape, make, **options), backend


def turns(record: Trajectory) -> list[ModelStep]:
    return [step for step in record.steps if isinstance(step, ModelStep)]


def test_leaves_come_tree_by_tree_and_are_named_and_numbered() -> None:
    shape = Shape(chains=2, expansions=2, rounds=2)
    leaves, _ = grown(shape)
    assert (shape.branches, shape.leaves) == (5, 10)
    assert len(leaves) == 20
    first = leaves[:10]
    assert [leaf.id for leaf in first] == [
        *(f"7/guess[]/4/0.{n}" for n in range(5)), *(f"7/guess[]/4/1.{n}" for n in range(5))
    ]  # fmt: skip
    assert [leaf.tree for leaf in first] == ["7/guess[]/4/0"] * 5 + ["7/guess[]/4/1"] * 5
    assert [leaf.trial for leaf in first] == list(range(10))
    assert {leaf.group for leaf in first} == {"7/guess[]/4"}
    assert {leaf.task for leaf in first} == {"guess[]/4"}


@pytest.mark.parametrize("make", [Guess, Copied], ids=["played again", "copied"])
def test_what_leaves_share_is_equal_and_was_sampled_once(make: Any) -> None:
    leaves, backend = grown(Shape(chains=2, expansions=3, rounds=2), make)
    assert decode(encode(leaves[-1])) == leaves[-1]
    for tree in {leaf.tree for leaf in leaves}:
        seen = dict[str | None, ModelStep]()
        below = [leaf for leaf in leaves if leaf.tree == tree]
        for leaf in below:
            names = ["root", *(step.node for step in turns(leaf))]
            assert [step.parent for step in turns(leaf)] == names[:-1]
            for step in turns(leaf):
                assert seen.setdefault(step.node, step) == step
        # every node was newly made by one leaf
        assert len(seen) == sum(leaf.ledger.env_steps or 0 for leaf in below)
        own = sum(len(step.token_ids or ()) for step in seen.values())
        assert own == sum(leaf.ledger.tokens or 0 for leaf in below)
    assert backend.sampled == sum(leaf.ledger.tokens or 0 for leaf in leaves)
    assert sum(leaf.ledger.prompts or 0 for leaf in leaves) == 4
    batch = Batch.of(leaves)
    assert (batch.node_S >= 0).all()
    assert int(batch.once_S.sum()) == sum(leaf.ledger.env_steps or 0 for leaf in leaves)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    shape = Shape(chains=2, expansions=2, rounds=2)
    once, again, other = (
        [encode(leaf) for leaf in grown(shape, seed=seed)[0]] for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert once == again
    assert once != other
    copied = [encode(leaf) for leaf in grown(shape, Copied)[0]]
    assert copied == once


def test_rounds_are_sampled_apart_each_at_once() -> None:
    _, backend = grown(Shape(chains=1, expansions=2, rounds=2), seeds=(4,))
    assert backend.seeds == [(1, 2, 0, 0), (1, 2, 1, 0), (1, 2, 2, 0)]


def test_what_can_be_copied_is_not_played_again() -> None:
    Copied.played = 0
    leaves, _ = grown(Shape(chains=2, expansions=3, rounds=2), Copied)
    assert Copied.played == sum(leaf.ledger.env_steps or 0 for leaf in leaves)


def test_a_branch_reads_the_tokens_of_its_node() -> None:
    leaves, backend = grown(Shape(chains=1, expansions=4), seeds=(4,))
    for leaf, prompt in zip(leaves, backend.prompts, strict=True):
        new = leaf.ledger.env_steps or 0
        at = leaf.steps.index(turns(leaf)[-new])
        read = (i for step in leaf.steps[:at] for i in step.token_ids or ())
        assert prompt == "".join(map(chr, read))


def test_every_node_that_is_no_leaf_is_chosen_the_root_included() -> None:
    """Four turns: root and three nodes, 1/4 each; 800 draws, 5 standard deviations are 61."""
    leaves, _ = grown(Shape(chains=1, expansions=800), Deep, seeds=(4,))
    depth = Counter(len(turns(leaf)) - (leaf.ledger.env_steps or 0) for leaf in leaves[1:])
    assert sorted(depth) == [0, 1, 2, 3]
    assert all(abs(n - 200) < 61 for n in depth.values())


def test_a_chain_that_ends_in_its_first_turn_branches_at_the_root() -> None:
    leaves, _ = grown(Shape(chains=1, expansions=2), seeds=(4,), backend=Chance(stops=1.0))
    assert [(turns(leaf)[0].node, turns(leaf)[0].parent) for leaf in leaves] == [
        ("0.0", "root"), ("1.0", "root"), ("2.0", "root")
    ]  # fmt: skip


def test_nodes_without_budget_left_are_leaves_that_ran_out() -> None:
    """Nine tokens: one call of eight, one token more, wherever a branch begins."""
    leaves, _ = grown(
        Shape(chains=1, expansions=3, rounds=2), seeds=(4,), sampling=Sampling(max_tokens=9)
    )
    assert {leaf.end for leaf in leaves} <= {"budget", "answered"}
    assert all(sum(len(s.token_ids or ()) for s in turns(leaf)) <= 9 for leaf in leaves)


def test_a_tree_without_branches_is_its_chain() -> None:
    for shape in (Shape(chains=3, expansions=0), Shape(chains=3, rounds=0)):
        leaves, backend = grown(shape, seeds=(4,))
        assert (shape.leaves, len(leaves)) == (3, 3)
        assert len(backend.seeds) == 1


@pytest.mark.parametrize("how", ["entropy", "value", "uncertainty"])
def test_guided_trees_grow_too(how: Any) -> None:
    leaves, _ = grown(Shape(chains=2, expansions=2, rounds=3, choose=how))
    assert len(leaves) == 2 * 2 * 7


def test_a_watcher_sees_finished_leaves() -> None:
    seen = list[Trajectory]()
    leaves, _ = grown(Shape(), watch=seen.append)
    assert sorted(leaf.id for leaf in seen) == sorted(leaf.id for leaf in leaves)
    assert all(leaf.tree for leaf in seen)


def test_shapes_that_grow_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="got chains=0, expansions=2, rounds=1"):
        Shape(chains=0)


def node(surprises: Sequence[float] = (), outcomes: Sequence[float] = ()) -> Node:
    made = Node(0, 0)
    made.surprise = {str(n): value for n, value in enumerate(surprises)}
    made.outcomes = list(outcomes)
    return made


RNG = np.random.default_rng


def test_entropy_is_shared_by_the_children_there_are_and_will_be() -> None:
    # a: 1.2 / 1 then / 2 = 0.6; b: mean 0.9 / 2 = 0.45; c: 0.7 / 1. Picks: a 1.2, c 0.7, a 0.6
    a, b, c = node([1.2]), node([0.8, 1.0]), node([0.7])
    assert choose("entropy", [a, b, c], 3, RNG(0)) == [a, c, a]


def test_value_takes_what_is_closest_to_a_half_and_each_once_before_any_twice() -> None:
    sure, half, third = node([], [1.0, 1.0]), node([], [1.0, 0.0]), node([], [1.0, 0.0, 0.0])
    unscored = node()
    picks = choose("value", [sure, unscored, third, half], 5, RNG(0))
    assert picks[:2] == [half, third]
    assert picks[4] is half
    assert {id(each) for each in picks[2:4]} == {id(sure), id(unscored)}


def test_uncertainty_takes_the_widest_interval() -> None:
    # Wilson by hand, z = 1.959964, z^2 = 3.841459. n = 1, p = 1: 2 z / 4.841459 * z / 2
    # = 3.841459 / 4.841459 = .793451. n = 4, p = 1/2: 2 z / 1.960365 * sqrt(1/16 + 3.841459 / 64)
    # = 1.999591 * .350033 = .699922
    assert wilson(1.0, 1) == pytest.approx(0.793451, abs=1e-6)
    assert wilson(0.5, 4) == pytest.approx(0.699922, abs=1e-6)
    once, four, none = node([], [1.0]), node([], [1.0, 1.0, 0.0, 0.0]), node()
    assert choose("uncertainty", [four, once, none], 2, RNG(0))[0] is none
    assert choose("uncertainty", [four, once], 1, RNG(0)) == [once]


def test_ties_are_broken_by_chance() -> None:
    nodes = [node([], [1.0]) for _ in range(4)]
    places = Counter(
        next(i for i, each in enumerate(nodes) if each is choose("value", nodes, 1, RNG(seed))[0])
        for seed in range(60)
    )
    assert sorted(places) == [0, 1, 2, 3]


def test_the_surprise_of_a_step_is_its_entropy_or_estimated_by_its_log_probs() -> None:
    ids = (1, 2)
    assert surprise(ModelStep(token_ids=ids, logprobs=(-1.0, -2.0))) == 1.5
    assert surprise(ModelStep(token_ids=ids, logprobs=(-1.0, -2.0), entropies=(0.5, 0.7))) == 0.6
    assert surprise(ModelStep(token_ids=ids, logprobs=(-1.0, -2.0), entropies=(0.5, None))) == 1.5
    assert surprise(ModelStep(token_ids=ids, logprobs=(None, -2.0))) == 2.0
    assert surprise(ModelStep()) == 0.0


def test_families_grow_the_same_tree_by_copy_and_by_playing_again() -> None:
    class Uncopied(type(load("twenty"))):  # type: ignore[misc]
        def fork(self) -> None:
            return None

    def leaves(make: Any) -> list[bytes]:
        return [encode(leaf) for leaf in grown(Shape(expansions=3), make, backend=Asks())[0]]

    dials = {"pool": 30, "flaky": 0.3, "steps": 6}
    assert leaves(lambda: load("twenty", **dials)) == leaves(lambda: Uncopied(**dials))


class Asks(Chance):
    """Asks about letters."""

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        rng = np.random.default_rng([*self.seeds[-1], at])
        for _ in range(20):
            ids = [*map(ord, f">ask(letter {'ABCDEFGHIJ'[rng.integers(10)]})\n")]
            if said(ids, [-1.0] * len(ids)) is None:
                break
