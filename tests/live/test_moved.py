"""What lies beside a store's file is moved into it while others read and write."""

import sqlite3
import threading
from contextlib import closing

from tests.live.conftest import turn
from tests.live.running import wait_for
from tests.live.test_store import texts, wrote


def test_what_lies_beside_the_file_is_moved_into_it_while_it_is_written(store, monkeypatch):
    from assay.live import store as module

    monkeypatch.setattr(module, "_BESIDE", 100_000)
    for at in range(120):
        wrote(store, turn(f"t-{at}", messages=({"role": "user", "content": "x" * 9000},)))
    wait_for(lambda: store.path.stat().st_size > 900_000)
    assert len(store.turns()) == 120


def test_a_long_log_is_written_from_its_beginning_again_and_a_short_one_is_left(store, monkeypatch):
    from assay.files import event_log

    wrote(store, *texts("s-1"))
    with (
        closing(event_log.EventLog(store.path, write=True)) as mover,
        closing(sqlite3.connect(store.path, isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM events").fetchone()
        wrote(store, *texts("s-2"))
        assert mover.move(), "it is short: nothing is waited for"
        monkeypatch.setattr(event_log, "_LONG", 1)
        assert not mover.move(), "one who reads still needs it"
        reader.execute("ROLLBACK")
        assert mover.move()
        beside = store.path.with_name(f"{store.path.name}-wal")
        before = beside.stat().st_size
        wrote(store, *texts("s-3"))
        assert beside.stat().st_size == before
    assert len(store.sessions()) == 3


def test_a_store_is_settled_although_another_process_moves_it(store):
    moving, over = threading.Event(), threading.Event()

    def move():
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            while not over.is_set():
                other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                moving.set()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        assert moving.wait(30)
        for at in range(10):
            wrote(store, *texts(f"s-{at}"))
            assert store.forget(f"s-{at}", at=30.0).settled
    finally:
        over.set()
        mover.join(30)
