"""A recorded set of trajectories with planted faults: what `assay demo` audits.

`python -m tools.record` makes it again, byte for byte: scripted agents of known skill work at an
order desk (a real SQLite database behind real tools), and an independent check of the database
scores them. `tools/planted.json` says what an audit must find.
"""

from pathlib import Path

RECORDED = Path(__file__).parent / "rollouts.jsonl"
"""The recorded set, Assay records."""

__all__ = ["RECORDED"]
