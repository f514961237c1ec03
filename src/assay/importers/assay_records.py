"""Assay's own records: a file, plain or zstd, a folder of them, or a run directory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import final

import msgspec

from assay.errors import TornError
from assay.files.lines import lines
from assay.files.probe import Probe
from assay.importers.base import Importer, Log, Rank, keys
from assay.records import Trajectory, decode

_NAMES = keys("task group tree session policy_version")


@final
class AssayRecords(Importer):
    """Schema "assay.trajectory/1"; see docs/formats.md. Nothing is lost.

    Of a run directory (a folder with a run.json of schema "assay.run/1") the records alone are
    read: `rollouts/*.jsonl` of a training run, `trajectories.jsonl.zst` of an audit.
    """

    name = "assay"
    title = "Assay records"
    needs = "schema:text"

    def rank(self, seen: Probe) -> Rank:
        own = seen.has("schema") and str(seen.first["schema"]).startswith("assay.trajectory/")
        return Rank.CERTAIN if own else Rank.NO

    def own(self, folder: Path) -> tuple[Path, ...]:
        try:
            if json.loads((folder / "run.json").read_bytes())["schema"] != "assay.run/1":
                return ()
        except (OSError, ValueError, KeyError, TypeError):
            return ()
        written = (folder / "rollouts").glob("*.jsonl")
        files = sorted(written, key=lambda file: (len(file.name), file.name))
        return tuple(files or sorted(folder.glob("trajectories.jsonl*")))

    def parts(self, file: Path) -> tuple[Path, ...]:
        return (file,)

    @property
    def splits(self) -> bool:
        return True

    def read(self, log: Log) -> Iterator[Trajectory]:
        for file in log.files:
            try:
                with lines(file, log.within) as numbered:
                    for number, line in numbered:
                        try:
                            trajectory = decode(line, where=f"{file} line {number}")
                        except TornError as error:
                            log.torn(error)
                        else:
                            yield self._in_group(trajectory, log)
            except TornError as error:
                log.torn(error)

    def _in_group(self, trajectory: Trajectory, log: Log) -> Trajectory:
        """Returns the trajectory in the group that was chosen: by one of its names."""
        key = log.choices.group
        if key is None:
            return trajectory
        extra = {} if trajectory.origin is None else trajectory.origin.extra
        name = getattr(trajectory, key, None) if key in _NAMES else extra.get(key)
        if name is None:
            log.losses.add("no_group_key", f"trajectory {trajectory.id[:60]!r}")
            return trajectory
        return msgspec.structs.replace(trajectory, group=str(name))
