"""The split of punished right calls, by hand and by an oracle on records; counts that agree."""

import json
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import pipeline
from assay.audit import (
    FATE_KINDS,
    audit,
    contexts,
    group_fates,
    punished_calls,
    span_fates,
    step_credit,
)
from assay.recipes import Recipe
from assay.records import Call, CallEvidence, ModelStep, ToolStep, Trajectory
from assay.report import Report

RIGHT = CallEvidence(ran=True, state=True)
Move = tuple[str, str]
"""A call's name and what the environment answers."""


def played(name: str, outcome: float, *moves: Move, state: str | None = None) -> Trajectory:
    steps: list[Any] = []
    for number, (call, answer) in enumerate(moves):
        made = Call(name=call, arguments="{}", evidence=RIGHT)
        steps.append(ModelStep(text=f"{name} {number}", calls=(made,), state_key=state))
        steps.append(ToolStep(text=answer, call=(2 * number, 0)))
    return Trajectory(
        id=name, task=name[0], group=name[0], outcome=outcome, steps=tuple(steps), end="answered"
    )


def calls_of(records: list[Trajectory]) -> dict[str, int]:
    batch, decisions = pipeline.gated(records, Recipe())
    return audit(batch, decisions, pipeline.credits(batch, Recipe()))["calls"]


def split(records: list[Trajectory]) -> tuple[int, int, int]:
    calls = calls_of(records)
    assert calls["punished_correct"] == calls["punished_variance"] + calls["punished_systematic"]
    return calls["punished_shared"], calls["punished_variance"], calls["punished_systematic"]


def test_what_everybody_does_first_cancels_exactly():
    """All four open with "look"; GRPO's advantages of a group add up to 0, so that the two
    failures' look is pushed down by as much as the two successes' is pushed up."""
    look, good, bad = ("look", "x"), ("good", ""), ("bad", "")
    records = [
        *(played(f"a{i}", 1.0, look, good) for i in (1, 2)),
        *(played(f"a{i}", 0.0, look, bad) for i in (3, 4)),
    ]
    # look of a3 and a4 cancels; bad, right by evidence here, is made by failures alone
    assert split(records) == (2, 2, 2)


def test_a_call_that_mostly_fails_is_not_shown_to_cancel():
    """Of three that look, one passes. Outcomes 1 0 0 1: the mean is 1/2, so look gets 1/2 - 1/2 -
    1/2 < 0: punished on the whole, though a success has it too."""
    look, good = ("look", "x"), ("good", "")
    records = [
        played("a1", 1.0, look, good),
        played("a2", 0.0, look, ("b", "")),
        played("a3", 0.0, look, ("c", "")),
        played("a4", 1.0, ("other", "y"), good),
    ]
    assert split(records) == (2, 0, 4)


def test_a_place_is_the_calls_that_ran_so_far_or_the_state():
    """What tools answered is not compared, nor are calls that did not run; a recorded state is."""
    go, refused = ("go", ""), CallEvidence(ran=False)
    records = [
        played("a1", 1.0, ("look", "left"), go),
        played("a2", 0.0, ("look", "right"), go),
        played("a3", 0.0, ("step", ""), ("look", "left"), go),
    ]
    # outcomes 1 0 0: look and go of a1 earn 2 where a2 and a3 lose 1 each; a3 steps first, and its
    # look and go are in places of their own
    assert split(records) == (2, 2, 3)
    (first, answer), rest = records[2].steps[:2], records[2].steps[2:]
    assert isinstance(first, ModelStep)
    calls = (msgspec.structs.replace(first.calls[0], evidence=refused),)
    steps = (msgspec.structs.replace(first, calls=calls), answer, *rest)
    records[2] = msgspec.structs.replace(records[2], steps=steps)
    assert split(records) == (4, 4, 0)  # the step did not happen
    stated = [
        played("a1", 1.0, ("look", ""), state="s"),
        played("a2", 0.0, ("step", ""), ("look", ""), state="s"),
    ]
    assert split(stated) == (1, 1, 1)


def test_another_group_pays_for_nothing():
    """The group is asked, not the task: a success of b earns nothing for a."""
    go, stay = ("go", ""), ("stay", "")
    other = [played("b1", 1.0, go), played("b2", 0.0, stay)]
    assert split([played("a1", 1.0, stay), played("a2", 0.0, go), *other]) == (0, 0, 2)


