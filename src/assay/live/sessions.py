"""Which session a request belongs to, and whether it is the agent's own turn. Rules, in order; the
one that decides is written with the turn.

Without a header or a key a session is found by its conversation: a request that begins with all
that a turn's conversation and answer said goes on from it.
"""

import hashlib
import json
import re
from array import array
from collections import OrderedDict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast, final

import msgspec

from assay.records.live import Consent, Opened, TurnType
from assay.records.turns import Session

Message = Mapping[str, Any]
MOST: Final = 4096
"""Sessions that are remembered; of one that is not, the next turn is written whole."""
_SAME: Final = 8
"""Sessions that have come to the same conversation, of which each is remembered."""
_NEAR: Final = 600.0
"""Seconds within which a request beside a session is taken for one of its client's."""
_TYPES: Final[Mapping[str, TurnType]] = {"main": "main", "side": "side", "system": "system"}
_BESIDE: Final = re.compile(
    r"\b(?:title|name) (?:for|of) (?:this|the) (?:chat|conversation|thread|session)"
    r"|\b(?:generate|write|give|suggest|create)\b.{0,40}\btitle\b"
    r"|\bsummari[sz]e (?:this|the|our) (?:chat|conversation|thread|session|history|dialogue)"
    r"|\bsummary of (?:this|the|our) (?:chat|conversation|thread|session|history)"
    r"|\bcompact(?:ion|ing)? (?:this|the|of the) (?:chat|conversation|context|history)"
    r"|\bis this a new (?:conversation )?topic|\bfollow-?up questions? (?:for|to) the (?:chat|user)"
    r"|\bgenerate \d.{0,20}\btags\b",
    re.IGNORECASE | re.DOTALL,
)


@final
@dataclass(slots=True)
class Going:
    """A session that is going on, as far as the next request needs it."""

    id: str
    owner: str
    """Whose requests may go on with it: run and user."""
    consent: Consent
    version: str | None = None
    count: int = 0
    """Turns."""
    turn: str | None = None
    """The last main turn, if it is in the store."""
    ids: "array[int] | None" = None
    """Its prompt and completion."""
    tools: str = ""
    """Digest of the tools that were last asked with; empty: none."""
    system: str = ""
    """Digest of the instructions."""
    seen: float = 0.0
    opening: Opened | None = None
    """What begins it, where that is not in the store yet."""
    untold: bool = False
    """Its consent changed, and the store does not know."""
    answered: set[str] = field(default_factory=set[str])
    """The turns whose next state is known, of those that can still get one."""
    held: set[str] = field(default_factory=set[str])
    """The turns that requests under way go on from."""

    def taken(self, turn: str) -> bool:
        """Returns whether somebody has gone on from a turn, or is about to."""
        return turn in self.answered or turn in self.held


@final
@dataclass(frozen=True, slots=True)
class Placed:
    """Where a request belongs."""

    session: Going
    new: bool
    named: bool
    """A header or a key names it."""
    turn_type: TurnType
    rule: str
    after: str | None
    """The turn that it goes on from."""
    fresh: int
    """Messages that are behind that turn's answer; all of them where there is none."""
    said: Sequence[bytes] = ()
    """Digests of each beginning of its conversation (`chained`)."""


