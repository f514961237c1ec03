"""`assay view`: the report of a run in the browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from assay.errors import DataError, UsageError
from assay.runs.audit import audit_log
from assay.runs.directory import files_around, is_training_run, page_of, unrolled


def view(
    run: Annotated[Path, typer.Argument(help="A run directory, or a report.html.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
) -> None:
    """Opens a run's report in the browser.

    A large one is served from 127.0.0.1 and nowhere else. A training run is audited first if it
    was not, and what assay eval left opens beside.
    """
    if not run.exists():
        raise DataError(f"{run}: no such file or folder")
    if is_training_run(run):
        measured, audited = run / "eval" / "report.html", run / "audit"  # where assay audit puts it
        if measured.is_file():
            _shown(measured, open_)
            if unrolled(run):  # there is nothing to audit
                return
        if not _is_fresh(audited, run):
            audit_log(run, out=audited)
        run = audited
    page = run if run.is_file() else page_of(run)
    if page is None:
        raise UsageError(f"{run}: no report here; make one with assay audit LOG --out {run}")
    if page == run or page.parent == run:
        _shown(page, open_)
        return
    from assay.report import serve

    def ready(url: str) -> None:
        typer.echo(f"{url}  (Ctrl-C stops)")
        if open_:
            webbrowser.open(url)

    serve(page.parent, port=port, ready=ready)


def _is_fresh(audited: Path, run: Path) -> bool:
    """Returns whether there is a page that is no older than what it is about."""
    page = page_of(audited)
    rollouts = run / "rollouts"
    shown = [*rollouts.glob("*.jsonl"), *files_around(rollouts)]
    newest = max((file.stat().st_mtime for file in shown), default=0.0)
    return page is not None and page.stat().st_mtime >= newest


def _shown(page: Path, open_: bool) -> None:
    """Says where a page is, and opens it."""
    where = page.resolve().as_uri()
    typer.echo(where)
    if open_:
        webbrowser.open(where)
