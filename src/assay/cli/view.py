"""`assay view`: the report of a run in the browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from assay.errors import UsageError
from assay.run_dir import is_training_run


def view(
    run: Annotated[Path, typer.Argument(help="A run directory, or a report.html.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
) -> None:
    """Opens a run's report; a large one is served from 127.0.0.1 and nowhere else."""
    trained = is_training_run(run)
    made_by = f"assay audit {run}" if trained else f"assay audit LOG --out {run}"
    missing = f"{run}: no report here; make one with {made_by}"
    if trained:
        run = run / "audit"  # where assay audit RUN puts it
    page = run if run.is_file() else run / "report.html"
    if page.is_file():
        typer.echo(page.resolve().as_uri())
        if open_:
            webbrowser.open(page.resolve().as_uri())
        return
    folder = run / "report"
    if not (folder / "index.html").is_file():
        raise UsageError(missing)
    from assay.report import serve

    def ready(url: str) -> None:
        typer.echo(f"{url}  (Ctrl-C stops)")
        if open_:
            webbrowser.open(url)

    serve(folder, port=port, ready=ready)
