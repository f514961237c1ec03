"""Records of a Claude Code session to steps."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from assay.importers.fields import Fields
from assay.importers.messages import Steps, as_text, content_of, model_step
from assay.records import Mark, SystemStep, ToolStep, UserStep

_HARNESS = (
    *("<local-command-", "<bash-", "<system-reminder>", "<task-notification>"),
    *("[Request interrupted", "Caveat: The messages below"),
)
_COMMAND = ("<command-name>", "<command-message>")
_REFUSED = "<tool_use_error>"
_UNIQUE = 20
"""Characters of an id that no other server gives; a proxy may count from 1."""


@dataclass(frozen=True, slots=True)
class Node:
    """What is kept of one record that says something."""

    uuid: str
    at: Fields
    """Its message alone: `role`, `content` without data of images, `is_meta`, `error`."""
    side: bool = False
    agent: str = ""
    turn: str = ""
    """Which model call it is a part of; "": none."""
    when: str = ""
    """When it was written, where the id of the call is too short to be the only one."""
    harness: bool = False
    """The harness wrote it in the model's place."""
    failed: bool = False
    """It stands for a request that failed."""
    model: str = ""
    stop: str = ""
    tokens: int | None = None
    calls: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def copy_of(at: Fields, kind: str, uuid: str, side: bool) -> Node | None:
    """Returns what is read of a record; None, counted where it is lost, for those that say nothing
    to the model."""
    agent = at.text("agentId")
    match kind:
        case "assistant":
            return _assistant(at, uuid, side, agent)
        case "user":
            message = at.within("message", needed=True)
            blocks = _lean(message)
            results = sum(_kind(block) == "tool_result" for block in blocks or ())
            # of which of several results it speaks it does not say
            raw = {"role": "user", "content": blocks, "error": _failed(at) if results < 2 else None}
            raw["is_meta"] = bool(at.raw.get("isMeta") or at.raw.get("isCompactSummary"))
            raw["is_summary"] = bool(at.raw.get("isCompactSummary"))
            answers = tuple(_ids(blocks, "tool_result", "tool_use_id"))
            fields = Fields(raw, at.where, at.losses)
            return Node(uuid, fields, side, agent, answers=answers)
        case "system":
            subtype = at.text("subtype")
            if subtype not in ("compact_boundary", "api_error"):
                return None
            at.lose("compaction" if subtype == "compact_boundary" else subtype)
            raw = {"role": "system", "content": at.text("content"), "subtype": subtype}
            return Node(uuid, Fields(raw, at.where, at.losses), side, agent)
        case "attachment":
            inner = at.within("attachment")
            if inner.raw.get("type") == "queued_command" and isinstance(
                inner.raw.get("prompt"), str
            ):
                raw = {"role": "user", "content": inner.raw["prompt"]}
                return Node(uuid, Fields(raw, at.where, at.losses), side, agent)
            at.lose("attachment")
        case "progress":
            pass
        case _:
            at.lose(f"line:{kind}")
    return None


def _assistant(at: Fields, uuid: str, side: bool, agent: str) -> Node:
    message = at.within("message", needed=True)
    model, blocks = message.text("model"), _lean(message)
    usage, turn = message.within("usage"), message.maybe("id", str) or uuid
    return Node(
        uuid,
        Fields({"role": "assistant", "content": blocks}, message.where, at.losses),
        side,
        agent,
        turn=turn,
        when="" if len(turn) > _UNIQUE else at.text("timestamp"),
        harness=model == "<synthetic>" or bool(at.raw.get("isApiErrorMessage")),
        failed=bool(at.raw.get("isApiErrorMessage")),
        model="" if model == "<synthetic>" else model,
        stop=message.text("stop_reason"),
        tokens=usage.whole("output_tokens"),
        calls=tuple(_ids(blocks, "tool_use", "id")),
    )


def _lean(message: Fields) -> Any:
    """Returns the content of a message, without what only a picture holds."""
    content = message.raw.get("content")
    if not isinstance(content, list):
        return content
    return [
        {key: value for key, value in block.items() if key not in ("source", "signature")}
        if isinstance(block, dict)
        else block
        for block in content
    ]


def _ids(blocks: Any, kind: str, key: str) -> list[str]:
    """Returns the ids in the blocks of a kind."""
    found = blocks if isinstance(blocks, list) else []
    ids = (b.get(key) for b in found if isinstance(b, dict) and b.get("type") == kind)
    return [one for one in ids if isinstance(one, str)]


def _failed(at: Fields) -> bool | None:
    """Returns what `toolUseResult` says: an object is a result, "Error: ..." is none."""
    told = at.raw.get("toolUseResult")
    if isinstance(told, str):
        return True if told.startswith(("Error", "InputValidationError")) else None
    return None if told is None else False


class _Last(NamedTuple):
    """How the last model call ended."""

    stop: str
    failed: bool


