"""Makes the recorded set: `python -m tools.record [FOLDER]`. Deterministic; no clock.

A naive logger stands between the agents and the file. Its faults are planted on purpose: it scores
a lost connection as 0, logs a retry twice, and re-tokenises a step. `planted.json` counts each
fault where it is made, so that the audit can be held against it.
"""

import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, final

import msgspec

from assay.demo import RECORDED
from assay.files.atomic import publish
from assay.records import (
    Call,
    End,
    ExpertCall,
    Ledger,
    ModelStep,
    Span,
    Step,
    ToolStep,
    Trajectory,
    UserStep,
    write,
)
from tools.agent import Kind, Utterance, draw, log_probabilities
from tools.shop import Shop, scores
from tools.tasks import TASKS, Slip, Task, compact, options

PLANTED: Final = Path(__file__).with_name("planted.json")
"""What is wrong with the set, counted here and not by the audit."""
TRIALS: Final = 6
SEED: Final = 18
LOST: Final = {("more-tea", 1): 1, ("more-tea", 4): 2, ("new-rug", 3): 1}
"""(task, trial) whose connection breaks at this call, counted from 0."""
COPIED: Final = ("lamp-to-leeds", 2, 5)
"""Task, the trial that is logged twice, the trial that the copy replaces."""
DRIFTED: Final = ("lamp-to-leeds", 0)
"""Task and trial whose first step was tokenised again."""


@final
@dataclass(slots=True)
class Planned:
    """One trajectory under construction, and what the recorder knows of it."""

    steps: list[Step] = field(default_factory=list)
    said: list[tuple[Kind, str, str]] = field(default_factory=list)
    """Kind, tool and arguments of every utterance."""
    refused: list[bool] = field(default_factory=list)
    """Per call: did the desk refuse it?"""
    end: End = "budget"


def play(task: Task, rng: random.Random, shop: Shop, lost_at: int | None = None) -> Planned:
    """Returns what one agent did, on a desk that it leaves changed."""
    attempt = Planned([UserStep(text=task.ask, token_ids=tuple(task.ask.encode()))])
    at = errors = 0
    for _ in range(task.budget):
        given = list(options(task, at, errors))
        said = draw([utterance for utterance, _ in given], rng)
        slip = next(s for utterance, s in given if utterance is said)
        key = shop.state_key()
        attempt.steps.append(_model_step(said, [u for u, _ in given], key))
        attempt.said.append((said.kind, said.tool, said.arguments))
        if not said.tool:
            attempt.end = "answered"
            break
        if len(attempt.refused) == lost_at:
            attempt.end = "infra"
            _observe(attempt, said.tool, "Error: connection reset by peer")
            break
        answer = shop.call(said.tool, said.arguments)
        _observe(attempt, said.tool, answer)
        errors = errors + 1 if answer.startswith("Error:") else 0
        at = _next(task, at, said, slip, errors)
    return attempt


def _next(task: Task, at: int, said: Utterance, slip: Slip | None, errors: int) -> int:
    if said.kind == "right" or (slip is not None and slip.then == "next"):
        return at if said.kind == "right" and errors else at + 1
    return len(task.plan) if slip is not None and slip.then == "last" else at


def _model_step(said: Utterance, given: list[Utterance], state_key: str) -> ModelStep:
    text = said.text
    calls: tuple[Call, ...] = ()
    role = "answer"
    if said.tool:
        start = len(said.thought) + 1
        calls = (Call(name=said.tool, arguments=said.arguments, start=start, end=len(text)),)
        role = "think"
    return ModelStep(
        text=text,
        calls=calls,
        token_ids=tuple(text.encode()),
        logprobs=log_probabilities(given, said),
        spans=(Span(role=role, start=0, end=len(said.thought)),),
        state_key=state_key,
    )


def _observe(attempt: Planned, tool: str, text: str) -> None:
    index = len(attempt.steps) - 1
    attempt.refused.append(text.startswith("Error:"))
    attempt.steps.append(
        ToolStep(text=text, name=tool, call=(index, 0), token_ids=tuple(text.encode()))
    )


