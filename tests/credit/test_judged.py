"""Outcomes of judges that err, and labels by what came next; by hand, and against errors drawn."""

from dataclasses import replace

import numpy as np
import pytest

from assay.credit import method
from assay.credit.judges import audits, counted
from assay.credit.labels import baseline_of
from assay.credit.statistics import updated
from assay.errors import MethodError, UsageError
from assay.records import Call, CallEvidence, Grade, ModelStep
from assay.verify.rates import Audits, rates
from tests.credit.worlds import batch_of, group, one, per_trajectory

NAN = float("nan")


def said(value, by="judge", *more, level="E1", **fields):
    """A trajectory of which a judge says this."""
    grades = (Grade(level=level, value=value, source=by), *more)
    return one(None, grades=grades, **fields)


def checked(value):
    return Grade(level="E3", value=value, source="state")


def given(batch, **options):
    return per_trajectory(batch, method("mixed_judges", **options)(batch))


def close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5)


# ---- mixed judges

MIXED = [
    *(said(r, "A") for r in (1.0, 1.0, 0.0, 0.0)),
    *(said(r, "B") for r in (1.0, 0.0, None)),
    said(1.0, "C"),
]
RATES = {"A": (0.3, 0.05), "B": (0.02, 0.2), "C": (0.55, 0.4)}


def test_mixed_judges_by_hand():
    # see tests/kernels/test_noise.py for the arithmetic
    batch = batch_of(MIXED)
    expected = [0.749346, 0.749346, -1.050759, -1.050759, 1.036953, -0.584465, NAN, 0.0]
    found = method("mixed_judges", rates=RATES)(batch)
    close(per_trajectory(batch, found), expected)
    assert found.carried.tolist() == [True] * 7 + [False], "who says nothing is not carried"
    # without correction: the mean of the five others. With C, J .05, let in at least_j 0 all moves
    plain = given(batch_of(MIXED[:6]), rates=dict.fromkeys("AB", (0.0, 0.0)))
    close(plain, [0.6, 0.6, -0.6, -0.6, 0.6, -0.6])
    assert given(batch, rates=RATES, least_j=0.0)[-1] != 0.0


def test_one_judge_is_rloo_over_j():
    outcomes = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    batch = batch_of(said(r) for r in outcomes)
    plain = per_trajectory(batch, method("rloo")(group(outcomes)))
    close(given(batch, rates={"judge": (0.2, 0.1)}), np.array(plain) / 0.7)
    # less the mean of all, which is 7/8 of that: .892857, -.535714
    close(np.array(given(batch, rates={"judge": (0.2, 0.1)})[:2]) * 7 / 8, [0.892857, -0.535714])
    # p (.375 - .2)/.7 = .25: over sqrt(.1875): 2.061965, -1.237179
    scaled = given(batch, rates={"judge": (0.2, 0.1)}, scale="std")
    close(np.array(scaled[:2]) * 7 / 8, [2.061965, -1.237179])


def test_a_group_that_errors_explain_is_dropped():
    # 1 of 8 accepted is less than false positives alone would be: p is 0
    batch = batch_of(said(float(k == 0)) for k in range(8))
    found = method("mixed_judges", rates={"judge": (0.2, 0.1)}, scale="std")(batch)
    assert not found.carried.any()
    assert per_trajectory(batch, found) == [0.0] * 8
    # and 15 of 16 are more than all would be that pass
    batch = batch_of(said(float(k > 0)) for k in range(16))
    assert not method("mixed_judges", rates={"judge": (0.2, 0.1)}, scale="std")(batch).carried.any()


def test_posterior_by_hand():
    # 1 of A, 0 of B. For the first, one other: x = -.02/.78, clipped to 1/3: P = .95/3 / (.95/3 +
    # .3*2/3) = .612903, less 1/3. For the second 1.0769, clipped to 2/3: P = .2*2/3 / (.2*2/3 +
    # .98/3) = .289855, less 2/3
    batch = batch_of([said(1.0, "A"), said(0.0, "B")])
    close(given(batch, rates=RATES, form="posterior"), [0.279570, -0.376812])


def test_forward_by_hand():
    batch = batch_of([said(1.0, "A"), said(0.0, "A"), said(1.0, "C")])
    close(given(batch, rates=RATES, form="forward"), [0.05, -0.95, 0.0])


