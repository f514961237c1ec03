"""What becomes of a request in the store, line by line; nothing here goes over a socket."""

import asyncio
import sqlite3
from collections import Counter
from typing import Any

import pytest

from assay.errors import DataError
from assay.files.event_log import EventLog
from assay.live import gateway as module
from assay.live.guard import Limits
from assay.live.keys import Key, minted
from assay.live.recorder import FULL, Recorder
from assay.live.store import Store
from assay.live.upstream import UpstreamError
from assay.records.live import Closed, NextState, Opened, Version, unpacked
from tests.live.conftest import opened, turn
from tests.live.engines import IDS, LOGPROBS, PROMPT
from tests.live.inside import SAID, SECRET, asked, call, called, engine, gateway, request


def said(*texts: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "assistant" if at % 2 else "user", "content": text}
                for at, text in enumerate(texts)]  # fmt: skip
    return {"model": "m", "messages": messages, **more}


def events(store: Store, *kinds: str) -> list[Any]:
    store.append().result(timeout=30)
    return [event for _, event in store.events(*kinds)]


def choice(made: dict[str, Any]) -> dict[str, Any]:
    return made["choices"][0]


# --- why a turn is not trained on


@pytest.mark.parametrize(
    ("headers", "more", "change", "why"),
    [
        ({}, {}, lambda _: None, None),
        ({"X-Turn-Type": "side"}, {}, lambda _: None, "side"),
        ({"X-Turn-Type": "side", "X-Assay-Consent": "record"}, {}, lambda _: None, "side"),
        ({"X-Assay-Consent": "record"}, {"temperature": 0.5}, lambda _: None, "no_consent"),
        ({}, {}, lambda m: m["choices"].append({**choice(m), "index": 1}), "several_answers"),
        ({}, {}, lambda m: choice(m).pop("finish_reason"), "unfinished"),
        ({}, {}, lambda m: choice(m).pop("token_ids"), "no_token_ids"),
        ({}, {}, lambda m: m.pop("prompt_token_ids"), "no_prompt_ids"),
        ({}, {}, lambda m: choice(m).pop("logprobs"), "no_logprobs"),
        ({}, {}, lambda m: choice(m)["token_ids"].pop(), "length_mismatch"),
        ({}, {"temperature": 0.5}, lambda _: None, "temperature"),
        ({}, {"n": 2}, lambda _: None, "several_answers"),
    ],
)
def test_why_not(store: Store, headers: Any, more: Any, change: Any, why: str | None) -> None:
    live = gateway(store)
    engine(live).change = change
    found = call(live, headers, {**SAID, **more})
    (kept,) = events(store, "turn")
    assert found.headers["x-assay-recorded"] == (why or "trainable")
    assert (kept.trainable, kept.why_not) == (why is None, why)
    assert live.counts[f"turns:{why or 'trainable'}"] == 1
    usable = why is None or not why.startswith(("no_t", "no_p", "no_l", "length"))
    if usable and headers == {}:
        assert list(unpacked(kept.prompt_ids) or ()) == list(PROMPT)
        assert list(unpacked(kept.completion_ids) or ()) == list(IDS)
    elif headers == {}:
        assert kept.prompt_ids is kept.completion_ids is kept.logprobs is None


