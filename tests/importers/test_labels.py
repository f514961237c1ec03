"""Labels of a live store in the formats of others: one label, one turn, and what grades come to.

Whole files, written and read: tests/live/test_traces.py.
"""

from typing import Any

import pytest

from assay.errors import DataError
from assay.importers.fields import Fields, Losses
from assay.importers.labels import grade_of, outcome_of, told_of
from assay.records import Grade, Hint, ModelStep


def fields(**said: Any) -> Fields:
    return Fields(said, "here", Losses())


def test_a_label_is_a_grade() -> None:
    told = fields(source="user", value=0.5, evidence="E2", reason="so")
    assert grade_of(told) == Grade(level="E2", value=0.5, source="user", reason="so")
    assert grade_of(fields(source="judge")) == Grade(level="E1", value=None, source="judge")
    with pytest.raises(DataError, match=r"here.*evidence.*E7.*expected E0, E1, E2, E3, E4"):
        grade_of(fields(source="user", evidence="E7"))


def test_a_turn_s_labels_are_scores_of_its_step() -> None:
    told = told_of(
        [fields(source="user", value=0.0, evidence="E2"), fields(source="judge")],
        [fields(source="user", text="less"), fields(text="more")],
    )
    step = told.onto(ModelStep(text="x"))
    assert step.scores == {"label:user": 0.0, "label:judge": None, "next_state": -1.0}
    assert step.hints == (Hint(text="less", source="user"), Hint(text="more", source="live"))
    assert told_of((), ()).onto(ModelStep(text="x")) == ModelStep(text="x")


def test_what_grades_come_to() -> None:
    """The strongest of E1 to E3 decides, and where its judges disagree nobody does."""

    def of(*said: tuple[Any, float | None]) -> float | None:
        return outcome_of([Grade(level=level, value=value) for level, value in said])

    assert of(("E1", 1.0), ("E2", 0.0), ("E4", 1.0)) == 0.0
    assert of(("E2", 1.0), ("E2", 0.0), ("E1", 1.0)) is None
    assert of(("E3", None), ("E1", 0.25)) == 0.25
    assert of(("E4", 1.0)) is None