def test_a_check_has_no_errors_and_overrules():
    # x = 1, 0 of checks (J 1), 8/7 of the judge (J .7, J^2 .49); what the judge said of the first
    # is an audit and nothing more
    batch = batch_of([said(0.0, "judge", checked(1.0)), one(0.0), said(1.0)])
    close(
        given(batch, rates={"judge": (0.2, 0.1)}),
        [1 - (0.49 * 8 / 7) / 1.49, -(1 + 0.49 * 8 / 7) / 1.49, 8 / 7 - 0.5],
    )


def test_rates_are_of_audits_by_claim():
    # claims: 30 failures were looked at, all accepted; without a claim 40, none accepted
    audited = [
        *(said(1.0, "j", checked(0.0), claim="claimed", group="x") for _ in range(30)),
        *(said(0.0, "j", checked(0.0), claim="none", group="x") for _ in range(40)),
        *(said(1.0, "j", checked(1.0), claim="none", group="x") for _ in range(40)),
    ]
    asked = [
        said(1.0, "j", claim="claimed", group="y"),
        *(said(r, "j", claim="none", group="y") for r in (1.0, 0.0)),
    ]
    batch = batch_of([*audited, *asked])
    counts = counted(batch)
    assert counts["judge j/claimed: accepted failed"] == 30
    assert counts["judge j/claimed: judged"] == counts["judge j/claimed: accepted"] == 31
    assert counts["judge j/none: accepted passed"] == counts["judge j/none: rejected failed"] == 40
    assert "judge j/admitted: judged" not in counts
    known = rates(Audits(40, 0, 0, 40, accepted_share=41 / 82))
    assert audits(counts)["j/none"] == Audits(40, 0, 0, 40, accepted_share=41 / 82)
    found = given(batch)[-3:]
    assert found[0] == 0.0  # J about 0: the claim says nothing
    close(found[1:], [1 / known.j, -1 / known.j])  # x_2 - x_3
    pooled = given(batch, strata="none")[-3:]
    together = rates(Audits(40, 30, 0, 40, accepted_share=72 / 113))
    assert together.trust == "calibrated"
    close(pooled[0] - pooled[2], 1.5 / together.j)


def test_too_few_audits():
    # nobody looked: what the judge accepts says nothing, what it rejects is a 0 of weight 1/4.
    # Others of the check's 1: 0. Of a rejected one: (1 + .25*0)/1.25 = .8, and the loss weighs 1/4
    batch = batch_of([said(1.0), said(0.0), said(0.0), one(1.0)])
    found = method("mixed_judges")(batch)
    close(per_trajectory(batch, found), [0.0, -0.2, -0.2, 1.0])
    assert found.carried.tolist() == [False, True, True, True]
    close(given(batch, form="posterior")[0], 0.0)


def test_the_run_s_audits_come_before_the_batch_s():
    batch = batch_of([said(1.0), said(0.0)])
    told = {
        **{"judge judge/none: accepted passed": 40.0, "judge judge/none: rejected failed": 40.9},
        **{"judge judge/none: accepted": 50.0, "judge judge/none: judged": 100.0},
    }
    known = rates(Audits(40, 0, 0, 40, accepted_share=0.5))
    close(given(replace(batch, statistics=told)), [1 / known.j, -1 / known.j])
    later = updated(replace(batch, statistics=told), keep=0.5)
    assert later["judge judge/none: accepted passed"] == 20.0
    assert later["judge judge/none: judged"] == 52.0
    # of a judge that the batch does not ask the counts fade all the same
    other = updated(replace(batch_of([one(1.0)]), statistics=told), keep=0.5)
    assert other["judge judge/none: judged"] == 50.0


def test_a_session_has_one_vote():
    records = [said(1.0, session="s"), said(1.0, session="s"), said(0.0), said(0.0)]
    close(given(batch_of(records), rates={"judge": (0.2, 0.1)}), np.array([1, 1, -0.5, -0.5]) / 0.7)
    assert counted(batch_of(records))["judge judge/none: judged"] == 3


def test_a_session_is_judged_by_whoever_judged_its_last():
    # x 8/7 of the last one's judge for both; the other group member is checked
    records = [said(1.0, "A", session="s"), said(1.0, "B", session="s"), one(0.0)]
    rates = {"A": (0.4, 0.4), "B": (0.2, 0.1)}
    close(given(batch_of(records), rates=rates), [8 / 7, 8 / 7, -8 / 7])


