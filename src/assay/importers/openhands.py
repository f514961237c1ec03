"""OpenHands conversations as its SDK (V1) keeps them: `<conversation>/base_state.json` beside
`events/event-00000-<id>.json`, one event each.

The events are a tree by `parent_id`; the branch of `leaf_event_id` is read. The actions of one
`llm_response_id` are one step, and the `finish` call is the answer. Where the model's server
returned token ids, a `TokenEvent` follows the results of its turn, and the conversation can be
trained on.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

from assay.files.packed import plain_name
from assay.importers.base import Importer, Log, ends, keys
from assay.importers.fields import Fields
from assay.importers.messages import Steps, as_text, content_of, model_step
from assay.importers.sessions import Session, result_of
from assay.importers.tokens import Turn, join
from assay.importers.tree import Tree
from assay.records import End, Mark, SystemStep, Trajectory, UserStep

_STATE = "base_state.json"
_EVENT = re.compile(r"event-(\d{5,})-[0-9a-fA-F-]{8,}\.json")
_ROOT = "__root__"
_MALFORMED = '"_openhands_malformed_tool_call"'
_BUDGET = keys("MaxIterationsReached LLMContextWindowExceedError")
_STATUS: dict[str, End] = ends(answered="finished", budget="stuck")
_QUIET = keys(
    "ConversationStateUpdateEvent LLMCompletionLogEvent PauseEvent InterruptEvent"
    " HookExecutionEvent StreamingDeltaEvent CondensationRequest ConversationErrorEvent"
)
_SEEN = keys("ObservationEvent AgentErrorEvent UserRejectObservation")


@final
class OpenHands(Importer):
    """A conversation's folder, or a folder of them."""

    name = "openhands"
    title = "OpenHands conversations"
    record = "an event object"
    needs = "execution_status agent:object workspace:object"

    def own(self, folder: Path) -> tuple[Path, ...]:
        found = {file.parent for file in folder.rglob("event-00000-*.json*")}
        return tuple(sorted(one.parent if one.name == "events" else one for one in found))

    def parts(self, file: Path) -> tuple[Path, ...]:
        folder = file if file.is_dir() else file.parent
        return folder, result_of(folder)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, each in enumerate(log.files):
            folder = each if each.is_dir() else each.parent
            conversation = _Conversation(folder, log)
            if not conversation.events:
                log.losses.add("no_messages", str(folder))
                continue
            yield conversation.trajectory(self, place)


