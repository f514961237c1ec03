"""The gateway over real sockets: what clients get, what engines are asked, what is kept."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.responses import JSONResponse, Response

from assay.live.keys import Key, minted
from tests.live.engines import IDS, LOGPROBS, PROMPT, Stub
from tests.live.running import SECRET, TOOLS, ask, post, running, wait_for


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with running(tmp_path_factory.mktemp("live")) as made:
        yield made


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


def test_attempts_that_go_on_alike_at_the_same_time_stay_apart(tmp_path):
    stub = Stub()
    with running(tmp_path, stub=stub) as live, ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            ask(live.openai(), "the same task")
        stub.pause = 0.1

        def on(_):
            return list(ask(live.openai(), "the same task", "Hello you", "go on", stream=True))

        list(pool.map(on, range(3)))
        found = live.sessions().values()
        assert [len(each.turns) for each in found] == [2, 2, 2]
        assert all(each.turns[0].next_state for each in found)


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


def test_requests_that_come_before_the_engine_has_said_who_it_is_are_taught_too(tmp_path):
    stub = Stub()
    stub.late = 0.3
    with running(tmp_path, stub=stub) as live, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: ask(live.openai(), f"task {at}"), range(4)))
        assert [turn.why_not for turn in live.turns()] == [None] * 4


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
