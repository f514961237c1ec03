"""Whether a model has dropout, and how to leave it out. Needs torch."""

from typing import Any

from torch import nn


def dropout(model: Any) -> bool:
    """Returns whether a part of the model leaves something out in training."""
    return any(
        (isinstance(each, nn.Dropout) and each.p > 0)
        or float(getattr(each, "attention_dropout", 0.0) or 0.0) > 0
        for each in model.modules()
    )


def without_dropout(model: Any) -> None:
    """Turns dropout off in every part of the model; its configuration stays as it is."""
    for each in model.modules():
        if isinstance(each, nn.Dropout):
            each.p = 0.0
        elif isinstance(getattr(each, "attention_dropout", None), float):
            each.attention_dropout = 0.0