def trajectory(task: Task, trial: int, attempt: Planned, shop: Shop) -> Trajectory:
    """Returns the record of an attempt, as the naive logger writes it."""
    parts = scores(shop, task.goals)
    outcome = sum(parts.values()) / len(parts) if task.checked else None
    if attempt.end == "infra":
        parts, outcome = {}, 0.0
    model = [step for step in attempt.steps if isinstance(step, ModelStep)]
    return Trajectory(
        id=f"{task.id}/{trial}",
        task=task.id,
        group=task.id,
        trial=trial,
        steps=tuple(attempt.steps),
        outcome=outcome,
        rewards=dict(parts) if task.checked and len(parts) > 1 else {},
        expert=tuple(
            ExpertCall(name=move.tool, arguments=compact(move.arguments))
            for move in task.plan
            if move.needed
        ),
        end=attempt.end,
        policy_version="scripted",
        ledger=Ledger(
            tokens=sum(len(step.token_ids or ()) for step in model),
            calls=len(attempt.refused),
        ),
    )


@final
@dataclass(frozen=True, slots=True)
class Recorded:
    """One line of the set, with the attempt that it came from."""

    record: Trajectory
    attempt: Planned


def recorded(seed: int = SEED) -> list[Recorded]:
    """Returns the set, task by task and trial by trial, with the logger's faults in it."""
    lines: list[Recorded] = []
    for task in TASKS:
        group: list[Recorded] = []
        for trial in range(TRIALS):
            rng, shop = random.Random(f"{seed} {task.id} {trial}"), Shop()
            attempt = play(task, rng, shop, LOST.get((task.id, trial)))
            group.append(Recorded(trajectory(task, trial, attempt, shop), attempt))
        lines += _logged(group)
    return lines


def _logged(group: list[Recorded]) -> list[Recorded]:
    """Returns a group after the logger: a retry written twice, a step tokenised again."""
    name, first, second = COPIED
    if group[0].record.task == name:
        copy = msgspec.structs.replace(group[first].record, id=f"{name}/{second}", trial=second)
        group[second] = replace(group[first], record=copy)
    if group[0].record.task == DRIFTED[0]:
        record = group[DRIFTED[1]].record
        steps = list(record.steps)
        at = next(i for i, step in enumerate(steps) if isinstance(step, ModelStep))
        steps[at] = msgspec.structs.replace(steps[at], untrainable="drifted", logprobs=None)
        changed = msgspec.structs.replace(record, steps=tuple(steps))
        group[DRIFTED[1]] = replace(group[DRIFTED[1]], record=changed)
    return group


def planted(lines: Iterable[Recorded]) -> dict[str, Any]:
    """Returns what is wrong with the set, from what the recorder knows of each attempt.

    Each fault names the key of the audit's JSON that should show it, and the count.
    """
    lines = list(lines)
    groups = {task.id: [each for each in lines if each.record.task == task.id] for task in TASKS}
    fate = {name: _fate(group) for name, group in groups.items()}
    faults = [
        _fault(f"groups.{kind}", [name for name, each in fate.items() if kind in each])
        for kind in (
            *("all_fail", "all_pass", "mixed", "constant_partial", "single", "unscored"),
            *("dead", "graded", "components_cancel"),
        )
    ]
    faults += [_fault(key, list(found)) for key, found in _trajectory_faults(lines)]
    faults += [_fault(key, list(found)) for key, found in _call_faults(groups, fate)]
    return {"schema": "assay.planted/1", "set": RECORDED.name, "faults": faults}


def _fault(key: str, where: list[str]) -> dict[str, Any]:
    return {"audit": key, "count": len(where), "where": where}


def _true_outcome(each: Recorded) -> float | None:
    return None if each.attempt.end == "infra" else each.record.outcome


