"""Half of twice as many (GRPO-RoC), and draws by |A| (MS-GRPO), by hand."""

from functools import cache

import numpy as np
import pytest

from assay.credit import credit, method
from assay.errors import UsageError
from assay.gate import Aaw, Roc, gate
from assay.gate.roc import penalty_K
from assay.pipeline import run
from assay.recipes import Recipe
from assay.records import Call, CallEvidence, ModelStep, Span
from tests.credit.worlds import batch_of, group, one, per_trajectory, turn


def close(got, expected):
    np.testing.assert_allclose(got, expected, atol=1e-5)


def played(outcome, calls=0, errors=0, tags=0, turns=1, **fields):
    """A trajectory of `turns` steps of a token, all calls in the first, an answer in `tags`."""
    made = []
    for t in range(turns):
        said = tuple(
            Call(name="f", arguments="{}", evidence=CallEvidence(ran=i >= errors))
            for i in range(calls if t == 0 else 0)
        )
        spans = (Span(role="answer", start=0, end=1),) if t < tags and t else ()
        if t == 0 and tags:  # beside its calls
            spans = (Span(role="answer", start=1, end=2),)
            said = tuple(
                Call(name="f", arguments="{}", evidence=c.evidence, start=0, end=1) for c in said
            )
        made.append(ModelStep(text="ab", token_ids=(1, 2), calls=said, spans=spans))
    return one(outcome, steps=made, **fields)


# calls, errors | answers, turns: p = 0; .5 without a call; 1/3 + 1/4; 1/4 + 0; 1 + 1
WINS = [(4, 0, 1, 5), (0, 0, 1, 1), (3, 1, 2, 4), (4, 1, 1, 5), (2, 2, 0, 3)]
PENALTY = [0.0, 0.5, 7 / 12, 0.25, 2.0]


def r1(**fields):
    wins = [played(1.0, *each, id=f"w{i}", **fields) for i, each in enumerate(WINS)]
    return batch_of([*wins, *(played(0.0, id=f"l{i}", **fields) for i in range(3))])


def kept(batch, by):
    return [i for i, d in zip(batch.ids, gate(batch, [by]), strict=True) if d.verdict != "drop"]


def test_roc_penalties():
    close(penalty_K(r1())[:5], PENALTY)
    # nobody marks answers: of calls alone
    bare = batch_of([played(1.0, 4, 1), played(1.0)])
    close(penalty_K(bare), [0.25, 0.5])


def test_roc_r1_paper_draws_wins_and_losses():
    # 8, of which 4 stay: floor(3/2) = 1 loss, 3 wins; advantages of 1 1 1 0: .5 .5 .5 -1.5
    assert Roc().counts(3, 5) == (1, 3)
    batch = r1()
    result = run(batch, Recipe.of({"method": "grpo", "gates": [{"name": "roc", "seed": 5}]}))
    got = np.array(per_trajectory(batch, result.advantages["grpo"]))
    assert sorted(got.round(5).tolist()) == [-1.5, 0, 0, 0, 0, 0.5, 0.5, 0.5]
    assert [d.reason for d in result.decisions].count("roc") == 4


def test_roc_r1_draws_by_one_over_the_penalty():
    # one win of five: 1 / (p + .01) is 100, 1.960784, 1.685393, 3.846154, .497512: adds up to
    # 107.989843; shares .926013 .018157 .015607 .035616 .004607
    wins = [(played(1.0, *each), f"w{i}") for i, each in enumerate(WINS)]
    many = batch_of(
        one(1.0, steps=t.steps, id=name, group=f"g{g}") for g in range(400) for t, name in wins
    )
    by = Roc(keep=1, seed=3)
    weight = by(many).weight_K.reshape(-1, 5)
    assert (weight.sum(axis=1) == 1).all()
    expected = np.array([0.926013, 0.018157, 0.015607, 0.035616, 0.004607])
    error = 4 * np.sqrt(expected * (1 - expected) / 400)
    assert (abs(weight.mean(axis=0) - expected) < error).all()
    # the same numbers, whatever the order; others of another seed
    mixed = np.random.default_rng(0).permutation(2_000)
    shuffled = batch_of(
        one(1.0, steps=wins[m % 5][0].steps, id=wins[m % 5][1], group=f"g{m // 5}") for m in mixed
    )
    np.testing.assert_array_equal(by(shuffled).weight_K, weight.ravel()[mixed])
    assert (Roc(keep=1, seed=4)(many).weight_K != weight.ravel()).any()


