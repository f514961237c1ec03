"""rLLM episodes: `Episode.to_dict()`, one a line or in a list, and the files of `EpisodeLogger`.

An episode has a trajectory for each agent, a trajectory a step for each model call, and every step
re-sends its whole prompt. Steps are joined only where the prompt begins with everything before it,
exactly; where it does not, the step is marked and drifts (see `tokens.join`).
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, final

import msgspec

from assay.errors import DataError
from assay.importers.base import Importer, Record, ends
from assay.importers.fields import Fields
from assay.importers.messages import as_text, chat, copied, unfolded
from assay.importers.tokens import Turn, join
from assay.records import End, Ledger, Mark, ModelStep, Step, Trajectory

_ENDS: dict[str, End] = ends(
    answered="env_done",
    budget="max_turns_exceeded max_prompt_length_exceeded max_response_length_exceeded",
    infra="timeout error",
    unknown="unknown",
)
"""The workflow's timeout is the engine's wall-clock: infrastructure, not the policy's budget."""
_UNREAD = ("mc_return", "advantage", "routing_matrices", "model_output")


@final
class Rllm(Importer):
    """An episode file, JSON Lines of episodes, or the folder of an `EpisodeLogger`."""

    name = "rllm"
    title = "rLLM episodes"
    record = "an episode object"
    needs = "trajectories is_correct termination_reason"
    names = r"episode_hash.*\.json"
    called = "episode_hash*.json"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        identity = record.maybe_name("id") or record.name("episode_id")
        if ":" in identity:
            task = identity.rsplit(":", 1)[0]
        else:
            task = record.text("task_hash") or identity
        reason = record.text("termination_reason", "unknown")
        if reason not in _ENDS:
            record.lose(f"termination:{reason}"[:80])
        correct = record.maybe("is_correct", bool)
        at = record.origin(is_correct=None if correct is None else json.dumps(correct))
        if not record.need("trajectories", list):
            record.lose("episode_without_trajectory")
        for index, inner in enumerate(record.each("trajectories", "a trajectory object")):
            agent = inner.text("name", "agent")
            group = record.groups.name(f"{task}{record.run(1)}", agent)
            steps, marks, version = _steps(inner)
            yield record.trajectory(
                task,
                steps,
                trial=record.groups.trial(group),
                id=inner.maybe_name("uid") or f"{identity}/{index}{record.run(1)}",
                group=group,
                outcome=inner.scored(inner.score("reward")),
                rewards=inner.scores("signals"),
                end=_ENDS.get(reason, "unknown"),
                policy_version=version,
                marks=marks,
                ledger=Ledger(tokens=_generated(steps)),
                origin=at,
            )


def _generated(steps: Sequence[Step]) -> int | None:
    """Returns how many tokens the policy wrote; None where the log has no ids."""
    written = [step for step in steps if type(step) is ModelStep and step.untrainable != "copied"]
    if not written or any(step.token_ids is None for step in written):
        return None
    every = ((0, len(step.token_ids or ())) for step in written if step.sampled is None)
    spans = (span for step in written for span in step.sampled or ())
    return sum(end - start for start, end in (*every, *spans))


def _steps(inner: Fields) -> tuple[tuple[Step, ...], tuple[Mark, ...], str | None]:
    """Returns the steps of one trajectory, marks where it broke, and the policy's version."""
    messages: list[Any] = []
    ends_at: dict[int, Fields] = {}
    marks: list[Mark] = []
    before: list[Any] = []
    for raw in list(inner.each("steps", "a step object")):
        told = _chat(raw)
        grown = len(told) > len(before) and told[: len(before)] == before
        messages += told[len(before) if grown else _last_turn(told) :]
        if not grown:
            raw.lose("history_rewritten")
            marks.append(Mark(kind="prefix_break", step=len(messages) - 1, source="importer"))
        before = told if raw.raw.get("chat_completions") else []
        ends_at[len(messages) - 1] = raw
    steps = list(chat(messages, f"{inner.where}.messages", inner.losses))
    turns: list[Turn] = []
    versions: set[int] = set()
    for at, step in enumerate(steps):
        if (raw := ends_at.get(at)) is None:
            steps[at] = copied(step)
            continue
        steps[at] = _own(step, raw)
        turns += _turn(raw, at)
        version = raw.whole("weight_version")
        versions |= set() if version is None else {version}
    joined, broken = join(steps, turns)
    known = {mark.step for mark in marks}
    marks += [mark for mark in broken if mark.step not in known]
    spread = "-".join(str(v) for v in sorted({min(versions), max(versions)})) if versions else None
    return joined, tuple(marks), spread


def _own(step: Step, raw: Fields) -> Step:
    if type(step) is not ModelStep:
        raise DataError(
            f"{raw.where}.chat_completions: ends without the model's message; expected one"
        )
    return msgspec.structs.replace(step, reward=raw.score("reward"))


def _chat(raw: Fields) -> list[Any]:
    """Returns the messages of a step, up to and with the one that the model wrote."""
    where, given = f"{raw.where}.chat_completions", raw.items("chat_completions")
    told = [message for _, message in unfolded(given, where, raw.losses)]
    end = len(told)
    while end and told[end - 1].get("role") != "assistant":
        end -= 1
    if end:
        return told[:end]
    seen = as_text(raw.raw.get("observation"))
    asked = [] if seen is None else [{"role": "user", "content": seen}]
    return [*asked, {"role": "assistant", "content": raw.text("model_response")}]


def _last_turn(told: list[Any]) -> int:
    """Returns where the last turn begins: after the model's message before the last one."""
    for index in range(len(told) - 2, -1, -1):
        if isinstance(told[index], dict) and told[index].get("role") == "assistant":
            return index + 1
    return 0


def _turn(raw: Fields, at: int) -> list[Turn]:
    """Returns the tokens of a step's call, if the log has them."""
    for key in _UNREAD:
        if raw.raw.get(key):
            raw.lose("engine_advantages" if key == "advantage" else key)
    if not raw.items("response_ids"):
        return []
    prompt = raw.items("prompt_ids")
    texts_only = all(type(one) is int for one in prompt)
    if not texts_only:
        raw.lose("prompt_not_tokens")
    return [
        Turn(
            step=at,
            prompt=raw.ids("prompt_ids") if texts_only and prompt else None,
            response=raw.ids("response_ids"),
            logprobs=raw.floats("logprobs") if raw.items("logprobs") else None,
            at=raw,
        )
    ]
