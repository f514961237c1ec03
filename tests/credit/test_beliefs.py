"""Delta-Belief and IGPO against values worked out by hand, to 1e-5, and against loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Batch
from assay.credit import method
from assay.credit.beliefs import gains, turns
from assay.errors import AssayError, MethodError
from assay.records import Trajectory
from tests.credit.worlds import answer, batch_of, group, one, turn

NAN = float("nan")


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-5)


def believer(outcome: float | None, *beliefs: float | None, **fields: Any) -> Trajectory:
    """A trajectory of one-token steps: what is believed before the first, then after each."""
    prior, *after = beliefs
    return one(outcome, prior=prior, steps=[turn(belief=each) for each in after], **fields)


def gaining(outcome: float, *gained: float) -> Trajectory:
    """The same, said by what each step adds to a belief of -9."""
    return believer(outcome, *(-9 + np.cumsum([0.0, *gained])).tolist())


def rewards(batch: Batch, **options: Any) -> list[float]:
    return (
        method("delta_belief", **{"variant": "paper", **options})(batch)
        .made[0]
        .term.value_U.tolist()
    )


# ---- what a step adds


def test_d1_gains_and_what_they_pay():
    # log b -6 -4 -4.5 -1: steps of 2, -.5 and 3.5; a failure of 3 turns pays -.15 besides
    batch = batch_of([believer(0.0, -6, -4, -4.5, -1)])
    close(gains(batch, -20.0), [2.0, -0.5, 3.5])
    close(np.add(rewards(batch), 0.15), [0.2, 0.0, 0.35])
    close(np.add(rewards(batch, lam=1.0), 0.15), [2.0, 0.0, 3.5])  # in all 5.5
    close(np.add(rewards(batch, lam=1.0, clip=False), 0.15), [2.0, -0.5, 3.5])  # in all 5


def test_d2_going_round_in_a_circle_pays_when_losses_are_cut_off():
    batch = batch_of([believer(0.0, -4, -2, -4, -2, -4)])
    plain = {"lam": 1.0, "turn_cost": 0.0}
    assert sum(rewards(batch, **plain)) == 4.0
    assert sum(rewards(batch, clip=False, **plain)) == 0.0
    # a circle more pays 2 more; the price of two more turns, on each of six, is .1 * 6 less
    longer = batch_of([believer(0.0, -4, -2, -4, -2, -4, -2, -4)])
    assert sum(rewards(longer, **plain)) == 6.0
    assert sum(rewards(longer, lam=1.0)) == pytest.approx(6.0 - 6 * 0.3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-19, 0), min_size=2, max_size=7), min_size=1, max_size=5))
def test_gains_that_are_not_cut_add_up_to_the_last_belief_less_the_first(walks):
    batch = batch_of(believer(0.0, *walk) for walk in walks)
    sums = np.bincount(batch.traj_S, gains(batch, -20.0), len(walks))
    np.testing.assert_allclose(sums, [walk[-1] - walk[0] for walk in walks], atol=1e-9)


def test_unknown_beliefs_gain_nothing_and_none_lies_below_the_floor():
    batch = batch_of(
        [
            believer(0.0, None, -3, -1),  # before the first step nothing is known
            believer(0.0, -3, None, -1, 0.0),
            believer(0.0, -700, -30, -19),
        ]
    )
    close(gains(batch, -20.0), [NAN, 2, NAN, NAN, 1, 0, 1])
    close(gains(batch, -1.0, chances=True)[[1, 4, 6]], [0, 1 - np.exp(-1), 0])
    paid = np.array(rewards(batch, turn_cost=0.0, lam=1.0))
    close(paid, [0, 2, 0, 0, 1, 0, 1])
    assert turns(batch).tolist() == [0, 1, 0, 1, 2, 0, 1]


# ---- Delta-Belief

# win 1, less .05 for each of 2, 2 and 3 turns, and .1 of the gains:
# 1 - .1 + .1, 1 - .1 | .95 .9 | -.15 + .02, -.14, -.12
D3 = [gaining(1.0, 1.0, 0.0), gaining(1.0, 0.5, 0.0), gaining(0.0, 0.2, 0.1, 0.3)]
# turn 1: 1 .95 -.13, mean .606667, deviation .638462; turn 2: .9 .9 -.14, mean .553333,
# deviation .600444; turn 3: -.12 alone, or with two zeros mean -.04, deviation .069282
PADDED = [0.616063, 0.577349, 0.53775, 0.577349, -1.153813, -1.154699, -1.154684]


def test_d3_turns_are_compared_with_the_same_turn_of_others():
    batch = batch_of(D3)
    close(rewards(batch), [1.0, 0.9, 0.95, 0.9, -0.13, -0.14, -0.12])
    close(method("delta_belief", variant="paper")(batch).total, [*PADDED[:-1], 0.0])
    for options in ({"variant": "repo"}, {"absent": "zero"}):
        close(method("delta_belief", **{"variant": "paper", **options})(batch).total, PADDED)
    close(method("delta_belief", variant="repo", absent="masked")(batch).total[-1], 0.0)


def test_d3_returns_are_compared_with_the_whole_group():
    # outcomes less .05 a turn: .9 .9 -.15, mean .55. What is left to gain, times .1:
    # .1 0 | .05 0 | .06 .04 .03, means .07, .04/3 and, two having ended with nothing left, .01
    expected = [0.38, 0.336667, 0.33, 0.336667, -0.71, -0.673333, -0.68]
    got = method("delta_belief")(batch_of(D3))
    close(got.total, expected)
    close(got.parts["outcome"], [0.35] * 4 + [-0.7] * 3)
    with pytest.raises(AssayError, match='absent is not read by variant="unbiased"'):
        method("delta_belief", absent="zero")


def test_d4_all_fail_and_still_something_is_said():
    # three turns each: -.15 + .15, -.15, -.12: mean -.09, deviation .079373
    batch = batch_of([gaining(0.0, first, 0.0, 0.0) for first in (1.5, 0.0, 0.3)])
    got = method("delta_belief", variant="paper")(batch).total
    close(got[[0, 3, 6]], [1.133879, -0.755919, -0.37796])
    close(got[[1, 2, 4, 5, 7, 8]], np.zeros(6))


def test_d5_the_turn_that_wins_gains_nothing_in_the_released_code():
    batch = batch_of([gaining(1.0, 1.0, 2.0), gaining(0.0, 1.0, 2.0)])
    close(np.subtract(rewards(batch, variant="repo"), [0.9, 0.9, -0.1, -0.1]), [0.1, 0, 0.1, 0.2])
    close(np.subtract(rewards(batch), [0.9, 0.9, -0.1, -0.1]), [0.1, 0.2, 0.1, 0.2])


def test_delta_belief_alone_equal_or_without_a_step():
    close(method("delta_belief", variant="paper")(batch_of(D3[:1])).total, [0.0, 0.0])
    close(method("delta_belief", variant="repo")(batch_of(D3[:1])).total, [0.0, 0.0])
    close(method("delta_belief", variant="paper")(batch_of([D3[0]] * 3)).total, np.zeros(6))
    # a scored trajectory of no step is a 0 among the turns of the others, and moves no mean else
    silent = one(0.0, steps=[])
    close(
        method("delta_belief", variant="paper")(batch_of([*D3, silent])).total, [*PADDED[:-1], 0.0]
    )
    unscored = one(None, steps=[])
    got = method("delta_belief", variant="repo")(batch_of([D3[0], silent, unscored])).total
    close(got, [0.707106, 0.707106])  # 1 and 0: +-.5 over .707107; the second turn .9 and 0


def test_what_was_copied_is_no_turn():
    shown = turn(belief=-8.0, untrainable="copied")
    steps = [shown, turn(belief=-7.0), turn(belief=-7.0)]
    batch = batch_of([one(1.0, prior=-9.0, steps=steps), *D3[1:]])
    assert turns(batch).tolist() == [-1, 0, 1, 0, 1, 0, 1, 2]
    # the first own step goes from -8 to -7, as in D3
    close(method("delta_belief", variant="paper")(batch).total, [0.0, *PADDED[:-1], 0.0])


def test_a_score_is_added_such_as_a_penalty():
    asked = [turn(belief=-9.0, scores={"repeated": each}) for each in (-1.0, None)]
    batch = batch_of([one(0.0, prior=-9.0, steps=asked), gaining(0.0, 0.0, 0.0)])
    close(rewards(batch, score="repeated"), [-1.1, -0.1, -0.1, -0.1])
    with pytest.raises(MethodError, match="no step has a score 'repeat'"):
        method("delta_belief", score="repeat")(batch)


@pytest.mark.parametrize("name", ["delta_belief", "igpo"])
def test_who_has_no_beliefs_is_told_where_they_come_from(name):
    with pytest.raises(MethodError, match=rf"{name} needs beliefs, and no .* `\[rollout\] belief"):
        method(name)(group([1.0, 0.0]))


# ---- IGPO

# gains .5 1 | -.5 0: mean .25, deviation .645497: .387298 1.161893 -1.161893 -.387298; outcomes
# 1 0: +-.707106 at the last step, whose own gain is not paid
IGPO = [gaining(1.0, 0.5, 1.0, 3.0), gaining(0.0, -0.5, 0.0, -4.0)]


def test_igpo_pays_each_step_for_its_gain_and_what_comes_after():
    got = method("igpo")(batch_of(IGPO))
    close(got.total, [2.256297, 1.868999, 0.707106, -2.256297, -1.094404, -0.707106])
    close(got.made[1].scaled_U, [0.387298, 1.161893, NAN, -1.161893, -0.387298, NAN])
    close(got.made[0].scaled_U, [NAN, NAN, 0.707106, NAN, NAN, -0.707106])
    half = method("igpo", gamma=0.5, w=0.1)(batch_of(IGPO)).total
    # .116189 + .353553; .038730 + half of that
    close(half[:3], [0.273601, 0.469742, 0.707106])


def test_igpo_of_one_step_each_is_grpo_and_a_lone_one_gets_nothing():
    batch = batch_of([gaining(1.0, 2.0), gaining(0.0, 1.0), gaining(0.0, 5.0)])
    close(method("igpo")(batch).total, method("grpo")(batch).total)
    close(method("igpo")(batch_of(IGPO)).total, method("igpo")(batch_of(IGPO)).total)
    close(method("igpo")(batch_of([gaining(1.0, 2.0, 0.0)])).total, [0.0, 0.0])
    # where all fail gains still tell; a gain of which nothing is known counts for nothing
    fails = [gaining(0.0, 1.0, 0.0), gaining(0.0, 0.0, 0.0), believer(0.0, None, -3.0, -3.0)]
    got = method("igpo")(batch_of(fails))
    close(got.total, [0.707106, 0, -0.707106, 0, 0, 0])


def test_igpo_outputs_of_a_session_have_one_vote():
    twice = [gaining(1.0, 0.5, 0.0), gaining(1.0, 0.5, 0.0), gaining(0.0, 0.5, 0.0)]
    fan = [one(t.outcome, steps=t.steps, prior=t.prior, session="a") for t in twice[:2]]
    got = method("igpo")(batch_of([*fan, twice[2]])).parts["outcome"]
    close(got, [0.707106] * 4 + [-0.707106] * 2)


def test_igpo_as_it_was_first_released():
    # one token a step, so turns end together. Probabilities from e^-9: differences p1, then the
    # outcome; each less the mean over both, and what comes after is added
    batch = batch_of([believer(1.0, -2.0, -1.0, -0.5), believer(0.0, -2.0, -2.0, -0.1)])
    p = np.exp(-1.0) - np.exp(-2.0)
    got = method("igpo", variant="repo")(batch).total
    close(got, [p / 2 + 0.5, 0.5, -p / 2 - 0.5, -0.5])
    # the second ends one token later: its answer meets a 0, and so does the first's
    later = one(0.0, prior=-2.0, steps=[turn(belief=-2.0), turn(tokens=2, belief=-0.1)])
    got = method("igpo", variant="repo")(batch_of([batch_record(), later])).total
    close(got, [p / 2 + 0.5, 0.5, -p / 2, 0.0])


def batch_record() -> Trajectory:
    return believer(1.0, -2.0, -1.0, -0.5)


# ---- loops that share nothing with it


def slow(records: list[Trajectory], by: str) -> dict[tuple[int, int], float]:
    """What each step gets, of one group, step by step; the paper's variants."""

    def z(values: list[float], x: float) -> float:
        if len(values) < 2 or max(values) - min(values) < 1e-12:
            return 0.0
        mean = sum(values) / len(values)
        square = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
        return (x - mean) / (square**0.5 + 1e-6)

    gain: dict[tuple[int, int], float | None] = {}
    for k, record in enumerate(records):
        before = record.prior
        for t, step in enumerate(record.steps):
            gain[k, t] = None if None in (before, step.belief) else step.belief - before  # type: ignore[operator]
            before = step.belief
    made: dict[tuple[int, int], float] = {}
    for k, record in enumerate(records):
        last = len(record.steps) - 1
        for t in range(last, -1, -1):
            if by == "delta_belief":
                paid = {
                    i: each.outcome - 0.05 * len(each.steps) + 0.1 * max(gain[i, t] or 0.0, 0.0)
                    for i, each in enumerate(records)
                    if t < len(each.steps)
                }
                made[k, t] = z(list(paid.values()), paid[k])
            elif t == last:
                made[k, t] = z([each.outcome for each in records if each.steps], record.outcome)
            else:
                of = [
                    g
                    for (i, u), g in gain.items()
                    if g is not None and u < len(records[i].steps) - 1
                ]
                own = gain[k, t]
                made[k, t] = made[k, t + 1] + (0.0 if own is None else z(of, own))
    return made


BELIEFS = st.none() | st.integers(-8, 0).map(float)
WALKS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), BELIEFS, st.lists(BELIEFS, min_size=1, max_size=4)),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("name", ["delta_belief", "igpo"])
@settings(max_examples=80, deadline=None)
@given(walks=WALKS)
def test_a_loop_over_steps_finds_the_same(name, walks):
    records = [believer(outcome, prior, *after) for outcome, prior, after in walks]
    known = one(1.0, group="other", steps=[turn(belief=-1.0), answer()], prior=-1.0)
    batch = batch_of([*records, known])
    options = {"variant": "paper"}
    got = method(name, **options)(batch).total[: sum(len(each.steps) for each in records)]
    expected = slow(records, name)
    np.testing.assert_allclose(got, [expected[at] for at in sorted(expected)], atol=1e-8)
