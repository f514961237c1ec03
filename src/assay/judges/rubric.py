"""A rubric as data: items that are passed or not, who says so, and which of them may veto.

    [[items]]
    id = "capital"
    text = "Names the capital of the country."
    checked_by = "world"                 # the environment's own item of that name
    essential = true                     # must be passed; `gate.rubric` says what happens else
    [[items]]
    id = "short"
    text = "Takes at most 30 words."
    checked_by = "code"
    words = 30                           # or has = "REGEX", lacks = "REGEX"
    label = "optional"                   # or weight = 0.3; below 0: passing it costs

A verdict is `Trajectory.rewards["rubric:ID"]`: 1, 0, or null, not judged, which is never 0.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, final

import msgspec

from assay.errors import UnknownNameError, UsageError, hint
from assay.kernels.constancy import bar
from assay.kernels.rubrics import LABELS
from assay.records import ModelStep, Trajectory

VERDICT: Final = "rubric:"
"""What the names of verdicts begin with, in `Trajectory.rewards`."""
RATING: Final = "rating:rubric"
"""Name of a judge's rating of all graded items at once, 1 to 10, in `Trajectory.rewards`."""
_NAME: Final = re.compile(r"[A-Za-z0-9][\w. -]{0,63}")
_JOINED: Final = re.compile(r"\s(?:and|as well as|plus)\s|;|\n", re.IGNORECASE)
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is true of an answer or not."""

    id: str
    text: str = ""
    """One sentence that can be answered by yes or no. What it asks is asked once: "and" outside
    quotation marks is refused."""
    checked_by: Literal["code", "judge", "world"] = "judge"
    """Who gives the verdict: one of `has`, `lacks` and `words`; a model; the environment, whose
    part of that name it is."""
    essential: bool = False
    """An answer that fails it is vetoed; it has no weight then."""
    weight: float | None = None
    """Of a graded item, not 0. Below 0: passing it is bad. None: by its label, or 1."""
    label: Literal["essential", "important", "optional", "pitfall"] | None = None
    """RaR's word for a weight (`kernels.rubrics.LABELS`)."""
    task: str | None = None
    """Asked in this task alone. None: in all."""
    has: str | None = None
    """Code: a regular expression that the answer must hold."""
    lacks: str | None = None
    """Code: one that it must not hold."""
    words: int | None = None
    """Code: most words that it may have."""
    born: int | None = None
    """Version of the rubric in which a model proposed it (`judges.evolving`). None: a person wrote
    it, and it persists."""

    def __post_init__(self) -> None:
        """Refuses what cannot be a binary item.

        Raises:
            UsageError: no name, two questions in one, a check that is missing or that nobody reads,
                or a weight of 0, of an essential item, or beside a label.
        """
        checks = [name for name in _CHECKS if getattr(self, name) is not None]
        graded = self.weight is not None or self.label is not None
        for holds, message in (
            (bool(_NAME.fullmatch(self.id)), "id: expected a name of letters and digits"),
            (
                self.checked_by != "judge" or bool(self.text.strip()),
                "text: empty; expected what the judge is asked",
            ),
            (len(checks) == (self.checked_by == "code"), _one_check(self.checked_by, checks)),
            (self.born is None or self.born > 0, f"born: got {self.born}; expected above 0"),
            (self.words is None or self.words > 0, f"words: got {self.words}; expected above 0"),
            (not (self.essential and graded), "essential: has no weight; leave weight, label out"),
            (
                self.weight is None or (self.label is None and 0 < abs(self.weight) < 1e6),
                "weight: expected a number other than 0, without a label beside it",
            ),
        ):
            if not holds:
                raise UsageError(f"item {self.id!r}: {message}")
        if joined := _JOINED.search(_QUOTED.sub("", self.text).strip()):
            raise UsageError(
                f"item {self.id!r}: asks two things, joined by {joined[0].strip()!r}; "
                "split it into two items, or quote what is one name"
            )
        for name in ("has", "lacks"):
            _compiled(self, name)

    @property
    def reward(self) -> str:
        """Name of its verdict in `Trajectory.rewards`."""
        return VERDICT + self.id

    @property
    def points(self) -> float:
        """Weight of a graded item."""
        if self.weight is not None:
            return self.weight
        return 1.0 if self.label is None else LABELS[self.label]

    @property
    def wanted(self) -> bool:
        """Whether passing it is good."""
        return self.essential or self.points > 0

    def passes(self, answer: str) -> bool:
        """Returns whether an answer passes an item that code checks."""
        if self.words is not None:
            return len(answer.split()) <= self.words
        found = re.search(self.has or self.lacks or "", answer, re.IGNORECASE) is not None
        return found == (self.has is not None)


_CHECKS: Final = ("has", "lacks", "words")


