"""Which columns of numbers in TRL's logs are rewards: the log's own advantages tell.

TRL writes the rewards first, then what reward functions logged beside them, both as doubles, and
last the advantages, which follow from the rewards: within a group the sum, less its mean, as it is
or divided by the deviation of the group or of the batch plus 1e-4; or each reward so first, then
their sum over the batch. A set of columns from which a file's advantages follow explains the file.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple, final

_EPS = 1e-4
_NEAR = 2e-3
"""How far an advantage may be off, of the largest: a log may be rounded."""
_MOST, _LONG = 4, 16
"""Columns of which all sets are tried; of more, up to so many, their beginnings and each alone."""

Values = list[float | None]
Spans = list[tuple[int, int]]


class Table(NamedTuple):
    """The numbers of one file."""

    columns: dict[str, Values]
    """Columns of doubles, None where the row has no value, in the order of the file."""
    advantage: Values
    groups: Spans
    """Of each group its first row and the one after its last."""


class _Seen(NamedTuple):
    """What one file says."""

    varies: frozenset[str]
    """Columns that differ within some group."""
    explained_by: frozenset[frozenset[str]]
    """Sets of these from which the advantages follow."""
    rows: int


@final
@dataclass(frozen=True, slots=True)
class Told:
    """What is a reward in a log, and how sure that is."""

    rewards: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()
    """Rewards that may be something logged beside them."""
    idle: frozenset[str] = frozenset()
    """Columns that never differ within a group, left out where others explain the advantages."""
    contradicted: int = 0
    """Rows of files whose advantages do not follow from the rewards."""
    by_sum: bool = False
    """The advantages follow from the plain sum."""


@final
@dataclass(slots=True)
class Evidence:
    """What the files of a log say, one after the other."""

    columns: dict[str, None] = field(default_factory=dict[str, None])
    _seen: list[_Seen] = field(default_factory=list[_Seen])

    def add(self, table: Table) -> None:
        """Looks at one file."""
        self.columns |= dict.fromkeys(table.columns)
        varies = [name for name, values in table.columns.items() if _varies(values, table.groups)]
        told = any(abs(value or 0) > _NEAR for value in table.advantage)
        if varies or told:
            sets = frozenset(each for each in _sets(varies) if _explains(each, table))
            self._seen.append(_Seen(frozenset(varies), sets, len(table.advantage)))

    def told(self) -> Told:
        """Returns what all files together say."""
        every, varies = frozenset(self.columns), frozenset[str]().union(*(s[0] for s in self._seen))
        idle = every - varies
        if not self._seen:
            return Told(every, every if len(every) > 1 else frozenset())
        tried = [each for each in self._candidates(varies) if each or idle]
        score = {each: sum(self._fits(each, seen) for seen in self._seen) for each in tried}
        best = max(score.values(), default=0)
        if best == 0:
            return Told(every, contradicted=sum(seen.rows for seen in self._seen))
        winners = [each for each in tried if score[each] == best]
        chosen = varies if varies in winners else winners[0]
        unsure = frozenset[str]().union(*winners) - frozenset.intersection(*winners)
        contradicted = sum(seen.rows for seen in self._seen if not self._fits(chosen, seen))
        if not chosen:  # what differs is no reward, so what does not differ is
            unsure = idle if len(idle) > 1 else frozenset()
            return Told(idle, unsure, contradicted=contradicted, by_sum=True)
        return Told(chosen, unsure & chosen, idle, contradicted, by_sum=True)

    def _candidates(self, varies: frozenset[str]) -> list[frozenset[str]]:
        """Returns the sets that may be the rewards, small ones first."""
        found = dict.fromkeys(_sets([name for name in self.columns if name in varies]))
        for seen in self._seen:
            found |= dict.fromkeys(seen.explained_by)
        return sorted(found, key=len)

    @staticmethod
    def _fits(chosen: frozenset[str], seen: _Seen) -> bool:
        return chosen & seen.varies in seen.explained_by


def _sets(names: Sequence[str]) -> Iterator[frozenset[str]]:
    """Yields sets of columns: all of a few, else their beginnings and each alone."""
    if len(names) <= _MOST:
        for size in range(len(names) + 1):
            yield from map(frozenset, combinations(names, size))
        return
    yield frozenset()
    yield from (frozenset({name}) for name in names[:_LONG])
    yield from (frozenset(names[:size]) for size in range(2, min(len(names), _LONG + 1)))
    yield frozenset(names)


def _varies(values: Values, groups: Spans) -> bool:
    """Does a column differ within some group? No value adds nothing, so it is as good as 0."""
    for start, end in groups:
        inside = [value or 0.0 for value in values[start:end]]
        low, high = min(inside), max(inside)
        if high - low > 1e-6 * max(abs(low), abs(high)):
            return True
    return False


def _explains(names: frozenset[str], table: Table) -> bool:
    """Do the advantages of a file follow from the sum of these columns?"""
    given = [value or 0.0 for value in table.advantage]
    most = max(map(abs, given), default=0.0)
    if not names:
        return most <= _NEAR
    parts = [values for name, values in table.columns.items() if name in names]
    total = _summed(parts, len(given))
    off, size = _centred(total, table.groups), max(map(abs, _known(total)), default=0.0)
    rounding = 2e-7 * size  # rewards are of 32 bits
    if rounding < most / 10 and _same(given, off, _NEAR * most + rounding):
        return True
    deviation, near = _deviation(total, [(0, len(total))])[0], _NEAR * max(most, 1.0)
    of_batch = [None if each is None else each / (deviation + _EPS) for each in off]
    return (
        _same(given, _scaled(total, table.groups), near)
        or _same(given, of_batch, near)
        or _same(given, _each_first(parts, table.groups), near)
    )


def _summed(parts: Sequence[Values], rows: int) -> Values:
    """Returns the sums of the rows; None where no part has a value."""
    if len(parts) == 1:
        return parts[0]
    found: Values = []
    for row in range(rows):
        values = [part[row] for part in parts if part[row] is not None]
        found.append(sum(_known(values)) if values else None)
    return found


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _centred(total: Values, groups: Spans) -> Values:
    """Returns how far each row is from the mean of its group."""
    found: Values = []
    for start, end in groups:
        known = _known(total[start:end])
        mean = _mean(known)
        found += [None if value is None else value - mean for value in total[start:end]]
    return found


def _deviation(total: Values, groups: Spans) -> list[float]:
    """Returns the deviation of each group, of n - 1; NaN for a row alone, as TRL has it."""
    found: list[float] = []
    for start, end in groups:
        known = _known(total[start:end])
        mean = _mean(known)
        squares = sum((value - mean) * (value - mean) for value in known)
        found.append(math.sqrt(squares / (len(known) - 1)) if len(known) > 1 else math.nan)
    return found


def _scaled(total: Values, groups: Spans) -> Values:
    """Returns the distances from the group's mean over its deviation."""
    off, found = _centred(total, groups), list[float | None]()
    for (start, end), deviation in zip(groups, _deviation(total, groups), strict=True):
        each = deviation + _EPS
        found += [None if value is None else value / each for value in off[start:end]]
    return found


def _each_first(parts: Sequence[Values], groups: Spans) -> Values:
    """Returns the advantages where each reward is scaled alone, and then their sum."""
    rows = sum(end - start for start, end in groups)
    return _scaled(_summed([_scaled(part, groups) for part in parts], rows), [(0, rows)])


def _same(given: Sequence[float], made: Values, near: float) -> bool:
    """Are advantages those that were made? A row without a reward, or NaN, has 0."""
    for a, b in zip(given, made, strict=True):
        b = 0.0 if b is None or math.isnan(b) else b
        if not abs(a - b) <= near:
            return False
    return True
