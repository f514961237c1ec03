"""What is reached, in which order, and what a store knows of it afterwards. What is at each path is
a part that is played."""

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from assay.files.event_log import EventLog, Row
from assay.files.folders import locked
from assay.importers.live_outputs import made_at, put_made
from assay.live import forgetting
from assay.live.reaching import Left
from assay.live.sessions import begun
from assay.live.store import Store, StoreError
from assay.records.live import Derived, Event, Forgotten, Made, Version, digest_of
from tests.live.conftest import opened, turn

GONE = digest_of("gone")
Play = Callable[[dict[str, str]], list[Left]]


@pytest.fixture
def lived(store: Store) -> Store:
    """Two sessions, and a version of both that serves."""
    for name in ("gone", "stays"):
        store.append(opened(name), turn(f"{name}-1", name))
    for state in ("made", "served"):
        told(store, Version(at=3.0, name="pol-1", state=state, sessions=("gone", "stays")))
    return store


def told(store: Store, *events: Derived | Version) -> None:
    store.append(*events, durable=True).result(timeout=30)


def of(path: str, *sessions: str) -> Derived:
    return Derived(at=2.0, path=path, sessions=sessions or ("gone", "stays"))


def known(store: Store) -> list[tuple[str, tuple[str, ...]]]:
    return [(e.path, e.sessions) for _, e in store.events("derived") if isinstance(e, Derived)]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Plays what is found at each path, a word a look; one of two words changes in between."""

    def played(said: dict[str, str]) -> list[Left]:
        words: dict[str, Iterator[str]] = {path: iter(it.split(", ")) for path, it in said.items()}
        changes = {path: iter(range(9)) for path, it in said.items() if ", " in it}
        looks = list[Left]()

        def reach(left: Left, session: str, name: str) -> str:
            assert (session, name) == ("gone", GONE)
            looks.append(left)
            return next(words[left.file.path])

        monkeypatch.setattr(forgetting, "reach", reach)
        monkeypatch.setattr(
            forgetting, "stamp", lambda p: next(changes[p]) if p in changes else None
        )
        return looks

    return played


def test_what_changed_until_the_mark_is_looked_at_again(lived: Store, play: Play) -> None:
    """Those that may still hold it are known by a digest; where all went nobody is in it."""
    told(lived, *(of(path) for path in ("/a", "/b", "/c", "/d", "/e", "/f")))
    told(lived, of("/c", "late"), of("/other", "stays"))
    looks = play({
        "/a": "rewritten", "/b": "rewritten, /b: busy", "/c": "deleted, nothing", "/d": "nothing",
        "/e": "missing", "/f": "rewritten, rewritten",
    })  # fmt: skip
    made = lived.forget("gone", at=30.0)
    assert [e.file.path for e in looks] == ["/a", "/b", "/c", "/d", "/e", "/f", "/b", "/c", "/f"]
    assert (made.rewritten, made.deleted) == (["/a", "/b", "/f"], ["/c"])
    assert (made.missing, made.failed, made.nothing) == (["/e"], ["/b: busy"], ["/d", "/c"])
    assert (made.events, made.versions, made.settled) == (2, ["pol-1"], True)
    after = [
        ("/a", ("stays",)), ("/b", (GONE, "stays")), ("/c", ()), ("/d", ("stays",)),
        ("/e", (GONE, "stays")), ("/f", ("stays",)), ("/c", ()), ("/other", ("stays",)),
    ]  # fmt: skip
    assert known(lived) == after
    assert lived.versions()["pol-1"].sessions == (GONE, "stays")
    looks = play({"/b": "rewritten, rewritten", "/e": "deleted"})
    made = lived.forget("gone", at=31.0)
    assert [each.file.path for each in looks] == ["/b", "/e", "/b"], "by what stands for it"
    assert (made.events, made.versions) == (0, ["pol-1"])
    after[1], after[4] = ("/b", ("stays",)), ("/e", ())
    assert known(lived) == after


def test_only_digests_are_left_of_it(lived: Store) -> None:
    (session,) = lived.sessions("gone").values()
    marks = tuple(begun(session))
    assert marks
    lived.forget("gone", at=30.0, why="asked")
    (mark,) = [event for _, event in lived.events("forgotten")]
    assert mark == Forgotten(at=30.0, digest=GONE, why="asked", begun=marks)


def test_what_is_said_of_a_path_counts_where_it_was_said_since(lived: Store, play: Play) -> None:
    """What was at /a before the command that was told last is not what that one left there."""
    files = {"": (1, 2)}
    with closing(EventLog(lived.path, write=True)) as log:
        put_made(log, Made(at=1.0, path="/a", files=files))
        told(lived, of("/a"), of("/b"))
        put_made(log, Made(at=2.0, path="/b", files=files))
        looks = play({"/a": "missing", "/b": "missing"})
        lived.forget("gone", at=30.0)
        assert [each.known and each.known.at for each in looks] == [None, 2.0]
        looks[1].becomes({})
        assert made_at(log, "/b") == Made(at=2.0, path="/b")
        assert made_at(log, "/a") == Made(at=1.0, path="/a", files=files)


def test_files_go_first_so_that_a_kill_leaves_a_session_to_be_forgotten(
    lived: Store, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention looks for sessions that are there: it never comes back to one that is not."""
    told(lived, of("/a"))
    looks = play({"/a": "rewritten"})

    def dies(*_: object) -> int:
        raise sqlite3.OperationalError("killed")

    monkeypatch.setattr(EventLog, "replace", dies)
    with pytest.raises(StoreError):
        lived.forget("gone", at=30.0)
    assert (len(looks), sorted(lived.sessions())) == (1, ["gone", "stays"])


