"""OpenTelemetry traces made by the real instrumentations, and what may be wrong with them.

The fixture (`make_otel.py`): of "2+3?" a trajectory that is wrong and, interleaved, one that is
right; of "a+b?" one whose last result only the tool's span holds; the right one again by
OpenInference, which nobody scored.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from assay.audit.kinds import sentences
from assay.errors import DataError
from assay.importers import Choices, Losses, load
from assay.records import Call, Ledger, ModelStep, SystemStep, ToolStep, Trajectory, UserStep

FIXTURE = Path(__file__).parent.parent / "fixtures" / "otel"


def read(path: Path, **choices: Any) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    name, found = load(path, losses=losses, choices=Choices(**choices))
    assert name == "otel"
    return list(found), losses.counts


def text(value: str) -> dict[str, str]:
    return {"stringValue": value}


def message(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def said(role: str, content: str) -> dict[str, Any]:
    return message(role, {"type": "text", "content": content})


def span(at: int, inputs: Any, outputs: Any, *, parent: str = "", **extra: Any) -> dict[str, Any]:
    """A model call as OTLP JSON; its id and its time are `at`."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps(inputs),
        "gen_ai.output.messages": json.dumps(outputs),
    }
    made = [{"key": key, "value": text(value)} for key, value in attributes.items()]
    return {
        "traceId": "a" * 32,
        "spanId": f"{at:016x}",
        "parentSpanId": parent,
        "startTimeUnixNano": str(at),
        "attributes": made,
        **extra,
    }


