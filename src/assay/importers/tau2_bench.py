"""tau2-bench: `{info, tasks, simulations}`, or a results.json beside a folder `simulations/`.

The user has tools there too. Its calls are no actions of the agent's: they are counted as
`user_side_call`, and their results stay as steps that answer no call.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.errors import DataError
from assay.files.probe import Probe
from assay.files.reading import documents
from assay.importers.base import Importer, Rank, Record, ends, keys
from assay.importers.fields import Fields
from assay.importers.messages import MESSAGE, Steps, content_of, experts_of
from assay.records import End, ExpertCall, Grade, Level, Mark, ToolStep, Trajectory

ENDS: dict[str, End] = ends(
    answered="user_stop agent_stop agent_error",
    budget="max_steps too_many_errors context_window_exceeded",
    infra="timeout user_error infrastructure_error unexpected_error",
)
"""What `termination_reason` means. An invalid message of the agent's is its own failure; one of the
simulated user's is not, and `timeout` is the wall clock of the harness."""

_DOCUMENT = keys("timestamp info tasks simulations simulation_index")
_RUN = keys(
    "id task_id timestamp start_time end_time duration termination_reason reward_info messages"
    " trial seed mode review"
)
_MESSAGE = keys(
    "role content tool_calls turn_idx timestamp is_audio is_final_chunk contains_speech id"
    " requestor error tool_messages"
)
_CHECKS: tuple[tuple[str, Level, str], ...] = (
    ("env_assertions", "E3", "met"),
    ("action_checks", "E2", "action_match"),
    ("communicate_checks", "E2", "met"),
    ("nl_assertions", "E1", "met"),
)
"""Key of `reward_info`, how independent it is, and the flag of one of its checks."""
_REWARD = keys("reward db_check reward_breakdown reward_basis") | {key for key, *_ in _CHECKS}
_Experts = dict[str, tuple[ExpertCall, ...] | None]


@final
class Tau2Bench(Importer):
    """Lost: costs, usage, raw responses, audio, the policy text and the user's own actions."""

    name = "tau2_bench"
    title = "tau2-bench results"
    record = "an object with tasks and simulations"
    needs = "tasks info simulations"

    def rank(self, seen: Probe) -> Rank:
        rank = super().rank(seen)
        return Rank.SHAPE if seen.has("tasks", "info", "simulation_index") else rank

    def beside(self, file: Path) -> tuple[Path, ...]:
        return tuple(sorted((file.parent / "simulations").glob("*.json")))

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_DOCUMENT)
        info = record.within("info")
        info.lose_unknown(keys("agent_info"), "info")
        policy = info.within("agent_info").maybe("llm", str)
        domain = info.within("environment_info").text("domain_name")
        tasks = record.each("tasks", "a task object", needed=True)
        experts = dict(_expert(task) for task in tasks)
        for index, (where, value) in enumerate(self._runs(record)):
            run = Fields(value, where, record.losses, "a simulation object")
            yield _trajectory(run, record, experts, (domain, policy), index)

    def _runs(self, record: Record) -> Iterator[tuple[str, Any]]:
        """Yields the simulations: those of the document, else those of the files beside it."""
        inside = record.maybe("simulations", list)
        if inside is not None:
            yield from ((f"{record.where}.simulations[{i}]", run) for i, run in enumerate(inside))
            return
        found = self.beside(record.file)
        listed = len(record.need("simulation_index", list))
        if len(found) != listed:
            folder = record.file.parent / "simulations"
            raise DataError(
                f"{folder}: got {len(found)} simulations; expected {listed} by its index"
            )
        for path in found:
            yield from documents(path)


def _expert(task: Fields) -> tuple[str, tuple[ExpertCall, ...] | None]:
    """Returns a task's id and the agent's expert actions; None where there are none written."""
    criteria = task.within("evaluation_criteria")
    mine: list[Fields] = []
    for action in criteria.each("actions", "an action object"):
        if action.raw.get("requestor") == "user":
            action.lose("user_side_action")
        else:
            mine.append(action)
    none = criteria.raw.get("actions") is None
    return task.name("id"), None if none else experts_of(mine)


