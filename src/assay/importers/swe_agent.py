"""SWE-agent trajectories: `<instance>.traj`, one JSON object of `trajectory`, `history` and `info`.

The verdict is not inside (it is in the report of the benchmark), so nothing is scored here. Old
demonstrations have a `history` and an empty `trajectory`. Runs with retries have `attempts`, each
of which is an attempt of its own.
"""

import re
from collections.abc import Iterator
from typing import Any, final

from assay.errors import DataError
from assay.files.probe import Probe
from assay.files.strict import parse
from assay.importers.base import Importer, Rank, Record, ends, keys
from assay.importers.fields import Fields, objects, typed
from assay.importers.messages import MESSAGE, Steps, command_text, content_of, model_step
from assay.records import Call, End, ModelStep, Span, Step, ToolStep, Trajectory

ENDS: dict[str, End] = ends(
    answered="submitted exit_command exit_forfeit exit_format",
    budget="exit_cost exit_context exit_command_timeout exit_total_execution_time",
    infra="exit_api exit_environment_error exit_error skipped",
)
"""What `exit_status` means. "submitted (exit_cost)": a budget ran out with work to submit."""

_KEYS = keys("trajectory history info environment replay_config attempts")
_STEP = keys("action observation response thought query messages execution_time state")
_STATUS = re.compile(r"submitted \((.+)\)")
_HARNESS, _TOOL = "SWE-agent", "bash"


@final
class SweAgent(Importer):
    """Lost: environment state, costs, the submission and demonstrations; see `losses`."""

    name = "swe_agent"
    title = "SWE-agent .traj"
    record = "an object with trajectory and info"
    needs = "trajectory:array history:array info:object"

    def rank(self, seen: Probe) -> Rank:
        if seen.is_list or not isinstance(seen.first, dict) or seen.has("mistake_step"):
            return Rank.NO
        attempts, done, history = (
            seen.first.get(key) for key in ("attempts", "trajectory", "history")
        )
        first = history[0] if isinstance(history, list) and history else None
        if seen.has("attempts", "info"):
            own = isinstance(attempts, list)
        elif seen.has("trajectory"):
            own = isinstance(done, list) and (seen.has("history") or seen.has("info"))
        else:
            own = isinstance(first, dict) and {"role", "content", "agent"} <= first.keys()
        return Rank.SHAPE if own else Rank.NO

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        attempts, policy = record.maybe("attempts", list), _policy(record)
        if attempts is None:
            yield _trajectory(record, record, policy, 0)
            return
        for index, run in enumerate(record.each("attempts", "an attempt object")):
            yield _trajectory(record, run, policy, index)


def _policy(record: Record) -> str | None:
    """Returns the name of the model, where the log keeps what it can be replayed with."""
    if record.raw.get("replay_config") is None:
        return None
    replay = record.need("replay_config", (str, dict))
    try:
        value = replay if isinstance(replay, dict) else parse(replay.encode(), record.where)
        name = value["agent"]["model"]["name"]
        return name if isinstance(name, str) else None
    except (DataError, KeyError, TypeError):
        record.lose("replay_config")
        return None


def _trajectory(record: Record, run: Fields, policy: str | None, index: int) -> Trajectory:
    """One attempt."""
    run.lose_unknown(_KEYS)
    info = run.within("info")
    info.lose_unknown(keys("exit_status"), "info")
    source = record.origin(index, environment=run.maybe("environment", str))
    task = source.path.removesuffix(".json").removesuffix(".traj")
    done, history = run.items("trajectory"), run.items("history")
    if done:
        steps = _prompt(done, history, run)
        _add_turns(steps, run, _written(run, history))
    else:
        steps = _demonstration(run.each("history", MESSAGE))
    run.lose("no_outcome")
    return record.trajectory(
        task,
        steps,
        trial=record.groups.trial(task),
        end=_end(info),
        policy_version=policy,
        origin=source,
    )


def _end(info: Fields) -> End:
    status = info.maybe_name("exit_status")
    if status is None:
        return "unknown"
    within = _STATUS.fullmatch(status)
    word = within[1] if within else status
    if word not in ENDS:
        info.losses.add(f"exit_status:{word}", f"{info.where}.exit_status")
    return ENDS.get(word, "unknown")


def _prompt(done: list[Any], history: list[Any], run: Fields) -> Steps:
    """Returns what stood before the first action: instructions and the task."""
    first = typed(done[0], dict, f"{run.where}.trajectory[0]", "a step object")
    asked = first.get("query") or first.get("messages") or history
    where, steps = f"{run.where}.query", Steps()
    asked = typed(asked, list, where, "a list of messages")
    for message in objects(asked, where, run.losses, MESSAGE):
        role = message.raw.get("role")
        if message.raw.get("is_demo"):
            message.lose("demonstration")
        elif role in ("system", "user"):
            steps.say(message, content_of(message), role)
        else:
            break
    return steps


def _written(run: Fields, history: list[Any]) -> Iterator[Fields]:
    """Yields the messages of the policy that hold its tool calls, where it was given tools."""
    for message in history:
        if isinstance(message, dict) and message.get("tool_calls") and not message.get("is_demo"):
            yield Fields(message, f"{run.where}.trajectory", run.losses)


def _add_turns(steps: list[Step], run: Fields, written: Iterator[Fields]) -> None:
    """Appends a model step and its observation for each entry; an entry without a response is
    what the harness said, not the policy. The entry has the command that was run; the tool call
    that the policy wrote is in the message of the same action."""
    message = next(written, None)
    for entry in run.each("trajectory", "a step object"):
        entry.lose_unknown(_STEP, "step_key")
        if entry.raw.get("state") not in (None, "", {}):
            entry.lose("environment_state")
        action, response, thought, seen = (
            entry.text(key) for key in ("action", "response", "thought", "observation")
        )
        if not action and not response:
            steps.append(ToolStep(text=seen or thought, name=_HARNESS))
            continue
        calls: tuple[Call, ...] = ()
        if action and message is not None and message.raw.get("action") == action:
            at = Fields(message.raw, f"{entry.where} in history", run.losses)
            calls = model_step(at, "").calls
            message = next(written, None)
        step = _acted(response or thought, thought, action, calls)
        steps.append(step)
        if action:
            at = (len(steps) - 1, 0)
            steps.append(ToolStep(text=seen, name=step.calls[0].name, call=at))
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


def _demonstration(history: Iterator[Fields]) -> Steps:
    """Returns the steps of an old log that has nothing but the messages."""
    steps = Steps()
    for message in history:
        text, role = content_of(message), message.need("role", str)
        if role == "assistant":
            step, action = model_step(message, text), message.text("action")
            if action and not step.calls:
                step = _acted(text, message.text("thought"), action)
            steps.act(step)
        elif role != "system" and steps.waiting:
            steps.answer(message, text)
        else:
            steps.say(message, text, "system" if role == "system" else "user")
    return steps
