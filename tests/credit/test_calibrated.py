"""RLCR and DCPO: by hand, by an oracle in plain Python, and the laws they promise."""

from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Batch
from assay.credit import method
from assay.errors import MethodError, UsageError
from assay.records import ModelStep, Span
from tests.credit.worlds import batch_of, one, per_trajectory

SAID = (Span(role="answer", start=0, end=2), Span(role="confidence", start=2, end=3))


def said(outcome, q, **fields):
    """One step: two tokens of an answer, one of its confidence."""
    step = (
        ModelStep(text="a", token_ids=(1, 2), spans=SAID[:1])
        if q is None
        else ModelStep(text="a~", token_ids=(1, 2, 3), spans=SAID, confidence=q)
    )
    return one(outcome, steps=[step], **fields)


def of(pairs, **fields):
    return batch_of(said(c, q, **fields) for c, q in pairs)


def parts(batch, **options):
    """Advantage of the answer's tokens and of the confidence's, by trajectory."""
    found = method("dcpo", **options)(batch).advantage_N
    traj_N = np.repeat(batch.traj_R, batch.length_R)
    rows = [found[traj_N == k] for k in range(len(batch.ids))]
    assert all(row[0] == row[1] for row in rows)
    return [row[0] for row in rows], [row[2] if row.size > 2 else None for row in rows]


def close(found, expected, atol=1e-5):
    np.testing.assert_allclose(found, expected, atol=atol)


few = settings(max_examples=40, deadline=None)
GROUP = [(1.0, 0.9), (1.0, 0.6), (0.0, 0.8), (0.0, 0.2)]


def test_rlcr_by_hand():
    # w = 1: R .99 .84 -.64 -.04, mean .2875
    found = per_trajectory(of(GROUP), method("rlcr", brier=1.0)(of(GROUP)))
    close(found, [0.7025, 0.5525, -0.9275, -0.3275], 1e-12)
    # over the population deviation: squares .493506 .305256 .860256 .107256, mean .441569,
    # root .664506
    found = per_trajectory(of(GROUP), method("rlcr", brier=1.0, scale="std", ddof=0)(of(GROUP)))
    close(found, [1.057174, 0.831443, -1.395771, -0.492846])
    # w = .5: R .995 .92 -.32 -.02, mean .39375
    found = per_trajectory(of(GROUP), method("rlcr")(of(GROUP)))
    close(found, [0.60125, 0.52625, -0.71375, -0.41375], 1e-12)


def test_rlcr_without_a_confidence_is_below_the_worst():
    # -w - missing = -1.5; a lie stated as sure is -.5; mean of 1 -.5 -1.5 -1.5 is -.625
    batch = of([(1.0, 1.0), (0.0, 1.0), (0.0, None), (1.0, None)])
    found = per_trajectory(batch, method("rlcr")(batch))
    close(found, [1.625, 0.125, -0.875, -0.875], 1e-12)
    found = per_trajectory(batch, method("rlcr", missing=0.0)(batch))
    assert found[1] == found[2] == found[3]


def test_rlcr_knows_what_passes_and_what_is_unscored():
    batch = of([(0.7, 1.0), (0.2, 1.0), (None, 0.5)])
    found = per_trajectory(batch, method("rlcr", pass_at=0.7)(batch))
    close(found[:2], [0.75, -0.75], 1e-12)  # R 1 and -.5
    assert np.isnan(found[2])


def test_rlcr_says_when_giving_up_pays():
    assert method("rlcr").gives_up_below() == 0.0
    assert method("rlcr", brier=1.0).gives_up_below(0.2) == pytest.approx(0.2)
    # .5 p + .5 p^2 = .5 .3^2
    assert method("rlcr").gives_up_below(0.3) == pytest.approx(0.083095, abs=1e-6)
    with pytest.raises(UsageError, match="brier must lie in"):
        method("rlcr", brier=1.5)


def test_dcpo_by_hand():
    # passes 1 1 0 1, mean .75: A .25 .25 -.75 .25 over sqrt(.75/4) = .433013
    # t = .375 + .5 c = .875 .875 .375 .875; s = -(.025)^2 -(.175)^2 -(.225)^2 -(.675)^2
    #   = -.000625 -.030625 -.050625 -.455625, mean -.134375, off .13375 .10375 .08375 -.32125,
    #   squares .017889 .010764 .007014 .103202, mean .034717, root .186325
    batch = of([(1.0, 0.9), (1.0, 0.7), (0.0, 0.6), (1.0, 0.2)])
    by = method("dcpo", ddof=0)
    close(by(batch).made[1].term.value_U, [-0.000625, -0.030625, -0.050625, -0.455625], 1e-12)
    answers, stated = parts(batch, ddof=0)
    close(answers, [0.577349, 0.577349, -1.732047, 0.577349])
    close(stated, [0.717828, 0.556820, 0.449480, -1.724128])
    _, halved = parts(batch, ddof=0, calibration=0.5)
    close(halved, np.array(stated) / 2)


