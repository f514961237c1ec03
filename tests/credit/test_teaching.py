"""Methods with a teacher that was told a hint, and their control without one.

Vectors V2, V6 and V7 of OpenClaw-RL, RLSD and the sign rule, each worked out beside its number; an
oracle that goes token by token; laws on random sets.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Batch
from assay.credit import METHODS, method
from assay.credit.facts import held
from assay.credit.groups import all_failed
from assay.errors import MethodError
from assay.records import Call, ModelStep, Span
from tests.credit.lawful import world
from tests.credit.worlds import answer, batch_of, groups, one

TEACHERS = ("opd", "additive", "rlsd", "agreement", "routing")
TOLD, SELF = (-0.2, -1.5, -0.1), (-0.9, -0.5, -0.1)
seeds = st.integers(0, 10**6)
few = settings(max_examples=20, deadline=None)


def taught(told, other, *, outcome=0.0, field="logprobs", group="g", **fields):
    """A step whose tokens a teacher finds this likely, and a last one that ends it."""
    values = {"told": (*told, -0.01), field: (*other, -5.0)}
    ids = tuple(range(len(told) + 1))
    step = ModelStep(text="x", token_ids=ids, **values, **fields)
    return one(outcome, group=group, steps=(step, answer()))


def pair(told, other, **fields):
    """A pass and a failure with the same tokens: +1 and -1 by ddof 0 and eps 0."""
    return batch_of(taught(told, other, outcome=o, **fields) for o in (1.0, 0.0))


def by_row(batch, by):
    """Advantages of the sampled tokens, a list a trajectory."""
    found = by(batch).advantage_N
    sampled_N = np.repeat(batch.step_R >= 0, batch.length_R)
    traj_N = np.repeat(batch.traj_R, batch.length_R)
    return [found[sampled_N & (traj_N == k)].tolist() for k in range(len(batch.ids))]


def close(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_opd_by_hand():
    # -.2 + .9 = .7; -1.5 + .5 = -1; -.1 + .1 = 0; the token that ends the step is spared (V2)
    close(by_row(batch_of([taught(TOLD, SELF)]), method("opd")), [[0.7, -1.0, 0.0, 0.0]])
    bounded = method("opd", bound=0.5)
    close(by_row(batch_of([taught(TOLD, SELF)]), bounded), [[0.5, -0.5, 0.0, 0.0]])
    # nothing spared: -.01 + 5 = 4.99
    close(by_row(batch_of([taught(TOLD, SELF)]), method("opd", spare="none"))[0][3:], [4.99])


def test_additive_by_hand():
    # V2: a pass adds 1 to .7 -1 0, a failure takes 1 off; the spared token has the label alone
    batch = pair(TOLD, SELF)
    expected = [[1.7, 0.0, 1.0, 1.0], [-0.3, -2.0, -1.0, -1.0]]
    close(by_row(batch, method("additive")), expected)
    # half the teacher; and GRPO's A of a pair, ddof 1: -+ .5 / .7071068 = -+ .7071068
    close(by_row(batch, method("additive", w=0.5)), [[1.35, 0.5, 1, 1], [-0.65, -1.5, -1, -1]])
    grouped = by_row(batch, method("additive", compare="group"))
    close(grouped[0][:3], [1.4071058, -0.2928942, 0.7071058])


def test_additive_without_an_outcome_is_the_teacher_alone():
    batch = batch_of([taught(TOLD, SELF, outcome=None)])
    found = by_row(batch, method("additive"))[0]
    close(found[:3], [0.7, -1.0, 0.0])
    assert math.isnan(found[3]), "nobody scored it, and the teacher spares it"


@pytest.mark.parametrize("against", ["policy", "neutral"])
def test_what_is_taken_off_is_an_option_and_must_be_there(against):
    field = "logprobs" if against == "policy" else "neutral"
    other = "neutral" if against == "policy" else "logprobs"
    batch = pair(TOLD, SELF, field=field)
    for name in TEACHERS:
        by = method(name, against=against)
        assert set(by.wanted) == {"told", field}
        by(batch)
        lacking = pair(TOLD, SELF, field=other)
        with pytest.raises(MethodError, match=f"{name} needs {field}"):
            by(lacking)
    close(by_row(batch, method("opd", against=against))[0][:3], [0.7, -1.0, 0.0])


def test_rlsd_by_hand():
    # V6: exp(.7) = 2.01 -> 1.2, exp(-1) = .37 -> .8, exp(0) = 1; of a failure exp(-.7) = .50 -> .8
    # and exp(1) -> 1.2. lam .5: halfway to them from 1
    batch, exact = pair(TOLD, SELF), {"ddof": 0, "eps": 0.0}
    by = method("rlsd", lam=0.5, eps_w=0.2, **exact)
    close(by_row(batch, by), [[1.1, 0.9, 1.0, 1.0], [-0.9, -1.1, -1.0, -1.0]])
    whole = by_row(batch, method("rlsd", lam=1.0, **exact))
    close(whole, [[1.2, 0.8, 1.0, 1.0], [-0.8, -1.2, -1.0, -1.0]])
    # inside the bounds: exp(.1) = 1.1051709, half of what is above 1
    near = by_row(pair((-0.2,), (-0.3,)), method("rlsd", **exact))
    close(near[0], [1.0525855, 1.0])
    dead = batch_of(taught(TOLD, SELF) for _ in range(2))
    close(by_row(dead, method("rlsd")), [[0, 0, 0, 0]] * 2)


def test_rlsd_of_a_teacher_that_is_certain_does_not_overflow():
    found = by_row(pair((-0.0,), (-900.0,)), method("rlsd", ddof=0, eps=0.0))
    close(found, [[1.1, 1.0], [-0.9, -1.0]])


DELTA = (0.7, -1.0, 0.0, 2.5)


def told_over_neutral(outcome, group="g", **fields):
    told = tuple(each - 3.0 for each in DELTA)
    return taught(told, (-3.0,) * 4, outcome=outcome, field="neutral", group=group, **fields)


def test_agreement_by_hand():
    # V7: a pass takes .7 and 2.5 -> 1 on top; a failure -1; 0 agrees with nobody
    batch = batch_of(told_over_neutral(o) for o in (1.0, 0.0))
    exact = {"ddof": 0, "eps": 0.0}
    expected = [[1.7, 1.0, 1.0, 2.0, 1.0], [-1.0, -2.0, -1.0, -1.0, -1.0]]
    close(by_row(batch, method("agreement", **exact)), expected)
    expected = [[1.35, 1.0, 1.0, 2.0, 1.0], [-1.0, -1.5, -1.0, -1.0, -1.0]]
    close(by_row(batch, method("agreement", w=0.5, bound=2.0, **exact)), expected)
    # |A| = 1 is below 1.5: the teacher is not heard
    close(by_row(batch, method("agreement", least=1.5, **exact)), [[1.0] * 5, [-1.0] * 5])
    close(by_row(batch, method("agreement", least=1.0, **exact))[0][:1], [1.7])


def test_agreement_where_all_fail():
    # only D < 0, the second token, and never up
    dead = batch_of(told_over_neutral(0.0) for _ in range(3))
    # A = -.25 there, and D = -1 agrees with it
    close(by_row(dead, method("agreement")), [[0, -1.25, 0, 0, 0]] * 3)
    close(by_row(dead, method("agreement", fail=0.5, w=0.5)), [[0, -1.0, 0, 0, 0]] * 3)
    # |A| = .25 is below .3: the teacher is not heard; A = 0 agrees with nobody
    close(by_row(dead, method("agreement", least=0.3)), [[0, -0.25, 0, 0, 0]] * 3)
    close(by_row(dead, method("agreement", fail=0.0)), [[0] * 5] * 3)
    # D = -1 lies within a margin of 1, and not of .99
    close(by_row(dead, method("agreement", margin=1.0)), [[0] * 5] * 3)
    close(by_row(dead, method("agreement", margin=0.99)), [[0, -1.25, 0, 0, 0]] * 3)
    slight = taught((-3.099, -3.101, -2.9), (-3.0,) * 3, outcome=0.0, field="neutral")
    close(by_row(batch_of([slight]), method("agreement"))[0][:3], [0, -0.351, 0])
    alone = batch_of([told_over_neutral(0.0)])
    close(by_row(alone, method("agreement")), [[0, -1.25, 0, 0, 0]])
    passes = batch_of(told_over_neutral(1.0) for _ in range(3))
    close(by_row(passes, method("agreement")), [[0] * 5] * 3)


def test_where_all_fail_alike():
    # apart: outcomes .25 and .5 differ, so they are compared; 0 beside an unscored one is alone
    batch = groups(
        dead=[0.0, 0.0],
        apart=[0.25, 0.5],
        partial=[0.5, 0.5],
        easy=[1.0, 1.0],
        alone=[0.0, None],
        won=[1.0],
    )
    found = all_failed(batch, 1.0)
    expected = [True, True, False, False, True, True, False, False, True, False, False]
    assert found.tolist() == expected
    assert all_failed(batch, 0.5).tolist() == [True] * 2 + [False] * 6 + [True, False, False]


def test_agreement_wants_failures_that_were_verified():
    # two by a judge of level E1, and one that a check saw fail
    from assay.records import Grade

    weak = told_over_neutral(0.0)
    judged = [
        one(
            None,
            group="g",
            steps=weak.steps,
            grades=(Grade(source="judge", level="E1", value=0.0),),
        )
        for _ in range(2)
    ]
    batch = batch_of([*judged, weak])
    found = by_row(batch, method("agreement"))
    close(found, [[0] * 5, [0] * 5, [0, -1.25, 0, 0, 0]])


def test_routing_by_hand():
    # live: GRPO of one pass among two, ddof 0; dead: D, bounded by 1
    trajectories = [told_over_neutral(o) for o in (1.0, 0.0)]
    trajectories += [told_over_neutral(0.0, group="dead") for _ in range(2)]
    trajectories += [told_over_neutral(1.0, group="easy") for _ in range(2)]
    batch, exact = batch_of(trajectories), {"ddof": 0, "eps": 0.0}
    live, dead = [[1.0] * 5, [-1.0] * 5], [[0.7, -1.0, 0.0, 1.0, 0.0]] * 2
    close(by_row(batch, method("routing", **exact)), [*live, *dead, [0.0] * 5, [0.0] * 5])
    half = [[0.35, -0.5, 0.0, 1.25, 0.0]] * 2
    close(by_row(batch, method("routing", w=0.5, bound=2.5, **exact))[2:4], half)
    down = [[0.0, -1.0, 0.0, 0.0, 0.0]] * 2
    close(by_row(batch, method("routing", down=True, **exact))[2:4], down)


def spoken(spare):
    """Which of eight tokens are taught: thought, thought, text; answer, answer, sure, call, end."""
    spans = (
        Span(role="think", start=0, end=2),
        Span(role="answer", start=3, end=5),
        Span(role="confidence", start=5, end=6),
    )
    step = ModelStep(
        text="x",
        token_ids=tuple(range(8)),
        logprobs=(-1.0,) * 8,
        told=(-0.5,) * 8,
        spans=spans,
        calls=(Call(name="f", arguments="{}", start=6, end=7),),
    )
    batch = batch_of([one(0.0, steps=(answer(), step, answer(), step))])
    first, second = np.split(np.array(by_row(batch, method("opd", spare=spare))[0]) != 0, 2)
    np.testing.assert_array_equal(first, second)
    return np.flatnonzero(first).tolist()


def test_stops_commitments_and_thoughts_are_spared():
    # 2 is the first behind a thought, 3 the first of the answer, 7 the last
    assert spoken("all") == [4, 5, 6]
    assert spoken("stop") == [0, 1, 2, 3, 4, 5, 6]
    assert spoken("none") == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_stop_is_the_last_sampled_token_also_where_scaffold_follows_or_cuts():
    step = ModelStep(
        text="x",
        token_ids=(5, 6, 7, 8, 9),
        sampled=((1, 2), (3, 4)),
        logprobs=(-1.0, -1.0),
        told=(-0.5, -0.25),
    )
    batch = batch_of([one(0.0, steps=(step,))])
    found = method("opd")(batch).advantage_N
    np.testing.assert_allclose(found, [0, 0.5, 0, 0, 0])


def test_a_thought_at_the_end_of_a_turn_commits_nothing_in_the_next():
    both = {"logprobs": (-1.0, -1.0), "told": (-0.5, -0.5), "token_ids": (1, 2)}
    thought = ModelStep(text="x", spans=(Span(role="think", start=0, end=2),), **both)
    batch = batch_of([one(0.0, steps=(thought, ModelStep(text="y", **both)))])
    close(by_row(batch, method("opd")), [[0, 0, 0.5, 0]])


def test_an_answer_that_is_cut_by_scaffold_commits_once():
    step = ModelStep(
        text="x",
        token_ids=(1, 2, 3, 4, 5),
        sampled=((0, 2), (3, 5)),
        logprobs=(-1.0,) * 4,
        told=(-0.5,) * 4,
        spans=(Span(role="answer", start=0, end=5),),
    )
    close(by_row(batch_of([one(0.0, steps=(step,))]), method("opd")), [[0, 0.5, 0.5, 0]])


def test_a_step_without_a_hint_keeps_the_outcome_and_hears_no_teacher():
    bare = ModelStep(text="y", token_ids=(8, 9), logprobs=(-1.0, -1.0))
    given = [one(o, steps=(*taught(TOLD, SELF).steps, bare), group="g") for o in (1.0, 0.0)]
    batch = batch_of(given)
    close(by_row(batch, method("opd")), [[0.7, -1.0, 0, 0, 0, 0]] * 2)
    found = by_row(batch, method("rlsd", ddof=0, eps=0.0))
    close(found[0][3:], [1.0, 1.0, 1.0])
    carried = method("opd")(batch).carried
    assert carried.sum() == 6, "three tokens of each trajectory"


def test_a_token_that_the_teacher_did_not_score_is_not_taught():
    batch = batch_of([taught((-0.2, None), (-0.9, -0.5))])
    np.testing.assert_allclose(by_row(batch, method("opd"))[0], [0.7, 0, 0])


def test_low_logprob_by_hand():
    # ten tokens, the least likely of ten is the third; of share .25 ceil(2.5) = 3
    logprobs = (-1.0, -2.0, -9.0, -0.1, -3.0, -0.2, -4.0, -0.3, -0.4, -0.5)

    def failing(outcome, group="g"):
        step = ModelStep(text="x", token_ids=tuple(range(10)), logprobs=logprobs)
        return one(outcome, group=group, steps=(step,))

    dead = batch_of([failing(0.0), failing(0.0)])
    expected = np.zeros(10)
    expected[2] = -0.25
    close(by_row(dead, method("low_logprob")), [expected] * 2)
    expected[[4, 6]] = -0.25
    close(by_row(dead, method("low_logprob", share=0.25)), [expected] * 2)
    close(by_row(dead, method("low_logprob", share=1.0, w=1.0)), [[-1.0] * 10] * 2)
    live = batch_of([failing(1.0), failing(0.0)])
    plain = by_row(live, method("grpo"))
    close(by_row(live, method("low_logprob")), plain)
    found = by_row(live, method("low_logprob", where="fails", w=1.0))
    close(found[0], plain[0])
    close(found[1], np.array(plain[1]) - (np.arange(10) == 2))


def test_low_logprob_takes_one_token_at_least_and_of_equal_ones_the_first():
    step = ModelStep(text="x", token_ids=(1, 2, 3), logprobs=(-1.0, None, -1.0))
    batch = batch_of([one(0.0, steps=(step,))])
    close(by_row(batch, method("low_logprob", share=0.01)), [[-0.25, 0, 0]])


def test_low_logprob_ranks_tokens_that_may_be_trained():
    first = ModelStep(text="x", token_ids=(1, 2), logprobs=(-9.0, -8.0), untrainable="drifted")
    second = ModelStep(text="y", token_ids=(1, 2), logprobs=(-1.0, -2.0))
    batch = batch_of([one(0.0, steps=(first, second))])
    close(by_row(batch, method("low_logprob")), [[0, 0, 0, -0.25]])


@pytest.mark.parametrize("name", TEACHERS)
def test_teachers_name_who_could_ask_one(name):
    step = ModelStep(text="x", token_ids=(1,), logprobs=(-1.0,))
    with pytest.raises(MethodError, match=rf"{name} needs told, and no step has one: .*feedback"):
        method(name)(batch_of([one(0.0, steps=(step,))]))


def test_a_batch_of_a_run_may_happen_to_have_no_hint():
    # of a run that asks a teacher: nobody said anything of these, so only outcomes count
    step = ModelStep(text="x", token_ids=(1, 2), logprobs=(-1.0, -2.0))
    bare = batch_of(one(o, steps=(step,)) for o in (1.0, 0.0))
    batch = replace(bare, facts=held(bare) | {"told", "neutral"})
    plain = method("grpo")(batch).advantage_N
    for name in ("agreement", "routing", "rlsd"):
        np.testing.assert_array_equal(method(name)(batch).advantage_N, plain)
    assert not method("opd")(batch).carried.any()
    told = batch_of([taught((-0.2,), (-0.9,), field="logprobs")])
    half = replace(told, facts=held(told) | {"neutral"})
    assert not method("opd", against="neutral")(half).carried.any()


# --- an oracle that goes token by token, and laws


def oracle(records, name):
    """A_t of each token by the formula of the class, with GRPO's A as given."""
    batch = Batch.of(records)
    a_N = method("grpo")(batch).advantage_N
    found, at = [], 0
    for k, record in enumerate(records):
        mates = [r.outcome for r in records if r.group == record.group and r.outcome is not None]
        alike = len(set(mates)) <= 1 and record.outcome == 0.0
        for step in record.steps:
            for i in range(len(step.token_ids)):
                a, d = a_N[at], math.nan
                last = i == len(step.token_ids) - 1
                if isinstance(step, ModelStep) and step.told is not None and not last:
                    base = step.logprobs if name in ("opd", "additive", "rlsd") else step.neutral
                    if step.told[i] is not None and step.untrainable is None:
                        d = step.told[i] - base[i]
                own = isinstance(step, ModelStep) and step.untrainable is None
                found.append(one_token(name, a, d, alike, record.outcome) if own else 0.0)
                at += 1
        del k
    return np.array(found)


