"""mini-SWE-agent trajectories: `<instance>.traj.json`, one JSON object of `info` and `messages`.

Three forms of a turn: a bash block in the text (version 1), `tool_calls` with `extra.actions`, and
whole objects of the Responses API. The verdict is not inside, so nothing is scored here.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import (
    command_text,
    content_text,
    count_keys,
    model_step,
    origin,
    pair,
    take,
    typed,
)
from assay.importers.reading import documents
from assay.importers.recognise import log_files
from assay.records import (
    Call,
    End,
    ModelStep,
    Span,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)

ENDS: dict[str, End] = {
    "submitted": "answered",
    "repeatedformaterror": "answered",
    "limitsexceeded": "budget",
    "timeexceeded": "budget",
    "contextwindowexceeded": "budget",
    "contextwindowexceedederror": "budget",
}
"""What `exit_status` means, in lower case. Any other class name that comes with a traceback is a
crash of the harness: `infra`."""

_KEYS = frozenset({"info", "messages", "trajectory_format", "instance_id"})
_INFO = frozenset({"exit_status", "config", "traceback", "mini_version"})
_MESSAGE = frozenset(
    [
        "role",
        "content",
        "tool_calls",
        "tool_call_id",
        "reasoning_content",
        "function_call",
        "extra",
        "type",
        "object",
        "output",
        "call_id",
        "name",
    ]
)
_BLOCK = re.compile(r"```(?:bash|mswea_bash_command)[ \t]*\n(.*?)\n```", re.DOTALL)
_TOOL = "bash"
_Open = list[tuple[int, int, str | None]]


@final
class MiniSweAgent(Importer):
    """Lost: the submission, the configuration, costs and raw responses; see `losses`."""

    name: ClassVar[str] = "mini_swe_agent"
    title: ClassVar[str] = "mini-SWE-agent .traj.json"

    def recognises(self, probe: Probe) -> bool:
        seen = probe.log
        if seen.is_list or not seen.has("info", "messages"):
            return False
        info = seen.first["info"]
        named = str(seen.first.get("trajectory_format", "")).startswith("mini-swe-agent")
        return named or (
            "task" not in seen.first and isinstance(info, dict) and "exit_status" in info
        )

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        tries: Counter[str] = Counter()
        for file in log_files(path, self.recognises, losses):
            for index, (where, document) in enumerate(documents(file)):
                document = typed(document, dict, where, "an object with info and messages")
                yield _trajectory(document, where, losses, tries, file, index)


def _trajectory(
    document: dict[str, Any],
    where: str,
    losses: Losses,
    tries: Counter[str],
    file: Path,
    index: int,
) -> Trajectory:
    """One file; `tries` counts how many of the same instance came before it."""
    count_keys(document, _KEYS, where, losses)
    info = take(document, "info", dict, where)
    count_keys(info, _INFO, f"{where}.info", losses, kind="info")
    config = take(info, "config", dict, f"{where}.info", default={})
    model = config.get("model")
    policy = model.get("model_name") if isinstance(model, dict) else None
    source = origin("mini_swe_agent", file, index, version=_version(info, where))
    stem = source.path.removesuffix(".json").removesuffix(".traj")
    task = take(document, "instance_id", str, where, default=None) or stem
    trial = tries[task]
    tries[task] += 1
    losses.add("no_outcome", where)
    return Trajectory(
        id=f"{task}/{trial}",
        task=task,
        group=task,
        trial=trial,
        steps=_steps(take(document, "messages", list, where), f"{where}.messages", losses),
        end=_end(info, f"{where}.info", losses),
        policy_version=policy if isinstance(policy, str) else None,
        origin=source,
    )


def _version(info: dict[str, Any], where: str) -> str | None:
    return take(info, "mini_version", str, f"{where}.info", default=None)


def _end(info: dict[str, Any], where: str, losses: Losses) -> End:
    status = take(info, "exit_status", str, where, default=None)
    if status is None or status == "":
        return "unknown"
    if status.lower() in ENDS:
        return ENDS[status.lower()]
    losses.add(f"exit_status:{status}", f"{where}.exit_status")
    return "infra" if info.get("traceback") else "unknown"


def _steps(messages: list[Any], where: str, losses: Losses) -> tuple[Step, ...]:
    steps: list[Step] = []
    open_calls: _Open = []
    for index, message in enumerate(messages):
        here = f"{where}[{index}]"
        message = typed(message, dict, here, "a message object")
        count_keys(message, _MESSAGE, here, losses, kind="message_key")
        extra = take(message, "extra", dict, here, default={})
        if message.get("object") == "response":
            step = _response(message, here, losses)
        elif message.get("type") == "function_call_output":
            text = content_text(message.get("output"), f"{here}.output", losses)
            answered = pair(open_calls, take(message, "call_id", str, here, default=None))
            steps.append(_observed(text, extra, answered, here, losses))
            continue
        else:
            text = content_text(message.get("content"), f"{here}.content", losses)
            role = take(message, "role", str, here)
            if role != "assistant":
                steps += _heard(role, message, text, extra, open_calls, here, losses)
                continue
            step = _acted(model_step(message, text, here, losses), extra, here, losses)
        open_calls = [(len(steps), c, call.id) for c, call in enumerate(step.calls)]
        steps.append(step)
    return tuple(steps)


def _heard(
    role: str,
    message: dict[str, Any],
    text: str,
    extra: dict[str, Any],
    open_calls: _Open,
    where: str,
    losses: Losses,
) -> Iterator[Step]:
    """Yields the step of a message that the policy did not write; the harness's `exit` is none."""
    match role:
        case "system" | "developer":
            yield SystemStep(text=text)
        case "tool":
            call_id = take(message, "tool_call_id", str, where, default=None)
            yield _observed(text, extra, pair(open_calls, call_id), where, losses)
        case "user" if open_calls and extra.get("interrupt_type") is None:
            yield _observed(text, extra, pair(open_calls, None), where, losses)
        case "user":
            yield UserStep(text=text)
        case "exit":
            losses.add("exit_message", where)
        case _:
            raise DataError(f"{where}.role: got {role[:20]!r}; expected assistant, user or tool")


