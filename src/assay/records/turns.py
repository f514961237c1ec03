"""The turns of a live store, put together from its events: a fold, which any later reading repeats
with the same result."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, final

from assay.records.live import (
    CATEGORIES,
    Closed,
    Consent,
    Consented,
    Event,
    Moved,
    NextState,
    Opened,
    Progress,
    Replayed,
    Turn,
    TurnHint,
    TurnLabel,
    sound,
    unpacked,
    unpacked_floats,
)


@final
@dataclass(slots=True)
class Seen:
    """A turn, with all that its events say of it until now."""

    turn: Turn
    """As it was written."""
    messages: tuple[dict[str, Any], ...] = ()
    """Its whole conversation before the answer, in the chat shape."""
    tools: tuple[dict[str, Any], ...] = ()
    prompt_ids: "array[int] | None" = None
    """The whole prompt. None: not known."""
    completion_ids: "array[int] | None" = None
    logprobs: "array[float] | None" = None
    next_state: NextState | None = None
    labels: dict[str, TurnLabel] = field(default_factory=dict[str, TurnLabel])
    """The last of each source."""
    hints: list[TurnHint] = field(default_factory=list[TurnHint])
    replays: dict[str, Replayed] = field(default_factory=dict[str, Replayed])
    """The first of each source of hints."""
    progress: Progress = "open"
    why: str = ""
    """Of its progress; of a trained turn the version."""
    tries: int = 0
    """Versions that were trained on it, but for those that nobody found wanting."""

    @property
    def why_not(self) -> str | None:
        """Why no gradient may come from it, whatever its session consents to; None: it may."""
        if self.turn.trainable and (self.prompt_ids is None or self.completion_ids is None):
            return "prompt_unknown"
        return None if self.turn.trainable else self.turn.why_not or "unknown"


@final
@dataclass(slots=True)
class Session:
    """A session, with all that its events say of it until now."""

    id: str
    run: str = ""
    user: str = ""
    consent: Consent = "record"
    opened_at: float = 0.0
    last_at: float = 0.0
    closed: bool = False
    found: str = ""
    policy_version: str | None = None
    turns: list[Seen] = field(default_factory=list[Seen])
    """In the order in which they were written, side turns among them."""
    labels: dict[str, TurnLabel] = field(default_factory=dict[str, TurnLabel])
    """Of the session as a whole, the last of each source."""

    def trainable(self) -> list[Seen]:
        """The turns that may be trained on: none without consent, whenever it was taken back."""
        if self.consent != "train":
            return []
        return [turn for turn in self.turns if turn.why_not is None]


def folded(events: Iterable[Event]) -> dict[str, Session]:
    """Returns the sessions of events in their order, by name; those of none (versions, files) are
    passed over."""
    made: dict[str, Session] = {}
    turns: dict[str, Seen] = {}
    for event in events:
        if event.session:
            at = event.at
            session = made.setdefault(event.session, Session(event.session, opened_at=at))
            session.last_at = max(session.last_at, at)
            _take(event, session, turns)
    return made


def _take(event: Event, session: Session, turns: dict[str, Seen]) -> None:
    match event:
        case Opened():
            session.run, session.user, session.found = event.run, event.user, event.found
            session.consent, session.policy_version = event.consent, event.policy_version
        case Consented():
            session.consent = event.consent
        case Closed():
            session.closed = True
        case Turn():
            seen = turns[event.id] = _whole(event, turns.get(event.after or ""))
            session.turns.append(seen)
        case NextState() if event.turn in turns:
            turns[event.turn].next_state = event
            if turns[event.turn].progress == "open":
                turns[event.turn].progress = "timed_out" if event.role == "none" else "next_seen"
        case TurnLabel() if event.turn is None:
            session.labels[event.source] = event
        case TurnLabel() if event.turn in turns:
            turns[event.turn].labels[event.source] = event
        case TurnHint() if event.turn in turns:
            turns[event.turn].hints.append(event)
        case Replayed() if event.turn in turns and sound(event):
            turns[event.turn].replays.setdefault(event.source, event)
        case Moved() if event.turn in turns and not _late(event, turns[event.turn]):
            turns[event.turn].progress, turns[event.turn].why = event.to, event.why
            turns[event.turn].tries += (event.to == "trained") - event.spared
        case _:
            pass


def _late(moved: Moved, seen: Seen) -> bool:
    """Is it what a resolver came to of a turn that had gone further meanwhile? It says so by a
    category; who gives a trained turn back says which version did not last."""
    found = moved.to == "resolved" and moved.why in CATEGORIES
    return found and seen.progress not in ("open", "next_seen", "timed_out", "judged")


def _whole(turn: Turn, before: Seen | None) -> Seen:
    """Returns a turn with its whole conversation and prompt; where the turn before it is not there,
    which a forgotten or torn one is not, with what it has itself and without ids."""
    ids, known = unpacked(turn.prompt_ids), turn.after is None or before is not None
    if turn.shared and ids is not None:
        ids = _joined(before, turn.shared, ids)
    messages, tools = turn.messages, turn.tools or ()
    if before is not None:
        messages = (*before.messages, before.turn.answer, *messages)
        tools = before.tools if turn.tools is None else tools
    return Seen(
        turn,
        messages,
        tools,
        ids if known else None,
        unpacked(turn.completion_ids),
        unpacked_floats(turn.logprobs),
    )


def _joined(before: Seen | None, shared: int, own: "array[int]") -> "array[int] | None":
    if before is None or before.prompt_ids is None or before.completion_ids is None:
        return None
    past = before.prompt_ids + before.completion_ids
    return past[:shared] + own if len(past) >= shared else None
