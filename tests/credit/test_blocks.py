"""Block by block a method gives, to the last bit, what it gives of the whole batch at once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assay.batch import Batch
from assay.batch import blocks as parts_of
from assay.batch.blocks import Blocks
from assay.credit import METHODS, method
from assay.credit.base import Method, outcome_term, require
from assay.credit.blocks import in_blocks
from assay.credit.facts import held
from assay.errors import MethodError
from assay.kernels.advantages import Advantages
from assay.kernels.term import Term
from assay.records import Grade, Step, Trajectory
from tests.credit.lawful import hinted, stated
from tests.credit.worlds import answer, batch_of, one, turn

OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "gigpo": (
        {},
        {"returns": "rewards"},
        {"returns": "evidence", "mode": "mean_std_norm", "variant": "repo"},
    ),
    "delta_belief": (
        {},
        {"variant": "repo"},
        {"clip": False, "variant": "paper", "absent": "zero"},
    ),
    "hcapo": ({}, {"gamma": 0.5, "pass_at": 0.5}),
    "igpo": ({}, {"gamma": 0.5}, {"variant": "repo"}),
    "gae": ({}, {"of": "rewards"}),
    "score_delta": ({}, {"gamma": 0.5, "scale": "none"}),
    "reasonflux": tuple(
        {"quality": "state", "weights": (0.0, 1.0, 0.0), "level": level, "scale": "std"}
        for level in ("step", "trajectory")
    ),
    "stratified": ({}, {"by": "steps"}),
    "hgpo": ({}, {"returns": "rewards", "anchor": "state"}),
    "mt_grpo": ({}, {"variant": "repo"}, {"turns": "every", "gamma": 0.5}, {"turn": "rewards"}),
    "ms_grpo": ({}, {"returns": "rewards", "per_step": True}),
    "toolpo": ({}, {"action_reduce": "rate", "evidence": "ran"}, {"per": "call"}),
    "tree_grpo": (
        {},
        {"prefix_mode": "dedup_sum"},
        {"prefix_mode": "dedup_mean"},
    ),
    "tree_rl": ({}, {"variant": "repo"}),
    "tree_po": ({}, {"over": "size"}),
    "ebpo": ({}, {"within": 0.1}),
    "gpg": ({}, {"variant": "verl", "singleton": "raw"}),
    "grpo_passk": ({}, {"scale": "std"}),
    "gdpo": ({}, {"over": "tokens", "weights": {"style": 2.0}}),
    "mixed_judges": (
        {"pass_at": 1.0},
        {"pass_at": 1.0, "rates": {"j": (0.2, 0.1)}, "scale": "std"},
        {"pass_at": 1.0, "rates": {"j": (0.2, 0.1)}, "form": "posterior"},
    ),
    "next_state": ({}, {"variant": "step", "pass_at": 1.0}),
    "lens": ({"pass_at": 1.0},),
    "avspo": ({"trigger": 0.1, "pass_at": 1.0},),
    "rl_zvp": ({"pass_at": 1.0}, {"pass_at": 1.0, "h_max": "step"}),
    "pass_at_k": ({"pass_at": 1.0, "k": 1},),
    "opd": ({}, {"against": "neutral", "spare": "none"}),
    "additive": ({}, {"compare": "group"}),
    "agreement": ({}, {"spare": "stop", "against": "policy"}),
    "routing": ({}, {"down": True}),
    "rlcr": ({}, {"scale": "std", "brier": 1.0}),
    "low_logprob": ({}, {"where": "fails", "share": 0.5}),
    **{name: ({"pass_at": 1.0},) for name in ("psr", "nsr", "w_reinforce")},
}
"""Such as have a branch of their own; of all others the defaults are tried."""
CASES = [(name, each) for name in METHODS.names() for each in OPTIONS.get(name, ({},))]


def trajectories(seed: int) -> list[Trajectory]:
    """Fourteen groups; rewards, nodes and further outcomes are in some of them alone."""
    rng = np.random.default_rng(seed)
    made: list[Trajectory] = []
    for g in range(14):
        for i in range(int(rng.integers(2, 6))):
            outcome = rng.choice([0.0, 0.0, 1.0, 1.0, 0.25 * (g % 3), float("nan")])
            made.append(
                one(
                    None if np.isnan(outcome) else float(outcome),
                    group=f"g{g}",
                    tree=str(i % 2),
                    session=f"s{i // 4}" if i % 3 == 1 else None,
                    rewards={"style": float(i % 3)} if g % 4 else {"exact": float(i % 2)},
                    grades=(Grade(level="E1", value=float(i % 2), source="j"),) if g % 3 else (),
                    steps=steps(rng, g, int(rng.integers(1, 5))),
                )
            )
    return made


def steps(rng: np.random.Generator, g: int, count: int) -> list[Step]:
    """Steps that every method can read, of two tokens of text and one of a call."""
    made: list[Step] = []
    for n in range(count):
        step = turn(
            bool(rng.integers(0, 3)),
            tokens=2,
            expert=[bool(rng.integers(0, 2))],
            state_key=f"s{n % 2}",
            reward=float(rng.integers(0, 3)) if g % 4 == 2 else None,
            node=f"n{n}" if g % 2 else None,
            scores={
                **({"next_state": float(rng.integers(-1, 2))} if n % 2 else {}),
                **(like_an_expert(rng, n) if g % 4 == 1 else {}),
                **({"hindsight": float(-rng.random())} if n % 3 else {}),
                **({"state": float(rng.random())} if n % 2 else {}),
                **({"answer": float((g + count) % 2)} if n + 1 == count else {}),
            },
            logprobs=tuple((-rng.random(3)).tolist()),
            entropies=tuple(rng.random(3).tolist()),
            belief=float(-rng.random()) if n % 3 else None,
            **(hinted(rng, 3, gaps=True) if g % 3 else {}),
            **(stated(f"{g}/{n}/{count}", gaps=False, tokens=2) if g % 4 == 3 else {}),
        )
        made += [step, answer(f"{rng.integers(0, 3)}")]
    return made


def like_an_expert(rng: np.random.Generator, n: int) -> dict[str, float | None]:
    return {"srl": float(rng.random()), **({"srl_step": float(n)} if n % 3 else {})}


def world(seed: int, *, mixed: bool) -> Batch:
    """A batch of them, group after group or one of each group in turn."""
    made = trajectories(seed)
    if mixed:
        order = np.random.default_rng(seed + 100).permutation(len(made))
        made = [made[n] for n in order]
    batch = batch_of(made)
    weight_K = np.ones(len(batch.ids))
    weight_K[::7], weight_K[3::11] = 0.0, 0.5
    return batch.weighted(weight_K, np.arange(weight_K.size) % 14 == 0 if mixed else None)


@pytest.fixture(params=["in turn", "mixed"])
def batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.setattr(parts_of, "AT_ONCE", 60)
    monkeypatch.setattr(parts_of, "ROWS", 0)
    made = world(len(request.param), mixed=request.param == "mixed")
    assert len(Blocks(made)) > 5
    return made


def blocks_of(batch: Batch) -> Blocks:
    blocks = Blocks(batch)
    blocks.facts = held(batch)
    return blocks


def shown(given: Advantages, of: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All numbers by span or token, with what each is made of."""
    found = {"total": given.total, "carried": given.carried, **given.parts}
    for made in given.made:
        term = made.term
        unit = term.unit_R if term.unit_R is not None else term.unit_N
        for name in ("baseline_U", "divisor_U", "count_U", "constant_U", "scaled_U", "advantage_U"):
            found[f"{term.name}.{name}"] = np.append(getattr(made, name), 0)[unit]
    return found | of


