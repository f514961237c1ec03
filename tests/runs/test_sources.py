"""A second audit reads only what has changed, and leaves what it would leave otherwise."""

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.errors import DataError
from assay.files.lines import lines
from assay.files.stamps import COARSE, Stamps, below
from assay.importers import IMPORTERS, Kept, Log, Losses, load
from assay.records import Trajectory
from assay.runs import sources
from assay.runs.audit import AuditRun, audit_log
from assay.runs.sources import NAME

FIXTURES = Path(__file__).parents[1] / "fixtures"
LATER = 2**62
"""A clock so late that nothing was written just now."""


def chat(task: str, trial: int, text: str = "") -> dict[str, Any]:
    said = [
        {"role": "user", "content": "please"},
        {"role": "assistant", "content": f"text {text or task}{trial}"},
    ]
    return {"task": task, "trial": trial, "reward": float(trial % 2), "messages": said}


def episode(task: str, name: str) -> dict[str, Any]:
    """A verifiers episode; the trials of a task are numbered over all files."""
    nodes = [
        {"message": {"role": "user", "content": task}, "sampled": False},
        {"parent": 0, "message": {"role": "assistant", "content": name}, "sampled": True},
    ]
    rewards = {"right": {"score": float(len(name) % 2), "weight": 1.0}}
    trace = {"id": name, "nodes": nodes, "rewards": rewards, "is_completed": True, "odd": 1}
    return {"task": {"key": task}, "group": {"id": task}, "traces": [trace]}


def write(path: Path, *rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def audited(log: Path, out: Path, **options: Any) -> AuditRun:
    options = {"report": False, "reuse": True, "now": LATER, **options}
    return audit_log(log, out=out, **options)


def content(out: Path) -> dict[str, bytes]:
    """Everything in a run directory but what its name says: what it was made from."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name != NAME:
            packed = path.suffix == ".zst"
            with lines(path) as numbered:
                rows = b"\n".join(line for _, line in numbered) if packed else path.read_bytes()
            found[str(path.relative_to(out))] = rows
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for number, task in enumerate("abc"):
        write(tmp_path / "log" / f"{number}.jsonl", *(chat(task, trial) for trial in range(2)))
    return tmp_path / "log"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files that importers take apart."""
    from assay.importers import base

    read: list[str] = []
    real = base.documents
    with monkeypatch.context() as patch:
        patch.setattr(
            base, "documents", lambda path, *told: (read.append(path.name), real(path, *told))[1]
        )
        yield read


def test_an_unchanged_log_is_not_read_again(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = audited(log, tmp_path / "run", report=True)
    before = content(tmp_path / "run")
    with counted(monkeypatch) as read:
        again = audited(log, tmp_path / "run", report=True)
    assert read == []
    assert (again.format, again.folder, again.report) == ("chat", first.folder, first.report)
    assert msgspec.json.encode(again.audit) == msgspec.json.encode(first.audit)
    assert content(tmp_path / "run") == before


def test_one_changed_file_is_the_only_one_read(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    audited(log, tmp_path / "run")
    write(log / "1.jsonl", chat("b", 0), chat("b", 1), chat("b", 2))
    with counted(monkeypatch) as read:
        again = audited(log, tmp_path / "run")
    assert set(read) == {"1.jsonl"}
    assert again.audit["trajectories"]["total"] == 7
    audited(log, tmp_path / "fresh", reuse=False)
    assert content(tmp_path / "run") == content(tmp_path / "fresh")


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"pass_at": 0.5}, {"report": True}, {"report": True, "redact": False}],
    ids=str,
)
def test_other_options_are_another_audit(log: Path, tmp_path: Path, options: dict[str, Any]):
    audited(log, tmp_path / "run")
    audited(log, tmp_path / "run", **options)
    audited(log, tmp_path / "fresh", reuse=False, **options)
    assert content(tmp_path / "run") == content(tmp_path / "fresh")


