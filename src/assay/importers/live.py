"""The store of a gateway, also while it is written: what agents in use did."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import msgspec

from assay.errors import DataError, UsageError
from assay.files.event_log import EventLog, is_log
from assay.files.outputs import Reading, heard
from assay.files.probe import Probe
from assay.importers.base import Importer, Log, Rank, Record, ends, prompt_name
from assay.importers.fields import Fields
from assay.importers.labels import SCORE, outcome_of, scores_of
from assay.importers.live_outputs import StoreRead
from assay.importers.messages import chat, copied, unfolded
from assay.importers.tokens import Turn, join
from assay.records import End, Grade, Hint, Mark, ModelStep, Step, Trajectory
from assay.records.live import TurnLabel, decode_event
from assay.records.turns import Seen, Session, folded

FILE: Final = "store.sqlite"
KEPT: Final = (
    *(f"{FILE}-{end}" for end in ("wal", "shm", "journal")),
    *("gateway.json", "secret", "versions", "STOP"),
    *("SERVE", "RESOLVE", "ADMIT", "TRAIN", "PUBLISH"),
)
"""What is beside it: how the gateway is, the secret of keys, versions, a switch, locks."""
_ENDS: Final = ends("stop", budget="length")
_BROKE: Final = ("upstream_broke_off", "client_left", "upstream_error", "unreadable_answer")


@final
@dataclass(frozen=True, slots=True)
class Line:
    """Turns of a session that go on from each other: a trajectory."""

    id: str
    task: str
    """Of the session: what its first turn was asked. So all its lines are of one group."""
    session: str | None
    """Which has several. None: this one alone."""
    turns: Sequence[Seen]
    whole: bool
    """It is the last one, which the session's labels are about."""


@final
class Live(Importer):
    """A folder of `assay serve --store`, or the `store.sqlite` in it.

    A session is a trajectory, or several where its client began anew in it (`session`), which are
    of one group: that of its first turn. Main turns alone are its steps. What a session is labelled
    with is its outcome, the label of a turn a score of its step, `label:SOURCE`; a person's word
    (E4) is a grade, as everywhere. What the strongest labels of a turn come to is its score
    `next_state`, 1 or -1, as the method of that name reads it; none where they differ.
    """

    name = "live"
    title = "a store of assay serve"
    record = "a session"

    def rank(self, seen: Probe) -> Rank:
        return Rank.CERTAIN if is_log(seen.head) else Rank.NO

    def own(self, folder: Path) -> tuple[Path, ...]:
        file = folder / FILE
        return (file,) if file.is_file() else ()

    def beside(self, file: Path) -> tuple[Path, ...]:
        return (file.with_name(f"{file.name}-wal"),)

    def keeps(self, file: Path) -> tuple[Path, ...]:
        return tuple(file.with_name(name) for name in KEPT)

    def reading(self, file: Path) -> Reading:
        opened = EventLog(file, write=False)
        try:
            return StoreRead(file, opened.last())
        finally:
            opened.close()

    def records(self, log: Log, file: Path) -> Iterator[tuple[str, Any]]:
        opened = EventLog(file, write=False)
        try:
            rows = list(opened.rows())
        finally:
            opened.close()
        heard(StoreRead(file, rows[-1].seq if rows else 0))
        events = [decode_event(row.body, f"{file} event {row.seq}") for row in rows]
        for name, session in folded(events).items():
            yield f"{file} session {name[:60]!r}", {"session": name, "it": session}

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        session: Session = record.raw["it"]
        several = lines(session)
        if aside := len(session.turns) - sum(len(each.turns) for each in several):
            record.lose("without_consent" if session.consent == "none" else "side_turn", aside)
        trial = record.groups.trial(several[0].task) if several else 0
        for line in several:
            try:
                yield self._trajectory(record, session, line, trial)
            except (TypeError, AttributeError, ValueError) as error:
                if isinstance(error, DataError):
                    raise
                raise DataError(f"{record.where}: {error}; expected a turn") from None

    def _trajectory(self, record: Record, session: Session, line: Line, trial: int) -> Trajectory:
        steps, marks = _steps(record, line.turns)
        grades = _grades(session.labels) if line.whole else ()
        versions = dict.fromkeys(each.turn.policy_version for each in line.turns)
        return record.trajectory(
            line.task,
            steps,
            trial=trial,
            id=line.id,
            session=line.session,
            outcome=outcome_of(grades),
            grades=grades,
            end=_end(session, line.turns[-1], whole=line.whole),
            policy_version="-".join(each for each in versions if each) or None,
            marks=marks,
            origin=record.origin(
                run=session.run or None, user=session.user or None, consent=session.consent
            ),
        )