def test_roc_r1_repo_keeps_the_cleanest_and_the_first():
    # round(3 * 4/8) = round(1.5) = 2 losses, round(2.5) = 2 wins: those of p 0 and .25
    by = Roc(variant="repo")
    batch = r1()
    assert by.counts(3, 5) == (2, 2)
    assert kept(batch, by) == ["w0", "w3", "l0", "l1"]
    gated = batch.gated(gate(batch, [by]))
    close(per_trajectory(gated, credit(gated, method("grpo"))), [
        0.866024, 0, 0, 0.866024, 0, -0.866024, -0.866024, 0,
    ])  # fmt: skip
    close(per_trajectory(batch, credit(batch, method("grpo"))), [*[0.724567] * 5, *[-1.207612] * 3])


@pytest.mark.parametrize(
    ("options", "losses", "wins", "expected"),
    [
        # R2: round(7.5) twice is 8 + 8, one too many: floor, and the rest
        ({"variant": "repo", "keep": 15}, 15, 15, (7, 8)),
        # R3: round(15.5) = 16 and 0; a quota of 2, of which there is 1
        ({"variant": "repo", "keep": 16}, 31, 1, (15, 1)),
        ({"variant": "repo", "keep": 16, "quota": 0}, 31, 1, (16, 0)),
        ({"variant": "repo", "keep": 16}, 1, 31, (1, 15)),
        # exactly as many as stay: all; fewer: none
        ({"variant": "repo", "keep": 4}, 2, 2, (2, 2)),
        ({"variant": "repo", "keep": 4}, 2, 1, (0, 0)),
        # no difference
        ({"variant": "repo"}, 8, 0, (0, 0)),
        ({"variant": "repo"}, 0, 8, (0, 0)),
        # the paper's: losses fill up where wins are few, and the other way round
        ({}, 31, 1, (15, 1)),
        ({}, 8, 0, (4, 0)),
        ({}, 0, 8, (0, 4)),
        ({}, 1, 7, (0, 4)),
        ({"keep": 4}, 2, 1, (2, 1)),
        ({}, 3, 2, (1, 2)),
        ({"keep": 1}, 6, 2, (1, 0)),
    ],
)
def test_roc_counts(options, losses, wins, expected):
    assert Roc(**options).counts(losses, wins) == expected


def test_roc_truncated_ones_are_losses_and_unscored_ones_pass():
    batch = batch_of([*(played(0.0, end="budget") for _ in range(2)), played(None), played(1.0)])
    verdicts = Roc()(batch)
    assert verdicts.weight_K[[2, 3]].tolist() == [1, 1]
    assert verdicts.weight_K[:2].sum() == 1


def test_outputs_of_one_rollout_go_together():
    batch = batch_of([one(1.0, session="A"), one(1.0, session="A"), one(0.0), one(0.0)])
    for by in (Roc(keep=1, seed=2), Aaw(seed=2), Aaw(replacement=False, draws=1, seed=2)):
        weight_K = by(batch).weight_K
        assert weight_K[0] == weight_K[1]


# ---- AAW


@cache
def many(*outcomes, groups=400):
    """Many groups of these returns."""
    return batch_of(
        one(float(o), id=f"k{i}", group=f"g{g}")
        for g in range(groups)
        for i, o in enumerate(outcomes)
    )


def weights(outcomes, **options):
    """The weight of each place in many groups of these returns."""
    return Aaw(**options)(many(*outcomes)).weight_K.reshape(400, -1)


def near(got, expected):
    error = 4 * got.std(axis=0) / got.shape[0] ** 0.5 + 1e-12
    assert (abs(got.mean(axis=0) - expected) < error).all(), (got.mean(axis=0), expected)