def test_what_a_turn_says(store: Store) -> None:
    now = [50.0]
    live = gateway(store, clock=lambda: now[0])
    key = minted(SECRET, Key(run="r", user="ann"))
    found = call(live, {"X-Api-Key": key, "X-Request-Id": "one"}, said("a", tools=[{}], top_p=1.0))
    begun, kept = events(store)
    assert begun == Opened(
        session=found.headers["x-assay-session"], at=50.0, run="r", user="ann", consent="train",
        found="opens; session by itself",
    )  # fmt: skip
    assert begun.session.startswith("r/ann/")
    assert (kept.session, kept.id) == (begun.session, found.headers["x-assay-turn"])
    assert (kept.index, kept.turn_type, kept.rule) == (0, "main", "opens; session by itself")
    assert (kept.shape, kept.model, kept.policy_version, kept.finish_reason) == (
        "chat", "m", "m", "tool_calls"
    )  # fmt: skip
    assert kept.messages == ({"role": "user", "content": "a"},)
    assert (kept.tools, kept.after, kept.shared) == (({},), None, 0)
    assert kept.request
    assert kept.digest
    assert kept.usage["total_tokens"] == 8
    assert kept.sampler["top_p"] == 1.0
    assert list(unpacked(kept.completion_ids) or ()) == list(IDS)
    assert store.turns()[0].logprobs is not None
    assert list(store.turns()[0].logprobs or ()) == list(LOGPROBS)


def test_the_name_of_an_answer_that_is_not_whole_may_be_asked_for_again(store: Store) -> None:
    live = gateway(store)
    engine(live).change = lambda made: choice(made).pop("finish_reason")
    call(live, {"X-Request-Id": "one"})
    engine(live).change = lambda _: None
    call(live, {"X-Request-Id": "one"})
    first, second = events(store, "turn")
    assert (first.request, second.request == "") == ("", False)
    assert len(asked(live)) == 2


# --- turns of one session


def test_a_turn_holds_what_is_new(store: Store) -> None:
    """Prompt 1 5 6 7, answer 11 12 13 2; then 1 5 6 7 11 12 13 2 77, of which 8 are shared; then
    one that parts from 1 5 6 7 11 12 13 2 77 11 12 13 2 behind its fifth. For a side turn the
    engine is not asked for ids."""
    live = gateway(store)
    stub = engine(live).stub
    call(live, body=said("a"))
    stub.prompt = lambda _: [*PROMPT, *IDS, 77]
    call(live, body=said("a", "Hello you", "b"))
    call(live, {"X-Turn-Type": "side"}, said("a", "Hello you", "b", "Hello you", "title"))
    stub.prompt = lambda _: [*PROMPT, 11, 99]
    call(live, body=said("a", "Hello you", "b", "Hello you", "c"))
    one, two, side, three = events(store, "turn")
    assert [each.index for each in (one, two, side, three)] == [0, 1, 2, 3]
    assert [each.after for each in (one, two, side, three)] == [None, one.id, two.id, two.id]
    assert [each.shared for each in (one, two, side, three)] == [0, 8, 0, 5]
    assert list(unpacked(two.prompt_ids) or ()) == [77]
    assert list(unpacked(three.prompt_ids) or ()) == [99]
    assert [m["content"] for m in two.messages] == ["b"]
    assert [m["content"] for m in three.messages] == ["c"]
    assert (one.tools, two.tools) == (None, ())
    whole = store.turns()[3]
    assert list(whole.prompt_ids or ()) == [*PROMPT, 11, 99]
    assert [m["content"] for m in whole.messages] == ["a", "Hello you", "b", "Hello you", "c"]


def test_a_turn_that_goes_on_from_an_earlier_one_is_written_whole(store: Store) -> None:
    live = gateway(store)
    named = {"X-Session-Id": "s"}
    call(live, named, said("a"))
    call(live, named, said("a", "Hello you", "b"))
    call(live, named, said("a", "Hello you", "again"))
    third = events(store, "turn")[2]
    assert (third.after, third.shared, len(third.messages)) == (None, 0, 3)
    assert list(unpacked(third.prompt_ids) or ()) == list(PROMPT)


def test_an_answer_that_broke_off_is_gone_on_from_by_nobody(store: Store) -> None:
    live = gateway(store)

    def breaks(made: dict[str, Any]) -> None:
        placed = live.sessions._going.values()  # pyright: ignore[reportPrivateUsage]
        assert len(placed) == 1
        made.pop("choices")
        made["error"] = {"message": "no"}

    engine(live).change = breaks
    assert call(live, body=said("a")).status == 502
    engine(live).change = lambda _: None
    assert events(store) == []
    call(live, body=said("a", "", "b"))
    assert [each.rule for each in events(store, "turn")] == ["opens; session by itself"]