def together(batch: Batch, by: Any) -> dict[str, np.ndarray]:
    """What the blocks give, in the order of the whole batch."""
    found: dict[str, np.ndarray] = {}
    for block, given in in_blocks(by, blocks_of(batch)):
        assert block.ks.size < len(batch.ids), "no block of its own"
        for name, values in shown(given, {}).items():
            per_token = values.size != block.batch.length_R.size
            size = batch.length_R.sum() if per_token else batch.length_R.size
            whole = found.setdefault(name, np.full(size, -9.0))
            whole[block.N if per_token else block.R] = values
    return found


@pytest.mark.parametrize(("name", "options"), CASES)
def test_blocks_give_what_the_whole_gives(batch: Batch, name: str, options: dict[str, Any]):
    by = method(name, **options)
    expected, found = shown(by(batch), {}), together(batch, by)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values.astype(float), err_msg=key)


def test_a_method_of_somebody_elses_sees_the_whole_batch(batch: Batch):
    from examples.own_method import ShortSuccess

    ((block, given),) = in_blocks(ShortSuccess(), blocks_of(batch))
    assert block.ks.size == len(batch.ids)
    np.testing.assert_array_equal(given.total, ShortSuccess()(batch).total)


def test_whether_peers_are_constant_is_told_by_the_values_of_all_blocks(
    monkeypatch: pytest.MonkeyPatch,
):
    # rewards 0 and 1e-7 differ beside each other, and not beside rewards of -1 and 0: 1e-7 < 1e-6
    def group(name: str, rewards: list[float]) -> list[Trajectory]:
        steps = (turn(tokens=2, reward=each, state_key="s") for each in rewards)
        return [one(1.0, group=name, steps=[step]) for step in steps]

    near, far = group("near", [0.0, 1e-7]), group("far", [-1.0, 0.0])
    by = method("gigpo", returns="rewards", w=1.0)
    assert np.abs(by(batch_of(near)).parts["step"]).max() > 0
    monkeypatch.setattr(parts_of, "AT_ONCE", 5)
    monkeypatch.setattr(parts_of, "ROWS", 0)
    both = batch_of([*near, *far])
    assert len(Blocks(both)) == 2
    (_, first), (_, second) = in_blocks(by, blocks_of(both))
    assert np.abs(first.parts["step"]).max() == 0
    assert np.abs(second.parts["step"]).max() == 0.5