class _Conversation:
    """What one folder says."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.log = log
        path = folder / _STATE
        raw = log.document(path) if path.is_file() else None
        self.state = Fields({} if raw is None else raw, str(path), log.losses, "a state object")
        self.events: dict[str, Fields] = {}
        self.links: dict[str, str | None] = {}
        last: str | None = None
        for file in _files(folder):
            if (value := log.document(file)) is None:
                continue
            at = Fields(value, str(file), log.losses, OpenHands.record)
            key, parent = at.need("id", str), at.maybe("parent_id", str)
            self.links[key] = None if parent == _ROOT else parent or last
            self.events[key] = at
            last = key
        name = self.state.maybe("id", str) or folder.name
        self.session = Session(name, self.state, result_of(folder))

    def trajectory(self, importer: Importer, place: int) -> Trajectory:
        session, state = self.session, self.state
        session.folder = state.within("workspace").text("working_dir")
        if model := state.within("agent").within("llm").text("model"):
            session.models[model] = None
        for key in (metrics := state.within("stats").within("usage_to_metrics")).raw:
            usage = metrics.within(key).within("accumulated_token_usage")
            session.spent(usage.whole("completion_tokens"))
        tree = Tree(self.links, list(self.events.items()))
        chain = tree.chain(state.maybe("leaf_event_id", str))
        if left := len(self.events) - len(chain):
            state.lose("other_branch", left)
        made = _Turns([self.events[key] for key in chain][::-1])
        steps, broken = join(made.steps, made.tokens)
        end = _end(state.text("execution_status"), made.failed, state)
        marks = (*made.marks, *broken)
        return session.trajectory(self.log, importer, place, steps, marks=marks, end=end)


def _files(folder: Path) -> list[Path]:
    """Returns the files of the events, in their order."""
    inner = folder / "events"
    found = (inner if inner.is_dir() else folder).iterdir()
    named = [(_EVENT.fullmatch(plain_name(file)), file) for file in found]
    return [file for _, file in sorted((int(match[1]), file) for match, file in named if match)]


def _end(status: str, failed: str, at: Fields) -> End:
    """Returns how a conversation ended, by its status and the last error that nothing followed."""
    if failed or status == "error":
        if failed not in _BUDGET:
            at.lose("model_failed")
        return "budget" if failed in _BUDGET else "infra"
    return _STATUS.get(status, "unknown")


class _Turns:
    """The steps of one branch."""

    def __init__(self, events: Sequence[Fields]) -> None:
        self.steps = Steps()
        self.tokens: list[Turn] = []
        self.marks: list[Mark] = []
        self.failed = ""
        """The code of an error that is the last word."""
        self._answers: set[str] = set()
        """Calls of `finish`, whose result repeats the answer."""
        self._last: int | None = None
        """The last step of the model, while its tokens have not come."""
        turns: dict[str, list[Fields]] = {}
        for at in events:
            if at.raw.get("kind") == "ActionEvent":
                turns.setdefault(at.need("llm_response_id", str), []).append(at)
        for at in events:
            self._add(at, turns)

    def _add(self, at: Fields, turns: dict[str, list[Fields]]) -> None:
        kind = at.need("kind", str)
        self.failed = at.text("code", "unknown") if kind == "ConversationErrorEvent" else ""
        match kind:
            case "ActionEvent":
                if actions := turns.pop(at.raw["llm_response_id"], None):
                    self._act(actions)
            case "MessageEvent":
                self._say(at)
            case "TokenEvent":
                self._tokens(at)
            case "SystemPromptEvent":
                self.steps.append(SystemStep(text=at.within("system_prompt").text("text")))
            case "Condensation":
                at.lose("compaction")
                mark = Mark(kind="compaction", step=len(self.steps), source="importer")
                self.marks.append(mark)
                self.steps.append(SystemStep(text=at.text("summary")))
            case _ if kind in _SEEN:
                self._observe(at, kind)
            case _:
                if kind not in _QUIET:
                    at.lose(f"event:{kind}")

    def _act(self, actions: Sequence[Fields]) -> None:
        """Adds one model call, of all its actions."""
        first, calls = actions[0], list[dict[str, Any]]()
        texts = [content_of(first, "thought")]
        for at in actions:
            call, action = at.within("tool_call", needed=True), at.within("action")
            given, name = call.text("arguments"), at.need("tool_name", str)
            if action.raw.get("kind") == "FinishAction" and action.text("message"):
                texts.append(action.text("message"))
                self._answers.add(at.text("tool_call_id"))
                continue
            if _MALFORMED in given:  # what the model wrote is gone
                at.lose("malformed_arguments")
                given = ""
            calls.append({"name": name, "arguments": given, "id": at.maybe("tool_call_id", str)})
        blocks = first.each("thinking_blocks", "a thinking block")
        thought = first.text("reasoning_content") or "".join(b.text("thinking") for b in blocks)
        raw = {"reasoning_content": thought, "tool_calls": calls}
        self._model(Fields(raw, first.where, first.losses), "\n\n".join(t for t in texts if t))

    def _model(self, message: Fields, text: str) -> None:
        self._last = len(self.steps)
        self.steps.act(model_step(message, text))

    def _say(self, at: Fields) -> None:
        message, source = at.within("llm_message", needed=True), at.text("source")
        text = content_of(message)
        if source == "agent":
            thought = message.text("reasoning_content")
            self._model(Fields({"reasoning_content": thought}, at.where, at.losses), text)
            return
        extra = content_of(at, "extended_content")
        step = UserStep(text=text) if source == "user" else SystemStep(text=text)
        self.steps += [step, SystemStep(text=extra)] if extra else [step]

    def _tokens(self, at: Fields) -> None:
        """Takes the tokens of the last model call, which follow its results."""
        if self._last is None:
            at.lose("tokens_of_no_turn")
            return
        prompt, response = at.ids("prompt_token_ids"), at.ids("response_token_ids")
        self.tokens.append(Turn(self._last, prompt, response, None, at))
        self._last = None

    def _observe(self, at: Fields, kind: str) -> None:
        call, name = at.maybe("tool_call_id", str), at.text("tool_name")
        if call in self._answers:
            return
        if kind != "ObservationEvent":
            text = at.text("error") or at.text("rejection_reason")
            self.steps.answer(at, text, call, name=name, error=True)
            return
        seen = at.within("observation", needed=True)
        text = content_of(seen) if "content" in seen.raw else as_text(seen.raw.get("output")) or ""
        code = seen.raw.get("exit_code", seen.within("metadata").raw.get("exit_code"))
        error = seen.maybe("is_error", bool)
        if isinstance(code, int) and code > 0:  # below 0: it has not ended
            error = True
        self.steps.answer(at, text, call, name=name, error=error)
