"""A run on disk: a folder that appears whole, in which every file says what it is.

run.json                      schema "assay.run/1": source, format, options, versions
trajectories.jsonl.zst        the records (left out where the source already holds records)
decisions.jsonl               one gate decision per trajectory
credit/METHOD.jsonl           annotations, schema "assay.credit/1", one file per method
audit.json                    schema "assay.audit/2"
report.html  report.json      the page and its JSON twin (a folder `report/` for large sets)
sources.json                  what it was made from, schema "assay.sources/1" (`runs.sources`)
"""

import hashlib
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import msgspec

from assay import __version__
from assay.audit import Audit, KeptSteps, annotations, step_credit
from assay.audit.kinds import told
from assay.batch import Batch
from assay.batch.blocks import Block, Blocks
from assay.batch.mapped import give_back
from assay.batch.parallel import Fork, beside, in_order, processes
from assay.credit import Advantages
from assay.credit.facts import held
from assay.errors import DataError, MethodError, UsageError
from assay.files.folders import whole
from assay.files.lines import write_rows
from assay.files.shards import Shards, Source
from assay.files.stamps import digest
from assay.importers import IMPORTERS, NONE, Choices, Kept, Losses, load
from assay.pipeline import credits_in_blocks
from assay.recipes import Recipe
from assay.records import Decision, Trajectory
from assay.records.codec import read_some
from assay.runs.counting import counted, looked
from assay.runs.directory import (
    MADE,
    around,
    bank_of,
    files_around,
    name_of,
    page_of,
    place_of,
    records_of,
    refuse_other,
)
from assay.runs.explain import explained
from assay.runs.exposed import Exposed
from assay.runs.reading import By, gated_batch, here
from assay.runs.sources import COPY, Sources

if TYPE_CHECKING:
    from assay.report import Report

SCHEMA = "assay.run/1"
_WORTH_IT = 4_000
"""Trajectories that a process must have, at least, to write annotations of."""


@final
@dataclass(frozen=True, slots=True)
class AuditRun:
    """What an audit left behind."""

    source: Source
    format: str
    audit: dict[str, Any]
    folder: Path | None
    report: Path | None
    reading: str
    """What counts as outcome, as a pass and as a group."""
    again: tuple[int, int] | None = None
    """How many files were read again, of how many; None: there was nothing to take over."""

    @property
    def title(self) -> str:
        """Size of the set in words."""
        n, groups = (int(self.audit[key]["total"]) for key in ("trajectories", "groups"))
        trajectories = told("{n} [trajectory|trajectories]", n)
        return f"{trajectories} in {told('{n} [group|groups]', groups)}"


def audit_log(
    log: Source,
    *,
    format: str | None = None,
    out: Path | None = None,
    pass_at: float | None = None,
    choices: Choices = NONE,
    report: bool = True,
    redact: bool = True,
    seed: int = 0,
    reuse: bool = False,
    now: int | None = None,
    live: bool = False,
    by: By = here,
    bank: Path | None = None,
) -> AuditRun:
    """Audits a log under every method that it allows; with `out`, leaves a run directory.

    Args:
        log: a file, a folder, a run directory, or several.
        format: its format; None: recognised.
        out: the run directory. None: nothing is left.
        pass_at: a trajectory passes at this outcome or above. None: 1, and doubts of it are said.
        choices: see `assay.importers.load`.
        report: build the page.
        redact: blank secrets in it.
        seed: of the bootstrap intervals.
        reuse: take over from an audit of the same log in `out` what has not changed since, and
            leave the next one what it needs for that.
        now: the clock, in nanoseconds. None: what has changed is told by content alone.
        live: somebody writes to the log, of which what is not whole yet is waited for; the page
            looks for newer ones.
        by: who reads it; the result does not depend on it.
        bank: folder of the skill bank that its rollouts read. None: that of the run that made it.

    Raises:
        DataError: there is no log, or it cannot be read.
        UsageError: `out` exists and no audit made it, or it holds the log itself.
    """
    if not log.exists():  # before `out` is looked at, which may be named after it
        raise DataError(f"{log}: no such file")
    log = records_of(log)
    places = [path.resolve() for path in (log.paths if isinstance(log, Shards) else (log,))]
    if out is not None and any(out.resolve() in (at, *at.parents) for at in places):
        raise UsageError(f"{out}: holds the log and would be replaced; choose another with --out")
    page = report and out is not None
    bank = bank_of(log) if bank is None else bank
    asked = _Asked(log, format, pass_at, choices, page, redact, seed, live, by, bank)
    if out is not None:
        refuse_other(out, SCHEMA)
    sources = None
    if out is not None and reuse:
        sources = Sources(log, out, read=asked.read, options=asked.options, now=now, live=live)
        if found := sources.result():
            return AuditRun(log, *found, out, page_of(out), asked.reading, (0, 0))
    with nullcontext() if out is None else whole(out, made=MADE) as folder:
        kept = Kept(live=live) if sources is None else sources.kept
        name, result = _audited(asked, folder, kept)
        if folder is not None and sources is not None:
            sources.write(folder, name)
    again, left = (kept.fresh, kept.fresh + kept.taken), page_of(out) if out else None
    return AuditRun(log, name, result, out, left, asked.reading, again if kept.taken else None)


