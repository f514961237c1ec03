"""The store: what is appended is there, whole, once, and is gone when it is forgotten."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from assay import load
from assay.errors import DataError, UsageError
from assay.live.redaction import Redacted
from assay.live.store import FILE, Store, StoreError, _Job
from assay.live.traces import write_traces
from assay.records.live import (
    Consented,
    Derived,
    Forgotten,
    Moved,
    NextState,
    Replayed,
    TurnHint,
    TurnLabel,
    Version,
    decode_event,
    encode_event,
    packed,
    packed_floats,
    unpacked,
    unpacked_floats,
)
from assay.records.turns import folded
from tests.live.conftest import opened, turn

TEXT = "a-very-odd-secretive-phrase"


def wrote(store, *events):
    return store.append(*events, durable=True).result(timeout=30)


def label(turn_, value, **more):
    return TurnLabel(session="s-1", at=20.0, turn=turn_, value=value, **{"source": "user", **more})


def test_what_is_appended_is_read_back_and_folded(store):
    said = NextState(session="s-1", at=11.0, turn="t-1", role="user", text="thanks")
    places = wrote(store, opened(), turn("t-1"), said)
    assert places == [1, 2, 3]
    session = store.sessions()["s-1"]
    assert (session.run, session.consent, session.last_at) == ("r", "train", 11.0)
    (seen,) = session.trainable()
    assert list(seen.completion_ids) == [4, 5, 6]
    assert list(seen.logprobs) == [-0.5, -1.0, -0.25]
    assert seen.next_state.text == "thanks"
    assert seen.progress == "next_seen"


def test_a_store_is_opened_by_the_text_of_its_path(tmp_path):
    with Store.open(f"{tmp_path}/st") as store:
        store.append(opened(), durable=True).result(timeout=30)
    with Store.open(f"{tmp_path}/st/{FILE}", write=False) as again:
        assert list(again.sessions()) == ["s-1"]


def test_a_turn_stands_on_the_one_before_it(store):
    # prompt 1 2 3, sampled 4 5 6; the second prompt is 1 2 3 4 5 (6 was cut off by the template),
    # then 7: it shares 5 ids and has one of its own
    second = turn(
        "t-2",
        index=1,
        after="t-1",
        shared=5,
        prompt_ids=packed([7]),
        messages=({"role": "tool", "content": "42"},),
    )
    wrote(store, opened(), turn("t-1"), second)
    seen = store.turns("s-1")[1]
    assert list(seen.prompt_ids) == [1, 2, 3, 4, 5, 7]
    assert [each["role"] for each in seen.messages] == ["user", "assistant", "tool"]
    assert seen.why_not is None


def test_a_turn_whose_past_is_unknown_teaches_nothing(store):
    wrote(store, opened(), turn("t-2", after="gone", shared=5), turn("t-3", prompt_ids=None))
    assert [each.why_not for each in store.turns()] == ["prompt_unknown"] * 2
    assert store.sessions()["s-1"].trainable() == []


def test_consent_that_is_taken_back_reaches_turns_of_before(store):
    wrote(store, opened(), turn("t-1"))
    assert len(store.sessions()["s-1"].trainable()) == 1
    wrote(store, Consented(session="s-1", at=12.0, consent="record"))
    assert store.sessions()["s-1"].trainable() == []


def test_one_request_is_one_turn_however_often_it_is_written(store):
    assert wrote(store, turn("t-1", request="q")) == [1]
    assert wrote(store, turn("t-2", request="q")) == [None]
    assert wrote(store, turn("t-3", "s-2", request="q")) == [None]
    assert [each.turn.id for each in store.turns()] == ["t-1"]
    assert store.turn_of("q").id == "t-1"
    assert store.turn_of("other") is None
    for event in (turn("t-4"), opened()):
        first, again = wrote(store, event, event)
        assert (first is None, again) == (False, None), "nor one that has its id alone"


def test_of_several_labels_of_a_source_the_last_counts(store):
    wrote(store, opened(), turn("t-1"), label("t-1", 0.0), label("t-1", None, source="judge"))
    wrote(store, label("t-1", 1.0), label(None, 0.5, source="person"))
    assert {k: v.value for k, v in store.labels()["t-1"].items()} == {"user": 1.0, "judge": None}
    assert store.labels()["s-1"]["person"].value == 0.5
    session = store.sessions()["s-1"]
    assert session.turns[0].labels["user"].value == 1.0
    assert session.labels["person"].value == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 7.0])
def test_a_value_that_is_no_share_is_not_written(store, value):
    wrote(store, opened(), turn("t-1"))
    replay = Replayed(session="s-1", at=1.0, turn="t-1", source="user", told=value, neutral=0.0)
    for event, field in (
        (label("t-1", value), "label of t-1: value"),
        (label(None, value), "label of s-1: value"),
        (label("t-1", 1.0, rho0=value), "label of t-1: rho0"),
        (replay, "replayed of t-1: told"),
    ):
        with pytest.raises(DataError, match=f"^{field}: got {value}; expected 0 to 1; of a label"):
            wrote(store, label("t-1", 1.0, source="other"), event)
    assert store.counts() == {"session": 1, "turn": 1}


def test_a_value_that_is_no_share_and_is_there_is_none(store, monkeypatch, tmp_path):
    """As an earlier release wrote it: an audit and an export go on."""
    monkeypatch.setattr("assay.live.store.check_event", lambda _: None)
    wrote(
        store, opened(), turn("t-1"), label("t-1", float("nan"), rho1=float("inf")),
        label("t-1", 1.0, source="other"), label(None, float("nan")),
        Replayed(session="s-1", at=1.0, turn="t-1", source="x", told=float("nan"), neutral=0.0),
    )  # fmt: skip
    (session,) = store.sessions().values()
    (seen,) = session.turns
    assert (seen.labels["user"].value, seen.labels["user"].rho1) == (None, None)
    assert (seen.labels["other"].value, session.labels["user"].value) == (1.0, None)
    assert seen.replays == {}
    records = [*load(store.path.parent)]
    write_traces(store, tmp_path / "otel.jsonl", to="otel", now=2.0)
    assert [each.outcome for each in load(tmp_path / "otel.jsonl")] == [
        each.outcome for each in records
    ]
    assert len(records) == 1


def test_hints_and_progress_are_folded_in(store):
    hint = TurnHint(session="s-1", at=13.0, turn="t-1", text="say less", source="judge")
    moved = Moved(session="s-1", at=14.0, turn="t-1", to="excluded", why="tampered")
    wrote(store, opened(), turn("t-1"), hint, moved)
    (seen,) = store.turns()
    assert [each.text for each in seen.hints] == ["say less"]
    assert (seen.progress, seen.why) == ("excluded", "tampered")


def test_versions_stand_where_their_last_event_says(store):
    made = Version(at=1.0, name="pol-1", state="made", sessions=("s-1",))
    wrote(store, made, Version(at=2.0, name="pol-1", state="served"))
    assert store.versions()["pol-1"].state == "served"


@given(st.lists(st.integers(0, 2**31 - 1)), st.lists(st.floats(width=32, allow_nan=False)))
def test_packed_numbers_come_back(ids, nats):
    assert list(unpacked(packed(ids))) == ids
    assert list(unpacked_floats(packed_floats(nats))) == nats
    assert len(packed(ids)) == 4 * len(ids)


def test_none_is_packed_as_none_and_what_is_no_number_is_refused():
    assert packed(None) is unpacked(None) is packed_floats(None) is unpacked_floats(None) is None
    with pytest.raises(DataError, match="ids of 32 bits"):
        packed([2**31])
    with pytest.raises(DataError, match="3 bytes"):
        unpacked(b"abc")


def test_bytes_that_are_no_event_are_refused():
    assert decode_event(encode_event(turn("t")), "here") == turn("t")
    with pytest.raises(DataError, match=r"here: .*expected an event"):
        decode_event(b"\x93\x01", "here")


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["t-1", "t-2"]), max_size=6), st.data())
def test_a_fold_over_more_events_goes_on_from_the_fold_over_fewer(turns, data):
    events = [opened(), turn("t-1"), turn("t-2", index=1)]
    events += [label(each, data.draw(st.sampled_from([0.0, 1.0, None]))) for each in turns]
    whole = folded(events)["s-1"]
    last = {each.turn: each.value for each in events[3:]}
    assert {t.turn.id: t.labels["user"].value for t in whole.turns if t.labels} == last


def test_it_is_read_by_another_process_while_it_is_written(store, tmp_path):
    wrote(store, opened(), turn("t-1"))
    script = (
        "import sys; from pathlib import Path; from assay.live.store import Store\n"
        "with Store.open(Path(sys.argv[1]), write=False) as s: print(len(s.turns()), s.counts())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "live")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1 {'session': 1, 'turn': 1}"


def test_to_follow_it_ask_again_from_the_last_place(store):
    wrote(store, opened(), turn("t-1"))
    with Store.open(store.path.parent, write=False) as reader:
        last = [seq for seq, _ in reader.events()][-1]
        wrote(store, label("t-1", 1.0))
        assert [type(event) for _, event in reader.events(after=last)] == [TurnLabel]


def test_two_writers_lose_nothing(store):
    with Store.open(store.path.parent) as other:
        done = [
            (store, other)[i % 2].append(turn(f"t-{i}", index=i), durable=True) for i in range(60)
        ]
        assert all(each.result(timeout=60) for each in done)
    assert len(store.turns()) == 60


def test_one_that_reads_does_not_write(store, tmp_path):
    reader = Store.open(tmp_path / "live", write=False)
    with pytest.raises(UsageError, match="opened to read"):
        reader.append(turn("t"))
    reader.close()


def test_where_no_store_is_none_is_read(tmp_path):
    with pytest.raises(DataError, match=r"no store\.sqlite there"):
        Store.open(tmp_path, write=False)
    (tmp_path / FILE).write_bytes(b"something else")
    for write in (False, True):
        with pytest.raises(DataError, match="no event log"):
            Store.open(tmp_path, write=write)
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE a(b)").connection.close()
    with pytest.raises(DataError, match="no event log"):
        Store.open(other, write=False)


def test_nobody_else_on_the_machine_reads_it(store):
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_what_finds_no_room_is_refused_and_counted(tmp_path):
    hold, began = threading.Event(), threading.Event()

    def slow(event):
        began.set()
        hold.wait(30)
        return event

    with Store.open(tmp_path, redact=slow, room=2) as small:
        first = small.append(turn("t-0"))
        assert began.wait(30)
        rest = [small.append(turn(f"t-{i}")) for i in (1, 2)]
        assert small.waiting == 1.0
        with pytest.raises(StoreError, match="2 events wait"):
            small.append(turn("t-3"))
        hold.set()
        assert [each.result(timeout=30) for each in (first, *rest)] == [[1], [2], [3]]
        assert small.down == 1


def test_a_disk_that_fails_is_told_and_the_next_event_is_tried(store, monkeypatch):
    from assay.files import event_log

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    wrote(store, opened())
    with monkeypatch.context() as broken:
        broken.setattr(event_log.EventLog, "append", full)
        with pytest.raises(StoreError, match="disk is full; nothing of it is written"):
            wrote(store, turn("t-1"))
        assert store.down == 1
        assert "full" in store.why
    wrote(store, turn("t-2"))
    assert store.why == ""
    assert [each.turn.id for each in store.turns()] == ["t-2"]


def test_a_full_disk_as_sqlite_has_it(store):
    wrote(store, opened())
    pages = store._writer._db.execute("PRAGMA page_count").fetchone()[0]
    store._writer._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreError, match="full"):
        wrote(store, turn("t-1", answer={"content": "x" * 100_000}))
    wrote(store, turn("t-2"))
    assert [each.turn.id for each in store.turns()] == ["t-2"]


WRITER = """
import sys
from pathlib import Path
from assay.live.store import Store
from tests.live.conftest import turn
store = Store.open(Path(sys.argv[1]))
for i in range(10_000):
    name = f"{sys.argv[2]}-{i}"
    store.append(turn(name, request=name), durable=True).result()
    print(name, flush=True)
