"""`assay demo`: the audit of a recorded set that comes with the package."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.audit import audit


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Run directory.")] = Path("runs/demo"),
) -> None:
    """Audits a recorded rollout set with planted faults: what to expect of your own logs."""
    with as_file(files("assay.demo") / "rollouts.jsonl") as log:
        audit(log, out=out)
