"""What a report says of groups in which all failed: the ladder is loaded where there is one."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from assay.records import Trajectory

if TYPE_CHECKING:
    from assay.rescue.explain import Explained


def explained(records: Iterable[Trajectory], *, pass_at: float) -> "list[Explained]":
    """Returns which rungs could rescue each group, and what the others lack; see
    `assay.rescue.explain`."""
    from assay.rescue.explain import explain

    return explain(records, pass_at=pass_at)
