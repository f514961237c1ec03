"""One JSON value from untrusted bytes, strictly, and within ten times its size in memory.

Refused with one line each: what is not JSON (truncated, NaN, infinities, half a surrogate pair,
bytes that are not UTF-8), a key that occurs twice in one object, deep nesting, records beyond
`MAX_RECORD`, records that would unfold to many times their size, and pickles.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import msgspec

from assay.errors import DataError, TornError, one_line
from assay.files.lines import MAX_RECORD

MOST_UNFOLDED = 8
"""A record may take this many times its bytes when it is parsed and turned into records. With the
bytes themselves and what is passing, that stays below ten."""

_FREE = 64 << 20
"""What any record may take, however small it is: as ten thousand short steps with a call each."""
_DENSEST = 165
"""Bytes of memory per byte of the densest text there is, `[{},{},...]`."""
_SMALL = 1 << 18
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x93NUMPY")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_PIECES = re.compile(rb'(?:[^"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"){1,256}+', re.DOTALL)
_CONSTANTS = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)|(?<![\w.])-?(?:NaN|Infinity)\b', re.DOTALL
)
_WIDE = re.compile(rb"[\xf0-\xff]")


class Shape(NamedTuple):
    """What a text is made of."""

    keys: int
    """Keys of all its objects."""
    memory: int
    """Bytes that it takes when parsed and turned into records, at most."""


def parse(
    text: bytes,
    where: str,
    *,
    most: int = MAX_RECORD,
    nan: Callable[[str, int], None] | None = None,
) -> Any:
    """Returns the one JSON value that `text` holds.

    Args:
        text: UTF-8, with or without a byte order mark.
        where: what to call it in an error, for example "log.jsonl line 3".
        most: bytes that it may have.
        nan: gets `where` and the number of NaN and infinities, which Python's writer writes and
            JSON does not have; each is read as null. None: they are refused.

    Raises:
        TornError: the text is no whole JSON value: cut short, damaged, or never JSON.
        DataError: anything else is wrong with it; both name `where` and the first fault.
    """
    if len(text) > most:
        raise DataError(f"{where}: {len(text):,} bytes; expected at most {most:,}; split it")
    if text.startswith(PICKLES):
        raise DataError(f"{where}: looks like a pickle, which is never read; export it as JSON")
    text = text.removeprefix(b"\xef\xbb\xbf")
    if nan is not None and (b"NaN" in text or b"Infinity" in text):
        text = _without_constants(text, where, nan)
    width = _width(text)
    check_size(text, where, width=width)
    try:
        # Python's decoder needs a copy of the text, which may be four times as wide.
        return _plain(text) if width < 4 or len(text) <= _SMALL else _lean(text)
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise TornError(f"{where}: ends within a character; is it cut short?") from None
        raise DataError(f"{where}: not UTF-8 at byte {error.start}; convert it") from None
    except json.JSONDecodeError as error:
        reason = f"not JSON at character {error.pos}: {error.msg}; {_advice(error)}"
        raise TornError(f"{where}: {reason}") from None
    except RecursionError:
        raise DataError(f"{where}: nested too deeply; expected a few hundred levels") from None
    except ValueError as error:
        kind = TornError if isinstance(error, TornError) else DataError
        raise kind(f"{where}: {one_line(str(error))}") from None


def _advice(error: json.JSONDecodeError) -> str:
    open_string = error.msg.startswith("Unterminated string")
    at_end = open_string or len(error.doc) - error.pos < len("false")
    return "is it cut short?" if at_end else "write it with a JSON writer, one value a record"


def _without_constants(text: bytes, where: str, nan: Callable[[str, int], None]) -> bytes:
    """Returns the text with null for each NaN and infinity outside its strings."""
    found = 0

    def plain(match: re.Match[bytes]) -> bytes:
        nonlocal found
        if match[0].startswith(b'"'):
            return match[0]
        found += 1
        return b"null"

    text = _CONSTANTS.sub(plain, text)
    if found:
        nan(where, found)
    return text


class _RefusedError(ValueError):
    """A JSON value that is legal for some parsers and refused here."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object of JSON, for `json`'s object_pairs_hook.

    Raises:
        ValueError: it has a key twice.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _RefusedError(f"key {twice[:40]!r} occurs twice in one object; expected once")
    return value


