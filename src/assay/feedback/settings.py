"""Where hints come from: the section [hints] of a run, and what people write in its place."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, final

from msgspec import Meta

from assay.errors import DataError, UsageError
from assay.feedback.base import Leaks, Source
from assay.feedback.env import Env
from assay.feedback.file import File
from assay.feedback.human import Human
from assay.feedback.judge import FromJudge
from assay.files.web import check_address
from assay.judges.chat import Endpoint
from assay.judges.judge import Judge
from assay.judges.probes import probe
from assay.recipes.settings import Count, Positive, Settings, require


@final
class Hints(Settings, frozen=True):
    """Who says what the policy should have known, and when that is listened to."""

    at: ClassVar[str] = "hints"

    source: Literal["none", "env", "judge", "file", "human"] = "none"
    which: Literal["all", "errors"] = "all"
    """Of env: turns that have hints, all that the world answered or those answered by an error."""
    of: Literal["failed", "all"] = "failed"
    """Trajectories that hints are asked about."""
    leaks: Leaks = "drop"
    """Hints that name the right answer: left out, or kept."""
    path: str = ""
    """Of file: where it lies."""
    url: str = ""
    """Of judge: its address, as in http://127.0.0.1:8000/v1."""
    model: str = "default"
    """What the server calls the judge."""
    key: str = ""
    """Environment variable that holds the server's key; empty: none."""
    timeout: Positive = 60.0
    """Seconds of one request."""
    votes: Count = 3
    """Answers of the judge to each question, an odd number."""
    parallel: Count = 8
    """Requests at the same time."""
    most: Count = 64
    """Turns of a batch that a judge is asked about, or trajectories that a person is."""
    admit: bool = True
    """A source acts while the one-sided 90 % lower bound of its uplift on paired replays is above
    0. False: it always does."""
    pairs: Count = 32
    """Paired replays of one measurement of the uplift, at most."""
    every: Count = 10
    """Generated batches between two measurements."""
    keep: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Share of earlier replays that still counts at the next measurement: the policy has moved."""

    def __post_init__(self) -> None:
        """Refuses a source without its place, and a place that nobody reads."""
        super().__post_init__()
        for source, name in (("file", "path"), ("judge", "url")):
            has = bool(getattr(self, name))
            require(
                has == (self.source == source),
                f"hints: got source={self.source} and {name}={getattr(self, name)!r}; expected "
                f"{name} with source={source}, and with that alone",
            )
        if self.url:
            check_address("hints.url", self.url)
        require(self.votes % 2 == 1, f"hints.votes: got {self.votes}; expected an odd number")


def named(text: str) -> dict[str, Any]:
    """Returns the settings that a short name stands for: "env", "human", the address of a judge,
    the path of a file; "judge" and "file" where their place is set elsewhere.

    Raises:
        UsageError: it is none of these.
    """
    if text in ("none", "env", "human"):
        return {"source": text, "url": "", "path": ""}
    if text in ("judge", "file"):
        return {"source": text, "path" if text == "judge" else "url": ""}
    if text.startswith(("http://", "https://")):
        return {"source": "judge", "url": text, "path": ""}
    if Path(text).is_file():
        return {"source": "file", "path": text, "url": ""}
    raise UsageError(
        f"feedback {text!r}: no such file; expected env, human, a judge's address (http://...) or "
        "a file of hints"
    )


def opened(
    settings: Hints,
    say: Callable[[str], None],
    *,
    ask: Callable[[str], str] = input,
    show: Callable[[str], None] = print,
) -> Source:
    """Returns the source that settings name; a judge is probed first, and what was found is said.

    Args:
        settings: which source.
        say: takes lines for people.
        ask: of human: asks at the terminal.
        show: of human: shows at the terminal.

    Raises:
        UsageError: there is no source, or an address or key that cannot be used.
        DataError: the file of hints cannot be read, or the variable of the key is not set.
    """
    match settings.source:
        case "env":
            return Env(settings.which)
        case "file":
            return File(Path(settings.path))
        case "human":
            return Human(ask, show, most=settings.most)
        case "judge":
            judge = judge_of(settings)
            found = probe(judge)
            for line in found.sentences():
                say(f"judge {settings.url}: {line}")
            return FromJudge(judge, found, most=settings.most)
        case "none":
            raise UsageError("hints.source is none; expected env, judge, file or human")


def judge_of(settings: Hints) -> Judge:
    """Returns the judge that settings name; nobody has probed it.

    Raises:
        DataError: the variable of its key is not set.
    """
    key = None
    if settings.key:
        key = os.environ.get(settings.key)
        if not key:
            raise DataError(f"hints.key: the variable {settings.key} is not set; expected the key")
    endpoint = Endpoint(url=settings.url, model=settings.model, key=key, timeout=settings.timeout)
    return Judge(endpoint, votes=settings.votes, parallel=settings.parallel)
