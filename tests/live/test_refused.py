"""What a gateway refuses, what it survives, and what it does once that is asked for twice."""

import json
import threading
import time
from contextlib import contextmanager

import anthropic
import openai
import pytest
from starlette.responses import JSONResponse, Response

from assay.live.guard import Limits
from assay.live.keys import Key, minted
from assay.live.store import Store, _Job
from assay.records.live import Consented
from tests.live.engines import Stub
from tests.live.running import SECRET, TOOLS, ask, post, running, wait_for


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with running(tmp_path_factory.mktemp("live")) as made:
        yield made


# --- failures of the engine


def test_an_engine_that_is_down_is_a_502(tmp_path):
    with running(tmp_path) as live:
        live.gateway.upstream._url = "http://127.0.0.1:9/v1"
        with pytest.raises(openai.InternalServerError, match="cannot be reached") as told:
            ask(live.openai(), "hi")
        assert told.value.status_code == 502
        with pytest.raises(anthropic.InternalServerError):
            live.anthropic().messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
            )
        assert live.turns() == []


def test_an_engine_that_comes_after_the_gateway_is_soon_known(tmp_path, monkeypatch):
    from assay.live import upstream

    monkeypatch.setattr(upstream, "_AGAIN", 0.5)
    with running(tmp_path) as live:
        there, live.gateway.upstream._url = live.gateway.upstream._url, "http://127.0.0.1:9/v1"
        with pytest.raises(openai.InternalServerError):
            ask(live.openai(), "hi")
        live.gateway.upstream._url = there
        time.sleep(0.6)
        ask(live.openai(), "soon")
        assert [turn.why_not for turn in live.turns()] == [None]


def test_a_kept_connection_that_the_engine_closed_is_no_failure(tmp_path):
    closing = Stub()
    closing.hook = lambda body: JSONResponse(closing.whole(body), headers={"Connection": "close"})
    with running(tmp_path, stub=closing) as live:
        for at in range(5):
            assert ask(live.openai(), f"{at}").choices[0].message.content == "Hello you"


def test_an_engine_that_is_slow_is_a_504(tmp_path):
    stub = Stub()
    stub.hook = lambda _: time.sleep(1.0)
    with running(tmp_path, stub=stub, timeout=0.2) as live:
        with pytest.raises(openai.APIStatusError) as told:
            ask(live.openai(), "hi")
        assert told.value.status_code == 504


def test_what_an_engine_refuses_is_passed_on(tmp_path):
    stub = Stub()
    stub.hook = lambda _: JSONResponse({"error": {"message": "too long for me"}}, 413)
    with running(tmp_path, stub=stub) as live:
        with pytest.raises(openai.APIStatusError, match="too long for me") as told:
            ask(live.openai(), "hi")
        assert told.value.status_code == 413
        assert "x-assay-turn" not in told.value.response.headers, "there is none to label"
        assert live.turns() == []


def test_a_stream_that_breaks_off_is_told_kept_and_not_trained_on(tmp_path):
    stub = Stub()
    stub.cut = True
    with running(tmp_path, stub=stub) as live:
        with pytest.raises(openai.APIError, match="ended before its end"):
            list(ask(live.openai(), "hi", stream=True))
        with (
            pytest.raises(anthropic.APIError, match="ended before its end"),
            live.anthropic().messages.stream(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
            ) as stream,
        ):
            stream.until_done()
        assert {each.why_not for each in live.turns()} == {"upstream_broke_off"}
        stub.cut = False
        list(ask(live.openai(), "hi", stream=True))
        assert live.turns()[-1].why_not is None, "the session stays usable"


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"error": {"message": "no"}}'])
def test_an_answer_that_is_none_is_a_502(tmp_path, body):
    stub = Stub()
    stub.hook = lambda _: Response(body, media_type="application/json")
    with running(tmp_path, stub=stub) as live, pytest.raises(openai.InternalServerError):
        ask(live.openai(), "hi")


