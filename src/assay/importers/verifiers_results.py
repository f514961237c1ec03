"""verifiers before 0.4: `results.jsonl`, one rollout a line, beside `metadata.json`.

A reward that nobody computed is written there as 0, so a rollout that ended in an error, by its
`error` or by its `stop_condition`, is unscored and ended by infrastructure. `prompt` is copied,
`completion` is what was sampled and answered.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.files.strict import parse
from assay.importers.base import Importer, Log, Record, ends, graded, keys
from assay.importers.fields import Fields
from assay.importers.messages import partly_copied
from assay.importers.tokens import Turn, join
from assay.records import End, Ledger, Mark, ModelStep, Step, Trajectory

_ENDS: dict[str, End] = ends(
    answered="",
    budget="prompt_too_long max_turns_reached max_total_completion_tokens_reached timeout_reached",
)
"""What the stop conditions of its own environments mean; the name of any other is an answer."""
_KEYS = keys(
    "example_id prompt completion answer info reward error error_chain long_error_chain timing"
    " is_completed is_truncated stop_condition metrics tool_defs token_usage task"
)
_READ = (*sorted(_KEYS), "trajectory")
_METADATA = "metadata.json"


@final
class VerifiersResults(Importer):
    """`results.jsonl`, the run folder that holds it, or any folder above."""

    name = "verifiers_results"
    title = "results.jsonl of verifiers before 0.4"
    record = "a rollout object"
    needs = "example_id prompt completion reward"

    def beside(self, file: Path) -> tuple[Path, ...]:
        return (file.with_name(_METADATA),)

    def parts(self, file: Path) -> tuple[Path, ...]:
        return file, *self.beside(file)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, file in enumerate(log.files):
            value = log.document(path) if (path := file.with_name(_METADATA)).is_file() else None
            about = Fields({} if value is None else value, str(path), log.losses, "an object")
            if not about.raw:
                log.losses.add("metadata_missing", str(path))
            env, model = about.text("env_id"), about.maybe("model", str)
            for index, (where, value) in enumerate(log.documents(file)):
                record = Record(value, where, log, self, place, index)
                yield from log.whole(_trajectories(record, env, model))


def _trajectories(record: Record, env: str, model: str | None) -> Iterator[Trajectory]:
    example = record.name("example_id")
    task = f"{env}/{example}" if env else example
    group = record.groups.name(task, model or "")
    _lose(record)
    steps, marks = _steps(record)
    end, reward = _end(record, steps), record.score("reward")
    if _failed(record):
        if reward is not None:
            record.lose("reward_of_failure")
        reward = None
    usage = record.within("token_usage").number("output_tokens")
    answer = record.raw.get("answer")
    yield record.trajectory(
        task,
        steps,
        trial=(trial := record.groups.trial(group)),
        id=f"{group}/{trial}",
        group=group,
        outcome=record.scored(reward),
        rewards=record.scores("metrics"),
        grades=graded(reward, "verifiers rubric"),
        reference=answer if isinstance(answer, str) and answer else None,
        end=end,
        policy_version=model,
        marks=marks,
        ledger=Ledger(tokens=None if usage is None else int(usage)),
    )


def _lose(record: Record) -> None:
    """Counts what is not carried over; the metrics are there twice."""
    record.lose_unknown({*_READ, *record.within("metrics").raw})
    if record.raw.get("info"):
        record.lose("info")


def _failed(record: Record) -> bool:
    """Does the row say that its rollout ended in an error?"""
    return bool(record.raw.get("error")) or record.text("stop_condition") == "has_error"


def _end(record: Record, steps: tuple[Step, ...]) -> End:
    if _failed(record):
        return "infra"
    stop = record.text("stop_condition")
    written = [step for step in steps if type(step) is ModelStep and _is_own(step)]
    if stop == "max_turns_reached" and len(written) == 1 and not written[0].calls:
        stop = "one_turn"  # an environment of one turn always ends so
    if record.maybe("is_truncated", bool):
        return "budget"
    if not stop:
        return "answered" if record.maybe("is_completed", bool) else "unknown"
    return _ENDS.get(stop, "answered")


def _steps(record: Record) -> tuple[tuple[Step, ...], tuple[Mark, ...]]:
    """Returns the steps, with tokens where the state's trajectory was saved, and its breaks."""
    asked = list(_messages(record, "prompt", "user"))
    said = list(_messages(record, "completion", "assistant"))
    steps = partly_copied([*asked, *said], range(len(asked)), record)
    turns = list(record.each("trajectory", "a step object"))
    places = [i for i, step in enumerate(steps) if _is_own(step)]
    if len(turns) != len(places):
        if turns:
            record.lose("turns_not_aligned")
        return steps, ()
    known = [turn for at, raw in zip(places, turns, strict=True) for turn in _turn(raw, at)]
    return join(steps, known)


def _is_own(step: Step) -> bool:
    return type(step) is ModelStep and step.untrainable != "copied"


def _turn(raw: Fields, at: int) -> list[Turn]:
    """Returns the tokens of a turn, if they were saved."""
    if raw.raw.get("advantage") is not None:
        raw.lose("engine_advantages")
    if raw.raw.get("tokens") is None:
        return []
    tokens = raw.within("tokens")
    prompt, response = tokens.ids("prompt_ids"), tokens.ids("completion_ids")
    return [Turn(at, prompt, response, tokens.floats("completion_logprobs"), tokens)]


def _messages(record: Record, key: str, role: str) -> Iterator[dict[str, Any]]:
    """Yields messages in the common form: one of `role` for a text, calls taken out of theirs."""
    if isinstance(text := record.raw.get(key), str):
        yield {"role": role, "content": text}
        return
    for message in record.each(key, "a message object"):
        one = dict(message.raw)
        if one.get("role") == "text":
            one["role"] = role
        if isinstance(calls := one.get("tool_calls"), list):
            one["tool_calls"] = [_call(call, message.where) for call in calls]
        yield one


def _call(call: Any, where: str) -> Any:
    """Returns a call, which is saved as JSON text."""
    return parse(call.encode(), f"{where}.tool_calls") if isinstance(call, str) else call
