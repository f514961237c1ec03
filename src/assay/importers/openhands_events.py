"""Events of OpenHands V0 to steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.importers.base import keys
from assay.importers.fields import Fields
from assay.importers.messages import Steps, arguments_text, as_text, model_step
from assay.records import Mark, SystemStep, UserStep

_QUIET = keys(
    "change_agent_state recall null condensation_request agent_state_changed loop_recovery"
)
_UNSPOKEN = keys(
    "thought security_risk confirmation_state is_confirmed hidden blocking is_input is_static cwd"
    " keep_prompt wait_for_response image_urls file_urls timeout kernel_init_code impl_source"
    " include_extra return_axtree browsergym_send_msg_to_user outputs final_thought task_completed"
)
"""Arguments of an action that the model did not write."""


class Turns:
    """The steps of one history."""

    def __init__(self, events: Sequence[Fields]) -> None:
        self.steps = Steps()
        self.marks: list[Mark] = []
        self.models: dict[str, None] = {}
        self.tokens: int | None = None
        """The metrics are cumulative: the largest count is that of all."""
        self.state = ""
        """The last state of the agent that the log tells, and why."""
        self.reason = ""
        self.finished = False
        self._called: dict[int, tuple[int, int] | None] = {}
        """Of each action that called something where its call is; None: it needs no answer."""
        responses: dict[str, list[Fields]] = {}
        for at in events:
            if _is_action(at) and (key := _response(at)):
                responses.setdefault(key, []).append(at)
        seen: set[int] = set()
        for at in events:
            identity = at.whole("id")
            if identity is not None and identity in seen:
                at.lose("repeated_event")
                continue
            seen |= {identity} if identity is not None else set()
            self._spend(at)
            if _is_action(at):
                self._action(at, responses)
            elif "observation" in at.raw:
                self._observe(at)
            else:
                at.lose("event_of_no_kind")

    def _spend(self, at: Fields) -> None:
        metrics = at.within("llm_metrics")
        usage = metrics.within("accumulated_token_usage")
        written = usage.whole("completion_tokens")
        if written is not None:
            self.tokens = max(written, self.tokens or 0)
        if model := usage.text("model"):
            self.models[model] = None

    def _action(self, at: Fields, responses: dict[str, list[Fields]]) -> None:
        """Adds one action, with the others of its response."""
        kind, source, args = at.text("action"), at.text("source"), at.within("args")
        match kind:
            case "system":
                self.steps.append(SystemStep(text=args.text("content")))
            case "message" if source == "user":
                self.steps.append(UserStep(text=args.text("content")))
                self.finished = False
            case "condensation":
                at.lose("compaction")
                mark = Mark(kind="compaction", step=len(self.steps), source="importer")
                self.marks.append(mark)
                self.steps.append(SystemStep(text=args.text("summary")))
            case _ if kind in _QUIET:
                pass
            case _ if source != "agent":
                at.lose("call_of_no_agent")
            case _:
                key = _response(at)
                actions = responses.pop(key, None) if key else [at]
                if actions:
                    self._act(actions)

    def _act(self, actions: Sequence[Fields]) -> None:
        """Adds one model call."""
        first, calls = actions[0], list[dict[str, Any]]()
        texts: list[str] = []
        for at in actions:
            kind, args, identity = at.text("action"), at.within("args"), at.whole("id")
            said = args.text("thought") if kind != "think" else ""
            told = {"message": "content", "finish": "final_thought"}.get(kind)
            texts += [said, args.text(told)] if told else [said]
            place = None
            if told is None:
                place = (len(self.steps), len(calls))
                calls.append(_call(at, args, kind))
            if identity is not None:
                self._called[identity] = place
            self.finished = told is not None and (kind == "finish" or not calls)
        text = "\n\n".join(dict.fromkeys(text for text in texts if text))
        message = _message(first)
        raw = {"reasoning_content": as_text(message.get("reasoning_content")), "tool_calls": calls}
        self.steps.act(model_step(Fields(raw, first.where, first.losses), text))

    def _observe(self, at: Fields) -> None:
        kind, extras = at.text("observation"), at.within("extras")
        if kind == "agent_state_changed":
            self.state, self.reason = extras.text("agent_state"), extras.text("reason")
            return
        cause = at.whole("cause")
        if kind in _QUIET or (cause in self._called and self._called[cause or 0] is None):
            return
        text, error = at.text("content"), _error(at, kind, extras)
        meta = at.within("tool_call_metadata")
        call, name = meta.maybe("tool_call_id", str), meta.text("function_name")
        place = self._called.pop(cause, None) if cause is not None else None
        if place is None:
            self.steps.answer(at, text, call, name=name, error=error)
            return
        self.steps.fill(place, text, name=name, error=error)


def _is_action(at: Fields) -> bool:
    """Is an event an action? An observation may repeat the name of the action it answers."""
    return isinstance(at.raw.get("action"), str) and "observation" not in at.raw


def _response(at: Fields) -> str:
    """Returns which response of the model an action is of; "" where the log does not say."""
    response = at.within("tool_call_metadata").raw.get("model_response")
    key = response.get("id") if isinstance(response, dict) else None
    return key if isinstance(key, str) else ""


def _message(at: Fields) -> Mapping[str, Any]:
    """Returns what the model wrote, as it came; an empty one where the log does not keep it."""
    response = at.within("tool_call_metadata").raw.get("model_response")
    choices = response.get("choices") if isinstance(response, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if isinstance(message, dict) else {}


def _call(at: Fields, args: Fields, kind: str) -> dict[str, Any]:
    """Returns the call of an action: as the model wrote it, else what the action was given."""
    meta = at.within("tool_call_metadata")
    identity = meta.maybe("tool_call_id", str)
    given: Any = None
    calls = _message(at).get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and call.get("id") == identity:
            given = function.get("arguments")
    if given is None:
        kept = {key: value for key, value in args.raw.items() if key not in _UNSPOKEN}
        if kind == "think":
            kept["thought"] = args.text("thought")
        given = kept
    name = meta.text("function_name") or kind
    return {"name": name, "arguments": arguments_text(given), "id": identity}


def _error(at: Fields, kind: str, extras: Fields) -> bool | None:
    """Returns the log's word on whether an observation is an error; a command that has not ended
    (-1) is none."""
    if kind in ("error", "user_rejected"):
        return True
    metadata = extras.raw.get("metadata")
    code = metadata.get("exit_code") if isinstance(metadata, dict) else None
    code = extras.raw.get("exit_code") if code is None else code
    if type(code) is int:
        return None if code < 0 else code > 0
    told = at.maybe("success", bool)
    return None if told is None else not told
