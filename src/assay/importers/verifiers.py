"""verifiers `traces.jsonl`: one episode a line, its traces as graphs of messages with tokens.

A graph node holds one message and the tokens that it adds, so a path from a root to a leaf is one
token sequence. Each leaf gives one trajectory; those of one trace share their first nodes, their
reward, `tree` and `session`: together they have one vote. A reward of null was never computed and
is not 0.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import msgspec

from assay.errors import DataError
from assay.importers.base import Importer, Log, Record, keys
from assay.importers.fields import Fields
from assay.importers.messages import chat, unfolded
from assay.importers.tokens import runs_of, with_tokens
from assay.records import End, Ledger, ModelStep, Step, Trajectory

_BUDGET = keys(
    "max_turns max_input_tokens max_output_tokens max_total_tokens compaction_failed agent_timeout"
)
_MOST_STEPS = 1_000_000
"""Steps that the leaves of one trace may have together; a comb-shaped graph unfolds as a square."""
_BESIDE = ("metadata.json", "stream.index.jsonl")
_IS_STREAM = re.compile(r"stream\.jsonl(\.gz|\.zst)?").fullmatch
_IS_CHUNK = re.compile(r"[0-9]{5}\.jsonl(\.zst)?").fullmatch
_STREAMS = ("", "stream", "traces/stream", "file/traces/stream", "monitors/file/traces/stream")
"""Where prime-rl's stream is, from its own folder up to that of the run."""
_STEP = re.compile(r"(step_[0-9]+(?:/(?:train|eval)\b)?)")
"""Of the path of a file of prime-rl, what tells rollouts of one policy from those of another."""
_UNREAD = keys("advantages reference_logprobs trainer_logprobs loss_weights semantic_parents")


@final
class Verifiers(Importer):
    """`traces.jsonl`, a folder of verifiers 0.4 or prime-rl that holds such files at any depth, or
    prime-rl's `monitors/file/traces/stream.jsonl`."""

    name = "verifiers"
    title = "verifiers traces"
    record = "an episode object"
    needs = "traces:array task:object"
    names = r"(traces|stream)\.jsonl"
    called = "traces.jsonl"

    def own(self, folder: Path) -> tuple[Path, ...]:
        """Returns the chunks of prime-rl's stream, since 2026-09 a folder of numbered files."""
        for at in _STREAMS:
            stream = folder / at
            if stream.resolve().name == "stream" and (stream / "../stream.index.jsonl").is_file():
                return tuple(sorted(file for file in stream.iterdir() if _IS_CHUNK(file.name)))
        return ()

    def beside(self, file: Path) -> tuple[Path, ...]:
        found = [file.with_name(name) for name in _BESIDE if file.with_name(name).is_file()]
        return (*found, *_annotations(file), *file.parent.glob("configs/*.json"))

    def parts(self, file: Path) -> tuple[Path, ...]:
        return file, *_annotations(file)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for file in log.files:
            for beside in _annotations(file):
                if not log.groups.elsewhere(f"file {beside}", file):
                    log.losses.add("annotations_not_read", str(beside))
        yield from super().read(log)

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        identity = record.maybe_name("id")
        # prime-rl writes those that it trained on twice, to `all/` and to `effective/`
        if identity and record.groups.elsewhere(f"episode {identity}", record.file):
            record.lose("repeated_episode")
            return
        task = _task(record.within("task", needed=True))
        if not record.need("traces", list):
            record.lose("episode_without_trace")
        for trace in record.each("traces", "a trace object"):
            agent = trace.within("agent")
            name = agent.text("name", "agent")
            member = record.groups.name(_group(record, task, agent), name)
            shared = record.trajectory(
                task,
                (),
                id=trace.need("id", str),
                group=member,
                trial=record.groups.trial(member),
                policy_version=_policy(record),
                **_scored(trace),
            )
            yield from _branches(trace, shared, name, agent.maybe("trainable", bool) is not False)


def _annotations(file: Path) -> list[Path]:
    """Returns what a trainer wrote about the traces of a stream: of one in chunks, of the first."""
    if _IS_CHUNK(file.name):
        if file.name > min(each.name for each in file.parent.iterdir() if _IS_CHUNK(each.name)):
            return []
        traces = Path(os.path.normpath(file.parent / ".."))
        return sorted(traces.glob("annotations/*/*.jsonl*"))
    return sorted(file.parent.glob("annotations/*.jsonl")) if _IS_STREAM(file.name) else []


def _group(record: Record, task: str, agent: Fields) -> str:
    """Returns the group that the episode names; else its task, and where a log has several models,
    training steps, or training beside evaluation, a group for each."""
    if named := record.within("group").text("id"):
        return named
    model = agent.within("config").raw.get("model")
    step = _STEP.search(record.file.parent.as_posix())
    if step and step[1].endswith("/eval"):
        record.lose("of_evaluation:eval")
    variant = f"{model if isinstance(model, str) else ''} {step[1] if step else ''}".strip()
    return record.groups.name(f"task {task}", variant).removeprefix("task ")


def _task(task: Fields) -> str:
    """Returns the task's own key, else its hash, else its kind with its data."""
    data = json.dumps(task.raw.get("data"), sort_keys=True)
    described = f"{task.text('type', 'task')}:{data[:200]}"
    return task.text("key") or task.text("hash") or described


def _policy(episode: Record) -> str | None:
    """Returns the policy versions of the episode, "12" or "12-13"."""
    span = episode.within("run").within("work").within("policy")
    start, end = span.whole("start"), span.whole("end")
    return None if start is None else str(start) if end in (None, start) else f"{start}-{end}"


