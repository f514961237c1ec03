"""The majority's answer: by hand, by an oracle in plain Python, its laws, and when it is locked."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit import method
from assay.credit.ttrl import elections
from assay.errors import MethodError, UsageError
from assay.gate import Integrity, passed
from assay.records import Call, Grade, ModelStep
from assay.signal.consensus import consensus
from assay.verify.answers import answer_of, with_answer
from tests.credit.worlds import batch_of, one, per_trajectory

few = settings(max_examples=40, deadline=None)


def said(answer, outcome=None, **fields):
    """One step that answers, or (None) calls; an outcome is a check's."""
    call = (Call(name="f", arguments="{}"),)
    step = (
        ModelStep(text="call", token_ids=(1,), calls=call)
        if answer is None
        else ModelStep(text=f"#t\n={answer}\n", token_ids=(1, 2))
    )
    return one(outcome, steps=[step], **fields)


def of(*pairs, **fields):
    return batch_of(with_answer(said(a, o, **fields)) for a, o in pairs)


def carried(batch, **options):
    """Advantage of each trajectory; None: not carried."""
    made = method("ttrl", **options)(batch)
    carries_N = made.on_tokens(made.carried.astype(float))
    traj_N = np.repeat(batch.traj_R, batch.length_R)
    return [
        float(made.advantage_N[traj_N == k][0]) if carries_N[traj_N == k].all() else None
        for k in range(len(batch.ids))
    ]


def test_one_check_pays_for_the_group_by_hand():
    # v 1 1 1 0: mean .75, sample deviation .5
    found = carried(of(("a", None), ("a", 1.0), ("a", None), ("b", None)))
    np.testing.assert_allclose(found, [0.5, 0.5, 0.5, -1.5], atol=1e-5)
    found = carried(of(("a", None), ("a", 1.0), ("a", None), ("b", None)), scale="none")
    np.testing.assert_allclose(found, [0.25, 0.25, 0.25, -0.75], atol=1e-12)
    # who calls to the end answers nothing, and is no part of the majority
    found = carried(of(("a", 1.0), (None, None)), ddof=0)
    np.testing.assert_allclose(found, [1.0, -1.0], atol=1e-5)
    assert elections(of(("a", 1.0), (None, None))).share_G.tolist() == [0.5]


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", None), ("a", None), ("b", None)],  # nobody looked
        [("a", None), ("a", None), ("b", 1.0)],  # at the majority
        [("a", 0.0), ("a", None), ("b", None)],  # it is wrong
        [("a", 0.0), ("a", 1.0), ("b", None)],  # or both
        [("a", 1.0), ("a", 1.0), ("b", None), ("b", None)],  # there is none
        [(None, 1.0), (None, None)],
    ],
)
def test_without_a_check_of_the_majority_nothing_is_learnt(pairs):
    with_one = [*pairs, ("q", None)] if pairs[0][0] is None else pairs
    assert carried(of(*with_one)) == [None] * len(with_one)


def test_a_judge_is_no_check():
    records = [said("a", grades=(Grade(level="E1", value=1.0),)), said("a"), said("b")]
    assert carried(batch_of(map(with_answer, records))) == [None] * 3


def test_a_majority_may_be_asked_to_be_large():
    batch = of(("a", 1.0), ("a", None), ("b", None), ("c", None))
    assert carried(batch, votes=0.6) == [None] * 4
    assert carried(batch, votes=0.5)[0] is not None
    with pytest.raises(UsageError, match="votes must lie in"):
        method("ttrl", votes=1.2)


def test_what_a_gate_dropped_has_no_vote():
    batch = of(("a", 1.0), ("b", None), ("b", None), ("a", 1.0))
    batch, _ = passed(batch, (Integrity(),))
    assert elections(batch).share_G.tolist() == [1.0]
    batch = of(("a", 1.0), ("b", None), ("b", None), ("c", None))
    batch, _ = passed(batch, (Integrity(unscored=False),))
    assert elections(batch).share_G.tolist() == [0.5]