def event(name: str, score: float) -> dict[str, Any]:
    about = [
        {"key": "gen_ai.evaluation.name", "value": text(name)},
        {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": score}},
    ]
    return {"name": "gen_ai.evaluation.result", "timeUnixNano": "9", "attributes": about}


OURS = "opentelemetry.instrumentation.genai.openai"


def written(
    folder: Path, *spans: dict[str, Any], version: str = "1.3b0", scope: str = OURS
) -> Path:
    about = {"name": scope, "version": version}
    document = {"resourceSpans": [{"scopeSpans": [{"scope": about, "spans": list(spans)}]}]}
    path = folder / "traces.json"
    path.write_text(json.dumps(document))
    return path


def words(trajectory: Trajectory) -> list[str]:
    return [step.text for step in trajectory.steps]


def test_interleaved_traces_come_apart_and_each_turn_comes_once():
    wrong, right, two, again = read(FIXTURE)[0]
    assert right.steps == again.steps
    assert right.steps[0] == SystemStep(text="You add numbers.")
    assert right.steps[1] == UserStep(text="2+3?")
    call = Call(name="add", arguments='{"a": 2, "b": 3}', id="call_1")
    assert right.steps[2] == ModelStep(calls=(call,))
    assert right.steps[3] == ToolStep(text="5", name="add", call=(2, 0))
    assert right.steps[4:] == (ModelStep(text="It is 5."),)
    assert [t.end for t in (wrong, right, two, again)] == ["answered"] * 2 + ["unknown", "answered"]
    # two calls of seven tokens each
    assert {t.ledger for t in (wrong, right, two, again)} == {Ledger(tokens=14)}


def test_evaluations_are_outcomes_and_nobody_else_is_scored():
    wrong, right, two, again = read(FIXTURE)[0]
    assert [t.outcome for t in (wrong, right, two, again)] == [0.0, 1.0, None, None]
    assert right.rewards == {"correct": 1.0}
    assert wrong.group == right.group == again.group != two.group
    assert [t.trial for t in (wrong, right, again, two)] == [0, 1, 2, 0]


def test_the_span_of_a_tool_says_what_no_message_does():
    wrong, _, two, _ = read(FIXTURE)[0]
    assert wrong.steps[3] == ToolStep(text="the tool broke", name="add", call=(2, 0), error=True)
    assert [s.call for s in two.steps if isinstance(s, ToolStep)] == [(2, 0), (2, 1), (5, 0)]
    assert words(two)[3:] == ['"4"', '"6"', "", "10"]  # the 10 is sent to no later call


def test_lines_of_the_sdk_name_no_scope_and_that_is_counted():
    assert read(FIXTURE / "openinference.jsonl")[1] == {"scope_not_said": 2}
    assert read(FIXTURE / "genai.jsonl")[1] == {}


ASKED, ON = said("user", "go"), said("user", "on")


def test_ids_in_base64_are_those_in_hex(tmp_path: Path):
    one = span(1, [ASKED], [said("assistant", "a")])
    two = span(2, [ASKED, said("assistant", "a"), said("user", "on")], [said("assistant", "b")])
    two["traceId"] = base64.b64encode(bytes.fromhex("a" * 32)).decode()
    two["spanId"] = base64.b64encode(bytes.fromhex("2" * 16)).decode()
    (found,), _ = read(written(tmp_path, two, one))  # spans are in the order in which they end
    assert found.id == "a" * 32
    assert words(found) == ["go", "a", "on", "b"]
    assert [s.untrainable for s in found.steps if isinstance(s, ModelStep)] == [None, None]


def test_a_rewritten_history_is_counted_once_and_marked(tmp_path: Path):
    summary = said("user", "so far: a")
    spans = (
        span(1, [ASKED], [said("assistant", "a")]),
        span(2, [ASKED, summary], [said("assistant", "b")]),
        span(
            3,
            [ASKED, summary, said("assistant", "b"), said("user", "on")],
            [said("assistant", "c")],
        ),
    )
    (found,), losses = read(written(tmp_path, *spans))
    assert losses == {"history_rewritten": 1}
    assert words(found) == ["go", "a", "so far: a", "b", "on", "c"]
    assert [(mark.kind, mark.step) for mark in found.marks] == [("prefix_break", 3)]


def test_the_same_request_again_is_another_trajectory_of_the_group(tmp_path: Path):
    spans = (
        span(1, [ASKED], [said("assistant", "a")]),
        span(2, [ASKED], [said("assistant", "b")]),
        span(3, [ASKED, said("assistant", "a"), said("user", "on")], [said("assistant", "c")]),
    )
    (first, second), losses = read(written(tmp_path, *spans))
    assert (words(first), words(second)) == (["go", "a", "on", "c"], ["go", "b"])
    assert (first.id, second.id) == ("a" * 32, "a" * 32 + "/1")
    assert first.group == second.group
    assert losses == {}


def test_what_nobody_answered_here_was_not_sampled_here(tmp_path: Path):
    shot = [said("user", "1+1?"), said("assistant", "2"), ASKED]
    (found,), _ = read(written(tmp_path, span(1, shot, [said("assistant", "a")])))
    models = [s for s in found.steps if isinstance(s, ModelStep)]
    assert [s.untrainable for s in models] == ["copied", None]


def test_a_cut_text_leaves_its_conversation_out(tmp_path: Path):
    cut = span(2, [ASKED, said("assistant", "a"), said("user", "on")], [said("assistant", "b")])
    cut["attributes"][1]["value"] = text(json.dumps([ASKED])[:20])
    other = {**span(3, [said("user", "else")], [said("assistant", "c")]), "traceId": "b" * 32}
    path = written(tmp_path, span(1, [ASKED], [said("assistant", "a")]), cut, other)
    (found,), losses = read(path)
    assert words(found) == ["else", "c"]
    assert losses == {"attribute_cut": 1, "conversation_cut": 1}


def test_an_evicted_start_is_said(tmp_path: Path):
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.2.message.role": "user",
        "llm.input_messages.2.message.content": "on",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
    }
    line = {
        "name": "ChatCompletion",
        "context": {"trace_id": "0x" + "a" * 32, "span_id": "0x" + "1" * 16},
        "parent_id": None,
        "start_time": "2026-01-01T00:00:00Z",
        "attributes": attributes,
    }
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps(line) + "\n")
    (found,), losses = read(path)
    assert losses == {"history_start_evicted": 2, "scope_not_said": 1}
    assert found.steps == (UserStep(text="on"), ModelStep(calls=(Call(name="f", arguments="{}"),)))


