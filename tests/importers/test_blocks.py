"""Messages of Anthropic's form: blocks of a message's content are thoughts, calls and results."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.importers import Choices, Losses, load
from assay.importers.columns import pairs
from assay.importers.fields import Fields
from assay.importers.messages import chat, partly_copied
from assay.records import Call, ModelStep, Span, Step, ToolStep, UserStep


def use(id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def result(id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


TALK = [
    {"role": "user", "content": "q"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            said("Two."),
            use("x", "f", a=1),
            use("y", "g"),
        ],
    },
    {
        "role": "user",
        "content": [
            result("y", [said("no such"), said("file")], is_error=True),
            result("x", "1"),
            said("go on"),
        ],
    },
    {"role": "assistant", "content": "ok"},
]
STEPS: tuple[Step, ...] = (
    UserStep(text="q"),
    ModelStep(
        text="Hm.Two.",
        calls=(
            Call(name="f", arguments='{"a": 1}', id="x"),
            Call(name="g", arguments="{}", id="y"),
        ),
        spans=(Span(role="think", start=0, end=3),),
    ),
    ToolStep(text="no such\nfile", name="g", call=(1, 1), error=True),
    ToolStep(text="1", name="f", call=(1, 0)),
    UserStep(text="go on"),
    ModelStep(text="ok"),
)


@pytest.mark.parametrize("as_text", [False, True])
def test_a_table_holds_either_form(as_text: bool, tmp_path: Path) -> None:
    row = {"t": "a", "r": 1, "m": json.dumps(TALK) if as_text else TALK}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    losses = Losses()
    choices = Choices(map=pairs("task=t,reward=r,messages=m"))
    (found,) = load(path, losses=losses, choices=choices)[1]
    assert found.steps == STEPS
    assert losses.counts == {}


def test_plain_chat_does_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"task": "a", "messages": TALK}) + "\n")
    (found,) = load(path)[1]
    assert found.steps == STEPS


def test_what_a_prompt_holds_is_copied_though_it_unfolds() -> None:
    """Three messages of the prompt are five steps, and the policy's own comes after them."""
    found = partly_copied(TALK, range(3), Fields({}, "r", Losses()))
    assert [getattr(step, "untrainable", "") for step in found] == ["", "copied", "", "", "", None]


def test_results_of_a_providers_own_tools_stand_beside_their_calls() -> None:
    hit = {"type": "web_search_result", "url": "u"}
    blocks = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [hit]},
        {"type": "redacted_thinking", "data": "?"},
        said("Found."),
    ]
    losses = Losses()
    model, tool = chat([{"role": "assistant", "content": blocks}], "m", losses)
    assert isinstance(model, ModelStep)
    assert (model.text, [call.name for call in model.calls]) == ("Found.", ["web_search"])
    assert tool == ToolStep(text=json.dumps([hit]), name="web_search", call=(0, 0))
    assert losses.counts == {"encrypted_reasoning": 1}


def test_other_parts_are_counted_as_before() -> None:
    picture = {"type": "image", "source": {}}
    losses = Losses()
    message = {"role": "user", "content": [result("x", [picture]), picture, said("look")]}
    tool, user = chat([message], "m", losses)
    assert (tool, user) == (ToolStep(text=""), UserStep(text="look"))
    assert losses.counts == {"content_part:image": 2, "result_of_no_call": 1}


def told(*messages: dict[str, Any]) -> tuple[Step, ...]:
    return chat(messages, "m", Losses())


def tool_call(id: str, name: str) -> dict[str, Any]:
    return {"id": id, "function": {"name": name, "arguments": "{}"}}


def test_a_call_in_both_forms_is_one():
    content = [said("x"), use("a", "f"), use("b", "g")]
    both = {"role": "assistant", "content": content, "tool_calls": [tool_call("a", "f")]}
    step, answer = told(both, {"role": "tool", "tool_call_id": "a", "content": "r"})
    assert step == ModelStep(
        text="x",
        calls=(Call(name="f", arguments="{}", id="a"), Call(name="g", arguments="{}", id="b")),
    )
    assert answer == ToolStep(text="r", name="f", call=(0, 0))


def test_what_stands_beside_blocks_of_results_is_kept():
    search = {"type": "web_search_tool_result", "tool_use_id": "s", "content": "found"}
    alone = {"role": "assistant", "content": [search], "tool_calls": [tool_call("a", "f")]}
    step, found = told(alone)
    assert step == ModelStep(calls=(Call(name="f", arguments="{}", id="a"),))
    assert found == ToolStep(text="found")


@pytest.mark.parametrize(
    ("beside", "thought", "expected"),
    [("one", "two", "one\ntwo"), ("one", "one", "one"), ("", "two", "two"), ("one", "", "one")],
)
def test_thoughts_in_both_forms_are_kept_once(beside: str, thought: str, expected: str):
    block = {"type": "thinking", "thinking": thought}
    (step,) = told(
        {"role": "assistant", "content": [block, said("!")], "reasoning_content": beside}
    )
    assert isinstance(step, ModelStep)
    assert step.text == f"{expected}!"
    assert step.spans == (Span(role="think", start=0, end=len(expected)),)


def test_a_result_that_names_a_reused_id_and_its_tool_is_of_the_call_of_that_name():
    first = {"role": "assistant", "tool_calls": [tool_call("a", "f")]}
    second = {"role": "assistant", "tool_calls": [tool_call("a", "g")]}
    late = {"role": "tool", "tool_call_id": "a", "name": "f", "content": "rf"}
    now = {"role": "tool", "tool_call_id": "a", "name": "g", "content": "rg"}
    other = {"role": "tool", "tool_call_id": "a", "name": "h", "content": "rh"}
    assert told(first, second, late, now)[2:] == (
        ToolStep(text="rf", name="f", call=(0, 0)),
        ToolStep(text="rg", name="g", call=(1, 0)),
    )
    # of no call's name: the last turn's, as without a name
    assert told(first, second, other)[2] == ToolStep(text="rh", name="h", call=(1, 0))


def test_a_result_that_is_no_text_is_kept_as_json():
    call = {"role": "assistant", "tool_calls": [{**tool_call("a", "f"), "id": 7}]}
    answer = {"role": "tool", "tool_call_id": 7, "content": {"rows": [1, None]}}
    assert told(call, answer)[1] == ToolStep(text='{"rows": [1, null]}', name="f", call=(0, 0))


def test_arguments_may_be_called_args_as_langchain_does():
    (step,) = told(
        {"role": "assistant", "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "a"}]}
    )
    assert step == ModelStep(calls=(Call(name="f", arguments='{"x": 1}', id="a"),))
