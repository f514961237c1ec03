"""Page headers: what they declare equals what pyarrow wrote, and a lie is found before it costs."""

import resource
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from assay.errors import DataError
from assay.files.parquet import declared, names
from assay.importers import load
from tests.importers.test_trl import CHAT, TEXT


def columns(path: Path) -> list[Any]:
    with pyarrow.parquet.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        return [group.column(i) for group in groups for i in range(group.num_columns)]


def varint(value: int) -> bytes:
    """Writes a number as Thrift does: zigzag, seven bits a byte."""
    value, out = (value << 1) ^ (value >> 63), bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def page(
    unpacked: int, packed: int, values: int, *, dictionary: bool = False, encoding: int = 0
) -> bytes:
    """Writes the header of a page: type, both sizes, and a struct of values and encoding."""
    kind, step = (2, 4) if dictionary else (0, 2)
    numbers = b"".join(b"\x15" + varint(each) for each in (kind, unpacked, packed))
    return (
        numbers
        + bytes((step << 4 | 12,))
        + b"".join((b"\x15", varint(values), b"\x15", varint(encoding), b"\x00\x00"))
    )


def file_of(body: bytes, *, length: int | None = None) -> bytes:
    """Writes a file of one column chunk: FileMetaData > RowGroup > ColumnChunk > ColumnMetaData."""
    about = (
        b"\x76" + varint(len(body) if length is None else length) + b"\x26" + varint(4) + b"\x00"
    )
    footer = b"\x49\x1c" + b"\x19\x1c" + b"\x3c" + about + b"\x00\x00\x00"
    return b"PAR1" + body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def pages(path: Path, body: bytes) -> list[tuple[int, int]]:
    path.write_bytes(file_of(body))
    return list(declared(path))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_every_page_that_pyarrow_wrote_is_found(
    version: str, dictionary: bool, compression: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.parquet"
    told = [[{"role": "user", "content": str(i)}] * (i % 3) for i in range(500)]
    table = pyarrow.table({"text": [str(i) * 9 for i in range(500)], "messages": told})
    pyarrow.parquet.write_table(
        table,
        path,
        data_page_version=version,
        use_dictionary=dictionary,
        compression=compression,
        data_page_size=500,
        write_page_index=True,
        write_batch_size=100,
    )
    found, known = list(declared(path)), columns(path)
    values = sum(count for _, count in found) - sum(column.num_values for column in known)
    assert (values > 0) if dictionary else (values == 0)  # a dictionary's entries come on top
    assert len(found) > len(known)
    headers = sum(column.total_uncompressed_size for column in known)
    headers -= sum(unpacked for unpacked, _ in found)
    assert 0 < headers < 120 * len(found)


def test_fixtures_declare_what_their_footer_says() -> None:
    for path in (TEXT, CHAT):
        total = sum(unpacked for unpacked, _ in declared(path))
        assert 0 < total < sum(column.total_uncompressed_size for column in columns(path))


def test_headers_by_hand(tmp_path: Path) -> None:
    body = page(9, 3, 2, dictionary=True) + b"abc" + page(70_000, 0, 1 << 40) + page(0, 1, 0) + b"x"
    assert pages(tmp_path / "file", body) == [(9, 2), (70_000, 1 << 40), (0, 0)]


def test_what_a_header_may_hold_besides_is_skipped(tmp_path: Path) -> None:
    more = (
        b"\x11"  # field 1, true
        b"\x15" + varint(7)  # field 2: unpacked
        + b"\x15" + varint(0)  # field 3: packed
        + b"\x2c\x15" + varint(5)  # field 5: a struct of values,
        + b"\x15" + varint(8)  # encoding and
        + b"\x18\x02hi"  # a text
        + b"\x19\x21\x01\x02"  # a list of two truths
        + b"\x17" + b"\0" * 8  # a double
        + b"\x19\xf5\x0f" + b"\x02" * 15  # a list of fifteen numbers
        + b"\x06" + varint(30) + varint(-4)  # a number in a field that is named in full
        + b"\x00\x00"
    )  # fmt: skip
    assert pages(tmp_path / "file", more) == [(7, 5)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (page(9, 3, 2) + b"ab", "run past its end"),
        (page(9, 3, 2)[:-4], "cut off"),
        (page(-9, 3, 2) + b"abc", "how large"),
        (page(9, -3, 2) + b"abc", "how large"),
        (page(9, 3, -2) + b"abc", "how large"),
        (page(9, 3, 2, encoding=6) + b"abc", "column chunk 0: a page of encoding 6; expected"),
        (page(9, 3, 2, dictionary=True, encoding=7) + b"abc", "encoding 7"),
        (b"\x00", "what it is"),
        (b"\x15\x00\x15\x02\x15\x02\x00", "what it is"),
        (b"\x1c" * 20, "too deeply"),
        (b"\x19\x1c" + b"\x19\x1c" * 20, "too deeply"),
        (b"\x15" + b"\xff" * 12, "64 bits"),
        (b"\x1d\x00", "unknown type 13"),
        (b"\x18\xff\xff\xff\xff\x0f", "cut off"),
    ],
)
def test_broken_headers_are_named(body: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        pages(tmp_path / "file", body)


@pytest.mark.parametrize("encoding", [0, 2, 3, 8])
def test_encodings_without_a_count_of_their_own_are_read(encoding: int, tmp_path: Path) -> None:
    assert pages(tmp_path / "file", page(9, 3, 2, encoding=encoding) + b"abc") == [(9, 2)]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_pages_whose_count_lies_inside_are_refused(
    version: str, encoding: str, tmp_path: Path
) -> None:
    """pyarrow makes room for the count that such a page begins with, up to 2^32 lengths."""
    path = tmp_path / "some.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"text": ["a", "ab", "abc"]}),
        path,
        use_dictionary=False,
        column_encoding={"text": encoding},
        data_page_version=version,
    )
    with pytest.raises(DataError, match=r"a page of encoding [67]; expected plain or dictionary"):
        list(declared(path))


