"""One JSON object of a log: each key checked as it is read, each error with its path."""

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from assay.errors import DataError
from assay.files.strict import parse

T = TypeVar("T")
_WORDS: dict[Any, str] = {dict: "object", list: "array"}
_MOST, _WHOLE, _MOST_ID = 2**63, 2**53, 2**31 - 1
_EMPTY = (None, "", [], {})
_PLACES = frozenset(map(str, range(100)))


_KIND = re.compile(r"[^A-Za-z0-9_.:/-]")
_MOST_KINDS = 200


@dataclass(slots=True)
class Losses:
    """What could not be carried over, counted by kind, with the first place of each kind."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, where: str, count: int = 1) -> None:
        """Counts `count` losses of `kind`, the first of them at `where`.

        Kinds are lower_snake_case; a part after a colon may name a key of the log. Such a key is
        foreign text, so it is cut to 80 plain characters, and beyond 200 kinds all go to `others`.
        """
        kind = _KIND.sub("?", kind[:80])
        if kind not in self.counts and len(self.counts) >= _MOST_KINDS:
            kind = "others"
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.first.setdefault(kind, where)


class Fields:
    """The keys of one object. A key that is missing and one that is null are the same."""

    __slots__ = ("losses", "raw", "where")

    def __init__(self, raw: Any, where: str, losses: Losses, expected: str = "an object") -> None:
        self.raw: dict[str, Any] = raw if type(raw) is dict else typed(raw, dict, where, expected)
        self.where, self.losses = where, losses

    def need(self, key: str, kind: Any) -> Any:
        """Returns the value, of `kind` (a type or several).

        Raises:
            DataError: it is missing, or of another type.
        """
        value = self.raw.get(key)
        if value is None:
            raise DataError(f"{self.where}.{key}: missing; expected {_names(kind)}")
        return value if fits(value, kind) else self._refuse(key, kind)

    def maybe(self, key: str, kind: type[T]) -> T | None:
        """Returns the value, of `kind`; None where it is missing."""
        value = self.raw.get(key)
        return value if value is None or fits(value, kind) else self._refuse(key, kind)

    def _refuse(self, key: str, kind: Any) -> Any:
        raise self.wrong(key, shown(self.raw[key]), _names(kind))

    def wrong(self, key: str, got: object, expected: str) -> DataError:
        """Returns the error for a value that is not what it must be."""
        return DataError(f"{self.where}.{key}: got {got}; expected {expected}")

    def text(self, key: str, default: str = "") -> str:
        """Returns a text, `default` where it is missing."""
        value = self.maybe(key, str)
        return default if value is None else value

    def name(self, key: str) -> str:
        """Returns a name, which may be written as a number, as text."""
        return str(self.need(key, (str, int)))

    def maybe_name(self, key: str) -> str | None:
        """Returns a name as text; None where it is missing."""
        return None if self.raw.get(key) is None else self.name(key)

    def number(self, key: str) -> float | None:
        """Returns a finite number or None; a bool is not a number, a string is not either."""
        value = self.raw.get(key)
        if value is None or type(value) is float:
            return value
        return float(self.need(key, (int, float)))

    def whole(self, key: str) -> int | None:
        """Returns a whole number of at most 53 bits; None where it is missing."""
        value = self.raw.get(key)
        if value is None:
            return None
        value = typed(value, int, f"{self.where}.{key}", "a whole number")
        if abs(value) > _WHOLE:
            got = f"a {len(hex(value))}-digit number"
            raise DataError(f"{self.where}.{key}: {got}; expected at most 2^53")
        return value

    def score(self, key: str) -> float | None:
        """Returns a score: a number, or true as 1 and false as 0; None where it is missing."""
        return self.as_score(self.raw.get(key), key)

    def scores(self, key: str) -> dict[str, float | None]:
        """Returns an object of scores or nulls."""
        inside = self.within(key)
        return {name: inside.score(name) for name in inside.raw}

    def as_score(self, value: Any, key: str) -> float | None:
        """Returns a value that stands under `key` as a score. NaN, counted, is none.

        Raises:
            DataError: it is neither null, a number nor a bool.
        """
        if type(value) is not float:
            where = f"{self.where}.{key}"[:400]
            known = typed(value, (bool, int, float, type(None)), where, "a number, true or false")
            return None if known is None else to_float(known, where)
        if math.isnan(value):
            self.lose("reward_nan")
            return None
        return value

    def within(self, key: str, *, needed: bool = False) -> "Fields":
        """Returns the object under `key`, an empty one where it is missing and not needed."""
        value = self.need(key, dict) if needed else self.maybe(key, dict) or {}
        return Fields(value, f"{self.where}.{key}", self.losses)

    def items(self, key: str) -> list[Any]:
        """Returns a list, an empty one where it is missing."""
        return self.maybe(key, list) or []

    def each(self, key: str, expected: str, *, needed: bool = False) -> Iterator["Fields"]:
        """Yields the objects of a list, which errors call `expected`; none where it is missing."""
        values = self.need(key, list) if needed else self.items(key)
        return objects(values, f"{self.where}.{key}", self.losses, expected)

    def ids(self, key: str) -> tuple[int, ...]:
        """Returns token ids: whole numbers in [0, 2^31)."""
        where = f"{self.where}.{key}"
        values = typed(self.raw.get(key), list, where, "an array of token ids")
        for index, one in enumerate(values):
            if type(one) is not int or not 0 <= one <= _MOST_ID:
                typed(one, int, f"{where}[{index}]", "a token id")
                raise self.wrong(f"{key}[{index}]", str(one)[:40], "a token id, 0 to 2^31-1")
        return tuple(values)

    def floats(self, key: str) -> tuple[float | None, ...] | None:
        """Returns numbers, null where one is missing; None where all are."""
        where = f"{self.where}.{key}"
        if self.raw.get(key) is None:
            return None
        values = typed(self.raw[key], list, where, "an array of numbers")
        for index, one in enumerate(values):
            if one is not None and type(one) is not float:
                typed(one, (int, float), f"{where}[{index}]", "a number or null")
        return tuple(None if one is None else to_float(one, where) for one in values)

    def mask(self, key: str, tokens: int) -> tuple[bool, ...]:
        """Returns a mask written as booleans or as 0 and 1, one per token."""
        where = f"{self.where}.{key}"
        values = typed(self.raw.get(key), list, where, "an array of 0 and 1")
        for index, one in enumerate(values):
            if not isinstance(one, (bool, int, float)) or one not in (0, 1):
                raise self.wrong(f"{key}[{index}]", str(one)[:40], "0 or 1")
        if len(values) != tokens:
            raise self.wrong(key, f"{len(values)} values", f"one per token, {tokens}")
        return tuple(bool(one) for one in values)

    def lose(self, kind: str, count: int = 1) -> None:
        """Counts what is not carried over, here."""
        self.losses.add(kind, self.where, count)

    def lose_unknown(self, known: Collection[str], kind: str = "key") -> None:
        """Counts a loss `kind:KEY` for each key outside `known` that holds anything."""
        for key in sorted(self.raw.keys() - known):
            if self.raw[key] not in _EMPTY:
                self.lose(f"{kind}:{key}")

    def scored(self, outcome: float | None) -> float | None:
        """Returns `outcome`, counting one that there is not."""
        if outcome is None:
            self.lose("no_outcome")
        return outcome


def objects(values: Iterable[Any], where: str, losses: Losses, expected: str) -> Iterator[Fields]:
    """Yields the objects of a list, each under its place in it."""
    for index, value in enumerate(values):
        yield Fields(value, f"{where}[{index}]", losses, expected)


def typed(value: Any, kind: type[T] | tuple[type[T], ...], where: str, expected: str) -> T:
    """Returns `value` if it is of `kind` (a bool is no number), else one clear DataError."""
    if fits(value, kind):
        return value
    raise DataError(f"{where}: got {shown(value)}; expected {expected}")


def fits(value: Any, kind: Any) -> bool:
    """Is `value` of `kind`? A bool is no number, and an integer is one of 64 bits."""
    if type(value) is kind and kind is not int:
        return True
    if type(value) is bool:
        return bool in _kinds(kind)
    return isinstance(value, kind) and (type(value) is not int or -_MOST <= value < _MOST)


def found_at(raw: dict[str, Any], path: str, where: str) -> Any:
    """Returns the value at a path of a record, dots between levels; None where there is none.

    A key that has the dots in it comes first; texts that hold JSON are opened on the way, and a
    number stands for a place in a list.
    """
    if path in raw:
        return raw[path]
    value: Any = raw
    for name in path.split("."):
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            value = parse(value.encode("utf-8", "surrogatepass"), f"{where}.{path}")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name in _PLACES and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def as_name(value: Any, where: str) -> str | None:
    """Returns a name, which may be written as a number; None where there is none.

    Raises:
        DataError: it is anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, (float, Decimal)):
        if math.isnan(value):  # a table's column of numbers that has a gap
            return None
        if math.isfinite(value) and value == int(value):
            return str(int(value))
    raise DataError(f"{where}: got {shown(value)}; expected a name, text or whole number")


def to_float(value: int | float, where: str) -> float:
    """Returns a double; a whole number beyond its range is an error."""
    try:
        return float(value)
    except OverflowError:
        raise DataError(f"{where}: a number too large for a double") from None


def shown(value: Any) -> str:
    """Returns one short line for a value of any size and depth."""
    match value:
        case dict():
            return f"an object of {len(value)} keys"
        case list():
            return f"an array of {len(value)} elements"
        case str():
            return f"str {json.dumps(value if len(value) <= 40 else value[:37] + '...')}"
        case int() if not -_MOST < value < _MOST:
            return "an integer beyond 64 bits"
        case int() | float() | None:
            return f"{type(value).__name__} {json.dumps(value)}"
        case _:  # JSON has none, tables have
            return type(value).__name__


def _kinds(kind: Any) -> tuple[Any, ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def _names(kind: Any) -> str:
    return " or ".join(_WORDS.get(k, str(k.__name__)) for k in _kinds(kind))