def test_alone_there_is_nothing_to_compare():
    found = method("mixed_judges", rates={"judge": (0.2, 0.1)})(batch_of([said(1.0)]))
    assert not found.carried.any()
    assert found.total.tolist() == [0.0]


def test_impossible_options_are_refused():
    for options, word in (
        ({"rates": {"a": (0.2, 1.2)}}, "rates of 'a'"),
        ({"rates": {"a": (-0.2, 0.2)}}, "rates of 'a'"),
        ({"least_j": -0.1}, "least_j"),
        ({"scale": "std", "form": "posterior"}, "scale"),
    ):
        with pytest.raises(UsageError, match=word):
            method("mixed_judges", **options)
    with pytest.raises(MethodError, match="needs outcomes of 0 or 1"):
        given(batch_of([said(0.5)]))
    close(given(batch_of([one(0.5), one(0.4)]), pass_at=0.5), [1, -1])


def test_whoever_is_judged_leniently_is_not_paid_for_it():
    # 4,000 groups of eight, pass rate .3: four judged by A, four by B. Mean advantage by judge and
    # truth; +-.121 by judge without correction
    rng = np.random.default_rng(0)
    n, rho0 = 4_000, np.array([0.3] * 4 + [0.02] * 4)
    rho1 = np.array([0.05] * 4 + [0.2] * 4)
    passed = rng.random((n, 8)) < 0.3
    seen = np.where(passed, rng.random((n, 8)) > rho1, rng.random((n, 8)) < rho0)
    names = [*"AAAABBBB"]
    records = [said(float(seen[g, k]), names[k], group=f"{g}") for g in range(n) for k in range(8)]
    batch = batch_of(records)

    def by(**options):
        token_N = method("mixed_judges", **options)(batch).advantage_N
        return token_N.reshape(n, 8, 2)[..., 0]

    rates = {"A": (0.3, 0.05), "B": (0.02, 0.2)}
    naive = by(rates=dict.fromkeys("AB", (0.0, 0.0)))
    assert naive[:, :4].mean() == pytest.approx(0.138, abs=0.01)  # 8/7 of .121
    corrected = by(rates=rates)
    for half in (slice(0, 4), slice(4, 8)):
        assert corrected[:, half].mean() == pytest.approx(0.0, abs=0.015)
        right = corrected[:, half][passed[:, half]].mean()
        wrong = corrected[:, half][~passed[:, half]].mean()
        assert right - wrong == pytest.approx(1.0, abs=0.03)
    told = by(rates=rates, form="posterior")
    assert told.var() < 0.5 * corrected.var()
    assert abs(told[:, :4].mean()) < 0.03


# ---- next states


def labelled(*votes, state=None, calls=True, **fields):
    """A step with these votes, and calls after which the state was as told."""
    names = ["next_state", *(f"next_state:{j}" for j in range(1, 9))]
    called = tuple(
        Call(name="f", arguments=f'{{"i":{i}}}', evidence=CallEvidence(state=each))
        for i, each in enumerate(state if state is not None else [None] * calls)
    )
    scores = dict(zip(names, votes, strict=False))
    return ModelStep(text="s", token_ids=(1,), calls=called, scores=scores, **fields)


def stepwise(records, statistics=None, **options):
    batch = replace(batch_of(records), statistics=statistics or {})
    found = method("next_state", **options)(batch)
    return found.advantage_N.tolist(), found.carried.tolist()


def test_labels_by_hand():
    steps = [
        labelled(1, 1, -1),
        labelled(1, -1, 0),
        labelled(1, -1, None),
        labelled(None, None, -1),
        labelled(None, None, None),
        labelled(0, 0, 1),
        labelled(-1, state=[True]),  # the state overrules votes
        labelled(1, state=[True, False]),  # one call that left the path
        labelled(1, state=[None]),  # nobody looked
        labelled(1, untrainable="masked"),
        labelled(1, untrainable="copied"),
    ]
    # no outcome, and none is asked for
    found, carried = stepwise([one(None, steps=steps)])
    assert found == [1, 0, 0, -1, 0, 0, 1, -1, 1, 0, 0]
    assert carried == [True, False, False, True, False, False, True, True, True, False, False]
    found, _ = stepwise([one(None, steps=steps)], facts=False)
    assert found[6:9] == [-1, 1, 1]


