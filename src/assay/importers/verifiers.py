"""verifiers `traces.jsonl`: one episode a line, its traces as graphs of messages with tokens.

A graph node holds one message and the tokens that it adds, so a path from a root to a leaf is one
token sequence. Each leaf gives one trajectory; those of one trace share their first nodes, their
reward and `tree`. A reward of null was never computed and is not 0.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

import msgspec

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import number, origin, steps_of, take, typed
from assay.importers.reading import documents
from assay.importers.tokens import (
    Groups,
    floats_of,
    ids_of,
    mask_of,
    observed,
    runs_of,
    whole,
    with_tokens,
)
from assay.records import End, Ledger, ModelStep, Origin, Step, Trajectory

_FILE = "traces.jsonl"
_BUDGET = frozenset(
    [
        "max_turns",
        "max_input_tokens",
        "max_output_tokens",
        "max_total_tokens",
        "compaction_failed",
        "agent_timeout",
    ]
)
_MOST_STEPS = 1_000_000
"""Steps that the leaves of one trace may have together; a comb-shaped graph unfolds as a square."""
_UNREAD = {
    "advantages": "engine_advantages",
    "reference_logprobs": "reference_logprobs",
    "trainer_logprobs": "trainer_logprobs",
    "loss_weights": "loss_weights",
    "semantic_parents": "semantic_parents",
}


@final
class Verifiers(Importer):
    """`traces.jsonl` or the run folder that holds it, verifiers 0.4."""

    name: ClassVar[str] = "verifiers"
    title: ClassVar[str] = "verifiers traces"

    def recognises(self, probe: Probe) -> bool:
        first = probe.first
        if _FILE in probe.names:
            try:
                first = next(documents(probe.path / _FILE), ("", None))[1]
            except DataError:
                return False
        return (
            isinstance(first, dict)
            and isinstance(first.get("traces"), list)
            and isinstance(first.get("task"), dict)
        )

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        path = path / _FILE if path.is_dir() else path
        groups = Groups()
        for index, (where, episode) in enumerate(documents(path)):
            episode = typed(episode, dict, where, "an episode object")
            at = origin("verifiers", path, index)
            yield from _of_episode(episode, where, at, groups, losses)


def _of_episode(
    episode: dict[str, Any], where: str, at: Origin, groups: Groups, losses: Losses
) -> Iterator[Trajectory]:
    task = _task(take(episode, "task", dict, where), f"{where}.task")
    group = take(episode, "group", dict, where, default={})
    key = take(group, "id", str, f"{where}.group", default=None) or task
    traces = take(episode, "traces", list, where)
    if not traces:
        losses.add("episode_without_trace", where)
    for index, trace in enumerate(traces):
        here = f"{where}.traces[{index}]"
        trace = typed(trace, dict, here, "a trace object")
        agent = take(trace, "agent", dict, here, default={})
        name = take(agent, "name", str, f"{here}.agent", default="agent")
        member = groups.name(key, name)
        shared = Trajectory(
            id=take(trace, "id", str, here),
            task=task,
            group=member,
            trial=groups.trial(member),
            policy_version=_policy(episode, where),
            origin=at,
            **_scored(trace, here, losses),
        )
        trainable = take(agent, "trainable", bool, f"{here}.agent", default=True)
        yield from _branches(trace, here, shared, name, trainable, losses)


def _task(task: dict[str, Any], where: str) -> str:
    """Returns the task's own key, else its hash, else its kind with its data."""
    for key in ("key", "hash"):
        if name := take(task, key, str, where, default=""):
            return name
    data = json.dumps(task.get("data"), sort_keys=True)
    return f"{take(task, 'type', str, where, default='task')}:{data[:200]}"


