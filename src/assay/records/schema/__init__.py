"""The JSON schema of the records, generated from the types. Older versions are kept as they were.

`make schema` writes it anew; a test holds it to the types, so that a change of the format is seen.
"""

from pathlib import Path
from typing import Any

import msgspec

from assay.records.codec import Trajectory5

PATH = Path(__file__).parent / "trajectory.v5.json"
"""Where version 5, the newest, lies."""


def trajectory_schema() -> dict[str, Any]:
    """Returns the JSON schema (draft 2020-12) of one trajectory record."""
    schema = msgspec.json.schema(Trajectory5)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> bytes:
    """Returns the schema as the bytes of its file."""
    return msgspec.json.format(msgspec.json.encode(trajectory_schema()), indent=2) + b"\n"


__all__ = ["PATH", "schema_text", "trajectory_schema"]
