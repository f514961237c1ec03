"""Gates: one decision per trajectory, and what is dropped moves nothing. Values by hand."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Batch
from assay.credit import credit, method
from assay.errors import AlignmentError
from assay.gate import (
    GATES,
    Decisions,
    Degenerate,
    Duplicates,
    Gate,
    Integrity,
    Verdicts,
    first_copy,
    gate,
)
from assay.records import Decision, Grade, Mark, ModelStep, ToolStep, Trajectory
from tests.credit.worlds import batch_of, group, groups, one, per_trajectory


def words(decisions) -> list[tuple[str, str, str]]:
    return [(d.verdict, d.gate, d.reason) for d in decisions]


def wrote(text: str, **fields) -> ModelStep:
    return ModelStep(text=text, token_ids=tuple(text.encode()), **fields)


# --- integrity


def test_integrity_can_let_pass_what_nobody_scored():
    batch = batch_of([one(None), one(1.0), one(None, end="infra"), one(None, steps=())])
    assert words(gate(batch, [Integrity(unscored=False)])) == [
        *(("keep", "none", "ok"),) * 2,
        ("drop", "integrity", "infra"),
        ("drop", "integrity", "empty"),
    ]


def test_integrity_names_why_it_drops():
    masked = [wrote("ab", untrainable="masked")]
    batch = batch_of(
        [
            one(1.0),
            one(0.0, end="budget"),  # its own budget: a scored failure
            one(0.0, end="unknown"),
            one(1.0, end="infra"),  # whatever the log scores it
            one(None, end="infra"),
            one(None),
            one(1.0, marks=(Mark(kind="tampered"),)),
            one(1.0, grades=(Grade(level="E3", value=0.0), Grade(level="E4", value=None))),
            one(None, grades=(Grade(level="E1", value=1.0), Grade(level="E1", value=0.0))),
            one(0.0, steps=[]),
            one(0.0, steps=[ToolStep(text="only a tool spoke", token_ids=(1, 2))]),
            one(0.0, steps=[wrote("")]),
            one(0.0, steps=masked),  # the loss leaves it out, and so does the baseline
            one(0.0, end="infra", steps=[]),  # the first reason counts
        ]
    )
    decisions = gate(batch)
    kept = ("keep", "none", "ok")
    expected = [
        *(kept, kept, kept),
        *(("drop", "integrity", "infra"), ("drop", "integrity", "infra")),
        ("drop", "integrity", "unscored"),
        ("drop", "integrity", "tampered"),
        kept,
        ("drop", "integrity", "unscored"),
        *(("drop", "integrity", "empty"),) * 3,
        ("drop", "integrity", "masked"),
        ("drop", "integrity", "infra"),
    ]
    assert words(decisions) == expected
    assert [d.weight for d in decisions] == [float(verdict == "keep") for verdict, *_ in expected]
    assert [d.trajectory for d in decisions] == [f"k{k}" for k in range(14)]


def test_a_partly_sampled_step_is_not_empty():
    some = one(0.0, steps=[wrote("abc", sampled=((1, 2),))])
    nothing = one(0.0, steps=[wrote("abc", sampled=())])
    assert words(gate(batch_of([some, nothing])))[1] == ("drop", "integrity", "empty")
    assert words(gate(batch_of([some, nothing])))[0] == ("keep", "none", "ok")


def test_without_tokens_an_empty_text_is_a_completion():
    """Its end was sampled, which text does not show: it counts among the others."""
    said, empty = one(1.0, steps=[ModelStep(text="yes")]), one(0.0, steps=[ModelStep(text="")])
    copied = one(0.0, steps=[ModelStep(text="", untrainable="copied")])
    decisions = words(gate(batch_of([said, empty, copied, one(0.0, steps=[])])))
    assert decisions == [("keep", "none", "ok")] * 2 + [("drop", "integrity", "empty")] * 2


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (("masked",), "masked"),
        (("masked", "masked"), "masked"),
        (("copied", "masked"), "masked"),  # what it repeats was sampled for another one
        (("masked", None), "ok"),
        (("masked", "drifted"), "ok"),
        (("copied",), "empty"),
        (("logprobs",), "ok"),
    ],
)
def test_masked_is_what_the_trainer_masks_all_of(steps, reason):
    made = [wrote(f"{n}", untrainable=kind) for n, kind in enumerate(steps)]
    assert gate(batch_of([one(1.0), one(1.0, steps=made)]))[1].reason == reason


def test_a_drifted_trajectory_moves_the_baseline_and_is_not_trained():
    # 1, 0 and a drifted 1: mean 2/3, so the advantages are 1/3, -2/3, and nothing is carried.
    batch = batch_of([one(1.0), one(0.0), one(1.0, steps=[wrote("ab", untrainable="drifted")])])
    advantage = credit(batch.gated(gate(batch)), method("dr_grpo"))
    np.testing.assert_allclose(advantage.total, [1 / 3, -2 / 3, 0.0])
    assert advantage.carried.tolist() == [True, True, False]


# --- duplicates


def test_duplicates_keeps_the_first_copy_of_a_group():
    same = [wrote("same"), ToolStep(text="the world may differ"), wrote("end")]
    other_world = [wrote("same"), ToolStep(text="differently"), wrote("end")]
    batch = batch_of(
        [
            one(1.0, steps=same),
            one(0.0, steps=other_world),
            one(1.0, steps=[wrote("other")]),
            one(1.0, steps=same),
            one(1.0, steps=same, group="h"),
        ],
        measure="characters",
    )
    decisions = gate(batch, [Duplicates()])
    kept, copy = ("keep", "none", "ok"), ("drop", "duplicates", "duplicate")
    assert words(decisions) == [kept, copy, kept, copy, kept]
    assert [d.detail for d in decisions] == ["", "same as k0", "", "same as k0", ""]
    assert first_copy(batch).tolist() == [0, 0, 2, 0, 4]


def test_calls_count_as_written():
    from assay.records import Call

    def called(arguments: str):
        call = Call(name="f", arguments=arguments)
        return one(1.0, steps=[ModelStep(text="t", calls=(call,))])

    batch = batch_of([called('{"a": 1}'), called('{"a":1.0}'), called('{"a":2}')])
    assert first_copy(batch).tolist() == [0, 0, 2]


def test_a_scored_retry_is_no_copy_of_the_crash_before_it():
    crash, retry = one(0.0, end="infra"), one(1.0)
    decisions = gate(batch_of([crash, retry, one(1.0)]), [Integrity(), Duplicates()])
    assert words(decisions) == [
        ("drop", "integrity", "infra"),
        ("keep", "none", "ok"),
        ("drop", "duplicates", "duplicate"),
    ]
    assert decisions[2].detail == "same as k1"


def test_who_wrote_nothing_repeats_nobody():
    batch = batch_of([one(None, end="infra", steps=[]), one(None, end="infra", steps=[])])
    assert first_copy(batch).tolist() == [0, 1]
    assert words(gate(batch, [Duplicates()])) == [("keep", "none", "ok")] * 2


# --- degenerate


def test_degenerate_drops_dead_groups_by_cause():
    batch = groups(
        mixed=[1.0, 0.0],
        fail=[0.0, 0.0],
        passed=[1.0, 1.0],
        partial=[0.5, 0.5],
        graded=[0.25, 0.5],
        alone=[1.0],
        nobody=[None, None],
        half=[1.0, None],
    )
    decisions = gate(batch, [Degenerate()])
    keep = ("keep", "none", "ok")
    assert words(decisions) == [
        *(keep, keep),
        *[("drop", "degenerate", "all_fail")] * 2,
        *[("drop", "degenerate", "all_pass")] * 2,
        *[("drop", "degenerate", "constant_partial")] * 2,
        *(keep, keep),
        ("drop", "degenerate", "single"),
        *[("drop", "degenerate", "unscored")] * 2,
        *[("drop", "degenerate", "single")] * 2,
    ]


def test_degenerate_sees_what_the_gates_before_it_left():
    # Without its crash this group has one score only; a lone member teaches nobody.
    batch = batch_of([one(1.0), one(0.0, marks=(Mark(kind="tampered"),)), one(0.0, end="infra")])
    assert [d.reason for d in gate(batch, [Integrity(), Degenerate()])] == [
        "single",
        "tampered",
        "infra",
    ]


def test_degenerate_asks_who_passes():
    batch = groups(a=[0.5, 0.5])
    assert gate(batch, [Degenerate(pass_at=0.5)])[0].reason == "all_pass"
    assert gate(batch, [Degenerate()])[0].reason == "constant_partial"


# --- several gates


@dataclass(frozen=True, slots=True)
class Weigh(Gate):
    """Gives every trajectory the weight it is told to; drops and weighs by turns."""

    name: ClassVar[str] = "weigh"
    weights: tuple[float, ...] = ()
    label: str = "weighed"

    def __call__(self, batch: Batch) -> Verdicts:
        weight_K = np.array(self.weights, float)
        return Verdicts(weight_K, ["ok" if w == 1 else self.label for w in self.weights])


def test_weights_multiply_and_the_first_drop_decides():
    batch = group([1.0, 0.0, 1.0, 0.0, 1.0])
    gates = [
        Weigh((0.5, 0.0, 1.0, 2.0, 1.0), "first"),
        Weigh((0.5, 0.5, 0.0, 0.5, 1.0), "second"),
        Weigh((3.0, 0.0, 0.0, 1.0, 1.0), "third"),
    ]
    decisions = gate(batch, gates)
    assert [d.weight for d in decisions] == [0.75, 0.0, 0.0, 1.0, 1.0]
    assert [(d.verdict, d.reason) for d in decisions] == [
        ("weight", "third"),
        ("drop", "first"),
        ("drop", "second"),
        ("keep", "second"),
        ("keep", "ok"),
    ]
    gated = batch.gated(decisions)
    assert gated.weight_K.tolist() == [0.75, 0.0, 0.0, 1.0, 1.0]
    # Weights scale what is left: three kept outcomes 1, 0, 1 have the mean 2/3.
    assert per_trajectory(gated, credit(gated, method("dr_grpo"))) == pytest.approx(
        [0.75 / 3, 0.0, 0.0, -2 / 3, 1 / 3]
    )


def test_no_gate_keeps_everything():
    batch = group([1.0, None])
    assert words(gate(batch, [])) == [("keep", "none", "ok")] * 2


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0, 1.0), (1.0, -1.0), (1.0, np.nan)])
def test_a_gate_that_answers_wrongly_is_named(weights: tuple[float, ...]):
    with pytest.raises(AlignmentError, match="weigh"):
        gate(group([1.0, 0.0]), [Weigh(weights)])


def test_gated_refuses_decisions_about_another_batch():
    batch = group([1.0, 0.0])
    decisions = gate(batch)
    for wrong in (decisions[:1], decisions[::-1], ()):
        with pytest.raises(AlignmentError, match="decisions"):
            batch.gated(wrong)


def test_the_registry_names_every_gate():
    assert GATES.names() == ["integrity", "duplicates", "degenerate", "roc", "aaw"]
    assert [GATES.get(name).name for name in GATES.names()] == GATES.names()


# --- dropping moves no baseline


def test_the_reported_vector_of_masked_rows():
    """rewards [1, 3, 2, 0], valid [1, 1, 1, 0]: the last row must not move the mean of the others.

    Mean of 1, 3, 2 is 2: advantages -1, 1, 0, and 0 for the row that is out; with it, the mean
    would be 1.5. Leave-one-out: 1 - 2.5, 3 - 1.5, 2 - 2. The sample deviation is 1.
    """
    valid = [one(1.0), one(3.0), one(2.0)]
    for out in (
        *(one(0.0, end="infra"), one(None), one(0.0, marks=(Mark(kind="tampered"),))),
        one(0.0, steps=[wrote("ab", untrainable="masked")]),
    ):
        batch = batch_of([*valid, out])
        gated = batch.gated(gate(batch))
        by = {name: credit(gated, method(name)) for name in ("dr_grpo", "rloo", "grpo")}
        for name, expected in (
            ("dr_grpo", [-1.0, 1.0, 0.0, 0.0]),
            ("rloo", [-1.5, 1.5, 0.0, 0.0]),
            ("grpo", [-1 / 1.000001, 1 / 1.000001, 0.0, 0.0]),
        ):
            assert by[name].total.tolist() == pytest.approx(expected, abs=1e-12)
            assert by[name].carried.tolist() == [True, True, True, False]


OUTCOMES = st.lists(
    st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=8
)
ENDS = st.sampled_from(["answered", "budget", "infra"])


@st.composite
def sets(draw: st.DrawFn) -> list[Trajectory]:
    outcomes = draw(OUTCOMES)
    return [
        one(
            outcome,
            id=f"t{i}",
            group=draw(st.sampled_from("gh")),
            end=draw(ENDS),
            steps=[wrote(draw(st.sampled_from(["a", "b", "c"])))] * draw(st.integers(0, 2)),
        )
        for i, outcome in enumerate(outcomes)
    ]


ALL = [Integrity(), Duplicates(), Degenerate()]


@settings(deadline=None, max_examples=50)
@given(sets(), st.permutations(ALL))
def test_one_decision_for_each_and_the_counts_add_up(trajectories, gates):
    batch = Batch.of(trajectories, measure="tokens")
    decisions = gate(batch, gates)
    assert [d.trajectory for d in decisions] == [t.id for t in trajectories]
    for d in decisions:
        assert (d.verdict == "drop") == (d.weight == 0.0)
        assert (d.verdict == "keep") == (d.weight == 1.0) == (d.reason == "ok")
    reasons = {d.reason for d in decisions}
    counted = sum(sum(d.reason == reason for d in decisions) for reason in reasons)
    assert counted == len(trajectories)


@settings(deadline=None, max_examples=50)
@given(sets(), st.randoms(use_true_random=False))
def test_the_order_of_a_log_decides_nothing_but_which_copy_stays(trajectories, rng):
    shuffled = list(trajectories)
    rng.shuffle(shuffled)
    for gates in ([Integrity()], [Integrity(), Degenerate()]):
        here = {d.trajectory: d for d in gate(Batch.of(trajectories, measure="tokens"), gates)}
        there = {d.trajectory: d for d in gate(Batch.of(shuffled, measure="tokens"), gates)}
        assert here == there
    here = gate(Batch.of(trajectories, measure="tokens"), [Duplicates()])
    there = gate(Batch.of(shuffled, measure="tokens"), [Duplicates()])
    assert sum(d.weight for d in here) == sum(d.weight for d in there)


@settings(deadline=None, max_examples=50)
@given(sets(), st.sampled_from(["grpo", "dr_grpo", "rloo", "max_rl"]))
def test_leaving_the_dropped_out_of_the_log_changes_nothing(trajectories, name):
    batch = Batch.of(trajectories, measure="tokens")
    decisions = gate(batch)
    gated = batch.gated(decisions)
    kept = [t for t, d in zip(trajectories, decisions, strict=True) if d.verdict == "keep"]
    if not kept:
        return
    alone = Batch.of(kept, measure="tokens")
    with_them, without = credit(gated, method(name)), credit(alone, method(name))
    of_kept_R = gated.kept_K[gated.traj_R]
    np.testing.assert_array_equal(with_them.total[of_kept_R], without.total)
    assert not with_them.carried[~of_kept_R].any()


def test_decisions_are_a_sequence_that_is_made_when_asked():
    found = Decisions(("a", "b", "c"), np.array([1.0, 0.0, 0.5]), {1: ("g", "bad", "why")})
    kept, dropped, half = found
    assert kept == Decision(trajectory="a", verdict="keep", gate="none", reason="ok")
    assert (dropped.verdict, dropped.gate, dropped.reason) == ("drop", "g", "bad")
    assert (half.verdict, half.weight, half.detail) == ("weight", 0.5, "")
    assert len(found) == 3
    assert found[-1] == half
    assert found[1:] == (dropped, half)
    assert found == (kept, dropped, half)
    assert found != (kept, dropped)
    assert found != (kept, half, dropped)
    with pytest.raises(IndexError):
        found[3]
