"""A KV cache with room at its end: what is in it is not copied for each new token. Needs torch.

The layers of transformers join all keys and values anew for every token and again whenever a row
leaves the batch; in rollouts of a small model that is no small part of the time.
"""

from copy import copy
from typing import Any, Final, cast, final

import torch
from transformers.cache_utils import DynamicLayer

ROOM: Final = 0.25
"""Share of its length that a buffer has to spare when it is made."""


def roomy(cache: Any) -> Any:
    """Returns the cache with room in each layer that holds plain keys and values.

    Layers of other kinds (sliding windows, states) stay as they are.
    """
    layers = getattr(cache, "layers", [])
    layers[:] = [Roomy(each) if type(each) is DynamicLayer else each for each in layers]
    return cache


def chosen(cache: Any, rows: torch.Tensor, length: int) -> Any:
    """Returns a cache of `rows` of one of plain keys and values, each as often as it is named, up
    to `length` tokens; the one that is given stays as it is."""
    made = copy(cache)
    made.layers = [copy(layer) for layer in cache.layers]
    for layer in made.layers:
        layer.keys = layer.keys[rows, :, :length]
        layer.values = layer.values[rows, :, :length]
    return made


@final
class Roomy(DynamicLayer):
    """Keys and values (B, H, L, D) in larger buffers: tokens are written behind the last one."""

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._buffers = cast("tuple[torch.Tensor, torch.Tensor]", (layer.keys, layer.values))
        self._show(*self._buffers[0].shape[::2])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends keys and values (B, H, T, D); returns all of both, as views of the buffers."""
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        if end > self._buffers[0].shape[-2]:
            keys, values = self._show(len(key_states), length)
            self._buffers = _wider(keys, end), _wider(values, end)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[: len(states), :, length:end] = states
        return self._show(len(key_states), end)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps rows `indices`, at most as many as there are; only those that move are copied."""
        length = self.get_seq_length()
        to = (indices != torch.arange(len(indices), device=indices.device)).nonzero()[:, 0]
        for buffer in self._buffers:
            buffer[to, :, :length] = buffer[indices[to], :, :length]
        self._show(len(indices), length)

    def _show(self, rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self._buffers
        self.keys, self.values = keys[:rows, :, :length], values[:rows, :, :length]
        return self.keys, self.values


def _wider(states: torch.Tensor, length: int) -> torch.Tensor:
    """Returns a buffer for `length` tokens and some more that begins with what is there."""
    rows, heads, filled, size = states.shape
    buffer = states.new_empty(rows, heads, int(length * (1 + ROOM)) + 1, size)
    buffer[:, :, :filled] = states
    return buffer
