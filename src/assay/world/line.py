"""The text that policy and world exchange, the same for every family.

    ?currency of biggest of home of Paris      the task
    !home biggest currency                     advice: a hint, a critique or a lesson
    #first the country                         a thought of the policy (optional)
    >home(Paris)                               a call: one tool, one argument
    <France                                    the world's answer; "<none", "<error ..."
    =EUR ~7                                    the final answer, and how sure: ~0 .05 ... ~9 .95

A turn is any number of thoughts and then one call or one answer. It ends with the line, or with the
end-of-sequence token. `=?` gives up.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from assay.records import Role, Span

INSTRUCTIONS: Final = (
    "Write one line a turn. Call a tool with >name(argument) and read the line that starts with <. "
    "Give the final answer with =answer ~d, where d from 0 to 9 says how sure you are. Lines that "
    "start with # are thoughts, lines that start with ! are advice. =? gives up."
)
"""What a policy that was not trained on the world is told."""

GIVE_UP: Final = "?"

_CALL = re.compile(r">([a-z][a-z_0-9]*)\((.*)\)[ \t]*")
_NAME = re.compile(r">\s*([A-Za-z][A-Za-z_0-9]*)")
_SURE = re.compile(r"[ \t]*~(\d|0?\.\d+|1\.0+)[ \t]*$")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the policy wrote in one turn, taken apart. `spans` are in characters and cover it."""

    kind: str
    """"call", "answer" or "malformed"."""
    tool: str = ""
    argument: str = ""
    answer: str = ""
    confidence: float | None = None
    spans: tuple[Span, ...] = ()
    action: tuple[int, int] = (0, 0)
    """Characters of the call or answer line, its newline included."""


def parse(text: str) -> Turn:
    """Returns a turn taken apart: thoughts, then exactly one call or answer, then nothing."""
    spans: list[Span] = []
    start = 0
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        if not line.startswith("#") and line.strip():
            return _action(text, start, end, spans)
        spans.append(_span("think" if line.startswith("#") else "text", start, end))
        start = end
    return Turn(kind="malformed", spans=tuple(spans), action=(start, start))


def _action(text: str, start: int, end: int, before: list[Span]) -> Turn:
    line = text[start:end].rstrip("\r\n")
    rest = [_span("text", end, len(text))] if end < len(text) else []
    extra = bool(text[end:].strip())
    if line.startswith("=") and not extra:
        sure = _SURE.search(line)
        cut = start + (sure.start() if sure else len(line))
        spans = [_span("answer", start, cut if sure else end)]
        if sure:
            spans.append(_span("confidence", cut, end))
        return Turn(
            kind="answer",
            answer=text[start + 1 : cut].strip(),
            confidence=_probability(sure.group(1)) if sure else None,
            spans=(*before, *spans, *rest),
            action=(start, end),
        )
    call = _CALL.fullmatch(line)
    role: Role = "call" if line.startswith(">") else "answer" if line.startswith("=") else "text"
    spans = (*before, _span(role, start, end), *rest)
    if call is None or extra:
        name = _NAME.match(line)
        tool = name.group(1) if name else ""
        return Turn(kind="malformed", tool=tool, argument=line, spans=spans, action=(start, end))
    tool, argument = call.group(1), call.group(2).strip()
    return Turn(kind="call", tool=tool, argument=argument, spans=spans, action=(start, end))


def _span(role: Role, start: int, end: int) -> Span:
    return Span(role=role, start=start, end=end)


def _probability(digits: str) -> float:
    """Returns the probability that `~7` or `~0.7` stands for."""
    return (int(digits) + 0.5) / 10 if digits.isdigit() else float(digits)


def is_complete(text: str) -> bool:
    """Returns whether a turn is over: its last line that is not blank ended and is no thought."""
    written = [line for line in text.splitlines() if line.strip()]
    return text.endswith("\n") and bool(written) and not written[-1].startswith("#")


def prompt(task: str, notes: Iterable[str | None] = ()) -> str:
    """Returns the task with advice under it, as the policy reads it."""
    return "".join(f"{line}\n" for line in (task, *notes) if line)


def observation(turn: str, answer: str) -> str:
    """Returns the world's answer as it continues the text after a turn."""
    return f"{answer}\n" if turn.endswith("\n") else f"\n{answer}\n"


def call_text(tool: str, argument: object) -> str:
    """Returns a call as the policy writes it, without its newline."""
    return f">{tool}({argument})"


def answer_text(answer: str, confidence: float | None = None) -> str:
    """Returns an answer as the policy writes it; confidence is rounded down to a tenth."""
    return f"={answer}" if confidence is None else f"={answer} ~{min(int(confidence * 10), 9)}"


def arguments(argument: str) -> str:
    """Returns the argument of a call as the JSON object that records keep."""
    return json.dumps({"input": argument}, ensure_ascii=False)
