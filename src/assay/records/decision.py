"""What a gate decided. There is one for every trajectory, so that the counts add up."""

from typing import Literal

from assay.records.base import Record


class Decision(Record, frozen=True):
    """May this trajectory teach, and how much?"""

    trajectory: str
    verdict: Literal["keep", "drop", "weight"]
    gate: str
    """The gate that decided; "none" where every gate let it pass."""
    reason: str
    """One word for counting: "ok", "unscored", "infra", "duplicate", "tampered" ..."""
    detail: str = ""
    weight: float = 1.0
    """Factor on the trajectory's advantages, >= 0. 1 for "keep", 0 for "drop"; 0 for
    "weight" where a lot passed it over: not trained on, and still counted among its peers."""