def test_dcpo_s_confidence_is_not_scaled_where_that_is_said():
    # the group above: s less its mean, .13375 .10375 .08375 -.32125, times 10; answers as above
    batch = of([(1.0, 0.9), (1.0, 0.7), (0.0, 0.6), (1.0, 0.2)])
    answers, stated = parts(batch, ddof=0, confidence_scale="none", calibration=10.0)
    close(answers, [0.577349, 0.577349, -1.732047, 0.577349])
    close(stated, [1.3375, 1.0375, 0.8375, -3.2125])
    # s -.0025 -.0064, below the floor of what is scaled
    agree = of([(1.0, 0.95), (1.0, 0.92)])
    close(parts(agree, confidence_scale="none")[1], [0.00195, -0.00195], 1e-12)
    with pytest.raises(UsageError, match=r"floor is of .*'std'; got floor = 0\.1"):
        method("dcpo", confidence_scale="none", floor=0.1)


def likely(q, chance):
    """A pass whose confidence was stated with some chance, its answer with another."""
    logprobs = (-9.0, -9.0, float(np.log(chance)))
    step = ModelStep(text="a~", token_ids=(1, 2, 3), spans=SAID, confidence=q, logprobs=logprobs)
    return one(1.0, steps=[step])


def test_dcpo_s_surprise_is_worth_something():
    # s -.01 -.01, stated with chances of e^-1 and e^-3, .2 a nat: .19 .59, off their mean -.2 .2
    batch = batch_of([likely(0.9, np.exp(-1.0)), likely(0.9, np.exp(-3.0))])
    stated = parts(batch, confidence_scale="none", explore=0.2)[1]
    close(stated, [-0.2, 0.2], 1e-12)
    with pytest.raises(MethodError, match="dcpo needs logprobs"):
        method("dcpo", explore=0.01)(of([(1.0, 0.9), (0.0, 0.9)]))
    with pytest.raises(UsageError, match="explore must be at least 0"):
        method("dcpo", explore=-1.0)


@few
@given(worth=st.floats(0.002, 0.5))
def test_levels_that_are_as_likely_as_their_score_says_earn_the_same(worth):
    # p(q) ~ exp(s / explore): s - explore log p is one number, so that nothing moves any more
    q = np.array([0.65, 0.75, 0.95])
    score = -((q - 1.0) ** 2) / worth
    p = np.exp(score - np.log(np.exp(score).sum()))
    batch = batch_of([likely(*each) for each in zip(q.tolist(), p.tolist(), strict=True)])
    close(parts(batch, confidence_scale="none", explore=worth)[1], [0.0] * 3, 1e-9)


def drawn_to(higher, lower, tasks, **options):
    """By how much the expected advantage of stating `higher` exceeds that of `lower`, of four
    attempts that state either by chance, over tasks of these chances; every case enumerated."""
    total, attempts = 0.0, [*product((0.0, 1.0), (higher, lower))]
    for chance, *case in product(tasks, *[attempts] * 4):
        weigh = np.prod([chance if c else 1.0 - chance for c, _ in case])
        if weigh:
            stated = parts(of(case), **options)[1]
            sign = [1.0 if q == higher else -1.0 for _, q in case]
            total += float(weigh * np.dot(sign, stated))
    return total


def test_dcpo_is_drawn_to_the_rate_of_passes_unscaled_alone():
    # tasks of which all and of which 7 of 10 attempts pass: .85. Unscaled, two that differ in s
    # alone: E s is -(q - .85)^2 and what t varies, so that .85 beats .95 by .01 and .75 by .01
    plain = {"tasks": (1.0, 0.7), "confidence_scale": "none"}
    assert drawn_to(0.95, 0.85, **plain) < 0 < drawn_to(0.85, 0.75, **plain)
    close(drawn_to(0.95, 0.75, **plain), 0.0, 1e-9)  # equally far
    assert drawn_to(0.95, 0.85, tasks=(1.0, 0.7), confidence_scale="std") > 0


def test_dcpo_s_target_is_mixed():
    batch = of([(1.0, 0.9), (0.0, 0.9)])
    # own outcome alone: s -.01 -.81; the group's alone: t .5, equal s
    close(method("dcpo", mix=0.0)(batch).made[1].term.value_U, [-0.01, -0.81], 1e-12)
    assert parts(batch, mix=1.0)[1] == [0.0, 0.0]


def test_dcpo_teaches_confidence_where_all_pass():
    answers, stated = parts(of([(1.0, 0.9), (1.0, 0.4)]))
    assert answers == [0.0, 0.0]
    assert stated[0] > 0 > stated[1]


def test_dcpo_leaves_noise_alone():
    # s -.0025 -.0064: deviation .00195, below the floor of .005
    batch = of([(1.0, 0.95), (1.0, 0.92)])
    assert parts(batch)[1] == [0.0, 0.0]
    assert parts(batch, floor=0.0019)[1] != [0.0, 0.0]
    assert parts(batch, floor=0.002)[1] == [0.0, 0.0]