@final
@dataclass(frozen=True, slots=True)
class _Asked:
    """What is audited, and how."""

    log: Source
    format: str | None
    bar: float | None
    choices: Choices
    report: bool
    redact: bool
    seed: int
    live: bool
    by: By
    bank: Path | None

    @property
    def pass_at(self) -> float:
        return 1.0 if self.bar is None else self.bar

    @property
    def read(self) -> dict[str, Any]:
        """What decides how the log is read."""
        labels = self.choices.labels
        return {
            "format": self.format,
            "choices": msgspec.structs.asdict(self.choices),
            "labels": "" if labels is None else digest(labels),
        }

    @property
    def reading(self) -> str:
        """What counts as outcome, as a pass and as a group, for people."""
        named = self.choices
        outcome = named.outcome or named.map.get("reward") or "the log's own"
        if named.labels is not None:
            outcome = Path(named.labels).name
        group = named.group or named.map.get("group") or named.map.get("task")
        grouped = f"grouped by {group}" if group else "groups: the log's own"
        return f"outcome: {outcome} · pass at {self.pass_at:g} · {grouped}"

    @property
    def noted(self) -> dict[str, Any]:
        """What the run directory says was asked for."""
        said = msgspec.structs.asdict(self.choices).items()
        chosen = {k: v for k, v in said if v or k in ("outcome", "group")}
        if self.choices.labels is not None:
            chosen["labels"] = Path(self.choices.labels).name
        return {"pass_at": self.pass_at, "seed": self.seed, **chosen}

    @property
    def options(self) -> dict[str, Any]:
        """What else decides what the audit says and leaves."""
        names = ("bar", "report", "redact", "seed", "live")
        files = [*files_around(self.log), *([self.bank / "bank.json"] if self.bank else [])]
        beside = [digest(path) for path in files] if self.report else []
        return {**{name: getattr(self, name) for name in names}, "beside": beside}


def _audited(asked: _Asked, folder: Path | None, kept: Kept) -> tuple[str, dict[str, Any]]:
    """Returns format and audit of a log; leaves what belongs to it in a folder."""
    log, pass_at, losses = asked.log, asked.pass_at, Losses()
    copy = None if folder is None else folder / COPY
    batch, decisions, name = gated_batch(
        log,
        format=asked.format,
        pass_at=pass_at,
        choices=asked.choices,
        losses=losses,
        copy_to=copy,
        kept=kept,
        by=asked.by,
    )
    give_back()
    found, page = Audit(batch, decisions, pass_at=pass_at), None
    if folder is not None and asked.report:
        from assay.report import Report

        html = folder / "report.html"
        page = Report(html, batch, decisions, pass_at=pass_at, redact=asked.redact, **around(log))
    refused = _credited(found, page, batch, decisions, folder, asked)
    result = found.result(
        refused=refused,
        losses=losses.counts,
        seed=asked.seed,
        format=name,
        chosen=asked.choices.outcome,
        stated=asked.bar is not None,
    )
    if folder is not None and copy is not None:
        write_rows(folder / "decisions.jsonl", decisions)
        write_rows(folder / "audit.json", [result])
        write_rows(folder / "run.json", [_about(log, name, asked.noted, losses)])
        if page is not None:
            said: dict[str, Any] = {"title": name_of(log), "live": asked.live}
            said["reading"] = f"{IMPORTERS.get(name).title} · {asked.reading}"
            said["explain"] = partial(explained, pass_at=pass_at)
            said["skilled"] = Exposed(asked.bank, pass_at)
            page.write(audit=result, trajectories=_again(log, copy, losses), **said)
    return name, result