def test_a_version_that_was_not_read_is_counted(tmp_path: Path):
    path = written(tmp_path, span(1, [ASKED], [said("assistant", "a")]), version="2.0")
    name = f"scope_not_tested:{OURS}-2.0"
    assert read(path)[1] == {name: 1}
    (told,) = sentences({name: 1})
    assert told.startswith(f"1 model call comes from {OURS}-2.0, a version that this reader was")
    path = written(tmp_path, span(1, [ASKED], [said("assistant", "a")]), scope="")
    assert read(path)[1] == {"scope_not_said": 1}


def test_of_several_evaluations_the_reader_names_the_outcome(tmp_path: Path):
    one = span(
        1, [ASKED], [said("assistant", "a")], events=[event("exact", 0.0), event("kind", 1.0)]
    )
    path = written(tmp_path, one)
    (found,), losses = read(path)
    assert (found.outcome, found.rewards) == (None, {"exact": 0.0, "kind": 1.0})
    assert losses == {"several_evaluations": 1}
    (found,), losses = read(path, outcome="kind")
    assert (found.outcome, losses) == (1.0, {})


def test_a_group_is_named_by_an_attribute(tmp_path: Path):
    one = span(1, [ASKED], [said("assistant", "a")])
    one["attributes"].append({"key": "example.id", "value": {"intValue": "7"}})
    assert read(written(tmp_path, one), group="example.id")[0][0].group == "7"


def test_agents_inside_agents_have_conversations_of_their_own(tmp_path: Path):
    def agent(at: int, parent: str) -> dict[str, Any]:
        made = span(at, [], [], parent=parent)
        made["attributes"] = [{"key": "gen_ai.operation.name", "value": text("invoke_agent")}]
        return made

    outer, inner = f"{1:016x}", f"{3:016x}"
    spans = (
        agent(1, ""),
        span(2, [ASKED], [said("assistant", "a")], parent=outer),
        agent(3, outer),
        span(4, [said("user", "sub")], [said("assistant", "s")], parent=inner),
        span(
            5,
            [ASKED, said("assistant", "a"), said("user", "on")],
            [said("assistant", "b")],
            parent=outer,
        ),
    )
    first, second = read(written(tmp_path, *spans))[0]
    assert (words(first), words(second)) == (["go", "a", "on", "b"], ["sub", "s"])


def test_a_call_that_failed_ends_by_infrastructure(tmp_path: Path):
    failed = span(1, [ASKED], [], status={"code": 2, "message": "overloaded"})
    (found,), _ = read(written(tmp_path, failed))
    assert (found.end, words(found)) == ("infra", ["go"])


def test_spans_without_messages_are_refused_with_what_to_do(tmp_path: Path):
    bare = span(1, [], [])
    bare["attributes"] = bare["attributes"][:1]
    with pytest.raises(DataError, match="no whole conversation in its spans; expected") as caught:
        read(written(tmp_path, bare))
    switch = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"
    assert switch in str(caught.value)
    assert switch in next(sentences({"content_not_captured": 1}))
    bare["attributes"] = []
    with pytest.raises(DataError, match="no span of a model call in it"):
        read(written(tmp_path, bare))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("traceId", "zz", 'got str "zz"; expected 8 or 16 bytes in hex or base64'),
        ("startTimeUnixNano", "soon", 'got str "soon"; expected a whole number'),
        ("attributes", [{"key": "a", "value": {"odd": 1}}], 'got str "odd"; expected stringV'),
    ],
)
def test_what_is_malformed_is_one_line(tmp_path: Path, key: str, value: Any, message: str):
    one = {**span(1, [ASKED], [said("assistant", "a")]), key: value}
    with pytest.raises(DataError) as caught:
        read(written(tmp_path, one))
    assert message in str(caught.value)


def test_a_history_whose_start_was_dropped_goes_on_after_its_last_answer(tmp_path: Path):
    spans = (
        span(1, [ASKED], [said("assistant", "a")]),
        span(2, [said("assistant", "a"), ON], [said("assistant", "b")]),
    )
    (found,), losses = read(written(tmp_path, *spans))
    assert words(found) == ["go", "a", "on", "b"]
    assert losses == {"history_rewritten": 1}