def oracle(records: list[Trajectory]) -> tuple[int, int, int]:
    """The same on records, in thirds: a place is the names so far. What a group's deviation divides
    all of it by changes no sign."""
    groups: dict[str, list[Trajectory]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    shared = variance = systematic = 0
    for members in groups.values():
        outcomes = [Fraction(m.outcome or 0.0).limit_denominator(3) for m in members]
        mean = sum(outcomes) / Fraction(len(outcomes))
        pushes: dict[tuple[Any, ...], list[Fraction]] = {}
        for member, outcome in zip(members, outcomes, strict=True):
            so_far: tuple[Any, ...] = ()
            for step in member.steps:
                if isinstance(step, ModelStep):
                    so_far = (*so_far, step.calls[0].name)
                    pushes.setdefault(so_far, []).append(outcome - mean)
        for values in pushes.values():
            down = sum(value < 0 for value in values)
            cancels = sum(values) >= 0
            shared += down if any(value > 0 for value in values) else 0
            variance += down if cancels else 0
            systematic += 0 if cancels else down
    return shared, variance, systematic


moves = st.lists(st.tuples(st.sampled_from("fg"), st.sampled_from("xy")), min_size=1, max_size=3)
sets = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), moves), min_size=2, max_size=9)


@settings(deadline=None, max_examples=60)
@given(sets)
def test_the_split_is_the_oracles(drawn: list[tuple[str, int, list[Move]]]):
    records = [
        played(f"{group}{i}", outcome / 3, *made) for i, (group, outcome, made) in enumerate(drawn)
    ]
    assert split(records) == oracle(records)


evidence = st.builds(
    CallEvidence,
    parsed=st.sampled_from([None, True, False]),
    ran=st.sampled_from([None, True, False]),
    sibling=st.sampled_from([None, True, False]),
    expert=st.sampled_from([None, True, False]),
    state=st.sampled_from([None, True, False]),
)
judged = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from([None, 0.0, 0.5, 1.0]),
        st.lists(st.tuples(st.sampled_from("fg"), evidence), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=40)
@given(judged)
def test_a_count_shown_twice_is_one_count(drawn: Any):
    """Batch, calls and fates mean the same by a right call and by a punished one."""
    records = [
        Trajectory(
            id=f"{group}{i}",
            task=group,
            group=group,
            outcome=outcome,
            end="answered",
            steps=tuple(
                ModelStep(text="t", calls=(Call(name=name, arguments="{}", evidence=known),))
                for name, known in made
            ),
        )
        for i, (group, outcome, made) in enumerate(drawn)
    ]
    batch, decisions = pipeline.gated(records, Recipe())
    ((_, grpo),) = pipeline.credits(batch, Recipe())
    found = audit(batch, decisions, {"grpo": grpo})
    calls, step_S = found["calls"], step_credit(batch, grpo).advantage_S
    correct_C = batch.correct_C == 1
    wrong_C = correct_C & punished_calls(batch, step_S)
    assert calls["punished_correct"] == wrong_C.sum()
    kind_R = span_fates(batch, group_fates(batch)[1], grpo)
    named_R = kind_R == FATE_KINDS.index("punished_correct")
    assert sorted(batch.call_R[named_R]) == np.flatnonzero(wrong_C).tolist()
    assert found["fate"]["punished_correct"] == {
        "characters": int(batch.length_R[named_R].sum()),
        "trajectories": len(set(batch.traj_R[named_R].tolist())),
    }
    for level, code_C in (
        ("expert", batch.expert_C),
        ("sibling", batch.sibling_C),
        ("state", batch.on_path_C),
    ):
        assert calls[f"punished_{level}"] == (wrong_C & (code_C == 1)).sum()
    assert calls["punished_correct"] <= calls["punished"] <= calls["total"]
    with TemporaryDirectory() as folder:
        report = Report(Path(folder) / "report.html", batch, decisions)
        report.add("grpo", grpo)
        report.write(title="", audit=found, trajectories=lambda _: records)
        twin = json.loads((Path(folder) / "report.json").read_bytes())
    in_group = np.bincount(batch.group_K[batch.traj_S[batch.step_C[wrong_C]]], minlength=2).tolist()
    assert twin["groups"]["punished"] == in_group[: batch.n_groups]
    shown = [step["correct"] for member in twin["members"] for step in member["steps"]]
    assert sum(map(len, shown)) == correct_C.sum()
    written = np.array(twin["groups"]["written"]).sum(axis=0)
    assert written.tolist() == [found["fate"][kind]["characters"] for kind in FATE_KINDS]


def test_a_context_is_a_place_in_a_group():
    batch, _ = pipeline.gated(
        [
            played("a1", 1.0, ("f", "x"), ("g", "x")),
            played("a2", 0.0, ("f", "x"), ("g", "x")),
            played("b1", 0.0, ("f", "x")),
        ],
        Recipe(),
    )
    one, two, again, too, other = contexts(batch).tolist()
    assert one == again
    assert two == too
    assert len({one, two, other}) == 3
    empty, _ = pipeline.gated([], Recipe())
    assert contexts(empty).tolist() == []


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_a_dead_group_punishes_nobody(outcome: float):
    records = [played(f"a{i}", outcome, ("f", "x")) for i in range(2)]
    assert calls_of(records)["punished"] == 0
