"""A log format of your own: python examples/own_importer.py

A package offers it under the entry point `assay.importers`; then `assay audit` recognises it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar, final

from assay import audit, load
from assay.importers import IMPORTERS, Importer, Record
from assay.records import ModelStep, Trajectory, UserStep


@final
class Quiz(Importer):
    """`{"question", "said", "right"}`, one object a line."""

    name: ClassVar[str] = "quiz"
    title: ClassVar[str] = "quiz logs"
    needs: ClassVar[str] = "question said right"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        """Yields one trajectory a line; equal questions are one group."""
        question = record.need("question", str)
        yield Trajectory(
            id=f"line {record.index}",
            task=question,
            group=question,
            steps=(UserStep(text=question), ModelStep(text=record.need("said", str))),
            outcome=float(record.need("right", bool)),
            origin=record.origin(),
        )


if __name__ == "__main__":
    IMPORTERS.add("quiz", Quiz)
    rows = [
        {"question": "capital of Peru?", "said": "Lima", "right": True},
        {"question": "capital of Peru?", "said": "Cusco", "right": False},
        {"question": "capital of Chad?", "said": "I do not know", "right": False},
        {"question": "capital of Chad?", "said": "Abuja", "right": False},
    ]
    log = Path(mkdtemp()) / "quiz.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print([trajectory.outcome for trajectory in load(log)])
    groups = audit(log)["groups"]
    print(f"{groups['dead']} of {groups['total']} groups are dead")
