"""ATIF trajectory documents, versions 1.3 to 1.8 (Agent Trajectory Interchange Format).

The format has no reward and no task: `extra.reward`, `extra.task` and `extra.trial` at the root are
read where a producer put them there, otherwise the outcome is None and counted as `no_outcome`, and
attempts with the same first user message form a group.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, ClassVar, final

import msgspec

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import (
    content_text,
    count_keys,
    model_step,
    number,
    origin,
    take,
    typed,
)
from assay.importers.reading import documents
from assay.importers.recognise import log_files
from assay.importers.tokens import Turn, floats_of, ids_of, join, whole
from assay.records import Ledger, Mark, Step, SystemStep, ToolStep, Trajectory, UserStep

_ROOT = frozenset(
    [
        "schema_version",
        "session_id",
        "trajectory_id",
        "agent",
        "steps",
        "notes",
        "final_metrics",
        "extra",
        "continued_trajectory_ref",
        "subagent_trajectories",
    ]
)
_STEP = frozenset(
    [
        "step_id",
        "timestamp",
        "source",
        "model_name",
        "reasoning_effort",
        "message",
        "reasoning_content",
        "tool_calls",
        "observation",
        "metrics",
        "extra",
        "llm_call_count",
        "is_copied_context",
    ]
)
_CARRIED_EXTRA = frozenset(("reward", "task", "trial"))


@final
class Atif(Importer):
    """One document a file, or one a line; `schema_version` begins with "ATIF-"."""

    name: ClassVar[str] = "atif"
    title: ClassVar[str] = "ATIF trajectories"

    def recognises(self, probe: Probe) -> bool:
        seen = probe.log
        return (
            seen.has("schema_version", "steps")
            and str(seen.first["schema_version"]).startswith("ATIF-")
            and not any(PurePath(name).name == "result.json" for name in probe.names)
        )

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        for file in log_files(path, self.recognises, losses):
            yield from _read(file, losses)


def _read(path: Path, losses: Losses) -> Iterator[Trajectory]:
    for index, (where, document) in enumerate(documents(path)):
        parts = parts_of(document, where, losses)
        extra = take(document, "extra", dict, where, default={})
        outcome = number(extra, "reward", f"{where}.extra")
        if outcome is None:
            losses.add("no_outcome", where)
        task = str(take(extra, "task", (str, int), f"{where}.extra", default=""))
        if not task:
            losses.add("no_task", where)
            task = _task_of(parts.steps)
        yield Trajectory(
            id=parts.id or f"{path.stem}/{index}",
            task=task,
            group=task,
            trial=whole(extra, "trial", f"{where}.extra"),
            steps=parts.steps,
            outcome=outcome,
            policy_version=parts.policy,
            marks=parts.marks,
            ledger=parts.ledger,
            origin=origin("atif", path, index),
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What an ATIF document itself says; task and outcome come from elsewhere."""

    id: str
    agent: str
    policy: str | None
    steps: tuple[Step, ...]
    marks: tuple[Mark, ...]
    ledger: Ledger


def parts_of(document: Any, where: str, losses: Losses) -> Parts:
    """Returns the steps of one document, with tokens where its metrics have ids.

    Raises:
        DataError: not an ATIF document, or its steps are not numbered 1, 2 ...
    """
    document = typed(document, dict, where, "an ATIF document")
    version = take(document, "schema_version", str, where)
    if not version.startswith("ATIF-v1."):
        raise DataError(f"{where}.schema_version: got {version[:40]!r}; expected ATIF-v1.x")
    _count_root(document, where, losses)
    agent = take(document, "agent", dict, where, default={})
    steps: list[Step] = []
    turns: list[Turn] = []
    for index, raw in enumerate(take(document, "steps", list, where)):
        here = f"{where}.steps[{index}]"
        raw = typed(raw, dict, here, "a step object")
        if (step_id := take(raw, "step_id", int, here)) != index + 1:
            raise DataError(f"{here}.step_id: got {str(step_id)[:20]}; expected {index + 1}")
        _add(raw, here, steps, turns, losses)
    joined, marks = join(steps, turns, losses)
    final_metrics = take(document, "final_metrics", dict, where, default={})
    return Parts(
        id=str(
            take(document, "trajectory_id", str, where, default="")
            or take(document, "session_id", str, where, default="")
        ),
        agent=take(agent, "name", str, f"{where}.agent", default=""),
        policy=take(agent, "model_name", str, f"{where}.agent", default=None),
        steps=joined,
        marks=marks,
        ledger=Ledger(
            tokens=whole(final_metrics, "total_completion_tokens", f"{where}.final_metrics"),
            calls=sum(len(turn_calls(step)) for step in joined),
        ),
    )


