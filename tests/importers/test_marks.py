"""Turns that only marks show: the policy's text ends where its request does."""

import time

import pytest

from assay.importers.fields import Fields, Losses
from assay.importers.marks import turns
from assay.records import Call, ModelStep, ToolStep


def split(text: str) -> tuple[list[object], dict[str, int]]:
    losses = Losses()
    return list(turns(text, Fields({}, "row", losses), 1)), losses.counts


@pytest.mark.parametrize(
    ("asks", "result", "call"),
    [
        (
            "<search>who</search>",
            "<information>FOUND</information>",
            Call(name="search", arguments='{"query": "who"}'),
        ),
        (
            "<search> who </search>",
            "<result>FOUND</result>",
            Call(name="search", arguments='{"query": "who"}'),
        ),
        (
            "<code>1+1</code>",
            "<interpreter>FOUND</interpreter>",
            Call(name="code", arguments='{"code": "1+1"}'),
        ),
        (
            "<python>1+1</python>",
            "<output>FOUND</output>",
            Call(name="python", arguments='{"code": "1+1"}'),
        ),
        (
            "<tool>ls</tool>",
            "<observation>FOUND</observation>",
            Call(name="tool", arguments='{"input": "ls"}'),
        ),
        (
            "<|begin_of_query|>who<|end_of_query|>",
            "<|begin_of_documents|>FOUND<|end_of_documents|>",
            Call(name="search", arguments='{"query": "who"}'),
        ),
        (
            "<|begin_search_query|>who<|end_search_query|>",
            "<|begin_search_result|>FOUND<|end_search_result|>",
            Call(name="search", arguments='{"query": "who"}'),
        ),
    ],
)
def test_what_is_retrieved_is_no_text_of_the_policy(asks: str, result: str, call: Call) -> None:
    steps, lost = split(f"So. {asks}\n\n{result}\n\nIt is X")
    assert steps == [
        ModelStep(text=f"So. {asks}", calls=(call,)),
        ToolStep(text="FOUND", name=call.name, call=(1, 0)),
        ModelStep(text="It is X"),
    ]
    assert lost == {"turn_from_markers": 1}


def test_every_result_answers_its_own_request() -> None:
    turn = "<search>{0}</search><information>{0}</information>"
    steps, lost = split(turn.format("a") + turn.format("b") + "done")
    # 1 model, 2 result, 3 model, 4 result, 5 model
    assert [(s.text, s.call) for s in steps if type(s) is ToolStep] == [
        ("a", (1, 0)),
        ("b", (3, 0)),
    ]
    assert steps[-1] == ModelStep(text="done")
    assert lost == {"turn_from_markers": 2}


def test_a_result_that_the_budget_cut_is_still_the_tools() -> None:
    steps, _ = split("<search>who</search>\n<information>a long te")
    assert steps[1:] == [ToolStep(text="a long te", name="search", call=(1, 0))]


def test_results_follow_calls_without_a_role_line() -> None:
    call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    steps, _ = split(f"{call}\n<tool_response>1</tool_response>2")
    made = Call(name="f", arguments="{}")
    assert steps == [
        ModelStep(text=call, calls=(made,)),
        ToolStep(text="1", name="f", call=(1, 0)),
        ModelStep(text="2"),
    ]


def test_both_kinds_of_marks_may_take_turns() -> None:
    call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    text = (
        f"{call}\nuser\n<tool_response>1</tool_response>\nassistant\n"
        f"<search>a</search><information>b</information>{call}"
        "\nuser\n<tool_response>2</tool_response>\nassistant\nend"
    )
    steps, lost = split(text)
    assert [s.text for s in steps if type(s) is ToolStep] == ["1", "b", "2"]
    assert lost == {"turn_from_markers": 3}


@pytest.mark.parametrize(
    "text",
    [
        "I know. <information>found</information> So X",  # nobody asked
        "<search>a</search> I wait. <information>found</information>",
        '<tool_call>{"name": "f", "arguments": {}}</tool_call>ipython\n\n1assistant\n\n2',
        "\nuser\n<tool_response>never closed",
    ],
)
def test_marks_that_part_no_turns_are_counted(text: str) -> None:
    steps, lost = split(text)
    assert [s.text for s in steps if type(s) is ModelStep] == [text]
    assert lost["turns_not_separable"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        "the tag <search> asks",
        "<answer>X</answer>",
        "<code>x</code> gives 3",
        '<tool_call>{"name": "f", "arguments": {}}</tool_call>\n'
        '<tool_call>{"name": "f", "arguments": {}}</tool_call><|im_end|>',
    ],
)
def test_text_without_results_is_one_turn(text: str) -> None:
    steps, lost = split(text)
    assert [s.text for s in steps if type(s) is ModelStep] == [text.removesuffix("<|im_end|>")]
    assert not lost


@pytest.mark.parametrize(
    "text",
    [
        "<search>" * 40_000,
        "<search>" + "</search>" * 40_000,
        "<search>a</search>" * 20_000,
        "<search>a</search>" + " " * 200_000,
        "<search>a</search><information>" * 10_000,
        "\nuser\n<tool_response>" * 10_000,
        "</tool_call>" + "\n" * 200_000,
        "<tool_call>" * 20_000,
    ],
)
def test_time_is_linear_in_the_text(text: str) -> None:
    started = time.process_time()
    split(text)
    assert time.process_time() - started < 5
