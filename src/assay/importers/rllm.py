"""rLLM episodes: `Episode.to_dict()`, one a line or in a list, and the files of `EpisodeLogger`.

An episode has a trajectory for each agent, a trajectory a step for each model call, and every step
re-sends its whole prompt. Steps are joined only where the prompt begins with everything before it,
exactly; where it does not, the step is marked and drifts (see `tokens.join`).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import msgspec

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.folders import files_of
from assay.importers.messages import number, origin, steps_of, take, typed
from assay.importers.reading import documents
from assay.importers.tokens import Groups, Turn, floats_of, ids_of, join, whole
from assay.records import End, Ledger, Mark, ModelStep, Origin, Step, Trajectory

_ENDS: dict[str, End] = {
    "env_done": "answered",
    "max_turns_exceeded": "budget",
    "max_prompt_length_exceeded": "budget",
    "max_response_length_exceeded": "budget",
    "timeout": "infra",
    "error": "infra",
    "unknown": "unknown",
}
"""The workflow's timeout is the engine's wall-clock: infrastructure, not the policy's budget."""
_UNREAD = ("mc_return", "advantage", "routing_matrices", "model_output")


@final
class Rllm(Importer):
    """An episode file, JSON Lines of episodes, or the folder of an `EpisodeLogger`."""

    name: ClassVar[str] = "rllm"
    title: ClassVar[str] = "rLLM episodes"

    def recognises(self, probe: Probe) -> bool:
        if probe.names:
            return any(_is_file(name.rsplit("/", 1)[-1]) for name in probe.names)
        return probe.has("trajectories", "is_correct", "termination_reason")

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        groups = Groups()
        for file in files_of(path, _is_file, "episode_hash*.json", losses):
            for index, (where, episode) in enumerate(documents(file)):
                episode = typed(episode, dict, where, "an episode object")
                at = origin("rllm", file, index)
                yield from _of_episode(episode, where, at, groups, losses)


def _is_file(name: str) -> bool:
    return name.startswith("episode_hash") and name.endswith(".json")


def _of_episode(
    episode: dict[str, Any], where: str, at: Origin, groups: Groups, losses: Losses
) -> Iterator[Trajectory]:
    identity = str(
        take(episode, "id", (str, int), where, default="")
        or take(episode, "episode_id", (str, int), where)
    )
    task = (
        identity.rsplit(":", 1)[0]
        if ":" in identity
        else (take(episode, "task_hash", str, where, default="") or identity)
    )
    reason = take(episode, "termination_reason", str, where, default="unknown")
    if reason not in _ENDS:
        losses.add(f"termination:{reason}"[:80], where)
    correct = take(episode, "is_correct", bool, where, default=None)
    extra = {} if correct is None else {"is_correct": json.dumps(correct)}
    trajectories = take(episode, "trajectories", list, where)
    if not trajectories:
        losses.add("episode_without_trajectory", where)
    for index, inner in enumerate(trajectories):
        here = f"{where}.trajectories[{index}]"
        inner = typed(inner, dict, here, "a trajectory object")
        name = take(inner, "name", str, here, default="agent")
        group = groups.name(task, name)
        steps, marks, version = _steps(inner, here, losses)
        outcome = number(inner, "reward", here)
        if outcome is None:
            losses.add("no_outcome", here)
        yield Trajectory(
            id=str(take(inner, "uid", (str, int), here, default="")) or f"{identity}/{index}",
            task=task,
            group=group,
            trial=groups.trial(group),
            steps=steps,
            outcome=outcome,
            rewards=_signals(inner, here),
            end=_ENDS.get(reason, "unknown"),
            policy_version=version,
            marks=marks,
            ledger=Ledger(tokens=_generated(steps)),
            origin=msgspec.structs.replace(at, extra=extra),
        )


def _signals(inner: dict[str, Any], where: str) -> dict[str, float | None]:
    signals = take(inner, "signals", dict, where, default={})
    return {name: number(signals, name, f"{where}.signals") for name in signals}


def _generated(steps: Sequence[Step]) -> int | None:
    """Returns how many tokens the policy wrote; None where the log has no ids."""
    written = [step for step in steps if type(step) is ModelStep and step.untrainable != "copied"]
    if not written or any(step.token_ids is None for step in written):
        return None
    return sum(
        len(step.token_ids or ())
        if step.sampled is None
        else sum(end - start for start, end in step.sampled)
        for step in written
    )


