"""Foreign logs to `Trajectory` records. Adding a format is one file and one line here."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from assay.errors import DataError
from assay.importers.assay_records import AssayRecords
from assay.importers.atif import Atif
from assay.importers.base import Importer, Losses, Probe, one_line
from assay.importers.chat import Chat
from assay.importers.harbor import Harbor
from assay.importers.inspect import Inspect
from assay.importers.intercode import InterCode
from assay.importers.mini_swe_agent import MiniSweAgent
from assay.importers.nemo import Nemo
from assay.importers.recognise import probe
from assay.importers.rllm import Rllm
from assay.importers.swe_agent import SweAgent
from assay.importers.tau2_bench import Tau2Bench
from assay.importers.tau_bench import TauBench
from assay.importers.trl import Trl
from assay.importers.verifiers import Verifiers
from assay.importers.verl import Verl
from assay.importers.who_and_when import WhoAndWhen
from assay.records import Trajectory
from assay.registry import Registry

IMPORTERS: Registry[Importer] = Registry(
    "format",
    {
        "assay": AssayRecords,
        "chat": Chat,  # OpenAI chat messages with task, trial, reward
        "tau_bench": TauBench,
        "tau2_bench": Tau2Bench,
        "intercode": InterCode,
        "who_and_when": WhoAndWhen,
        "swe_agent": SweAgent,
        "mini_swe_agent": MiniSweAgent,
        "atif": Atif,
        "harbor": Harbor,
        "verifiers": Verifiers,
        "inspect": Inspect,
        "verl": Verl,
        "trl": Trl,
        "nemo": Nemo,
        "rllm": Rllm,
    },
    group="assay.importers",
)


def load(
    path: Path, *, format: str | None = None, losses: Losses | None = None
) -> tuple[str, Iterator[Trajectory]]:
    """Returns the name of the format of `path` and its trajectories, read as they are asked for.

    Args:
        path: a file or a folder.
        format: a name of `IMPORTERS`; None: recognised by content.
        losses: what could not be carried over is counted here.

    Raises:
        DataError: nothing recognises it; or, while iterating, a record is malformed.
        UnknownNameError: no such format.
    """
    losses = Losses() if losses is None else losses
    if not path.is_dir() and not path.is_file():
        missing = "no regular file; save it to one first" if path.exists() else "no such file"
        raise DataError(one_line(f"{path}: {missing}"))
    name = format or recognise(path)
    return name, _guarded(IMPORTERS.get(name)(), path, losses)


def recognise(path: Path) -> str:
    """Returns the name of the one importer that recognises `path` by its content."""
    seen = probe(path)
    names = [n for n in IMPORTERS.names() if IMPORTERS.get(n)().recognises(seen)]
    if len(names) == 1:
        return names[0]
    if names:
        raise DataError(f"{path}: could be {' or '.join(names)}; say which with --format")
    if seen.fault is not None:
        raise DataError(one_line(str(seen.fault)))
    raise DataError(
        one_line(f"{path}: no known log format ({_seen(seen)})")
        + f"; expected one of {', '.join(IMPORTERS.names())}; name it with --format"
    )


def _seen(probe: Probe) -> str:
    """Returns what was found instead of a log, in a few words."""
    first, files = probe.log.first, len(probe.names)
    if isinstance(first, dict):
        keys = [str(key)[:20] for key in first][:6]
        return f"its first record has the keys {', '.join(keys)}" if keys else "an empty object"
    if probe.path.is_dir():
        return f"no log among its {files} files" if files else "the folder is empty"
    return (
        "no JSON object"
        if first is None
        else f"its first value is no object: {type(first).__name__}"
    )


def _guarded(importer: Importer, path: Path, losses: Losses) -> Iterator[Trajectory]:
    """Yields what the importer reads, with ids that are unique and errors that are one line."""
    where = str(path)
    seen: Counter[str] = Counter()
    try:
        for trajectory in importer.read(path, losses):
            where = f"{path} after trajectory {trajectory.id[:60]!r}"
            if trajectory.id in seen:
                losses.add("repeated_id", where)
                seen[trajectory.id] += 1
                while (name := f"{trajectory.id}~{seen[trajectory.id]}") in seen:
                    seen[trajectory.id] += 1
                trajectory = msgspec.structs.replace(trajectory, id=name)
            seen[trajectory.id] = 1
            yield trajectory
        if not seen:
            raise DataError(f"{path}: no trajectory in it; expected {importer.title}")
    except RecursionError:
        raise DataError(one_line(f"{where}: JSON nested too deeply")) from None
    except OSError as error:
        raise DataError(one_line(f"{where}: {error.strerror or error}")) from None
    except DataError as error:
        raise type(error)(one_line(str(error))) from None


__all__ = ["IMPORTERS", "Importer", "Losses", "Probe", "load", "recognise"]
