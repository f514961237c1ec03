"""Changes to logs that keep them readable enough to get past the parser.

JSON, JSON Lines, zip archives of JSON and parquet tables are taken apart, changed somewhere by
value, type, key or shape, and put together again in the same form.
"""

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

from tests.importers.hostile import VALUES, documents, paths_of, put, without

WORDS = ("", "a", "0", "1", "-1", "nan", "None", "tool", "user", "assistant", "model", "stop", "\n")
LONGEST = 1 << 16
"""Bytes of a log, at most: what grows beyond is left as it was."""

Change = Callable[[Any, tuple[Any, ...], random.Random], Any]


def _at(value: Any, at: tuple[Any, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


def replaced(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    return put(value, at, rng.choice(VALUES))


def removed(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    return without(value, at) if at else value


def moved(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    """Puts one part of the log where another part was."""
    return put(value, at, _at(value, rng.choice(list(paths_of(value)))))


def repeated(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    part = _at(value, at)
    return put(value, at, part * rng.choice((2, 3, 50))) if isinstance(part, list | str) else value


def shuffled(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    part = _at(value, at)
    return put(value, at, rng.sample(part, len(part))) if isinstance(part, list) else value


def renamed(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    """Gives one key the name of another, or adds a key that stands elsewhere in the log."""
    part = _at(value, at)
    if not isinstance(part, dict) or not part:
        return value
    keys = [path[-1] for path in paths_of(value) if path and isinstance(path[-1], str)]
    old, new = rng.choice(list(part)), rng.choice([*keys, "id", "role", "", "error", "trajectory"])
    kept = dict(part) if rng.random() < 0.5 else {k: v for k, v in part.items() if k != old}
    return put(value, at, {**kept, new: part[old]})


def nudged(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    """Changes a number or a text a little."""
    part = _at(value, at)
    if isinstance(part, bool) or part is None:
        return put(value, at, not part)
    if isinstance(part, int | float):
        return put(value, at, rng.choice((part + 1, -part, part * 2**40, str(part)[:40])))
    if isinstance(part, str):
        cut = rng.randrange(len(part) + 1)
        return put(value, at, part[:cut] + rng.choice(WORDS) + part[cut + rng.randrange(3) :])
    return value


def wrapped(value: Any, at: tuple[Any, ...], rng: random.Random) -> Any:
    part = _at(value, at)
    return put(value, at, rng.choice(([part], {"text": part}, [[part]], json.dumps(part)[:5000])))


CHANGES: tuple[Change, ...] = (
    replaced,
    replaced,
    removed,
    moved,
    repeated,
    shuffled,
    renamed,
    nudged,
    nudged,
    wrapped,
)


def changed(values: list[Any], rng: random.Random) -> list[Any]:
    """Returns the JSON values of a log with one to four changes."""
    result: Any = values
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = [at for at in paths_of(result) if at]
        if not places:
            return values
        result = rng.choice(CHANGES)(result, rng.choice(places), rng)
        if not isinstance(result, list) or not result:
            return values
    return result


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Returns `content` changed by its own form; as it was where it has none that we know."""
    try:
        if content.startswith(b"PK"):
            new = _zip(content, rng)
        elif content.startswith(b"PAR1"):
            new = _parquet(content, rng)
        elif content.startswith(b"SQLite"):
            new = _bytes(content, rng)
        else:
            new = _json(content, rng)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError):
        return content
    return new if len(new) <= LONGEST else content


def _json(content: bytes, rng: random.Random) -> bytes:
    values, write = documents(content.decode())
    return write(changed(values, rng)).encode("utf-8", "surrogatepass")


def _bytes(content: bytes, rng: random.Random) -> bytes:
    """Returns a file of pages, much of which holds nothing, with some of its bytes changed."""
    new = bytearray(content)
    used = [at for at, byte in enumerate(content) if byte and at >= 100]
    for at in rng.sample(used, rng.randint(1, 6)):
        new[at] = rng.randrange(256)
    return bytes(new)


def _zip(content: bytes, rng: random.Random) -> bytes:
    sink = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as old:
            members = {name: old.read(name) for name in old.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError):
        return content
    if not members or sum(map(len, members.values())) > LONGEST:
        return content
    chosen = rng.choice(list(members))
    members[chosen] = _json(members[chosen], rng)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as new:
        for name, inside in members.items():
            new.writestr(name, inside)
    return sink.getvalue()


def _parquet(content: bytes, rng: random.Random) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
        table = pa.Table.from_pylist([r for r in changed(rows, rng) if isinstance(r, dict)])
        sink = io.BytesIO()
        pq.write_table(table, sink)
    except (pa.ArrowException, OSError):
        return content
    return sink.getvalue()
