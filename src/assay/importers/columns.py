"""Which column of a table is what: `--map task=instance_id,reward=resolved,messages=trajectory`."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from assay.errors import DataError, UsageError
from assay.importers import chat, swe_agent
from assay.importers.base import ends, keys
from assay.importers.fields import Fields, fits, shown
from assay.records import End

KEYS = (
    "task",
    "group",
    "trial",
    "id",
    "model",
    "messages",
    "prompt",
    "completion",
    "reward",
    "end",
)
"""What a column can be; any other name is that of a part of the reward."""
_CALLS = ("tags", "fenced")

ENDS: dict[str, End] = {
    **swe_agent.ENDS,
    **chat.ENDS,
    **ends(
        answered="complete finish finished submit success",
        budget="max_iterations maxiterationsreached stuck agentstuckinlooperror",
        infra="aborted cancelled",
    ),
}
"""What the words of public sets for an end mean, in lower case."""
_PASSED = keys("true yes resolved pass passed success successful correct solved")
_FAILED = keys(
    "false no unresolved fail failed failure unsuccessful incorrect wrong unsolved not_resolved"
)
_NOTHING = keys("null none nan n/a na")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_OWN = re.compile(r"max\w* iteration|stuck ?in ?a? ?loop|context ?window")
"""What OpenHands says in a sentence, where the agent ran into a limit of its own."""
_WITHIN = re.compile(r"submitted \((.+)\)")


@dataclass(frozen=True, slots=True)
class Map:
    """Columns by what they are; a dot in a column's name leads into what it holds."""

    columns: Mapping[str, str]
    """By a name of `KEYS`."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Parts of the reward, by name."""
    fenced: bool = False
    """The last fenced block of a message is a command."""

    @classmethod
    def of(cls, chosen: Mapping[str, str]) -> "Map":
        """Returns the map for `--map` pairs.

        Raises:
            UsageError: it says neither what is said nor what is the reward.
        """
        calls = chosen.get("calls", "tags")
        if calls not in _CALLS:
            raise UsageError(f"--map calls={calls}: expected one of {', '.join(_CALLS)}")
        columns = {key: chosen[key] for key in KEYS if key in chosen}
        parts = {key: value for key, value in chosen.items() if key not in (*KEYS, "calls")}
        if "messages" in columns and columns.keys() & {"prompt", "completion"}:
            raise UsageError("--map: messages, or else prompt and completion; not both")
        if not columns.keys() & {"messages", "completion", "reward"}:
            needs = "--map: expected messages=COLUMN, completion=COLUMN or reward=COLUMN"
            raise UsageError(f"{needs}{cls({}, parts).turned(KEYS)}")
        return cls(columns, parts, calls == "fenced")

    def turned(self, missing: Collection[str]) -> str:
        """Returns what may be meant where a column that is missing is called as a role is."""
        pairs = self.parts.items()
        meant = [f"{at}={name}" for name, at in pairs if at in KEYS and at in missing]
        return f" (--map is NAME=COLUMN: did you mean {','.join(meant)}?)" if meant else ""

    def tops(self) -> frozenset[str]:
        """Returns the columns of the table that it may read."""
        paths = [*self.columns.values(), *self.parts.values()]
        return frozenset(name for path in paths for name in _tops(path))

    def missing(self, known: Collection[str]) -> list[str]:
        """Returns the columns that a table with the columns `known` does not have."""
        paths = dict.fromkeys([*self.columns.values(), *self.parts.values()])
        return [path for path in paths if not any(name in known for name in _tops(path))]


def pairs(text: str) -> dict[str, str]:
    """Returns what `--map` says, by name.

    Raises:
        UsageError: a pair is no name=column, or a name comes twice.
    """
    chosen: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not name or not column:
            raise UsageError(f"--map {pair}: expected NAME=COLUMN, several parted by commas")
        if name in chosen:
            raise UsageError(f"--map: {name} comes twice")
        chosen[name] = column
    return chosen


def _tops(path: str) -> tuple[str, ...]:
    """Returns the columns that a path may begin with: itself, and what stands before a dot."""
    return (path, path.partition(".")[0])


def reward_of(value: Any, at: Fields, column: str) -> float | None:
    """Returns a reward that is a number, a truth, or a word for one; None where there is none.

    Raises:
        DataError: it is anything else, infinity among it.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        if not word or word in _NOTHING:
            return None
        if word in _PASSED or word in _FAILED:
            return float(word in _PASSED)
        value = float(word) if _NUMBER.fullmatch(word) else value
    if isinstance(value, Decimal):  # a type of columns that JSON has not
        value = float(value)
    if fits(value, (bool, int, float, type(None))):
        number = at.as_score(value, column)
        if number is None or math.isfinite(number):
            return number
    words = "a finite number, true or false, resolved or unresolved, passed or failed"
    raise DataError(f"{at.where}.{column}: got {shown(value)}; expected {words}")


def end_of(value: Any, at: Fields, column: str) -> End:
    """Returns how a trajectory ended, by the word for it; a word that is not known is counted."""
    if value is None:
        return "unknown"
    if not isinstance(value, str):
        raise DataError(f"{at.where}.{column}: got {shown(value)}; expected a word for an end")
    word = value.strip().lower()
    if (within := _WITHIN.fullmatch(word)) is not None:
        word = within[1]
    if _OWN.search(word):
        return "budget"
    if word and word not in ENDS:
        at.lose(f"exit_status:{value}")
    return ENDS.get(word, "unknown")