@pytest.mark.parametrize(
    ("messages", "role", "text"),
    [
        ([{"role": "user", "content": "b"}], "user", "b"),
        ([{"role": "tool", "content": "out"}], "tool", "out"),
        ([{"role": "tool", "content": "x"}, {"role": "user", "content": "y"}], "user", "x\ny"),
        ([{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}], "tool", "x\ny"),
        ([{"role": "system", "content": "be brief"}], "env", "be brief"),
    ],
)
def test_next_states(store: Store, messages: Any, role: str, text: str) -> None:
    times = iter(range(100, 200))
    live = gateway(store, clock=lambda: float(next(times)))
    first = call(live, body=said("a")).headers["x-assay-turn"]
    history = said("a", "Hello you")["messages"]
    call(live, {"X-Turn-Type": "side"}, {"messages": [*history, *messages]})
    assert events(store, "next") == [], "not of a side turn"
    call(live, body={"messages": [*history, *messages]})
    call(live, body={"messages": [*history, {"role": "user", "content": "other"}]})
    (state,) = events(store, "next")
    assert (state.turn, state.role, state.text) == (first, role, text)
    opened_at, turn_at = (events(store, kind)[0].at for kind in ("session", "turn"))
    assert opened_at < turn_at < state.at


def test_nothing_new_is_no_next_state(store: Store) -> None:
    live = gateway(store)
    call(live, body=said("a"))
    call(live, body=said("a", "Hello you"))
    assert events(store, "next") == []


def test_a_session_that_is_over(store: Store) -> None:
    live = gateway(store)
    call(live, {"X-Session-Id": "s"}, said("a"))
    call(live, {"X-Session-Id": "s", "X-Session-Done": ""}, said("a", "Hello you", "b"))
    first, second = events(store, "turn")
    assert [(e.turn, e.role) for e in events(store, "next")] == [
        (first.id, "user"), (second.id, "none")
    ]  # fmt: skip
    assert [type(event) for event in events(store)[-2:]] == [NextState, Closed]
    assert len(live.sessions) == 0
    call(live, {"X-Session-Done": "", "X-Assay-Consent": "none"})
    assert len(events(store)) == 6, "of one that keeps nothing not even that"


def test_a_last_turn_that_timed_out_does_so_once(store: Store) -> None:
    over = NextState(session="r/s", at=20.0, turn="t", role="none")
    store.append(opened("r/s"), turn("t", "r/s"), over).result(timeout=30)
    live = gateway(store, clock=lambda: 30.0)
    call(live, {"X-Session-Id": "s", "X-Turn-Type": "side", "X-Session-Done": ""})
    assert events(store, "next") == [over]
    assert len(events(store, "closed")) == 1


# --- a session that the store knows


def test_a_name_that_the_store_knows_goes_on(store: Store) -> None:
    """With its count, its version, and no more consent than it had."""
    versions = [Version(at=1.0, name=f"pol-00000{n}", state="served") for n in (1, 2)]
    store.append(versions[0], opened("r/s", policy_version="pol-000001"), turn("t", "r/s"))
    live = gateway(store)
    store.append(versions[1]).result(timeout=30)
    live.versions.refresh()
    live.sessions.drop("r/s")
    call(live, {"X-Session-Id": "s"})
    call(live, {"X-Session-Id": "new"})
    turns = events(store, "turn")
    assert [(t.session, t.index, t.policy_version) for t in turns[1:]] == [
        ("r/s", 1, "pol-000001"), ("r/new", 0, "pol-000002")
    ]  # fmt: skip
    assert [e.session for e in events(store, "session")] == ["r/s", "r/new"]
    assert [e.policy_version for e in events(store, "session")] == ["pol-000001", "pol-000002"]


