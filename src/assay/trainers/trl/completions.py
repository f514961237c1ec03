"""What completions say. No torch."""

import json
from collections.abc import Sequence
from typing import Any

from assay.records import ModelStep, Trajectory

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def text_of(completion: Any) -> str:
    """Returns what a completion says: plain text, or messages joined."""
    if isinstance(completion, str):
        return completion
    return "\n".join(
        f"{message.get('role', '')}: {message.get('content') or ''}{_calls(message)}"
        for message in completion
    )


def _calls(message: Any) -> str:
    calls = message.get("tool_calls")
    # a policy may write half a pair, which JSON text of bytes cannot hold
    return f" {_ENCODER.encode(calls)}" if calls else ""


def waits(completion: Any) -> bool:
    """Returns whether messages of a tool run stop between a call and its result, or between a
    result and its reply: TRL leaves both out where the budget does not hold them."""
    if isinstance(completion, str) or not completion:
        return False
    last = completion[-1]
    return last.get("role") == "tool" or bool(last.get("tool_calls"))


def lists_in(completions: Sequence[Any]) -> bool:
    """Returns whether a tool answered with a list that shows no image."""
    return any(
        message.get("role") == "tool"
        and isinstance(content := message.get("content"), list)
        and not any(isinstance(part, dict) and part.get("type") == "image" for part in content)
        for said in completions
        if not isinstance(said, str)
        for message in said
    )


def calls_of(completion: Any) -> int:
    """Returns how many tool calls the messages of a completion make."""
    if isinstance(completion, str):
        return 0
    return sum(len(message.get("tool_calls") or ()) for message in completion)


def calls_made(record: Trajectory) -> int:
    """Returns how many tool calls a record counts, or else shows."""
    if record.ledger.calls is not None:
        return record.ledger.calls
    return sum(len(step.calls) for step in record.steps if type(step) is ModelStep)


def verified(trajectory: Sequence[Trajectory], **_: Any) -> list[float | None]:
    """Returns what the environments paid: TRL's reward function. None: unscored."""
    return [record.outcome for record in trajectory]
