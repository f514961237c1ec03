"""`assay export`: the credit of a log as a folder that appears whole, with a manifest."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

import msgspec
import numpy as np

from assay import __version__
from assay.errors import DataError, UsageError
from assay.exporters import EXPORTERS, Exporter, Row, Rows, Tally
from assay.files.atomic import publish
from assay.files.folders import MANIFEST, whole
from assay.importers import NONE, Choices, Losses, load
from assay.pipeline import credits
from assay.recipes import Recipe
from assay.records import Decision
from assay.runs.directory import records_of
from assay.runs.reading import gated_batch

SCHEMA: Final = "assay.export/1"


def export(
    log: Path,
    out: Path,
    *,
    to: str,
    method: str,
    options: Mapping[str, Any] | None = None,
    format: str | None = None,
    pass_at: float = 1.0,
    choices: Choices = NONE,
) -> dict[str, Any]:
    """Writes the credit of a log in the form of an engine; returns the manifest.

    The log is read twice: once for the batch, once for what the rows hold beside their credit.

    Args:
        log: a file, a folder, or a run directory.
        out: a folder that is not there yet, is empty, or holds an export, whose files are replaced.
        to: a name of `EXPORTERS`.
        method: a name of `assay.credit.METHODS`.
        options: of the method, and `like`, an engine whose numbers it reproduces.
        format: of the log; None: recognised.
        pass_at: a trajectory passes at this outcome or above.
        choices: see `assay.importers.load`.

    Raises:
        DataError: the log cannot be read, or no row of it can take the form.
        MethodError: the method cannot run on it.
        UsageError: `out` is something else, or holds the log; no such engine, method or option.
    """
    exporter = EXPORTERS.get(to)()
    recipe = Recipe.compared([method], pass_at=pass_at, options=dict(options or {}))
    _check(out, log)
    before = _made(out)
    tally, losses = Tally(), Losses()
    batch, decisions, name = gated_batch(
        log, format=format, pass_at=pass_at, choices=choices, losses=losses
    )
    _check_kept(log, decisions)
    ((_, advantages),) = credits(batch, recipe)
    again = load(records_of(log), format=name, choices=choices)[1]
    rows = Rows(batch, decisions, advantages, tally.lost).of(again)
    made: dict[str, Any] = {
        **_about(exporter),
        "source": log.resolve().name,
        "format": name,
        "choices": _chosen(choices),
        "method": method,
        "options": _options(recipe),
        "pass_at": pass_at,
        "trajectories": len(batch.ids),
    }
    noted = _Noted(rows)
    with whole(out, made=before) as folder:
        exporter.write(noted.rows(), folder, tally)
        if not tally.rows:
            raise DataError(f"{log}: no row of it can be exported to {to}: {_why(tally, to)}")
        made |= {"rows": tally.rows, "tokens": tally.tokens, "lost": _counted(tally.lost)}
        made["all_zero"] = noted.all_zero
        made["files"] = sorted(
            each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()
        )
        made["log_losses"] = _counted(losses)
        publish(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return made


@final
class _Noted:
    """Rows that pass by, and whether one of them has an advantage."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.all_zero = True

    def rows(self) -> Iterator[Row]:
        """Yields the rows."""
        for row in self._rows:
            values = np.append(row.advantage[row.carried], row.scalar or 0.0)
            self.all_zero &= not np.nan_to_num(values).any()
            yield row


def _check(out: Path, log: Path) -> None:
    if out.exists() and not (out.is_dir() and (_is_export(out) or not any(out.iterdir()))):
        raise UsageError(f"{out}: exists and is no export; choose another with --out")
    if out.resolve() in (log.resolve(), *log.resolve().parents):
        raise UsageError(f"{out}: holds the log and would be replaced; choose another with --out")


def _is_export(folder: Path) -> bool:
    return _written(folder).get("schema") == SCHEMA


def _written(folder: Path) -> dict[str, Any]:
    """Returns the manifest of a folder; nothing where it has none."""
    try:
        about = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _made(folder: Path) -> frozenset[str]:
    """Returns the files that an earlier export left in a folder. Of one that does not say, those
    that exports have."""
    forms = " ".join(EXPORTERS.get(name).writes for name in EXPORTERS.names())
    files = _written(folder).get("files") or re.findall(r"`([^`]+\.[a-z]+)`", forms)
    return frozenset([MANIFEST, *map(str, files)])


def _about(exporter: Exporter) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "assay": __version__,
        "to": exporter.name,
        "engine": exporter.engine,
        "checked": exporter.checked,
        "grain": exporter.grain,
        "lacks": exporter.lacks,
    }


def _options(recipe: Recipe) -> dict[str, Any]:
    """Returns every option of the method, as it was used."""
    method: Any = recipe.parts[0].method
    return {each.name: getattr(method, each.name) for each in dataclasses.fields(method)}


def _chosen(choices: Choices) -> dict[str, Any]:
    """Returns what the reader chose; of a file its name alone."""
    chosen = {key: value for key, value in msgspec.structs.asdict(choices).items() if value}
    if choices.labels is not None:
        chosen["labels"] = Path(choices.labels).name
    return chosen


def _counted(losses: Losses) -> dict[str, Any]:
    return {
        kind: {"count": count, "first": losses.first[kind]}
        for kind, count in sorted(losses.counts.items())
    }


def _check_kept(log: Path, decisions: Sequence[Decision]) -> None:
    """Raises DataError where the gates dropped everything, so that there is no credit to write."""
    dropped = Counter(each.reason for each in decisions if each.verdict == "drop")
    if dropped.total() < len(decisions):
        return
    reasons = ", ".join(f"{reason} x {count:,}" for reason, count in dropped.most_common(4))
    way = "; give outcomes with --outcome, or with assay label" if "unscored" in dropped else ""
    raise DataError(f"{log}: no trajectory of it can be credited: {reasons}{way}")


def _why(tally: Tally, to: str) -> str:
    """Returns what kept all rows out, most frequent first, and what to do about token ids."""
    counts = Counter(tally.lost.counts)
    why = ", ".join(f"{kind} x {count:,}" for kind, count in counts.most_common(4)) or "it has none"
    if "no_token_ids" not in counts:
        return why
    other = "" if to in ("verifiers", "prime-rl") else "--to verifiers takes one of a whole trace, "
    return f"{why}: the log has no token ids; {other}assay credit gives one advantage a step"