@pytest.mark.parametrize(
    ("returns", "p"),
    [
        ([3, 1, 1, -1], [0.5, 0, 0, 0.5]),  # G1: |A| 2 0 0 2
        ([1, *[0] * 7], [0.5, *[1 / 14] * 7]),  # G3: 7/8 and 1/8 each
        ([5, 1, 0, 0], [0.5, 1 / 14, 3 / 14, 3 / 14]),  # G4: mean 1.5: 3.5 .5 1.5 1.5
    ],
)
def test_aaw_draws_by_distance_from_the_mean(returns, p):
    n = len(returns)
    drawn = weights(returns)
    assert (drawn.sum(axis=1) == n).all()
    near(drawn, n * np.array(p))
    one_draw = weights(returns, draws=1)
    assert (one_draw.sum(axis=1) == 1).all()
    near(one_draw, p)
    near(weights(returns, draws=1, replacement=False), p)  # the first one: the same chances


def test_aaw_g4_is_biased_and_the_correction_is_not():
    # A, ddof 0: 1.697749 -.242536 -.727607 -.727607; under p its mean is .519719
    A = np.array([1.697749, -0.242536, -0.727607, -0.727607])
    near((weights([5, 1, 0, 0]) * A).sum(axis=1)[:, None] / 4, 0.519719)
    corrected = weights([5, 1, 0, 0], correct=True)
    near((corrected * A).sum(axis=1)[:, None], 0.0)
    near(corrected, 1.0)
    # 1 / (4 p) each time: .5 3.5 1.166667 1.166667
    each = np.array([0.5, 3.5, 1.166667, 1.166667])
    close(corrected / each, (corrected / each).round())
    for draws in (1, 2, 3, 4):
        near(weights([5, 1, 0, 0], correct=True, replacement=False, draws=draws), 1.0)


def test_aaw_what_is_not_drawn_still_counts_in_its_group():
    recipe = Recipe.of({"method": "ms_grpo", "gates": [{"name": "aaw", "seed": 1}]})
    batch = group([5.0, 1.0, 0.0, 0.0])
    result = run(batch, recipe)
    weight_K = result.batch.weight_K
    assert 0 in weight_K
    A = np.array([1.697749, -0.242536, -0.727607, -0.727607])
    close(per_trajectory(batch, result.advantages["ms_grpo"]), weight_K * A)
    verdicts = {d.weight: (d.verdict, d.reason) for d in result.decisions}
    assert verdicts[0.0] == ("weight", "undrawn")
    carried = np.repeat(result.advantages["ms_grpo"].carried, 1)
    assert carried.tolist() == (weight_K > 0).tolist()
    np.testing.assert_array_equal(result.batch.value_K, [5.0, 1.0, 0.0, 0.0])
    again = batch.gated(list(result.decisions))
    np.testing.assert_array_equal(again.undrawn_K, weight_K == 0)


def test_aaw_drops_groups_without_a_difference_and_passes_what_is_unscored():
    batch = batch_of([*(one(o, group="a") for o in (1.0, 1.0)), one(0.0, group="b"), one(None)])
    verdicts = Aaw()(batch)
    assert verdicts.weight_K.tolist() == [0, 0, 0, 1]
    assert list(verdicts.reasons) == ["constant"] * 3 + ["ok"]
    assert not verdicts.undrawn_K.any()


def test_what_a_gate_before_dropped_is_not_drawn():
    batch = batch_of([one(1.0), one(0.0), one(None)])
    decisions = gate(batch, Recipe.of({"method": "grpo", "gates": ["integrity", "aaw"]}).gates)
    assert (decisions[2].gate, decisions[2].verdict) == ("integrity", "drop")
    assert np.isnan(batch.gated(decisions).value_K[2])


@pytest.mark.parametrize(
    ("cls", "options"),
    [(Roc, {"keep": 0}), (Roc, {"quota": -1}), (Roc, {"delta": 0.0}), (Aaw, {"draws": 0})],
)
def test_options_are_checked(cls, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        cls(**options)


def test_a_turn_without_calls_is_no_error():
    assert penalty_K(batch_of([one(1.0, steps=[turn(False, True)])])).tolist() == [0.5]
