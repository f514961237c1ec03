"""The gateway over real sockets: what clients get, what engines are asked, what is kept."""

import json
import threading
import time
from contextlib import ExitStack, contextmanager

import anthropic
import openai
import pytest
from starlette.responses import JSONResponse, Response

from assay.live.gateway import Gateway
from assay.live.guard import Guard, Limits
from assay.live.keys import Key, minted
from assay.live.store import Store
from assay.live.upstream import Server
from assay.records.live import Consented
from tests.live.engines import IDS, LOGPROBS, PROMPT, Stub, served

SECRET = b"s" * 32
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def wait_for(what):
    """Waits until something is so, 20 seconds at most."""
    deadline = time.monotonic() + 20
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert what()


class Running:
    """A gateway, its engine and its store."""

    def __init__(self, url, stub, store, gateway):
        self.url, self.stub, self.store, self.gateway = url, stub, store, gateway
        self.clients = []

    def kept(self, client):
        self.clients.append(client)
        return client

    def openai(self, run="r", key="any", **headers):
        return self.kept(openai.OpenAI(
            base_url=f"{self.url}/r/{run}/v1", api_key=key, max_retries=0, timeout=30,
            default_headers=headers,
        ))  # fmt: skip

    def anthropic(self, run="r", key="any", **headers):
        return self.kept(anthropic.Anthropic(
            base_url=f"{self.url}/r/{run}", api_key=key, max_retries=0, timeout=30,
            default_headers=headers,
        ))  # fmt: skip

    def sessions(self):
        self.store.append().result(timeout=30)
        return self.store.sessions()

    def turns(self):
        self.store.append().result(timeout=30)
        return self.store.turns()


@contextmanager
def running(tmp_path, kind="vllm", *, stub=None, store=True, **more):
    with ExitStack() as stack:
        stub = stub or Stub(kind)
        behind = stack.enter_context(served(stub.app))
        kept = stack.enter_context(Store.open(tmp_path / "store")) if store is True else store
        guard = Guard(
            secret=SECRET,
            needs_key=more.pop("needs_key", False),
            consent=more.pop("consent", "train"),
            hosts=frozenset({"127.0.0.1", "localhost"}),
        )
        upstream = Server(
            f"{behind}/v1", key="upstream-key", engine=more.pop("engine", None),
            timeout=more.pop("timeout", 20.0), most=100,
        )  # fmt: skip
        gateway = Gateway(upstream=upstream, store=kept, guard=guard, **more)
        url = stack.enter_context(served(gateway.app))
        made = Running(url, stub, kept, gateway)
        try:
            yield made
        finally:
            for client in made.clients:
                client.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with running(tmp_path_factory.mktemp("live")) as made:
        yield made


def ask(client, *messages, **more):
    said = [{"role": "user" if i % 2 == 0 else "assistant", "content": m}
            for i, m in enumerate(messages)]  # fmt: skip
    return client.chat.completions.create(model="m", messages=said, **more)


def test_an_answer_is_passed_on_and_what_was_sampled_is_kept(live):
    raw = live.openai().chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "one"}]
    )
    made = raw.parse()
    assert made.choices[0].message.content == "Hello you"
    assert raw.headers["x-assay-recorded"] == "trainable"
    (seen,) = [t for t in live.turns() if t.turn.id == raw.headers["x-assay-turn"]]
    assert list(seen.prompt_ids) == list(PROMPT)
    assert list(seen.completion_ids) == list(IDS)
    assert list(seen.logprobs) == list(LOGPROBS)
    assert seen.why_not is None
    assert seen.turn.sampler["top_k"] == -1
    assert live.stub.headers[-1]["authorization"] == "Bearer upstream-key"
    assert live.stub.asked[-1]["return_token_ids"] is True


def test_a_stream_passes_as_it_comes_and_is_kept_alike(tmp_path):
    stub = Stub()
    stub.pause = 0.2
    with running(tmp_path, stub=stub) as live:
        times, text = [], ""
        for chunk in ask(live.openai(), "streamed", stream=True):
            times.append(time.monotonic())
            text += chunk.choices[0].delta.content or ""
        assert text == "Hello you"
        assert times[-1] - times[0] > 0.5, "not in one piece at the end"
        (seen,) = live.turns()
        assert list(seen.completion_ids) == list(IDS)
        assert list(seen.logprobs) == list(LOGPROBS)
        assert seen.why_not is None