def _credited(
    found: Audit,
    page: "Report | None",
    batch: Batch,
    decisions: Sequence[Decision],
    folder: Path | None,
    asked: _Asked,
) -> dict[str, str]:
    """Hands each method's advantages to audit, annotation file and report; returns refusals."""
    recipe, refused = Recipe.compared(pass_at=asked.pass_at), dict[str, str]()
    count, say = processes(len(batch.ids), _WORTH_IT), asked.by(0).say
    if folder is None:
        return counted(found, recipe, count, say)
    looked(found, count, say)
    if page is None and count > 1:
        blocks = found.blocks
        blocks.facts = held(batch)
        one = partial(_counted, found, batch, blocks, decisions, folder)
        jobs = {
            part.name: partial(Fork, one, replace(recipe, parts=(part,))) for part in recipe.parts
        }
        for name, (taken, why) in in_order(jobs, count, say):
            found.absorb(taken)
            refused |= {name: why} if why else {}
        return refused
    with beside(count - 1) as do:
        of_batch = found.blocks if page is None else page.blocks
        for name, blocks in credits_in_blocks(of_batch, recipe):
            why = _one(found, page, batch, decisions, folder, name, blocks, do)
            refused |= {name: why} if why else {}
    return refused


def _counted(
    found: Audit,
    batch: Batch,
    blocks: Blocks,
    decisions: Sequence[Decision],
    folder: Path,
    recipe: Recipe,
) -> tuple[Any, str]:
    """Runs in a fork: returns what is counted of one method, and why it does not run, if so."""
    ((name, of),) = credits_in_blocks(blocks, recipe)
    part = found.part()
    why = _one(part, None, batch, decisions, folder, name, of, lambda job: job())
    return part.taken(), why


def _one(
    found: Audit,
    page: "Report | None",
    batch: Batch,
    decisions: Sequence[Decision],
    folder: Path,
    name: str,
    blocks: Iterable[tuple[Block, Advantages]],
    do: Callable[[Callable[[], object]], object],
) -> str:
    """Hands on one method's advantages; returns why there are none, else nothing."""
    shape, kept = None if page is None else page.method(name), KeptSteps(batch)
    try:
        for block, advantages in blocks:
            steps = step_credit(block.batch, advantages)
            found.add(name, advantages, steps, block.batch)
            kept.add(block, steps)
            if shape is not None:
                shape.add(block, advantages, steps.advantage_S)
            del block, advantages, steps  # or two blocks' lie in memory at once
    except MethodError as error:
        found.drop(name)
        return str(error)
    if page is not None and shape is not None:
        page.keep(shape)
    give_back()  # or a fork has what this process no longer needs
    path = folder / "credit" / f"{name}.jsonl"
    do(partial(write_rows, path, annotations(batch, decisions, name, kept)))
    return ""


def _again(
    log: Source, copy: Path, losses: Losses
) -> Callable[[Container[int]], Iterable[Trajectory | None]]:
    """Returns what reads some records of an audited log, or of the copy it left, again."""
    if copy.exists():
        return partial(read_some, copy)
    if isinstance(log, Path) and log.is_file() and not losses.counts:
        return partial(read_some, log)
    return lambda _: load(log, format="assay")[1]  # passes over what it passed over before


def _about(log: Source, name: str, options: dict[str, Any], losses: Losses) -> dict[str, Any]:
    lost = sorted(losses.counts.items())
    return {
        "schema": SCHEMA,
        "kind": "audit",
        "assay": __version__,
        "source": log.name,
        "path": place_of(log),
        "format": name,
        "options": options,
        "options_sha256": hashlib.sha256(msgspec.json.encode(options, order="sorted")).hexdigest(),
        "losses": {kind: {"count": n, "first": losses.first[kind]} for kind, n in lost},
    }
