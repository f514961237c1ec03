"""Every importer against files made to break it: one clear line, or records and counted losses."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import DataError
from assay.importers import IMPORTERS, Choices, Losses, Rank, load
from assay.importers.recognise import look
from assay.records import decode, encode
from tests.importers import hostile

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parent.parent / "fixtures"
FORMATS = IMPORTERS.names()


JSON = (".json", ".jsonl", ".traj")
REFUSED = (
    "cut by one byte",
    "empty",
    "binary junk",
    "pickle",
    "npy",
    "utf-16",
    "utf-32",
    "deep list",
    "deep inside",
    "junk after",
    "bare NaN",
    "infinity",
    "twice",
    "twice inside",
    "half a pair",
    "other half",
    "half a pair, raw",
    "control characters",
)
"""Variants that may never pass as a log; what only changes the text of one may."""


PASSED_OVER = "a part of it is counted and not read"


def survives(path: Path, format: str | None, *, strict: bool = False) -> str:
    """Reads `path` as hostile: returns its one error line, or "" where all records came out whole;
    `PASSED_OVER` where some did and the others were counted."""
    losses = Losses()
    try:
        choices = Choices(strict=strict)
        _, trajectories = load(path, format=format, losses=losses, choices=choices)
        for trajectory in trajectories:
            line = encode(trajectory)
            assert decode(line) == trajectory
            assert encode(decode(line)) == line
    except DataError as error:
        message = str(error)
        assert message
        assert message.isprintable(), message
        assert len(message) <= 520, len(message)
        return message
    assert all(kind.isprintable() and len(kind) <= 80 for kind in losses.counts)
    assert len(losses.counts) <= 201
    whole = losses.counts.keys().isdisjoint({"torn_record", "not_a_number"})
    return "" if whole or strict else PASSED_OVER


def text_files(format: str) -> list[Path]:
    files = hostile.fixture_files(FIXTURES / format)
    return [f for f in files if f.suffix in JSON]


def copies(format: str, tmp_path: Path) -> Iterator[tuple[Path, Path, bytes]]:
    """Yields (what to read, the file in it to spoil, its bytes), once per name of file."""
    source = FIXTURES / format
    files = list({file.name: file for file in hostile.fixture_files(source)}.values())
    assert files, f"no fixture for {format} in {source}"
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    for file in files:
        at = copy / file.relative_to(source)
        yield (at if is_log(at, format) else copy), at, file.read_bytes()
        at.write_bytes(file.read_bytes())


def is_log(path: Path, format: str) -> bool:
    return look(path, {format: IMPORTERS.get(format)()}).best() == [format]


@pytest.mark.parametrize("format", FORMATS)
def test_the_fixture_is_recognised_by_one_importer(format: str):
    source = FIXTURES / format
    sight = look(source, {name: IMPORTERS.get(name)() for name in FORMATS})
    assert sight.best() == [format]
    for ranks in sight.found.values():
        sure = [name for name, rank in ranks.items() if rank > Rank.POSSIBLE]
        assert sure in ([], [format])


@pytest.mark.parametrize("format", FORMATS)
def test_broken_bytes(format: str, tmp_path: Path):
    """All variants of the first file; of each other file those whose turn it is."""
    refused = 0
    for place, (log, file, content) in enumerate(copies(format, tmp_path)):
        for turn, (name, variant) in enumerate(hostile.raw(content), place):
            if place and turn % 4:
                continue
            file.write_bytes(variant)
            message = survives(log, format)
            if turn % 4 == 0:
                survives(log, None)
            refused += bool(message)
            if name in REFUSED and log == file and file.suffix in JSON and variant != content:
                assert message, name
                assert survives(log, format, strict=True), name
    assert refused >= 8


@pytest.mark.parametrize("format", FORMATS)
def test_mistyped_fields(format: str, tmp_path: Path):
    files = [copy for copy in copies(format, tmp_path) if copy[1].suffix in JSON]
    for log, file, content in files:
        for variant in hostile.mistyped(content.decode(), most=max(10, 90 // len(files))):
            file.write_text(variant)
            survives(log, format)
        file.write_bytes(content)
    assert files or not text_files(format)


@pytest.mark.parametrize("format", FORMATS)
def test_cross_format(format: str):
    """A file of one format, forced through another, is one line or records, never a crash."""
    for other in FORMATS:
        survives(hostile.fixture_files(FIXTURES / other)[0], format)


@pytest.mark.parametrize("format", FORMATS)
def test_files_that_are_no_files(format: str, tmp_path: Path):
    missing = tmp_path / "missing.json"
    assert "missing.json" in survives(missing, format)
    empty = tmp_path / "empty"
    empty.mkdir()
    survives(empty, format)
    os.mkfifo(tmp_path / "pipe.json")
    assert "no regular file" in survives(tmp_path / "pipe.json", format)
    assert "no regular file" in survives(Path("/dev/zero"), format)
    if os.getuid() != 0:
        locked = tmp_path / "locked.json"
        locked.write_text("{}")
        locked.chmod(0)
        assert survives(locked, format)


def test_names_of_files_may_be_anything(tmp_path: Path):
    line = json.dumps({"task": "t", "messages": [{"role": "user", "content": "hi"}]})
    for name in (b"new\nline.jsonl", b"caf\xe9.jsonl", b"\x1b[2J.jsonl", "\u202e.jsonl".encode()):
        path = tmp_path / os.fsdecode(name)
        path.write_text(line)
        assert survives(path, None) == ""
        path.write_text("{")
        message = survives(path, None)
        assert message.isprintable()


def test_foreign_keys_do_not_flood_the_losses(tmp_path: Path):
    record = {"task": "t", "messages": [], **{f"key\n{i}": i + 1 for i in range(5000)}}
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(record))
    losses = Losses()
    assert len(list(load(log, losses=losses)[1])) == 1
    assert sum(losses.counts.values()) == 5000
    assert len(losses.counts) <= 201


MEMORY = """
import os, sys
from pathlib import Path
from assay.errors import AssayError
from assay.importers import IMPORTERS, Losses, load