class Turns:
    """The steps of one line of talk."""

    def __init__(self, chain: Sequence[Node], copied: Container[str]) -> None:
        """
        Args:
            chain: its records, in order.
            copied: model calls that another session of the log made.
        """
        self.steps = Steps()
        self.marks: list[Mark] = []
        self.last: _Last | None = None
        self._copied = copied
        self._turns: dict[str, list[Node]] = {}
        self._called: set[str] = set()
        self._answered: set[str] = set()
        self._elsewhere: set[str | None] = set()
        """Calls that the session which made them counts."""
        for node in chain:
            if node.turn:
                self._turns.setdefault(node.turn, []).append(node)
        for node in chain:
            self._add(node)

    def _add(self, node: Node) -> None:
        if node.turn:
            if (nodes := self._turns.pop(node.turn, None)) is not None:
                self._act(nodes)
        elif node.at.raw["role"] == "system":
            self._system(node)
        else:
            self._user(node.at)

    def _system(self, node: Node) -> None:
        if node.at.raw["subtype"] == "api_error":
            self.last = _Last("", failed=True)
            return
        self.marks.append(Mark(kind="compaction", step=len(self.steps), source="importer"))
        self.steps.append(SystemStep(text=node.at.text("content")))

    def _act(self, nodes: list[Node]) -> None:
        """Adds one model call, of all its records."""
        first = nodes[0]
        blocks = _Blocks()
        for node in nodes:
            blocks.take(node, self._called)
        thought, text = (_joined(each) for each in (blocks.thought, blocks.said))
        self.last = _Last(next((n.stop for n in reversed(nodes) if n.stop), ""), first.failed)
        if first.harness:
            first.at.lose("api_error" if first.failed else "synthetic_message")
            self.steps.append(SystemStep(text=text))
            return
        if first.turn + first.when in self._copied:
            first.at.lose("copied_from_other_session")
            self._elsewhere |= {call["id"] for call in blocks.calls}
            self.steps.append(SystemStep(text=text))
            return
        raw = {"reasoning_content": thought, "tool_calls": blocks.calls}
        self.steps.act(model_step(Fields(raw, first.at.where, first.at.losses), text))
        for at in blocks.results:  # of calls that ran at the provider
            text = as_text(at.raw.get("content")) or ""
            self.steps.answer(at, text, at.maybe("tool_use_id", str))

    def _user(self, at: Fields) -> None:
        """Adds the results and the words of one record."""
        content = at.raw.get("content")
        if isinstance(content, list):
            blocks = [block for block in content if _kind(block) != "tool_result"]
            for index, block in enumerate(content):
                if _kind(block) == "tool_result":
                    where = f"{at.where}.message.content[{index}]"
                    self._result(Fields(block, where, at.losses), at.raw.get("error"))
            if not blocks:
                return
            at = Fields({**at.raw, "content": blocks}, at.where, at.losses)
        text = content_of(at)
        if at.raw.get("is_meta") or text.startswith(_HARNESS) or _is_command(text):
            self.steps.append(SystemStep(text=text))
        elif text:
            self.steps.append(UserStep(text=text))

    def _result(self, block: Fields, told: bool | None) -> None:
        """Adds a result, once."""
        call, text = block.maybe("tool_use_id", str), content_of(block)
        if call is not None and call in self._answered:
            block.lose("replayed_result")
            return
        if call is not None and call in self._elsewhere:
            self.steps.append(ToolStep(text=text))
            return
        self._answered |= {call} if call is not None else set()
        error = block.maybe("is_error", bool)
        if error or text.startswith(_REFUSED):
            error = True
        elif error is None:
            error = told
        self.steps.answer(block, text, call, error=error)


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _kind(block: Any) -> Any:
    return block.get("type") if isinstance(block, dict) else None


def _is_command(text: str) -> bool:
    """Is it a command to the harness, without words for the agent?"""
    told = text.partition("<command-args>")[2].partition("</command-args>")[0]
    return text.startswith(_COMMAND) and not told.strip()


@dataclass(slots=True)
class _Blocks:
    """What was thought, said, called, and answered at the provider, each once."""

    thought: dict[str, None] = field(default_factory=dict)
    said: dict[str, None] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    results: list[Fields] = field(default_factory=list)

    def take(self, node: Node, called: set[str]) -> None:
        """Adds the blocks of one record; `called` are calls that were seen before."""
        content = node.at.raw["content"]
        if not isinstance(content, list):
            self.said[content_of(node.at)] = None
            return
        for index, block in enumerate(content):
            at = Fields(block, f"{node.at.where}.content[{index}]", node.at.losses, "a block")
            match at.text("type"):
                case "thinking":
                    self.thought[at.text("thinking")] = None
                case "redacted_thinking":
                    at.lose("encrypted_reasoning")
                case "text":
                    self.said[at.text("text")] = None
                case "tool_use" | "server_tool_use" | "mcp_tool_use":
                    self._call(at, called)
                case kind if kind.endswith("_tool_result"):
                    self.results.append(at)
                case kind:
                    at.lose(f"content_part:{kind}")

    def _call(self, at: Fields, called: set[str]) -> None:
        identity = at.maybe("id", str)
        if identity is not None and identity in called:
            at.lose("replayed_call")
            return
        called |= {identity} if identity is not None else set()
        name, given = at.need("name", str), at.raw.get("input")
        self.calls.append({"name": name, "arguments": given, "id": identity})
