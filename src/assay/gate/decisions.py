"""The decisions about a batch, each made when somebody looks at it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import final, overload

import numpy as np
from jaxtyping import Bool, Float64

from assay.records import Decision

_KEPT = ("none", "ok", "")


@final
class Decisions(Sequence[Decision]):
    """One decision per trajectory, in the batch's order."""

    def __init__(
        self,
        ids: Sequence[str],
        weight_K: Float64[np.ndarray, " K"],
        decided: Mapping[int, tuple[str, str, str]],
        undrawn_K: Bool[np.ndarray, " K"] | None = None,
    ) -> None:
        """Takes what was decided.

        Args:
            ids: of the trajectories.
            weight_K: of each.
            decided: gate, reason and detail of those that a gate did not let pass as they are.
            undrawn_K: which of weight 0 a lot passed over; None: none.
        """
        self.ids, self.weight_K, self._decided = ids, weight_K, decided
        self._undrawn_K = undrawn_K

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Decision: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Decision]: ...
    def __getitem__(self, index: int | slice) -> Decision | Sequence[Decision]:
        """Returns a decision by its place, or some."""
        if isinstance(index, slice):
            return tuple(map(self._at, range(len(self))[index]))
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[Decision]:
        """Yields all."""
        return map(self._at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Are they decision for decision the same?"""
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # pyright: ignore[reportAssignmentType] - as of other sequences that compare

    def _at(self, k: int) -> Decision:
        name, reason, detail = self._decided.get(k, _KEPT)
        weight = float(self.weight_K[k])
        undrawn = self._undrawn_K is not None and self._undrawn_K[k]
        dropped = weight == 0.0 and not undrawn
        return Decision(
            trajectory=self.ids[k],
            verdict="keep" if weight == 1.0 else "drop" if dropped else "weight",
            gate=name,
            reason=reason,
            detail=detail,
            weight=weight,
        )
