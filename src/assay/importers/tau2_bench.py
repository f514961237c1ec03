"""tau2-bench: `{info, tasks, simulations}`, or a results.json beside a folder `simulations/`.

The user has tools there too. Its calls are no actions of the agent's: they are counted as
`user_side_call`, and their results stay as steps that answer no call.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import (
    content_text,
    count_keys,
    experts_of,
    model_step,
    number,
    origin,
    pair,
    take,
    typed,
)
from assay.importers.reading import documents
from assay.importers.recognise import log_files
from assay.records import (
    End,
    ExpertCall,
    Grade,
    Level,
    Mark,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)

ENDS: dict[str, End] = {
    "user_stop": "answered",
    "agent_stop": "answered",
    "agent_error": "answered",
    "max_steps": "budget",
    "too_many_errors": "budget",
    "context_window_exceeded": "budget",
    "timeout": "infra",
    "user_error": "infra",
    "infrastructure_error": "infra",
    "unexpected_error": "infra",
}
"""What `termination_reason` means. An invalid message of the agent's is its own failure; one of the
simulated user's is not, and `timeout` is the wall clock of the harness."""

_DOCUMENT = frozenset({"timestamp", "info", "tasks", "simulations", "simulation_index"})
_RUN = frozenset(
    [
        "id",
        "task_id",
        "timestamp",
        "start_time",
        "end_time",
        "duration",
        "termination_reason",
        "reward_info",
        "messages",
        "trial",
        "seed",
        "mode",
        "review",
    ]
)
_MESSAGE = frozenset(
    [
        "role",
        "content",
        "tool_calls",
        "turn_idx",
        "timestamp",
        "is_audio",
        "is_final_chunk",
        "contains_speech",
        "id",
        "requestor",
        "error",
        "tool_messages",
    ]
)
_CHECKS: tuple[tuple[str, Level, str], ...] = (
    ("env_assertions", "E3", "met"),
    ("action_checks", "E2", "action_match"),
    ("communicate_checks", "E2", "met"),
    ("nl_assertions", "E1", "met"),
)
"""Key of `reward_info`, how independent it is, and the flag of one of its checks."""


@final
class Tau2Bench(Importer):
    """Lost: costs, usage, raw responses, audio, the policy text and the user's own actions."""

    name: ClassVar[str] = "tau2_bench"
    title: ClassVar[str] = "tau2-bench results"

    def recognises(self, probe: Probe) -> bool:
        seen = probe.log
        return seen.has("tasks", "info") and (
            seen.has("simulations") or seen.has("simulation_index")
        )

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        others = Losses()
        for file in log_files(path, self.recognises, others):
            for where, document in documents(file):
                document = typed(document, dict, where, "an object with tasks and simulations")
                yield from _results(document, where, file, losses)
        beside = path / "simulations"
        read = len(list(beside.glob("*.json"))) if beside.is_dir() else 0
        for kind, count in others.counts.items():
            if count > read:
                losses.add(kind, others.first[kind], count - read)


def _results(
    document: dict[str, Any], where: str, file: Path, losses: Losses
) -> Iterator[Trajectory]:
    count_keys(document, _DOCUMENT, where, losses)
    info = take(document, "info", dict, where, default={})
    count_keys(info, frozenset({"agent_info"}), f"{where}.info", losses, kind="info")
    agent = take(info, "agent_info", dict, f"{where}.info", default={})
    policy = take(agent, "llm", str, f"{where}.info.agent_info", default=None)
    experts = _experts(take(document, "tasks", list, where), f"{where}.tasks", losses)
    for index, (here, run) in enumerate(_runs(document, where, file)):
        run = typed(run, dict, here, "a simulation object")
        yield _trajectory(run, here, losses, experts, policy, file, index)


