"""ATIF trajectory documents, versions 1.3 to 1.8 (Agent Trajectory Interchange Format).

The format has no reward and no task: `extra.reward`, `extra.task` and `extra.trial` at the root are
read where a producer put them there, otherwise the outcome is None and counted as `no_outcome`, and
attempts with the same first user message form a group.
"""

from collections.abc import Iterator
from typing import Any, final

import msgspec

from assay.files.probe import Probe
from assay.importers.base import Importer, Rank, Record, keys, prompt_name
from assay.importers.fields import Fields
from assay.importers.messages import content_of, model_step
from assay.importers.tokens import Turn, join
from assay.records import Ledger, ModelStep, Step, SystemStep, ToolStep, Trajectory, UserStep

_ROOT = keys(
    "schema_version session_id trajectory_id agent steps notes final_metrics extra"
    " continued_trajectory_ref subagent_trajectories"
)
_STEP = keys(
    "step_id timestamp source model_name reasoning_effort message reasoning_content tool_calls"
    " observation metrics extra llm_call_count is_copied_context"
)
_CARRIED_EXTRA = keys("reward task trial")


@final
class Atif(Importer):
    """One document a file, or one a line; `schema_version` begins with "ATIF-"."""

    name = "atif"
    title = "ATIF trajectories"
    record = "an ATIF document"
    needs = "schema_version steps"

    def rank(self, seen: Probe) -> Rank:
        own = not self.missing(seen) and str(seen.first["schema_version"]).startswith("ATIF-")
        return Rank.CERTAIN if own else Rank.NO

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        parts, _ = parts_of(record)
        identity = parts.pop("id") or f"{record.file.stem}/{record.index}"
        extra = record.within("extra")
        outcome = record.scored(extra.number("reward"))
        task = extra.maybe_name("task")
        if not task:
            record.lose("no_task")
            texts = (step.text for step in parts["steps"] if type(step) is UserStep)
            task = prompt_name(next(texts, ""))
        yield record.trajectory(
            task,
            parts.pop("steps"),
            trial=extra.whole("trial"),
            id=identity,
            outcome=outcome,
            **parts,
        )


def parts_of(document: Fields) -> tuple[dict[str, Any], str]:
    """Returns what a document says of its trajectory (id, steps, with tokens where its metrics
    have ids, policy_version, marks, ledger; no task, no outcome), and the name of its agent.

    Raises:
        DataError: not an ATIF document, or its steps are not numbered 1, 2 ...
    """
    version = document.need("schema_version", str)
    if not version.startswith("ATIF-v1."):
        raise document.wrong("schema_version", repr(version[:40]), "ATIF-v1.x")
    _lose_root(document)
    agent = document.within("agent")
    steps: list[Step] = []
    turns: list[Turn] = []
    for index, raw in enumerate(document.each("steps", "a step object", needed=True)):
        if (step_id := raw.need("step_id", int)) != index + 1:
            raise raw.wrong("step_id", str(step_id)[:20], str(index + 1))
        _add(raw, steps, turns)
    joined, marks = join(steps, turns)
    written = document.within("final_metrics").whole("total_completion_tokens")
    calls = sum(len(step.calls) for step in joined if type(step) is ModelStep)
    return {
        "id": document.text("trajectory_id") or document.text("session_id"),
        "steps": joined,
        "policy_version": agent.maybe("model_name", str),
        "marks": marks,
        "ledger": Ledger(tokens=written, calls=calls),
    }, agent.text("name")


def _lose_root(document: Fields) -> None:
    document.lose_unknown(_ROOT)
    if inner := document.items("subagent_trajectories"):
        document.lose("subagent_trajectory", len(inner))
    if document.raw.get("continued_trajectory_ref") is not None:
        document.lose("continued_trajectory")
    extra = Fields(document.within("extra").raw, document.where, document.losses)
    extra.lose_unknown(_CARRIED_EXTRA, "extra")


def _add(raw: Fields, steps: list[Step], turns: list[Turn]) -> None:
    """Appends what one ATIF step holds: what was said, then what the world answered."""
    raw.lose_unknown(_STEP, "step_key")
    if raw.raw.get("extra"):
        raw.lose("step_extra")
    text, source, calls = content_of(raw, "message"), raw.need("source", str), _calls(raw)
    if calls and source != "agent":
        raw.lose("call_of_no_agent", len(calls))
        calls = []
    match source:
        case "system":
            steps.append(SystemStep(text=text))
        case "user":
            steps.append(UserStep(text=text))
        case "agent" if raw.whole("llm_call_count") == 0:
            # Written by the scaffold: nothing here may be credited to the policy.
            raw.lose("step_without_model")
            steps.append(SystemStep(text=text))
            calls = []
        case "agent":
            message = Fields({**raw.raw, "tool_calls": calls}, raw.where, raw.losses)
            step = model_step(message, text)
            if raw.maybe("is_copied_context", bool):
                step = msgspec.structs.replace(step, untrainable="copied")
            steps.append(step)
            _note_tokens(raw, len(steps) - 1, turns)
        case _:
            raise raw.wrong("source", repr(source[:40]), "system, user or agent")
    _observe(raw, steps, [call["id"] for call in calls])


def _calls(raw: Fields) -> list[dict[str, Any]]:
    """Returns the calls of a step in the common form."""
    return [
        {
            "function": {
                "name": call.need("function_name", str),
                "arguments": call.raw.get("arguments"),
            },
            "id": call.need("tool_call_id", str),
        }
        for call in raw.each("tool_calls", "a tool call object")
    ]


def _note_tokens(raw: Fields, step: int, turns: list[Turn]) -> None:
    """Notes the tokens of one model call; those of several calls are not told apart."""
    metrics = raw.within("metrics")
    if metrics.raw.get("completion_token_ids") is None:
        if metrics.raw.get("logprobs") is not None:
            metrics.lose("logprobs_without_tokens")
        return
    if (raw.whole("llm_call_count") or 1) > 1:
        metrics.lose("tokens_of_several_calls")
        return
    told = metrics.raw.get("prompt_token_ids") is not None
    prompt = metrics.ids("prompt_token_ids") if told else None
    response, logprobs = metrics.ids("completion_token_ids"), metrics.floats("logprobs")
    turns.append(Turn(step, prompt, response, logprobs, metrics))


def _observe(raw: Fields, steps: list[Step], ids: list[str | None]) -> None:
    """Appends the results of a step; `ids` are those of the step's own calls."""
    at = len(steps) - 1
    acted = steps[at]
    for result in raw.within("observation").each("results", "a result object"):
        if result.raw.get("subagent_trajectory_ref"):
            result.lose("subagent_reference")
        source = result.maybe("source_call_id", str)
        name, call = "", None
        if source is not None and source in ids and type(acted) is ModelStep:
            call = (at, ids.index(source))
            ids[call[1]], name = None, acted.calls[call[1]].name
        elif source is not None or ids:
            result.lose("result_of_no_call")
        steps.append(ToolStep(text=content_of(result), name=name, call=call))
