"""mini-SWE-agent trajectories: `<instance>.traj.json`, one JSON object of `info` and `messages`.

Three forms of a turn: a bash block in the text (version 1), `tool_calls` with `extra.actions`, and
whole objects of the Responses API. The verdict is not inside, so nothing is scored here.
"""

import re
from collections.abc import Iterator
from typing import final

from assay.files.probe import Probe
from assay.importers.base import Importer, Rank, Record, ends, keys
from assay.importers.fields import Fields
from assay.importers.messages import MESSAGE, Steps, command_text, content_of, model_step
from assay.records import Call, End, ModelStep, Span, Trajectory

ENDS: dict[str, End] = ends(
    answered="submitted",
    budget="limitsexceeded timeexceeded contextwindowexceeded contextwindowexceedederror"
    " repeatedformaterror",
)
"""What `exit_status` means, in lower case; turns that the harness rejects have a limit, too. Any
other class name that comes with a traceback is a crash of the harness: `infra`."""

_KEYS = keys("info messages trajectory_format instance_id")
_INFO = keys("exit_status config traceback mini_version")
_MESSAGE = keys(
    "role content tool_calls tool_call_id reasoning_content function_call extra type object output"
    " call_id name"
)
_BLOCK = re.compile(r"```(?:bash|mswea_bash_command)[ \t]*\n(.*?)\n```", re.DOTALL)
_TOOL = "bash"


@final
class MiniSweAgent(Importer):
    """Lost: the submission, the configuration, costs and raw responses; see `losses`."""

    name = "mini_swe_agent"
    title = "mini-SWE-agent .traj.json"
    record = "an object with info and messages"
    needs = "info messages"

    def rank(self, seen: Probe) -> Rank:
        if seen.is_list or self.missing(seen):
            return Rank.NO
        info = seen.first["info"]
        if str(seen.first.get("trajectory_format", "")).startswith("mini-swe-agent"):
            return Rank.CERTAIN
        own = "task" not in seen.first and isinstance(info, dict) and "exit_status" in info
        return Rank.SHAPE if own else Rank.POSSIBLE

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        info = record.within("info", needed=True)
        info.lose_unknown(_INFO, "info")
        model = info.within("config").raw.get("model")
        policy = model.get("model_name") if isinstance(model, dict) else None
        source = record.origin(version=info.maybe("mini_version", str))
        stem = source.path.removesuffix(".json").removesuffix(".traj")
        task = record.text("instance_id") or stem
        trial = record.groups.trial(task)
        record.lose("no_outcome")
        yield record.trajectory(
            task,
            _steps(record.each("messages", MESSAGE, needed=True)),
            trial=trial,
            end=_end(info),
            policy_version=policy if isinstance(policy, str) else None,
            origin=source,
        )


def _end(info: Fields) -> End:
    status = info.text("exit_status")
    if not status:
        return "unknown"
    if status.lower() in ENDS:
        return ENDS[status.lower()]
    info.losses.add(f"exit_status:{status}", f"{info.where}.exit_status")
    return "infra" if info.raw.get("traceback") else "unknown"


def _steps(messages: Iterator[Fields]) -> Steps:
    steps = Steps()
    for message in messages:
        message.lose_unknown(_MESSAGE, "message_key")
        extra = message.within("extra")
        if message.raw.get("object") == "response":
            steps.act(_response(message))
        elif message.raw.get("type") == "function_call_output":
            call_id = message.maybe("call_id", str)
            _observe(steps, message, content_of(message, "output"), extra, call_id)
        else:
            _say(steps, message, extra)
    return steps