def test_a_session_votes_once_by_its_last():
    records = [
        said("b", 0.0, session="s"),
        said("b", 0.0, session="s"),
        said("a", 1.0, session="s"),
        said("a", 1.0),
        said("b", 0.0),
    ]
    batch = batch_of(map(with_answer, records))
    assert elections(batch).share_G[0] == pytest.approx(2 / 3)
    assert elections(batch).right_G.all()
    found = per_trajectory(batch, method("ttrl", scale="none")(batch))
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 3, 1 / 3, -2 / 3], atol=1e-12)


def test_what_is_answered():
    assert answer_of(said(" Paris  France ")) == "= paris france"
    sure = ModelStep(text="=Paris ~7\n", confidence=0.75)
    assert answer_of(one(1.0, steps=[sure])) == "=paris"
    assert answer_of(one(1.0, steps=[ModelStep(text="about ~7")])) == "about ~7"
    assert answer_of(said(None)) is None
    assert answer_of(one(1.0, steps=[ModelStep(text=" \n")])) is None
    record = with_answer(said("x"))
    assert with_answer(record) == record
    # the number is of the text alone: blake2b of "=x" in six bytes
    assert record.steps[-1].scores["answer"] == with_answer(said("X")).steps[-1].scores["answer"]
    assert 0 <= record.steps[-1].scores["answer"] < 2**48


def test_a_log_without_answers_is_refused():
    with pytest.raises(MethodError, match="ttrl needs answers"):
        method("ttrl")(batch_of([one(1.0), one(0.0)]))


def test_the_number_of_an_answer_is_no_score():
    with pytest.raises(MethodError, match="score_delta needs scores, and no step has one"):
        method("score_delta")(of(("a", 1.0), ("b", 0.0)))


def oracle(pairs):
    """Which of a group are taught, and with what reward."""
    count = Counter(a for a, _ in pairs if a is not None).most_common()
    if not count or (len(count) > 1 and count[0][1] == count[1][1]):
        return [None] * len(pairs)
    checks = {o for a, o in pairs if a == count[0][0] and o is not None}
    if checks != {1.0}:
        return [None] * len(pairs)
    reward = [float(a == count[0][0]) for a, _ in pairs]
    mean = sum(reward) / len(reward)
    return [each - mean for each in reward]


pairs_of_a_group = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([None, 0.0, 1.0])),
    min_size=2,
    max_size=7,
).filter(lambda pairs: any(a is not None for a, _ in pairs))


@few
@given(pairs=pairs_of_a_group, seed=st.integers(0, 99))
def test_it_is_what_plain_python_says_in_any_order(pairs, seed):
    found = carried(of(*pairs), scale="none")
    order = np.random.default_rng(seed).permutation(len(pairs))
    moved = carried(of(*(pairs[at] for at in order)), scale="none")
    for k, expected in enumerate(oracle(pairs)):
        assert found[k] == (None if expected is None else pytest.approx(expected, abs=1e-9))
    assert moved == [
        None if found[at] is None else pytest.approx(found[at], abs=1e-9) for at in order
    ]


def test_the_alarm():
    locked = [with_answer(said(a, o, group="x")) for a, o in [("a", 0.0)] * 3 + [("b", None)]]
    right = [with_answer(said(a, o, group="y")) for a, o in [("a", 1.0), ("a", 1.0), ("b", 0.0)]]
    facts, said_ = consensus(batch_of([*locked, *right]))
    assert facts == {"ttrl/agreement": pytest.approx((3 / 4 + 2 / 3) / 2), "ttrl/locked": 0.5}
    assert said_ is not None
    assert "in 50% of the groups whose majority was checked a wrong answer has 75%" in said_
    facts, said_ = consensus(batch_of(right))
    assert (facts["ttrl/locked"], said_) == (0.0, None)
    # two of three votes are no lock
    assert consensus(of(("a", 0.0), ("a", None), ("b", None)))[0]["ttrl/locked"] == 0.0
    # nobody looked, and nobody answered
    assert set(consensus(of(("a", None), ("a", None)))[0]) == {"ttrl/agreement"}
    assert consensus(batch_of([one(1.0)])) == ({}, None)


def test_answers_are_read_before_the_majority_is():
    bare = said("a", 1.0)
    assert method("ttrl").prepared(bare) == with_answer(bare) != bare
