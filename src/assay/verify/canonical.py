"""Canonical tool-call arguments: two ways to write the same call become one key."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode
_NOT_NORMAL = re.compile(r'"\s|\s"|\\[nrtfbu]|[0-9][.eE]')
"""What compact JSON text must not contain to be normal already: space or an escape beside a quote,
a number with a point or an exponent. It may match more than it must."""


class CallForm(NamedTuple):
    """What makes two calls the same call."""

    name: str
    arguments: str
    """Canonical JSON text, or the text as written where it is not one JSON object."""
    is_json: bool


def canonical(arguments: str) -> str | None:
    """Returns the arguments as canonical JSON text, or None if they are not one JSON object.

    Keys are sorted, white space between tokens and around strings is gone, and a number has one
    form: 1, 1.0 and 1e0 are the same, "1" is not. White space inside strings stays: it can be code.
    """
    try:
        value = _decode(arguments)
        if type(value) is not dict:
            return None
        text = _encode(value).decode()
        return _encode(_normal(value)).decode() if _NOT_NORMAL.search(text) else text
    except (msgspec.MsgspecError, RecursionError, UnicodeError, OverflowError):
        return None


def _normal(value: Any) -> Any:
    match value:
        case dict():
            return {key: _normal(item) for key, item in value.items()}
        case list():
            return [_normal(item) for item in value]
        case str():
            return value.strip()
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


@lru_cache(maxsize=1 << 14)
def call_form(name: str, arguments: str) -> CallForm:
    """Returns the form that two calls share if and only if name and canonical arguments agree.

    Arguments that are not a JSON object are compared as they are written, ends stripped.
    """
    form = canonical(arguments)
    return CallForm(name, arguments.strip() if form is None else form, form is not None)