def test_the_moving_mean_by_hand():
    # one label a batch: 1 - 0, 1 - .1, -1 - .19, 1 - .071; then .9*.071 + .1 = .1639
    kept, found = {}, []
    for label in (1, 1, -1, 1):
        batch = replace(batch_of([one(None, steps=[labelled(label)])]), statistics=kept)
        found += method("next_state")(batch).advantage_N.tolist()
        kept = updated(batch, keep=0.9)
    close(found, [1, 0.9, -1.19, 0.929])
    assert kept[baseline_of("votes/call")] == pytest.approx(0.1639, abs=1e-12)
    # several at once: keep^3 * .1639 + (1 - .729) * 1/3, in whatever order
    batch = batch_of([one(None, steps=[labelled(x) for x in (1, 1, -1)])])
    after = updated(replace(batch, statistics=kept), keep=0.9)
    assert after[baseline_of("votes/call")] == pytest.approx(0.729 * 0.1639 + 0.271 / 3, abs=1e-12)


def test_sources_and_kinds_of_step_have_means_of_their_own():
    told = {baseline_of(name): b for name, b in
            (("state/call", 0.5), ("votes/call", 0.25), ("votes/text", -0.25))}  # fmt: skip
    steps = [labelled(1, state=[True]), labelled(1), labelled(1, calls=False)]
    found, _ = stepwise([one(None, steps=steps)], told)
    assert found == [0.5, 0.75, 1.25]
    found, _ = stepwise([one(None, steps=steps)], told, baseline=False)
    assert found == [1, 1, 1]
    kept = updated(batch_of([one(None, steps=steps)]), keep=0.9)
    assert baseline_of("state/text") not in kept
    assert kept[baseline_of("state/call")] == pytest.approx(0.1)


def test_a_shared_step_moves_the_mean_once():
    shared = labelled(1, node="n")
    records = [one(None, tree="t", steps=[shared, labelled(-1, node=f"{k}")]) for k in range(2)]
    kept = updated(batch_of(records), keep=0.5)
    # labels 1, -1, -1 of three nodes: (1 - 1/8) * -1/3
    assert kept[baseline_of("votes/call")] == pytest.approx(-0.875 / 3, abs=1e-12)


def test_turns_compared_by_hand():
    # outcomes 1, 0, 0 as +-1; votes (1 1), (1 -1), (-1): first turn 2 0 -2, deviation sqrt(8/3)
    first = one(1.0, steps=[labelled(1), labelled(1)])
    second = one(0.0, steps=[labelled(1), labelled(-1)])
    third = one(0.0, steps=[labelled(-1)])
    found, _ = stepwise([first, second, third], variant="step")
    close(found, [1.224744, 1.0, 0.0, -1.0, -1.224744])
    # mean of votes where several are cast, and facts before votes: 1 + 1/3, -1 - 1 and -1 + 0;
    # mean -5/9, deviation sqrt(474/243)
    found, _ = stepwise(
        [
            one(1.0, steps=[labelled(1, 1, -1)]),
            one(0.0, steps=[labelled(1, state=[False])]),
            one(0.0, steps=[labelled(0)]),
        ],
        variant="step",
        eps=0.0,
    )
    close(found, [1.352447, -1.034224, -0.318223])
    # alone at its turn: nothing, or raw; 2 + its votes
    longer = [first, one(0.0, steps=[labelled(1)])]
    assert stepwise(longer, variant="step")[0][1] == 0.0
    assert stepwise(longer, variant="step", singleton="raw")[0][1] == pytest.approx(2.0, abs=1e-5)
    # a step without a vote is not carried
    found, carried = stepwise([one(1.0, steps=[labelled(None)]), one(0.0, steps=[labelled(1)])],
                              variant="step")  # fmt: skip
    assert carried == [False, True]
    found, _ = stepwise(longer, variant="step", pass_at=0.0, singleton="raw")
    close(found[0], 0.0)  # both pass


def test_without_labels_it_is_refused():
    with pytest.raises(MethodError, match="needs labels by the next state"):
        method("next_state")(group([1.0, 0.0]))