def test_versions_that_a_killed_training_left_go(
    lived: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lived.path.parent
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lived.forget("never", at=1.0)
    assert not (home / "TRAIN").exists(), "no training was ever here"
    left = tmp_path / "assay-x"
    for name in ("pol-1", "pol-2", "mine", ".pol-3.tmp-999999999"):
        (home / "versions" / name).mkdir(parents=True)
        (home / "versions" / name / "live.json").touch()
    left.mkdir()
    (left / ".assay-temporary").write_text("assay-x")
    with locked(home / "TRAIN", ""):
        assert lived.forget("gone", at=30.0).deleted == [], "it may be being made"
    assert not left.exists()
    made = lived.forget("gone", at=31.0)
    gone = [home / "versions" / name for name in ("pol-2", ".pol-3.tmp-999999999")]
    assert made.deleted == [str(each) for each in gone]
    assert sorted(each.name for each in (home / "versions").iterdir()) == ["mine", "pol-1"]


def test_events_of_a_session_that_was_there_are_left_out_one_by_one(lived: Store) -> None:
    """A named session has one conversation of many that was forgotten: the others go on."""
    (session,) = lived.sessions("gone").values()
    (mark,) = begun(session)
    lived.forget("gone", at=1e12)
    first = lived.append(turn("late", "stays"), turn("x", "stays"), said=[b"x", mark])
    second = lived.append(turn("other", "stays"), durable=True, said=[b"x"])
    assert first.result(timeout=30) == [None, None]
    assert second.result(timeout=30) != [None]
    mixed = lived.append(turn("more", "stays"), turn("y", "gone"), turn("last", "stays"))
    assert [each is None for each in mixed.result(timeout=30)] == [False, True, False]
    whole = lived.append(opened("new"), turn("n", "new"), said=[mark])
    after = lived.append(turn("title", "new", turn_type="side"), said=[b"title"])
    assert whole.result(timeout=30) == [None, None]
    assert after.result(timeout=30) == [None], "nor what is asked beside it"
    assert {each.turn.id for each in lived.turns()} == {"stays-1", "other", "more", "last"}
    assert not lived.reading().stale(), "that was before"
    assert lived.forgotten(["gone", "stays", "new"]) == {"gone"}


def test_what_is_written_with_what_is_to_outlive_a_loss_of_power_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that wait share a commit, on the disk where one of them is to be."""
    plain, asked, held = EventLog.append, list[tuple[int, bool]](), threading.Event()

    def append(self: EventLog, rows: Sequence[Row], **more: Any) -> list[int | None]:
        asked.append((len(rows), more["durable"]))
        return plain(self, rows, **more)

    def waits(event: Event) -> Event:
        held.wait(30)
        return event

    monkeypatch.setattr(EventLog, "append", append)
    with Store.open(store.path.parent, redact=waits) as slow:
        done = [slow.append(opened("a"))]
        while slow.waiting:  # the first is at work
            time.sleep(0.01)
        done += [slow.append(opened("b"), durable=True), slow.append(opened("c"), opened("d"))]
        held.set()
        assert [each.result(timeout=30) for each in done] == [[1], [2], [3, 4]]
    assert asked == [(1, False), (3, True)]
