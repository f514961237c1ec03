"""One request over HTTP: it goes where it was sent and nowhere else, and its answer has an end."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException, IncompleteRead
from typing import Any, Final
from urllib.parse import urlsplit

from assay.errors import UsageError

_PART: Final = 1 << 16


class _Still(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would go to whoever is named, and a POST become a GET."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> None:
        """Returns None: the redirect is a refusal."""
        del req, fp, code, msg, headers, newurl


def check_address(who: str, url: str, key: str | None = None) -> None:
    """Refuses what is no http address, and a key that no header can hold.

    Raises:
        UsageError: it is one of these; `who` is named.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, or no IPv6 address
        known = False
    if not known or not url.isprintable() or " " in url:
        raise UsageError(f"{who} {url!r}: expected an address like http://127.0.0.1:8000/v1")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise UsageError(f"{who} {url!r}: the key has a line end or another odd character")


def sent(
    request: urllib.request.Request,
    *,
    timeout: float,
    most: int,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Returns the body of the answer.

    Args:
        request: is sent to its address; a redirect is followed nowhere.
        timeout: seconds, of each wait for the server and, once it answers, of all.
        most: bytes that the body may have.
        clock: seconds.

    Raises:
        HTTPError: the server refuses, or names another address.
        TimeoutError: the answer is not whole in time.
        ValueError: it is longer than `most`.
        OSError: nobody answers.
        HTTPException: the answer is not HTTP.
    """
    until, parts, size = clock() + timeout, list[bytes](), 0
    with urllib.request.build_opener(_Still).open(request, timeout=timeout) as answer:
        while part := answer.read1(_PART):
            parts.append(part)
            size += len(part)
            if size > most:
                raise ValueError(f"the answer is longer than {most:,} bytes")
            if clock() > until:
                raise TimeoutError(f"no whole answer in {timeout:g} s")
    if answer.length:  # left of what its head had promised
        raise IncompleteRead(b"".join(parts), answer.length)
    return b"".join(parts)


def refusal(error: urllib.error.HTTPError) -> str:
    """Returns status and address or beginning of the body of a refusal, on one line."""
    with error, suppress(OSError, HTTPException):
        if 300 <= error.code < 400:
            return f"{error.code} to {error.headers.get('Location', '')[:200]!r}; give that address"
        read: Any = getattr(error, "read1", error.read)
        return f"{error.code} {' '.join(read(200).decode('utf-8', 'replace').split())}"
    return str(error.code)
