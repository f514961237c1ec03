"""What the spans of tools say and the messages of a conversation do not."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

from assay.importers.messages import as_text
from assay.importers.otel_messages import Message, arguments_form, given_of
from assay.importers.otel_spans import Event, Span
from assay.importers.otel_turns import Turn

_RESULTS = ("gen_ai.tool.call.result", "output.value")
_ARGUMENTS = ("gen_ai.tool.call.arguments", "input.value")
_IDS = ("gen_ai.tool.call.id", "tool.id")
_NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class _Use:
    """What a call, or the span of a tool, says of the tool's use."""

    of: Any
    """The call or the span."""
    id: str | None
    name: str | None
    given: dict[str, Any] | None
    """The arguments; None where they are not said."""
    since: int
    """Nanoseconds: when the model began to ask for it, or the tool to run."""
    until: int = _NEVER
    """When the model no longer waited for it."""

    @property
    def form(self) -> Hashable:
        return None if self.given is None else (self.name, arguments_form(self.given))


@final
class Tools:
    """The spans of tools that one agent used. Each is of one call: of the one with its id; where it
    has none of the one with its name and arguments, of its name alone where a side does not say its
    arguments, and of its name while the model waited where a side has some more, as defaults. Of
    several it is the first that began after the model asked for it."""

    def __init__(
        self, spans: Iterable[Span], errors: dict[str, Event], asked: Iterable[list[Turn]]
    ) -> None:
        """Pairs them, and counts those that are of no call.

        Args:
            spans: in the order of time.
            errors: the exception of a span, by its id.
            asked: the agent's conversations.
        """
        self._errors = errors
        self._of: dict[int, Span] = {}
        """The span of each call, by the identity of its object."""
        self._used: set[str] = set()
        ran = list(_ran(spans))
        self._pair(sorted((use for turns in asked for use in _asked(turns)), key=_since), ran)
        for use in ran:
            if use.of.id not in self._used:
                use.of.attributes.lose("tool_span_of_no_call")

    def _pair(self, asked: list[_Use], ran: list[_Use]) -> None:
        self._join(asked, lambda use: use.id, ran)
        bare = [use for use in ran if use.id is None]
        self._join(asked, lambda use: use.form, bare)
        self._join((use for use in asked if use.given is None), lambda use: use.name, bare)
        untold = [use for use in bare if use.given is None]
        self._join(asked, lambda use: use.name, untold)
        self._join(asked, lambda use: use.name, bare, alike=_alike)
        self._again(asked, ran)

    def _again(self, asked: list[_Use], ran: list[_Use]) -> None:
        """Where the one call of its kind ran again while the model waited, what ran last is it."""
        kind = {use.of.id: use.id or use.form or use.name for use in ran}
        waiting: dict[Hashable, list[_Use]] = {}
        for use in asked:
            if (span := self._of.get(id(use.of))) is not None:
                waiting.setdefault(kind[span.id], []).append(use)
        for use in ran:
            alike = waiting.get(kind[use.of.id], ())
            at = bisect_right(alike, use.since, key=_since) - 1
            alone = at == 0 or (at > 0 and alike[at - 1].since < alike[at].since)
            if use.of.id not in self._used and alone and use.since < alike[at].until:
                use.of.attributes.lose("tool_run_again")
                self._used.add(use.of.id)
                self._of[id(alike[at].of)] = use.of

    def _join(
        self,
        asked: Iterable[_Use],
        key: Callable[[_Use], Hashable],
        ran: Iterable[_Use],
        alike: Callable[[_Use, _Use], bool] | None = None,
    ) -> None:
        """Gives each call left the first span left of its key that ran after it, else the first of
        all; with `alike` the first that is alike while the model waited."""
        spans: dict[Hashable, list[_Use]] = {}
        for use in ran:
            if use.of.id not in self._used and (of := key(use)) is not None:
                spans.setdefault(of, []).append(use)
        for use in asked:
            same = spans.get(key(use))
            if not same or id(use.of) in self._of:
                continue
            at: int | None = bisect_left(same, use.since, key=_since)
            if alike is None:
                at = at if at < len(same) else 0
            else:
                end = bisect_left(same, use.until, key=_since)
                at = next((i for i in range(at, end) if alike(use, same[i])), None)
            if at is not None:
                span = same.pop(at).of
                self._of[id(use.of)] = span
                self._used.add(span.id)

    def complete(self, turns: list[Turn]) -> list[Turn]:
        """Returns the turns with the results that no message holds, and which results are errors
        where the span of the tool says so."""
        out: list[Turn] = []
        at = 0
        while at < len(turns):
            turn, at = turns[at], at + 1
            out.append(turn)
            calls = turn.message.get("tool_calls")
            if not turn.sampled or not isinstance(calls, list):
                continue
            results: list[Message] = []
            while at < len(turns) and turns[at].message.get("role") in ("tool", "function"):
                results.append(turns[at].message)
                out.append(turns[at])
                at += 1
            asked = [each for each in calls if isinstance(each, dict)]
            out += self._missing(asked, results)
        return out

    def _missing(self, calls: list[Message], results: list[Message]) -> Iterator[Turn]:
        by_id = {each.get("tool_call_id"): each for each in results}
        by_place = results if set(by_id) <= {None} else []
        for place, call in enumerate(calls):
            span = self._of.get(id(call))
            if span is None:
                continue
            named = call.get("id")
            result = by_id.get(named) if isinstance(named, str) else None
            if result is None and place < len(by_place):
                result = by_place[place]
            function = call.get("function")
            if isinstance(function, dict) and function.get("arguments") is None:
                function["arguments"] = _first(span, _ARGUMENTS)
            if result is None:
                yield Turn(self._result(span, named), sampled=False)
            elif span.failed:
                result["is_error"] = True

    def _result(self, span: Span, id: Any) -> Message:
        text = _first(span, _RESULTS)
        error = self._errors.get(span.id)
        if text is None and error is not None:
            text = _first_of(error.attributes.raw, ("exception.message", "exception.type"))
        text = text or span.said or _first(span, ("error.type",))
        if text is None:
            span.attributes.lose("result_not_captured")
        message: Message = {"role": "tool", "content": text or ""}
        if isinstance(id, str):
            message["tool_call_id"] = id
        return {**message, "is_error": True} if span.failed else message


