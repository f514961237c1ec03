"""Secrets out of events before they are written."""

from typing import Any, Final, final

import msgspec
from msgspec.structs import replace

from assay.records.live import Event, Turn
from assay.report.redact import Redactor

_NO_IDS: Final[dict[str, Any]] = {
    "prompt_ids": None,
    "completion_ids": None,
    "logprobs": None,
    "shared": 0,
}


@final
class Redacted:
    """Passes an event on with what looks like a secret replaced in its texts.

    A turn in whose texts there was one loses its token ids, which spell it too, and with them its
    place in training ("redacted").
    """

    def __init__(self) -> None:
        self.redactor = Redactor()
        """Counts what was replaced, by kind."""

    def __call__(self, event: Event) -> Event:
        """Returns the event, or one without the secrets in it."""
        bare = replace(event, **_NO_IDS) if isinstance(event, Turn) else event
        line = msgspec.json.encode(bare)
        clean = self.redactor.line(line)
        if clean is line:
            return event
        made = msgspec.json.decode(clean, type=type(event))
        if isinstance(made, Turn):
            return replace(made, trainable=False, why_not="redacted")
        return made