def _scored(trace: Fields) -> dict[str, Any]:
    """Returns outcome (sum of score times weight, None where a part is null), rewards and end."""
    named = trace.within("rewards").raw
    scores: dict[str, float | None] = {}
    total: float | None = 0.0 if named else None
    for name, value in named.items():
        where = f"{trace.where}.rewards[{name!r}]"
        if value is None:
            trace.losses.add("reward_not_computed", where)
            scores[name] = total = None
            continue
        reward = Fields(value, where, trace.losses, "an object with score and weight, or null")
        score, weight = reward.score("score"), reward.number("weight")
        weight = 1.0 if weight is None else weight
        if weight != 1.0:
            reward.lose("reward_weight")
        scores[name] = score
        total = None if total is None or score is None else total + score * weight
    if not named:
        trace.lose("no_outcome")
    return {"outcome": total, "rewards": scores, "end": _end(trace)}


def _end(trace: Fields) -> End:
    stop = trace.text("stop_condition")
    if stop in _BUDGET:
        return "budget"
    failed = trace.items("errors") and not trace.maybe("ok", bool)
    if failed or stop == "error" or stop.endswith(("_error", "_timeout")):
        return "infra"
    for value in reversed(trace.items("calls")):
        call = Fields(value, f"{trace.where}.calls", trace.losses, "a model call object").raw
        if call.get("error") is None:
            if call.get("finish_reason") == "length":
                return "budget"
            break
    return "answered" if stop or trace.maybe("is_completed", bool) else "unknown"


def _branches(
    trace: Fields, shared: Trajectory, agent: str, trainable: bool
) -> Iterator[Trajectory]:
    """Yields one trajectory for each leaf of the graph, in the order of the leaves."""
    nodes = list(trace.each("nodes", "a node object", needed=True))
    parents = [_parent(node, i) for i, node in enumerate(nodes)]
    leaves = [i for i in range(len(nodes)) if i not in set(parents)]
    if not leaves:
        trace.lose("trace_without_message")
        yield shared
        return
    for key in _UNREAD:
        if count := sum(1 for node in nodes if node.raw.get(key)):
            trace.lose("engine_advantages" if key == "advantages" else key, count)
    # leaves of compactions from which the agent went on; the others train nothing
    accepted = [link.raw.get("node") for node in nodes for link in _links(node, "compaction")]
    alone = len(leaves) == 1
    if not alone:
        trace.lose("branch_as_trajectory", len(leaves) - 1)
    _check_size(parents, leaves, trace.where)
    seen: set[int] = set()
    for number, leaf in enumerate(leaves):
        path = _path(parents, leaf)
        abandoned = leaf not in accepted and any(_links(nodes[leaf], "compaction_attempt"))
        masked = not trainable or abandoned
        yield msgspec.structs.replace(
            shared,
            id=shared.id if alone else f"{shared.id}/{number}",
            tree=None if alone else shared.id,
            session=None if alone else shared.id,
            steps=_steps(nodes, path, trace, shared.id, agent, masked),
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


def _newly_sampled(nodes: list[Fields], path: set[int]) -> int | None:
    """Returns the sampled tokens of nodes that no earlier leaf had; None where there are no ids."""
    masks = [mask for i in path if isinstance(mask := nodes[i].raw.get("mask"), list)]
    return sum(mask.count(True) for mask in masks) if any(masks) else None


def _parent(node: Fields, index: int) -> int | None:
    parent = node.whole("parent")
    if parent is not None and not 0 <= parent < index:
        raise node.wrong("parent", parent, f"an earlier node, 0 to {index - 1}")
    return parent


def _path(parents: list[int | None], leaf: int) -> list[int]:
    path, at = [leaf], leaf
    while (at := parents[at]) is not None:
        path.append(at)
    return path[::-1]


def _links(node: Fields, kind: str) -> Iterator[Fields]:
    """Yields the semantic links of one kind."""
    links = node.each("semantic_parents", "a link object")
    return (link for link in links if link.raw.get("type") == kind)


def _steps(
    nodes: list[Fields], path: list[int], trace: Fields, tree: str, agent: str, masked: bool
) -> tuple[Step, ...]:
    """Returns the steps of one path, each with the tokens of its node."""
    where = f"{trace.where}.nodes"
    told = list(unfolded((nodes[i].need("message", dict) for i in path), where, trace.losses))
    steps: list[Step] = []
    before: str | None = None
    last = -1
    plain = chat((message for _, message in told), where, trace.losses)
    for (place, _), step in zip(told, plain, strict=True):
        index, again, last = path[place], place == last, place
        node = nodes[index]
        # of several results in one message the first has its tokens
        ids = node.ids("token_ids") if node.raw.get("token_ids") and not again else ()
        if type(step) is not ModelStep:
            steps.append(msgspec.structs.replace(step, token_ids=ids) if ids else step)
            continue
        name = f"{tree}/{index}"
        written = node.maybe("sampled", bool)
        step = msgspec.structs.replace(
            step,
            node=name,
            parent=before,
            agent=None if agent == "agent" else agent,
            untrainable="copied" if not written else "masked" if masked else None,
        )
        before = name
        steps.append(_with_columns(step, node, ids) if ids else step)
    return tuple(steps)


def _with_columns(step: ModelStep, node: Fields, ids: tuple[int, ...]) -> ModelStep:
    node = Fields({key: value or None for key, value in node.raw.items()}, node.where, node.losses)
    mask = node.mask("mask", len(ids)) if node.raw.get("mask") else ()
    step = with_tokens(step, ids, runs_of(mask), node.floats("logprobs"), node)
    entropies = node.floats("entropies")
    if entropies is None:
        return step
    if len(entropies) != sum(mask):
        node.lose("entropies_misaligned")
        return step
    return msgspec.structs.replace(step, entropies=entropies)