def test_a_stream_s_bytes_are_the_engine_s(tmp_path):
    odd = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\r\n\r\n'
    tail = b": a comment\n\ndata: [DONE]\n\nafter"
    stub = Stub()
    stub.hook = lambda _: Response(odd + tail, media_type="text/event-stream")
    with running(tmp_path, stub=stub) as live:
        said = {"stream": True, "messages": [{"role": "user", "content": "x"}]}
        status, body = post(live.url, body=json.dumps(said).encode())
        assert (status, body) == (200, odd + tail)


def test_calls_of_tools_are_put_together_from_a_stream(live):
    calls = {}
    for chunk in ask(live.openai(), "use a tool", stream=True, tools=TOOLS):
        for call in chunk.choices[0].delta.tool_calls or ():
            calls.setdefault(call.index, "")
            calls[call.index] += call.function.arguments or ""
    assert calls == {0: '{"at": "x"}'}
    seen = live.turns()[-1]
    call = seen.turn.answer["tool_calls"][0]
    assert call["function"] == {"name": "look", "arguments": '{"at": "x"}'}
    assert seen.turn.finish_reason == "tool_calls"


# --- sessions and turns


def test_a_session_is_found_by_its_history_and_gets_next_states(tmp_path):
    with running(tmp_path) as live:
        client = live.openai()
        ask(client, "first")
        live.stub.prompt = lambda _: [*PROMPT, *IDS, 77]
        ask(client, "first", "Hello you", "that was wrong, shorter please")
        ask(client, "another task")
        sessions = live.sessions()
        assert [len(each.turns) for each in sessions.values()] == [2, 1]
        first, second = next(iter(sessions.values())).turns
        assert first.next_state.text == "that was wrong, shorter please"
        assert first.next_state.role == "user"
        assert (second.turn.after, second.turn.shared) == (first.turn.id, 8)
        assert len(second.turn.prompt_ids) == 4, "one id is new"
        assert list(second.prompt_ids) == [*PROMPT, *IDS, 77]
        assert [m["content"] for m in second.messages][0::2] == [
            "first", "that was wrong, shorter please"
        ]  # fmt: skip
        assert second.turn.rule == "goes on; session by history"


def test_what_a_tool_says_is_a_next_state(tmp_path):
    with running(tmp_path) as live:
        client = live.openai()
        message = ask(client, "look", tools=TOOLS).choices[0].message
        history = [
            {"role": "user", "content": "look"},
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": "call_9", "content": "exit code: 1"},
        ]
        client.chat.completions.create(model="m", messages=history, tools=TOOLS)
        (session,) = live.sessions().values()
        state = session.turns[0].next_state
        assert (state.role, state.text) == ("tool", "exit code: 1")
        assert session.turns[1].tools == tuple(TOOLS)


def test_side_turns_are_told_apart_and_teach_nothing(tmp_path):
    with running(tmp_path) as live:
        client = live.openai()
        ask(client, "do the work", tools=TOOLS)
        ask(client, "Generate a short title for this conversation")
        said = [{"role": "system", "content": "You check facts."}, {"role": "user", "content": "?"}]
        client.chat.completions.create(model="m", messages=said)
        ask(client, "hello again", max_tokens=1)
        live.openai(**{"X-Turn-Type": "side"})
        ask(live.openai(**{"X-Turn-Type": "side"}), "said to be beside", tools=TOOLS)
        (session,) = live.sessions().values()
        assert [t.turn.turn_type for t in session.turns] == ["main", *["side"] * 4]
        assert [t.turn.rule.partition(";")[0] for t in session.turns] == [
            "opens",
            "asks for a title or a summary",
            "no tools, other instructions",
            "one token asked for",
            "header",
        ]
        assert {t.why_not for t in session.turns[1:]} == {"side"}
        assert len(session.trainable()) == 1


def test_the_header_names_a_session_and_main_turns_in_it(tmp_path):
    with running(tmp_path) as live:
        client = live.openai(**{"X-Session-Id": "abc", "X-Turn-Type": "main"})
        ask(client, "one")
        ask(client, "an edited history")
        (session,) = live.sessions().values()
        assert session.id == "r/abc"
        assert [t.turn.turn_type for t in session.turns] == ["main", "main"]
        assert session.turns[0].next_state is None, "it does not go on from it"


def test_attempts_at_one_task_are_sessions_of_their_own(tmp_path):
    with running(tmp_path) as live:
        client = live.openai()
        for _ in range(3):
            ask(client, "the same task")
        for _ in range(3):
            ask(client, "the same task", "Hello you", "go on")
        assert [len(each.turns) for each in live.sessions().values()] == [2, 2, 2]