def turn_calls(step: Step) -> tuple[Any, ...]:
    """Returns the calls of a model step; of any other step none."""
    return getattr(step, "calls", ())


def _count_root(document: dict[str, Any], where: str, losses: Losses) -> None:
    count_keys(document, _ROOT, where, losses)
    inner = take(document, "subagent_trajectories", list, where, default=[])
    if inner:
        losses.add("subagent_trajectory", where, len(inner))
    if document.get("continued_trajectory_ref") is not None:
        losses.add("continued_trajectory", where)
    extra = take(document, "extra", dict, where, default={})
    count_keys(extra, _CARRIED_EXTRA, where, losses, kind="extra")


def _add(
    raw: dict[str, Any], where: str, steps: list[Step], turns: list[Turn], losses: Losses
) -> None:
    """Appends what one ATIF step holds: what was said, then what the world answered."""
    count_keys(raw, _STEP, where, losses, kind="step_key")
    if raw.get("extra"):
        losses.add("step_extra", where)
    text = content_text(raw.get("message"), f"{where}.message", losses)
    source = take(raw, "source", str, where)
    calls = _calls(raw, where)
    if calls and source != "agent":
        losses.add("call_of_no_agent", where, len(calls))
        calls = []
    match source:
        case "system":
            steps.append(SystemStep(text=text))
        case "user":
            steps.append(UserStep(text=text))
        case "agent" if whole(raw, "llm_call_count", where) == 0:
            # Written by the scaffold: nothing here may be credited to the policy.
            losses.add("step_without_model", where)
            steps.append(SystemStep(text=text))
            calls = []
        case "agent":
            message = {**raw, "tool_calls": calls}
            step = model_step(message, text, where, losses)
            if take(raw, "is_copied_context", bool, where, default=False):
                step = msgspec.structs.replace(step, untrainable="copied")
            steps.append(step)
            _count_tokens(raw, where, len(steps) - 1, turns, losses)
        case _:
            raise DataError(f"{where}.source: got {source[:40]!r}; expected system, user or agent")
    _observe(raw, where, steps, [c["id"] for c in calls], losses)


def _calls(raw: dict[str, Any], where: str) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    for index, call in enumerate(take(raw, "tool_calls", list, where, default=[])):
        here = f"{where}.tool_calls[{index}]"
        call = typed(call, dict, here, "a tool call object")
        function = {
            "name": take(call, "function_name", str, here),
            "arguments": call.get("arguments"),
        }
        calls.append({"id": take(call, "tool_call_id", str, here), "function": function})
    return calls


def _count_tokens(
    raw: dict[str, Any], where: str, step: int, turns: list[Turn], losses: Losses
) -> None:
    """Notes the tokens of one model call; those of several calls are not told apart."""
    metrics = take(raw, "metrics", dict, where, default={})
    here = f"{where}.metrics"
    response = metrics.get("completion_token_ids")
    if response is None:
        if metrics.get("logprobs") is not None:
            losses.add("logprobs_without_tokens", here)
        return
    if (whole(raw, "llm_call_count", where) or 1) > 1:
        losses.add("tokens_of_several_calls", here)
        return
    prompt, logprobs = metrics.get("prompt_token_ids"), metrics.get("logprobs")
    turns.append(
        Turn(
            step=step,
            prompt=None if prompt is None else ids_of(prompt, f"{here}.prompt_token_ids"),
            response=ids_of(response, f"{here}.completion_token_ids"),
            logprobs=None if logprobs is None else floats_of(logprobs, f"{here}.logprobs"),
            where=here,
        )
    )


def _observe(
    raw: dict[str, Any], where: str, steps: list[Step], ids: list[str | None], losses: Losses
) -> None:
    """Appends the results of a step; `ids` are those of the step's own calls."""
    observation = take(raw, "observation", dict, where, default={})
    at = len(steps) - 1
    names = [call.name for call in turn_calls(steps[at])]
    results = take(observation, "results", list, f"{where}.observation", default=[])
    for index, result in enumerate(results):
        here = f"{where}.observation.results[{index}]"
        result = typed(result, dict, here, "a result object")
        if result.get("subagent_trajectory_ref"):
            losses.add("subagent_reference", here)
        source = take(result, "source_call_id", str, here, default=None)
        call: tuple[int, int] | None = None
        if source is not None and source in ids:
            call = (at, ids.index(source))
            ids[call[1]] = None
        elif source is not None or ids:
            losses.add("result_of_no_call", here)
        text = content_text(result.get("content"), f"{here}.content", losses)
        steps.append(ToolStep(text=text, name=names[call[1]] if call else "", call=call))


def _task_of(steps: tuple[Step, ...]) -> str:
    """Returns a task name made from the first user message."""
    text = next((step.text for step in steps if type(step) is UserStep), "")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"prompt-{digest[:12]}"