@final
class Sessions:
    """The sessions of a gateway; those of one owner cannot reach another's."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._going: OrderedDict[str, Going] = OrderedDict()
        self._states: OrderedDict[bytes, list[tuple[str, str]]] = OrderedDict()
        """Of a conversation, answer included: the sessions and turns that have come to it."""

    def __len__(self) -> int:
        """How many are going on."""
        return len(self._going)

    def place(
        self,
        request: Mapping[str, Any],
        *,
        owner: str,
        named: tuple[str, str] | None,
        turn_type: str | None,
        fresh_id: str,
        now: float,
    ) -> Placed:
        """Returns where a request belongs.

        Args:
            request: in the chat shape.
            owner: run and user.
            named: the session's name and the rule that gave it, a header or a key. None: neither.
            turn_type: what the client says of it; None or another word: nothing.
            fresh_id: the name of a session that begins.
            now: seconds since 1970.
        """
        messages: Sequence[Message] = request["messages"]
        chain = chained(messages, owner)
        found = self._found(chain, None if named is None else named[0])
        session = self._going.get(found[0]) if found else None
        if named is not None:
            session = self._going.get(named[0])
        said = _TYPES.get(turn_type or "")
        type_, why = (said, "header") if said else self._type(request, session, found, owner, now)
        if named is None and session is None and type_ == "side":
            session = self._beside(owner, now)
        after, fresh = (found[1], len(messages) - found[2]) if found else (None, len(messages))
        new = session is None
        if session is None:
            session = Going(named[0] if named else fresh_id, owner, "record")
            self._going[session.id] = session
        self._touch(session, now)
        rule = f"{why}; session by {named[1] if named else 'history' if found else 'itself'}"
        return Placed(session, new, named is not None, type_, rule, after, fresh, chain)

    def _found(self, chain: Sequence[bytes], name: str | None) -> tuple[str, str, int] | None:
        """Returns session, turn and length of the longest conversation that a request begins with;
        of several that came to the same, the one that nobody has gone on from."""
        for at in range(len(chain) - 1, -1, -1):
            held = self._states.get(chain[at], ())
            some = [(s, t) for s, t in held if s in self._going and name in (None, s)]
            open_ = [(s, t) for s, t in some if not self._going[s].taken(t)]
            if some:
                return *(open_ or some[-1:])[0], at + 1
        return None

    def _type(
        self,
        request: Mapping[str, Any],
        session: Going | None,
        found: tuple[str, str, int] | None,
        owner: str,
        now: float,
    ) -> tuple[TurnType, str]:
        messages: Sequence[Message] = request["messages"]
        tools = bool(request.get("tools"))
        most = request.get("max_tokens", request.get("max_completion_tokens"))
        if most == 1:
            return "side", "one token asked for"
        asks = " ".join(text_of(m) for m in (*_system(messages), *messages[-1:]))
        if not tools and _BESIDE.search(asks[:4000]):
            return "side", "asks for a title or a summary"
        if session is not None and found is not None:
            return "main", "goes on"
        beside = session or self._beside(owner, now)
        if (
            beside is not None
            and not tools
            and beside.tools
            and beside.system != system_of(messages)
        ):
            return "side", "no tools, other instructions"
        return "main", "opens" if session is None else "another history"

    def _beside(self, owner: str, now: float) -> Going | None:
        """Returns the session of an owner that was last heard of, if that is not long ago."""
        for going in reversed(self._going.values()):
            if going.owner == owner:
                return going if now - going.seen <= _NEAR else None
        return None

    def _touch(self, session: Going, now: float) -> None:
        session.seen = now
        self._going.move_to_end(session.id)
        while len(self._going) > self._most:
            self._going.popitem(last=False)
        while len(self._states) > 2 * self._most:
            self._states.popitem(last=False)

    @contextmanager
    def under_way(self, placed: Placed) -> Generator[None]:
        """Holds the turn that a request goes on from: meanwhile one that begins alike goes on from
        another, where another attempt came to the same."""
        held, turn = placed.session.held, placed.after
        if turn is not None:
            held.add(turn)
        try:
            yield
        finally:
            if turn is not None:
                held.discard(turn)

    def answered(
        self, session: Going, turn: str, request: Mapping[str, Any], answer: Message
    ) -> None:
        """Takes in that a main turn of a session was answered."""
        messages: Sequence[Message] = request["messages"]
        state = chained([*messages, answer], session.owner)[-1]
        held = self._states.setdefault(state, [])
        held[:] = [*held[1 - _SAME :], (session.id, turn)]
        self._states.move_to_end(state)
        session.tools, session.system = tools_of(request), system_of(messages)

    def idle(self, *, before: float) -> list[Going]:
        """Returns the sessions of which nothing was heard since, and forgets them."""
        old = [each for each in self._going.values() if each.seen < before]
        for each in old:
            del self._going[each.id]
        return old

    def drop(self, name: str) -> Going | None:
        """Forgets a session that is over."""
        return self._going.pop(name, None)

    def restore(self, sessions: Iterable[Session]) -> None:
        """Takes up sessions of a store where they were left, the one last heard of last."""
        for each in sorted(sessions, key=lambda each: each.last_at):
            owner = owner_of(each.run, each.user)
            going = Going(each.id, owner, each.consent, each.policy_version, len(each.turns))
            going.seen = each.last_at
            self._going[each.id] = going
            for seen in each.turns:
                if seen.turn.turn_type != "main":
                    continue
                request = {"messages": seen.messages, "tools": seen.tools}
                self.answered(going, seen.turn.id, request, seen.turn.answer)
                going.turn = seen.turn.id
                if seen.next_state is not None:
                    going.answered.add(seen.turn.id)
                going.ids = None
                if seen.prompt_ids is not None and seen.completion_ids is not None:
                    going.ids = seen.prompt_ids + seen.completion_ids


def shared(before: "array[int] | None", prompt: "array[int]") -> int:
    """Returns how many ids a prompt begins with that a conversation before it begins with too."""
    if before is None:
        return 0
    most = min(len(before), len(prompt))
    if before[:most] == prompt[:most]:
        return most
    low, high = 0, most  # the first difference lies in [low, high)
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if before[low:middle] == prompt[low:middle] else (low, middle)
    return low


def chained(messages: Sequence[Message], owner: str) -> list[bytes]:
    """Returns a digest of each beginning of a conversation, the whole last."""
    found: list[bytes] = []
    digest = hashlib.blake2b(owner.encode(), digest_size=16)
    for message in messages:
        digest.update(_said(message))
        found.append(digest.digest())
    return found


def begun(session: Session) -> tuple[bytes, ...]:
    """Returns digests of what the conversations of a session began with, as `chained` has them: the
    first answer and all before it. Whatever goes on from one begins with it too. And those of the
    names of its requests: one that is sent again is of it, whatever it says."""
    main = [each for each in session.turns if each.turn.turn_type == "main"]
    firsts = [each for each in main if each.turn.after is None]
    owner = owner_of(session.run, session.user)
    told = [chained([*each.messages, each.turn.answer], owner)[-1] for each in firsts]
    names = [named for each in session.turns for named in request_of(each.turn.request)]
    return (*told, *names)


def request_of(name: str) -> list[bytes]:
    """Returns what stands for a request's name among digests; nothing: it has none."""
    return [hashlib.blake2b(f"request {name}".encode(), digest_size=16).digest()] if name else []