def check_not_own(path: str | os.PathLike[str], folder: Path) -> None:
    """Raises UsageError where a result would take the place of what is a store's own."""
    target, home = Path(os.path.realpath(path)), folder.resolve()
    if any(target.is_relative_to(home / own) for own in (FILE, *KEPT)):
        raise UsageError(f"{path}: is the store's own; choose another place")


def lines(session: Session) -> list[Line]:
    """Returns a session's main turns, those that go on from each other together; none where its
    consent was taken back."""
    made: list[list[Seen]] = []
    for turn in session.turns:
        if turn.turn.turn_type != "main" or session.consent == "none":
            continue
        home = next((each for each in made if each[-1].turn.id == turn.turn.after), None)
        if home is None:
            made.append([turn])
        else:
            home.append(turn)
    return [
        Line(
            id=session.id if at == 0 else f"{session.id}#{at}",
            task=prompt_name(msgspec.json.encode(made[0][0].messages[:2]).decode()),
            session=session.id if len(made) > 1 else None,
            turns=turns,
            whole=at == len(made) - 1,
        )
        for at, turns in enumerate(made)
    ]


def _steps(record: Record, line: Sequence[Seen]) -> tuple[tuple[Step, ...], tuple[Mark, ...]]:
    """Returns the steps of turns that go on from each other, and marks where tokens broke off."""
    messages = [*line[-1].messages, line[-1].turn.answer]
    ours = {len(each.messages): each for each in line}
    told = list(unfolded(messages, f"{record.where}.messages", record.losses))
    steps = list(chat((raw for _, raw in told), f"{record.where}.messages", record.losses))
    turns: list[Turn] = []
    for at, (place, _) in enumerate(told):
        step, seen = steps[at], ours.get(place)
        if seen is None or type(step) is not ModelStep:
            steps[at] = copied(step)
            continue
        steps[at] = _said(step, seen)
        turns += _tokens(seen, at, record)
    return join(steps, turns)


def _said(step: ModelStep, seen: Seen) -> ModelStep:
    """Returns the step of a turn with what others said of it."""
    scores = scores_of(_grades(seen.labels))
    if seen.turn.finish_reason == "error":
        scores.pop(SCORE, None)
    hints = tuple(Hint(text=each.text, source=each.source or "live") for each in seen.hints)
    barred = None if seen.why_not is None else "masked"
    return msgspec.structs.replace(step, scores=scores, hints=hints, untrainable=barred)


def _tokens(seen: Seen, at: int, record: Fields) -> list[Turn]:
    if seen.completion_ids is None or seen.prompt_ids is None:
        return []
    nats = None if seen.logprobs is None else tuple(seen.logprobs)
    return [Turn(at, tuple(seen.prompt_ids), tuple(seen.completion_ids), nats, record)]


def _grades(labels: Mapping[str, TurnLabel]) -> tuple[Grade, ...]:
    return tuple(
        Grade(level=each.evidence, value=each.value, source=each.source, reason=each.reason)
        for each in labels.values()
    )


def _end(session: Session, last: Seen, *, whole: bool) -> End:
    if last.turn.why_not in _BROKE:
        return "infra"
    reason = _ENDS.get(last.turn.finish_reason or "", "unknown")
    over = session.closed or (last.next_state is not None and last.next_state.role == "none")
    return reason if reason != "answered" or (whole and over) else "unknown"