def test_a_client_that_leaves_ends_its_request(tmp_path):
    stub = Stub()
    stub.pause = 0.2
    with running(tmp_path, stub=stub) as live:
        stream = ask(live.openai(), "hi", stream=True)
        next(iter(stream))
        stream.close()
        wait_for(live.turns)
        assert [each.why_not for each in live.turns()] == ["client_left"]


# --- failures of the disk


def test_a_store_that_fails_stops_no_user_and_teaches_nothing(tmp_path, monkeypatch):
    import sqlite3

    from assay.files import event_log

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    with running(tmp_path) as live:
        ask(live.openai(), "before")
        with monkeypatch.context() as broken:
            broken.setattr(event_log.EventLog, "append", full)
            made = live.openai().chat.completions.with_raw_response.create(
                model="m", messages=[{"role": "user", "content": "while it is full"}]
            )
            assert made.parse().choices[0].message.content == "Hello you"
            assert made.headers["x-assay-recorded"] == "store"
            text = "".join(
                each.choices[0].delta.content or ""
                for each in ask(live.openai(), "streamed while it is full", stream=True)
            )
            assert text == "Hello you"
        assert live.gateway.counts["turns:store"] == 2
        assert live.gateway.counts["store_failures"] >= 2
        ask(live.openai(), "while it is full", "Hello you", "after")
        assert [t.messages[0]["content"] for t in live.turns()] == ["before", "while it is full"]
        assert [t.why_not for t in live.turns()] == [None, None]


def test_without_a_store_it_serves(tmp_path):
    with running(tmp_path, store=None) as live:
        assert ask(live.openai(), "hi").choices[0].message.content == "Hello you"
        assert live.gateway.counts["turns:store"] == 1


def test_turns_to_train_on_wait_for_room_and_are_not_lost(tmp_path):
    hold = threading.Event()

    def slow(event):
        hold.wait(30)
        return event

    with Store.open(tmp_path / "store", redact=slow, room=4) as store:
        limits = Limits(patience=0.3)
        with running(tmp_path, store=store, limits=limits) as live:
            client = live.openai()
            store.append(Consented(session="x", at=1.0, consent="none"))
            wait_for(lambda: store.waiting == 0.0)  # the writer has it in hand
            for _ in range(3):
                store.append()
            with pytest.raises(openai.RateLimitError) as told:
                ask(client, "hi")
            assert told.value.response.headers["retry-after"] == "1"
            assert live.stub.asked == [], "the engine was not asked in vain"
            light = live.openai(**{"X-Assay-Consent": "none"})
            assert ask(light, "hi").choices[0].message.content == "Hello you"
            hold.set()
            ask(client, "hi")
            assert [each.why_not for each in live.turns()] == [None]


# --- who may


def test_without_a_key_or_with_a_wrong_one_nobody_gets_anywhere(tmp_path):
    with running(tmp_path, needs_key=True) as live:
        good = minted(SECRET, Key(run="r"))
        wrong = [
            "any",
            "",
            minted(b"x" * 32, Key(run="r")),
            minted(SECRET, Key(run="other")),
            minted(SECRET, Key(run="r", until=1.0)),
            good[:-1],
            good[:-4] + "AAAA",
            "sk-assay.e30." + good.rpartition(".")[2],
            "sk-assay.é.x",
        ]
        for key in wrong:
            for header in ("authorization", "x-api-key"):
                value = f"Bearer {key}" if header == "authorization" else key
                status, _ = post(live.url, {header: value.encode("latin-1")})
                assert status == 401, key
        assert live.stub.asked == []
        assert live.turns() == []
        assert post(live.url, {"x-api-key": good})[0] == 200
        assert post(live.url, {"authorization": f"Bearer {good}"})[0] == 200


def test_a_key_of_this_gateway_that_is_wrong_is_refused_where_none_is_needed(live):
    wrong = minted(b"x" * 32, Key(run="r"))
    assert post(live.url, {"authorization": f"Bearer {wrong}"})[0] == 401


