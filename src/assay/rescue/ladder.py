"""The rungs by name."""

from collections.abc import Mapping
from typing import Final

from assay.rescue.base import Rung
from assay.rescue.critique import Critique
from assay.rescue.oracle import Oracle
from assay.rescue.prefix import Handicap, Prefix
from assay.rescue.recovery import Feedback
from assay.rescue.relabel import Relabel
from assay.rescue.self_hint import SelfHint
from assay.rescue.wrong_answers import WrongAnswers

LADDER: Final[Mapping[str, Rung]] = {
    each.name: each
    for each in (
        Prefix(),
        Feedback(),
        WrongAnswers(),
        Critique(),
        SelfHint(),
        Oracle(),
        Relabel(),
        Handicap(),
    )
}