def owner_of(run: str, user: str) -> str:
    """Returns whose requests may go on with a session."""
    return f"{run}\0{user}"


def _said(message: Message) -> bytes:
    """Returns what a message says, however its client writes it: without ids, thoughts, white space
    at its ends, and the form of its arguments."""
    calls = [
        (call.get("function") or {}) for call in message.get("tool_calls") or () if call is not None
    ]
    said = [
        _role(message),
        text_of(message).strip(),
        *([str(call.get("name", "")), _canonical(call.get("arguments"))] for call in calls),
    ]
    return msgspec.json.encode(said)


def _role(message: Message) -> str:
    role = str(message.get("role", ""))
    return "system" if role == "developer" else role


def _canonical(arguments: Any) -> str:
    if not isinstance(arguments, str):
        return json.dumps(arguments, sort_keys=True)
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def text_of(message: Message) -> str:
    """Returns the text of a message: a string, or the texts of its parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast("list[Any]", content)
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _system(messages: Sequence[Message]) -> list[Message]:
    return [each for each in messages[:2] if _role(each) == "system"]


def system_of(messages: Sequence[Message]) -> str:
    """Returns a digest of the instructions at the beginning; empty: none."""
    said = b"".join(_said(each) for each in _system(messages))
    return hashlib.blake2b(said, digest_size=8).hexdigest() if said else ""


def tools_of(request: Mapping[str, Any]) -> str:
    """Returns a digest of a request's tools; empty: none."""
    tools = request.get("tools")
    if not tools:
        return ""
    return hashlib.blake2b(msgspec.json.encode(tools), digest_size=8).hexdigest()
