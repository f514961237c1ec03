"""G2PO, Stratified GRPO, score deltas and GAE against values worked out by hand, and slow loops."""

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit import method
from assay.errors import MethodError, UsageError
from assay.records import ModelStep
from tests.credit.worlds import batch_of, one, turn

NAN = float("nan")


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-5)


def z(values, ddof=1):
    array = np.asarray(values, float)
    return (array - array.mean()) / (array.std(ddof=ddof) + 1e-6)


# ---- G2PO


def walk(outcome, *states, **fields):
    return one(outcome, steps=[turn(state_key=s) for s in states], **fields)


# gamma .5: returns .5 1 | 0 0 | .5 1. V(s0) = (.5 + 0 + .5)/3 = 1/3; s1 is in the first two:
# (1 + 0)/2 = .5; s2 in the third: 1. From s0 to s1, s1, s2: .5 .5 1: mean 2/3, deviation .288675:
# -.577348 -.577348 1.154697. From s1 to the end: 1 and 0: +-.707106. From s2 alone: 0.
# Gains: .5 - 1/3 = 1/6 twice, 1 - 1/3 = 2/3; 1 - .5 = .5, 0 - .5 = -.5; 1 - 1 = 0. Over all six
# (1/6, .5, 1/6, -.5, 2/3, 0): mean 1/6, squares 0 .1111 0 .4444 .25 .0278: /5: deviation .408248:
# 0 .816495 0 -1.632989 1.224742 -.408247. Outcomes 1 0 1: .577349 -1.154699 .577349.
WALKS = [walk(1.0, "s0", "s1"), walk(0.0, "s0", "s1"), walk(1.0, "s0", "s2")]
NEXT = [-0.577348, 0.707106, -0.577348, -0.707106, 1.154697, 0.0]
GAIN = [0.0, 0.816495, 0.0, -1.632989, 1.224742, -0.408247]
ENDS = [0.577349, 0.577349, -1.154699, -1.154699, 0.577349, 0.577349]


def test_g2po():
    got = method("g2po", gamma=0.5)(batch_of(WALKS))
    close(got.parts["next"], NEXT)
    close(got.parts["gain"], GAIN)
    close(got.parts["outcome"], ENDS)
    close(got.total, np.sum([NEXT, GAIN, ENDS], axis=0))
    got = method("g2po", gamma=0.5, w=0.0, w_gain=2.0)(batch_of(WALKS))
    close(got.total, 2 * np.array(GAIN) + ENDS)


def test_g2po_takes_no_state_of_another_group_for_one_of_its_own():
    # failures of the same task, from the same states, in a group of their own: no value moves
    apart = [walk(0.0, "s0", s, group="other", task="g") for s in ("s1", "s2")]
    got = method("g2po", gamma=0.5)(batch_of([*WALKS, *apart]))
    for name, expected in (("next", NEXT), ("gain", GAIN), ("outcome", ENDS)):
        close(got.parts[name], [*expected, *[0.0] * 4])


def test_g2po_takes_off_what_is_invalid_and_teaches_nothing_else_where_all_fail():
    records = [one(0.0, steps=[turn(ran, True, state_key="s")]) for ran in (True, False, None)]
    batch = batch_of(records)
    got = method("g2po")(batch)
    wrong = [0.0] * 3 + [-0.1] * 3 + [0.0] * 3
    close(got.total, wrong)
    close(method("g2po", invalid=0.5)(batch).total, np.array(wrong) * 5)
    half = batch.weighted(np.array([1.0, 0.5, 0.0]))
    close(method("g2po")(half).total, np.array(wrong) / 2)