def test_a_session_goes_on_after_a_restart(tmp_path):
    with running(tmp_path) as live:
        ask(live.openai(), "first")
    with running(tmp_path) as live:
        live.stub.prompt = lambda _: [*PROMPT, *IDS, 77]
        ask(live.openai(), "first", "Hello you", "more")
        (session,) = live.sessions().values()
        assert [t.turn.index for t in session.turns] == [0, 1]
        assert session.turns[1].turn.shared == 8


def test_a_session_that_is_done_or_quiet_is_over(tmp_path):
    now = [1000.0]
    with running(tmp_path, clock=lambda: now[0], idle=60.0) as live:
        ask(live.openai(**{"X-Session-Done": "1"}), "only this")
        ask(live.openai(), "and then nothing")
        now[0] += 61
        wait_for(lambda: not len(live.gateway.sessions))
        done, quiet = live.sessions().values()
        assert (done.closed, quiet.closed) == (True, False)
        assert [each.turns[0].progress for each in (done, quiet)] == ["timed_out", "timed_out"]


# --- engines


def test_sglang_s_tokens_are_read_where_it_has_them(tmp_path):
    with running(tmp_path, "sglang") as live:
        client = live.openai()
        ask(client, "whole")
        ask(client, "streamed", stream=True).close()
        list(ask(client, "streamed again", stream=True))
        whole, *_, streamed = live.turns()
        assert list(whole.completion_ids) == list(IDS)
        assert list(whole.logprobs) == list(LOGPROBS)
        assert list(whole.prompt_ids) == list(PROMPT)
        assert streamed.why_not == "no_token_ids"
        assert streamed.completion_ids is streamed.logprobs is None
        assert "return_meta_info" not in live.stub.asked[-1], "it refuses that in a stream"


def test_an_engine_without_ids_serves_and_teaches_nothing(tmp_path):
    with running(tmp_path, "someone") as live:
        assert ask(live.openai(), "hi").choices[0].message.content == "Hello you"
        (seen,) = live.turns()
        assert seen.why_not == "no_token_ids"
        assert live.stub.asked == [
            {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        ], "it is asked for what the client asks for"


def test_an_engine_that_refuses_what_is_asked_beside_is_asked_again_without(tmp_path):
    stub = Stub("strict")
    with running(tmp_path, stub=stub, engine="vllm") as live:
        assert ask(live.openai(), "hi").choices[0].message.content == "Hello you"
        assert [("return_token_ids" in each) for each in stub.asked] == [True, False]
        assert live.turns()[0].why_not == "no_token_ids"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"temperature": 0.7}, "temperature"),
        ({"top_p": 0.9}, "sampler:top_p"),
        ({"extra_body": {"top_k": 50}}, "sampler:top_k"),
        ({"presence_penalty": 0.5}, "sampler:presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "guided"),
        ({"logit_bias": {"5": 1}}, "sampler:logit_bias"),
        ({"temperature": 1.0, "top_p": 1.0}, None),
    ],
)
def test_a_sampler_that_is_not_the_policy_teaches_nothing(live, more, why):
    ask(live.openai(), f"sampled with {more}", **more)
    assert live.turns()[-1].why_not == why


def test_processed_log_probs_count_the_temperature_in(tmp_path):
    with running(tmp_path, processed=True) as live:
        ask(live.openai(), "warm", temperature=0.7)
        ask(live.openai(), "cold", temperature=0.0)
        assert [each.why_not for each in live.turns()] == [None, "temperature"]


def test_tokens_and_log_probs_that_do_not_line_up_are_not_kept(tmp_path):
    stub = Stub()

    def short(body):
        made = stub.whole(body)
        made["choices"][0]["token_ids"] = [11, 12]
        return JSONResponse(made)

    stub.hook = short
    with running(tmp_path, stub=stub) as live:
        ask(live.openai(), "hi")
        (seen,) = live.turns()
        assert seen.why_not == "length_mismatch"
        assert seen.completion_ids is seen.logprobs is seen.prompt_ids is None


# --- consent


def test_without_consent_nothing_is_kept_or_nothing_is_taught(tmp_path):
    with running(tmp_path) as live:
        ask(live.openai(**{"X-Assay-Consent": "none"}), "keep nothing of this")
        ask(live.openai(**{"X-Assay-Consent": "record"}), "keep, teach nothing")
        (seen,) = live.turns()
        assert seen.why_not == "no_consent"
        assert live.gateway.counts["turns:not_kept"] == 1
        assert live.stub.asked[-1].keys() == {"model", "messages"}, "asked for nothing beside"
    assert b"keep nothing" not in b"".join(
        each.read_bytes() for each in (tmp_path / "store").iterdir()
    )


