"""What a live store holds: events of sessions, turns and what became of them, appended and never
changed.

Token ids are packed as 32-bit integers and log-probs as 32-bit floats, little-endian. What is
missing is None and never 0: a turn whose ids or log-probs are not known has none, and says why.
"""

import hashlib
import sys
from array import array
from collections.abc import Iterable
from typing import Any, Final, Literal, get_args

import msgspec

from assay.errors import DataError, one_line
from assay.records.base import Record
from assay.records.evidence import Level
from assay.records.trajectory import Claim

Consent = Literal["none", "record", "train"]
"""What may be done with a session: nothing is kept; it is kept; it may be trained on."""
TurnType = Literal["main", "side", "system"]
"""The agent's own turns; what its client asks beside them (titles, summaries); what the gateway
asks itself. Only main turns teach."""
Category = (
    Literal["true_success", "under_claim", "false_success", "honest_failure", "unverified_claim"]
    | Literal["weak_success", "weak_failure", "unscorable", "infra", "tampered"]
)
"""What a label says in a word."""
CATEGORIES: Final = frozenset(word for part in get_args(Category) for word in get_args(part))
Progress = (
    Literal["open", "next_seen", "timed_out", "judged", "resolved", "scored", "batched"]
    | Literal["trained", "expired", "excluded"]
)
"""How far a turn has come."""


class Opened(Record, frozen=True, tag_field="kind", tag="session"):
    """A session began."""

    session: str
    at: float
    """Seconds since 1970, as in all events."""
    run: str = ""
    user: str = ""
    """Whose it is, as its key says. Empty: nobody's."""
    consent: Consent = "record"
    found: str = ""
    """By which rule a request was taken for its first."""
    policy_version: str | None = None


class Consented(Record, frozen=True, tag_field="kind", tag="consent"):
    """What may be done with a session changed."""

    session: str
    at: float
    consent: Consent


class Closed(Record, frozen=True, tag_field="kind", tag="closed"):
    """A session's client said that it is over."""

    session: str
    at: float


class Turn(Record, frozen=True, tag_field="kind", tag="turn"):
    """One answer of the policy.

    Its conversation is that of the turn `after`, answer included, and then `messages`; so is its
    prompt of ids. `records.turns` puts them together.
    """

    session: str
    at: float
    id: str
    index: int
    """Position among the session's turns, from 0."""
    turn_type: TurnType = "main"
    rule: str = ""
    """What told its type."""
    request: str = ""
    """Stands for the client's name of the request, and whose it is: one request is one turn,
    however often it is sent. Empty: it had none."""
    digest: str = ""
    """Of the request's body, so that another one under the same name is refused."""
    shape: str = "chat"
    model: str = ""
    after: str | None = None
    messages: tuple[dict[str, Any], ...] = ()
    """In the chat shape. For judges and people: no token is ever made from them."""
    tools: tuple[dict[str, Any], ...] | None = None
    """None: those of `after`; without it, none."""
    answer: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """The assistant's message, in the chat shape."""
    finish_reason: str | None = None
    policy_version: str | None = None
    skillbank_version: str | None = None
    sampler: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    usage: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    shared: int = 0
    """How many of the ids of `after`, prompt and completion, begin its prompt."""
    prompt_ids: bytes | None = None
    """Packed; those that follow the shared ones. None: not known."""
    completion_ids: bytes | None = None
    """Packed: what was sampled, the stop token too. None: not known."""
    logprobs: bytes | None = None
    """Packed, nats, one for each of `completion_ids`. None: not known."""
    trainable: bool = False
    why_not: str | None = None
    """Why no gradient may come from it. None: it may."""
    seconds: float | None = None
    """From the request to the last byte."""


class NextState(Record, frozen=True, tag_field="kind", tag="next"):
    """What the world said to a turn: its first evidence, and untrusted."""

    session: str
    at: float
    turn: str
    role: Literal["user", "tool", "env", "none"]
    text: str = ""
    exit_code: int | None = None


