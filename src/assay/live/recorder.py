"""Writes what was served into the store: closed for training, open for the user.

A turn that may be trained on is on the disk before its client sees the end of its answer. What
cannot be written is served all the same, is not trained on, and is counted.
"""

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, final

from msgspec.structs import replace

from assay.live.answers import Answer
from assay.live.engines import bent, sampler_of
from assay.live.guard import least
from assay.live.sessions import Going, Placed, request_of, shared, text_of
from assay.live.store import Store, StoreError
from assay.records.live import (
    Closed,
    Consent,
    Consented,
    Event,
    NextState,
    Opened,
    Turn,
    packed,
    packed_floats,
)

FULL: Final = 0.75
"""Share of the store's room from which on turns to train on wait."""
_PAUSE: Final = 0.01
_WRITTEN: Final = 30.0
"""Seconds in which an event must be on the disk."""


@final
@dataclass(slots=True)
class Exchange:
    """A request and its answer."""

    placed: Placed
    shape: str
    request: Mapping[str, Any]
    """In the chat shape, as the client sent it."""
    turn: str
    """Its id."""
    name: str
    """Of the request; empty: none."""
    digest: str
    version: str | None
    skillbank: str | None
    began: float
    """Seconds since 1970."""
    ticks: float
    """The same by a clock that nobody sets."""
    sent: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """As the engine got it."""
    answer: Answer = field(default_factory=Answer)