def changed(log: Path, rng: random.Random, made: Callable[[str], Any]) -> None:
    """Changes a folder of lines in one of the ways in which folders change."""
    files = sorted(path for path in log.rglob("*") if path.is_file())
    file = rng.choice(files)
    match rng.randrange(6):
        case 0:  # grows
            with file.open("a") as stream:
                stream.write(json.dumps(made(f"new{rng.random()}")) + "\n")
        case 1:  # is another
            rows = [made(f"new{rng.random()}") for _ in range(rng.randint(1, 3))]
            write(file, *rows)
        case 2 if len(files) > 1:
            file.unlink()
        case 3:  # comes first, or last
            write(log / f"{rng.choice('0z')}{rng.random()}" / file.name, made(f"new{rng.random()}"))
        case 4:  # two change places
            other = rng.choice(files)
            one, two = file.read_bytes(), other.read_bytes()
            file.write_bytes(two)
            other.write_bytes(one)
        case _:
            os.utime(file, ns=(rng.randrange(10**18), rng.randrange(10**18)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["chat", "verifiers"])
def test_what_is_taken_over_is_what_would_be_read(tmp_path: Path, name: str, seed: int):
    """The numbers of a task's trials run over all files: files before one decide what it gives."""
    rng = random.Random(seed)
    tasks = "abcd"

    def made(text: str) -> Any:
        task = rng.choice(tasks)
        return chat(task, rng.randrange(3), text) if name == "chat" else episode(task, text)

    log = tmp_path / "log"
    file = "traces.jsonl" if name == "verifiers" else "part.jsonl"
    for number in range(5):
        rows = [made(f"{number}{n}") for n in range(rng.randint(1, 4))]
        write(log / f"run-{number}" / file, *rows)
    for turn in range(5):
        audited(log, tmp_path / "run")
        audited(log, tmp_path / "fresh", reuse=False)
        assert content(tmp_path / "run") == content(tmp_path / "fresh"), turn
        changed(log, rng, made)


def turn(kind: str, at: int, before: int | None, name: str) -> list[dict[str, Any]]:
    """A question and its answer, of a session of a coding agent; the ids are those of the turn."""
    asked, said, last = f"q{at}", f"a{at}", None if before is None else f"a{before}"
    when = f"2026-01-01T00:00:0{at}Z"
    if kind == "pi":
        answer = {
            "role": "assistant",
            "content": said,
            "stopReason": "stop",
            "usage": {"output": 3},
        }
        rows = [(asked, last, {"role": "user", "content": asked}), (said, asked, answer)]
        return [
            {"type": "message", "id": i, "parentId": p, "timestamp": when, "message": m}
            for i, p, m in rows
        ]
    if kind == "codex":
        rows = [("user", "input_text", asked), ("assistant", "output_text", said)]
        items = [
            {"type": "message", "role": role, "id": text, "content": [{"type": c, "text": text}]}
            for role, c, text in rows
        ]
        return [{"timestamp": when, "type": "response_item", "payload": item} for item in items]
    block = [{"type": "text", "text": said}]
    usage = {"output_tokens": 3}
    answer = {"id": said, "role": "assistant", "content": block, "model": "m", "usage": usage}
    rows = [("user", asked, last, {"role": "user", "content": asked})]
    rows.append(("assistant", said, asked, {**answer, "stop_reason": "end_turn"}))
    return [
        {"type": w, "uuid": i, "parentUuid": p, "sessionId": name, "timestamp": when, "message": m}
        for w, i, p, m in rows
    ]


def session(kind: str, name: str, rng: random.Random) -> list[dict[str, Any]]:
    """A session that has turns in common with others, as a fork has."""
    turns = sorted(rng.sample(range(6), rng.randint(1, 4)))
    rows = [turn(kind, at, before, name) for before, at in zip([None, *turns], turns, strict=False)]
    when = "2026-01-01T00:00:00Z"
    head: list[dict[str, Any]] = []
    if kind == "pi":
        head = [{"type": "session", "id": name, "timestamp": when, "cwd": "/w"}]
    elif kind == "codex":
        forked = {"forked_from_id": "other"} if rng.random() < 0.7 else {}
        meta = {"id": name, "cwd": "/w", **forked}
        head = [{"timestamp": when, "type": "session_meta", "payload": meta}]
    return [*head, *(row for rows_of in rows for row in rows_of)]


def changed_session(log: Path, rng: random.Random, make: Callable[[Path], Any]) -> None:
    """Changes a folder of sessions, each of which is a file."""
    files = sorted(log.glob("*.jsonl"))
    file = rng.choice(files)
    match rng.randrange(4):
        case 0:
            make(file)
        case 1:
            make(log / f"{rng.choice(['0', 'agent-', 'z'])}{rng.randrange(100)}.jsonl")
        case 2:
            file.unlink()
        case _:
            write(file.with_name(f"{file.stem}.result.json"), {"reward": rng.random()})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["pi", "codex", "claude_code"])
def test_a_fork_is_read_again_when_what_it_copies_changes(tmp_path: Path, kind: str, seed: int):
    """Turns of a session in a file before are copies: which files come before decides."""
    rng, log = random.Random(seed), tmp_path / "log"
    number = iter(range(100))

    def make(file: Path) -> None:
        write(file, *session(kind, f"s{next(number)}", rng))

    for name in ("agent-1", "b", "c", "d", "e"):
        make(log / f"{name}.jsonl")
    copies = 0
    for change in range(4):
        run = audited(log, tmp_path / "run", format=kind)
        audited(log, tmp_path / "fresh", reuse=False, format=kind)
        assert content(tmp_path / "run") == content(tmp_path / "fresh"), change
        copies += run.audit["losses"].get("copied_from_other_session", 0)
        changed_session(log, rng, make)
    assert copies


