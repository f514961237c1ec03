"""Chat messages in Anthropic's form put into OpenAI's.

There, thoughts, calls and results are blocks of a message's content, and what the user says holds
all results of a turn.
"""

import json
from collections.abc import Iterator
from typing import Any

from assay.importers.fields import Fields

_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
_THOUGHTS = ("thinking", "redacted_thinking")
_MESSAGES = ("tool_result", "mcp_tool_result")
"""Results that hold text as messages do."""

_BESIDE = ("tool_calls", "function_call", "reasoning_content", "reasoning", "refusal")
"""What a message may say beside its content."""


def common(message: Fields) -> Iterator[Fields]:
    """Yields a message in OpenAI's form, and each result in its blocks as a message of its own."""
    content = message.raw.get("content")
    kinds = [_kind(block) for block in content] if isinstance(content, list) else []
    if not isinstance(content, list) or not any(kinds):
        yield message
        return
    parts: dict[str, list[Any]] = {"": [], "call": [], "thought": [], "result": []}
    for index, (block, kind) in enumerate(zip(content, kinds, strict=True)):
        at = f"{message.where}.content[{index}]"
        parts[kind].append(Fields(block, at, message.losses) if kind else block)
    raw = {**message.raw, "content": parts[""]}
    thoughts = "\n".join(filter(None, map(_thought, parts["thought"])))
    said = message.text("reasoning_content") or message.text("reasoning")
    if thoughts.strip() not in said:
        raw["reasoning_content"] = f"{said}\n{thoughts}".strip("\n")
    # some clients write a call in both forms
    calls = message.items("tool_calls")
    known = {call.get("id") for call in calls if isinstance(call, dict)} - {None}
    if made := [call for call in map(_call, parts["call"]) if call["id"] not in known]:
        raw["tool_calls"] = [*calls, *made]
    results = [_result(block, message.raw.get("tool_call_id")) for block in parts["result"]]
    alone = len(results) == len(content) and not any(map(message.raw.get, _BESIDE))
    told = [] if alone else [Fields(raw, message.where, message.losses)]
    # what the model wrote comes before the results of calls that ran at its provider
    first = message.raw.get("role") == "assistant"
    yield from (*told, *results) if first else (*results, *told)


def _kind(block: Any) -> str:
    """Returns whether a block is a call, a thought or a result; "" for anything else."""
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        return ""
    if kind in _CALLS:
        return "call" if "input" in block and isinstance(block.get("name"), str) else ""
    return "result" if kind.endswith("tool_result") else "thought" if kind in _THOUGHTS else ""


def _thought(block: Fields) -> str:
    if block.raw["type"] == "redacted_thinking":
        block.lose("encrypted_reasoning")
    return block.text("thinking")


def _call(block: Fields) -> dict[str, Any]:
    function = {"name": block.raw.get("name"), "arguments": block.raw.get("input")}
    return {"id": block.raw.get("id"), "function": function}


def _result(block: Fields, call: Any) -> Fields:
    """Returns a result as a message; one of a provider's own tool is a structure, kept as JSON."""
    content = block.raw.get("content")
    if block.raw["type"] not in _MESSAGES and not isinstance(content, str):
        content = json.dumps(content, ensure_ascii=False)
    raw = {"role": "tool", "content": content, "tool_call_id": block.raw.get("tool_use_id", call)}
    return Fields(raw | {"is_error": block.raw.get("is_error")}, block.where, block.losses)
