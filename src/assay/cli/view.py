"""`assay view`: the report of a run in the browser."""

import webbrowser
from pathlib import Path
from typing import Annotated, Final

import typer

from assay.errors import UsageError
from assay.runs.audit import audit_log, is_training_run

PAGES: Final = ("report.html", "report/index.html")
"""Of an audit; the second is that of a large set."""


def view(
    run: Annotated[Path, typer.Argument(help="A run directory, or a report.html.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
) -> None:
    """Opens a run's report; a large one is served from 127.0.0.1 and nowhere else.

    A training run is audited first if it was not, and what assay eval left opens beside.
    """
    if is_training_run(run):
        measured, audited = run / "eval" / "report.html", run / "audit"  # where assay audit puts it
        if measured.is_file():
            _shown(measured, open_)
        if not _is_fresh(audited, run / "rollouts"):
            audit_log(run, out=audited)
        run = audited
    page = run if run.is_file() else run / PAGES[0]
    if page.is_file():
        _shown(page, open_)
        return
    folder = run / "report"
    if not (run / PAGES[1]).is_file():
        raise UsageError(f"{run}: no report here; make one with assay audit LOG --out {run}")
    from assay.report import serve

    def ready(url: str) -> None:
        typer.echo(f"{url}  (Ctrl-C stops)")
        if open_:
            webbrowser.open(url)

    serve(folder, port=port, ready=ready)


def _is_fresh(audited: Path, rollouts: Path) -> bool:
    """Returns whether there is a page that is no older than what it is about."""
    made = [(audited / name).stat().st_mtime for name in PAGES if (audited / name).is_file()]
    newest = max((file.stat().st_mtime for file in rollouts.glob("*.jsonl")), default=0.0)
    return bool(made) and made[0] >= newest


def _shown(page: Path, open_: bool) -> None:
    """Says where a page is, and opens it."""
    where = page.resolve().as_uri()
    typer.echo(where)
    if open_:
        webbrowser.open(where)
