"""Pi sessions: `~/.pi/agent/sessions/--<folder>--/<time>_<id>.jsonl`, versions 1 to 3.

The first line names the session; the others are a tree by `id` and `parentId` (version 1: a list),
and the branch that ends in the last entry is the session. A message of the model holds text,
thinking and calls; a result names its call and says itself whether it is an error.
"""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, final

from assay.files.packed import plain_name
from assay.files.probe import Probe
from assay.importers.base import Importer, Log, Rank, ends, keys
from assay.importers.fields import Fields
from assay.importers.messages import Steps, content_of, model_step
from assay.importers.sessions import Session, Sessions, result_of
from assay.importers.tree import Tree
from assay.records import End, Mark, SystemStep, ToolStep, Trajectory, UserStep

_ENDS: dict[str, End] = ends(answered="stop", budget="length", infra="error")
_ENTRIES = keys(
    "message compaction branch_summary custom_message model_change thinking_level_change custom"
    " label session_info context_transform ephemeral leaf"
)
_SUMMARY = keys("compaction branch_summary")
_SAID = keys("message custom_message") | _SUMMARY
_HARNESS = keys("custom hookMessage branchSummary compactionSummary")


@final
class Pi(Sessions):
    """A session file, or all of `~/.pi/agent/sessions`."""

    name = "pi"
    title = "Pi sessions"
    record = "a session entry"
    needs = "type:text id:text timestamp:text cwd:text"

    def rank(self, seen: Probe) -> Rank:
        first = seen.first if isinstance(seen.first, dict) else {}
        if first.get("type") != "session" or "harness" in first or self.missing(seen):
            return Rank.NO
        kinds = [row.get("type") for row in seen.few[1:] if isinstance(row, dict)]
        return Rank.CERTAIN if any(str(kind) in _ENTRIES for kind in kinds) else Rank.SHAPE

    def read(self, log: Log) -> Iterator[Trajectory]:
        seen = log.groups.seen
        for place, file in enumerate(log.files):
            entries = _Entries(file, log)
            if not entries.said:
                log.losses.add("no_messages", str(file))
                continue
            yield entries.trajectory(log, self, place, seen)
            seen.update(dict.fromkeys(entries.said, 0))


class _Entries:
    """The entries of one file."""

    def __init__(self, file: Path, log: Log) -> None:
        name = plain_name(file).removesuffix(".jsonl")
        self.session = Session(name, Fields({}, str(file), log.losses), result_of(file))
        self.said: dict[str, Fields] = {}
        self.links: dict[str, str | None] = {}
        last: str | None = None
        for where, value in log.documents(file):
            at = Fields(value, where, log.losses, Pi.record)
            kind = at.text("type")
            if kind == "session":
                self._begin(at)
                continue
            key = at.maybe("id", str) or where
            self.links[key] = at.maybe("parentId", str) if "id" in at.raw else last
            last = key
            if kind in _SAID:
                self.said[f"{key} {at.text('timestamp')}"] = at
            elif kind not in _ENTRIES:
                at.lose(f"entry:{kind}")

    def _begin(self, at: Fields) -> None:
        session = self.session
        session.id, session.folder = at.need("id", str), at.text("cwd")
        parent = at.text("parentSession") or at.text("branchedFrom")
        session.facts = {"forked_from": Path(parent).name} if parent else {}

    def trajectory(
        self, log: Log, importer: Importer, place: int, copied: Container[str]
    ) -> Trajectory:
        """Returns the branch that ends in the last entry."""
        by_id = {key.rpartition(" ")[0]: (key, at) for key, at in self.said.items()}
        last = next(reversed(self.links))
        tree = Tree(self.links, [(key, at) for key, (_, at) in by_id.items()])
        chain = tree.chain(last)
        kept = sorted((key for key in by_id if key in chain), key=chain.__getitem__)
        if left := len(by_id) - len(kept):
            self.session.at.lose("other_branch", left)
        for key, at in self.said.items():
            if key not in copied:
                usage = at.within("message").within("usage") if "message" in at.raw else None
                usage = at.within("usage") if usage is None else usage
                self.session.spent(usage.whole("output"))
        made = _Turns([by_id[key] for key in kept], copied)
        self.session.models = made.models
        return self.session.trajectory(
            log, importer, place, made.steps, marks=tuple(made.marks), end=made.end
        )


class _Turns:
    """The steps of one branch."""

    def __init__(self, chain: Sequence[tuple[str, Fields]], copied: Container[str]) -> None:
        self.steps = Steps()
        self.marks: list[Mark] = []
        self.models: dict[str, None] = {}
        self.end: End = "unknown"
        for key, at in chain:
            if at.raw["type"] == "message":
                self._message(at.within("message", needed=True), copy=key in copied)
            else:
                self._note(at)

    def _note(self, at: Fields) -> None:
        """Adds what the harness says between the messages."""
        if at.raw["type"] == "custom_message":
            self.steps.append(SystemStep(text=content_of(at)))
            return
        kind = "compaction" if at.raw["type"] == "compaction" else "branch_summary"
        at.lose(kind)
        self.marks.append(Mark(kind=kind, step=len(self.steps), source="importer"))
        self.steps.append(SystemStep(text=at.text("summary")))

    def _message(self, message: Fields, *, copy: bool) -> None:
        role = message.need("role", str)
        if role == "assistant":
            self._act(message, copy=copy)
            return
        if role == "toolResult":
            call, name = message.maybe("toolCallId", str), message.text("toolName")
            if copy:  # the session that made the call counts it
                self.steps.append(ToolStep(text=content_of(message), name=name))
                return
            error = message.maybe("isError", bool)
            self.steps.answer(message, content_of(message), call, name=name, error=error)
            return
        if role == "bashExecution":  # the user's own command
            text = f"$ {message.text('command')}\n{message.text('output')}"
            self.steps.append(SystemStep(text=text))
        elif role in _HARNESS:
            self.steps.append(SystemStep(text=content_of(message) or message.text("summary")))
        elif role == "user":
            self.steps.append(UserStep(text=content_of(message)))
            self.end = "unknown"
        else:
            raise message.wrong("role", repr(role[:40]), "user, assistant or toolResult")

    def _act(self, message: Fields, *, copy: bool) -> None:
        """Adds a turn of the model; one that is an error and nothing else is none."""
        stop = message.text("stopReason")
        thought, said, calls = _blocks(message)
        self.end = "unknown" if calls else _ENDS.get(stop, "unknown")
        if stop == "error" and not (thought or said or calls):
            message.lose("api_error")
            self.steps.append(SystemStep(text=message.text("errorMessage")))
            return
        if copy:
            message.lose("copied_from_other_session")
            self.steps.append(SystemStep(text=said))
            return
        if model := message.text("model"):
            self.models[model] = None
        raw = {"reasoning_content": thought, "tool_calls": calls}
        self.steps.act(model_step(Fields(raw, message.where, message.losses), said))


def _blocks(message: Fields) -> tuple[str, str, list[dict[str, Any]]]:
    """Returns what one message of the model thought, said and called."""
    thought: list[str] = []
    said: list[str] = []
    calls: list[dict[str, Any]] = []
    if isinstance(message.raw.get("content"), str):
        return "", message.raw["content"], calls
    for block in message.each("content", "a content block"):
        match block.text("type"):
            case "text":
                said.append(block.text("text"))
            case "thinking":
                if block.raw.get("redacted"):
                    block.lose("encrypted_reasoning")
                thought.append(block.text("thinking"))
            case "toolCall":
                calls.append(block.raw)
            case kind:
                block.lose(f"content_part:{kind}")
    return "\n".join(thought), "\n".join(said), calls
