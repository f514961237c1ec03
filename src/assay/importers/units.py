"""A log read unit by unit, where a unit that has not changed comes from an earlier reading.

A unit is what can be read by itself: of most formats one file. What one file's reading takes from
the files before it are the numbers and owners of groups (`Groups`); they are noted, and a unit is
taken over only where they are again what they were.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, final
from weakref import finalize

import msgspec

from assay.errors import DataError
from assay.files.stamps import Stamps, below
from assay.importers.base import Groups, Importer, Log
from assay.importers.fields import Losses
from assay.records import Trajectory, decode

_IN_MEMORY = 1 << 18
V = TypeVar("V")
Noted = dict[str, tuple[Any, Any]]
"""Of each group that was asked for: what was known of it before, and after."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit gave, and what that depends on."""

    files: tuple[str, ...]
    """All files that decide it, those that are not there among them."""
    first: int
    """Number of its first record among all of the log."""
    count: int
    losses: dict[str, tuple[int, str]]
    seen: Noted
    owner: Noted


def joined(units: Sequence[Unit]) -> list[Unit]:
    """Returns as one the units of one file that was read in several stretches."""
    if not units:
        return []
    losses: dict[str, tuple[int, str]] = {}
    seen, owner = Noted(), Noted()
    for unit in units:
        for kind, (count, where) in unit.losses.items():
            before, first = losses.get(kind, (0, where))
            losses[kind] = before + count, first
        for notes, more in ((seen, unit.seen), (owner, unit.owner)):
            notes |= {key: (notes.get(key, each)[0], each[1]) for key, each in more.items()}
    count = sum(unit.count for unit in units)
    return [msgspec.structs.replace(units[0], count=count, losses=losses, seen=seen, owner=owner)]


@final
class Units:
    """Units in a file, once they are many: what they note grows with the log."""

    def __init__(self) -> None:
        """Begins without any."""
        self._stream = tempfile.SpooledTemporaryFile(_IN_MEMORY, prefix="assay-")  # noqa: SIM115
        finalize(self, self._stream.close)
        self._count = 0

    def append(self, unit: Unit) -> None:
        """Adds one; of files that JSON cannot name none is kept."""
        with suppress(UnicodeEncodeError):
            self._stream.write(msgspec.json.encode(unit) + b"\n")
            self._count += 1

    def __iter__(self) -> Iterator[Unit]:
        """Yields all, before another is added."""
        self._stream.seek(0)
        for line in self._stream:
            yield msgspec.json.decode(line, type=Unit)

    def __len__(self) -> int:
        """Returns how many there are."""
        return self._count


