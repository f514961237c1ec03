"""Who may ask for what: what is refused before anything is read into it."""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, final

import msgspec

from assay.errors import AssayError, UsageError
from assay.live import keys
from assay.live.keys import Key
from assay.records.live import Consent

_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME: Final = re.compile(r"[\x21-\x7e]{1,128}")
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
ORDER: Final[tuple[Consent, ...]] = ("none", "record", "train")
ANSWERS: Final = 8
"""That a request may ask for at once."""
_DECIDE: Final = (
    *("authorization", "x-api-key", "host", "content-type", "content-length"),
    *("idempotency-key", "x-request-id", "x-session-id", "x-turn-type", "x-assay-consent"),
)
"""Headers of which the first and the last must not say two things."""


class RefusedError(AssayError):
    """A request that goes no further; `status` is what its client gets."""

    def __init__(self, status: int, message: str, after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.after = status, after


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a request may be."""

    body: int = 8 << 20
    """Bytes."""
    depth: int = 64
    """Lists and objects in each other."""
    messages: int = 4096
    tokens: int = 131_072
    """That it may ask for."""
    at_once: int = 256
    """Requests under way."""
    answer: int = 64 << 20
    """Bytes of an answer."""
    patience: float = 5.0
    """Seconds that a turn to train on waits for room in the store; then its client is asked to come
    again."""
    upload: float = 60.0
    """Seconds in which a body must be there."""


def check_run(run: str) -> None:
    """Raises UsageError where no address of a gateway can have a run's name."""
    if _RUN.fullmatch(run) is None:
        raise UsageError(
            f"--run {run}: no address has it; expected 1 to 64 of A-Z a-z 0-9 . _ -, the first a "
            "letter or digit"
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a gateway asks of a request's headers."""

    secret: bytes
    needs_key: bool
    consent: Consent
    """What may be done with sessions whose key says nothing."""
    hosts: frozenset[str] | None
    """Names by which it may be called. None: any."""

    def check(self, run: str, headers: Mapping[str, str], now: float) -> Key:
        """Returns what a request may do.

        Raises:
            RefusedError: nothing: from a page in a browser, under another host's name, of no run,
                without a key where one is needed, or with a wrong one.
        """
        if "origin" in headers or headers.get("sec-fetch-mode"):
            raise RefusedError(403, "requests of pages in a browser are not taken")
        if self.hosts is not None and _host(headers.get("host", "")) not in self.hosts:
            raise RefusedError(403, "called by another name than the gateway has")
        if _RUN.fullmatch(run) is None:
            raise RefusedError(404, "no such run: 1 to 64 of A-Z a-z 0-9 . _ -")
        given = {each for each in _tokens(headers) if each.startswith(keys.PREFIX)}
        if not self.needs_key and not given:
            return Key(run=run)
        key = keys.opened(self.secret, given.pop(), now=now) if len(given) == 1 else None
        if key is None or not hmac.compare_digest(key.run.encode(), run.encode()):
            raise RefusedError(401, "no key, or a wrong one, or one of another run")
        return key

    def consent_of(self, key: Key, said: str | None) -> Consent:
        """Returns what may be done with a request's session: what its key or the gateway allows,
        and no more than its header says."""
        most = key.consent or self.consent
        if said is None:
            return most
        for each in ORDER:
            if each == said:
                return least(each, most)
        raise RefusedError(400, f"x-assay-consent: got {said[:20]!r}; expected {', '.join(ORDER)}")


def least(*consents: Consent) -> Consent:
    """Returns what all of some consents allow."""
    return min(consents, key=ORDER.index)


def consented(word: str) -> Consent:
    """Returns what a word allows.

    Raises:
        UsageError: it is none of the three.
    """
    for each in ORDER:
        if each == word:
            return each
    raise UsageError(f"--consent {word}: expected {', '.join(ORDER)}")


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Returns headers by their names in small letters.

    Raises:
        RefusedError: one that decides something comes twice and says two things, of which whoever
            stands between might have read the other.
    """
    found: dict[str, str] = {}
    for key, value in raw:
        name, said = key.decode("latin-1").lower(), value.decode("latin-1")
        if found.setdefault(name, said) != said and name in _DECIDE:
            raise RefusedError(400, f"{name}: comes twice, and says two things")
    return found


def _tokens(headers: Mapping[str, str]) -> Iterable[str]:
    """Yields what a request shows for a key: the scheme of a bearer is written in any case."""
    *scheme, word = headers.get("authorization", "").split() or [""]
    yield word if [each.lower() for each in scheme] in ([], ["bearer"]) else ""
    yield headers.get("x-api-key", "").strip()


def _host(value: str) -> str:
    """Returns a host without its port; empty: it is none."""
    found = _HOST.fullmatch(value.lower())
    return found[1].strip("[]") if found else ""


def name_in(headers: Mapping[str, str], key: str) -> str | None:
    """Returns a name that a header gives; None: it gives none.

    Raises:
        RefusedError: it is no name.
    """
    value = headers.get(key)
    if value is not None and _NAME.fullmatch(value) is None:
        raise RefusedError(400, f"{key}: expected 1 to 128 printable characters without spaces")
    return value


def parsed(body: bytes, limits: Limits) -> dict[str, Any]:
    """Returns the object that a body holds.

    Raises:
        RefusedError: it holds none, or one that is nested too deeply.
    """
    try:
        made = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RefusedError(400, "the body is no JSON object") from None
    if not isinstance(made, dict):
        raise RefusedError(400, "the body is no JSON object")
    if _deeper(made, limits.depth):
        raise RefusedError(400, f"the body is nested more than {limits.depth} deep")
    return cast("dict[str, Any]", made)


def _deeper(value: Any, most: int) -> bool:
    level: list[Any] = [value]
    for _ in range(most):
        following: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                following += [v for v in each.values() if isinstance(v, dict | list)]
            else:
                following += [v for v in each if isinstance(v, dict | list)]
        level = following
        if not level:
            return False
    return True


def check_size(request: Mapping[str, Any], limits: Limits) -> None:
    """Raises RefusedError where a request in the chat shape has too many messages, or asks for too
    many tokens or answers."""
    if len(request["messages"]) > limits.messages or not request["messages"]:
        raise RefusedError(400, f"expected 1 to {limits.messages} messages")
    for key in ("max_tokens", "max_completion_tokens"):
        most = request.get(key)
        if most is not None and (type(most) is not int or not 0 < most <= limits.tokens):
            raise RefusedError(400, f"{key}: expected 1 to {limits.tokens}")
    count = request.get("n")
    if count is not None and (type(count) is not int or not 0 < count <= ANSWERS):
        raise RefusedError(400, f"n: expected 1 to {ANSWERS}")


def check_bind(host: str, *, needs_key: bool, tls: bool) -> None:
    """Raises UsageError where others than this machine could reach a gateway without a key, or
    could listen in."""
    if host in LOOPBACK:
        return
    missing = [what for what, there in (("--keys", needs_key), ("--cert", tls)) if not there]
    if missing:
        raise UsageError(
            f"--host {host}: others can reach it; add {' and '.join(missing)}, or leave --host out"
        )