def test_g2po_of_states_that_nobody_names_copies_and_unscored():
    # named by nobody: each its own node, V its own return; nothing to compare it with there
    bare = [one(r, steps=[turn(state_key="x"), turn()]) for r in (1.0, 0.0)]
    got = method("g2po", gamma=1.0)(batch_of(bare))
    close(got.parts["next"], [0.707106, 0.0, -0.707106, 0.0])
    # V(x) = .5: gains .5 0 -.5 0: deviation sqrt(.5/3)
    close(got.parts["gain"], [1.224742, 0.0, -1.224742, 0.0])
    copied = turn(state_key="x", untrainable="copied")
    mixed = [one(1.0, steps=[turn(state_key="x"), copied, turn()]), bare[1]]
    got = method("g2po", gamma=1.0)(batch_of(mixed))
    close(got.parts["next"], [0.707106, 0, 0, -0.707106, 0])
    close(got.parts["gain"], [1.224742, 0, 0, -1.224742, 0])  # what was copied is not what follows
    unscored = method("g2po", gamma=1.0)(batch_of([*bare, one(None, steps=bare[0].steps)]))
    close(unscored.parts["next"], [0.707106, 0.0, -0.707106, 0.0, NAN, NAN])
    close(unscored.parts["gain"], [1.224742, 0.0, -1.224742, 0.0, NAN, NAN])
    assert np.isnan(unscored.total[-2:]).all()


def slow_g2po(walks, gamma):
    """The `next` and `gain` parts, by dictionaries."""
    visits = {}
    for outcome, states in walks:
        for t, state in enumerate(states):
            visits.setdefault(state, []).append(gamma ** (len(states) - 1 - t) * outcome)
    value = {state: statistics.mean(each) for state, each in visits.items()}
    rows = []
    for outcome, states in walks:
        for t, state in enumerate(states):
            ahead = value[states[t + 1]] if t + 1 < len(states) else outcome
            rows.append((state, ahead, ahead - value[state]))
    alike = {state: [r[1] for r in rows if r[0] == state] for state, _, _ in rows}
    gains = [gain for _, _, gain in rows]

    def scaled(x, among):
        if len(among) < 2 or max(among) - min(among) < 1e-9:
            return 0.0
        return (x - statistics.mean(among)) / (statistics.stdev(among) + 1e-6)

    return [scaled(r[1], alike[r[0]]) for r in rows], [scaled(r[2], gains) for r in rows]


@settings(max_examples=40, deadline=None)
@given(
    walks=st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0]), st.lists(st.sampled_from("abc"), min_size=1, max_size=4)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_g2po_against_dictionaries(walks):
    got = method("g2po", gamma=0.5)(batch_of(walk(r, *states) for r, states in walks))
    for name, expected in zip(("next", "gain"), slow_g2po(walks, 0.5), strict=True):
        close(got.parts[name], expected)


# ---- Stratified GRPO


def caller(outcome, calls, steps=1, **fields):
    first = turn(*[None] * calls)
    return one(outcome, steps=[first, *[turn()] * (steps - 1)], **fields)


def first_of_each(batch, got):
    at = np.searchsorted(batch.traj_R, np.arange(len(batch.ids)))
    return got[at]


# calls 1 1 2 2 3, outcomes 1 0 1 0 1. Strata: +-.707106 twice, and one alone: 0. Group: mean .6,
# deviation .547723: .730296 -1.095443
CALLERS = [(1.0, 1), (0.0, 1), (1.0, 2), (0.0, 2), (1.0, 3)]


def test_stratified():
    batch = batch_of(caller(r, n) for r, n in CALLERS)
    near = np.array([0.707106, -0.707106, 0.707106, -0.707106, 0.0])
    far = np.array([0.730295, -1.095443, 0.730295, -1.095443, 0.730295])
    for alpha in (0.5, 0.25, 0.0):
        got = method("stratified", **({} if alpha == 0.5 else {"alpha": alpha}))(batch)
        close(first_of_each(batch, got.total), alpha * near + (1 - alpha) * far)
    assert abs(first_of_each(batch, got.total).sum()) < 1e-5