def _runs(document: dict[str, Any], where: str, file: Path) -> Iterator[tuple[str, Any]]:
    """Yields the simulations: those of the document, else those of the files beside it."""
    inside = take(document, "simulations", list, where, default=None)
    if inside is not None:
        yield from ((f"{where}.simulations[{i}]", run) for i, run in enumerate(inside))
        return
    folder = file.parent / "simulations"
    found = sorted(folder.glob("*.json")) if folder.is_dir() else []
    listed = len(take(document, "simulation_index", list, where))
    if len(found) != listed:
        raise DataError(f"{folder}: got {len(found)} simulations; expected {listed} by its index")
    for path in found:
        yield from documents(path)


def _experts(
    tasks: list[Any], where: str, losses: Losses
) -> dict[str, tuple[ExpertCall, ...] | None]:
    """Returns the agent's expert actions by task id; None where the task has none written down."""
    experts: dict[str, tuple[ExpertCall, ...] | None] = {}
    for index, task in enumerate(tasks):
        here = f"{where}[{index}]"
        task = typed(task, dict, here, "a task object")
        criteria = take(task, "evaluation_criteria", dict, here, default={})
        here = f"{here}.evaluation_criteria"
        actions = take(criteria, "actions", list, here, default=None)
        mine: list[Any] = []
        for position, action in enumerate(actions or []):
            action = typed(action, dict, f"{here}.actions[{position}]", "an action object")
            if action.get("requestor") == "user":
                losses.add("user_side_action", f"{here}.actions[{position}]")
            else:
                mine.append(action)
        identity = str(take(task, "id", (str, int), f"{where}[{index}]"))
        experts[identity] = None if actions is None else experts_of(mine, f"{here}.actions")
    return experts


def _trajectory(
    run: dict[str, Any],
    where: str,
    losses: Losses,
    experts: dict[str, tuple[ExpertCall, ...] | None],
    policy: str | None,
    file: Path,
    index: int,
) -> Trajectory:
    count_keys(run, _RUN, where, losses)
    task = str(take(run, "task_id", (str, int), where))
    trial = take(run, "trial", int, where, default=None)
    reason = take(run, "termination_reason", str, where)
    end = ENDS.get(reason, "unknown")
    if reason not in ENDS:
        losses.add(f"termination_reason:{reason}", where)
    steps, turns = _steps(run, where, losses)
    reward, rewards, grades = _judged(run, where, losses)
    if end == "infra" and reward is not None:
        losses.add("score_of_infra_failure", f"{where}.reward_info")
        reward = None
    return Trajectory(
        id=f"{task}/{index if trial is None else trial}",
        task=task,
        group=task,
        trial=trial,
        steps=steps,
        outcome=reward,
        rewards=rewards,
        grades=grades if end != "infra" else (),
        expert=experts.get(task),
        end=end,
        policy_version=policy,
        marks=_marks(run, where, turns, losses),
        origin=origin(
            "tau2_bench", file, index, simulation=take(run, "id", str, where, default=None)
        ),
    )


def _steps(
    run: dict[str, Any], where: str, losses: Losses
) -> tuple[tuple[Step, ...], dict[int, int]]:
    """Returns the steps, and the step of each turn number that reviews speak of."""
    raw = take(run, "messages", list, where, default=None)
    if raw is None:
        losses.add("full_duplex", where)
    steps: list[Step] = []
    turns: dict[int, int] = {}
    open_calls: list[tuple[int, int, str | None]] = []
    for here, message in _flat(raw or [], f"{where}.messages"):
        count_keys(message, _MESSAGE, here, losses, kind="message_key")
        turn = take(message, "turn_idx", int, here, default=None)
        if turn is not None:
            turns.setdefault(turn, len(steps))
        text = _said(message, here, losses)
        role = take(message, "role", str, here)
        if role == "assistant":
            step = model_step(message, text, here, losses)
            open_calls = [(len(steps), c, call.id) for c, call in enumerate(step.calls)]
            steps.append(step)
        elif role == "user":
            calls = take(message, "tool_calls", list, here, default=[])
            if calls:
                losses.add("user_side_call", here, len(calls))
            steps.append(UserStep(text=text))
        elif role == "tool":
            steps.append(_result(message, text, here, open_calls, losses))
        elif role == "system":
            steps.append(SystemStep(text=text))
        else:
            raise DataError(f"{here}.role: got {role[:20]!r}; expected assistant, user or tool")
    return tuple(steps), turns