def _observed(
    text: str,
    extra: dict[str, Any],
    answered: tuple[int, int] | None,
    where: str,
    losses: Losses,
) -> ToolStep:
    """Returns a result. Only an exception is the log's own word for an error: a return code that
    is not 0 may be the answer to a question."""
    if answered is None:
        losses.add("result_of_no_call", where)
    error = True if extra.get("exception_info") else None
    return ToolStep(text=text, name=_TOOL, call=answered, error=error)


def _acted(step: ModelStep, extra: dict[str, Any], where: str, losses: Losses) -> ModelStep:
    """Returns the step with its calls: as written, else the actions that the harness took, else
    the one bash block in the text."""
    if step.calls:
        return step
    taken = take(extra, "actions", list, f"{where}.extra", default=None)
    calls: list[Call] = []
    for index, action in enumerate(taken or []):
        here = f"{where}.extra.actions[{index}]"
        action = {"command": action} if isinstance(action, str) else action
        action = typed(action, dict, here, "an action object")
        call_id = take(action, "tool_call_id", str, here, default=None)
        calls.append(_call(take(action, "command", str, here), call_id))
    blocks = list(_BLOCK.finditer(step.text)) if taken is None else []
    if len(blocks) > 1:
        losses.add("several_blocks", where)
    if calls or len(blocks) != 1:
        return ModelStep(text=step.text, calls=tuple(calls), spans=step.spans)
    block = blocks[0]
    span = Span(role="call", start=block.start(1), end=block.end(1))
    calls = [_call(block[1].strip(), None)]
    return ModelStep(text=step.text, calls=tuple(calls), spans=(*step.spans, span))


def _call(command: str, call_id: str | None) -> Call:
    return Call(name=_TOOL, arguments=command_text(command), id=call_id)


def _response(message: dict[str, Any], where: str, losses: Losses) -> ModelStep:
    """Returns the step of a Responses API object: reasoning, text and calls in their order."""
    texts: list[str] = []
    spans: list[Span] = []
    calls: list[Call] = []
    for index, item in enumerate(take(message, "output", list, where, default=[])):
        here = f"{where}.output[{index}]"
        item = typed(item, dict, here, "an output item object")
        match item.get("type"):
            case "message":
                texts.append(content_text(item.get("content"), f"{here}.content", losses))
            case "reasoning":
                thought = content_text(item.get("summary"), f"{here}.summary", losses)
                start = sum(map(len, texts))
                spans += [Span(role="think", start=start, end=start + len(thought))] * bool(thought)
                texts.append(thought)
            case "function_call":
                arguments = take(item, "arguments", str, here, default="{}")
                name = take(item, "name", str, here)
                call_id = take(item, "call_id", str, here, default=None)
                calls.append(Call(name=name, arguments=arguments, id=call_id))
            case other:
                losses.add(f"output_item:{other}", here)
    return ModelStep(text="".join(texts), calls=tuple(calls), spans=tuple(spans))
