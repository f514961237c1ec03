"""What a method is: a name, a source, a few options, and a short list of terms."""

from abc import ABC, abstractmethod
from typing import ClassVar

from assay.batch import Batch
from assay.errors import MethodError
from assay.kernels.advantages import Advantages, advantages
from assay.kernels.term import Term


class Method(ABC):
    """One row of the table of methods. Final in every subclass: a frozen dataclass of its options.

    Class attributes are the row: what a person reads in `assay methods`. Options are checked when
    the method is made, and a value that nothing reads is refused, never ignored.
    """

    __slots__ = ()

    name: ClassVar[str]
    source: ClassVar[str]
    """Authors, year, arXiv id."""
    value: ClassVar[str]
    unit: ClassVar[str]
    peers: ClassVar[str]
    carried: ClassVar[str]
    scaling: ClassVar[str]
    """Baseline and scale, in words."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What a batch must hold for it: "logprobs", "entropies", "calls", "trees"."""

    @abstractmethod
    def terms(self, batch: Batch) -> list[Term]:
        """Returns the terms of this method on `batch`. Pure: the batch is not written.

        Raises:
            MethodError: the batch does not hold what the method needs.
        """

    def __call__(self, batch: Batch) -> Advantages:
        """Returns advantages with all their parts."""
        self.check(batch)
        return advantages(self.terms(batch), batch.length_R)

    def check(self, batch: Batch) -> None:
        """Raises MethodError, with what is missing, unless the batch holds what `needs` names."""
        for need in self.needs:
            if not _HOLDS[need](batch):
                raise MethodError(f"{self.name} needs {need}, and no trajectory of the set has any")


_HOLDS = {
    "logprobs": lambda batch: batch.logprob_N is not None,
    "entropies": lambda batch: batch.entropy_N is not None,
    "calls": lambda batch: batch.step_C.size > 0,
    "trees": lambda batch: bool((batch.tree_K >= 0).any()),
}