"""


@pytest.mark.slow
def test_what_was_acknowledged_outlives_a_kill(tmp_path):
    told = []
    for round in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(round)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            told += [process.stdout.readline().strip() for _ in range(8 + round)]
            os.kill(process.pid, signal.SIGKILL)
            rest, _ = process.communicate(timeout=60)
            told += rest.split("\n")[:-1]
        finally:
            process.kill()
    with Store.open(tmp_path, write=False) as reader:
        there = [each.turn.id for each in reader.turns()]
    assert set(told) <= set(there)
    assert len(there) == len(set(there))


# --- to forget


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def texts(session):
    spoken = turn(f"{session}-t", session, messages=({"role": "user", "content": TEXT * 500},))
    said = NextState(session=session, at=11.0, turn=spoken.id, role="user", text=TEXT)
    noted = TurnLabel(session=session, at=12.0, turn=spoken.id, value=1.0, reason=TEXT)
    return opened(session), spoken, said, noted


def test_a_forgotten_session_leaves_no_byte_of_its_text(store, tmp_path):
    wrote(store, *texts("s-1"), opened("s-2"), turn("t-2", "s-2"))
    wrote(store, Version(at=5.0, name="pol-1", state="served", sessions=("s-1", "s-2")))
    assert TEXT.encode() in bytes_below(tmp_path)
    made = store.forget("s-1", at=30.0)
    assert made.settled
    assert made.events == 4
    assert made.versions == ["pol-1"]
    left = bytes_below(tmp_path)
    assert TEXT.encode() not in left
    assert b"s-1" not in left
    assert list(store.sessions()) == ["s-2"]
    assert "s-2" in store.versions()["pol-1"].sessions
    assert [type(e) for _, e in store.events("forgotten")] == [Forgotten]


def test_what_was_derived_from_it_is_reached(store, tmp_path):
    lines, whole, folder = tmp_path / "rows.jsonl", tmp_path / "page.html", tmp_path / "export"
    rows = [{"session": "s-1", "text": TEXT}, {"session": "s-2", "text": "stays"}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"session": "s-')
    whole.write_text(TEXT)
    folder.mkdir()
    (folder / "manifest.json").write_text('{"schema": "assay.export/1", "files": ["a.jsonl"]}')
    (folder / "a.jsonl").write_text(TEXT)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "precious").touch()

    def derived(path, how="whole", sessions=("s-1", "s-2")):
        return Derived(at=9.0, path=str(path), sessions=sessions, how=how)

    other = tmp_path / "other.html"
    other.write_text("of s-2 alone")
    wrote(store, *texts("s-1"), derived(lines, "lines"), derived(whole), derived(folder))
    wrote(store, derived(other, sessions=("s-2",)), derived(theirs), derived(tmp_path / "gone"))
    made = store.forget("s-1", at=30.0)
    assert json.loads(lines.read_text()) == rows[1], "and nothing of the torn line"
    assert not whole.exists()
    assert not folder.exists()
    assert other.exists()
    assert (theirs / "precious").exists()
    assert (made.rewritten, made.deleted) == ([str(lines)], [str(whole), str(folder)])
    assert len(made.failed) == 1
    assert "does not say what Assay wrote in it" in made.failed[0]
    assert TEXT.encode() not in bytes_below(tmp_path)


def test_a_forgotten_session_is_not_written_again(store):
    wrote(store, *texts("s-1"))
    store.forget("s-1", at=30.0)
    late, fresh = wrote(store, turn("late", "s-1"), turn("t-2", "s-2"))
    assert late is None
    assert fresh is not None
    assert [each.turn.id for each in store.turns()] == ["t-2"]
    store.close()
    with Store.open(store.path.parent) as again:
        wrote(again, turn("later", "s-1"))
        assert [each.turn.id for each in again.turns()] == ["t-2"]


def test_a_reader_at_work_is_told_of(store, monkeypatch):
    from assay.live import forgetting

    monkeypatch.setattr(forgetting, "WAIT", 0.1)
    wrote(store, *texts("s-1"))
    with Store.open(store.path.parent, write=False) as reader:
        following = reader.events()
        next(following)
        assert not store.forget("s-1", at=30.0).settled
        following.close()
    assert store.forget("s-1", at=31.0).settled


def test_old_sessions_are_forgotten(store, tmp_path):
    wrote(store, *texts("old"), opened("new", at=100.0), opened("just", at=50.0))
    assert [each.events for each in store.expire(before=50.0, at=101.0)] == [4]
    assert list(store.sessions()) == ["new", "just"], "since is not before"
    assert TEXT.encode() not in bytes_below(tmp_path)


# --- secrets

SECRET = "sk-abcdefghijklmnopqrstuvwxyz123456"


def test_a_secret_is_not_written_nor_its_ids(tmp_path):
    redact = Redacted()
    with Store.open(tmp_path, redact=redact) as store:
        said = turn("t-1", messages=({"role": "user", "content": f"my key is {SECRET}"},))
        wrote(store, opened(), said, turn("t-2", index=1, after="t-1", shared=4))
        first, second = store.turns()
    assert SECRET.encode() not in bytes_below(tmp_path)
    assert "[redacted api_key]" in first.messages[0]["content"]
    assert (first.why_not, first.completion_ids) == ("redacted", None)
    assert second.why_not == "prompt_unknown", "its prompt spells the secret too"
    assert redact.redactor.counts["api_key"] == 1


def test_an_event_without_a_secret_passes_as_it_is():
    said = turn("t-1")
    assert Redacted()(said) is said
    asked = ({"role": "user", "content": SECRET},)
    clean = Redacted()(turn("t-1", messages=asked, after="t-0", shared=2))
    assert (clean.prompt_ids, clean.completion_ids, clean.logprobs) == (None, None, None)
    assert (clean.shared, clean.trainable, clean.why_not) == (0, False, "redacted")
    told = NextState(session="s", at=1.0, turn="t", role="tool", text=f"KEY={SECRET}")
    assert SECRET not in Redacted()(told).text


def test_what_another_process_forgot_is_not_written_again(tmp_path):
    with Store.open(tmp_path) as serving, Store.open(tmp_path) as other:
        wrote(serving, opened(), turn("t-1"))
        other.forget("s-1", at=30.0)
        assert wrote(serving, turn("t-2"), turn("u-1", session="s-2")) == [None, 4]
        assert list(serving.sessions()) == ["s-2"]


def test_an_event_that_cannot_be_written_takes_no_neighbour_along(store):
    held = threading.Event()
    first = store._put(_Job((), True, lambda _: held.wait(20)))
    before = store.append(turn("t-1"))
    broken = store.append(turn("t-2", sampler={"seed": 1 << 80}))
    after = store.append(turn("t-3"), durable=True)
    held.set()
    assert first.result(timeout=30)
    assert before.result(timeout=30) == [1]
    assert after.result(timeout=30) == [2]
    with pytest.raises(StoreError, match="nothing of it is written"):
        broken.result(timeout=30)
    assert store.down == 1


def test_a_request_s_name_in_a_damaged_store_is_one_line(store):
    wrote(store, turn("t-1", request="once"))
    assert store.turn_of("once").id == "t-1"
    store._log._db.close()
    with pytest.raises(DataError, match="expected an event log"):
        store.turn_of("once")


def test_another_process_that_closes_takes_no_turn_along(store: Store) -> None:
    """A file that SQLite holds is opened by nobody else in its process: closing it would drop the
    process's locks, and whoever closes next would take the log beside the file for nobody's."""
    store.append(opened(), turn("t-1"), durable=True).result(timeout=30)
    code = (
        "import sys; from pathlib import Path; from assay.live.store import Store\n"
        "from assay.records.live import TurnLabel\n"
        "with Store.open(Path(sys.argv[1])) as s:\n"
        "    label = TurnLabel(session='s-1', at=1.0, turn='t-1', value=1.0)\n"
        "    s.append(label, durable=True).result()\n"
        "    print(len(list(s.events())))"
    )
    counts = list[int]()
    for number in range(2, 4):
        said = subprocess.run(
            [sys.executable, "-c", code, str(store.path.parent)],
            check=True, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        counts.append(int(said.stdout))
        store.append(turn(f"t-{number}"), durable=True).result(timeout=30)
    assert counts == [3, 5]
    assert len([*store.events()]) == 6


def test_pieces_of_work_that_wait_are_done_one_by_one_and_once(store):
    held, done = threading.Event(), list[int]()

    def work(_):
        done.append(len(done))
        return done[-1]

    first = store._put(_Job((), True, lambda _: held.wait(20)))
    rest = [store._put(_Job((), True, work)) for _ in range(2)]
    held.set()
    assert first.result(timeout=30)
    assert [each.result(timeout=30) for each in rest] == done == [0, 1]


def test_one_who_no_longer_waits_does_not_stop_the_writer(store):
    held = threading.Event()
    first = store._put(_Job((), True, lambda _: held.wait(20)))
    left = store.append(turn("t-1"))
    assert left.cancel()
    kept = store.append(turn("t-2"), durable=True)
    held.set()
    assert first.result(timeout=30)
    assert kept.result(timeout=30) == [1]
    assert [each.turn.id for each in store.turns()] == ["t-2"]
