"""One row of numbers per optimiser step: to a JSON Lines file, to the console, to trackers."""

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from assay.files.lines import append

TRACKERS: Final = ("trackio", "wandb")


def trackers() -> list[str]:
    """Returns the installed trackers, as `report_to` takes them; "none" where there is none."""
    found = [name for name in TRACKERS if importlib.util.find_spec(name) is not None]
    return found or ["none"]


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Appends a row to a file, one JSON object a line; a number that is not finite is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    append(path, {key: finite(value) for key, value in row.items()})


def finite(value: Any) -> Any:
    """Returns the value, or None for a number that is not finite: JSON has none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def causes_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns why groups of a step's batch are dead, each cause with its share."""
    dead = {name: value for name, value in row.items() if name.startswith("dead/") and value > 0}
    return {name.removeprefix("dead/"): share for name, share in dead.items()}


def _rescued(row: Mapping[str, Any]) -> list[str]:
    """Returns how many dead groups were rescued, of those that were helped; where none was,
    nothing."""
    helped = row.get("rescue/groups")
    return [f"rescued {row['rescue/rescued']} of {helped}"] if helped else []


def step_line(row: Mapping[str, Any]) -> str:
    """Returns a row as one line for a person."""
    causes = " ".join(f"{name} {value:.0%}" for name, value in causes_of(row).items())
    earned = [f"reward {row['reward']:.3f}", f"pass@1 {row['pass_rate']:.3f}"]
    parts = [
        f"step {row['step']}",
        *(["start", f"similarity {row['reward']:.3f}"] if row.get("start") else earned),
        f"dead {row['dead_share']:.0%}" + (f" ({causes})" if causes else ""),
        *_rescued(row),
        f"|A| +{row['mass/positive']:.1f} -{row['mass/negative']:.1f}",
        f"H {row['entropy']:.3f}",
        f"ratio {row['ratio/max']:.2f}",
        f"length {row['length/mean']:.1f}",
        f"{row['tokens_generated']:,} tokens",
    ]
    if row.get("tool_calls"):
        parts.append(f"{row['tool_calls']:,} calls")
    if row.get("probe_logprob") is not None:
        parts.append(f"probe {row['probe_logprob']:.3f}")
    if row.get("skipped"):
        parts.append("skipped")
    return "  ".join(parts)
