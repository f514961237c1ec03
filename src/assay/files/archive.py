"""Members of an untrusted zip, one at a time, never written to disk.

Only the table of contents is left to `zipfile`; data is inflated here under a limit, because logs
are also packed with zstandard, which the zipfile of Python 3.11 to 3.13 cannot read.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import zstandard

from assay.errors import DataError
from assay.files.lines import MAX_RECORD

_LOCAL = struct.Struct("<4s22xHH")
_ZSTD = 93
_RATIO = 200
"""A member may unfold to this many times its packed size; JSON packs 5 to 50 times."""
_SMALL = 1 << 20
"""Below this many bytes the ratio does not matter."""


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes | None]]:
    """Yields (name, bytes) of each wanted member and (name, None) of each other, in file order.

    Raises:
        DataError: not a zip, a name that points outside, a member that is broken, encrypted, longer
            than `MAX_RECORD`, or packed beyond all reason.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
            last = {info.filename: info for info in archive.infolist()}
            for name, info in last.items():
                where = f"{path}:{name[:120]}"
                if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
                    raise DataError(f"{where}: member name points outside the archive")
                if not wanted(name):
                    yield name, None
                    continue
                yield name, _unpacked(stream, info, where)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, struct.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: broken zip: {str(error)[:120]}") from None
    except (NotImplementedError, EOFError, RuntimeError, OverflowError, IndexError) as error:
        raise DataError(f"{path}: zip not readable: {str(error)[:120]}") from None


def _unpacked(stream: IO[bytes], info: zipfile.ZipInfo, where: str) -> bytes:
    """Returns the bytes of one member, checked against its length and checksum."""
    limit = min(MAX_RECORD, max(_SMALL, _RATIO * info.compress_size))
    if info.file_size > limit:
        raise DataError(f"{where}: unfolds to {info.file_size:,} bytes; expected at most {limit:,}")
    if info.flag_bits & 1:
        raise DataError(f"{where}: encrypted; unpack it with its password first")
    stream.seek(info.header_offset)
    head = stream.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
        raise DataError(f"{where}: no member at byte {info.header_offset}; is the zip cut short?")
    _, name_length, extra_length = _LOCAL.unpack(head)
    stream.seek(name_length + extra_length, 1)
    packed = stream.read(info.compress_size)
    data = _inflated(packed, info.compress_type, limit, where)
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise DataError(f"{where}: length or checksum differs from the archive's table")
    return data


def _inflated(packed: bytes, method: int, limit: int, where: str) -> bytes:
    """Returns at most `limit` + 1 bytes of a stored, deflated or zstandard member."""
    try:
        if method == zipfile.ZIP_STORED:
            return packed[: limit + 1]
        if method == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit + 1)
        if method == _ZSTD:
            return zstandard.ZstdDecompressor().stream_reader(packed).read(limit + 1)
    except (zlib.error, zstandard.ZstdError) as error:
        raise DataError(f"{where}: does not unpack: {error}") from None
    raise DataError(f"{where}: packed by method {method}; expected stored, deflate or zstandard")