def test_a_column_outside_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(file_of(page(0, 0, 0), length=1000))
    with pytest.raises(DataError, match="outside the file"):
        list(declared(tmp_path / "file"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no footer"),
        (b"PAR1", "no footer"),
        (b"PAR1\x09\0\0\0PAR1", "no footer"),
        (b"PAR1" + b"\x49\x1c\x19\x1c\x00\x00\x00" + b"\x07\0\0\0PAR1", "says nothing of"),
        (b"\0" * (1 << 20) + b"\0\0\x10\0PAR1", "expected at most"),
    ],
)
def test_a_footer_that_leads_nowhere_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=said):
        list(declared(tmp_path / "file"))


def test_the_importer_says_it_in_one_line_and_asks_pyarrow_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "completions_00001.parquet"
    path.write_bytes(file_of(page(9, 3, 2) + b"ab"))
    with pytest.raises(DataError, match="broken parquet") as caught:
        list(load(path, format="trl")[1])
    assert "\n" not in str(caught.value)


def rewritten(path: Path, unpacked: int, values: int) -> bytes:
    """Returns a file whose last column begins with a header that declares something else."""
    whole = path.read_bytes()
    column = columns(path)[-1]
    start = column.data_page_offset
    whole_size = column.total_compressed_size
    headers = (page(unpacked, left, values) for left in range(whole_size))
    header = next(h for left, h in enumerate(headers) if left + len(h) == whole_size)
    return whole[:start] + header + whole[start + len(header) :]


@pytest.mark.parametrize(("unpacked", "values"), [(8, 2**31 - 1), (2**31 - 1, 1)])
def test_a_header_that_asks_for_gigabytes_is_refused_before_they_are_taken(
    unpacked: int, values: int, tmp_path: Path
) -> None:
    path = tmp_path / "completions_00001.parquet"
    texts = [str(i) for i in range(9)]
    table = pyarrow.table(
        {"step": range(9), "prompt": texts, "completion": texts, "advantage": [0.5] * 9}
    )
    pyarrow.parquet.write_table(table, path, use_dictionary=False)
    path.write_bytes(rewritten(path, unpacked, values))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="not believable"):
        list(load(path, format="trl")[1])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 << 10


def test_names_are_those_of_the_columns_and_not_of_what_they_hold(tmp_path: Path):
    row = {"a": [{"role": "x", "parts": {"b": 1}}], "b.c": "text", "d": {"e": 1}, "f": None}
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    assert names(path) == ("a", "b.c", "d", "f")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="no footer"):
        names(path)
