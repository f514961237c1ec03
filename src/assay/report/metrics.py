"""What a run's metrics say of hints, judges, rescues, rubric, domains and skills, step by step."""

import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from assay.files.lines import rows

_SHOWN: Final = ("hints/", "judge/", "rescue/", "rubric/", "schedule/", "skills/")
_MOST: Final = 1_000
"""Steps that are shown; of more, every so many are."""


def metrics(run: Path | None, shown: Callable[[str], str]) -> dict[str, Any] | None:
    """Returns `step`, `source` (of hints, "" where the run does not say) and `columns`: the numbers
    of each name at these steps, null where there is none. None: there is nothing of it.

    Args:
        run: directory of a training run; None: there is none.
        shown: hides secrets.
    """
    if run is None or not (path := run / "metrics.jsonl").is_file():
        return None
    found: list[dict[str, Any]] = []
    with suppress(OSError, ValueError):  # what is whole before it is shown
        found.extend(row for row in rows(path) if "step" in row)
    names = sorted({name for row in found for name in row if name.startswith(_SHOWN)})
    names = [name for name in names if any(_number(row.get(name)) is not None for row in found)]
    if not names:
        return None
    every = -(-len(found) // _MOST)
    kept = [row for n, row in enumerate(found) if n % every == 0 or n + 1 == len(found)]
    return {
        "step": [row["step"] for row in kept],
        "source": shown(_source(run)),
        "columns": {shown(name): [_number(row.get(name)) for row in kept] for name in names},
    }


def _number(value: Any) -> float | None:
    """Returns a number with six digits; None of anything else."""
    return float(f"{value:.6g}") if isinstance(value, int | float) else None


def configured(run: Path | None) -> dict[str, Any]:
    """Returns the configuration that a run wrote down; nothing where it cannot be read, or there is
    no run."""
    if run is None:
        return {}
    try:
        return tomllib.loads((run / "config.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _source(run: Path) -> str:
    hints = configured(run).get("hints")
    return str(hints.get("source", "")) if isinstance(hints, dict) else ""