def _fate(group: list[Recorded]) -> set[str]:
    """Returns the words of the audit that fit a group."""
    scored = [outcome for each in group if (outcome := _true_outcome(each)) is not None]
    if not scored:
        return {"unscored", "dead"}
    passes, constant = scored.count(1.0), len(set(scored)) == 1
    if passes:
        return {"all_pass", "dead"} if constant else {"mixed"}
    if not constant:
        return {"all_fail", "graded"}
    parts = {tuple(each.record.rewards.values()) for each in group if each.attempt.end != "infra"}
    cancel = {"components_cancel"} if len(parts) > 1 else set[str]()
    return {"dead", "constant_partial" if scored[0] else "all_fail"} | cancel


def _trajectory_faults(lines: list[Recorded]) -> Iterator[tuple[str, Iterator[str]]]:
    def ids(picked: Iterable[Recorded]) -> Iterator[str]:
        return (each.record.id for each in picked)

    failed = [e for e in lines if _true_outcome(e) is not None and _true_outcome(e) != 1.0]
    yield "trajectories.by_end.infra", ids(e for e in lines if e.attempt.end == "infra")
    yield "trust.dropped.infra", ids(e for e in lines if e.attempt.end == "infra")
    yield "trajectories.by_end.budget", ids(e for e in lines if e.attempt.end == "budget")
    yield "claims.claimed_failed", ids(e for e in failed if e.attempt.said[-1][0] == "claim")
    yield "claims.admitted_failed", ids(e for e in failed if e.attempt.said[-1][0] == "admit")
    yield "trust.duplicates", iter([f"{COPIED[0]}/{COPIED[2]}"])
    yield "trust.untrainable_steps.drifted", iter([f"{DRIFTED[0]}/{DRIFTED[1]}"])


def _call_faults(
    groups: dict[str, list[Recorded]], fate: dict[str, set[str]]
) -> Iterator[tuple[str, Iterator[str]]]:
    everything = [each for group in groups.values() for each in group]
    yield "calls.error", (i for each in everything for i, _, _, refused in _calls(each) if refused)
    yield (
        "calls.unparsed",
        (i for each in everything for i, _, kind, _ in _calls(each) if kind == "malformed"),
    )
    punished: dict[str, list[str]] = {"expert": [], "sibling": [], "correct": [], "all_fail": []}
    for name, group in groups.items():
        experts = {(e.name, e.arguments) for e in group[0].record.expert or ()}
        siblings = {
            call for each in group if _true_outcome(each) == 1.0 for _, call, _, _ in _calls(each)
        }
        scored = [outcome for each in group if (outcome := _true_outcome(each)) is not None]
        for each in group:
            outcome = _true_outcome(each)
            ran = [(i, call) for i, call, _, refused in _calls(each) if not refused]
            if "all_fail" in fate[name]:
                punished["all_fail"] += [i for i, call in ran if call in experts]
            if outcome is not None and outcome < sum(scored) / len(scored) - 1e-9:
                punished["expert"] += [i for i, call in ran if call in experts]
                punished["sibling"] += [i for i, call in ran if call in siblings]
                punished["correct"] += [i for i, call in ran if call in experts | siblings]
    for kind in ("expert", "sibling", "correct"):
        yield f"calls.punished_{kind}", iter(punished[kind])
    yield "calls.expert_in_all_fail", iter(punished["all_fail"])


def _calls(each: Recorded) -> Iterator[tuple[str, tuple[str, str], Kind, bool]]:
    """Yields "id#number", (tool, arguments), kind and whether the desk refused it, per call."""
    said = [s for s in each.attempt.said if s[1]]
    for number, ((kind, *call), refused) in enumerate(zip(said, each.attempt.refused, strict=True)):
        yield f"{each.record.id}#{number}", (call[0], call[1]), kind, refused


def main(folder: Path | None = None) -> None:
    """Writes the set and what is planted in it: both into `folder`, or where they belong."""
    lines = recorded()
    write(folder / RECORDED.name if folder else RECORDED, (each.record for each in lines))
    text = msgspec.json.format(msgspec.json.encode(planted(lines)), indent=1)
    publish(folder / PLANTED.name if folder else PLANTED, text + b"\n")
    print(f"{len(lines)} trajectories of {len(TASKS)} tasks")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