def _one_check(by: str, given: Sequence[str]) -> str:
    if by == "code":
        return f"got {' and '.join(given) or 'no check'}; expected one of {', '.join(_CHECKS)}"
    return f"{''.join(given[:1])}: is read of items that are checked by code"


def _compiled(item: Item, name: str) -> None:
    pattern = getattr(item, name)
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"item {item.id!r}: {name}: {error}") from None


def items_of(given: Any, where: str = "rubric") -> tuple[Item, ...]:
    """Returns the items of a list of tables.

    Raises:
        UsageError: it is no list of tables, or an item is none; see `Item`.
        UnknownNameError: a key that no item has; with the nearest.
    """
    if isinstance(given, Mapping | str) or not isinstance(given, Sequence):
        raise UsageError(f"{where}: got {type(given).__name__}; expected a list of items")
    known = [each.name for each in fields(Item)]
    found: list[Item] = []
    for number, each in enumerate(given):
        at = f"{where}: item {number}"
        if isinstance(each, Item):
            found.append(each)
            continue
        if not isinstance(each, Mapping):
            raise UsageError(f"{at}: got {type(each).__name__}; expected a table with an id")
        for key in each:
            if key not in known:
                raise UnknownNameError(f"{at} has no key {key!r}.{hint(str(key), known)}")
        try:
            found.append(msgspec.convert(dict(each), Item))
        except msgspec.ValidationError as error:
            said = str(error)
            raise UsageError(f"{where if said.startswith('item ') else at}: {said}") from None
    names = [each.id for each in found]
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise UsageError(f"{where}: two items are called {twice[0]!r}")
    return tuple(found)


_KEYS: Final = ("items", "reference", "version")


def read_rubric(path: Path) -> tuple[tuple[Item, ...], str | None]:
    """Returns the items of a file, TOML or JSON, and its reference answer, if it has one.

    Raises:
        UsageError: it cannot be read, is neither, holds no items, or its reference fails an item
            that code checks.
    """
    data = _tables(path)
    if not isinstance(data, dict) or not data.get("items"):
        raise UsageError(f"{path}: no items; expected [[items]] tables")
    for key in data:
        if key not in _KEYS:
            raise UnknownNameError(f"{path} has no key {key!r}. Known: {', '.join(_KEYS)}")
    found = items_of(data["items"], str(path))
    reference = data.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise UsageError(f"{path}: reference: expected a text")
    if reference is not None and (lost := failed(found, reference)):
        raise UsageError(
            f"{path}: the reference answer fails {', '.join(map(repr, lost))}; an item that a "
            "right answer fails vetoes right answers: change the item"
        )
    return found, reference


def _tables(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None


def version_of(path: Path) -> int:
    """Returns which version of a rubric a file is; one that a person wrote is version 0.

    Raises:
        UsageError: it cannot be read, or says no number.
    """
    found = _tables(path).get("version", 0)
    if type(found) is not int or found < 0:
        raise UsageError(f"{path}: version: got {found!r}; expected a whole number, at least 0")
    return found


def written(items: Sequence[Item], reference: str | None, version: int) -> dict[str, Any]:
    """Returns a rubric as a file has it; `read_rubric` reads it back."""
    said = {} if reference is None else {"reference": reference}
    return {"version": version, **said, "items": [*map(plain, items)]}


def plain(item: Item) -> dict[str, Any]:
    """Returns an item as a table: what it does not say is left out."""
    said = {each.name: getattr(item, each.name) for each in fields(Item)}
    return {name: value for name, value in said.items() if value not in (None, "", False)}


def failed(items: Sequence[Item], answer: str) -> list[str]:
    """Returns the items checked by code that a right answer would not fail, or pass where passing
    is bad; those of one task alone aside."""
    asked = [each for each in items if each.checked_by == "code" and each.task is None]
    return [each.id for each in asked if each.passes(answer) != each.wanted]


def answer_of(record: Trajectory) -> str | None:
    """Returns what the policy wrote last. None: it wrote nothing."""
    said = [step.text for step in record.steps if isinstance(step, ModelStep)]
    return said[-1] if said else None


def with_verdicts(items: Sequence[Item], record: Trajectory) -> Trajectory:
    """Returns a record with the verdicts that code and its world give, under their items' names.

    A part of the world's passes at 1. What a judge said stays, and so does every verdict that is
    there: done twice it is done once. An item of another task is left out. A trajectory that wrote
    nothing fails every check of code.
    """
    found = dict(record.rewards)
    answer = answer_of(record)
    for item in items:
        if item.task not in (None, record.task) or item.reward in found:
            continue
        if item.checked_by == "code":
            found[item.reward] = float(answer is not None and item.passes(answer))
        elif item.checked_by == "world" and item.id in record.rewards:
            part = record.rewards[item.id]
            found[item.reward] = None if part is None else float(part >= bar(1.0))
    if found == record.rewards:
        return record
    return msgspec.structs.replace(record, rewards=found)
