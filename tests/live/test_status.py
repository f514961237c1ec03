"""What a store holds, in numbers and as a page."""

import json
import os

import pytest

from assay.importers import load
from assay.live.status import gateway_of, sentences, status, write_page
from assay.live.store import Store
from assay.records.live import Consented, Moved, NextState, TurnHint, TurnLabel, Version
from tests.live.conftest import opened, turn

SPITE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def kept(tmp_path):
    with Store.open(tmp_path / "live") as store:
        store.append(
            opened("r/s-1"),
            turn("t-1", "r/s-1", answer={"role": "assistant", "content": SPITE}),
            NextState(session="r/s-1", at=11.0, turn="t-1", role="user", text=SPITE),
            turn("t-2", "r/s-1", index=1, turn_type="side", trainable=False, why_not="side"),
            TurnLabel(session="r/s-1", at=12.0, turn="t-1", value=1.0, source="user", reason=SPITE),
            TurnHint(session="r/s-1", at=13.0, turn="t-1", text=SPITE, source="judge"),
            Version(at=14.0, name="pol-1", state="served", sessions=("r/s-1",)),
            durable=True,
        ).result(timeout=30)
        yield store


def test_status_is_told_in_numbers(kept):
    made = status(kept, now=20.0)
    assert made["sessions"] == {
        "all": 1, "train": 1, "over": 0, "without main turns": 0, "forgotten": 0
    }  # fmt: skip
    assert made["turns"] == {
        "all": 2, "main": 1, "not trained on: side": 1, "side": 1, "to train on": 1
    }  # fmt: skip
    assert made["labels"]["user"] == {
        "evidence": "E1", "one": 1, "zero": 0, "between": 0, "none": 0
    }  # fmt: skip
    hints = made["hints"]["judge"]
    assert (hints["count"], hints["admitted"], hints["pairs"], hints["waiting"]) == (1, False, 0, 0)
    assert (hints["uplift"], hints["lower"]) == (None, None)
    assert hints["said"] == "judge: not admitted: 0 pairs of replays, 16 decide"
    assert made["versions"][0]["sessions"] == 1
    assert made["gateway"] is None


def test_sessions_are_counted_once_and_what_is_not_is_named(kept):
    kept.append(
        opened("r/s-2", consent="record"),
        opened("r/s-3"), Consented(session="r/s-3", at=2.0, consent="none"),
        opened("r/s-4"), turn("t-4", "r/s-4", turn_type="side", trainable=False, why_not="side"),
        durable=True,
    ).result(timeout=30)  # fmt: skip
    kept.append(opened("r/s-5"), turn("t-5", "r/s-5"), durable=True).result(timeout=30)
    for at in (20.0, 21.0):
        kept.forget("r/s-5", at=at)
    made = status(kept, now=20.0)
    found = made["sessions"]
    assert found["all"] == sum(found[each] for each in ("train", "record", "none")) == 4
    kept_now = len({name for name, _ in made_trajectories(kept)})
    assert found["all"] - found["without main turns"] == kept_now == 1
    said = sentences({**made, "gateway": {"address": "A", "sessions": 7, "failing": ""}})
    assert said[0].startswith("the gateway listens at A; it remembers 7 conversations")
    assert said[1] == (
        "the store has 4 sessions (consent: 2 train, 1 record, 1 none; 0 over; 3 of them without a "
        "main turn; besides, 1 forgotten)"
    )


def made_trajectories(store):
    return [(each.session or each.id, each) for each in load(store.path.parent)[1]]


def test_the_page_shows_text_as_text_and_is_forgotten_with_its_sessions(kept, tmp_path):
    page = tmp_path / "page.html"
    write_page(kept, page, now=20.0)
    write_page(kept, page, now=21.0)
    text = page.read_text()
    assert SPITE not in text
    assert text.count("&lt;img src=x onerror=") == 4
    assert 'http-equiv="refresh" content="5"' in text
    assert "default-src 'none'" in text
    assert kept.counts()["derived"] == 1
    assert kept.forget("r/s-1", at=22.0).deleted == [str(page)]
    assert not page.exists()


def test_the_page_shows_the_last_sessions_and_is_known_to_be_of_them(kept, tmp_path, monkeypatch):
    monkeypatch.setattr("assay.live.status.SHOWN", 2)
    long = {"role": "assistant", "content": "y" * 2000 + "z"}
    kept.append(
        opened("r/old", at=0.0),
        opened("r/new"), turn("t-3", "r/new", at=90.0, answer=long),
        NextState(session="r/new", at=91.0, turn="t-3", role="user", text="y" * 2000 + "z"),
        durable=True,
    ).result(timeout=30)  # fmt: skip
    write_page(kept, tmp_path / "page.html", now=99.0)
    text = (tmp_path / "page.html").read_text()
    assert ("r/old" in text, "r/s-1" in text, "r/new" in text) == (False, True, True)
    assert (text.count("y" * 2000), "yz" in text) == (2, False), "what is long is cut"
    assert [event.sessions for _, event in kept.events("derived")] == [("r/new", "r/s-1")]


def test_the_page_says_at_a_session_what_it_was_labelled_and_why(kept, tmp_path):
    label = TurnLabel(session="r/s-1", at=15.0, value=0.0, source="person", evidence="E4",
                      reason="wrong file <b>")  # fmt: skip
    kept.append(label, durable=True).result(timeout=30)
    write_page(kept, tmp_path / "page.html", now=20.0)
    session = (tmp_path / "page.html").read_text().partition("<summary>r/s-1")[2]
    of_session, _, of_turns = session.partition("<b>t-1</b>")
    assert "label 0 by person (E4): wrong file &lt;b&gt;</p>" in of_session
    assert "label 1 by user (E1): &lt;img" in of_turns


def test_what_was_trained_on_in_vain_and_what_was_not_by_hand(kept):
    """Two turns came back, one of them after a training; two are left out, one of them so."""
    moves = [("a", "trained"), ("a", "resolved"), ("b", "resolved"), ("c", "trained"),
             ("c", "excluded"), ("d", "excluded")]  # fmt: skip
    kept.append(
        opened("r/s-2", consent="record"),
        *(turn(name, "r/s-2", index=at) for at, name in enumerate("abcd")),
        *(Moved(session="r/s-2", at=50.0, turn=name, to=to) for name, to in moves),
        TurnLabel(session="r/s-2", at=51.0, turn="a", value=0.0, source="user"),
        TurnLabel(session="r/s-2", at=51.0, turn="b", value=0.5, source="user"),
        TurnLabel(session="r/s-2", at=51.0, turn="c", value=None, source="user"),
        Version(at=60.0, name="pol-2", state="served"),
        Version(at=61.0, name="pol-3", state="made"),
        durable=True,
    ).result(timeout=30)  # fmt: skip
    made = status(kept, now=70.0)
    assert made["refused"] == {"again": 1, "left out": 1}
    assert made["turns"]["not trained on: no_consent"] == 4
    assert made["labels"]["user"] == {
        "evidence": "E1", "one": 1, "zero": 1, "between": 1, "none": 1
    }  # fmt: skip
    assert sentences(made)[-1] == "serves pol-2"


def test_a_gateway_is_there_while_its_process_is(kept):
    file = kept.path.parent / "gateway.json"
    assert gateway_of(file.parent) is None
    for pid, there in ((os.getpid(), True), (999_999_999, False)):
        file.write_text(json.dumps({"pid": pid}))
        assert (gateway_of(file.parent) is not None) == there