def _constant(text: str) -> NoReturn:
    raise _RefusedError(f"{text} is not JSON; write null for a missing number")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _RefusedError(f"number {text[:40]} is too large for a double")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_constant=_constant, parse_float=_float)


def _plain(text: bytes) -> Any:
    """Returns the value, by the decoder that sees every key."""
    string = text.decode().strip(" \t\r\n")
    value, end = _DECODER.raw_decode(string)
    if end != len(string):
        raise _RefusedError("more than one JSON value; expected one (or one a line, .jsonl)")
    if "\\u" in string:
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError:
            raise _RefusedError("half a surrogate pair (\\ud800 to \\udfff); not Unicode") from None
    return value


def _lean(text: bytes) -> Any:
    """Returns the value, by the decoder that makes no copy; keys are counted afterwards."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise TornError(f"not JSON: {error}; is it cut short?") from None
    if shape(text).keys != _keys_of(value):
        raise _RefusedError("a key occurs twice in one object; expected once")
    return value


def _keys_of(value: Any) -> int:
    """Returns how many keys all the objects in `value` have."""
    count, rest = 0, [value]
    while rest:
        item = rest.pop()
        if type(item) is dict:
            count += len(item)
            rest.extend(item.values())
        elif type(item) is list:
            rest.extend(item)
    return count


def check_size(text: bytes, where: str, *, width: int | None = None) -> None:
    """Raises DataError if `text` would take over `MOST_UNFOLDED` times its bytes, and over `_FREE`,
    as records.

    An empty list is two bytes on disk and 56 in memory: what is all punctuation is no log.
    """
    if len(text) * _DENSEST <= _FREE:
        return
    width = _width(text) if width is None else width
    allowed = max(_FREE, MOST_UNFOLDED * len(text))
    # A quick upper bound first, as if no punctuation stood inside a string: a value that follows
    # a comma is a string or a number, and a key is a string.
    bound = text.count(b"{") * 440 + text.count(b"[") * 100 + text.count(b",") * 56
    bound += text.count(b":") * 156 + len(text) * width
    if bound > allowed and shape(text).memory > allowed:
        raise DataError(
            f"{where}: its {len(text):,} bytes would take over {allowed >> 20:,} MiB in memory, so "
            "many values are in them; expected one trajectory of a log: split it"
        )


def shape(text: bytes) -> Shape:
    """Returns what `text` is made of, its strings told from its structure."""
    keys, memory = 0, 0
    for piece in _PIECES.finditer(text):
        outside = _STRING.sub(b'"', piece[0])
        here, strings = outside.count(b":"), outside.count(b'"')
        keys += here
        memory += _cost(outside, strings, here) + strings * 56 + here * 100
        memory += (len(piece[0]) - len(outside)) * _width(piece[0])
    return Shape(keys, memory)


def _cost(outside: bytes, strings: int, keys: int) -> int:
    """Bytes for objects, lists and numbers: measured on CPython 3.11, records included.

    An object may become a step (240) beside its dict (184); a number is 32 and stands in a list and
    a tuple; true, false and null exist once, so a mask costs its places only.
    """
    numbers = max(0, outside.count(b",") + 1 - (strings - keys))
    words = outside.count(b"true") + outside.count(b"false") + outside.count(b"null")
    values = max(numbers * 16, numbers * 48 - words * 32)
    return outside.count(b"{") * 440 + outside.count(b"[") * 100 + values


def _width(text: bytes) -> int:
    """Bytes per character: one character beyond 16 bits makes its whole string four bytes wide."""
    if not text.isascii() and _WIDE.search(text):
        return 4
    if b"\\u" in text:
        return 4 if b"\\ud" in text or b"\\uD" in text else 2
    return 1 if text.isascii() else 2