def _flat(messages: list[Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields messages, those that bundle several tool results taken apart."""
    for index, message in enumerate(messages):
        here = f"{where}[{index}]"
        message = typed(message, dict, here, "a message object")
        bundle = take(message, "tool_messages", list, here, default=None)
        if bundle is None:
            yield here, message
            continue
        for i, part in enumerate(bundle):
            inner = f"{here}.tool_messages[{i}]"
            yield inner, typed(part, dict, inner, "a tool message object")


def _said(message: dict[str, Any], where: str, losses: Losses) -> str:
    """Returns the text of a message; what is base64 audio is none."""
    if take(message, "is_audio", bool, where, default=False):
        losses.add("audio", where)
        return take(message, "audio_script_gold", str, where, default="")
    return content_text(message.get("content"), f"{where}.content", losses)


def _result(
    message: dict[str, Any],
    text: str,
    where: str,
    open_calls: list[tuple[int, int, str | None]],
    losses: Losses,
) -> ToolStep:
    """Returns a tool result, paired with the agent's call unless the user asked for it."""
    error = take(message, "error", bool, where, default=None)
    if take(message, "requestor", str, where, default="assistant") == "user":
        return ToolStep(text=text, error=error)
    answered = pair(open_calls, take(message, "id", str, where, default=None))
    if answered is None:
        losses.add("result_of_no_call", where)
    return ToolStep(text=text, call=answered, error=error)


def _judged(
    run: dict[str, Any], where: str, losses: Losses
) -> tuple[float | None, dict[str, float | None], tuple[Grade, ...]]:
    """Returns the reward, its named parts, and one grade per kind of check that was made."""
    info = take(run, "reward_info", dict, where, default=None)
    if info is None:
        return None, {}, ()
    where = f"{where}.reward_info"
    known = {"reward", "db_check", "reward_breakdown", "reward_basis", *(k for k, *_ in _CHECKS)}
    count_keys(info, frozenset(known), where, losses, kind="reward_info")
    parts = take(info, "reward_breakdown", dict, where, default={})
    rewards = {key: number(parts, key, f"{where}.reward_breakdown") for key in parts}
    grades: list[Grade] = []
    database = take(info, "db_check", dict, where, default=None)
    if database is not None:
        value = number(database, "db_reward", f"{where}.db_check")
        grades.append(Grade(level="E3", value=value, source="db_check"))
    for key, level, flag in _CHECKS:
        checks = take(info, key, list, where, default=[])
        met: list[bool] = []
        for i, check in enumerate(checks):
            check = typed(check, dict, f"{where}.{key}[{i}]", "a check object")
            met.append(take(check, flag, bool, f"{where}.{key}[{i}]"))
        if met:
            reason = f"{sum(met)} of {len(met)}"
            grades.append(Grade(level=level, value=float(all(met)), source=key, reason=reason))
    return number(info, "reward", where), rewards, tuple(grades)


def _marks(
    run: dict[str, Any], where: str, turns: dict[int, int], losses: Losses
) -> tuple[Mark, ...]:
    """Returns what a review pointed at: kind "review" for the agent, "user_error" for the user."""
    review = take(run, "review", dict, where, default={})
    marks: list[Mark] = []
    for index, error in enumerate(take(review, "errors", list, f"{where}.review", default=[])):
        here = f"{where}.review.errors[{index}]"
        error = typed(error, dict, here, "a review error object")
        turn = take(error, "turn_idx", int, here, default=None)
        if turn is not None and turn not in turns:
            losses.add("review_of_unknown_turn", here)
        marks.append(
            Mark(
                kind="user_error" if error.get("source") == "user" else "review",
                step=None if turn is None else turns.get(turn),
                text=take(error, "reasoning", str, here, default=""),
                source="tau2-bench review",
            )
        )
    return tuple(marks)
