"""The plain chat format: OpenAI messages with a task, a trial and a reward, one object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import count_keys, experts_of, number, origin, steps_of, take, typed
from assay.importers.reading import documents
from assay.importers.recognise import log_files
from assay.records import Claim, End, Trajectory

_KEYS = frozenset(["id", "task", "trial", "reward", "messages", "claimed", "expert", "tree", "end"])
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
        seen = probe.log
        return (
            seen.has("task", "messages")
            and isinstance(seen.first["messages"], list)
            and "trajectory_format" not in seen.first
        )

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        for file in log_files(path, self.recognises, losses):
            for index, (where, record) in enumerate(documents(file)):
                record = typed(record, dict, where, "an object with task, trial, reward, messages")
                yield _trajectory(record, where, file, index, losses)


def _trajectory(
    record: dict[str, Any], where: str, path: Path, index: int, losses: Losses
) -> Trajectory:
    count_keys(record, _KEYS, where, losses)
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
        origin=origin("chat", path, index),
    )


def end_of(word: str, where: str) -> End:
    """Returns the end that a log's word means."""
    if word not in ENDS:
        raise DataError(f"{where}: got {word!r}; expected one of {', '.join(ENDS)}")
    return ENDS[word]