@final
class Kept:
    """The units of an earlier reading, and those of this one."""

    def __init__(
        self,
        stamps: Stamps | None = None,
        units: tuple[Unit, ...] = (),
        lines: Callable[[], Iterator[bytes]] = lambda: iter(()),
        *,
        live: bool = False,
    ) -> None:
        """Begins a reading.

        Args:
            stamps: of the files then. None: nothing is kept, and nothing taken over.
            units: that were read then.
            lines: opens their records, all of them in order.
            live: somebody writes to the log; what is not whole is waited for and not counted.
        """
        self._stamps, self._lines, self.live = stamps, lines, live
        self._old = {unit.files: unit for unit in units}
        self.begin()

    def begin(self) -> None:
        """Begins again with the first unit."""
        self.units = Units()
        self.taken = self.fresh = 0
        """Files that were taken over, and that were read."""
        self._number = self._at = 0
        self._again: Iterator[bytes] | None = None
        self._renamed = False
        self._last: tuple[Trajectory, bytes] | None = None
        self.vouched = True
        """Is it known of everything that was read which files decide it?"""

    def renamed(self) -> None:
        """Takes note that a trajectory of the current unit got another id than the log's."""
        self._renamed = True

    def line_of(self, trajectory: Trajectory) -> bytes | None:
        """Returns the line of the trajectory that was last taken over; None: it is another."""
        return self._last[1] if self._last and self._last[0] is trajectory else None

    def read(self, importer: Importer, log: Log) -> Iterator[Trajectory]:
        """Yields the trajectories of a log, in its order, one at a time."""
        for files, decide in self.divided(importer, log):
            self.vouched &= decide is not None
            old = None if decide is None else self._old.get(decide)
            if old is not None and self._holds(old, log):
                self.taken += len(files)
                yield from self._taken_over(old, log)
            else:
                self.fresh += len(files)
                yield from self.read_unit(importer, log, files, decide)

    @property
    def begins(self) -> bool:
        """Is there nothing to take over, and nothing to wait for?"""
        return not self._old and not self.live

    def took(self, files: int, units: Iterable[Unit], count: int) -> None:
        """Takes note of units that another process read.

        Args:
            files: that it read.
            units: what they gave, numbered from its first record.
            count: its records.
        """
        self.fresh += files
        for unit in units:
            self.units.append(msgspec.structs.replace(unit, first=self._number + unit.first))
        self._number += count

    def divided(
        self, importer: Importer, log: Log
    ) -> Iterator[tuple[tuple[Path, ...], tuple[str, ...] | None]]:
        """Yields what is read together, and all files that decide it; None: that is not known."""
        parts = [importer.parts(file) for file in log.files]
        if not parts or None in parts:
            # of a folder, all that is in it; what else a lone file leads to nobody knows
            whole = log.path.is_dir() and not log.several
            yield log.files, self._seen((log.path,)) if whole else None
            return
        for file, each in zip(log.files, parts, strict=True):
            yield (file,), self._seen(each or ())

    def _seen(self, files: Sequence[Path]) -> tuple[str, ...] | None:
        """Looks at files, and at all that is below folders; returns their names."""
        if self._stamps is None:
            return None
        names: list[str] = []
        for found in map(below, files):
            if found is None:
                return None
            names += found
        for name in names:
            self._stamps.see(name)
        return tuple(names)

    def _holds(self, unit: Unit, log: Log) -> bool:
        """Would the unit be read now as it was then?"""
        groups = log.groups
        return (
            self._stamps is not None
            and unit.first >= self._at
            and all(groups.seen.get(name) == was for name, (was, _) in unit.seen.items())
            and all(groups.owner.get(name) == was for name, (was, _) in unit.owner.items())
            and all(map(self._stamps.same, unit.files))
        )

    def _taken_over(self, unit: Unit, log: Log) -> Iterator[Trajectory]:
        first, self._renamed = self._number, False
        if self._again is None:
            self._again = self._lines()
        lines = islice(self._again, unit.first - self._at, unit.first - self._at + unit.count)
        self._at = unit.first + unit.count
        for line in lines:
            trajectory = decode(line)
            self._last = trajectory, line
            self._number += 1
            yield trajectory
        if self._number - first != unit.count:
            raise DataError(f"{unit.files[0]}: its kept records are gone; use --no-cache")
        for kind, (count, where) in unit.losses.items():
            log.losses.add(kind, where, count)
        log.groups.seen.update({name: now for name, (_, now) in unit.seen.items()})
        log.groups.owner.update({name: now for name, (_, now) in unit.owner.items()})
        if not self._renamed:
            self.units.append(msgspec.structs.replace(unit, first=first))

    def read_unit(
        self,
        importer: Importer,
        log: Log,
        files: tuple[Path, ...],
        decide: tuple[str, ...] | None,
    ) -> Iterator[Trajectory]:
        """Yields the trajectories of one unit, which nothing is taken over for."""
        first, losses, self._renamed = self._number, Losses(), False
        seen, owner = Notes(log.groups.seen), Notes(log.groups.owner)
        waited = list[str]() if self.live else None
        alone = replace(log, files=files, losses=losses, groups=Groups(seen, owner), waited=waited)
        for trajectory in importer.read(alone):
            self._number += 1
            yield trajectory
        for kind, count in losses.counts.items():
            log.losses.add(kind, losses.first[kind], count)
        self.vouched &= not waited
        if decide is not None and not self._renamed and not waited:
            unit = Unit(
                files=decide,
                first=first,
                count=self._number - first,
                losses={kind: (count, losses.first[kind]) for kind, count in losses.counts.items()},
                seen=seen.noted,
                owner=owner.noted,
            )
            self.units.append(unit)


@final
class Notes(MutableMapping[str, V]):
    """A dict that notes of each key that is asked for what it was, and what it became. Who goes
    through all keys learns nothing that is noted: no importer does."""

    def __init__(self, inner: MutableMapping[str, V]) -> None:
        """Begins without any note."""
        self._inner = inner
        self._before: dict[str, V | None] = {}

    @property
    def noted(self) -> Noted:
        """Of each key, what it was and what it is; None: it is not there."""
        return {key: (was, self._inner.get(key)) for key, was in self._before.items()}

    def _note(self, key: str) -> None:
        if key not in self._before:
            self._before[key] = self._inner.get(key)

    def __getitem__(self, key: str) -> V:
        """Returns what is known of a key, and notes it."""
        self._note(key)
        return self._inner[key]

    def __setitem__(self, key: str, value: V) -> None:
        """Says something of a key."""
        self._note(key)
        self._inner[key] = value

    def __delitem__(self, key: str) -> None:
        """Forgets a key."""
        self._note(key)
        del self._inner[key]

    def __iter__(self) -> Iterator[str]:
        """Yields every key."""
        return iter(self._inner)

    def __len__(self) -> int:
        """Returns how many keys there are."""
        return len(self._inner)
