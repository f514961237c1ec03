"""The running average of a policy's weights: a teacher or a scorer that follows it slowly, or not
at all. Needs torch."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assay.errors import DataError, told

FILE: Final = "teacher.safetensors"
"""Name of a teacher in a checkpoint."""


@final
class Average:
    """w' = (1 - rate) w' + rate w after each step, over the weights that are trained.

    SDPO 2026, https://arxiv.org/abs/2601.20802, takes rates of 0.05 and 0.01. Weights that are not
    trained (the base under adapters) are the policy's own.
    """

    def __init__(self, model: Any, rate: float) -> None:
        """Begins with the model's weights as they are; `rate` lies in (0, 1], 1 is the policy."""
        self.rate = rate
        self._weights = {
            name: each.detach().clone()
            for name, each in model.named_parameters()
            if each.requires_grad
        }

    @torch.no_grad()
    def update(self, model: Any) -> None:
        """Takes a step of the model in."""
        for name, each in self._trained(model):
            self._weights[name].lerp_(each.detach(), self.rate)

    @contextmanager
    def worn(self, model: Any) -> Generator[None]:
        """Lets the model have the average's weights; no copy is made, and its own come back."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def _swap(self, model: Any) -> None:
        for name, each in self._trained(model):
            each.data, self._weights[name] = self._weights[name], each.data

    def _trained(self, model: Any) -> Iterator[tuple[str, Any]]:
        for name, each in model.named_parameters():
            if name in self._weights:
                yield name, each

    def save(self, folder: Path, file: str = FILE) -> None:
        """Writes it into a checkpoint."""
        save_file({name: each.contiguous() for name, each in self._weights.items()}, folder / file)

    def load(self, folder: Path, file: str = FILE) -> None:
        """Puts back what `save` wrote.

        Raises:
            DataError: the checkpoint has none, or one of another model.
        """
        path = folder / file
        try:
            found = load_file(path)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path}: {told(error)}; expected the average of the run") from None
        mine = {name: each.shape for name, each in self._weights.items()}
        if {name: each.shape for name, each in found.items()} != mine:
            raise DataError(f"{path}: weights of another model; expected the average of the run")
        for name, each in self._weights.items():
            each.copy_(found[name])
