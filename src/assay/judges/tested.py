"""Whether a judge may be trusted: by what a test of it found, and never before."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from assay.errors import DataError
from assay.judges.ranking import Ranker
from assay.judges.trial import ENOUGH

SCHEMA: Final = "assay.judge-test/1"
_EXPECTED: Final = "expected what assay judge test -o wrote"


class Trust(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a test found of a judge whose word is credited."""

    judge: str
    protocol: str
    trusted: bool
    why: tuple[str, ...] = ()
    """What speaks against it."""
    mean: float | None = None
    """Agreement with outcomes, in [0, 1]; None: not measured."""
    low: float | None = None
    """Its lower bound, one-sided at 95 %."""
    labelled: int = 0
    """Answers with an outcome that it was measured on."""

    @property
    def against(self) -> str:
        """Why its word may not be credited; empty: it may."""
        if self.labelled < ENOUGH or self.low is None:
            return f"its test is on {self.labelled} answers with an outcome; expected {ENOUGH}"
        return "" if self.trusted and not self.why else "; ".join(self.why) or "untrusted"


def trust_of(path: Path) -> Trust:
    """Returns what a test found, of the file that `assay judge test -o` wrote.

    Raises:
        DataError: the file is none of that kind.
    """
    found = _read(path)
    try:
        mean, low = found["axes"].get("outcome") or (None, None)
        return msgspec.convert(
            {
                "judge": found["of"]["judge"],
                "protocol": found["of"]["protocol"],
                "trusted": found["trusted"],
                "why": found["why"],
                "mean": mean,
                "low": low,
                "labelled": found["labelled"].get("outcome", 0),
            },
            Trust,
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: {error}; {_EXPECTED}") from None


def _read(path: Path) -> Any:
    try:
        found = json.loads(path.read_bytes())
        if found["schema"] != SCHEMA:
            raise ValueError(f"got schema {found['schema']!r}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path}: {error}; {_EXPECTED}") from None
    return found


def identity(who: str, ranker: Ranker) -> dict[str, Any]:
    """Returns what makes a judge the same one: the model, how it is asked, how often."""
    about = {"judge": who, "protocol": ranker.protocol.name, "votes": ranker.votes}
    meta = None if ranker.meta is None else ranker.meta.about
    return about | {"shown": ranker.shown, "schedule": ranker.schedule, "meta": meta}


def trust_in(path: Path | None, who: str, ranker: Ranker) -> str:
    """Returns whether a judge is trusted, in words: "untrusted: ..." or "trusted: ...".

    Args:
        path: what `assay judge test` wrote; None: nobody tested it.
        who: the model.
        ranker: how it is asked.

    Raises:
        DataError: the file is none of that kind, or of another judge.
    """
    if path is None:
        return "untrusted: nobody has tested it; assay judge test does"
    found = _read(path)
    try:
        trusted, why = bool(found["trusted"]), [str(each) for each in found["why"]]
        written = {"meta": None, **found["of"]}
        of = {name: written[name] for name in identity(who, ranker)}
    except (LookupError, TypeError) as error:
        raise DataError(f"{path}: {error}; {_EXPECTED}") from None
    for name, mine in identity(who, ranker).items():
        if of[name] != mine:
            raise DataError(
                f"{path}: is of a judge with {name} {of[name]!r}; got {mine!r}; test this one"
            )
    return "trusted: its test found nothing against it" if trusted else f"untrusted: {why[0]}"