def test_a_changed_file_of_verifiers_is_the_only_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An episode that another file held before is left out, and is read when that file goes."""
    log = tmp_path / "log"
    one, two, three = ({"id": f"e{n}", **episode("a", f"t{n}")} for n in range(3))
    write(log / "step_1/all/traces.jsonl", one, two)
    write(log / "step_1/effective/traces.jsonl", one)
    write(log / "step_2/all/traces.jsonl", three)
    first = audited(log, tmp_path / "run").audit
    assert first["trajectories"]["total"] == 3
    assert first["losses"]["repeated_episode"] == 1
    write(log / "step_2/all/traces.jsonl", three, three)
    with monkeypatch.context() as patch:
        read: list[str] = []
        real = Log.documents
        told = lambda self, file: (read.append(str(file.relative_to(log))), real(self, file))[1]  # noqa: E731
        patch.setattr(Log, "documents", told)
        assert audited(log, tmp_path / "run").audit["trajectories"]["total"] == 4
    assert read == ["step_2/all/traces.jsonl"]
    (log / "step_1/all/traces.jsonl").unlink()
    last = audited(log, tmp_path / "run").audit
    assert last["trajectories"]["total"] == 3
    assert "repeated_episode" not in last["losses"]


def test_who_had_an_episode_before_decides_where_all_numbers_are_as_they_were(tmp_path: Path):
    """Of the second copy of an episode nothing was read, so its file asked for no group's number:
    that the first copy is gone only the owner tells. The first file is for the checks of types in
    tests, which look at the first of all groups."""
    log = tmp_path / "log"
    write(log / "step_0/all/traces.jsonl", {"id": "e0", **episode("z", "t0")})
    twice = {"id": "e1", **episode("a", "t1")}
    for name in ("all", "effective"):
        write(log / "step_1" / name / "traces.jsonl", twice)
    assert audited(log, tmp_path / "run").audit["losses"]["repeated_episode"] == 1
    (log / "step_1/all/traces.jsonl").unlink()
    audited(log, tmp_path / "run")
    audited(log, tmp_path / "fresh", reuse=False)
    assert content(tmp_path / "run") == content(tmp_path / "fresh")


def test_a_trial_folder_is_taken_over_until_one_of_its_files_changes(tmp_path: Path):
    log = tmp_path / "job"
    shutil.copytree(FIXTURES / "harbor", log)
    trial = next(path.parents[1] for path in sorted(log.rglob("trajectory.json")))

    def same() -> None:
        audited(log, tmp_path / "run")
        audited(log, tmp_path / "fresh", reuse=False)
        assert content(tmp_path / "run") == content(tmp_path / "fresh")

    same()
    (trial / "agent" / "trajectory.json").unlink()
    same()
    (trial / "result.json").unlink()
    same()
    shutil.rmtree(trial)
    same()


def test_ids_that_come_again_are_told_apart_as_before(log: Path, tmp_path: Path):
    audited(log, tmp_path / "run")
    write(log / "00.jsonl", chat("b", 0))  # before the file that has b/0
    run = audited(log, tmp_path / "run")
    assert run.audit["losses"] == {"repeated_id": 1}
    audited(log, tmp_path / "fresh", reuse=False)
    assert content(tmp_path / "run") == content(tmp_path / "fresh")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: (run / NAME).write_bytes((run / NAME).read_bytes()[:-70]),
        lambda run: (run / NAME).write_text("{}\nabc\n"),
        lambda run: (run / NAME).write_bytes((run / NAME).read_bytes().replace(b"b/0", b"b/9", 1)),
        lambda run: (run / NAME).unlink(),
        lambda run: (run / "trajectories.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfdtorn"),
        lambda run: (run / "audit.json").write_text("{}"),
        lambda run: next((run / "credit").iterdir()).unlink(),
    ],
    ids=["torn", "foreign", "edited", "none", "records", "audit", "credit"],
)
def test_what_is_spoilt_is_left_aside(log: Path, tmp_path: Path, spoil: Callable[[Path], Any]):
    out = tmp_path / "run"
    audited(log, out)
    spoil(out)
    write(log / "2.jsonl", chat("c", 0))
    audited(log, out)
    audited(log, tmp_path / "fresh", reuse=False)
    assert content(out) == content(tmp_path / "fresh")
    spoil(out)
    audited(log, out)
    assert content(out) == content(tmp_path / "fresh")


def test_other_code_reads_it_all_again(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    audited(log, tmp_path / "run")
    monkeypatch.setattr(sources, "_ours", lambda: "another")
    with counted(monkeypatch) as read:
        audited(log, tmp_path / "run")
    assert {"0.jsonl", "1.jsonl", "2.jsonl"} == set(read)
    with monkeypatch.context() as patch:
        patch.setattr(type(IMPORTERS), "has_others", True)
        assert sources.code() == ""


def test_the_script_of_the_page_is_code_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "viewer.js"
    file.write_text("a")
    monkeypatch.setattr(sources, "below", lambda _: [str(file)])
    before = sources._ours.__wrapped__()
    file.write_text("longer")
    assert sources._ours.__wrapped__() != before


def test_a_file_that_lies_about_its_time_is_told_by_its_content(log: Path, tmp_path: Path):
    """Without a clock nothing is trusted: same size, same times, other content."""
    audited(log, tmp_path / "run", now=None)
    file = log / "1.jsonl"
    found, before = file.stat(), file.read_text()
    file.write_text(before.replace('"reward": 1.0', '"reward": 0.0'))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert file.stat().st_size == found.st_size
    assert audited(log, tmp_path / "run", now=None).audit["trajectories"]["passed"] == 2


def test_what_was_written_just_before_it_was_read_is_not_kept(log: Path, tmp_path: Path):
    old = log / "0.jsonl"
    now = max((log / "1.jsonl").stat().st_ctime_ns, (log / "2.jsonl").stat().st_ctime_ns) + 1
    audited(log, tmp_path / "run", now=now)
    kept = msgspec.json.decode((tmp_path / "run" / NAME).read_bytes().splitlines()[0])
    assert kept["files"] == {}
    assert kept["whole"] is None
    audited(log, tmp_path / "run", now=now + COARSE)
    kept = msgspec.json.decode((tmp_path / "run" / NAME).read_bytes().splitlines()[0])
    assert set(kept["files"]) == {str(log / f"{n}.jsonl") for n in range(3)}
    assert str(old) in kept["files"]


def test_a_file_that_grows_while_it_is_read_is_not_kept(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("one")
    stamps = Stamps({}, trusted=False)
    assert stamps.see(str(file))
    file.write_text("and more")
    assert stamps.after(None) == {}
    assert not stamps.see(str(tmp_path / "none"))
    assert stamps.after(None) == {str(tmp_path / "none"): None}


def test_links_to_folders_are_not_vouched_for(log: Path, tmp_path: Path):
    assert below(log) == [str(log / f"{n}.jsonl") for n in range(3)]
    (log / "link").symlink_to(tmp_path)
    assert below(log) is None
    audited(log, tmp_path / "out" / "run")
    kept = msgspec.json.decode((tmp_path / "out" / "run" / NAME).read_bytes().splitlines()[0])
    assert kept["whole"] is None


def test_a_failed_audit_leaves_the_old_one(log: Path, tmp_path: Path):
    audited(log, tmp_path / "run")
    before = content(tmp_path / "run")
    write(log / "1.jsonl", chat("b", 0), {"task": "b", "reward": "no number", "messages": []})
    with pytest.raises(DataError, match="line 2"):
        audited(log, tmp_path / "run")
    assert content(tmp_path / "run") == before


_OPENED: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _OPENED is not None and isinstance(arguments[0], (str, os.PathLike)):
        _OPENED.append(os.fspath(arguments[0]))


@pytest.mark.parametrize("name", IMPORTERS.names())
def test_what_decides_a_unit_is_all_that_is_read_of_it(name: str, monkeypatch: pytest.MonkeyPatch):
    """Every file of the log that reading it opens is among those that a unit is known by."""
    path, read = FIXTURES / name, Kept.read
    if not path.is_dir():
        pytest.skip("no fixture")
    sys.addaudithook(_note)

    def noted(*arguments: Any) -> Iterator[Trajectory]:
        global _OPENED
        _OPENED = []  # not what recognition opened
        yield from read(*arguments)

    monkeypatch.setattr(Kept, "read", noted)
    kept = Kept(Stamps({}, trusted=False))
    try:
        assert list(load(path, format=name, losses=Losses(), kept=kept)[1])
        assert _OPENED is not None
        opened = {each for each in _OPENED if each.startswith(str(path)) and Path(each).is_file()}
    finally:
        globals()["_OPENED"] = None
    assert kept.units
    assert opened <= {file for unit in kept.units for file in unit.files}