def test_strata_of_steps_and_of_several_groups():
    batch = batch_of([caller(1.0, 0, 2), caller(0.0, 0, 2), caller(0.0, 0, 3)])
    by = method("stratified", by="steps")
    close(first_of_each(batch, by(batch).parts["stratum"]), [0.353553, -0.353553, 0.0])
    by_calls = method("stratified")(batch)
    close(first_of_each(batch, by_calls.parts["stratum"]), z([1, 0, 0]) / 2)
    apart = batch_of([caller(1.0, 1, group="a"), caller(0.0, 1, group="b")])
    assert not method("stratified")(apart).total.any()


def test_a_blend_is_no_option():
    with pytest.raises(UsageError, match=r"alpha must lie in \[0, 1\), or a stratum of one"):
        method("stratified", alpha=1.0)


def test_copied_steps_are_no_steps_of_a_stratum_and_a_session_has_one():
    copied = turn(untrainable="copied")
    batch = batch_of([one(1.0, steps=[copied, turn()]), one(0.0, steps=[turn()])])
    close(method("stratified", by="steps")(batch).parts["stratum"][1:], [0.353553, -0.353553])
    # the second output of the session votes: both are in its stratum
    records = [caller(1.0, 1, session="s"), caller(1.0, 2, session="s"), caller(0.0, 2)]
    batch = batch_of(records)
    got = method("stratified")(batch).parts["stratum"]
    close(first_of_each(batch, got), [0.353553, 0.353553, -0.353553])


# ---- score deltas


def scored(outcome, *scores, **fields):
    steps = [turn(scores={} if s is None else {"state": s}) for s in scores]
    return one(outcome, steps=steps, **fields)


# scores .5 .25 1 and 0 0: changes .5 -.25 .75 0 0
PATHS = [scored(1.0, 0.5, 0.25, 1.0), scored(0.0, 0.0, 0.0)]
CHANGES = [0.5, -0.25, 0.75, 0.0, 0.0]


def test_score_delta():
    got = method("score_delta")(batch_of(PATHS))
    close(got.parts["change"], z(CHANGES))
    close(got.parts["outcome"], [0.707106] * 3 + [-0.707106] * 2)
    plain = method("score_delta", scale="none", w=2.0)(batch_of(PATHS))
    close(plain.parts["change"], 2 * (np.array(CHANGES) - 0.2))
    # carried back by half: .5 + .5(-.25 + .5 * .75) = .5625, .125, .75
    back = method("score_delta", gamma=0.5)(batch_of(PATHS))
    close(back.parts["change"], z([0.5625, 0.125, 0.75, 0.0, 0.0]))
    # from .5 on the first changes are 0 and -.5
    close(method("score_delta", first=0.5)(batch_of(PATHS)).parts["change"],
          z([0.0, -0.25, 0.75, -0.5, 0.0]))  # fmt: skip


def test_changes_add_up_to_the_last_score_less_the_first():
    rng = np.random.default_rng(0)
    rows = [rng.random(n).tolist() for n in (1, 3, 5)]
    batch = batch_of(scored(0.0, *row) for row in rows)
    made = method("score_delta", first=0.25)(batch).made[1].term.value_U
    for k, row in enumerate(rows):
        assert made[batch.traj_S == k].sum() == pytest.approx(row[-1] - 0.25)


def test_a_step_without_a_score_changes_nothing():
    batch = batch_of([scored(0.0, 0.5, None, 1.0), scored(0.0, None), scored(0.0, 0.25)])
    value = method("score_delta")(batch).made[1].term.value_U
    close(value, [0.5, 0.0, 0.5, NAN, 0.25])
    # scored all the same: by the outcome
    assert method("score_delta")(batch).total[3] == 0.0
    copied = turn(scores={"state": 9.0}, untrainable="copied")
    steps = [turn(scores={"state": 0.5}), copied, turn(scores={"state": 0.75})]
    value = method("score_delta")(batch_of([one(0.0, steps=steps)])).made[1].term.value_U
    close(value, [0.5, NAN, 0.25])
    # nor does it take a share: .5 + .5 * .25
    back = method("score_delta", gamma=0.5)(batch_of([one(0.0, steps=steps)]))
    close(back.made[1].term.value_U, [0.625, NAN, 0.25])
    dropped = batch.weighted(np.array([1.0, 1.0, 0.0]))
    close(method("score_delta")(dropped).made[1].term.value_U[-1], NAN)
    half = batch_of(PATHS).weighted(np.array([0.5, 1.0]))
    close(method("score_delta")(half).parts["change"][:3], z(CHANGES)[:3] / 2)