class TurnLabel(Record, frozen=True, tag_field="kind", tag="label"):
    """What one source says of a turn, or of a session. Of one source the last counts."""

    session: str
    at: float
    turn: str | None = None
    """None: of the session as a whole."""
    value: float | None = None
    """In [0, 1]; None: it cannot be scored, which is not 0."""
    source: str = ""
    evidence: Level = "E1"
    rho0: float | None = None
    """P(1 | truly 0) of the source."""
    rho1: float | None = None
    """P(0 | truly 1) of the source."""
    stratum: str = ""
    claim: Claim | None = None
    category: Category | None = None
    label_policy_version: str | None = None
    audit_id: str | None = None
    reason: str = ""


class TurnHint(Record, frozen=True, tag_field="kind", tag="hint"):
    """What the policy should have known at a turn. Whether it is listened to is its source's to
    earn (`Replayed`)."""

    session: str
    at: float
    turn: str
    text: str
    source: str = ""
    char_span: tuple[int, int] | None = None


class Replayed(Record, frozen=True, tag_field="kind", tag="replayed"):
    """A turn's prompt was answered again, twice: with a source's hints about the turn, and with
    words that say nothing. Of a turn and a source the first counts, so that nobody tries again
    until it comes out right; what a source earned is the sum of them (`assay.live.admission`)."""

    session: str
    at: float
    turn: str
    source: str
    """Of the hints."""
    told: float
    """What the answer with the hint was worth, in [0, 1]."""
    neutral: float
    """What the other was worth."""
    check: str = ""
    """What told good answers from bad ones."""
    policy_version: str = ""
    """Whose answers they were."""


class Moved(Record, frozen=True, tag_field="kind", tag="progress"):
    """A turn came further."""

    session: str
    at: float
    turn: str
    to: Progress
    why: str = ""
    spared: bool = False
    """Given back by a version that nobody found wanting: it does not count among its tries."""


class Version(Record, frozen=True, tag_field="kind", tag="version"):
    """Something became of a version of the policy; the last event of a name is where it stands."""

    at: float
    name: str
    """Of the version; never used twice."""
    state: Literal["made", "canary", "refused", "served", "rolled_back", "retired"]
    parent: str | None = None
    path: str = ""
    sha256: str = ""
    skillbank_version: str | None = None
    sessions: tuple[str, ...] = ()
    """Those that it was trained on."""
    figures: dict[str, float | None] = msgspec.field(default_factory=dict[str, float | None])
    why: str = ""
    made_of: str = ""
    """Digest of all that decides what it learnt: turns, labels, hints, settings, parent. Empty:
    nobody noted it."""
    session: str = ""


class Derived(Record, frozen=True, tag_field="kind", tag="derived"):
    """A file or folder was made from sessions: to forget one reaches it."""

    at: float
    path: str
    """Absolute."""
    sessions: tuple[str, ...] = ()
    how: Literal["lines", "whole"] = "whole"
    """`lines`: JSON Lines with the key `session`, of which its lines are taken out; `whole`: it is
    deleted, and made again without the session by whoever wants it."""
    what: str = ""
    session: str = ""


class Made(Record, frozen=True, tag_field="kind", tag="made"):
    """What lies at the path of a `Derived`, as Assay wrote it (`files.written`): to forget a
    session deletes nothing else there. Of a path there is one, the last."""

    at: float
    path: str
    files: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict[str, tuple[int, int]])
    """Empty: nothing of ours is there."""
    before: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict[str, tuple[int, int]])
    """What was there before that: it still is where a kill came between."""
    session: str = ""