def test_one_user_cannot_reach_another_s_session(tmp_path):
    with running(tmp_path) as live:
        ann, bob = (minted(SECRET, Key(run="r", user=u)) for u in ("ann", "bob"))
        ask(live.openai(key=ann), "my task")
        ask(live.openai(key=bob), "my task", "Hello you", "ignore all that, you were perfect")
        ask(live.openai(key=bob, **{"X-Session-Id": "s"}), "mine")
        ask(live.openai(key=ann, **{"X-Session-Id": "s"}), "not mine")
        sessions = live.sessions()
        assert len(sessions) == 4
        assert sorted(each.user for each in sessions.values()) == ["ann", "ann", "bob", "bob"]
        assert all(t.next_state is None for each in sessions.values() for t in each.turns)


def test_a_key_of_a_session_is_of_no_other(tmp_path):
    with running(tmp_path) as live:
        key = minted(SECRET, Key(run="r", session="only"))
        ask(live.openai(key=key, **{"X-Session-Id": "another"}), "hi")
        assert list(live.sessions()) == ["r/only"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Origin": "http://somewhere.example"}, 403),
        ({"Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Host": "somewhere.example"}, 403),
        ({"X-Session-Id": "a b"}, 400),
        ({"X-Session-Id": "a" * 129}, 400),
        ({"X-Assay-Consent": "everything"}, 400),
        ({"Host": "localhost:1"}, 200),
    ],
)
def test_what_a_page_in_a_browser_could_send_is_refused(live, headers, status):
    assert post(live.url, headers)[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/r/r/v1/chat/completions", 405),
        ("POST", "/v1/chat/completions", 404),
        ("POST", "/r/r/v1/load_lora_adapter", 404),
        ("POST", "/r/r/v1/chat/completions/../../pause", 404),
        ("POST", "/r/%2e%2e/v1/chat/completions", 404),
        ("POST", "/r/a%20b/v1/chat/completions", 404),
        ("DELETE", "/r/r/v1/models", 405),
    ],
)
def test_nothing_but_the_listed_addresses_is_there(live, method, path, status):
    before = len(live.stub.asked)
    assert post(live.url, path=path, method=method)[0] == status
    assert len(live.stub.asked) == before


def nested(depth):
    said = b'{"messages":[{"role":"user","content":"x"}],"metadata":'
    return said + b'{"a":' * depth + b"1" + b"}" * (depth + 1)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b'{"messages": "hi"}', 400),
        (b'{"messages": []}', 400),
        (b'{"messages": [1]}', 400),
        (b'{"messages": [{"content": "x"}]}', 400),
        (nested(100), 400),
        (nested(200_000), 400),
        (nested(10), 200),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 999999999}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": "9"}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 1000}', 400),
        (b'{"messages": [{"role": "user", "content": "' + b"x" * (9 << 20) + b'"}]}', 413),
    ],
)
def test_what_is_no_request_or_too_large_a_one_is_refused(live, body, status):
    before = len(live.stub.asked)
    assert post(live.url, body=body)[0] == status
    assert len(live.stub.asked) - before == (status == 200)


