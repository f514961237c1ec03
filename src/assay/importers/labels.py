"""Labels and hints of a live store as the formats of others hold them, read again.

    ATIF      `extra.assay.labels` of the document (the session's) and of a step (the turn's), of
              source, value, evidence, reason; `extra.assay.hints` of a step, of source and text
    OTel      events of spans: `gen_ai.evaluation.result` with `assay.evidence`, of an agent's span
              (the session's) or a model call's (the turn's); `assay.hint` of a model call's

As from the store itself (`assay.importers.live`), the session's are grades, a turn's the score
`label:SOURCE` of its step, and together its score `next_state`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final, get_args

import msgspec

from assay.importers.fields import Fields
from assay.records import Grade, Hint, ModelStep
from assay.records.evidence import Level, strongest

EVIDENCE: Final = "assay.evidence"
"""Attribute by which an evaluation of OpenTelemetry is known for a label of a store."""
HINT: Final = "assay.hint"
"""Name of an event, and what its attributes begin with."""
_LEVELS: Final = get_args(Level)
SCORE: Final = "next_state"
"""Of a step, what its labels come to."""


@final
@dataclass(slots=True)
class Told:
    """What labels and hints say of one turn."""

    scores: dict[str, float | None] = field(default_factory=dict[str, float | None])
    hints: list[Hint] = field(default_factory=list[Hint])

    def onto(self, step: ModelStep) -> ModelStep:
        """Returns the turn's step with them."""
        if not (self.scores or self.hints):
            return step
        return msgspec.structs.replace(step, scores=self.scores, hints=tuple(self.hints))


def score_of(source: str) -> str:
    """Returns the name of the score that a turn's label is."""
    return f"label:{source}"


def grade_of(label: Fields) -> Grade:
    """Returns a label (`source`, `value`, `evidence`, `reason`) as the grade that a session's is.

    Raises:
        DataError: its evidence is no level.
    """
    level: Any = label.text("evidence", "E1")
    if level not in _LEVELS:
        raise label.wrong("evidence", repr(level[:20]), ", ".join(_LEVELS))
    return Grade(
        level=level,
        value=label.score("value"),
        source=label.text("source"),
        reason=label.text("reason"),
    )


def told_of(labels: Iterable[Fields], hints: Iterable[Fields]) -> Told:
    """Returns what labels and hints (`source`, `text`) say of a turn."""
    grades = [grade_of(each) for each in labels]
    return Told(
        scores_of(grades),
        [Hint(text=each.text("text"), source=each.text("source") or "live") for each in hints],
    )


def scores_of(grades: Sequence[Grade]) -> dict[str, float | None]:
    """Returns what the labels of a turn are of its step: each a score, and as `next_state` 1 or -1
    what the strongest come to, as it is trained on live; none where they differ."""
    made = {score_of(each.source): each.value for each in grades}
    _, values = strongest(grades)
    if len(values) == 1:
        made[SCORE] = 1.0 if values.pop() >= 0.5 else -1.0
    return made


def outcome_of(grades: Sequence[Grade]) -> float | None:
    """Returns what the strongest of E1 to E3 says; None where they disagree, or nobody did."""
    _, values = strongest(grades, ("E3", "E2", "E1"))
    return values.pop() if len(values) == 1 else None
