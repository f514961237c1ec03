"""What became of a session that its client lets nothing be kept of, whatever happens meanwhile."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from assay.files.event_log import EventLog
from assay.live.status import status
from assay.live.store import Store
from assay.records.live import Opened
from tests.live.inside import call, engine, gateway
from tests.live.test_recording import events, full, said

NONE = {"X-Session-Id": "s", "X-Assay-Consent": "none"}


@pytest.mark.parametrize("away", ["anew", "long after", "idle", "pushed out", "over"])
def test_a_session_that_began_with_none_keeps_nothing_when_it_comes_again(
    store: Store, away: str
) -> None:
    """Its name, run and user are written, and nothing that was said in it."""
    now = [100.0]
    live = gateway(store, clock=lambda: now[0])
    assert call(live, NONE, said("my secret")).headers["x-assay-recorded"] == "no_consent"
    assert events(store) == [
        Opened(session="r/s", at=100.0, run="r", consent="none", found="opens; session by header")
    ]
    if away == "over":
        call(live, {"X-Session-Id": "s", "X-Session-Done": ""}, said("my secret"))
    elif away in ("idle", "pushed out"):
        assert live.sessions.drop("r/s") is not None
    else:
        now[0] = 100.0 if away == "anew" else 90_000.0
        live = gateway(store, clock=lambda: now[0])
    again = call(live, {"X-Session-Id": "s"}, said("my secret", "Hello you", "and on"))
    assert again.headers["x-assay-recorded"] == "no_consent"
    assert len(events(store)) == 1
    told = status(store, now=now[0])
    assert (told["sessions"]["none"], told["sessions"]["without main turns"]) == (1, 1)
    assert told["turns"] == {}


def test_of_a_session_without_a_name_that_keeps_nothing_nothing_is_written(store: Store) -> None:
    """A name that is drawn is never drawn again."""
    live = gateway(store)
    call(live, {"X-Assay-Consent": "none"}, said("a"))
    call(live, body=said("a", "Hello you", "b"))
    assert events(store) == []
    assert live.counts["turns:not_kept"] == 2


def test_a_session_that_kept_nothing_is_forgotten_as_any_other_is(store: Store) -> None:
    """By its name, or once it is old; from then on it is not written for that."""
    live = gateway(store, clock=lambda: 100.0)
    for name in ("s", "t"):
        call(live, {**NONE, "X-Session-Id": name})
    events(store)
    assert store.forget("r/s", at=200.0).events == 1
    assert [each.events for each in store.expire(before=150.0, at=200.0)] == [1]
    again = gateway(store)
    for name in ("s", "t"):
        found = call(again, {"X-Session-Id": name})
        assert found.headers["x-assay-recorded"] == "forgotten"
    assert store.sessions() == {}


def test_a_request_under_way_is_not_kept_where_another_says_none_meanwhile(store: Store) -> None:
    """Nothing was written of the session yet: what begins it is, as one that keeps nothing."""
    live = gateway(store)

    def meanwhile(_: Any) -> None:
        engine(live).change = lambda _: None
        with ThreadPoolExecutor() as beside:
            beside.submit(call, live, NONE).result(timeout=30)

    engine(live).change = meanwhile
    assert call(live, {"X-Session-Id": "s"}).headers["x-assay-recorded"] == "no_consent"
    assert [each.consent for each in events(store)] == ["none"]


def test_that_a_session_keeps_nothing_is_tried_again_where_it_could_not_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = gateway(store)
    with monkeypatch.context() as broken:
        broken.setattr(EventLog, "append", full)
        assert call(live, NONE).headers["x-assay-recorded"] == "no_consent"
        store.append().exception(timeout=30)
    assert events(store) == []
    for _ in range(2):
        asyncio.run(live.recorder.again())
        assert [each.consent for each in events(store, "session")] == ["none"]
    assert len(events(store)) == 1
