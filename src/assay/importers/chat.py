"""The plain chat format: OpenAI messages with a task, a trial and a reward, one object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import experts_of, number, steps_of, take, typed
from assay.importers.reading import documents
from assay.records import Claim, End, Origin, Trajectory

_KEYS = frozenset("id task trial reward messages claimed expert tree end".split())
ENDS: dict[str, End] = {
    "answered": "answered",
    "done": "answered",
    "completed": "answered",
    "stop": "answered",
    "budget": "budget",
    "max_steps": "budget",
    "max_turns": "budget",
    "max_tokens": "budget",
    "length": "budget",
    "truncated": "budget",
    "infra": "infra",
    "error": "infra",
    "timeout": "infra",
    "crash": "infra",
    "unknown": "unknown",
}
"""What logs call the end of a trajectory. A *timeout* here is the harness's; a policy that runs
into its own limit is `budget`."""


@final
class Chat(Importer):
    """`{"task", "trial", "reward", "messages", "id"?, "claimed"?, "expert"?, "tree"?, "end"?}`."""

    name: ClassVar[str] = "chat"
    title: ClassVar[str] = "OpenAI chat messages"

    def recognises(self, probe: Probe) -> bool:
        return probe.has("task", "messages") and isinstance(probe.first["messages"], list)

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        for index, (where, record) in enumerate(documents(path)):
            record = typed(record, dict, where, "an object with task, trial, reward and messages")
            yield _trajectory(record, where, path, index, losses)


def _trajectory(
    record: dict[str, Any], where: str, path: Path, index: int, losses: Losses
) -> Trajectory:
    for key in record.keys() - _KEYS:
        losses.add(f"key:{key}"[:80], where)
    task = str(take(record, "task", (str, int), where))
    trial = take(record, "trial", int, where, default=None)
    claimed = take(record, "claimed", bool, where, default=None)
    claim: Claim | None = None if claimed is None else "claimed" if claimed else "none"
    expert = take(record, "expert", list, where, default=None)
    identity = str(take(record, "id", (str, int), where, default=""))
    return Trajectory(
        id=identity or f"{task}/{index if trial is None else trial}",
        task=task,
        group=task,
        tree=take(record, "tree", str, where, default=None),
        trial=trial,
        steps=steps_of(take(record, "messages", list, where), f"{where}.messages", losses),
        outcome=number(record, "reward", where),
        claim=claim,
        expert=None if expert is None else experts_of(expert, f"{where}.expert"),
        end=end_of(take(record, "end", str, where, default="unknown"), f"{where}.end"),
        origin=Origin(format="chat", path=path.name, index=index),
    )


def end_of(word: str, where: str) -> End:
    """Returns the end that a log's word means."""
    if word not in ENDS:
        raise DataError(f"{where}: got {word!r}; expected one of {', '.join(ENDS)}")
    return ENDS[word]