def most():  # of this program: what getrusage gives counts the parent before exec, too
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

def tell(path, name):
    before = most()
    try:
        for trajectory in load(path, format=name or None, losses=Losses())[1]:
            pass
        said = "read"
    except AssayError as error:
        said = type(error).__name__
    print(most() - before, said, flush=True)

for each in IMPORTERS.names():
    IMPORTERS.get(each)()
for path, name in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    if os.fork() == 0:  # what one reads adds nothing to the next
        tell(Path(path), name)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def peaks(*read: tuple[Path, str]) -> list[tuple[int, str]]:
    """Returns, for each file and format, the bytes that reading added to a process of its own that
    had imported everything, and what came of it."""
    arguments = [str(each) for pair in read for each in pair]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [(int(memory), said) for memory, said in map(str.split, done.stdout.splitlines())]


def chat(content: str) -> str:
    return f'{{"task":"t","messages":[{{"role":"assistant","content":{content}}}]}}\n'


SIZE = 8_000_000


def dense() -> dict[str, str]:
    return {
        "text": chat('"' + "a" * SIZE + '"'),
        "text with one wide character": chat('"' + "a" * SIZE + '\U0001f600"'),
        "escapes": chat('"' + "\\n\\u00e9" * (SIZE // 8) + '"'),
        "short strings": chat("[" + ",".join(['"ab"'] * (SIZE // 5)) + "]"),
        "small objects": chat("[" + ",".join(['{"a":1,"b":2}'] * (SIZE // 14)) + "]"),
        "empty lists": chat("[" + ",".join(["[]"] * (SIZE // 3)) + "]"),
        "numbers": chat("[" + ",".join(["1.5"] * (SIZE // 4)) + "]"),
        "keys": chat("{" + ",".join(f'"{i:07d}":1' for i in range(SIZE // 12)) + "}"),
        "small messages": '{"task":"t","messages":['
        + ",".join(['{"role":"assistant"}'] * (SIZE // 21))
        + "]}",
        "many records": '{"task":"t","messages":[]}\n' * (SIZE // 54),
        "many elements": "[" + ",".join(['{"task":"t","messages":[]}'] * (SIZE // 54)) + "]",
    }


def test_memory_stays_below_ten_times_the_file(tmp_path: Path):
    logs = {}
    for name, text in dense().items():
        logs[name] = tmp_path / name / "log.jsonl"
        logs[name].parent.mkdir()
        logs[name].write_text(text)
    found = peaks(*((log, "chat") for log in logs.values()))
    for (name, log), (memory, _) in zip(logs.items(), found, strict=True):
        times = memory / log.stat().st_size
        assert times < 10, (name, times)


def test_a_line_of_100_mb(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    with log.open("wb") as stream:
        stream.write(b'{"task":"t","messages":"')
        for _ in range(100):
            stream.write(b"a" * 1_000_000)
        stream.write(b'"}\n')
    formats = [*FORMATS, ""]
    for format, (memory, said) in zip(formats, peaks(*((log, f) for f in formats)), strict=True):
        assert said in ("DataError", "TornError"), format
        assert memory < 10 * log.stat().st_size, format


def test_text_that_gives_orders_stays_text(tmp_path: Path):
    message = {"role": "assistant", "content": hostile.INJECTION}
    call = {"name": hostile.INJECTION, "arguments": hostile.INJECTION}
    record = {"task": hostile.INJECTION, "messages": [message, {**message, "tool_calls": [call]}]}
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(record))
    (trajectory,) = load(log)[1]
    assert trajectory.task == hostile.INJECTION
    assert [step.text for step in trajectory.steps] == [hostile.INJECTION] * 2
    assert decode(encode(trajectory)) == trajectory
    log.write_text(json.dumps({**record, "reward": hostile.INJECTION}))
    said = survives(log, None)
    assert "line 1.reward: got str" in said
    assert "\x1b" not in said