def _policy(episode: dict[str, Any], where: str) -> str | None:
    """Returns the policy versions that generated the episode, "12" or "12-13"."""
    run = take(episode, "run", dict, where, default={})
    work = take(run, "work", dict, f"{where}.run", default={})
    span = take(work, "policy", dict, f"{where}.run.work", default={})
    start, end = (whole(span, key, f"{where}.run.work.policy") for key in ("start", "end"))
    return None if start is None else str(start) if end in (None, start) else f"{start}-{end}"


def _scored(trace: dict[str, Any], where: str, losses: Losses) -> dict[str, Any]:
    """Returns outcome (sum of score times weight, None where a part is null), rewards and end."""
    named = take(trace, "rewards", dict, where, default={})
    scores: dict[str, float | None] = {}
    total: float | None = 0.0 if named else None
    for name, reward in named.items():
        here = f"{where}.rewards[{name!r}]"
        if reward is None:
            losses.add("reward_not_computed", here)
            scores[name] = total = None
            continue
        reward = typed(reward, dict, here, "an object with score and weight, or null")
        score, weight = number(reward, "score", here), number(reward, "weight", here)
        weight = 1.0 if weight is None else weight
        if weight != 1.0:
            losses.add("reward_weight", here)
        scores[name] = score
        total = None if total is None or score is None else total + score * weight
    if not named:
        losses.add("no_outcome", where)
    return {"outcome": total, "rewards": scores, "end": _end(trace, where)}


def _end(trace: dict[str, Any], where: str) -> End:
    stop = take(trace, "stop_condition", str, where, default="")
    if stop in _BUDGET:
        return "budget"
    errors = take(trace, "errors", list, where, default=[])
    failed = errors and not take(trace, "ok", bool, where, default=False)
    if failed or stop == "error" or stop.endswith(("_error", "_timeout")):
        return "infra"
    for call in reversed(take(trace, "calls", list, where, default=[])):
        call = typed(call, dict, f"{where}.calls", "a model call object")
        if call.get("error") is None:
            if call.get("finish_reason") == "length":
                return "budget"
            break
    return (
        "answered"
        if stop or take(trace, "is_completed", bool, where, default=False)
        else ("unknown")
    )


def _branches(
    trace: dict[str, Any],
    where: str,
    shared: Trajectory,
    agent: str,
    trainable: bool,
    losses: Losses,
) -> Iterator[Trajectory]:
    """Yields one trajectory for each leaf of the graph, in the order of the leaves."""
    nodes = [
        typed(node, dict, f"{where}.nodes[{i}]", "a node object")
        for i, node in enumerate(take(trace, "nodes", list, where))
    ]
    parents = [_parent(node, i, f"{where}.nodes[{i}]") for i, node in enumerate(nodes)]
    inner = set(parents)
    leaves = [i for i in range(len(nodes)) if i not in inner]
    if not leaves:
        losses.add("trace_without_message", where)
        yield shared
        return
    _count_unread(nodes, where, losses)
    accepted = _accepted(nodes, where)
    if len(leaves) > 1:
        losses.add("branch_as_trajectory", where, len(leaves) - 1)
    _check_size(parents, leaves, where)
    seen: set[int] = set()
    for number_, leaf in enumerate(leaves):
        path = _path(parents, leaf)
        abandoned = _is_attempt(nodes[leaf], where) and leaf not in accepted
        masked = not trainable or abandoned
        yield msgspec.structs.replace(
            shared,
            id=shared.id if len(leaves) == 1 else f"{shared.id}/{number_}",
            tree=None if len(leaves) == 1 else shared.id,
            steps=_steps(nodes, path, where, shared.id, agent, masked, losses),
            ledger=Ledger(tokens=_newly_sampled(nodes, set(path) - seen)),
        )
        seen.update(path)


def _check_size(parents: list[int | None], leaves: list[int], where: str) -> None:
    """Raises DataError where the leaves have too many steps together, before any is made."""
    depth: list[int] = []
    for parent in parents:
        depth.append(1 if parent is None else depth[parent] + 1)
    total = sum(depth[leaf] for leaf in leaves)
    if total > _MOST_STEPS:
        raise DataError(
            f"{where}.nodes: unfolds to {total:,} steps; expected at most {_MOST_STEPS:,}"
        )