def test_dcpo_without_a_confidence_is_below_a_failure():
    # values 1 0 -1: mean 0, sample deviation 1; t counts the silent one's outcome, mean 2/3
    batch = of([(1.0, 0.5), (0.0, 0.5), (1.0, None)])
    answers, stated = parts(batch)
    close(answers, [1.0, 0.0, -1.0])
    assert stated[2] is None
    close(method("dcpo")(batch).made[1].term.value_U[:2], [-1 / 9, -1 / 36], 1e-12)


def test_a_session_states_what_its_last_output_states():
    # the first output of the session says nothing; R 1 -.5 w(.25) = .875, 1 - .5 .25 is both
    records = [said(1.0, None, session="s"), said(1.0, 0.5, session="s"), said(0.0, 0.0)]
    found = per_trajectory(batch_of(records), method("rlcr")(batch_of(records)))
    close(found, [0.4375, 0.4375, -0.4375], 1e-12)


@pytest.mark.parametrize("name", ["rlcr", "dcpo"])
def test_a_log_without_confidence_is_refused(name):
    batch = batch_of([one(1.0), one(0.0)])
    with pytest.raises(MethodError, match=f"{name} needs stated confidence, and no step has one"):
        method(name)(batch)


def test_dcpo_needs_the_tokens_that_state_it():
    step = ModelStep(text="a", token_ids=(1,), confidence=0.5)
    batch = batch_of([one(1.0, steps=[step]), one(0.0, steps=[step])])
    with pytest.raises(MethodError, match="dcpo needs confidence tokens, and no trajectory"):
        method("dcpo")(batch)
    method("rlcr")(batch)


# ---- against plain Python


def oracle(pairs, brier):
    """RLCR of one group, number by number."""
    made = []
    for c, q in pairs:
        passed = 1.0 if c >= 1.0 else 0.0
        made.append(-brier - 1.0 if q is None else passed - brier * (q - passed) * (q - passed))
    mean = sum(made) / len(made)
    return [each - mean for each in made]


groups = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.none() | st.floats(0, 1)), min_size=2, max_size=9
).filter(lambda pairs: any(q is not None for _, q in pairs))


@few
@given(pairs=groups, brier=st.floats(0, 1))
def test_rlcr_is_what_plain_python_says(pairs, brier):
    batch = of(pairs)
    found = per_trajectory(batch, method("rlcr", brier=brier)(batch))
    close(found, oracle(pairs, brier), 2e-6)


# ---- laws


@few
@given(pairs=groups, seed=st.integers(0, 999))
def test_what_is_stated_moves_no_token_of_the_answer(pairs, seed):
    rng = np.random.default_rng(seed)
    other = [(c, None if q is None else float(rng.random())) for c, q in pairs]
    assert parts(of(pairs))[0] == parts(of(other))[0]


@few
@given(pairs=groups, seed=st.integers(0, 999))
def test_order_says_nothing(pairs, seed):
    order = np.random.default_rng(seed).permutation(len(pairs))
    for name in ("rlcr", "dcpo"):
        batch, moved = of(pairs), of([pairs[at] for at in order])
        rows = [
            sorted(zip(np.repeat(b.traj_R, b.length_R).tolist(), method(name)(b).advantage_N,
                       strict=True), key=lambda each: each[0])
            for b in (batch, moved)
        ]  # fmt: skip
        mine = {k: [a for at, a in rows[0] if at == k] for k in range(len(pairs))}
        theirs = {k: [a for at, a in rows[1] if at == k] for k in range(len(pairs))}
        for place, at in enumerate(order):
            close(theirs[place], mine[int(at)], 1e-9)


@few
@given(pairs=groups)
def test_masks_are_disjoint_and_cover_what_was_sampled(pairs):
    batch = of(pairs)
    answer, stated = (each.term for each in method("dcpo")(batch).made)
    assert not ((answer.unit_R >= 0) & (stated.unit_R >= 0)).any()
    carried = (answer.unit_R >= 0) | (stated.unit_R >= 0)
    np.testing.assert_array_equal(carried, batch.all_sampled_R >= 0)


@few
@given(q=st.floats(0, 1), p=st.integers(1, 7))
def test_among_many_that_state_the_same_honesty_earns_most(q, p):
    # eight attempts of which p pass: all state p/8, or all state q
    def earned(stated):
        pairs = [(float(k < p), stated) for k in range(8)]
        return float(np.mean(method("rlcr")(of(pairs)).made[0].term.value_U))

    assert earned(p / 8) >= earned(q) - 1e-12


def test_the_last_confidence_counts():
    steps = [
        msgspec.structs.replace(ModelStep(text="a", token_ids=(1,)), confidence=each)
        for each in (0.1, 0.9)
    ]
    batch = Batch.of([one(1.0, id="a", steps=steps), one(0.0, id="b", steps=steps)])
    close(method("rlcr", brier=1.0)(batch).made[0].term.value_U, [0.99, -0.81], 1e-12)