def test_a_body_without_a_length_has_the_limit_too(live):
    import http.client

    connection = http.client.HTTPConnection(live.url.removeprefix("http://"), timeout=30)
    try:
        parts = (b"x" * (1 << 20) for _ in range(9))
        headers = {"Content-Type": "application/json"}
        path = "/r/r/v1/chat/completions"
        connection.request("POST", path, parts, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    finally:
        connection.close()


# --- a request that comes again


def test_a_request_that_is_sent_again_is_one_turn(tmp_path):
    with running(tmp_path) as live:
        headers = {"Idempotency-Key": "req-1"}
        first, second = post(live.url, headers), post(live.url, headers)
        assert first[0] == second[0] == 200
        content = [
            json.loads(each[1])["choices"][0]["message"]["content"] for each in (first, second)
        ]
        assert content == ["Hello you"] * 2
        assert len(live.stub.asked) == 1
        assert len(live.turns()) == 1
        other = json.dumps({"model": "m", "messages": [{"role": "user", "content": "other"}]})
        assert post(live.url, headers, other.encode())[0] == 409
        assert post(live.url, headers, path="/r/r2/v1/chat/completions")[0] == 200, "of another run"
        assert len(live.turns()) == 2


def test_a_stream_that_is_asked_for_again_is_a_stream(tmp_path):
    with running(tmp_path) as live:
        more = {"extra_headers": {"Idempotency-Key": "req-2"}}
        for _ in range(2):
            said = [
                c.choices[0].delta
                for c in ask(live.openai(), "x", stream=True, tools=TOOLS, **more)
            ]
            (name,) = [d.tool_calls[0].function.name for d in said if d.tool_calls
                       and d.tool_calls[0].function.name]  # fmt: skip
            assert name == "look"
        for _ in range(2):
            with live.anthropic().messages.stream(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "y"}],
                extra_headers={"Idempotency-Key": "req-3"},
            ) as stream:  # fmt: skip
                assert stream.get_final_text() == "Hello you"
        assert len(live.turns()) == 2


def test_a_request_that_is_under_way_is_not_taken_twice(tmp_path):
    stub = Stub()
    stub.pause = 0.3
    with running(tmp_path, stub=stub) as live:
        stream = ask(live.openai(), "x", stream=True, extra_headers={"X-Request-Id": "q"})
        next(iter(stream))
        with pytest.raises(openai.ConflictError):
            ask(live.openai(), "x", stream=True, extra_headers={"X-Request-Id": "q"})
        list(stream)


def test_too_many_at_once_are_asked_to_come_again(tmp_path):
    stub = Stub()
    stub.pause = 0.3
    with running(tmp_path, stub=stub, limits=Limits(at_once=1)) as live:
        stream = ask(live.openai(), "x", stream=True)
        next(iter(stream))
        with pytest.raises(openai.RateLimitError):
            ask(live.openai(), "y")
        list(stream)
        ask(live.openai(), "y")


# --- shapes that nothing may be made of


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tools": ["x"]}, "tools: expected a list of objects"),
        ({"tools": 5}, "tools: expected a list of objects"),
        ({"tool_calls": 5}, "tool_calls: expected a list of objects"),
        ({"tool_calls": ["x"]}, "tool_calls: expected a list of objects"),
        ({"tool_calls": [{"function": "x"}]}, "tool_calls: expected function to be an object"),
    ],
)
def test_tools_and_calls_of_another_shape_are_refused_and_leave_the_store_whole(live, more, said):
    answer = {"role": "assistant", "content": "", **more}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}, answer], **more}
    body.pop("tool_calls", None)
    status, told = post(live.url, body=json.dumps(body).encode())
    assert (status, json.loads(told)["error"]["message"]) == (400, said)
    live.sessions()


@pytest.mark.parametrize(
    "odd",
    [
        {"token_ids": [1 << 40]},
        {"token_ids": [-1]},
        {"meta_info": {"output_token_logprobs": [[-0.5, 1 << 40, "x"]]}},
        {"logprobs": {"content": ["x", {"token": "token_id:99999999999", "logprob": -1.0}]}},
        {
            "message": {"tool_calls": [{"function": "x"}]},
            "delta": {"tool_calls": [{"function": 5}]},
        },
    ],
)
def test_what_an_engine_says_oddly_is_passed_on_and_not_trained_on(live, odd):
    choice = {"index": 0, "message": {}, "delta": {}, "finish_reason": "stop", **odd}
    said = json.dumps({"choices": [choice], "prompt_token_ids": [1, 2]})

    def answer(body):
        if body.get("stream"):
            return Response(f"data: {said}\n\ndata: [DONE]\n\n", media_type="text/event-stream")
        return Response(said, media_type="application/json")

    ways = [(path, stream) for path in ("chat/completions", "messages", "responses")
            for stream in (False, True)]  # fmt: skip
    before, live.stub.hook = len(live.turns()), answer
    try:
        for path, stream in ways:
            asked = {"model": "m", "max_tokens": 9, "stream": stream, "input": "x"}
            if path != "responses":
                asked["messages"] = [{"role": "user", "content": "x"}]
            status, _ = post(live.url, body=json.dumps(asked).encode(), path=f"/r/r/v1/{path}")
            assert status == 200
    finally:
        live.stub.hook = lambda _: None
    assert [seen.turn.trainable for seen in live.turns()[before:]] == [False] * len(ways)


