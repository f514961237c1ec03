"""Turns of a live store to labels and hints: what came after a turn, heard by the same sources,
weighed by the same lattice as anywhere else.

    record_of(session, seen)     a turn as a trajectory of one step, sampled ids and next state
    decided(record)              what its labels come to (`verify.outcome`): a value, or None
    Resolver(store, listeners)   reads what is new, asks each source, appends labels and hints

It works beside the gateway, in a thread or a process of its own, and never within a request. What
it appends of a turn it appends at once, so that a kill leaves the turn for the next time. A turn
that speaks to a judge, or is answered by text that does, is tampered with: it has no value.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from msgspec import structs

from assay.feedback import Facts, FromUser, Source, given, turns
from assay.judges.asking import Shown
from assay.live.sessions import text_of
from assay.live.store import Store
from assay.records import (
    Call,
    Grade,
    Hint,
    Mark,
    ModelStep,
    Step,
    ToolStep,
    Trajectory,
    UserStep,
)
from assay.records.evidence import Level
from assay.records.live import Event, Moved, TurnHint, TurnLabel
from assay.records.turns import Seen, Session
from assay.verify.claims import claim_of
from assay.verify.outcome import Resolved, resolve

SCORE: Final = "next_state"
"""Score of a step that its labels come to, as the method `next_state` reads it."""
_POLL: Final = 0.2
"""Seconds between two looks at the store."""


@final
@dataclass(frozen=True, slots=True)
class Listener:
    """A source, and how far its word goes."""

    source: Source
    level: Level
    rho0: float | None = None
    """How often it accepts a failure; None: nobody measured it."""
    rho1: float | None = None


def by_rule() -> list[Listener]:
    """Returns the sources that need no model: users' words and tools' results."""
    return [Listener(FromUser(), "E2"), Listener(Facts(), "E2")]


def record_of(session: Session, seen: Seen) -> Trajectory:
    """Returns a turn as a trajectory: its prompt, what was sampled, what came after.

    What its labels come to stands as its score `next_state`, 1 or -1, none where nothing is known;
    its hints are those of the store. Token ids and log-probabilities are those that were sampled.
    """
    said = _answered(seen)
    steps: tuple[Step, ...] = (_read(seen), said, *_heard(seen))
    record = Trajectory(
        id=seen.turn.id,
        task=session.run or "live",
        group=session.id,
        session=session.id,
        steps=steps,
        grades=tuple(
            Grade(level=e.evidence, value=e.value, source=e.source) for e in seen.labels.values()
        ),
        marks=tampered(said.text, seen),
        end="infra" if seen.turn.finish_reason == "error" else "unknown",
        policy_version=seen.turn.policy_version,
    )
    value = decided(record).value
    if value is None:
        return record
    scored = structs.replace(said, scores={SCORE: 1.0 if value >= 0.5 else -1.0})
    return structs.replace(record, steps=(steps[0], scored, *steps[2:]))


def decided(record: Trajectory) -> Resolved:
    """Returns what the labels of a turn come to, by the lattice of evidence; half is a pass."""
    return resolve(record, claim_of(record.steps), pass_at=0.5)


def tampered(said: str, seen: Seen) -> tuple[Mark, ...]:
    """Returns the mark of a turn in which somebody speaks to a judge: in what is new in its request
    but for instructions, in its answer, or in what came after."""
    asked = (e for e in seen.turn.messages if e.get("role") not in ("system", "developer"))
    written = "\n".join([*map(text_of, asked), said])
    heard = seen.next_state.text if seen.next_state else ""
    return (Mark(kind="tampered"),) if Shown("", written, heard).directed else ()


def _read(seen: Seen) -> UserStep:
    told = "\n".join(text for each in seen.messages if (text := text_of(each)))
    ids = None if seen.prompt_ids is None else tuple(seen.prompt_ids)
    return UserStep(text=told, token_ids=ids)


def _answered(seen: Seen) -> ModelStep:
    answer = seen.turn.answer
    hints = tuple(Hint(text=each.text, source=each.source) for each in seen.hints)
    return ModelStep(
        text=text_of(answer),
        calls=tuple(_calls(answer)),
        token_ids=None if seen.completion_ids is None else tuple(seen.completion_ids),
        logprobs=None if seen.logprobs is None else tuple(seen.logprobs),
        hints=hints,
        untrainable=None if seen.why_not is None else "masked",
    )


def _calls(answer: dict[str, Any]) -> Iterator[Call]:
    for each in answer.get("tool_calls") or ():
        function = each.get("function", {}) if isinstance(each, dict) else {}
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str) and isinstance(arguments, str):
            yield Call(name=name, arguments=arguments)


def _heard(seen: Seen) -> Iterator[Step]:
    """Yields the next state; no token of it belongs to the turn's row."""
    state = seen.next_state
    if state is None or state.role == "none" or not state.text:
        return
    if state.role == "user":
        yield UserStep(text=state.text, token_ids=())
    else:
        failed = None if state.exit_code is None else state.exit_code != 0
        yield ToolStep(text=state.text, error=failed, token_ids=())


