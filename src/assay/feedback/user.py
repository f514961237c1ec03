"""A user as a source: what the next message says of the answer before it, where it says it plainly.

    "thanks, that is right"                 1
    "no, that is wrong"                    -1
    "no, I meant the currency"             -1, and the hint "I meant the currency"
    "thanks, but that is wrong", "and the capital?", anything else: no verdict

Rules, and no model: they cost nothing, and say nothing of what they do not know. A message that
speaks to a judge has no verdict and no hint; who praises what is wrong is found by other means
(`assay.live.batches` bounds what one user can do).
"""

import re
from collections.abc import Sequence
from typing import ClassVar, Final, final

from assay.feedback.base import Given, Source, Turn, turns
from assay.judges.asking import LONGEST, Shown
from assay.judges.judge import LEAST
from assay.records import Hint, Trajectory, UserStep

READ: Final = 300
"""Characters of a message that are read: what is said of an answer stands at the beginning."""
_PLEASED: Final = re.compile(
    r"""\A\W*(?:yes|thanks|thank\syou|great|perfect|excellent|exactly|good|nice|well\sdone|
        correct|right|(?:that|this)\s(?:is|was)\s(?:right|correct|good|great|perfect|it)|
        that's\s(?:right|correct|good|great|perfect|it))\b(?!\s*,?\s*but\b)""",
    re.VERBOSE | re.IGNORECASE,
)
_DISPLEASED: Final = re.compile(
    r"""\A\W*(?:no|nope|wrong|stop|not\s(?:that|this|what|like|quite|right)|that's\s(?:not|wrong)|
        (?:that|this|it)\s(?:is|was)\s(?:not|wrong)|you\s(?:did\snot|didn't|should|forgot)|
        i\s(?:meant|said|asked|told|would\srather|do\snot|don't))\b |
        \b(?:but|however)\b[^.\n]*\b(?:wrong|not\swhat)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_ASKS: Final = re.compile(
    r"""\b(?:i\s(?:meant|asked\sfor|said|want(?:ed)?|prefer|would\srather|like)|please|next\stime|
        you\s(?:should|must|need\sto)|always|never|do\snot|don't|use)\s+[^\s.;!?][^.\n;!?]*""",
    re.VERBOSE | re.IGNORECASE,
)
"""What says how it should have been: up to the end of its sentence."""


@final
class FromUser(Source):
    """The words of the user who was answered."""

    name: ClassVar[str] = "user"

    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        """Returns verdicts of turns that a user's message follows, and hints where it says more;
        None where the message says nothing of the answer."""
        found: list[Given] = []
        for record in records:
            answered = [turn for turn in turns(record) if _by_user(record, turn)]
            said = {turn.at: heard(turn) for turn in answered}
            hints = {at: (hint,) for at, (_, hint) in said.items() if hint is not None}
            found.append(Given(hints, {at: verdict for at, (verdict, _) in said.items()}))
        return found


def heard(turn: Turn) -> tuple[float | None, Hint | None]:
    """Returns the verdict and the hint of a turn's next message; None: it has none."""
    message = turn.heard[:READ]
    if Shown("", turn.step.text, turn.heard).directed:
        return None, None
    pleased, displeased = _PLEASED.search(message), _DISPLEASED.search(message)
    if bool(pleased) == bool(displeased):
        return None, None
    if pleased:
        return 1.0, None
    asks = _ASKS.search(message)
    words = " ".join(asks[0].split())[:LONGEST] if asks else ""
    if len(words) <= LEAST:
        return -1.0, None
    return -1.0, Hint(text=words, source=FromUser.name, quote=words)


def _by_user(record: Trajectory, turn: Turn) -> bool:
    """Returns whether the first thing after a turn is a user's."""
    after = record.steps[turn.at + 1 : turn.at + 2]
    return bool(turn.heard.strip()) and bool(after) and type(after[0]) is UserStep
