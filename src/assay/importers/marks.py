"""Turns that only marks in the text show: what a policy wrote, and what it was told between.

Decoded text without special tokens has lost its turns. They are cut out again where the text holds
results in tags: `<tool_response>` under a role line, as the Qwen template writes it, or a block
like `<information>` right behind one that asks for it, as agents do that search or run code inside
one response. This is counted, because a policy can write such text itself.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from assay.errors import DataError
from assay.files.strict import parse
from assay.importers.fields import Fields
from assay.importers.messages import arguments_text
from assay.records import Call, ModelStep, Span, Step, ToolStep

_RESULT_TURN = re.compile(
    r"(?:<\|im_end\|>\n?)?(?:<\|im_start\|>|\n)(?:user|tool)\n(?=<tool_response>)"
    r"|(?<=</tool_call>)\s*(?=<tool_response>)"
)
_NEXT_TURN = re.compile(r"\s*(?:<\|im_end\|>\n?)?(?:<\|im_start\|>|\n)?assistant\n")
_CALL = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)
_RESULT = re.compile(r"<tool_response>(.*?)</tool_response>(?:\n(?=<tool_response>))?", re.DOTALL)
_ASKED = re.compile(
    r"<(search|query|browse|visit|code|python|sql|bash|tool)>((?:(?!<\1>).)*?)</\1>\s*"
    r"<(information|results?|observation|interpreter|output|execution_results?|documents"
    r"|tool_response)>(.*?)(?:</\3>\n{0,2}|\Z)"
    r"|<\|begin_(?:of|search)_query\|>((?:(?!<\|begin).)*?)<\|end_(?:of|search)_query\|>\s*"
    r"<\|begin_(?:of_documents|search_result)\|>(.*?)"
    r"(?:<\|end_(?:of_documents|search_result)\|>\n{0,2}|\Z)",
    re.DOTALL,
)
_LEFT = re.compile(
    r"<tool_response>|<information>|<interpreter>|<\|begin_(?:of_documents|search_result)\|>"
    r"|</tool_call>\s*(?!<tool_call>|<\||\s)."
)
"""What a text holds still where its turns could not be told."""


class _Cut(NamedTuple):
    """Where a turn of the policy ends, what answers it, and where the next one begins."""

    end: int
    results: list[str]
    after: int
    call: Call | None
    """The call that the tags make; None: the turn's own calls are answered."""


def turns(text: str, record: Fields, first: int) -> Iterator[Step]:
    """Yields model steps and, where marks show them, tool steps.

    Args:
        text: what was generated, results of tools among it.
        record: where losses are counted.
        first: the place of the first step in its trajectory.
    """
    at, index = 0, first
    asked, told = _ASKED.search(text), _RESULT_TURN.search(text)
    while asked is not None or told is not None:
        if told is not None and (asked is None or told.start() < asked.start()):
            cut = _told(text, told)
        else:
            cut = None if asked is None else _asked(asked)
        if cut is None:
            break
        record.lose("turn_from_markers")
        step = _model(text[at : cut.end], record, cut.call)
        yield step
        yield from _answers(step, cut, index, record)
        at, index = cut.after, index + 1 + len(cut.results)
        asked = asked if asked is None or asked.start() >= at else _ASKED.search(text, at)
        told = told if told is None or told.start() >= at else _RESULT_TURN.search(text, at)
    if at < len(text) or index == first:
        step = _model(text[at:], record, None)
        if _LEFT.search(step.text):
            record.lose("turns_not_separable")
        yield step


def _told(text: str, turn: re.Match[str]) -> _Cut | None:
    """Returns the cut at `<tool_response>` blocks that follow each other under a role line."""
    results: list[str] = []
    after = turn.end()
    while (block := _RESULT.match(text, after)) is not None:
        results.append(block[1].strip("\n"))
        after = block.end()
    if not results:
        return None
    follows = _NEXT_TURN.match(text, after)
    return _Cut(turn.start(), results, after if follows is None else follows.end(), None)


def _asked(block: re.Match[str]) -> _Cut:
    """Returns the cut at a result that stands right behind what asks for it."""
    if block[1] is None:
        name, asks, result, start = "search", block[5], block[6], block.start(6)
    else:
        name, asks, result, start = block[1], block[2], block[4], block.start(4)
    end = block.string.rindex("<", 0, start)
    return _Cut(end, [result.strip("\n")], block.end(), _call_of(name, asks.strip()))


def _call_of(name: str, asks: str) -> Call:
    """Returns the call that a tag makes, its text as the argument that the tag is about."""
    key = {"search": "query", "query": "query", "code": "code", "python": "code"}.get(name, "input")
    return Call(name=name, arguments=json.dumps({key: asks}, ensure_ascii=False))


def _answers(step: ModelStep, cut: _Cut, index: int, record: Fields) -> Iterator[Step]:
    """Yields the results of a turn, each with the call that it answers: the last where tags ask."""
    first = len(step.calls) - 1 if cut.call is not None else 0
    for number, result in enumerate(cut.results, first):
        call = (index, number) if number < len(step.calls) else None
        if call is None:
            record.lose("result_of_no_call")
        yield ToolStep(text=result, name=step.calls[number].name if call else "", call=call)


def _model(text: str, record: Fields, asks: Call | None) -> ModelStep:
    """Returns a model step with its `<think>` span and its calls, the one that tags make last."""
    text = text.removesuffix("<|im_end|>")
    if asks is not None:
        text = text.rstrip()
    spans: tuple[Span, ...] = ()
    start, end = text.find("<think>"), text.find("</think>")
    if 0 <= start < end:
        spans = (Span(role="think", start=start, end=end + len("</think>")),)
    calls: list[Call] = []
    for found in _CALL.finditer(text):
        call = _call(found[1], record.where) if found[2] else None
        if call is None:
            record.lose("call_not_parsed" if found[2] else "call_not_closed")
        else:
            calls.append(call)
    return ModelStep(text=text, calls=(*calls, *([] if asks is None else [asks])), spans=spans)


def _call(text: str, where: str) -> Call | None:
    """Returns the call that the policy wrote as JSON, or None where it is none."""
    try:
        value = parse(text.encode("utf-8", "surrogatepass"), where)
    except DataError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    return Call(name=value["name"], arguments=arguments_text(value.get("arguments")))
