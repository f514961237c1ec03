"""A request goes where it was sent, and what comes back has an end."""

import itertools
import urllib.request
from http.client import IncompleteRead
from typing import Any
from urllib.error import HTTPError

import pytest

from assay.errors import UsageError
from assay.files.web import check_address, refusal, sent
from tests.judges import server


def asked(url: str, **more: Any) -> bytes:
    request = urllib.request.Request(url, b"{}", {"Authorization": "Bearer k"})
    given: dict[str, Any] = {"timeout": 60.0, "most": 4, **more}
    return sent(request, **given)


def test_a_body_comes_whole_up_to_its_bound() -> None:
    with server.answering(200, "", [b"ab", b"cd"]) as url:
        assert asked(url) == b"abcd"
    long = pytest.raises(ValueError, match="longer than 4 bytes")
    with server.answering(200, "", [b"ab", b"cde"]) as url, long:
        asked(url)


def test_time_is_of_the_whole_answer() -> None:
    """The clock says 0, then 1 with each part: the third is one too late."""
    ticks = itertools.count()
    late = pytest.raises(TimeoutError, match="no whole answer in 2 s")
    with server.answering(200, "", [b"a", b"b", b"c"]) as url, late:
        asked(url, timeout=2.0, clock=lambda: float(next(ticks)))


def test_a_body_that_is_cut_is_none() -> None:
    with server.answering(200, "", [b"ab"], length=3) as url, pytest.raises(IncompleteRead):
        asked(url)


def test_a_redirect_is_followed_nowhere() -> None:
    with server.answering(200, "", [b"ok"]) as other, server.answering(302, other) as url:
        with pytest.raises(HTTPError) as found:
            asked(url)
        assert refusal(found.value) == f"302 to '{other}'; give that address"


def test_a_refusal_says_how_its_body_begins() -> None:
    with server.answering(503, "", [b"not \n now"]) as url:
        with pytest.raises(HTTPError) as found:
            asked(url)
        assert refusal(found.value) == "503 not now"


@pytest.mark.parametrize(
    "url", ["http://", "http://[bad/v1", "http://h:x/v1", "http://a b/v1", "ftp://a/v1", "a:80"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"judge .*: expected an address like"):
        check_address("judge", url)


def test_an_address_is_taken_and_a_key_that_no_header_can_hold_is_not() -> None:
    check_address("judge", "https://[::1]:8000/v1", "k")
    with pytest.raises(UsageError, match="a line end"):
        check_address("judge", "http://a/v1", "a\nb")
