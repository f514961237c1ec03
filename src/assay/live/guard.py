"""Who may ask for what: what is refused before anything is read into it."""

import hmac
import re
from collections.abc import Mapping
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
ORDER: Final[tuple[Consent, ...]] = ("none", "record", "train")


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
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        given = given or headers.get("x-api-key", "")
        if not self.needs_key and not given.startswith(keys.PREFIX):
            return Key(run=run)
        key = keys.opened(self.secret, given, now=now)
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
                return each if ORDER.index(each) < ORDER.index(most) else most
        raise RefusedError(400, f"x-assay-consent: got {said[:20]!r}; expected {', '.join(ORDER)}")


def consented(word: str) -> Consent:
    """Returns what a word allows.

    Raises:
        UsageError: it is none of the three.
    """
    for each in ORDER:
        if each == word:
            return each
    raise UsageError(f"--consent {word}: expected {', '.join(ORDER)}")


def _host(value: str) -> str:
    """Returns a host without its port."""
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


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
        if most is not None and (not isinstance(most, int) or not 0 < most <= limits.tokens):
            raise RefusedError(400, f"{key}: expected 1 to {limits.tokens}")
    if request.get("n") not in (None, 1, 2, 3, 4, 5, 6, 7, 8):
        raise RefusedError(400, "n: expected 1 to 8")


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