def test_a_session_keeps_the_version_that_it_began_with(store: Store) -> None:
    store.append(Version(at=1.0, name="pol-000001", state="served")).result(timeout=30)
    live = gateway(store)
    call(live, body=said("a"))
    store.append(Version(at=2.0, name="pol-000002", state="served")).result(timeout=30)
    live.versions.refresh()
    call(live, body=said("a", "Hello you", "b"))
    call(live, body=said("other"))
    found = [each.policy_version for each in events(store, "turn")]
    assert found == ["pol-000001", "pol-000001", "pol-000002"]
    assert [each["model"] for each in asked(live)] == found


@pytest.mark.parametrize(
    ("had", "now", "comes"),
    [("train", "record", ["record"]), ("record", "train", []), ("none", "train", []),
     ("train", "train", [])],
)  # fmt: skip
def test_consent_that_the_store_knows_is_not_raised(
    store: Store, had: str, now: Any, comes: list[str]
) -> None:
    store.append(opened("r/s", consent=had), turn("t", "r/s")).result(timeout=30)
    live = gateway(store, consent=now)
    live.sessions.drop("r/s")
    call(live, {"X-Session-Id": "s"})
    assert [each.consent for each in events(store, "consent")] == comes
    assert len(events(store, "turn")) == (1 if had == "none" else 2)


def test_sessions_of_the_last_hour_that_are_not_over_go_on(store: Store) -> None:
    for name, at in (("old", 100.0), ("over", 5000.0), ("going", 3700.0)):
        said_ = {"messages": ({"role": "user", "content": name},)}
        store.append(opened(name, at=at), turn(f"t-{name}", name, at=at, **said_))
    store.append(Closed(session="over", at=5000.0)).result(timeout=30)
    live = gateway(store, clock=lambda: 7300.0)
    for name, goes_on in (("old", False), ("over", False), ("going", True)):
        answer = f"answer of t-{name}"
        found = call(live, body=said(name, answer, "b")).headers["x-assay-session"]
        assert (found == name) == goes_on


# --- what cannot be written


def full(*_: Any, **__: Any) -> Any:
    raise sqlite3.OperationalError("database or disk is full")


def test_what_begins_a_session_is_written_with_what_is_kept_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = gateway(store)
    named = {"X-Session-Id": "s"}
    with monkeypatch.context() as broken:
        broken.setattr(EventLog, "append", full)
        assert call(live, named, said("a")).headers["x-assay-recorded"] == "store"
        assert call(live, {**named, "X-Turn-Type": "side"}).headers["x-assay-recorded"] == "side"
        store.append().exception(timeout=30)
    assert live.counts["store_failures"] == 2
    assert live.counts["turns:store"] == 1
    call(live, named, said("a", "Hello you", "b"))
    begun, _, kept = events(store)
    assert (type(begun), kept.index, kept.after, kept.shared) == (Opened, 2, None, 0)
    assert len(kept.messages) == 3, "what it goes on from is not there"


def test_a_session_begins_with_the_consent_that_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = gateway(store)
    named = {"X-Session-Id": "s"}
    with monkeypatch.context() as broken:
        broken.setattr(EventLog, "append", full)
        call(live, named)
    call(live, {**named, "X-Assay-Consent": "record"})
    assert [each.consent for each in events(store, "session")] == ["record"]
    assert [each.consent for each in events(store, "consent")] in ([], ["record"])


def test_consent_that_could_not_be_written_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = gateway(store)
    named = {"X-Session-Id": "s"}
    call(live, named)
    with monkeypatch.context() as broken:
        broken.setattr(EventLog, "append", full)
        call(live, {**named, "X-Assay-Consent": "none"})
        store.append().exception(timeout=30)
        asyncio.run(live.recorder.again())
        store.append().exception(timeout=30)
    assert events(store, "consent") == []
    asyncio.run(live.recorder.again())
    assert [each.consent for each in events(store, "consent")] == ["none"]
    asyncio.run(live.recorder.again())
    assert len(events(store, "consent")) == 1
    assert len(events(store, "turn")) == 1


