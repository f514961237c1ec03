"""The directory of a training run: every file whole, a kill at any moment leaves it resumable.

    run.json           schema "assay.run/1", kind "train": versions, hash of the configuration,
                       seed, status ("running", "finished"), step
    config.toml        the whole configuration, frozen
    code.diff          uncommitted changes, where the run began in a git repository
    metrics.jsonl      one object per optimiser step          ledger.jsonl   one per generated batch
    rollouts/          step_000001.jsonl ...: records, schema "assay.trajectory/1"
    questions/         likewise, of a run that learns from contexts: schema "assay.questions/1"
    rescues/           likewise: tries that came to nothing, failures whose place was taken
    credit/            step_000001.jsonl ...: annotations, schema "assay.credit/1"
    bank/              every version of its skill bank, schema "assay.bank/1", where it has [skills]
    headroom.json      schema "assay.headroom/1", of the start, where [probe] asks for it
    checkpoints/       step_N/: see `assay.runs.checkpoint`
    timing.jsonl       seconds, by step and start             LOCK   held while a process trains

Everything but timing.jsonl and LOCK depends on configuration, seed and versions alone, so that a
run that was killed and resumed ends with the bytes of one that was not.
"""

import json
import re
import subprocess
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

from assay.errors import DataError, UsageError
from assay.files.atomic import is_temporary, publish, sync
from assay.files.folders import locked, whole
from assay.files.lines import append, cut, rows
from assay.recipes import read
from assay.runs.config import Config, hashed, parsed

SCHEMA: Final = "assay.run/1"
KIND: Final = "train"
LOGS: Final = ("metrics.jsonl", "ledger.jsonl")
"""Files that grow by lines with a step, and are cut back to the last checkpoint on resume."""
FOLDERS: Final = ("rollouts", "credit")
"""Folders with one file per generated batch, likewise."""
RESCUES: Final = "rescues"
"""Another one, which is there once something was rescued."""
QUESTIONS: Final = "questions"
"""Another one, of runs that learn from contexts."""
_BATCH: Final = re.compile(r"step_([0-9]+)\.jsonl")


@final
class Folder:
    """A run directory that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def create(path: Path, config: Config, *, about: Mapping[str, Any]) -> "Folder":
        """Makes a new run directory.

        Raises:
            UsageError: see `vacant`.
        """
        Folder.vacant(path)
        with whole(path) as fresh:
            Folder._fill(fresh, config, about)
        return Folder(path)

    @staticmethod
    def vacant(path: Path) -> None:
        """Refuses what no run directory can be made at; an empty folder will do.

        Raises:
            UsageError: there is something at `path` already, or a file above it.
        """
        if path.is_dir() and any(path.iterdir()):
            raise UsageError(
                f"{path}: exists already; go on with it by --resume {path}, or choose another --out"
            )
        there = next(each for each in (path, *path.parents) if each.exists())
        if not there.is_dir():
            raise UsageError(f"{there}: is a file, not a folder; choose another --out")

    @staticmethod
    def _fill(path: Path, config: Config, about: Mapping[str, Any]) -> None:
        if diff := _asked(["git", "diff", "HEAD"]):
            publish(path / "code.diff", diff)
        publish(path / "config.toml", config.toml().encode())
        for name in (*LOGS, "timing.jsonl"):
            (path / name).touch()
        for name in (*FOLDERS, "checkpoints"):
            (path / name).mkdir()
        Folder(path)._write_about(
            {
                "schema": SCHEMA,
                "kind": KIND,
                **about,
                "config_sha256": config.sha256,
                "code_diff": "code.diff" if diff else None,
                "status": "running",
                "step": 0,
            }
        )

    @staticmethod
    def open(path: Path) -> "Folder":
        """Opens a run directory.

        Raises:
            DataError: there is none.
        """
        about = path / "run.json"
        try:
            kind = json.loads(about.read_bytes()).get("kind")
        except (OSError, ValueError, AttributeError) as error:
            why = getattr(error, "strerror", None) or error  # its text would name the file again
            raise DataError(f"{path}: no run directory (run.json: {why}); expected one") from None
        if kind != KIND:
            raise DataError(f"{path}: a run of kind {kind!r}; expected one that assay train made")
        return Folder(path)

    @property
    def about(self) -> dict[str, Any]:
        """What run.json says."""
        return json.loads((self.path / "run.json").read_bytes())

    @property
    def config(self) -> Config:
        """The frozen configuration.

        Raises:
            DataError: it is not the one that the run began with.
        """
        data = read(str(self.path / "config.toml"))
        config = parsed(data, "config.toml")
        if self.about["config_sha256"] not in (hashed(data), config.sha256):
            raise DataError(
                f"{self.path / 'config.toml'}: was changed after the run began; restore it, or "
                "begin another run with it"
            )
        return config

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoints"

    def update(self, **facts: Any) -> None:
        """Writes run.json anew."""
        self._write_about({**self.about, **facts})

    def _write_about(self, about: Mapping[str, Any]) -> None:
        publish(self.path / "run.json", json.dumps(about, indent=1).encode() + b"\n")

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Adds a line to a log; a line that does not fit is taken back.

        Raises:
            DataError: there is no room for it.
        """
        append(self.path / name, row)

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Returns the lines of a log."""
        return rows(self.path / name)

    def batch(self, folder: str, step: int) -> Path:
        """Returns the file of the batch that begins with a step, in one of `FOLDERS`."""
        if folder in (RESCUES, QUESTIONS):
            (self.path / folder).mkdir(exist_ok=True)
        return self.path / folder / f"step_{step:06d}.jsonl"

    def synced(self) -> None:
        """Makes the logs survive a power cut."""
        for name in LOGS:
            sync(self.path / name)

    def cut_back(self, step: int) -> None:
        """Takes everything back that is newer than a checkpoint, a torn last line included; files
        that are not called like ours stay."""
        for name in LOGS:
            cut(self.path / name, lambda row: row["step"] <= step)
        for folder in (*FOLDERS, RESCUES, QUESTIONS):
            for path in (self.path / folder).glob("*"):
                batch = _BATCH.fullmatch(path.name)
                if is_temporary(path.name) or (batch and int(batch[1]) > step):
                    path.unlink()
        for path in self.path.iterdir():
            if is_temporary(path.name) and path.is_file():  # a folder is an audit's
                path.unlink()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keeps other processes from training here; freed by the system when the process dies.

        Raises:
            UsageError: another process does.
        """
        with locked(self.path / "LOCK", f"{self.path}: another process is training here"):
            yield


def commit_of_code() -> str | None:
    """Returns the commit that we run from. None: not in git."""
    said = _asked(["git", "rev-parse", "HEAD"])
    return None if said is None else said.decode().strip()


def _asked(command: list[str]) -> bytes | None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
