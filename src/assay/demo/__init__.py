"""A recorded set of trajectories with planted faults: what `assay demo` audits.

`python -m tools.record` makes both files again, byte for byte: scripted agents of known skill
work at an order desk (a real SQLite database behind real tools), and an independent check
of the database scores them. `planted.json` says what an audit must find.
"""

from pathlib import Path

RECORDED = Path(__file__).parent / "rollouts.jsonl"
"""The recorded set, Assay records."""
PLANTED = Path(__file__).parent / "planted.json"
"""What is wrong with it, counted by the recorder and not by the audit."""

__all__ = ["PLANTED", "RECORDED"]