def test_a_session_that_was_forgotten_is_not_said_to_be_kept(store: Store) -> None:
    live = gateway(store)
    name = call(live, body=said("a")).headers["x-assay-session"]
    store.forget(name, at=1.0)
    found = call(live, body=said("a", "Hello you", "b"))
    assert found.headers["x-assay-session"] == name
    assert found.headers["x-assay-recorded"] == "forgotten"
    assert events(store, "turn") == []


class Waiting:
    """A store of which so much room is taken."""

    def __init__(self, *shares: float) -> None:
        self.shares = [*shares]

    @property
    def waiting(self) -> float:
        return self.shares.pop(0) if len(self.shares) > 1 else self.shares[0]


@pytest.mark.parametrize(
    ("shares", "room"),
    [((FULL,), False), ((FULL - 0.01,), True), ((1.0, 1.0, 0.5), True)],
)
def test_room_is_waited_for(shares: tuple[float, ...], room: bool) -> None:
    recorder = Recorder.__new__(Recorder)
    recorder._store, recorder._patience = Waiting(*shares), 0.05  # pyright: ignore
    assert asyncio.run(recorder.room()) == room


def test_without_a_store_there_is_room_and_nothing_is_kept() -> None:
    recorder = Recorder(
        None, processed=False, patience=0.0, clock=lambda: 0.0, counts=Counter[str]()
    )
    assert asyncio.run(recorder.room())
    assert call(gateway(None)).headers["x-assay-recorded"] == "store"


# --- the gateway around it


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("", 415),
    ],
)
def test_types_of_bodies(kind: str, status: int) -> None:
    assert call(gateway(None), {"Content-Type": kind}).status == status


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    live = gateway(None, limits=Limits(upload=0.05))
    scope, _ = request()

    async def never() -> Any:
        await asyncio.Event().wait()

    async def asks() -> list[Any]:
        told = list[Any]()

        async def send(message: Any) -> None:
            told.append(message)

        await asyncio.wait_for(live.app(scope, never, send), 20.0)
        return told

    assert asyncio.run(asks())[0]["status"] == 408


def test_a_client_that_left_before_it_asked_is_counted() -> None:
    live = gateway(None)
    asyncio.run(called(live, request()[0], None))
    assert live.counts["client_left"] == 1
    assert asked(live) == []


def test_as_many_at_once_as_may_be_and_one_of_a_name() -> None:
    """The engine waits until both of the others were refused."""
    live = gateway(None, limits=Limits(at_once=2))
    behind, begun, go = engine(live), asyncio.Event(), asyncio.Event()
    plain = behind.engine

    async def waits() -> Any:
        begun.set()
        await go.wait()
        return await plain()

    behind.engine = waits  # pyright: ignore[reportAttributeAccessIssue]

    async def asks() -> list[Any]:
        named = request({"X-Request-Id": "one"})
        first = asyncio.create_task(called(live, *named))
        await begun.wait()
        again = await called(live, *named)
        second = asyncio.create_task(called(live, *request()))
        await asyncio.sleep(0.01)
        third = await called(live, *request())
        go.set()
        return [await first, again, await second, third, await called(live, *named)]

    found = asyncio.run(asks())
    assert [each.status for each in found] == [200, 409, 200, 429, 200]
    assert [each.headers.get("retry-after") for each in found] == [None, "1", None, "1", None]
    assert (live.counts["refused:409"], live.counts["refused:429"]) == (1, 1)


