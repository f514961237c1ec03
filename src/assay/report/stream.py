"""JSON that is written piece by piece: of a large set no more than a part of it is in memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

_AT_ONCE = 4096
"""Entries of a list that are written together."""


class Listed(NamedTuple):
    """A list in parts."""

    size: int
    part: Callable[[slice], Sequence[Any]]


def pieces(value: Any) -> Iterator[bytes]:
    """Yields JSON, keys sorted, of what may hold a `Listed` in its dicts."""
    if isinstance(value, Listed):
        yield b"["
        for low in range(0, value.size, _AT_ONCE):
            part = list(value.part(slice(low, min(low + _AT_ONCE, value.size))))
            yield (b"," if low else b"") + msgspec.json.encode(part, order="sorted")[1:-1]
        yield b"]"
    elif isinstance(value, dict):
        for number, name in enumerate(sorted(value)):
            yield (b"," if number else b"{") + msgspec.json.encode(name) + b":"
            yield from pieces(value[name])
        yield b"}" if value else b"{}"
    else:
        yield msgspec.json.encode(value, order="sorted")