def test_what_some_blocks_lack_is_read_where_it_is(batch: Batch):
    for block, _ in in_blocks(method("mt_grpo"), blocks_of(batch)):
        assert "rewards of opening steps" in (block.batch.facts or ())
    paid = [bool(~np.isnan(block.batch.reward_S).all()) for block in blocks_of(batch)]
    assert len(set(paid)) == 2


class Picky(Method):
    name, source, reads = "picky", "none", "groups"

    def terms(self, batch: Batch) -> list[Term]:
        require(bool((batch.outcome_K == 0).any()), "picky needs a fail")
        return [outcome_term(batch)]


def test_a_method_that_refuses_a_block_and_not_the_whole_sees_the_whole(monkeypatch):
    made = [one(outcome, group=name) for name in "ab" for outcome in (1.0, float(name == "b"))]
    monkeypatch.setattr(parts_of, "AT_ONCE", 5)
    monkeypatch.setattr(parts_of, "ROWS", 0)
    batch = batch_of(made)
    assert len(Blocks(batch)) == 2
    ((block, given),) = in_blocks(Picky(), blocks_of(batch))
    assert block.ks.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(given.total, Picky()(batch).total)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_refusal_is_the_one_of_the_whole_batch(batch: Batch, name: str):
    bare = replace(batch, outcome_K=batch.outcome_K - 1.7, logprob_N=None, entropy_N=None)

    def said(run: Any) -> str:
        try:
            run()
        except MethodError as error:
            return str(error)
        return "none"

    by = method(name)
    assert said(lambda: list(in_blocks(by, blocks_of(bare)))) == said(lambda: by(bare))
