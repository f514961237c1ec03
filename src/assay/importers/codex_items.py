"""Items of a Codex rollout to steps."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from assay.importers.fields import Fields
from assay.importers.messages import Steps, arguments_text, as_text, content_of, model_step
from assay.records import Mark, ModelStep, SystemStep, ToolStep, UserStep

_CONTEXT = (
    *("<environment_context>", "<user_instructions>", "# AGENTS.md instructions", "<skill>"),
    *("<turn_aborted>", "<user_shell_command>", "<subagent_notification>", "<INSTRUCTIONS>"),
)
"""How messages begin that the harness writes in the user's name."""
_EXIT = re.compile(
    r"(?:Command: [^\n]*\n)?(?:Chunk ID: [^\n]*\n)?(?:Wall time: [^\n]*\n)?"
    r"(?:Exit code: |Process exited with code )(-?\d+)\s*(?:\n|\Z)"
)
_EXIT_OF_JSON = re.compile(r'"metadata":\s*\{"exit_code":\s*(-?\d+)')
_REFUSED = (
    *("apply_patch verification failed", "failed to parse function arguments"),
    *("unsupported call:", "unsupported custom tool call:"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """What is kept of one line."""

    kind: str
    """user, system, compacted, said, thought, call, result, count (a model call ended) or turn."""
    at: Fields
    text: str = ""
    """What was said; of a call its arguments."""
    name: str = ""
    id: str = ""
    """Of a call and its result; else of the message, where it has one."""
    error: bool | None = None
    tokens: int | None = None


def item_of(at: Fields) -> Item | None:
    """Returns what is kept of a `response_item`."""
    kind = at.text("type")
    place = Fields({}, at.where, at.losses)
    call = at.text("call_id") or at.text("id")
    match kind:
        case "message":
            return _message(at, place)
        case "reasoning":
            return Item("thought", place, _thought(at))
        case "function_call":
            return Item("call", place, at.text("arguments"), at.need("name", str), call)
        case "custom_tool_call":
            given = arguments_text({"input": at.text("input")})
            return Item("call", place, given, at.need("name", str), call)
        case "local_shell_call" | "web_search_call":
            if kind == "web_search_call":
                at.lose("result_not_in_log")
            given = arguments_text(at.within("action").raw)
            return Item("call", place, given, kind.removesuffix("_call"), call)
        case "function_call_output" | "custom_tool_call_output":
            text = _output(at)
            return Item("result", place, text, id=at.text("call_id"), error=_error(text))
        case "ghost_snapshot":
            return None
        case "compaction" | "compaction_summary":
            at.lose("encrypted_summary")
            return None
        case _:
            at.lose(f"item:{kind}")
            return None


def _message(at: Fields, place: Fields) -> Item:
    text, identity = content_of(at), at.text("id")
    match at.text("role"):
        case "assistant":
            return Item("said", place, text, id=identity)
        case "user" if not text.startswith(_CONTEXT):
            return Item("user", place, text)
        case "user" | "system" | "developer":
            return Item("system", place, text)
        case role:
            raise at.wrong("role", repr(role[:40]), "user, assistant, system or developer")


def _thought(at: Fields) -> str:
    """Returns a summary of the reasoning, or all of it; it may be encrypted."""
    texts = [content_of(at, key) for key in ("summary", "content")]
    if not any(texts) and at.raw.get("encrypted_content"):
        at.lose("encrypted_reasoning")
    return texts[1] or texts[0]


def _output(at: Fields) -> str:
    output = at.raw.get("output")
    if isinstance(output, dict) and "content" in output:  # what failed, in the first versions
        output = output["content"]
    if isinstance(output, list):
        return content_of(Fields({"output": output}, at.where, at.losses), "output")
    return as_text(output) or ""


def _error(text: str) -> bool | None:
    """Returns whether a result is an error by the exit code in its header, or refused."""
    if text.startswith(_REFUSED):
        return True
    code = _EXIT.match(text)
    if code is None and text.startswith('{"output"'):
        code = _EXIT_OF_JSON.search(text, max(0, len(text) - 200))
    return None if code is None else int(code[1]) != 0


class Turns:
    """The steps of one rollout."""

    def __init__(self, items: Sequence[Item], copied: Container[str]) -> None:
        """
        Args:
            items: what the file says, in order.
            copied: ids of items that stand in another file of the log.
        """
        self.steps = Steps()
        self.marks: list[Mark] = []
        self.tokens: int | None = None
        self.answered = False
        """The last thing is an answer without calls, and its model call ended."""
        self._copied = copied
        self._is_copy = False
        self._waiting: list[Item] = []
        """Of the model call that has not ended."""
        for item in items:
            self._add(item)
        self._flush()

    def _add(self, item: Item) -> None:
        match item.kind:
            case "said" | "thought" | "call":
                self._waiting.append(item)
            case "result":
                if self._waiting:
                    self._waiting.append(item)
                else:
                    self._answer(item)
            case "count":
                self._end(item)
            case "turn":
                self._flush()
            case "user":
                self._flush()
                self.answered = False
                self.steps.append(UserStep(text=item.text))
            case _:
                self._flush()
                self.answered = False
                if item.kind == "compacted":
                    mark = Mark(kind="compaction", step=len(self.steps), source="importer")
                    self.marks.append(mark)
                self.steps.append(SystemStep(text=item.text))

    def _end(self, item: Item) -> None:
        """Ends a model call: all that waits is of it."""
        if waiting := self._waiting:
            self._waiting = []
            self._act([one for one in waiting if one.kind != "result"])
            for one in waiting:
                if one.kind == "result":
                    self._answer(one)
            last = self.steps[-1]
            self.answered = type(last) is ModelStep and not last.calls
        if item.tokens is not None and not self._is_copy:
            self.tokens = (self.tokens or 0) + item.tokens

    def _flush(self) -> None:
        """Adds what waits though no count ended it: a result ends a model call."""
        part: list[Item] = []
        waiting, self._waiting = self._waiting, []
        self.answered = self.answered and not waiting
        for item in waiting:
            if item.kind == "result":
                self._act(part)
                part = []
                self._answer(item)
            else:
                part.append(item)
        self._act(part)

    def _act(self, items: Sequence[Item]) -> None:
        """Adds one model call."""
        if not items:
            return
        thought = "\n".join(item.text for item in items if item.kind == "thought" and item.text)
        text = "\n\n".join(item.text for item in items if item.kind == "said" and item.text)
        calls = [
            {"name": item.name, "arguments": item.text, "id": item.id or None}
            for item in items
            if item.kind == "call"
        ]
        self._is_copy = any(item.id in self._copied for item in items if item.id)
        if self._is_copy:
            items[0].at.lose("copied_from_other_session")
            self.steps.append(SystemStep(text=text))
            return
        raw = {"reasoning_content": thought, "tool_calls": calls}
        self.steps.act(model_step(Fields(raw, items[0].at.where, items[0].at.losses), text))

    def _answer(self, item: Item) -> None:
        if item.id in self._copied:  # the session that made the call counts it
            self.steps.append(ToolStep(text=item.text))
            return
        self.steps.answer(item.at, item.text, item.id or None, error=item.error)