def _steps(
    inner: dict[str, Any], where: str, losses: Losses
) -> tuple[tuple[Step, ...], tuple[Mark, ...], str | None]:
    """Returns the steps of one trajectory, marks where it broke, and the policy's version."""
    messages: list[Any] = []
    ends: list[int] = []
    marks: list[Mark] = []
    before: list[Any] = []
    raws = [
        typed(raw, dict, f"{where}.steps[{i}]", "a step object")
        for i, raw in enumerate(take(inner, "steps", list, where, default=[]))
    ]
    for index, raw in enumerate(raws):
        here = f"{where}.steps[{index}]"
        chat = _chat(raw, here)
        grown = len(chat) > len(before) and chat[: len(before)] == before
        messages += chat[len(before) :] if grown else chat[_last_turn(chat) :]
        if not grown:
            losses.add("history_rewritten", here)
            marks.append(Mark(kind="prefix_break", step=len(messages) - 1, source="importer"))
        before = chat if raw.get("chat_completions") else []
        ends.append(len(messages) - 1)
    plain = list(steps_of(messages, f"{where}.messages", losses))
    versions: set[int] = set()
    turns: list[Turn] = []
    for index, (raw, at) in enumerate(zip(raws, ends, strict=True)):
        here = f"{where}.steps[{index}]"
        plain[at] = _own(plain[at], raw, here)
        turns += _turn(raw, at, here, losses)
        version = whole(raw, "weight_version", here)
        versions |= set() if version is None else {version}
    written = set(ends)
    steps = [_copied(s) if i not in written else s for i, s in enumerate(plain)]
    joined, broken = join(steps, turns, losses)
    known = {mark.step for mark in marks}
    marks += [mark for mark in broken if mark.step not in known]
    spread = "-".join(str(v) for v in sorted({min(versions), max(versions)})) if versions else None
    return joined, tuple(marks), spread


def _copied(step: Step) -> Step:
    """Returns a prompt's message as copied: a model's role, but no call here wrote it."""
    if type(step) is not ModelStep:
        return step
    return msgspec.structs.replace(step, untrainable="copied")


def _own(step: Step, raw: dict[str, Any], where: str) -> Step:
    if type(step) is not ModelStep:
        raise DataError(f"{where}.chat_completions: ends without the model's message; expected one")
    return msgspec.structs.replace(step, reward=number(raw, "reward", where))


def _chat(raw: dict[str, Any], where: str) -> list[Any]:
    """Returns the messages of a step, up to and with the one that the model wrote."""
    chat = take(raw, "chat_completions", list, where, default=[])
    end = len(chat)
    while end and isinstance(chat[end - 1], dict) and chat[end - 1].get("role") != "assistant":
        end -= 1
    if end:
        return chat[:end]
    seen = raw.get("observation")
    text = seen if isinstance(seen, str) else json.dumps(seen, ensure_ascii=False)
    told = [] if seen is None else [{"role": "user", "content": text}]
    said = take(raw, "model_response", str, where, default="")
    return [*told, {"role": "assistant", "content": said}]


def _last_turn(chat: list[Any]) -> int:
    """Returns where the last turn begins: after the model's message before the last one."""
    for index in range(len(chat) - 2, -1, -1):
        if isinstance(chat[index], dict) and chat[index].get("role") == "assistant":
            return index + 1
    return 0


def _turn(raw: dict[str, Any], at: int, where: str, losses: Losses) -> list[Turn]:
    """Returns the tokens of a step's call, if the log has them."""
    for key in _UNREAD:
        if raw.get(key):
            losses.add("engine_advantages" if key == "advantage" else key, where)
    response = take(raw, "response_ids", list, where, default=[])
    if not response:
        return []
    prompt = take(raw, "prompt_ids", list, where, default=[])
    texts_only = all(type(one) is int for one in prompt)
    if not texts_only:
        losses.add("prompt_not_tokens", where)
    logprobs = take(raw, "logprobs", list, where, default=[])
    return [
        Turn(
            step=at,
            prompt=ids_of(prompt, f"{where}.prompt_ids") if texts_only and prompt else None,
            response=ids_of(response, f"{where}.response_ids"),
            logprobs=floats_of(logprobs, f"{where}.logprobs") if logprobs else None,
            where=where,
        )
    ]
