"""Samples of an Inspect archive, one at a time: whole members, or the chunks of one.

A chunked sample has `samples/NAME/sample.json` without messages; these are in
`samples/NAME/messages/START.json`, by ranges that the sample names, and long texts are in
`samples/NAME/attachments/START.json`. Its parts follow each other in the archive.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.errors import DataError
from assay.files.archive import members
from assay.importers.fields import typed

_PART = re.compile(
    r"(samples/.+_epoch_[0-9]+)/(sample|metadata|skeleton"
    r"|(messages|events|calls|attachments)/(?:([0-9]{1,9})|stats|uuids))\.json",
    re.DOTALL,
)
_READ = ("messages", "attachments")
_MOST_MESSAGES = 100_000
"""Messages that the ranges of one sample may name: a few ranges could name one without end."""


def samples_in(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yields (where, its members by name) of each sample of an archive.

    Raises:
        DataError: the parts of a sample do not follow each other; or as `members` does.
    """
    at, parts, done = "", dict[str, bytes](), set[str]()
    for name, data in members(path, _is_wanted):
        if data is None:
            continue
        match = _PART.fullmatch(name)
        folder = match[1] if match else ""
        if parts and folder != at:
            yield f"{path}:{at}", parts
            parts = {}
            done.add(at)
        if match is None:
            yield f"{path}:{name}", {name: data}
        elif folder in done:
            what = "its parts are apart from each other"
            raise DataError(f"{path}:{name}: {what}; write it anew with `inspect log convert`")
        else:
            at, parts[name] = folder, data
    if parts:
        yield f"{path}:{at}", parts


def _is_wanted(name: str) -> bool:
    match = _PART.fullmatch(name)
    if match is None:
        return name.startswith("samples/") and name.endswith(".json")
    return match[2] == "sample" or (match[3] in _READ and match[4] is not None)


def whole(where: str, parts: Mapping[str, Any]) -> Any:
    """Returns a sample from its members as JSON values: the one there is, or what chunks say.

    Raises:
        DataError: there are chunks without a sample, or the sample names messages that are nowhere.
    """
    [first, *_] = parts
    match = _PART.fullmatch(first)
    if match is None:
        return parts[first]
    sample = parts.get(f"{match[1]}/sample.json")
    sample = typed(sample, dict, f"{where}/sample.json", "a sample object")
    pool, texts = (_sequence(where, parts, kind) for kind in ("messages", "attachments"))
    kept = {str(index): text for index, text in enumerate(texts)}
    return {**sample, "messages": list(_named(where, sample, pool)), "attachments": kept}


def _sequence(where: str, parts: Mapping[str, Any], kind: str) -> list[Any]:
    """Returns the items of one sequence; each chunk begins where the one before it ends."""
    found = {
        int(match[4]): value
        for name, value in parts.items()
        if (match := _PART.fullmatch(name)) and match[3] == kind
    }
    items: list[Any] = []
    for start in sorted(found):
        at = f"{where}/{kind}/{start}.json"
        if start != len(items):
            raise DataError(
                f"{at}: begins at {start}; expected the chunk that begins at {len(items)}"
            )
        items += typed(found[start], list, at, "a list of its items")
    return items


def _named(where: str, sample: dict[str, Any], pool: list[Any]) -> Iterator[Any]:
    """Yields the messages of the conversation, by the ranges that the sample names."""
    at = f"{where}/sample.json.message_refs"
    count = 0
    for pair in typed(sample.get("message_refs") or [], list, at, "a list of ranges"):
        match pair:
            case [int(start), int(end)] if 0 <= start < end <= len(pool):
                count += end - start
            case _:
                raise DataError(f"{at}: expected ranges within the {len(pool)} messages there are")
        if count > _MOST_MESSAGES:
            raise DataError(f"{at}: names over {_MOST_MESSAGES:,} messages")
        yield from pool[start:end]
