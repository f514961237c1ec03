"""verifiers: `traces.jsonl`, an episode a line, with advantages on the nodes of its trace.

None is never scored and 0 is a credit of 0, for verifiers as for Assay.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from assay.exporters.base import Exporter, Tally
from assay.exporters.losses import TRACE_ONLY
from assay.exporters.rows import Row
from assay.files.lines import write_rows
from assay.records import ModelStep, Step, SystemStep, ToolStep

_STOPS: Final = {"answered": "agent_completed", "budget": "max_turns", "infra": "error"}


@final
class Verifiers(Exporter):
    """`traces.jsonl`; trajectories of one tree become traces of their own."""

    name = "verifiers"
    engine = "verifiers 0.4.0"
    checked = "read back as its `WireEpisode`"
    writes = "`traces.jsonl`"
    grain = "per sampled token, on its node; per trace where it is one value"
    lacks = "trees: each branch is a trace of its own; a node that is scored in part has none"

    def write(self, rows: Iterable[Row], folder: Path, tally: Tally) -> None:
        """Writes an episode for each row."""
        write_rows(folder / "traces.jsonl", _episodes(rows, tally))


def _episodes(rows: Iterable[Row], tally: Tally) -> Iterator[dict[str, Any]]:
    for row in rows:
        of = row.trajectory
        if not row.token_ids:
            if row.scalar is None:  # it would say nothing
                why = "no_token_ids" if row.kept else f"dropped:{row.decision.reason}"
                tally.lost.add(why, of.id)
                continue
            tally.lost.add(TRACE_ONLY, of.id)
        if of.tree is not None:
            tally.lost.add("branch_as_trace", of.id)
        tally.said(tally.wrote(row))
        task = {"type": "assay", "data": {"id": of.task}, "key": of.task}
        ok = of.end != "infra"
        yield {
            "id": of.id,
            "task": task,
            "group": {"id": of.group},
            "ok": ok,
            "traces": [_trace(row, task, tally, ok=ok)],
        }


def _trace(row: Row, task: dict[str, Any], tally: Tally, *, ok: bool) -> dict[str, Any]:
    of = row.trajectory
    info: dict[str, Any] = {"assay": {"keep": row.kept, "reason": row.decision.reason}}
    if row.scalar is not None:
        info["advantage"] = row.scalar
    trace: dict[str, Any] = {
        "id": of.id,
        "task": task,
        "agent": {"config": {}, "name": "agent"},
        "nodes": [_node(row, at, tally) for at in range(len(of.steps))],
        "rewards": {"outcome": None if of.outcome is None else {"score": of.outcome}},
        "metrics": {name: value for name, value in of.rewards.items() if name != "outcome"},
        "info": info,
        "is_completed": of.end in ("answered", "budget"),
        "ok": ok,
    }
    return {**trace, "stop_condition": _STOPS[of.end]} if of.end in _STOPS else trace


def _node(row: Row, at: int, tally: Tally) -> dict[str, Any]:
    step = row.trajectory.steps[at]
    own = slice(row.starts[at], row.starts[at + 1])
    node: dict[str, Any] = {
        "message": _message(step, row.trajectory.steps),
        "sampled": type(step) is ModelStep and step.untrainable != "copied",
        "timestamp": 0.0,
        "token_ids": row.token_ids[own],
        "mask": row.sampled[own].tolist(),
    }
    if at:
        node["parent"] = at - 1
    sampled = np.flatnonzero(row.sampled[own])
    if not sampled.size:
        return node
    logprobs = None if row.logprobs is None else [row.logprobs[own][i] for i in sampled.tolist()]
    if logprobs is not None and None not in logprobs:
        node["logprobs"] = logprobs
    values = row.advantage[own][sampled]
    if row.kept and not np.isnan(values).any():
        node["advantages"] = values.tolist()
    elif row.kept and not np.isnan(values).all():
        tally.lost.add("node_scored_in_part", row.trajectory.id)
    return node


def _message(step: Step, steps: tuple[Step, ...]) -> dict[str, Any]:
    match step:
        case ModelStep():
            calls = [
                {
                    "id": call.id or f"call-{number}",
                    "name": call.name,
                    "arguments": call.arguments,
                }
                for number, call in enumerate(step.calls)
            ]
            message: dict[str, Any] = {"role": "assistant", "content": step.text}
            return {**message, "tool_calls": calls} if calls else message
        case ToolStep():
            return {"role": "tool", "tool_call_id": _answered(step, steps), "content": step.text}
        case SystemStep():
            return {"role": "system", "content": step.text}
        case _:
            return {"role": "user", "content": step.text}


def _answered(step: ToolStep, steps: tuple[Step, ...]) -> str:
    """Returns the id of the call that a result answers."""
    if step.call is None:
        return ""
    asked = steps[step.call[0]]
    id = asked.calls[step.call[1]].id if type(asked) is ModelStep else None
    return id or f"call-{step.call[1]}"
