"""A replay from its plan to its result, in a folder that a kill leaves resumable.

    plan.json         schema "assay.replay-plan/1": what was asked of which records (their
                      SHA-256), and the decisions
    decisions.jsonl   one line a decision, schema "assay.replay/1", in the plan's order
    truth.json        schema "assay.truth/1": what credit is worth, once all are played
    truth.md          the same as a page

The plan is written before the first line; every value has chance of its own; lines are only ever
added, in order.
So what was killed and begun again ends with the bytes of what was not.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, final

from assay.errors import DataError, UsageError
from assay.files.atomic import about, publish
from assay.files.folders import locked
from assay.files.outputs import told
from assay.records import ModelStep, Replayed, Trajectory, encode, replayed, replayed_line
from assay.replay.advantage import LEVEL
from assay.replay.claimed import batch_of, claimed, places
from assay.replay.judge import judged
from assay.replay.plan import Chosen, chains, choose, follows, next_point
from assay.replay.play import Play, in_order, jobs
from assay.replay.words import compared, headline, page

PLAN: Final = "assay.replay-plan/1"
SCHEMA: Final = "assay.truth/1"


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """What is replayed."""

    decisions: int
    samples: int
    seed: int
    tasks: tuple[str, ...] = ()
    pass_at: float = 1.0
    about: Mapping[str, Any] | None = None
    """Environment and policy, as plain values."""


@final
@dataclass(frozen=True, slots=True)
class Budget:
    """What is still to be spent."""

    decisions: int
    continuations: int
    tokens: int
    """Expected: what the recorded trajectories wrote from there on."""


@final
class Replay:
    """A replay of some decisions of a log."""

    def __init__(self, records: Sequence[Trajectory], out: Path, asked: Asked) -> None:
        """Plans it, or takes up the plan that is in the folder already; nothing is written yet.

        Raises:
            UsageError: the folder was begun with something else, or holds something else.
            DataError: nothing of the log can be replayed, or it is not what it was when the plan
                was made.
        """
        self.out, self.asked, self.records = out, asked, records
        self._by_id = {record.id: record for record in records}
        self._digest = _digest(records)
        self.chosen = self._planned()
        places(self._batch, [(each.trajectory, each.step) for each in self.chosen])

    @property
    def path(self) -> Path:
        """The file of rows."""
        return self.out / "decisions.jsonl"

    def _stored(self) -> list[Chosen] | None:
        """Returns the plan that is in the folder; None: there is none.

        Raises:
            UsageError: it is of something else.
            DataError: it is of other records.
        """
        at, asked = self.out / "plan.json", json.loads(json.dumps(asdict(self.asked)))
        if not at.exists():
            return None
        plan = json.loads(at.read_bytes())
        if plan["asked"] != asked:
            changed = [key for key in asked if plan["asked"].get(key) != asked[key]]
            raise UsageError(
                f"{self.out}: was begun with {_told(plan['asked'], changed)}; got "
                f"{_told(asked, changed)}; give the same, or another folder with -o"
            )
        if plan.get("records") != self._digest:
            raise DataError(
                f"{self.out}: was begun with other records; give the log as it was, or another "
                "folder with -o"
            )
        return [Chosen(**each) for each in plan["chosen"]]

    def _planned(self) -> list[Chosen]:
        chosen = self._stored()
        if chosen is None and self.path.exists():
            raise UsageError(f"{self.out}: holds {self.path.name} and no plan; choose another -o")
        self._batch = batch_of(self.records, pass_at=self.asked.pass_at)
        if chosen is None:
            chosen = choose(
                self.records,
                self.asked.decisions,
                seed=self.asked.seed,
                pass_at=self.asked.pass_at,
                tasks=self.asked.tasks,
            )
        if not chosen:
            raise DataError(
                "no decision to replay; expected scored trajectories with model steps"
                + (f" of {', '.join(self.asked.tasks)}" if self.asked.tasks else "")
            )
        return chosen

    def _begin(self) -> None:
        """Writes the plan, unless it is there.

        Raises:
            UsageError: another one was written since this was made.
        """
        stored = self._stored()
        if stored is not None:
            if stored != self.chosen:
                raise UsageError(f"{self.out}: another replay was begun here; choose another -o")
            return
        asked = json.loads(json.dumps(asdict(self.asked)))
        plan = {"schema": PLAN, "asked": asked, "records": self._digest, "level": LEVEL}
        plan["chosen"] = [*map(asdict, self.chosen)]
        publish(self.out / "plan.json", json.dumps(plan, indent=1).encode() + b"\n")

    def check(self) -> None:
        """Raises DataError, before anything is spent, where the folder cannot be written; makes
        nothing."""
        made = [folder for folder in (self.out, *self.out.parents) if not folder.exists()]
        try:
            with about(f"{self.out}: cannot be written"):
                self.out.mkdir(parents=True, exist_ok=True)
                with TemporaryFile(dir=self.out):
                    pass
        finally:
            for folder in made:
                if folder.is_dir():
                    folder.rmdir()

    def done(self) -> list[Replayed]:
        """Returns the rows that are there.

        Raises:
            DataError: they are not the plan's.
        """
        rows = list(replayed(self.path)) if self.path.exists() else []
        for row, each in zip(rows, self.chosen, strict=False):
            if (row.trajectory, row.step) != (each.trajectory, each.step):
                raise DataError(f"{self.path}: holds {row.trajectory} step {row.step}; expected "
                                f"{each.trajectory} step {each.step}")  # fmt: skip
        return rows

    def budget(self) -> Budget:
        """Returns what is still to be spent."""
        first = len(self.done())
        points = tokens = 0
        for at, each in enumerate(self.chosen[first:], first):
            record = self._by_id[each.trajectory]
            later = next_point(record, each.step)
            known = at > 0 and follows(each, self.chosen[at - 1], self._by_id)
            for point in (None if known else each.step, later):
                points += point is not None
                tokens += 0 if point is None else _wrote(record, point)
        samples = self.asked.samples
        return Budget(len(self.chosen) - first, points * samples, tokens * samples)

    def pilot(self, play: Play, clock: Callable[[], float]) -> float:
        """Returns seconds per expected token, from one point whose continuations are not kept.

        What a policy does once, when it is first used, is done then: forks begin warm.
        """
        each = self.chosen[len(self.done()) :][0]
        record = self._by_id[each.trajectory]
        began = clock()
        made = play(record, each.step)
        tokens = sum(one.ledger.tokens or 0 for one in made)
        return (clock() - began) / max(tokens, 1)

    def play(
        self,
        play: Play,
        *,
        processes: int = 1,
        watch: Callable[[Replayed], None] | None = None,
    ) -> None:
        """Plays what is not played yet; each line is there as soon as those before it are.

        Raises:
            DataError: an environment raised, or did not repeat itself; or the disk is full.
            UsageError: another process plays here.
        """
        import_module("scipy.stats")  # of which intervals are, here: else every fork imports it
        with self._opened() as (rows, add):
            todo = self.chosen[len(rows) :]
            last = self.chosen[len(rows) - 1] if rows else None
            on = bool(last and todo and follows(todo[0], last, self._by_id))
            before = rows[-1].after if on else None
            work = jobs([*chains(todo, self._by_id)], self._by_id, play, before)
            for found in in_order(work, processes):
                for row in found:
                    add(row)
                    if watch is not None:
                        watch(row)

    @contextmanager
    def _opened(self) -> Generator[tuple[list[Replayed], Callable[[Replayed], None]]]:
        """Gives the whole rows that are there, and what adds one."""
        self.out.mkdir(parents=True, exist_ok=True)
        with locked(self.out / "LOCK", f"{self.out}: another process is replaying here"):
            self._begin()
            with (
                self.path.open("ab", buffering=0) as stream,
                told(self.path, undo=partial(stream.truncate, 0)),
            ):
                rows = self.done()
                size = sum(len(replayed_line(row)) for row in rows)
                stream.truncate(size)  # a line that a kill cut short

                def add(row: Replayed) -> None:
                    line = replayed_line(row)
                    try:
                        if stream.write(line) != len(line):
                            raise OSError("only a part of a line fitted")
                    except OSError as error:
                        why = error.strerror or error
                        raise DataError(f"{self.path}: cannot be written: {why}") from None

                yield rows, add

    def claims(self, named: Sequence[str] = ()) -> dict[str, str]:
        """Returns why methods say nothing of these records; computes the credit of the others.

        Raises:
            MethodError: a named method cannot run on them.
        """
        found, refused = claimed(self._batch, named, pass_at=self.asked.pass_at)
        self._methods = found
        return refused

    def truth(self, named: Sequence[str] = ()) -> dict[str, Any]:
        """Returns the result, schema "assay.truth/1", and writes it.

        Raises:
            DataError: not all decisions are played yet.
        """
        refused = self.claims(named)
        rows = self.done()
        if len(rows) < len(self.chosen):
            raise DataError(f"{self.path}: {len(rows)} of {len(self.chosen)} decisions")
        found = judged(rows, self._batch, self._methods, seed=self.asked.seed)
        said = {"headline": headline(found), "compared": compared(found)}
        asked = json.loads(json.dumps(asdict(self.asked)))
        result = {"schema": SCHEMA, "asked": asked, **said, **found, "refused": refused}
        text = json.dumps(result, indent=1, allow_nan=False)
        publish(self.out / "truth.json", text.encode() + b"\n")
        publish(self.out / "truth.md", page(result).encode())
        return result


def _wrote(record: Trajectory, point: int) -> int:
    """Returns how many tokens the policy wrote from a point on; characters where it has no ids."""
    steps = [step for step in record.steps[point:] if type(step) is ModelStep]
    return sum(len(step.text if step.token_ids is None else step.token_ids) for step in steps)


def _digest(records: Sequence[Trajectory]) -> str:
    """Returns the SHA-256 of records, as they are written."""
    found = hashlib.sha256()
    for record in records:
        found.update(encode(record) + b"\n")
    return found.hexdigest()


def _told(asked: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={asked.get(key)!r}" for key in keys)