def _say(steps: Steps, message: Fields, extra: Fields) -> None:
    """Adds one chat message; the harness's `exit` is no step."""
    text, role = content_of(message), message.need("role", str)
    match role:
        case "assistant":
            steps.act(_acted(model_step(message, text), message, extra))
        case "tool":
            _observe(steps, message, text, extra, message.maybe("tool_call_id", str))
        case "user" if extra.raw.get("interrupt_type") == "FormatError":
            _reject(steps, message, text, extra)
        case "user" if steps.waiting and extra.raw.get("interrupt_type") is None:
            _observe(steps, message, text, extra, None)
        case "system" | "developer" | "user":
            steps.say(message, text, role)
        case "exit":
            message.lose("exit_message")
        case _:
            raise message.wrong("role", repr(role[:20]), "assistant, user or tool")


def _reject(steps: Steps, message: Fields, text: str, extra: Fields) -> None:
    """Adds a turn that the harness rejected, which stands in its complaint, and the complaint: it
    answers the turn's first call with an error, or is said where there was no call."""
    message.lose("rejected_turn")
    response, step = extra.raw.get("response"), ModelStep(text=extra.text("model_response"))
    if isinstance(response, dict):
        whole = Fields(response, f"{extra.where}.response", extra.losses)
        choice = next(whole.each("choices", "a choice object"), None)
        if choice is not None:
            said = choice.within("message")
            step = model_step(said, content_of(said))
        elif whole.raw.get("object") == "response":
            step = _response(whole)
    if not step.text and not step.calls:
        message.lose("rejected_turn_without_text")
        steps.say(message, text, "user")
        return
    steps.act(step)
    if step.calls:
        steps.answer(message, text, error=True)
    else:
        steps.say(message, text, "user")


def _observe(steps: Steps, at: Fields, text: str, extra: Fields, call_id: str | None) -> None:
    """Adds a result. Only an exception is the log's own word for an error: a return code that is
    not 0 may be the answer to a question."""
    error = True if extra.raw.get("exception_info") else None
    steps.answer(at, text, call_id, error=error)


def _acted(step: ModelStep, message: Fields, extra: Fields) -> ModelStep:
    """Returns the step with its calls: as written, else the actions that the harness took, else
    the one bash block in the text."""
    if step.calls:
        return step
    if extra.raw.get("actions") is not None:
        calls = [
            _call(action.need("command", str), action.maybe("tool_call_id", str))
            for action in _actions(extra)
        ]
        return ModelStep(text=step.text, calls=tuple(calls), spans=step.spans)
    blocks = list(_BLOCK.finditer(step.text))
    if len(blocks) > 1:
        message.lose("several_blocks")
    if len(blocks) != 1:
        return step
    [block] = blocks
    span = Span(role="call", start=block.start(1), end=block.end(1))
    calls = (_call(block[1].strip(), None),)
    return ModelStep(text=step.text, calls=calls, spans=(*step.spans, span))


def _actions(extra: Fields) -> Iterator[Fields]:
    """Yields the actions that the harness took, each as an object."""
    for index, action in enumerate(extra.items("actions")):
        action = {"command": action} if isinstance(action, str) else action
        where = f"{extra.where}.actions[{index}]"
        yield Fields(action, where, extra.losses, "an action object")


def _call(command: str, call_id: str | None) -> Call:
    return Call(name=_TOOL, arguments=command_text(command), id=call_id)


def _response(message: Fields) -> ModelStep:
    """Returns the step of a Responses API object: reasoning, text and calls in their order."""
    text, spans, calls = "", list[Span](), list[Call]()
    for item in message.each("output", "an output item object"):
        match item.raw.get("type"):
            case "message":
                text += content_of(item)
            case "reasoning":
                start, text = len(text), text + content_of(item, "summary")
                if start < len(text):
                    spans.append(Span(role="think", start=start, end=len(text)))
            case "function_call":
                arguments = item.text("arguments", "{}")
                name, call_id = item.need("name", str), item.maybe("call_id", str)
                calls.append(Call(name=name, arguments=arguments, id=call_id))
            case other:
                item.lose(f"output_item:{other}")
    return ModelStep(text=text, calls=tuple(calls), spans=tuple(spans))