def test_scores_are_asked_for_by_name():
    with pytest.raises(MethodError, match="score_delta needs scores, and no step has one"):
        method("score_delta")(batch_of([one(0.0)]))
    with pytest.raises(MethodError, match=r"no step has a score 'stat'. Did you mean 'state'"):
        method("score_delta", score="stat")(batch_of(PATHS))


# ---- GAE


def test_gae_of_the_change_of_a_score():
    # score .5 .25 (1), outcome 1: changes .5 -.25 and 1 - .25 = .75; of the other 0 and 0 - 0
    for lam, expected in (
        (0.0, [0.5, -0.25, 0.75, 0.0, 0.0]),
        (0.5, [0.5625, 0.125, 0.75, 0.0, 0.0]),
        (1.0, [1.0, 0.5, 0.75, 0.0, 0.0]),
    ):
        got = method("gae", lam=lam)(batch_of(PATHS))
        close(got.made[0].term.value_U, expected)
        close(got.total, z(expected))
    # gamma .5, lam 1: .25 - 0, .125 - .5, 1 - .25 and back by .5: .75, -.375 + .375, .25 + 0
    got = method("gae", lam=1.0, gamma=0.5)(batch_of(PATHS))
    close(got.made[0].term.value_U, [0.25, 0.0, 0.75, 0.0, 0.0])
    # the last step needs no score of its own; the outcome stands there
    got = method("gae", lam=0.0)(batch_of([scored(1.0, 0.5, None), scored(0.0, 0.5, None)]))
    close(got.made[0].term.value_U, [0.5, 0.5, 0.5, -0.5])
    got = method("gae", lam=0.0, first=0.25)(batch_of([scored(1.0, 0.5), scored(0.0, 0.5)]))
    close(got.made[0].term.value_U, [0.75, -0.25])


def test_gae_of_rewards_and_of_scores():
    steps = [ModelStep(text="x", token_ids=(1,), reward=r, scores={"s": -r}) for r in (1.0, 2.0)]
    batch = batch_of([one(0.0, steps=steps), one(0.0, steps=steps[:1])])
    got = method("gae", of="rewards", lam=0.5)(batch)
    close(got.made[0].term.value_U, [2.0, 2.0, 1.0])
    close(got.total, z([2.0, 2.0, 1.0]))
    got = method("gae", of="score", score="s", lam=0.5, scale="none")(batch)
    close(got.total, np.array([-2.0, -2.0, -1.0]) + 5 / 3)
    discounted = method("gae", of="rewards", lam=0.5, gamma=0.5)(batch)
    close(discounted.made[0].term.value_U, [1.5, 2.0, 1.0])


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([None, -1.0, 0.5, 2.0]), max_size=4), min_size=1, max_size=4
    ),
    lam=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_gae_against_a_slow_loop(rows, lam):
    if not any(r is not None for row in rows for r in row):
        return
    batch = batch_of(one(0.0, steps=[turn(reward=r) for r in row]) for row in rows)
    expected = []
    for row in rows:
        known = any(r is not None for r in row)
        expected += [
            sum(lam**d * (r or 0.0) for d, r in enumerate(row[t:])) if known else NAN
            for t in range(len(row))
        ]
    close(method("gae", of="rewards", lam=lam)(batch).made[0].term.value_U, expected)


def test_options_of_gae():
    for name in ("gamma", "lam"):
        with pytest.raises(UsageError, match=rf"{name} must lie in \[0, 1\]; got 1.5"):
            method("gae", **{name: 1.5})
    with pytest.raises(UsageError):
        method("gae", of="values")
