"""SWE-agent trajectories: `<instance>.traj`, one JSON object of `trajectory`, `history` and `info`.

The verdict is not inside (it is in the report of the benchmark), so nothing is scored here. Old
demonstrations have a `history` and an empty `trajectory`. Runs with retries have `attempts`, each
of which is an attempt of its own.
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
from assay.importers.reading import documents, parse
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
    "exit_command": "answered",
    "exit_forfeit": "answered",
    "exit_format": "answered",
    "exit_cost": "budget",
    "exit_context": "budget",
    "exit_command_timeout": "budget",
    "exit_total_execution_time": "budget",
    "exit_api": "infra",
    "exit_environment_error": "infra",
    "exit_error": "infra",
    "skipped": "infra",
}
"""What `exit_status` means. "submitted (exit_cost)": a budget ran out with work to submit."""

_KEYS = frozenset({"trajectory", "history", "info", "environment", "replay_config", "attempts"})
_STEP = frozenset(
    ["action", "observation", "response", "thought", "query", "messages", "execution_time", "state"]
)
_INFO = frozenset({"exit_status"})
_STATUS = re.compile(r"submitted \((.+)\)")
_HARNESS = "SWE-agent"
_TOOL = "bash"


@final
class SweAgent(Importer):
    """Lost: environment state, costs, the submission and demonstrations; see `losses`."""

    name: ClassVar[str] = "swe_agent"
    title: ClassVar[str] = "SWE-agent .traj"

    def recognises(self, probe: Probe) -> bool:
        seen = probe.log
        if seen.is_list or not isinstance(seen.first, dict) or seen.has("mistake_step"):
            return False
        if seen.has("attempts", "info"):
            return isinstance(seen.first["attempts"], list)
        if seen.has("trajectory"):
            return isinstance(seen.first["trajectory"], list) and bool(
                {"history", "info"} & seen.first.keys()
            )
        history = seen.first.get("history")
        first = history[0] if isinstance(history, list) and history else None
        return isinstance(first, dict) and {"role", "content", "agent"} <= first.keys()

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        tries: Counter[str] = Counter()
        for file in log_files(path, self.recognises, losses):
            for index, (where, document) in enumerate(documents(file)):
                document = typed(document, dict, where, "an object with trajectory and info")
                attempts = take(document, "attempts", list, where, default=None)
                policy = _policy(document, where, losses)
                for i, run in enumerate([document] if attempts is None else attempts):
                    here = where if attempts is None else f"{where}.attempts[{i}]"
                    run = typed(run, dict, here, "an attempt object")
                    yield _trajectory(run, here, losses, tries, policy, file, index + i)


def _policy(document: dict[str, Any], where: str, losses: Losses) -> str | None:
    """Returns the name of the model, where the log keeps what it can be replayed with."""
    replay = take(document, "replay_config", (str, dict), where, default=None)
    try:
        value = replay if isinstance(replay, dict) else parse((replay or "{}").encode(), where)
        name = value["agent"]["model"]["name"]
        return name if isinstance(name, str) else None
    except (DataError, KeyError, TypeError):
        if replay is not None:
            losses.add("replay_config", where)
        return None


def _trajectory(
    run: dict[str, Any],
    where: str,
    losses: Losses,
    tries: Counter[str],
    policy: str | None,
    file: Path,
    index: int,
) -> Trajectory:
    """One attempt; `tries` counts how many of the same instance came before it."""
    count_keys(run, _KEYS, where, losses)
    info = take(run, "info", dict, where, default={})
    count_keys(info, _INFO, f"{where}.info", losses, kind="info")
    source = origin("swe_agent", file, index, environment=_text(run, "environment", where))
    task = source.path.removesuffix(".json").removesuffix(".traj")
    trial = tries[task]
    tries[task] += 1
    done = take(run, "trajectory", list, where, default=[])
    history = take(run, "history", list, where, default=[])
    if done:
        steps = list(_prompt(done, history, where, losses))
        _turns(steps, done, _written(history), f"{where}.trajectory", losses)
    else:
        steps = _demonstration(history, f"{where}.history", losses)
    losses.add("no_outcome", where)
    return Trajectory(
        id=f"{task}/{trial}",
        task=task,
        group=task,
        trial=trial,
        steps=tuple(steps),
        end=_end(info, f"{where}.info", losses),
        policy_version=policy,
        origin=source,
    )


def _text(record: dict[str, Any], key: str, where: str) -> str | None:
    return take(record, key, str, where, default=None)


def _end(info: dict[str, Any], where: str, losses: Losses) -> End:
    status = take(info, "exit_status", (str, int), where, default=None)
    if status is None:
        return "unknown"
    within = _STATUS.fullmatch(str(status))
    word = within[1] if within else str(status)
    if word not in ENDS:
        losses.add(f"exit_status:{word}", f"{where}.exit_status")
    return ENDS.get(word, "unknown")


def _prompt(done: list[Any], history: list[Any], where: str, losses: Losses) -> Iterator[Step]:
    """Yields what stood before the first action: instructions and the task."""
    first = typed(done[0], dict, f"{where}.trajectory[0]", "a step object")
    asked = first.get("query") or first.get("messages") or history
    here = f"{where}.query"
    for index, message in enumerate(typed(asked, list, here, "a list of messages")):
        message = typed(message, dict, f"{here}[{index}]", "a message object")
        role = message.get("role")
        if message.get("is_demo"):
            losses.add("demonstration", f"{here}[{index}]")
            continue
        if role not in ("system", "user"):
            return
        text = content_text(message.get("content"), f"{here}[{index}].content", losses)
        yield SystemStep(text=text) if role == "system" else UserStep(text=text)


def _written(history: list[Any]) -> Iterator[dict[str, Any]]:
    """Yields the messages of the policy that hold its tool calls, where it was given tools."""
    for message in history:
        if isinstance(message, dict) and message.get("tool_calls") and not message.get("is_demo"):
            yield message


def _turns(
    steps: list[Step],
    done: list[Any],
    written: Iterator[dict[str, Any]],
    where: str,
    losses: Losses,
) -> None:
    """Appends a model step and its observation for each entry; an entry without a response is
    what the harness said, not the policy. The entry has the command that was run; the tool call
    that the policy wrote is in the message of the same action."""
    message = next(written, None)
    for index, entry in enumerate(done):
        here = f"{where}[{index}]"
        entry = typed(entry, dict, here, "a step object")
        count_keys(entry, _STEP, here, losses, kind="step_key")
        if entry.get("state") not in (None, "", {}):
            losses.add("environment_state", here)
        action, response, thought, seen = (
            take(entry, key, str, here, default="")
            for key in ("action", "response", "thought", "observation")
        )
        if not action and not response:
            steps.append(ToolStep(text=seen or thought, name=_HARNESS))
            continue
        calls: tuple[Call, ...] = ()
        if action and message is not None and message.get("action") == action:
            calls = model_step(message, "", f"{here} in history", losses).calls
            message = next(written, None)
        step = _acted(response or thought, thought, action, calls)
        steps.append(step)
        if action:
            name = step.calls[0].name
            steps.append(ToolStep(text=seen, name=name, call=(len(steps) - 1, 0)))
        elif seen:
            steps.append(ToolStep(text=seen, name=_HARNESS))


def _acted(response: str, thought: str, action: str, calls: tuple[Call, ...] = ()) -> ModelStep:
    """Returns one response, its thought and action located in the text if they are there."""
    spans: list[Span] = []
    start = response.find(thought) if thought else -1
    if start >= 0:
        spans.append(Span(role="think", start=start, end=start + len(thought)))
    at = response.rfind(action) if action and not calls else -1
    if at >= 0 and (not spans or at >= spans[0].end):
        spans.append(Span(role="call", start=at, end=at + len(action)))
    if action and not calls:
        calls = (Call(name=_TOOL, arguments=command_text(action)),)
    return ModelStep(text=response, calls=calls, spans=tuple(spans))


def _demonstration(history: list[Any], where: str, losses: Losses) -> list[Step]:
    """Returns the steps of an old log that has nothing but the messages."""
    steps: list[Step] = []
    open_calls: list[tuple[int, int, str | None]] = []
    for index, message in enumerate(history):
        here = f"{where}[{index}]"
        message = typed(message, dict, here, "a message object")
        text = content_text(message.get("content"), f"{here}.content", losses)
        role = take(message, "role", str, here)
        if role == "assistant":
            step = model_step(message, text, here, losses)
            action = take(message, "action", str, here, default="")
            if action and not step.calls:
                step = _acted(text, take(message, "thought", str, here, default=""), action)
            open_calls = [(len(steps), c, call.id) for c, call in enumerate(step.calls)]
            steps.append(step)
        elif role == "system":
            steps.append(SystemStep(text=text))
        elif open_calls:
            steps.append(ToolStep(text=text, name=_TOOL, call=pair(open_calls, None)))
        else:
            steps.append(UserStep(text=text))
    return steps