def test_a_tool_that_raised_says_so_where_no_message_does(tmp_path: Path):
    call = {"type": "tool_call", "id": "x", "name": "f", "arguments": {}}
    tool = span(2, [], [], status={"code": 2})
    about = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "x"}
    tool["attributes"] = [{"key": key, "value": text(value)} for key, value in about.items()]
    raised = [{"key": "exception.message", "value": text("no such file")}]
    tool["events"] = [{"name": "exception", "timeUnixNano": "3", "attributes": raised}]
    path = written(tmp_path, span(1, [ASKED], [message("assistant", call)]), tool)
    (found,), _ = read(path)
    assert found.steps[2] == ToolStep(text="no such file", name="f", call=(1, 0), error=True)


def test_an_evaluation_of_a_trace_is_of_its_first_conversation(tmp_path: Path):
    outer = span(9, [], [], events=[event("exact", 1.0)])
    outer["attributes"] = []
    spans = (
        span(1, [ASKED], [said("assistant", "a")], parent=f"{9:016x}"),
        span(2, [said("user", "else")], [said("assistant", "b")], parent=f"{9:016x}"),
    )
    first, second = read(written(tmp_path, *spans, outer))[0]
    assert (first.outcome, second.outcome) == (1.0, None)


def called(*calls: tuple[str | None, str, dict[str, Any] | None]) -> dict[str, Any]:
    parts = [
        {"type": "tool_call", "id": id, "name": name, "arguments": given}
        for id, name, given in calls
    ]
    return message("assistant", *parts)


def tool(at: int, name: str, given: Any, result: str, **extra: Any) -> dict[str, Any]:
    """The span of a tool that names no call."""
    about = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    about |= {"gen_ai.tool.call.result": result}
    if given is not None:
        about["gen_ai.tool.call.arguments"] = given if isinstance(given, str) else json.dumps(given)
    made = span(at, [], [], **extra)
    return {**made, "attributes": [{"key": k, "value": text(v)} for k, v in about.items()]}


def seen(trajectory: Trajectory) -> list[tuple[str, tuple[int, int] | None]]:
    return [(s.text, s.call) for s in trajectory.steps if isinstance(s, ToolStep)]


@pytest.mark.parametrize(
    ("calls", "tools", "expected"),
    [
        # by arguments, not by the order in which they ran
        (
            [("c", "f", {"x": 1}), ("d", "f", {"x": 2})],
            [("f", {"x": 2}, "two"), ("f", {"x": 1}, "one")],
            [("one", (1, 0)), ("two", (1, 1))],
        ),
        # the order of keys and nulls say nothing; of equal ones the first is the first
        (
            [("c", "f", {"x": 1, "y": None, "z": 2}), ("d", "f", {"z": 2, "x": 1})],
            [("f", {"z": 2, "x": 1}, "one"), ("f", {"x": 1, "z": 2, "w": None}, "two")],
            [("one", (1, 0)), ("two", (1, 1))],
        ),
        # a span with other arguments is of no call
        ([("c", "f", {"x": 1})], [("f", {"x": 9}, "nine")], []),
        # one that says none, among others that do, was called without
        (
            [("c", "f", {"x": 1}), ("d", "f", {})],
            [("f", None, "none"), ("f", {"x": 1}, "one")],
            [("one", (1, 0)), ("none", (1, 1))],
        ),
        # where none says them, and where they are no JSON: by name
        (
            [("c", "g", {"x": 1}), ("d", "f", {"x": 1})],
            [("f", None, "f"), ("g", None, "g")],
            [("g", (1, 0)), ("f", (1, 1))],
        ),
        (
            [("c", "f", {"x": 1}), ("d", "f", {"x": 2})],
            [("f", "{'x': 1}", "one"), ("f", {"x": 2}, "two")],
            [("one", (1, 0)), ("two", (1, 1))],
        ),
        # 1 and 1.0 are one number, and what only one side says are defaults
        ([("c", "f", {"x": 1})], [("f", {"x": 1.0}, "one")], [("one", (1, 0))]),
        (
            [("c", "f", {"x": 2}), ("d", "f", {"x": 1})],
            [("f", {"x": 1}, "one"), ("f", {"x": 2, "most": 9}, "two")],
            [("two", (1, 0)), ("one", (1, 1))],
        ),
        # that one tool says its arguments says nothing of another
        (
            [("c", "g", {"y": 1}), ("d", "f", {"x": 1})],
            [("g", None, "g"), ("f", {"x": 1}, "f")],
            [("g", (1, 0)), ("f", (1, 1))],
        ),
    ],
)
def test_spans_of_tools_that_name_no_call_are_told_by_arguments(
    calls: list[Any], tools: list[Any], expected: list[Any], tmp_path: Path
):
    spans = [tool(2 + i, *each) for i, each in enumerate(tools)]
    (found,), losses = read(written(tmp_path, span(1, [ASKED], [called(*calls)]), *spans))
    assert seen(found) == expected
    assert losses.get("tool_span_of_no_call", 0) == len(tools) - len(expected)


