"""Canonical tool-call arguments: two ways to write the same call become one key."""

import hashlib
from functools import lru_cache

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode
_LARGEST_EXACT = 2**53


@lru_cache(maxsize=1 << 16)
def canonical(arguments: str) -> str | None:
    """Returns the arguments as canonical JSON text, or None if they are not one JSON object.

    Keys are sorted, white space between tokens and around strings is gone, and a number has one
    form: 1, 1.0 and 1e0 are the same, "1" is not. White space inside strings stays: it can be code.
    """
    try:
        value = _decode(arguments)
        if not isinstance(value, dict):
            return None
        return _encode(_normal(value)).decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeError, OverflowError):
        return None


def _normal(value: Json) -> Json:
    match value:
        case dict():
            return {key: _normal(item) for key, item in value.items()}
        case list():
            return [_normal(item) for item in value]
        case str():
            return value.strip()
        case float() if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
        case _:
            return value


@lru_cache(maxsize=1 << 16)
def call_key(name: str, arguments: str) -> int:
    """Returns a 63-bit key that two calls share if and only if name and canonical arguments agree.

    Arguments that are not a JSON object are compared as they are written, ends stripped. The key
    is a hash: two different calls collide with probability 2^-63.
    """
    form = canonical(arguments)
    text = f"{name}\0raw\0{arguments.strip()}" if form is None else f"{name}\0json\0{form}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