def _name(span: Span) -> str:
    named = _first(span, ("gen_ai.tool.name", "tool.name"))
    return span.name if named is None else named


def _asked(turns: list[Turn]) -> Iterator[_Use]:
    """Yields the calls that a model made in a conversation."""
    until = _NEVER
    for turn in reversed(turns):
        calls = turn.message.get("tool_calls")
        if not turn.sampled:
            continue
        for call in calls if isinstance(calls, list) else ():
            if not isinstance(call, dict):
                continue
            function = call.get("function")
            about = function if isinstance(function, dict) else {}
            given = about.get("arguments")
            id, name = call.get("id"), about.get("name")
            yield _Use(
                call,
                id if isinstance(id, str) else None,
                name if isinstance(name, str) else None,
                None if given is None else given_of(given),
                turn.at,
                until,
            )
        until = turn.at


def _ran(spans: Iterable[Span]) -> Iterator[_Use]:
    """Yields what ran. Where some of a name say their arguments, one that has none had none."""
    uses = [_Use(s, _first(s, _IDS), _name(s), _given(s), s.start) for s in spans]
    told = {use.name for use in uses if _first(use.of, _ARGUMENTS) is not None}
    for use in uses:
        bare = use.name in told and _first(use.of, _ARGUMENTS) is None
        yield replace(use, given={}) if bare else use


def _given(span: Span) -> dict[str, Any] | None:
    said = next((span.attributes.raw[k] for k in _ARGUMENTS if span.attributes.raw.get(k)), None)
    return None if said is None else given_of(said)


def _since(use: _Use) -> int:
    return use.since


def _alike(one: _Use, other: _Use) -> bool:
    """Does a side say all arguments of the other?"""
    if one.given is None or other.given is None:
        return False
    mine, theirs = one.given.items(), other.given.items()
    return mine <= theirs or theirs <= mine


def _first(span: Span, keys: tuple[str, ...]) -> str | None:
    return _first_of(span.attributes.raw, keys)


def _first_of(raw: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((as_text(raw[key]) for key in keys if raw.get(key) is not None), None)
