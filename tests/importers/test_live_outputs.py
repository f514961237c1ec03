"""What a store is told of files that are made from it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from assay.errors import DataError
from assay.files.atomic import publish
from assay.files.event_log import EventLog
from assay.importers.live_outputs import READ, StoreRead, made_at, told_only
from assay.live.store import Store
from assay.records.live import Derived, Made
from tests.live.conftest import opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """With two sessions."""
    with Store.open(tmp_path / "live") as made:
        add(made, "a", "b")
        yield made


def add(store: Store, *names: str) -> None:
    store.append(*map(opened, names), durable=True).result(timeout=30)


def derived(store: Store) -> list[Derived]:
    return [event for _, event in store.events("derived") if isinstance(event, Derived)]


def known(store: Store, path: str, **more: int) -> Made | None:
    with closing(EventLog(store.path, write=False)) as log:
        return made_at(log, path, **more)


def test_what_is_told_by_hand(store: Store) -> None:
    """A path that another begins with is another path."""
    read = store.reading()
    ends: dict[str, Literal["lines", "whole"]] = {
        ".jsonl": "lines", ".jsonl.zst": "lines", ".jsonl.gz": "lines", ".html": "whole"
    }  # fmt: skip
    for end in ends:
        assert read.tell(f"/x/rows{end}", 5.0, moved=end == ".html") == ""
        assert read.tell(f"/x/rows{end}", 6.0, moved=end == ".html") == "", "it is told already"
    assert read.tell("/x/rows", 6.0, moved=True) == ""
    told = [
        Derived(at=5.0, path=f"/x/rows{end}", sessions=("a", "b"), how=how, what=READ)
        for end, how in ends.items()
    ]
    last = Derived(at=6.0, path="/x/rows", sessions=("a", "b"), how="whole", what=READ)
    assert derived(store) == [*told, last]
    assert known(store, "/x/rows.jsonl") is None, "it is written where it is to be"
    assert known(store, "/x/rows.html") == Made(at=5.0, path="/x/rows.html")
    add(store, "c")
    assert store.reading().tell("/x/rows", 7.0, moved=True) == ""
    assert derived(store)[5:] == [Derived(at=7.0, path="/x/rows", sessions=("c",), what=READ)]
    some = StoreRead(store.path, 0, of=frozenset("b"))
    assert some.tell("/y", 8.0, moved=True) == ""
    assert derived(store)[6].sessions == ("b",)


def test_what_lies_there_is_kept_until_another_is_said_to(store: Store) -> None:
    read, path = store.reading(), "/x/page"
    read.tell(path, 1.0, moved=True)
    first, second = {"": (1, 2)}, {"": (3, 4)}
    assert read.wrote(path, 2.0, first) == ""
    assert known(store, path) == Made(at=2.0, path=path, files=first)
    add(store, "c")
    store.reading().tell(path, 3.0, moved=True)
    assert known(store, path) == Made(at=2.0, path=path, files=first), "it still lies there"
    read.wrote(path, 4.0, second)
    assert known(store, path) == Made(at=4.0, path=path, files=second, before=first)
    (at,) = [seq for seq, _ in store.events("made")]
    assert known(store, path, since=at - 1) is not None
    assert known(store, path, since=at) is None
    read.wrote("/other", 5.0, {})
    assert known(store, path) == Made(at=4.0, path=path, files=second, before=first)


def test_who_was_forgotten_since_it_was_read_is_not_written(store: Store) -> None:
    read = store.reading()
    of_a = StoreRead(store.path, read.last, of=frozenset("a"))
    only_a = StoreRead(store.path, read.last, of=frozenset("a"), only=True)
    only_b = StoreRead(store.path, read.last, of=frozenset("b"), only=True)
    assert read.tell("/told", 1.0, moved=True) == ""
    store.forget("b", at=2.0)
    before = derived(store)
    assert [each.stale() for each in (read, of_a, only_a, only_b)] == [True, True, False, True]
    for each, path in ((read, "/told"), (read, "/new"), (of_a, "/new"), (only_b, "/new")):
        with pytest.raises(DataError, match="a session was forgotten while it was read"):
            each.tell(path, 3.0, moved=True)
    assert derived(store) == before
    assert only_a.tell("/new", 3.0, moved=True) == ""
    assert not store.reading().stale(), "it was read after that"
    assert store.reading().tell("/newer", 3.0, moved=True) == ""


def test_what_a_store_cannot_take_is_said_or_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = store.reading()
    with told_only(read, 7.0):
        publish(tmp_path / "page", b"x")
    assert [(each.at, each.path) for each in derived(store)] == [(7.0, str(tmp_path / "page"))]

    def cannot(*_: Any) -> Any:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(EventLog, "_made", cannot)
    why = "cannot be written (attempt to write a readonly database; expected an event log)"
    assert read.tell("/x", 8.0, moved=True) == why
    with pytest.raises(DataError) as refused, told_only(read, 9.0):
        publish(tmp_path / "other", b"x")
    assert str(refused.value).startswith(f"{store.path}: {why}; ")
    assert not (tmp_path / "other").exists()