def test_what_ran_with_defaults_is_of_the_turn_that_waited_for_it(tmp_path: Path):
    """The first call never ran: a span of the second turn is not its."""
    spans = (
        span(1, [ASKED], [called(("c", "f", {"x": 1}))]),
        span(2, [ASKED, called(("c", "f", {"x": 1})), ON], [called(("d", "f", {"x": 1}))]),
        tool(3, "f", {"x": 1, "most": 9}, "ran"),
    )
    (found,), _ = read(written(tmp_path, *spans))
    assert seen(found) == [("ran", (3, 0))]


def test_a_span_of_a_tool_is_of_one_call_of_all_conversations(tmp_path: Path):
    """Twice the same request, and in each the same call: the later span is of the later one."""
    spans = (
        span(1, [ASKED], [called((None, "f", {}))]),
        span(2, [ASKED], [called((None, "f", {}))]),
        tool(3, "f", {}, "first"),
        tool(4, "f", {}, "second"),
    )
    one, two = read(written(tmp_path, *spans))[0]
    assert seen(one) + seen(two) == [("first", (1, 0)), ("second", (1, 0))]
    spans = (
        span(1, [ASKED], [called((None, "f", {}))]),
        tool(2, "f", {}, "first"),
        span(3, [ASKED], [called((None, "f", {}))]),
        tool(4, "f", {}, "second"),
        span(5, [ASKED, called((None, "f", {})), ON], [called((None, "f", {}))]),
        tool(6, "f", {}, "third"),
    )
    one, two = read(written(tmp_path, *spans))[0]
    assert [text for text, _ in (*seen(one), *seen(two))] == ["first", "third", "second"]


@pytest.mark.parametrize("id", ["c", None])
def test_of_a_tool_that_ran_again_for_one_call_the_last_counts(id: str | None, tmp_path: Path):
    about = {} if id is None else {"gen_ai.tool.call.id": id}
    first, last = tool(2, "f", {"x": 1}, "", status={"code": 2}), tool(3, "f", {"x": 1}, "4")
    for span_ in (first, last):
        span_["attributes"] += [{"key": k, "value": text(v)} for k, v in about.items()]
    asked = span(1, [ASKED], [called(("c", "f", {"x": 1}))])
    (found,), losses = read(written(tmp_path, asked, first, last))
    assert found.steps[2] == ToolStep(text="4", name="f", call=(1, 0))
    assert losses == {"tool_run_again": 1}
    # of two calls alike it is not known for which a third span ran
    twice = span(1, [ASKED], [called(("c", "f", {"x": 1}), ("d", "f", {"x": 1}))])
    third = tool(4, "f", {"x": 1}, "third")
    if id is None:
        (found,), losses = read(written(tmp_path, twice, first, last, third))
        assert [text for text, _ in seen(found)] == ["", "4"]
        assert losses == {"tool_span_of_no_call": 1, "result_not_captured": 1}


def test_the_schema_of_a_tool_is_no_arguments(tmp_path: Path):
    made = tool(2, "f", None, "one")
    made["attributes"].append({"key": "tool.parameters", "value": text('{"type": "object"}')})
    call = {"type": "tool_call", "id": "c", "name": "f"}
    path = written(tmp_path, span(1, [ASKED], [message("assistant", call)]), made)
    (found,), _ = read(path)
    assert found.steps[1:] == (
        ModelStep(calls=(Call(name="f", arguments="{}", id="c"),)),
        ToolStep(text="one", name="f", call=(1, 0)),
    )
