"""Scores of steps beside the outcome, against values worked out by hand, and the laws of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit import method
from assay.errors import MethodError, UsageError
from tests.credit.worlds import batch_of, one, turn

NAN = float("nan")


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-6)


def prm(*qualities, **more):
    """Steps of one token with these scores of quality."""
    names = ("align", "coherence")
    return [
        turn(scores={"quality": q, **{n: more[n][i] for n in names if n in more}})
        for i, q in enumerate(qualities)
    ]


ALONE = {"weights": (0.0, 1.0, 0.0)}
TWO = [one(1.0, steps=prm(0.6, 0.2)), one(0.0, steps=prm(0.9, 0.9))]


def test_steps_by_hand():
    # .75 (R -+ .5) and .25 (q - .65): .6 .2 .9 .9, mean .65
    got = method("reasonflux", **ALONE)(batch_of(TWO))
    close(got.parts["outcome"], [0.375, 0.375, -0.375, -0.375])
    close(got.parts["steps"], [-0.0125, -0.1125, 0.0625, 0.0625])
    close(got.total, [0.3625, 0.2625, -0.3125, -0.3125])
    less = method("reasonflux", beta=0.1, span=2.0, **ALONE)(batch_of(TWO))
    close(less.parts["outcome"], [0.45, 0.45, -0.45, -0.45])
    close(less.parts["steps"], 0.2 * np.array([-0.05, -0.45, 0.25, 0.25]))


def test_trajectories_by_hand():
    # .75 R + .25 mean q: .75 + .1 and 0 + .225, mean .5375
    batch = batch_of(TWO)
    got = method("reasonflux", level="trajectory", **ALONE)(batch)
    close(got.made[0].term.value_U, [0.85, 0.225])
    close(got.total, [0.3125, 0.3125, -0.3125, -0.3125])
    std = method("reasonflux", level="trajectory", scale="std", **ALONE)(batch)
    close(std.total[::2], np.array([0.3125, -0.3125]) / (0.625 / 2**0.5 + 1e-6))
    # with the part "end": (.4 + .8 * .5) / 1.8 and (.9 + .8 * 1) / 1.8
    ended = [one(r, rewards={"end": e}, steps=t.steps) for r, e, t in zip(
        (1.0, 0.0), (0.5, 1.0), TWO, strict=True)]  # fmt: skip
    got = method("reasonflux", level="trajectory", final="end", **ALONE)(batch_of(ended))
    close(got.made[0].term.value_U, [0.75 + 0.25 * 0.8 / 1.8, 0.25 * 1.7 / 1.8])
    less = method("reasonflux", level="trajectory", final="end", alpha=0.0, **ALONE)
    close(less(batch_of(ended)).made[0].term.value_U, [0.85, 0.225])


def test_as_printed_a_wrong_answer_by_a_pleasing_path_outranks_a_right_one():
    # beta .75: .25 * 1 + .75 * .4 = .55 and .75 * .9 = .675; fused from three equal components
    def step(worth):
        return [turn(scores=dict.fromkeys(("align", "quality", "coherence"), worth))]

    batch = batch_of([one(1.0, steps=step(0.4)), one(0.0, steps=step(0.9))])
    by = method("reasonflux", form="printed", level="trajectory", beta=0.75)
    close(by(batch).made[0].term.value_U, [0.55, 0.675])
    assert by(batch).total[0] < by(batch).total[1]
    # mean .6 .4 .8 and a final .5, alpha .8: 1.0
    steps = [each for worth in (0.6, 0.4, 0.8) for each in step(worth)]
    whole = batch_of([one(0.0, steps=steps, rewards={"end": 0.5}), one(0.0, steps=step(0.4),
        rewards={"end": 0.0})])  # fmt: skip
    by = method("reasonflux", form="printed", level="trajectory", beta=1.0, final="end")
    close(by(whole).made[0].term.value_U, [1.0, 0.4])


def test_all_three_components():
    # bounded: .3 * .8 + .5 * .8 + .2 / (1 + e^.5) = .715508; printed .552285
    steps = prm(0.8, align=[0.6], coherence=[-0.5])
    batch = batch_of([one(1.0, steps=steps)])
    assert method("reasonflux")(batch).made[1].term.value_U == pytest.approx([0.715508])
    likely = method("reasonflux", bound="probability")(batch)
    assert likely.made[1].term.value_U == pytest.approx([0.761306])
    as_is = method("reasonflux", form="printed")(batch)
    assert as_is.made[1].term.value_U == pytest.approx([0.552285], abs=1e-6)
    same = method("reasonflux", form="printed", **ALONE)(batch)  # weights are of "bounded"
    assert same.made[1].term.value_U == pytest.approx([0.552285], abs=1e-6)


def test_gated_scores_count_among_passes_alone():
    three = [*TWO, one(1.0, steps=prm(1.0))]
    got = method("reasonflux", gated=True, **ALONE)(batch_of(three))
    # .6 .2 1, mean .6; the failure's steps carry the outcome alone
    close(got.parts["steps"], [0.0, -0.1, NAN, NAN, 0.1])
    got = method("reasonflux", gated=True, level="trajectory", **ALONE)(batch_of(three))
    close(got.made[0].term.value_U, [0.85, 0.0, 1.0])
    part = [one(0.6, steps=prm(0.5)), one(0.4, steps=prm(0.5))]
    got = method("reasonflux", gated=True, pass_at=0.5, level="trajectory", **ALONE)
    close(got(batch_of(part)).made[0].term.value_U, [0.45 + 0.125, 0.3])


def test_what_is_not_scored():
    some = batch_of([one(1.0, steps=prm(0.6, None)), one(0.0, steps=prm(None)),
                     one(None, steps=prm(0.9)), one(0.0, steps=prm(0.2))])  # fmt: skip
    got = method("reasonflux", **ALONE)(some)
    close(got.made[1].term.value_U, [0.6, NAN, NAN, NAN, 0.2])  # the third has no outcome
    close(got.parts["steps"][:3], [0.05, NAN, NAN])  # beta * (.6 - .4)
    close(got.total[1], 0.75 * 2 / 3)  # the outcome alone
    got = method("reasonflux", level="trajectory", **ALONE)(some)
    close(got.made[0].term.value_U, [0.9, NAN, NAN, 0.05])
    gated = method("reasonflux", level="trajectory", gated=True, **ALONE)(some)
    close(gated.made[0].term.value_U, [0.9, 0.0, NAN, 0.0])
    copied = turn(scores={"quality": 1.0}, untrainable="copied")
    own = batch_of([one(1.0, steps=[copied, *prm(0.5)]), one(0.0, steps=prm(0.5))])
    close(method("reasonflux", **ALONE)(own).made[1].term.value_U, [NAN, 0.5, 0.5])
    got = method("reasonflux", level="trajectory", **ALONE)(own)
    close(got.made[0].term.value_U, [0.875, 0.125])
    half = batch_of(TWO).weighted(np.array([0.5, 1.0]))
    close(method("reasonflux", **ALONE)(half).parts["steps"], [-0.00625, -0.05625, 0.0625, 0.0625])


qualities = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4)


@given(st.lists(st.tuples(st.booleans(), qualities), min_size=2, max_size=6), st.floats(0, 0.25),
       st.booleans())  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_right_answer_is_never_outranked_by_a_wrong_one(rows, beta, gated):
    batch = batch_of(one(float(right), steps=prm(*q)) for right, q in rows)
    by = method("reasonflux", level="trajectory", beta=beta, gated=gated, **ALONE)
    value = by(batch).made[0].term.value_U
    right = np.array([each for each, _ in rows])
    if right.any() and not right.all():
        assert value[right].min() > value[~right].max()


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=4), st.integers(0, 3),
       st.floats(0.0, 1.0), st.sampled_from(["step", "trajectory"]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_better_step_never_gets_less(start, at, better, level):
    at %= len(start)
    by = method("reasonflux", level=level, **ALONE)
    more = [max(q, better) if i == at else q for i, q in enumerate(start)]
    rest = one(0.0, steps=prm(0.5))
    before, after = (by(batch_of([one(1.0, steps=prm(*q)), rest])).total[at] for q in (start, more))
    assert after >= before - 1e-12


def test_options_out_of_range():
    with pytest.raises(UsageError, match=r"beta must lie in \[0, 0.25\]; got 0.75; form \"printed"):
        method("reasonflux", beta=0.75)
    with pytest.raises(UsageError, match=r"beta must lie in \[0, 1\]; got 1.5$"):
        method("reasonflux", beta=1.5, form="printed")
    with pytest.raises(UsageError, match="span must be above 0"):
        method("reasonflux", span=0.0)
    with pytest.raises(UsageError, match="alpha must be at least 0"):
        method("reasonflux", alpha=-1.0)
    with pytest.raises(UsageError, match="final 'end' is read under level \"trajectory\" alone"):
        method("reasonflux", final="end")
    with pytest.raises(MethodError, match="expected three, at least 0"):
        method("reasonflux", weights=(0.0, 0.0, 0.0))(batch_of(TWO))
    with pytest.raises(MethodError, match="no outcome has a part 'end'"):
        method("reasonflux", level="trajectory", final="end", **ALONE)(batch_of(TWO))
    with pytest.raises(MethodError, match="no step has a score 'align'"):
        method("reasonflux")(batch_of(TWO))