def test_a_header_allows_no_more_than_the_gateway_does(tmp_path):
    with running(tmp_path, consent="record") as live:
        ask(live.openai(**{"X-Assay-Consent": "train"}), "hi")
        assert live.turns()[0].why_not == "no_consent"
        key = minted(SECRET, Key(run="r", user="ann", consent="train"))
        ask(live.openai(key=key), "by one who agreed")
        assert live.turns()[1].why_not is None


def test_consent_that_is_taken_back_is_written(tmp_path):
    with running(tmp_path) as live:
        ask(live.openai(), "first")
        ask(live.openai(**{"X-Assay-Consent": "record"}), "first", "Hello you", "no more")
        (session,) = live.sessions().values()
        assert session.consent == "record"
        assert session.trainable() == []


# --- the other shapes


def test_anthropic_s_client_gets_text_and_calls(live):
    client = live.anthropic()
    made = client.messages.create(
        model="m", max_tokens=99, system="be kind", messages=[{"role": "user", "content": "hi"}]
    )
    assert (made.content[0].text, made.stop_reason) == ("Hello you", "end_turn")
    assert made.usage.output_tokens == 4
    assert live.stub.asked[-1]["messages"][0] == {"role": "system", "content": "be kind"}
    tools = [{"name": "look", "description": "d", "input_schema": {"type": "object"}}]
    asked = [{"role": "user", "content": "look there"}]
    made = client.messages.create(model="m", max_tokens=99, tools=tools, messages=asked)
    (block,) = made.content
    assert (block.name, block.input, made.stop_reason) == ("look", {"at": "x"}, "tool_use")
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "seen"}
    client.messages.create(
        model="m",
        max_tokens=99,
        tools=tools,
        messages=[
            *asked,
            {"role": "assistant", "content": made.content},
            {"role": "user", "content": [result, {"type": "text", "text": "and now?"}]},
        ],
    )
    session = list(live.sessions().values())[-1]
    assert [t.turn.shape for t in session.turns] == ["messages", "messages"]
    assert session.turns[0].next_state.text == "seen\nand now?"
    assert session.turns[1].why_not is None


@pytest.mark.parametrize("tools", [False, True])
def test_anthropic_s_client_gets_a_stream(live, tools):
    given = [{"name": "look", "description": "d", "input_schema": {"type": "object"}}]
    more = {"tools": given} if tools else {}
    with live.anthropic().messages.stream(
        model="m", max_tokens=99, messages=[{"role": "user", "content": "s"}], **more
    ) as stream:
        made = stream.get_final_message()
    if tools:
        assert (made.content[0].input, made.stop_reason) == ({"at": "x"}, "tool_use")
    else:
        assert (made.content[0].text, made.stop_reason) == ("Hello you", "end_turn")
    assert made.usage.output_tokens == 4
    assert live.turns()[-1].why_not is None


def test_openai_s_responses_get_text_and_calls(live):
    client = live.openai()
    made = client.responses.create(model="m", input="hi there", instructions="be kind")
    assert made.output_text == "Hello you"
    assert made.usage.total_tokens == 8
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    made = client.responses.create(model="m", input="look at it", tools=tools)
    (call,) = made.output
    assert (call.name, call.arguments) == ("look", '{"at": "x"}')
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "seen"}
    items = [{"role": "user", "content": "look at it"}, call.model_dump(), answer]
    client.responses.create(model="m", input=items, tools=tools)
    session = list(live.sessions().values())[-1]
    assert [t.turn.shape for t in session.turns] == ["responses", "responses"]
    assert session.turns[0].next_state.text == "seen"


@pytest.mark.parametrize("tools", [False, True])
def test_openai_s_responses_get_a_stream(live, tools):
    given = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    more = {"tools": given} if tools else {}
    with live.openai().responses.stream(model="m", input="streamed", **more) as stream:
        kinds = [each.type for each in stream]
        made = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    if tools:
        assert made.output[0].arguments == '{"at": "x"}'
    else:
        assert made.output_text == "Hello you"
    assert live.turns()[-1].why_not is None


def test_models_are_the_engine_s(live):
    assert [each.id for each in live.openai().models.list()] == ["m"]


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


def post(url, headers=None, body=None, path="/r/r/v1/chat/completions", method="POST"):
    """Sends bytes as they are; returns status and body."""
    import http.client

    said = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    data = json.dumps(said).encode() if body is None else body
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(
            method, path, data, {"Content-Type": "application/json", **(headers or {})}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


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
