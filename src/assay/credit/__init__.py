"""The methods, by name. Adding one is one file in this folder and one line here."""

from typing import Any

import msgspec

from assay.batch import Batch
from assay.credit.base import Method
from assay.credit.outcome import DrGrpo, Grpo, MaxRl, Rloo
from assay.errors import UnknownNameError, UsageError
from assay.kernels.advantages import Advantages
from assay.registry import Registry

METHODS: Registry[Method] = Registry(
    "method",
    {
        # outcome within the group
        "grpo": Grpo,  # Shao et al. 2024, arXiv:2402.03300
        "dr_grpo": DrGrpo,  # Liu et al. 2025, arXiv:2503.20783
        "rloo": Rloo,  # Ahmadian et al. 2024, arXiv:2402.14740
        "max_rl": MaxRl,  # Tajwar et al. 2026, arXiv:2602.02710
    },
    group="assay.methods",
)


def method(name: str, **options: Any) -> Method:
    """Returns a method by name, its options checked and converted.

    >>> method("grpo", ddof=0).ddof
    0

    Raises:
        UnknownNameError: no such method, or no such option of it; names the nearest.
        UsageError: an option of the wrong type or out of its choices.
    """
    cls = METHODS.get(name)
    known = getattr(cls, "__dataclass_fields__", {})
    for option in options:
        if option not in known:
            import difflib

            close = difflib.get_close_matches(option, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownNameError(
                f"{name} has no option {option!r}.{hint} Known: {', '.join(known) or 'none'}"
            )
    try:
        return msgspec.convert(options, cls, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}") from None


def credit(batch: Batch, by: Method) -> Advantages:
    """Returns the advantages of `by` on `batch`: the credit stage, pure."""
    return by(batch)


__all__ = ["METHODS", "Advantages", "Method", "credit", "method"]