def test_a_request_that_comes_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    live = gateway(store)
    named = {"Idempotency-Key": "one", "X-Request-Id": "two"}
    first, again = call(live, named), call(live, named)
    assert again.headers["x-assay-turn"] == first.headers["x-assay-turn"]
    assert live.counts["replayed"] == 1
    assert call(live, {"X-Request-Id": "two"}).headers["x-assay-recorded"] == "trainable"
    assert call(live, named, said("other")).status == 409
    assert (
        call(live, {**named, "X-Api-Key": minted(SECRET, Key(run="r", user="ann"))}).status == 200
    )
    assert call(live, named, path="/r/q/v1/chat/completions").status == 200
    assert len(events(store, "turn")) == 4

    def broken(_: Any, name: str) -> Any:
        raise DataError("no log")

    monkeypatch.setattr(Store, "turn_of", broken)
    assert call(live, named).status == 200, "open for its user"
    assert live.counts["store_failures"] == 1
    assert call(gateway(None), named).status == 200


def test_what_is_wrong_with_an_engine_is_told_in_the_client_s_form() -> None:
    live = gateway(None)

    async def none() -> bytes:
        raise UpstreamError("there is none", 504)

    live.upstream.models = none  # pyright: ignore[reportAttributeAccessIssue]
    found = call(live, path="/r/r/v1/models", method="GET")
    assert (found.status, found.said) == (504, "there is none")
    wrong = call(live, {"Origin": "x"}, path="/r/r/v1/messages")
    assert wrong.body.startswith(b'{"type":"error","error":{"type":"permission_error"')
    odd = call(live, body={"messages": [], "input": {}}, path="/r/r/v1/responses")
    assert odd.status == 400


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"messages": [{"role": 5}]}, "messages: one has no role"),
        ({"messages": []}, "expected 1 to 4096 messages"),
        ({"n": 9}, "n: expected 1 to 8"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(more: Any, told: str) -> None:
    live = gateway(None)
    found = call(live, body={**SAID, **more})
    assert (found.status, found.said, asked(live)) == (400, told, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("messages", {"messages": [{"role": "user", "content": [{"type": "tool_result"}, 5]}]}),
        ("messages", {"messages": [{"role": "user", "content": {"a": 1}}]}),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "image", "source": 5}]}]}),
        ("messages", {"messages": [{"role": "user", "content": "x"}], "tools": {"a": 1}}),
        ("responses", {"input": [{"type": "message", "content": [{"type": "odd"}]}]}),
        ("responses", {"input": 5}),
        ("responses", {"previous_response_id": "r", "input": "x"}),
        ("chat/completions", {"messages": [{"role": 5}]}),
        ("chat/completions", {}),
    ],
)
def test_no_shape_falls_over_what_it_gets(path: str, body: Any) -> None:
    live = gateway(None)
    found = call(live, body=body, path=f"/r/r/v1/{path}")
    assert (found.status, asked(live)) == (400, [])


def test_it_looks_for_versions_and_for_sessions_that_are_quiet(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK", 0.01)
    now = [100.0]
    live = gateway(store, clock=lambda: now[0], idle=60.0)
    call(live, body=said("a"))
    store.append(Version(at=1.0, name="pol-000001", state="served")).result(timeout=30)

    async def watches() -> None:
        task = asyncio.create_task(live._watch())  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0.3)
        assert len(live.sessions) == 1, "not quiet for long"
        now[0] = 161.0
        await asyncio.sleep(0.3)
        task.cancel()

    asyncio.run(watches())
    assert live.versions.kept == ["pol-000001"]
    assert len(live.sessions) == 0
    assert [each.role for each in events(store, "next")] == ["none"]
    assert events(store, "closed") == []


def test_an_owner_s_requests_alone_go_on(store: Store) -> None:
    live = gateway(store)
    ann, bob = ({"X-Api-Key": minted(SECRET, Key(run="r", user=user))} for user in ("ann", "bob"))
    first = call(live, ann, said("a")).headers["x-assay-session"]
    on = said("a", "Hello you", "b")
    assert call(live, bob, on).headers["x-assay-session"].startswith("r/bob/")
    assert call(live, None, on).headers["x-assay-session"].count("/") == 1
    assert call(live, ann, on).headers["x-assay-session"] == first
