"""What the page headers of a Parquet file declare, read before any reader allocates it.

A reader of Parquet makes room for what a page's header says, and only then looks at the page: a
header of ten bytes can ask for gigabytes. Headers are structs of Thrift's compact protocol
(https://github.com/apache/parquet-format, PageHeader): we read the few numbers that ask for room.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, cast, final

from assay.errors import DataError

_UNPACKED, _PACKED = 2, 3
_KINDS: Final = {5: 2, 7: 2, 8: 4}
"""Fields that hold the header of a data page, a dictionary page and a data page of version 2, and
which field of it names the encoding; the first field of each is its number of values."""
_VALUES: Final = 1
_ENCODINGS: Final = (0, 2, 3, 8)
"""Plain, by dictionary (2 and 8) and run lengths: what pyarrow writes unless it is told otherwise.
Of a page with deltas pyarrow believes a count inside the page, of up to 2^32 values."""
_GROUPS, _CHUNKS, _ABOUT = 4, 1, 3
"""Fields of FileMetaData, RowGroup and ColumnChunk that lead to a column."""
_PACKED_CHUNK, _DATA, _DICTIONARY = 7, 9, 11
"""Fields of ColumnMetaData: packed bytes, where data pages begin, where the dictionary lies."""
_SCHEMA, _NAME, _CHILDREN = 2, 4, 5
"""The field of FileMetaData that is the schema, a tree in preorder; a node's name and children."""
_DEEPEST, _LONGEST, _LONGEST_FOOTER, _LONGEST_NAME = 12, 1 << 18, 1 << 19, 1 << 10


def declared(path: Path) -> Iterator[tuple[int, int]]:
    """Yields (unpacked bytes, values) as the header of each page declares them.

    Raises:
        DataError: a header is broken, or a column's pages do not fill its stretch of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        for number, column in enumerate(_columns(stream, size)):
            name = f"column chunk {number}"
            offsets = (column.get(_DICTIONARY), column.get(_DATA))
            at = min((each for each in offsets if type(each) is int and each > 0), default=0)
            length = column.get(_PACKED_CHUNK)
            end = at + length if type(length) is int else -1
            if not 0 < at <= end <= size:
                raise DataError(f"{name} lies outside the file")
            while at < end:
                stream.seek(at)
                reader = _Compact(stream.read(min(end - at, _LONGEST)))
                unpacked, packed, values = _numbers(reader.struct(), name)
                yield unpacked, values
                at += reader.at + packed
            if at != end:
                raise DataError(f"{name}: its pages run past its end")


def names(path: Path) -> tuple[str, ...]:
    """Returns the names of a table's columns, without pyarrow.

    Raises:
        DataError: it is no Parquet file, or its footer is broken.
    """
    with path.open("rb") as stream:
        schema = _list(_footer(stream, path.stat().st_size).get(_SCHEMA))
    found: list[str] = []
    below: list[int] = []
    for node in schema:
        count = node.get(_CHILDREN) if isinstance(node, dict) else None
        while below and below[-1] == 0:
            below.pop()
        if below:
            below[-1] -= 1
        if len(below) == 1 and isinstance(name := node.get(_NAME), bytes):
            found.append(name.decode("utf-8", "replace"))
        below.append(count if type(count) is int else 0)
    return tuple(found)


def _list(value: Any) -> list[Any]:
    """Returns a list of a footer; an empty one where something else stands in its place."""
    return value if isinstance(value, list) else []


def _footer(stream: BinaryIO, size: int) -> dict[int, Any]:
    """Returns the footer of a file, of which a file of many row groups has a long one."""
    stream.seek(max(size - 8, 0))
    tail = stream.read()
    length, most = int.from_bytes(tail[:4], "little"), max(_LONGEST_FOOTER, size // 16)
    if tail[4:] != b"PAR1" or length > size - 8:
        raise DataError("no footer")
    if length > most:
        raise DataError(f"a footer of {length:,} bytes; expected at most {most:,}")
    stream.seek(size - 8 - length)
    return _Compact(stream.read(length)).struct()


def _columns(stream: BinaryIO, size: int) -> Iterator[Mapping[int, Any]]:
    """Yields what the footer says of each column of each row group.

    pyarrow could say it too, but a footer that contradicts itself makes it abort the process.
    """
    for group in _list(_footer(stream, size).get(_GROUPS)):
        for chunk in _list(group.get(_CHUNKS) if isinstance(group, dict) else None):
            about = chunk.get(_ABOUT) if isinstance(chunk, dict) else None
            if not isinstance(about, dict):
                raise DataError("a column that the footer says nothing of")
            yield about


def _numbers(header: Mapping[int, Any], column: str) -> tuple[int, int, int]:
    """Returns the unpacked bytes, the packed bytes and the values of a page."""
    kinds = [(header[kind], place) for kind, place in _KINDS.items() if kind in header]
    if len(kinds) != 1 or not isinstance(kinds[0][0], dict):
        raise DataError(f"{column}: a page that does not say what it is")
    [(about, encoding)] = kinds
    found = header.get(_UNPACKED), header.get(_PACKED), about.get(_VALUES)
    if not all(type(each) is int and each >= 0 for each in found):
        raise DataError(f"{column}: a page that does not say how large it is")
    if about.get(encoding) not in _ENCODINGS:
        raise DataError(
            f"{column}: a page of encoding {about.get(encoding)}; expected plain or dictionary "
            "pages, as pyarrow writes them"
        )
    return cast(tuple[int, int, int], found)


@final
class _Compact:
    """A reader of Thrift's compact protocol: structs as dictionaries; long texts are skipped."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise DataError("a page header nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            step, kind = kind >> 4, kind & 15
            number = number + step if step else self._number()
            fields[number] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind in (4, 5, 6):
            return self._number()
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (9, 10):
            return self._list(depth)
        length = {3: 1, 7: 8}.get(kind) or self._length(kind)
        self._skip(length)
        short = kind == 8 and length <= _LONGEST_NAME
        return self.content[self.at - length : self.at] if short else None

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEPEST:
            raise DataError("a page header nested too deeply")
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._varint()
        found: list[Any] = []
        for _ in range(count):
            # inside a list, unlike in a struct, a truth takes a byte of its own
            if kind in (1, 2):
                self._skip(1)
            else:
                found.append(self._value(kind, depth + 1))
        return found

    def _length(self, kind: int) -> int:
        if kind != 8:
            raise DataError(f"a page header with a field of unknown type {kind}")
        return self._varint()

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.content):
            raise DataError("a page header that is cut off")

    def _byte(self) -> int:
        self._skip(1)
        return self.content[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise DataError("a page header with a number of more than 64 bits")

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