def one_token(name, a, d, alike, outcome):
    """The rule of one token: `a` is GRPO's, `d` NaN where no teacher speaks."""
    silent, clipped = math.isnan(d), max(-1.0, min(1.0, d))
    if name == "opd":
        return 0.0 if silent else d
    if name == "additive":
        if outcome is None:
            return math.nan if silent else d
        return (1.0 if outcome else -1.0) + (0.0 if silent else d)
    if silent or outcome is None:
        return a
    if name == "rlsd":
        way = float(np.sign(a))
        return a * (0.5 + 0.5 * max(0.8, min(1.2, math.exp(way * d))))
    if name == "routing":
        return clipped if alike else a
    if alike:
        return -0.25 + clipped if d < -0.1 else 0.0
    return a + (clipped if a * clipped > 0 and abs(a) >= 0.1 else 0.0)


@pytest.mark.parametrize("name", TEACHERS)
@few
@given(seed=seeds)
def test_the_arithmetic_agrees_with_an_oracle(name, seed):
    records = world(seed)
    found = method(name)(Batch.of(records)).advantage_N
    np.testing.assert_allclose(found, oracle(records, name), atol=1e-9)


@few
@given(seed=seeds)
def test_laws_of_teachers_that_the_outcome_bounds(seed):
    batch = Batch.of(world(seed))
    plain = method("grpo")(batch).advantage_N
    scored = ~np.isnan(plain)
    live = scored & (plain != 0)
    agreed = method("agreement")(batch).advantage_N
    assert (np.sign(agreed[live]) == np.sign(plain[live])).all(), "no sign turns"
    assert (abs(agreed[live]) >= abs(plain[live]) - 1e-12).all(), "agreement only adds"
    assert (agreed[scored & (plain == 0)] <= 0).all(), "nothing dead is pushed up"
    gated = method("rlsd")(batch).advantage_N
    assert (gated[scored] / np.where(live, plain, 1.0)[scored] <= 1.1 + 1e-12).all()
    assert (gated[live] / plain[live] >= 0.9 - 1e-12).all()
    routed = method("routing")(batch).advantage_N
    np.testing.assert_array_equal(routed[live], plain[live])
    assert (abs(routed[scored & (plain == 0)]) <= 1.0).all()
    for name, off in (
        ("agreement", {"w": 0.0, "fail": 0.0}),
        ("routing", {"w": 0.0}),
        ("rlsd", {"lam": 0.0}),
        ("low_logprob", {"w": 0.0}),
        ("additive", {"w": 0.0, "compare": "group"}),
    ):
        found = method(name, **off)(batch).advantage_N
        np.testing.assert_allclose(found[scored], plain[scored], atol=1e-12)


def test_all_of_them_are_registered():
    assert {*TEACHERS, "low_logprob"} <= set(METHODS.names())