@final
class Resolver:
    """Writes labels and hints of the turns whose next state is known."""

    def __init__(
        self,
        store: Store,
        listeners: Sequence[Listener],
        *,
        clock: Callable[[], float] = time.time,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Takes a store that is open to write.

        Args:
            store: where turns are.
            listeners: who says what of them.
            clock: seconds since 1970, for the events.
            say: takes what a source has to say to people.
        """
        self._store, self._listeners = store, listeners
        self._clock, self._say, self._seen = clock, say, 0

    def step(self) -> int:
        """Resolves what can be resolved now; returns how many turns that were.

        Raises:
            StoreError: it could not be written; the turns are left for the next time.
        """
        new = [*self._store.events("next", after=self._seen)]
        done = 0
        for name in sorted({event.session for _, event in new}):
            for session in self._store.sessions(name).values():
                done += self._resolved(session)
        self._seen = max((place for place, _ in new), default=self._seen)
        return done

    def _resolved(self, session: Session) -> int:
        waiting = [
            each
            for each in session.turns
            if each.progress == "next_seen"
            and each.turn.turn_type == "main"
            and session.consent != "none"
        ]
        if not waiting:
            return 0
        records = [record_of(session, each) for each in waiting]
        said: list[list[Event]] = [[] for _ in records]
        for each in self._listeners:
            self._ask(each, session, records, said)
        if self._store.sessions(session.id)[session.id].consent == "none":
            return 0  # taken back while they were asked
        for seen, events in zip(waiting, said, strict=True):
            for event in events:
                if isinstance(event, TurnLabel):
                    seen.labels[event.source] = event
            found = decided(record_of(session, seen))
            events.append(
                Moved(
                    session=session.id,
                    at=self._clock(),
                    turn=seen.turn.id,
                    to="resolved",
                    why=found.category,
                )
            )
            self._store.append(*events, durable=True).result()
        return len(waiting)

    def _ask(
        self,
        listener: Listener,
        session: Session,
        records: Sequence[Trajectory],
        said: list[list[Event]],
    ) -> None:
        """Adds the events of one source; what is tampered with is not shown to it."""
        source, at = listener.source, self._clock()
        whole = [n for n, each in enumerate(records) if not each.marks]
        for number, record in zip(whole, given(source, [records[n] for n in whole]), strict=True):
            (turn,) = turns(record)
            name = f"next_state:{source.name}"
            if name in turn.step.scores:
                verdict = turn.step.scores[name]
                said[number].append(
                    TurnLabel(
                        session=session.id,
                        at=at,
                        turn=record.id,
                        value={1.0: 1.0, -1.0: 0.0}.get(verdict) if verdict is not None else None,
                        source=source.name,
                        evidence=listener.level,
                        rho0=listener.rho0,
                        rho1=listener.rho1,
                        claim=claim_of(record.steps),
                        reason="neither" if verdict == 0 else "",
                    )
                )
            said[number] += [
                TurnHint(session=session.id, at=at, turn=record.id, text=h.text, source=h.source)
                for h in turn.step.hints
                if h.source == source.name
            ]
        if source.said:
            self._say(source.said)

    def follow(self, stop: threading.Event) -> None:
        """Resolves what comes, until it is told to stop; an error is said, and tried again."""
        while not stop.is_set():
            try:
                idle = not self.step()
            except OSError as error:
                self._say(str(error))
                idle = True
            if idle:
                stop.wait(_POLL)