def _newly_sampled(nodes: list[dict[str, Any]], path: set[int]) -> int | None:
    """Returns the sampled tokens of nodes that no earlier leaf had; None where there are no ids."""
    masks = [mask for i in path if isinstance(mask := nodes[i].get("mask"), list)]
    return sum(mask.count(True) for mask in masks) if any(masks) else None


def _parent(node: dict[str, Any], index: int, where: str) -> int | None:
    parent = whole(node, "parent", where)
    if parent is not None and not 0 <= parent < index:
        raise DataError(f"{where}.parent: got {parent}; expected an earlier node, 0 to {index - 1}")
    return parent


def _path(parents: list[int | None], leaf: int) -> list[int]:
    path: list[int] = []
    at: int | None = leaf
    while at is not None:
        path.append(at)
        at = parents[at]
    return path[::-1]


def _links(node: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    for link in take(node, "semantic_parents", list, where, default=[]):
        yield typed(link, dict, f"{where}.semantic_parents", "a link object")


def _is_attempt(node: dict[str, Any], where: str) -> bool:
    return any(link.get("type") == "compaction_attempt" for link in _links(node, where))


def _accepted(nodes: list[dict[str, Any]], where: str) -> set[int]:
    """Returns the leaves of compactions from which the agent went on; the others train nothing."""
    links = (link for node in nodes for link in _links(node, where))
    return {
        node
        for link in links
        if link.get("type") == "compaction"
        if type(node := link.get("node")) is int
    }


def _count_unread(nodes: list[dict[str, Any]], where: str, losses: Losses) -> None:
    for key, kind in _UNREAD.items():
        count = sum(1 for node in nodes if node.get(key))
        if count:
            losses.add(kind, where, count)


def _steps(
    nodes: list[dict[str, Any]],
    path: list[int],
    where: str,
    tree: str,
    agent: str,
    masked: bool,
    losses: Losses,
) -> tuple[Step, ...]:
    """Returns the steps of one path, each with the tokens of its node."""
    messages = [take(nodes[i], "message", dict, f"{where}.nodes[{i}]") for i in path]
    plain = steps_of(messages, f"{where}.nodes", losses)
    steps: list[Step] = []
    before: str | None = None
    for index, step in zip(path, plain, strict=True):
        here = f"{where}.nodes[{index}]"
        node = nodes[index]
        ids = ids_of(node.get("token_ids") or [], f"{here}.token_ids")
        if type(step) is not ModelStep:
            steps.append(observed(step, ids) if ids else step)
            continue
        name = f"{tree}/{index}"
        written = take(node, "sampled", bool, here, default=False)
        step = msgspec.structs.replace(
            step,
            node=name,
            parent=before,
            agent=None if agent == "agent" else agent,
            untrainable="copied" if not written else "masked" if masked else None,
        )
        before = name
        steps.append(_with_columns(step, node, ids, here, losses) if ids else step)
    return tuple(steps)


def _with_columns(
    step: ModelStep, node: dict[str, Any], ids: tuple[int, ...], where: str, losses: Losses
) -> ModelStep:
    mask = mask_of(node.get("mask") or [], f"{where}.mask")
    if len(mask) != len(ids):
        raise DataError(f"{where}.mask: got {len(mask)} values; expected one per token, {len(ids)}")
    logprobs = node.get("logprobs") or None
    entropies = node.get("entropies") or None
    step = with_tokens(
        step,
        ids,
        runs_of(mask),
        None if logprobs is None else floats_of(logprobs, f"{where}.logprobs"),
        where,
        losses,
    )
    if entropies is None:
        return step
    values = floats_of(entropies, f"{where}.entropies")
    if len(values) != sum(mask):
        losses.add("entropies_misaligned", where)
        return step
    return msgspec.structs.replace(step, entropies=values)