@final
class Recorder:
    """Of one gateway."""

    def __init__(
        self,
        store: Store | None,
        *,
        processed: bool,
        patience: float,
        clock: Callable[[], float],
        counts: Counter[str],
    ) -> None:
        self._store, self._processed, self._patience = store, processed, patience
        self._clock, self._counts = clock, counts
        self._late: dict[str, Going] = {}
        """Sessions whose consent changed, where that could not be written."""

    async def room(self) -> bool:
        """Waits for room among what is to be written; False: there was none in time."""
        store, now = self._store, asyncio.get_running_loop().time
        until = now() + self._patience
        while store is not None and store.waiting >= FULL:
            if now() > until:
                return False
            await asyncio.sleep(_PAUSE)
        return True

    def opened(self, placed: Placed, run: str, user: str, version: str | None) -> None:
        """Begins a session, or one that this process does not know yet. What begins it is written
        with the first that is kept of it; at once, of one that keeps nothing and has a name by
        which its client may come again: that it keeps nothing is all that is known of it."""
        session = placed.session
        session.version = version
        if self._store is None:
            return
        found = self._store.sessions(session.id).get(session.id) if placed.named else None
        if found is not None:
            session.count = len(found.turns)
            session.version = found.policy_version
            session.consent = least(found.consent, session.consent)
            session.untold = found.consent != session.consent
            return
        if session.consent == "none" and not placed.named:
            return  # nobody comes again by a name that is drawn
        session.opening = Opened(
            session=session.id,
            at=self._clock(),
            run=run,
            user=user,
            consent=session.consent,
            found=placed.rule,
            policy_version=version,
        )

    async def consented(self, session: Going, consent: Consent) -> None:
        """Takes in what a request allows: what was taken back once stays so."""
        allowed = least(session.consent, consent)
        if session.consent != allowed:
            session.consent, session.untold = allowed, True
        if _urgent(session):
            await self._write(session)

    async def again(self) -> None:
        """Writes the changes of consent that could not be written."""
        for name in list(self._late):
            await self._write(self._late.pop(name))

    async def turn(self, exchange: Exchange) -> str | None:
        """Writes a turn and what it says of the one before it. Returns why it is not trained on;
        None: it may be, and is on the disk."""
        session, answer = exchange.placed.session, exchange.answer
        why = self._why_not(exchange)
        if session.consent == "none":
            self._counts["turns:not_kept"] += 1
            return why
        events: list[Event] = [*self._next_state(exchange)]
        turn = self._made(exchange, why)
        events.append(turn)
        said = [*exchange.placed.said, *request_of(exchange.name)]
        error = await self._write(session, *events, durable=why is None, said=said)
        why = error or why
        self._counts["turns:trainable" if why is None else f"turns:{why}"] += 1
        session.count += 1
        if turn.turn_type == "main":
            session.turn = None if error else turn.id
            session.ids = None if error else _whole(turn, answer)
        return why

    def _why_not(self, exchange: Exchange) -> str | None:
        answer, placed = exchange.answer, exchange.placed
        sampler = sampler_of(exchange.sent)
        reasons = (
            None if placed.turn_type == "main" else placed.turn_type,
            None if placed.session.consent == "train" else "no_consent",
            answer.broken or None,
            "several_answers" if answer.others else None,
            None if answer.finish_reason else "unfinished",
            answer.sampled.why_not(),
            bent(sampler, processed=self._processed),
        )
        return next((why for why in reasons if why is not None), None)

    def _made(self, exchange: Exchange, why: str | None) -> Turn:
        placed, answer, session = exchange.placed, exchange.answer, exchange.placed.session
        sampled = answer.sampled
        usable = sampled.why_not() is None
        prompt = sampled.prompt_ids if usable else None
        on = placed.after is not None and placed.after == session.turn
        before = shared(session.ids, prompt) if on and prompt is not None else 0
        messages = tuple(exchange.request["messages"])
        tools = exchange.request.get("tools")
        whole = not answer.broken and answer.finish_reason is not None
        return Turn(
            session=session.id,
            at=self._clock(),
            id=exchange.turn,
            index=session.count,
            turn_type=placed.turn_type,
            rule=placed.rule,
            request=exchange.name if whole else "",
            digest=exchange.digest,
            shape=exchange.shape,
            model=answer.model or str(exchange.request.get("model", "")),
            after=placed.after if on else None,
            messages=messages[len(messages) - placed.fresh :] if on else messages,
            tools=tuple(tools) if isinstance(tools, list) else () if on else None,
            answer=answer.message(),
            finish_reason=answer.finish_reason,
            policy_version=exchange.version or answer.model or None,
            skillbank_version=exchange.skillbank,
            sampler=sampler_of(exchange.sent),
            usage=answer.usage,
            shared=before,
            prompt_ids=None if prompt is None else packed(prompt[before:]),
            completion_ids=packed(sampled.ids) if usable else None,
            logprobs=_nats(sampled.logprobs) if usable else None,
            trainable=why is None,
            why_not=why,
            seconds=round(asyncio.get_running_loop().time() - exchange.ticks, 6),
        )

    def _next_state(self, exchange: Exchange) -> list[NextState]:
        """Returns what a request says of the turn that it goes on from, the first that does."""
        placed, session = exchange.placed, exchange.placed.session
        turn, fresh = placed.after, placed.fresh
        if turn is None or not fresh or placed.turn_type != "main" or turn in session.answered:
            return []
        session.answered.add(turn)
        said = exchange.request["messages"][-fresh:]
        role = str(said[-1].get("role"))
        return [
            NextState(
                session=session.id,
                at=exchange.began,
                turn=turn,
                role="tool" if role == "tool" else "user" if role == "user" else "env",
                text="\n".join(text_of(message) for message in said),
            )
        ]

    async def ended(self, session: Going, *, closed: bool) -> None:
        """A session is over, or nothing was heard of it for long: its last turn has no next
        state."""
        events: list[Event] = []
        if session.turn is not None and session.turn not in session.answered:
            now = self._clock()
            events.append(NextState(session=session.id, at=now, turn=session.turn, role="none"))
        if closed:
            events.append(Closed(session=session.id, at=self._clock()))
        if events and session.consent != "none":
            await self._write(session, *events)

    async def _write(
        self, session: Going, *events: Event, durable: bool = False, said: Sequence[bytes] = ()
    ) -> str:
        """Writes events of a session; waits for the disk where they are durable. Returns why they
        are not there ("store", "forgotten"), as far as it is known; "": they are."""
        if self._store is None:
            return "store"
        begun = session.opening, session.untold
        try:
            if durable and not await self.room():
                raise StoreError("no room")
            before = self._before(session)
            done = self._store.append(*before, *events, durable=durable, said=said)
            session.opening, session.untold = None, False
            if not durable:
                done.add_done_callback(partial(self._settled, session, begun))
                return ""
            places = await asyncio.wait_for(asyncio.wrap_future(done), _WRITTEN)
        except (StoreError, TimeoutError):
            self._failed(session, begun)
            return "store"
        return "" if places[-1] is not None else "forgotten"

    def _before(self, session: Going) -> list[Event]:
        """Returns what the store is to hear of a session before anything else."""
        if session.opening is not None:
            return [replace(session.opening, consent=session.consent)]
        if session.untold:
            return [Consented(session=session.id, at=self._clock(), consent=session.consent)]
        return []

    def _settled(self, session: Going, begun: "_Begun", done: "Future[Any]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._failed(session, begun)

    def _failed(self, session: Going, begun: "_Begun") -> None:
        """What was to be heard first is to be heard with what comes next."""
        self._counts["store_failures"] += 1
        session.opening = session.opening or begun[0]
        session.untold = session.untold or begun[1]
        if _urgent(session):
            self._late[session.id] = session


_Begun = tuple[Opened | None, bool]


def _urgent(session: Going) -> bool:
    """Is the store to hear of a session's consent, though nothing else is kept of it?"""
    return session.consent == "none" if session.opening is not None else session.untold


def _whole(turn: Turn, answer: Answer) -> "array[int] | None":
    """Returns prompt and completion of a turn, what its session's next turn may share."""
    sampled = answer.sampled
    if turn.completion_ids is None or not sampled.prompt_ids or not sampled.ids:
        return None
    return sampled.prompt_ids + array("i", sampled.ids)


def _nats(values: "list[float | None] | None") -> bytes | None:
    if values is None or None in values:
        return None
    return packed_floats([value for value in values if value is not None])
