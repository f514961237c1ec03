"""HAL uploads: `<run>_UPLOAD.json`, one run of one agent on one benchmark.

The verdict of a task is in which list of the results it stands. Its conversation is the longest
that a model call of the task was sent, with its answer; older files hold the calls themselves.
"""

from collections.abc import Iterator
from typing import Any, final

from assay.importers.base import Importer, Record, acted, graded
from assay.importers.fields import Fields, fits
from assay.importers.messages import MESSAGE, chat
from assay.records import End, ModelStep, Trajectory

_LISTS = (("successful_tasks", 1.0), ("failed_tasks", 0.0))
_REWARDS = ("reward", "score", "accuracy")
_MESSAGE = ("role", "content", "tool_calls", "tool_call_id", "name", "reasoning_content")


@final
class Hal(Importer):
    """Lost: costs, usage, the calls outside the conversation, what a benchmark's verdict holds."""

    name = "hal"
    title = "HAL upload"
    record = "an object with config and results"
    needs = "config:object results:object raw_eval_results raw_logging_results"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        config, told = record.within("config"), _told(record)
        benchmark, agent = config.text("benchmark_name"), config.text("agent_name")
        verdicts = _verdicts(record.within("results"))
        raw = record.raw.get("raw_eval_results")
        judged = raw if isinstance(raw, dict) else {}
        for index, name in enumerate(dict.fromkeys([*verdicts, *told])):
            task = f"{benchmark}/{name}" if benchmark else name
            one = Fields(told.get(name, {}), f"{record.where} of {name[:60]!r}", record.losses)
            steps = chat(_messages(one), f"{one.where}.messages", record.losses)
            end, outcome = _end(judged.get(name), one, verdicts.get(name))
            _count(one, steps)
            group = record.groups.name(task, agent)
            model = one.raw.get("model")
            yield record.trajectory(
                task,
                acted(steps, outcome),
                trial=(trial := record.groups.trial(group)),
                id=f"{group}/{trial}",
                group=group,
                outcome=one.scored(outcome),
                rewards=_parts(judged.get(name)),
                grades=graded(outcome, benchmark or "benchmark"),
                end=end,
                policy_version=model if isinstance(model, str) else None,
                origin=record.origin(index, agent=agent or None, run=config.maybe("run_id", str)),
            )


def _verdicts(results: Fields) -> dict[str, float]:
    """Returns 1 for each task that succeeded and 0 for each that failed."""
    found: dict[str, float] = {}
    for key, value in _LISTS:
        for name in results.items(key):
            found[name if isinstance(name, str) else str(name)[:200]] = value
    return found


def _told(record: Record) -> dict[str, dict[str, Any]]:
    """Returns the conversation of each task: as it is kept, or out of the calls."""
    raw = record.raw.get("raw_logging_results")
    if isinstance(raw, dict):
        return {name: one for name, one in raw.items() if isinstance(one, dict)}
    found: dict[str, dict[str, Any]] = {}
    for call in record.each("raw_logging_results", "a call object"):
        name = call.raw.get("weave_task_id") or call.within("attributes").raw.get("weave_task_id")
        inputs, output = call.raw.get("inputs"), call.raw.get("output")
        if not isinstance(name, str) or not isinstance(inputs, dict):
            continue
        messages = inputs.get("messages")
        if not isinstance(messages, list) or not isinstance(output, dict):
            continue
        one = found.setdefault(name, {"messages": [], "call_count": 0})
        one["call_count"] += 1
        whole = [*messages, *_answer(output)]
        if len(whole) > len(one["messages"]):
            one |= {"messages": whole, "model": inputs.get("model")}
    return found


def _answer(output: dict[str, Any]) -> list[Any]:
    """Returns the message of a call's first choice."""
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return [message] if isinstance(message, dict) else []


def _messages(one: Fields) -> Iterator[dict[str, Any]]:
    for message in one.each("messages", MESSAGE):
        yield {key: message.raw[key] for key in _MESSAGE if message.raw.get(key) is not None}


def _count(one: Fields, steps: tuple[Any, ...]) -> None:
    """Counts calls to the model that the conversation does not show."""
    if not one.raw:
        one.lose("no_trajectory")
    turns = sum(type(step) is ModelStep for step in steps)
    more = (one.whole("call_count") or 0) - turns
    if more > 0:
        one.lose("call_outside_conversation", more)


def _end(judged: Any, one: Fields, verdict: float | None) -> tuple[End, float | None]:
    """Returns how a task ended and its verdict; what an error of the agent's run ended has none,
    though HAL lists it among the failures."""
    if isinstance(judged, str) and judged.lower().startswith("error"):
        if verdict is not None:
            one.lose("score_of_infra_failure")
        return "infra", None
    return "unknown", verdict


def _parts(judged: Any) -> dict[str, float | None]:
    """Returns the numbers of a task's verdict, where it is an object or a number itself."""
    found = judged if isinstance(judged, dict) else {"score": judged}
    number = (bool, int, float)
    return {key: float(found[key]) for key in _REWARDS if fits(found.get(key), number)}