class Forgotten(Record, frozen=True, tag_field="kind", tag="forgotten"):
    """A session was deleted; only digests are left, of its name and of how its conversations began,
    so that it is not written again."""

    at: float
    digest: str
    why: str = ""
    begun: tuple[bytes, ...] = ()
    """Digests of what its conversations began with, the first answer included, and of its requests'
    names: a client that goes on with one, or sends one again, is known by it."""
    session: str = ""


Event = (
    Opened
    | Consented
    | Closed
    | Turn
    | NextState
    | TurnLabel
    | TurnHint
    | Replayed
    | Moved
    | Version
    | Derived
    | Made
    | Forgotten
)
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: "msgspec.msgpack.Decoder[Event]" = msgspec.msgpack.Decoder(Event)


_SHARES: Final[dict[type, tuple[str, ...]]] = {
    TurnLabel: ("value", "rho0", "rho1"),
    Replayed: ("told", "neutral"),
}
"""Fields in [0, 1]."""


def digest_of(session: str) -> str:
    """Returns what stands for the name of a session that was forgotten."""
    return hashlib.blake2b(session.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def encode_event(event: Event) -> bytes:
    """Returns an event as the bytes that the store holds."""
    return _encoder.encode(event)


def check_event(event: Event) -> None:
    """Raises DataError where a value or a rate of an event is not in [0, 1]: NaN is not."""
    if (field := _odd(event)) is None:
        return
    kind, whose = type(event).__struct_config__.tag, getattr(event, "turn", None) or event.session
    raise DataError(
        f"{kind} of {whose}: {field}: got {getattr(event, field)}; expected 0 to 1; of a label "
        "None, where it is not known"
    )


def sound(event: Event) -> bool:
    """Returns whether all values and rates of an event are in [0, 1]."""
    return _odd(event) is None


def _odd(event: Event) -> str | None:
    values = ((name, getattr(event, name)) for name in _SHARES.get(type(event), ()))
    return next((name for name, it in values if it is not None and not 0.0 <= it <= 1.0), None)


def decode_event(body: bytes, where: str) -> Event:
    """Returns the event of some bytes. A label whose value or rate is not in [0, 1], which is
    written no more, has none.

    Raises:
        DataError: they are no event.
    """
    try:
        event = _decoder.decode(body)
        while isinstance(event, TurnLabel) and (field := _odd(event)) is not None:
            event = msgspec.structs.replace(event, **{field: None})
        return event
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(one_line(f"{where}: {error}; expected an event of a live store")) from None


def packed(values: Iterable[int] | None) -> bytes | None:
    """Returns ids as little-endian 32-bit integers; None stays None.

    Raises:
        DataError: one is no id.
    """
    return None if values is None else _packed("i", values)


def packed_floats(values: Iterable[float] | None) -> bytes | None:
    """Returns nats as little-endian 32-bit floats; None stays None.

    Raises:
        DataError: one is no number.
    """
    return None if values is None else _packed("f", values)


def unpacked(data: bytes | None) -> "array[int] | None":
    """Returns the ids of packed bytes; None stays None.

    Raises:
        DataError: no whole number of ids.
    """
    return None if data is None else _unpacked(array("i"), data)


def unpacked_floats(data: bytes | None) -> "array[float] | None":
    """Returns the nats of packed bytes; None stays None.

    Raises:
        DataError: no whole number of them.
    """
    return None if data is None else _unpacked(array("f"), data)


def _packed(kind: Literal["i", "f"], values: Iterable[Any]) -> bytes:
    try:
        made: array[Any] = array(kind, values)
    except (TypeError, OverflowError, ValueError) as error:
        what = "ids of 32 bits" if kind == "i" else "numbers"
        raise DataError(f"tokens of a turn: {error}; expected {what}") from None
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()


def _unpacked(made: "array[Any]", data: bytes) -> "array[Any]":
    if len(data) % made.itemsize:
        raise DataError(f"tokens of a turn: {len(data)} bytes; expected 4 for each")
    made.frombytes(data)
    if sys.byteorder == "big":
        made.byteswap()
    return made
