"""Who goes on with what was forgotten is not written again."""

import json
import os
from pathlib import Path

import pytest

from assay.live.status import status
from assay.live.store import Store
from tests.live.running import running
from tests.live.test_forgetting import PHRASE, holding, ids


def spoken(live, messages, **more):
    """What is kept of an answer, by its header."""
    made = live.openai(**more).chat.completions.with_raw_response.create(
        model="m", messages=messages
    )
    text = made.parse().choices[0].message.content
    return made.headers, [*messages, {"role": "assistant", "content": text}]


def asks(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_conversation_that_was_forgotten_is_not_written_again_after_a_restart(tmp_path):
    with running(tmp_path) as live:
        headers, told = spoken(live, [asks(PHRASE)])
        assert headers["x-assay-recorded"] == "trainable"
        _, told = spoken(live, [*told, asks("and then?")])
        live.store.append().result(timeout=30)
        with Store.open(live.store.path) as other:
            other.forget(headers["x-assay-session"], at=1e12)
        assert holding(tmp_path) == []
    with running(tmp_path) as live:
        for more in ({}, {"x_session_id": "named"}):
            sent = {"X-Session-Id": more["x_session_id"]} if more else {}
            headers, _ = spoken(live, [*told, asks("go on")], **sent)
            assert headers["x-assay-recorded"] == "forgotten"
        title = [asks(f"write a title for this conversation: {PHRASE}")]
        headers, _ = spoken(live, title)
        assert headers["x-assay-recorded"] != "trainable"
        again, _ = spoken(live, [asks(PHRASE), {"role": "assistant", "content": "another answer"}])
        assert again["x-assay-recorded"] == "trainable", "it begins with another conversation"
        live.store.forget(again["x-assay-session"], at=1e12)
        headers, _ = spoken(live, [asks("quite another thing")])
        assert headers["x-assay-recorded"] == "trainable"
        assert [t.messages[0]["content"] for t in live.turns()] == ["quite another thing"]
        assert holding(tmp_path) == []


def test_a_request_of_a_forgotten_session_that_is_sent_again_is_not_written(tmp_path):
    key = {"Idempotency-Key": "k-1"}
    with running(tmp_path) as live:
        headers, _ = spoken(live, [asks(PHRASE)], **key)
        assert headers["x-assay-recorded"] == "trainable"
        live.store.forget(headers["x-assay-session"], at=1e12)
        again, _ = spoken(live, [asks(PHRASE)], **key)
        assert again["x-assay-recorded"] == "forgotten"
    with running(tmp_path) as live:
        headers, _ = spoken(live, [asks(PHRASE)], **key)
        assert headers["x-assay-recorded"] == "forgotten"
        other, _ = spoken(live, [asks("hello")], **{"Idempotency-Key": "k-2"})
        assert other["x-assay-recorded"] == "trainable"
        assert holding(tmp_path) == []


def test_it_is_known_by_whose_it_is_and_once_the_gateway_has_dropped_it(tmp_path):
    with running(tmp_path) as live:
        headers, told = spoken(live, [asks(PHRASE)])
        live.store.forget(headers["x-assay-session"], at=1e12)
        live.gateway.sessions.drop(headers["x-assay-session"])  # as after half an hour
        for _ in range(2):
            headers, told = spoken(live, [*told, asks("go on")])
            assert headers["x-assay-recorded"] == "forgotten"
        headers, _ = spoken(live, told, run="other")
        assert headers["x-assay-recorded"] == "trainable", "another run's, who said the same"


def test_no_session_s_name_is_that_of_another_s_trajectory(tmp_path, assay):
    with running(tmp_path) as live:
        for name in ("s", "s#1", "s~2"):
            spoken(live, [asks(PHRASE if name == "s" else "plain")], **{"X-Session-Id": name})
        live.store.append().result(timeout=30)
        kept = sorted(live.store.sessions())
        assert [each.rpartition("/")[2] for each in kept] == ["s", "s%231", "s%7E2"]
        folder = live.store.path.parent
        assert assay("import", folder, "-o", "x.jsonl").code == 0
        assert assay("live", "forget", kept[0], "--store", folder).code == 0
    assert ids(tmp_path / "x.jsonl") == kept[1:]


@pytest.mark.parametrize("kind", ["tmp", "old"])
def test_what_a_kill_left_under_a_number_that_another_process_has_is_said(kind, tmp_path, assay):
    with running(tmp_path) as live:
        headers, _ = spoken(live, [asks(PHRASE)])
        live.store.append().result(timeout=30)
        folder = live.store.path.parent
        assert assay("import", folder, "-o", "x.jsonl").code == 0
        left = (tmp_path / "x.jsonl").rename(tmp_path / f".x.jsonl.{kind}-{os.getppid()}")
        ended = assay("live", "forget", headers["x-assay-session"], "--store", folder)
        assert (ended.code, f"{left}: being written, or left" in ended.error) == (3, True)
        left.unlink()
        assert assay("live", "forget", headers["x-assay-session"], "--store", folder).code == 0


def test_what_retention_could_not_reach_is_said_by_status_until_it_is_gone(tmp_path, assay):
    with running(tmp_path) as live:
        spoken(live, [asks(PHRASE)])
        live.store.append().result(timeout=30)
        folder = live.store.path.parent
        assert assay("import", folder, "-o", "x.jsonl").code == 0
        Path("x.jsonl").write_text(f"mine, of {PHRASE}")
        (made,) = live.store.expire(before=1e12, at=1e12)
        assert len(made.failed) == 1
        line = f"{tmp_path / 'x.jsonl'}: may still hold what was forgotten"
        assert line in assay("live", "status", folder).text
        assert json.loads(assay("live", "status", folder, "--json", "-").out)["unreached"] == [
            str(tmp_path / "x.jsonl")
        ]
        left = tmp_path / f".x.jsonl.tmp-{os.getppid()}"
        left.write_text(PHRASE)
        Path("x.jsonl").unlink()
        assert status(live.store, now=1.0)["unreached"] == [str(left)], "of a killed command"
        left.unlink()
        assert status(live.store, now=1.0)["unreached"] == []
        spoken(live, [asks("of another")])
        live.store.append().result(timeout=30)
        assert assay("import", folder, "-o", "x.jsonl").code == 0
        assert status(live.store, now=1.0)["unreached"] == [], "it was made again"
        Path("x.jsonl").write_text("mine")
        assert status(live.store, now=1.0)["unreached"] == [str(tmp_path / "x.jsonl")]


@pytest.mark.parametrize(
    "words", ["status S --page", "status S --json", "admit S --json", "publish S --json"]
)
def test_no_result_takes_the_place_of_the_store(words, tmp_path, assay):
    with running(tmp_path) as live:
        spoken(live, [asks(PHRASE)])
        live.store.append().result(timeout=30)
    folder = live.store.path.parent
    (tmp_path / "link").symlink_to(folder / "store.sqlite")
    before = {each: each.read_bytes() for each in sorted(folder.iterdir()) if each.is_file()}
    for target in (*before, folder / "STOP", folder / "RESOLVE", tmp_path / "link"):
        made = assay("live", *words.replace("S", str(folder)).split(), target)
        assert (made.code, "is the store's own" in made.error) == (2, True)
    assert {each: each.read_bytes() for each in folder.iterdir() if each.is_file()} == before
    if words.startswith("status"):
        for _ in range(2):
            assert assay("live", *words.replace("S", str(folder)).split(), folder / "a").code == 0
