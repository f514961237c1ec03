"""The plain chat format: OpenAI messages with a task, a trial and a reward, one object a line."""

from collections.abc import Iterator
from typing import final

from assay.importers.base import Importer, Record, ends, keys
from assay.importers.messages import MESSAGE, experts_in, steps_of
from assay.records import Claim, End, Trajectory

_KEYS = keys("id task trial reward messages claimed expert tree end")
ENDS: dict[str, End] = ends(
    answered="answered done completed stop",
    budget="budget max_steps max_turns max_tokens length truncated",
    infra="infra error timeout crash",
    unknown="unknown",
)
"""What logs call the end of a trajectory. A *timeout* here is the harness's; a policy that runs
into its own limit is `budget`."""


@final
class Chat(Importer):
    """`{"task", "trial", "reward", "messages", "id"?, "claimed"?, "expert"?, "tree"?, "end"?}`."""

    name = "chat"
    title = "OpenAI chat messages"
    record = "an object with task, trial, reward, messages"
    needs = "task messages:array"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        task, trial, claimed = record.name("task"), record.maybe("trial", int), _claim(record)
        named = isinstance(record.raw.get("reward"), dict)  # parts, of which none is the outcome
        yield record.trajectory(
            task,
            steps_of(record.each("messages", MESSAGE, needed=True)),
            trial=trial,
            id=record.maybe_name("id"),
            tree=record.maybe("tree", str),
            outcome=None if named else record.score("reward"),
            rewards=record.scores("reward") if named else {},
            claim=claimed,
            expert=experts_in(record, "expert"),
            end=_end(record),
        )


def _claim(record: Record) -> Claim | None:
    claimed = record.maybe("claimed", bool)
    return None if claimed is None else "claimed" if claimed else "none"


def _end(record: Record) -> End:
    word = record.text("end", "unknown")
    if word not in ENDS:
        raise record.wrong("end", repr(word), f"one of {', '.join(ENDS)}")
    return ENDS[word]
