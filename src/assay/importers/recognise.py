"""Which format a log is: every importer ranks every file, and the highest rank wins."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay.errors import DataError, TornError, one_line
from assay.files.folders import walked
from assay.files.packed import plain_name
from assay.files.probe import Probe, probe
from assay.files.reading import beginning
from assay.files.shards import Shards, Source
from assay.files.strict import PICKLES
from assay.importers.base import Importer, Rank
from assay.importers.fields import Losses
from assay.importers.mapped import columns_of
from assay.records.labels import ENDING

LOGS = (".traj", ".json", ".jsonl", ".ndjson")
"""How the name of a file with JSON in it ends, unpacked."""
_LONGEST = 500
_PICKLED = (".pt", ".pth", ".pkl")
TABLES = (".parquet", ".csv", ".tsv")
"""How the name of a table that is no JSON ends."""


@dataclass(slots=True)
class Sight:
    """What was found below a path."""

    path: Path
    importers: Mapping[str, Importer]
    shards: Shards | None = None
    """What of the path is the log, where that is not all of it."""
    found: dict[Path, dict[str, Rank]] = field(default_factory=dict)
    """Of each file, who may read it."""
    owned: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    """Formats that take the folder as a whole, with what they read of it."""
    faults: dict[Path, DataError] = field(default_factory=dict)
    """Of each file that should hold JSON and does not: why not."""
    nearest: str = ""
    """What the file that came nearest lacks, for the error where nothing is recognised."""
    proposal: str = ""
    """By which option the first file that nobody knows could be read."""
    _least: float = 1.0
    _sure: dict[tuple[Path, str], Rank] = field(default_factory=dict)
    """Of a folder and a format that names its files: how sure it is of the first of them."""

    def best(self) -> list[str]:
        """Returns the formats of the highest rank; of these, those of most files."""
        scores: dict[str, tuple[int, int]] = dict.fromkeys(self.owned, (Rank.CERTAIN, 0))
        if not scores:
            for ranks in self.found.values():
                for name, rank in ranks.items():
                    highest, count = scores.get(name, (0, 0))
                    if rank > Rank.POSSIBLE and rank >= highest:
                        scores[name] = rank, 1 + (count if rank == highest else 0)
        best = max(scores.values(), default=(0, 0))
        return [name for name in self.importers if scores.get(name) == best]

    def files(self, name: str, losses: Losses) -> tuple[Path, ...]:
        """Returns what one importer reads of it. What it does not read is counted.

        Raises:
            DataError: the folder has no file of the format.
        """
        importer = self.importers[name]
        if name in self.owned:
            self._count(name, self.owned[name], losses)
            return self.owned[name]
        if not self.path.is_dir():
            return (self.path,)
        mine = self._named(importer) if importer.names else self._like(name, Rank.SHAPE)
        self._count(name, mine, losses)
        return tuple(mine)

    def _named(self, importer: Importer) -> list[Path]:
        """Returns what a format that gives its files names reads: files of such a name, else those
        that look like it; and what says itself that it is of the format, whatever its name.

        Raises:
            DataError: there is none.
        """
        named = [file for file in self.found if importer.is_named(file)]
        sure = self._like(importer.name, Rank.CERTAIN if named else Rank.SHAPE)
        mine = list(dict.fromkeys([*named, *sure]))
        if not mine:
            what = f"no {importer.called} in it; name the folder that has them"
            raise DataError(f"{self.shards or self.path}: {what}")
        return sorted(mine, key=lambda file: (str(file.parent), len(file.name), file.name))

    def _like(self, name: str, least: Rank) -> list[Path]:
        """Returns the files of which a format is as sure as `least`, or more."""
        return [file for file, ranks in self.found.items() if ranks.get(name, 0) >= least]

    def _count(self, name: str, mine: Collection[Path], losses: Losses) -> None:
        """Counts what a format does not read. In the folders above those that it takes as a whole
        lie files of its own."""
        above = {parent for each in self.owned.get(name, ()) for parent in each.parents}
        read = {*mine, *(near for file in mine for near in self.importers[name].beside(file))}
        kept = {each for file in mine for each in self.importers[name].keeps(file)}
        for file, ranks in self.found.items():
            sure = [n for n, rank in ranks.items() if n != name and rank > Rank.POSSIBLE]
            if file in read or not kept.isdisjoint((file, *file.parents)):
                continue
            if ranks.get(name, 0) > Rank.POSSIBLE:
                losses.add(f"other_name:{name}", str(file))
            elif sure:
                losses.add(f"other_format:{sure[0]}", str(file))
            elif file in self.faults:
                losses.add("torn_record", str(self.faults[file]))
            elif file.parent not in above:
                losses.add("not_a_log", str(file))

    def unread(self, names: list[str]) -> list[DataError]:
        """Returns why files that should hold JSON and do not were not read, but for those that
        stand beside what one of the formats reads."""
        beside = {
            near
            for file, ranks in (self.found.items() if self.faults else ())
            for name in names
            if ranks.get(name, 0) > Rank.POSSIBLE
            for near in self.importers[name].beside(file)
        }
        return [fault for file, fault in self.faults.items() if file not in beside]

    def refuse_mixed(self, name: str) -> None:
        """Raises DataError where several files or folders are asked for, and one is of another
        format, or cannot be read; or where one that is named by no pattern holds no JSON."""
        named = self.shards.one_by_one if self.shards else ()
        for file, ranks in self.found.items() if self.shards else ():
            fault = self.faults.get(file)
            if fault is not None and not isinstance(fault, TornError):
                raise fault
            if fault is not None and file in named and not _begins_well(file):
                raise DataError(refusal(look(file, self.importers), [*self.importers]))
            sure = [n for n, rank in ranks.items() if rank > Rank.POSSIBLE]
            if sure and ranks.get(name, 0) <= Rank.POSSIBLE:
                raise DataError(
                    one_line(
                        f"{file}: is {' or '.join(sure)}, others of {self.shards} are {name}; "
                        "expected one format: narrow the pattern, or audit them one by one"
                    )
                )

    def see(self, file: Path) -> None:
        """Ranks one file. What has a known name and stands beside one that was seen is like it."""
        named = [name for name, one in self.importers.items() if one.is_named(file)]
        twins = {n: r for n in named if (r := self._sure.get((file.parent, n)))}
        named_itself = file == self.path or (self.shards is not None and file in self.shards.named)
        is_log = named_itself or plain_name(file).endswith(LOGS + TABLES)
        if twins or not (named or is_log):
            self.found[file] = twins
            return
        seen = probe(file)
        ranks = {name: one.rank(seen) for name, one in self.importers.items()}
        ranks |= {name: max(ranks[name], Rank.POSSIBLE) for name in named}
        self.found[file] = {name: rank for name, rank in ranks.items() if rank}
        self._sure |= {(file.parent, n): ranks[n] for n in named if ranks[n] > Rank.POSSIBLE}
        if max(ranks.values(), default=Rank.NO) < Rank.SHAPE:
            self._note(file, seen, is_log=is_log)

    def _note(self, file: Path, seen: Probe, *, is_log: bool) -> None:
        """Keeps why a file was not recognised, of all files the one that came nearest."""
        if seen.fault is not None and is_log:
            self.faults[file] = seen.fault
        for name, one in self.importers.items():
            self.proposal = self.proposal or one.proposal(seen)
            missing = one.missing(seen)
            share = len(missing) / max(1, len(one.needs.split()))
            if 0 < share < self._least:
                at = "" if file == self.path else f"of {file.relative_to(self.path)} the "
                self._least = share
                self.nearest = f"; {at}nearest is {name}, which needs {' and '.join(missing[:3])}"


def look(path: Source, importers: Mapping[str, Importer], asked: str | None = None) -> Sight:
    """Returns what each of `importers` says of a file, or of every file below a folder but for
    what audits and exports left there.

    Args:
        path: a file, a folder, or several.
        importers: by name.
        asked: the one that is to read it. None: that is open.
    """
    names = importers if asked is None else (asked,)
    if isinstance(path, Shards):
        return _of_shards(Sight(path.root, importers, path), names)
    sight = Sight(path, importers)
    if path.is_dir():
        sight.owned = {name: own for name in names if (own := importers[name].own(path))}
    taken = {each for own in sight.owned.values() for each in own}
    for file in _below(path, taken) if path.is_dir() else [path]:
        sight.see(file)
    return sight


def _of_shards(sight: Sight, names: Iterable[str]) -> Sight:
    """Looks at each of several files and folders. What a format takes of one of the folders as a
    whole it is sure of."""
    for path in () if sight.shards is None else sight.shards.paths:
        own = {name: sight.importers[name].own(path) for name in names if path.is_dir()}
        taken = {file for files in own.values() for file in files}
        for file in [path] if path.is_file() else _below(path, taken):
            sight.see(file)
        for name, files in own.items():
            for file in files:
                sight.found.setdefault(file, {})[name] = Rank.CERTAIN
    return sight


def _below(path: Path, taken: Collection[Path]) -> list[Path]:
    """Returns the files below a folder, but for those that are taken and all in such folders."""
    found: list[Path] = []
    for root, folders, files in walked(str(path)) if path not in taken else ():
        folders[:] = [name for name in folders if Path(root, name) not in taken]
        found += [Path(root, name) for name in files if not name.endswith(ENDING)]
    return sorted(file for file in found if file not in taken and file.is_file())


def refusal(sight: Sight, known: list[str]) -> str:
    """Returns one line on why nothing in `sight` is recognised."""
    named = (file for file in sight.found if file == sight.path or file.suffix in _PICKLED)
    if (pickle := next(filter(_is_pickle, named), None)) is not None:
        return _within(
            f"{pickle}: a pickle, which is never read: it could run anything",
            "; slime and miles: examples/slime_to_assay.py, run where the file was made, writes"
            " records of it",
        )
    broken = [error for file, error in sight.faults.items() if _begins_well(file)]
    if broken and not sight.nearest:
        return one_line(str(broken[0]))
    if sight.proposal:
        then = f"; a table is read if you say which column is what: {sight.proposal}"
    else:
        then = f"; expected one of the {len(known)} formats that --format can name"
    what = f"{sight.shards or sight.path}: no known log format ({_shown(sight)}){sight.nearest}"
    return _within(what, then)


def _within(what: str, then: str) -> str:
    """Returns one line of at most `_LONGEST` characters, of which the end is whole."""
    line, room = one_line(what), _LONGEST - len(then)
    return (line if len(line) <= room else f"{line[: room - 3]}...") + then


def _is_pickle(file: Path) -> bool:
    """Is it a pickle, or what torch writes, which is one in a zip?"""
    head = beginning(file)
    return head.startswith(PICKLES[:4]) or (
        head[:4] == b"PK\x03\x04" and b"/data.pkl" in head[:300]
    )


def _begins_well(file: Path) -> bool:
    """Is it worth saying where a file stops to be JSON or Parquet, or was it never any?"""
    head = beginning(file)
    return head[:4] == b"PAR1" or head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"[", b"")


def _shown(sight: Sight) -> str:
    """Returns what was found instead of a log, in a few words."""
    if sight.path.is_dir():
        files = len(sight.found)
        return f"no log among its {files} files" if files else "the folder is empty"
    seen = probe(sight.path)
    first = seen.first
    if first is None and (columns := columns_of(seen)):
        return f"its columns are {', '.join(name[:20] for name in columns[:6])}"
    if isinstance(first, dict):
        keys = [str(key)[:20] for key in first][:6]
        return f"its first record has the keys {', '.join(keys)}" if keys else "an empty object"
    if first is None:
        return "it holds no JSON"
    return f"its first value is no object: {type(first).__name__}"
