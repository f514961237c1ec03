"""OpenPipe ART trajectories: `.art/<project>/models/<model>/trajectories/<split>/<step>.parquet`.

A row a trajectory; a group that none came of is a row without one. Of a rollout that raised no more
is left than that, in its group. A reward that nothing set is 0, so 0 may be a failure or no score.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.errors import DataError
from assay.files.parquet import names
from assay.files.probe import Probe
from assay.files.strict import parse
from assay.files.tables import check_plain, rows
from assay.importers.base import Importer, Log, Rank, Record, ends, keys, prompt_name
from assay.importers.conversations import without_nulls
from assay.importers.fields import Fields, typed
from assay.importers.messages import chat, copied, unfolded
from assay.importers.tokens import with_tokens
from assay.records import End, ModelStep, Step, Trajectory, UserStep

_COLUMNS = frozenset(
    ("format_version", "group_index", "trajectory_index", "group_json", "trajectory_json")
)
_OLD = frozenset(("group_index", "reward", "messages", "metrics", "metadata"))
_KNOWN = keys(
    "messages_and_choices reward metrics metadata tools logs initial_policy_version"
    " final_policy_version group"
)
_ID = re.compile(r"token_id:([0-9]{1,10})")
_ENDS: dict[str, End] = ends(answered="stop", budget="length")


@final
class Art(Importer):
    """One parquet file, a split's folder, or any folder above."""

    name = "art"
    title = "ART trajectories"
    record = "a trajectory row"

    def rank(self, seen: Probe) -> Rank:
        columns = _names(seen.path) if seen.head.startswith(b"PAR1") else frozenset[str]()
        return Rank.SHAPE if columns >= _COLUMNS or columns >= _OLD else Rank.NO

    def parts(self, file: Path) -> tuple[Path, ...]:
        return (file,)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, file in enumerate(log.files):
            known, seen = _names(file), set[int | None]()
            columns = _COLUMNS if known >= _COLUMNS else _OLD
            table = rows(file, to="reading ART trajectories", columns=columns)
            for index, (where, row, _) in enumerate(table):
                record = Record(row, where, log, self, place, index)
                yield from log.whole(_row(record, seen, old=columns is _OLD))


def _row(record: Record, seen: set[int | None], *, old: bool) -> Iterator[Trajectory]:
    """Yields what one row holds, and of a group that was not seen before what it raised."""
    row, number = record.raw, record.whole("group_index")
    record.raw = _old(row, record.where) if old else _new(row, record.where)
    split = record.file.parent
    if split.parent.name == "trajectories" and split.name != "train":
        record.lose(f"of_evaluation:{split.name}")
    group = f"{split.name}/{record.file.stem}/{number}{record.run(2)}"
    if number not in seen:
        seen.add(number)
        yield from _raised(record, group)
    if "messages_and_choices" in record.raw or row.get("reward") is not None:
        yield _trajectory(record, group)


def _names(path: Path) -> frozenset[str]:
    try:
        return frozenset(names(path))
    except DataError:
        return frozenset()


def _new(row: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns the trajectory of a row of version 2, with its group."""
    made, group = (
        typed(_json(row.get(key), f"{where}.{key}"), dict, f"{where}.{key}", "an object")
        for key in ("trajectory_json", "group_json")
    )
    if row.get("trajectory_json") is not None:
        made.setdefault("messages_and_choices", [])
    return {**made, "group": group}


def _old(row: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns the trajectory of a row of version 1, as one of version 2 would have it."""
    made = {"reward": row.get("reward")}
    for key in ("metrics", "metadata"):
        made[key] = _json(row.get(key), f"{where}.{key}")
    messages = row.get("messages")
    if isinstance(messages, list):
        check_plain(messages, f"{where}.messages")
        made["messages_and_choices"] = [_choice(one, where) for one in messages]
    return made


def _choice(message: Any, where: str) -> Any:
    """Returns a message of version 1; one that was sampled within a choice."""
    if not isinstance(message, dict):
        return message
    kept = {key: value for key, value in message.items() if key != "trainable"}
    if isinstance(kept.get("tool_calls"), str):
        kept["tool_calls"] = _json(kept["tool_calls"], f"{where}.messages.tool_calls")
    return {"finish_reason": None, "message": kept} if message.get("trainable") is True else kept


def _json(text: Any, where: str) -> Any:
    if text is None:
        return {}
    return parse(typed(text, str, where, "JSON text").encode("utf-8", "surrogatepass"), where)


def _raised(record: Record, group: str) -> Iterator[Trajectory]:
    """Yields what is left of the rollouts of a group that raised."""
    inside = record.within("group")
    for index, raised in enumerate(inside.each("exceptions", "an exception object")):
        record.lose("rollout_raised")
        at = record.origin(exception=raised.text("type")[:200])
        yield record.trajectory(group, (), id=f"{group}/raised-{index}", end="infra", origin=at)


def _trajectory(record: Record, group: str) -> Trajectory:
    record.lose_unknown(_KNOWN)
    outcome = record.score("reward") if "reward" in record.raw else 0.0  # its default is left out
    if outcome == 0.0:
        record.lose("reward_zero_or_unset")
    steps, end = _steps(record)
    version = record.whole("final_policy_version")
    first = record.whole("initial_policy_version")
    spread = version if first in (None, version) else f"{first}-{version}"
    prompt = [step.text for step in steps if type(step) is UserStep][:1]
    return record.trajectory(
        prompt_name(prompt[0]) if prompt else group,
        steps,
        trial=record.groups.trial(group),
        id=f"{group}/{record.index}",
        group=group,
        outcome=record.scored(outcome),
        end=end,
        policy_version=None if version is None else str(spread),
    )


def _steps(record: Record) -> tuple[tuple[Step, ...], End]:
    """Returns the steps, those that were sampled with their tokens, and how it ended."""
    given = list(record.each("messages_and_choices", "a message or a choice"))
    if not given:
        record.lose("no_text")
    where = f"{record.where}.messages_and_choices"
    plain = [one.raw.get("message", one.raw) for one in given]
    told = list(unfolded(without_nulls(plain, where), where, record.losses))
    steps = list(chat((message for _, message in told), where, record.losses))
    end: End = "unknown"
    for index, (place, _) in enumerate(told):
        step, one = steps[index], given[place]
        if "message" not in one.raw:
            steps[index] = copied(step)
        elif type(step) is ModelStep:
            steps[index] = _sampled(step, one)
            end = _ENDS.get(one.text("finish_reason"), "unknown")
    return tuple(steps), end


def _sampled(step: ModelStep, choice: Fields) -> ModelStep:
    """Returns a step with its tokens, where the choice's log-probabilities name them by id."""
    tokens = list(choice.within("logprobs").each("content", "a token object"))
    found = [_ID.fullmatch(token.text("token")) for token in tokens]
    if not tokens or not all(found):
        choice.lose("no_tokens")
        return step
    raw = {"ids": [int(one[1]) for one in found if one is not None]}
    ids = Fields(raw, choice.where, choice.losses).ids("ids")
    return with_tokens(step, ids, None, tuple(token.number("logprob") for token in tokens), choice)