def _trajectory(
    run: Fields, record: Record, experts: _Experts, of: tuple[str, str | None], index: int
) -> Trajectory:
    """`of`: the domain, each of which counts its tasks for itself, and the agent's model."""
    run.lose_unknown(_RUN)
    key, trial, (domain, policy) = run.name("task_id"), run.maybe("trial", int), of
    task = record.groups.name(f"task {key}", domain).removeprefix("task ")
    group = record.groups.name(task, policy or "")
    reason = run.need("termination_reason", str)
    end = ENDS.get(reason, "unknown")
    if reason not in ENDS:
        run.lose(f"termination_reason:{reason}")
    steps, turns = _steps(run)
    info = run.within("reward_info")
    reward, rewards, grades = _judged(info)
    if end == "infra" and reward is not None:
        info.lose("score_of_infra_failure")
        reward = None
    return record.trajectory(
        task,
        steps,
        trial=trial,
        id=f"{group}/{index if trial is None else trial}",
        group=group,
        outcome=reward,
        rewards=rewards,
        grades=grades if end != "infra" else (),
        expert=experts.get(key),
        end=end,
        policy_version=policy,
        marks=tuple(_marks(run.within("review"), turns)),
        origin=record.origin(index, simulation=run.maybe("id", str)),
    )


def _steps(run: Fields) -> tuple[Steps, dict[int, int]]:
    """Returns the steps, and the step of each turn number that reviews speak of."""
    if run.raw.get("messages") is None:
        run.lose("full_duplex")
    steps = Steps()
    turns: dict[int, int] = {}
    for message in _flat(run):
        message.lose_unknown(_MESSAGE, "message_key")
        turn = message.maybe("turn_idx", int)
        if turn is not None:
            turns.setdefault(turn, len(steps))
        text, role = _said(message), message.need("role", str)
        match role:
            case "user":
                if calls := message.items("tool_calls"):
                    message.lose("user_side_call", len(calls))
                steps.say(message, text, role)
            case "tool":
                error = message.maybe("error", bool)
                if message.text("requestor") == "user":
                    steps.append(ToolStep(text=text, error=error))
                else:
                    steps.answer(message, text, message.maybe("id", str), error=error)
            case _:
                steps.say(message, text, role)
    return steps, turns


def _flat(run: Fields) -> Iterator[Fields]:
    """Yields messages, those that bundle several tool results taken apart."""
    for message in run.each("messages", MESSAGE):
        if message.raw.get("tool_messages") is None:
            yield message
        else:
            yield from message.each("tool_messages", "a tool message object")


def _said(message: Fields) -> str:
    """Returns the text of a message; what is base64 audio is none."""
    if not message.maybe("is_audio", bool):
        return content_of(message)
    message.lose("audio")
    return message.text("audio_script_gold")


def _judged(info: Fields) -> tuple[float | None, dict[str, float | None], tuple[Grade, ...]]:
    """Returns the reward, its named parts, and one grade per kind of check that was made."""
    info.lose_unknown(_REWARD, "reward_info")
    rewards = info.scores("reward_breakdown")
    grades: list[Grade] = []
    if info.raw.get("db_check") is not None:
        value = info.within("db_check").score("db_reward")
        grades.append(Grade(level="E3", value=value, source="db_check"))
    for key, level, flag in _CHECKS:
        met = [check.need(flag, bool) for check in info.each(key, "a check object")]
        if met:
            reason = f"{sum(met)} of {len(met)}"
            grades.append(Grade(level=level, value=float(all(met)), source=key, reason=reason))
    return info.score("reward"), rewards, tuple(grades)


def _marks(review: Fields, turns: dict[int, int]) -> Iterator[Mark]:
    """Yields what a review pointed at: kind "review" for the agent, "user_error" for the user."""
    for error in review.each("errors", "a review error object"):
        turn = error.maybe("turn_idx", int)
        if turn is not None and turn not in turns:
            error.lose("review_of_unknown_turn")
        yield Mark(
            kind="user_error" if error.raw.get("source") == "user" else "review",
            step=None if turn is None else turns.get(turn),
            text=error.text("reasoning"),
            source="tau2-bench review",
        )
