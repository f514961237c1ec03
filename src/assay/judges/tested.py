"""Whether a judge may be trusted: by what a test of it found, and never before."""

import json
from pathlib import Path
from typing import Any, Final

from assay.errors import DataError
from assay.judges.ranking import Ranker

SCHEMA: Final = "assay.judge-test/1"


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
    try:
        found = json.loads(path.read_bytes())
        if found["schema"] != SCHEMA:
            raise ValueError(f"got schema {found['schema']!r}")
        trusted, why = bool(found["trusted"]), [str(each) for each in found["why"]]
        written = {"meta": None, **found["of"]}
        of = {name: written[name] for name in identity(who, ranker)}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path}: {error}; expected what assay judge test -o wrote") from None
    for name, mine in identity(who, ranker).items():
        if of[name] != mine:
            raise DataError(
                f"{path}: is of a judge with {name} {of[name]!r}; got {mine!r}; test this one"
            )
    return "trusted: its test found nothing against it" if trusted else f"untrusted: {why[0]}"
