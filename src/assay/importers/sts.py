"""Session traces in Hugging Face's simple format (STS), as llama.cpp's web page exports them.

The first line is `{"type": "session", "harness", "id"}`, each other one a message in an envelope.
Messages that have an `id` are a tree by `parent`; the branch that ends in the session's `currNode`
is read. One file may hold several sessions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.files.probe import Probe
from assay.files.strict import parse
from assay.importers.base import Log, Rank
from assay.importers.fields import Fields
from assay.importers.messages import Steps
from assay.importers.sessions import Session, Sessions, result_of
from assay.importers.tree import Tree
from assay.records import ModelStep, Trajectory

_MESSAGE = {"reasoningContent": "reasoning_content", "toolCallId": "tool_call_id"}


@final
class SessionTraces(Sessions):
    """A file of one or more sessions, or a folder of such files."""

    name = "sts"
    title = "session traces (STS)"
    record = "a session line"
    needs = "type:text harness:text id"

    def rank(self, seen: Probe) -> Rank:
        own = not self.missing(seen) and seen.first["type"] == "session"
        return Rank.CERTAIN if own else Rank.NO

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, file in enumerate(log.files):
            at: Fields | None = None
            messages: list[Fields] = []
            verdict = result_of(file)
            for where, value in log.documents(file):
                line = Fields(value, where, log.losses, self.record)
                match line.text("type"):
                    case "session":
                        verdict = Path() if at is not None else verdict  # of one session alone
                        yield from log.whole(self._session(log, place, verdict, at, messages))
                        at, messages = line, []
                    case "message":
                        messages.append(line.within("message", needed=True))
                    case kind:
                        line.lose(f"line:{kind}")
            yield from log.whole(self._session(log, place, verdict, at, messages))

    def _session(
        self, log: Log, place: int, verdict: Path, at: Fields | None, messages: list[Fields]
    ) -> Iterator[Trajectory]:
        """Yields the session whose header is `at`, if there is one and it has messages."""
        if at is None:
            if messages:
                messages[0].lose("message_of_no_session", len(messages))
            return
        if not messages:
            at.lose("no_messages")
            return
        session = Session(at.name("id"), at, verdict)
        session.facts = {"harness": at.need("harness", str), "title": at.text("name")}
        steps = Steps()
        for message in _branch(at, messages):
            _say(steps, message)
        for message in messages:
            session.spent(message.within("timings").whole("predicted_n"))
            if model := message.text("model"):
                session.models[model] = None
        last = steps[-1] if steps else None
        done = type(last) is ModelStep and not last.calls
        yield session.trajectory(log, self, place, steps, end="answered" if done else "unknown")


def _branch(at: Fields, messages: list[Fields]) -> list[Fields]:
    """Returns the messages of the branch that the session is on; all of them where they have no
    ids."""
    named = {one.name("id"): one for one in messages if one.raw.get("id") is not None}
    if len(named) != len(messages):
        if named:
            at.lose("message_without_id", len(messages) - len(named))
        return messages
    links = {key: one.maybe_name("parent") for key, one in named.items()}
    tree = Tree(links, list(named.items()))
    chain = tree.chain(at.maybe_name("currNode"))
    kept = sorted((key for key in named if key in chain), key=chain.__getitem__)
    if left := len(named) - len(kept):
        at.lose("other_branch", left)
    return [named[key] for key in kept]


def _say(steps: Steps, message: Fields) -> None:
    """Adds one message."""
    if message.raw.get("type") == "root":
        return
    if message.raw.get("extra"):
        message.lose("attachment")
    raw: dict[str, Any] = {_MESSAGE.get(key, key): value for key, value in message.raw.items()}
    calls = raw.pop("toolCalls", None)
    if isinstance(calls, str):
        calls = parse(calls.encode(), f"{message.where}.toolCalls") if calls else None
    raw = {key: raw.get(key) for key in ("role", "tool_call_id", "reasoning_content", "name")}
    fields = Fields({**raw, "tool_calls": calls}, message.where, message.losses)
    steps.say(fields, message.text("content"), fields.need("role", str))