# --- a session that is forgotten, consent that is taken back, a clock that is set


def test_a_session_that_is_forgotten_under_way_is_not_said_to_be_kept(tmp_path):
    stub, forgotten = Stub(), list[str]()

    def forget(body):
        for name in live.sessions():
            live.store.forget(name, at=30.0)
            forgotten.append(name)

    with running(tmp_path, stub=stub) as live:
        ask(live.openai(), "first")
        stub.hook = forget
        said = [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "Hello you"},
            {"role": "user", "content": "more"},
        ]
        raw = live.openai().chat.completions.with_raw_response.create(model="m", messages=said)
        assert raw.headers["x-assay-session"] == forgotten[0]
        assert raw.headers["x-assay-recorded"] == "forgotten"
        assert live.turns() == []
        assert live.gateway.counts["turns:forgotten"] == 1


def test_consent_that_is_taken_back_while_the_disk_is_full_is_written_later(tmp_path, monkeypatch):
    import sqlite3

    from assay.files import event_log

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    with running(tmp_path) as live:
        ask(live.openai(), "first")
        with monkeypatch.context() as broken:
            broken.setattr(event_log.EventLog, "append", full)
            ask(live.openai(**{"X-Assay-Consent": "record"}), "first", "Hello you", "no more")
            wait_for(lambda: live.gateway.counts["store_failures"] > 1)  # consent, and the turn
        wait_for(lambda: next(iter(live.sessions().values())).consent == "record")
        (session,) = live.sessions().values()
        assert (session.run, len(session.turns), session.trainable()) == ("r", 1, [])


def test_a_session_that_could_not_be_begun_is_begun_with_its_next_turn(tmp_path, monkeypatch):
    import sqlite3

    from assay.files import event_log

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    with running(tmp_path) as live:
        with monkeypatch.context() as broken:
            broken.setattr(event_log.EventLog, "append", full)
            ask(live.openai(), "first")
        ask(live.openai(), "first", "Hello you", "more")
        (session,) = live.sessions().values()
        assert (session.run, session.consent, len(session.trainable())) == ("r", "train", 1)


def test_consent_that_is_lower_than_a_store_has_it_reaches_turns_of_before(tmp_path):
    named = {"X-Session-Id": "s"}
    with running(tmp_path) as live:
        ask(live.openai(**named, **{"X-Session-Done": "1"}), "first")
        ask(live.openai(**named, **{"X-Assay-Consent": "record"}), "second")
        (session,) = live.sessions().values()
        assert (session.consent, len(session.turns)) == ("record", 2)


def test_a_clock_that_is_set_back_makes_nobody_wait_and_no_time_negative(tmp_path):
    now = [1e9]

    def back():
        now[0] -= 60.0
        return now[0]

    with Store.open(tmp_path / "store", room=1) as store:
        limits = Limits(patience=0.2)
        with running(tmp_path, store=store, limits=limits, clock=back) as live:
            ask(live.openai(), "hi")
            ask(live.openai(), "hi", "Hello you", "more")
            assert all(each.turn.seconds >= 0 for each in live.turns())
            with held(store), pytest.raises(openai.RateLimitError):
                ask(live.openai(), "full")


@contextmanager
def held(store):
    """Keeps a store's writer at work, and its room taken."""
    release, begun = threading.Event(), threading.Event()

    def wait(_):
        begun.set()
        return release.wait(30)

    store._put(_Job((), True, wait))
    try:
        assert begun.wait(30)
        store.append()
        yield
    finally:
        release.set()
