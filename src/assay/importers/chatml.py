"""Decoded text of a chat template cut into turns again, where its markers are left in it.

Engines that dump text decode whole sequences, special tokens and all. A policy can write such
markers itself, so each cut is counted.
"""

import re
from typing import NamedTuple

from assay.importers.fields import Fields
from assay.importers.messages import Steps
from assay.importers.text_calls import calls_in
from assay.records import ModelStep, SystemStep, ToolStep, UserStep

_TURN = re.compile(
    r"<\|im_start\|>(\w{1,20})\n"
    r"|<\|start_header_id\|>(\w{1,20})<\|end_header_id\|>\n\n"
    r"|<\|start\|>(user|assistant|system|tool)<\|message\|>"
)
_END = re.compile(r"(?:<\|im_end\|>|<\|eot_id\|>|<\|end\|>|<\|return\|>|<\|endoftext\|>)\s*\Z")
_START = re.compile(r"\A<\|begin_of_text\|>")
_RESULT = re.compile(r"<tool_response>(.*?)(?:</tool_response>|\Z)", re.DOTALL)
_TAIL = 200
"""Characters in which a marker at an end is looked for."""
_POLICY = ("assistant", "model")


class Part(NamedTuple):
    """What stands in one turn of the template; `role` is empty before the first marker."""

    role: str
    text: str


def parts_of(text: str) -> list[Part]:
    """Returns the turns of a text, without markers; empty ones are left out."""
    found: list[Part] = []
    role, at = "", 0
    for mark in _TURN.finditer(text):
        found.append(Part(role, _bare(text[at : mark.start()])))
        role, at = next(filter(None, mark.groups())), mark.end()
    found.append(Part(role, _bare(text[at:])))
    return [part for part in found if part.text]


def _bare(text: str) -> str:
    """Returns a text without a marker at its end."""
    return _START.sub("", text[:-_TAIL] + _END.sub("", text[-_TAIL:]))


def asked(text: str) -> str:
    """Returns what stands in a text before the first turn of a policy."""
    turns = (mark for mark in _TURN.finditer(text) if next(filter(None, mark.groups())) in _POLICY)
    first = next(turns, None)
    return text if first is None else text[: first.start()]


def told(steps: Steps, text: str) -> None:
    """Adds what a prompt says; what a model says there was not sampled for this trajectory."""
    for role, said in parts_of(text):
        if role in _POLICY:
            steps.act(ModelStep(text=said, untrainable="copied"))
        else:
            steps.append(SystemStep(text=said) if role == "system" else UserStep(text=said))


def wrote(steps: Steps, text: str, at: Fields) -> None:
    """Adds what a policy wrote and what it was told between, if markers show it."""
    parts = parts_of(text) or [Part("", text)]
    if len(parts) == 1 and "<tool_response>" in text:
        at.lose("turns_not_separable")
    for number, (role, said) in enumerate(parts):
        if number:
            at.lose("turn_from_markers")
        if role in ("", *_POLICY):
            steps.act(ModelStep(text=said, calls=calls_in(said, at)))
        else:
            observed(steps, said, at)


def observed(steps: Steps, text: str, at: Fields) -> None:
    """Adds what the world said: each `<tool_response>`, else the whole as one result of the calls
    before it."""
    results = [found[1].strip("\n") for found in _RESULT.finditer(text)] or [text]
    for result in results:
        if steps.waiting:
            steps.answer(at, result)
        else:
            steps.append(ToolStep(text=result))
