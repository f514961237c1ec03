"""One reward vector, many answers: the table of docs/conventions.md, computed.

`python -m assay.credit.conventions` prints it. A test pins every row: TRL's and verl's to the
installed packages, the others to their published formula.
"""

from collections.abc import Iterator
from typing import Any

from assay.batch import Batch
from assay.credit import method
from assay.credit.presets import PRESETS
from assay.records import ModelStep, Trajectory

_OUTCOMES = {"four": (1.0, 0.0, 0.0, 0.0), "lone": (1.0,)}


def rows() -> Iterator[dict[str, Any]]:
    """Yields one row per preset: outcomes [1, 0, 0, 0] and a lone 1, as that engine has them."""
    step = (ModelStep(text="x"),)
    batch = Batch.of(
        Trajectory(
            id=f"{group}-{i}",
            task=group,
            group=group,
            outcome=outcome,
            steps=step,
            rewards={"outcome": outcome},
        )
        for group, values in _OUTCOMES.items()
        for i, outcome in enumerate(values)
    )
    for name, engines in PRESETS.items():
        for engine, options in engines.items():
            success, failure, *_, lone = method(name, like=engine)(batch).advantage_N.tolist()
            yield {
                "method": name,
                "like": engine,
                "options": options,
                "success": success,
                "failure": failure,
                "lone": lone,
            }


def table() -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| method | `like` | options | success of [1, 0, 0, 0] | failure | lone 1 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows():
        options = ", ".join(f"{key} {value}" for key, value in row["options"].items())
        numbers = (f"{row[key]:.4f}" for key in ("success", "failure", "lone"))
        lines.append(f"| {row['method']} | {row['like']} | {options} | {' | '.join(numbers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
