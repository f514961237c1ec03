"""Who may ask for what: headers, keys, names of runs and sessions, addresses, sizes. Nothing here
goes over a socket; tests/live/test_refused.py has what a server adds."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import UsageError
from assay.live.gateway import _with  # pyright: ignore[reportPrivateUsage]
from assay.live.guard import (
    ORDER,
    Guard,
    Limits,
    RefusedError,
    check_bind,
    check_size,
    consented,
    headers_of,
    least,
    name_in,
    parsed,
)
from assay.live.keys import LONGEST, Key, minted, opened, secret_of
from assay.live.store import Store
from assay.records.live import Version
from tests.live.inside import SAID, SECRET, asked, call, gateway

GOOD = minted(SECRET, Key(run="r"))


def guard(**more: Any) -> Guard:
    given: dict[str, Any] = {"needs_key": True, "consent": "record", "hosts": None, **more}
    return Guard(secret=SECRET, **given)


def refused(said: Guard, run: str = "r", **headers: str) -> int | None:
    """Returns the status with which a request is refused; None: it is not."""
    try:
        said.check(run, {name.replace("_", "-"): text for name, text in headers.items()}, 100.0)
    except RefusedError as error:
        return error.status
    return None


# --- keys


def signed(payload: bytes, secret: bytes = SECRET) -> str:
    """A key by the book: RFC 4648 without padding, and RFC 2104's HMAC written out."""
    text = base64.urlsafe_b64encode(payload).rstrip(b"=")
    block = secret.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + text).digest()
    mac = hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()
    return f"sk-assay.{text.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_key_is_its_payload_signed() -> None:
    made = minted(SECRET, Key(run="r", user="ann"))
    payload = made.split(".")[1]
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert json.loads(said) == {"run": "r", "user": "ann"}
    assert made == signed(said)
    assert opened(SECRET, signed(b'{"run":"x","session":"s"}'), now=0.0) == Key("x", "s")


@given(st.text(max_size=8), st.none() | st.text(max_size=8), st.sampled_from([None, *ORDER]))
def test_what_is_minted_is_opened_by_its_own_secret_alone(run: str, session: Any, most: Any):
    key = Key(run=run, session=session, consent=most, until=50.0)
    text = minted(SECRET, key)
    assert opened(SECRET, text, now=49.0) == key
    assert opened(SECRET, text, now=50.0) is None
    assert opened(b"t" * 32, text, now=49.0) is None


@given(st.integers(0, len(GOOD) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_key_with_another_letter_is_none(at: int, letter: str) -> None:
    other = GOOD[:at] + letter + GOOD[at + 1 :]
    assert (opened(SECRET, other, now=0.0) is None) == (other != GOOD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-assay.",
        GOOD.removeprefix("sk-assay."),
        GOOD + "\xe9",
        signed(b"[]"),
        signed(b"{}"),
        signed(b'{"run": "r", "consent": "all"}'),
        signed(b"\xff"),
        signed(b'{"run": "' + b"r" * LONGEST + b'"}'),
        f"sk-assay.a.{hmac.new(SECRET, b'a', 'sha256').hexdigest()}",
        signed(b"").replace(".", "..", 1),
    ],
)
def test_what_is_no_key_opens_nothing(text: str) -> None:
    assert opened(SECRET, text, now=0.0) is None


def test_a_payload_that_is_no_base64_is_none() -> None:
    mac = base64.urlsafe_b64encode(hmac.digest(SECRET, b"a", "sha256")).decode().rstrip("=")
    assert opened(SECRET, f"sk-assay.a.{mac}", now=0.0) is None


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Any) -> None:
    made = secret_of(tmp_path)
    assert secret_of(tmp_path) == made
    assert len(made) == 64
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(Exception, match="5 bytes; expected a secret of 32"):
        secret_of(tmp_path)
    (tmp_path / "secret").write_bytes(b"x" * 32 + b"\n")
    assert secret_of(tmp_path) == b"x" * 32
    with pytest.raises(Exception, match="expected the secret of keys"):
        secret_of(tmp_path / "nowhere")


# --- what a request shows


def test_a_key_opens_its_run_and_no_other() -> None:
    assert refused(guard(), authorization=f"Bearer {GOOD}") is None
    assert refused(guard(), authorization=f"bearer  {GOOD} ") is None
    assert refused(guard(), authorization=GOOD) is None
    assert refused(guard(), x_api_key=GOOD) is None
    assert refused(guard(), authorization="Bearer any", x_api_key=GOOD) is None
    assert refused(guard(), run="q", x_api_key=GOOD) == 401
    assert refused(guard(), authorization=f"Basic {GOOD}") == 401
    assert refused(guard(), authorization=f"Bearer x {GOOD}") == 401
    assert refused(guard()) == 401
    assert refused(guard(), x_api_key="sk-other") == 401


def test_two_keys_that_differ_are_none() -> None:
    """Whoever stands before the gateway may have read the other one."""
    other = minted(SECRET, Key(run="r", user="bob"))
    assert refused(guard(), authorization=f"Bearer {GOOD}", x_api_key=GOOD) is None
    assert refused(guard(), authorization=f"Bearer {GOOD}", x_api_key=other) == 401


def test_where_no_key_is_needed_one_of_this_gateway_is_read_all_the_same() -> None:
    """In any spelling: what its owner did not agree to is not had by writing "bearer"."""
    open_ = guard(needs_key=False, consent="train")
    careful = minted(SECRET, Key(run="r", consent="none"))
    for said in (f"Bearer {careful}", f"bearer {careful}", f"BEARER {careful}"):
        assert open_.check("r", {"authorization": said}, 1.0).consent == "none"
    both = {"authorization": "Bearer any", "x-api-key": careful}
    assert open_.check("r", both, 1.0).consent == "none"
    assert open_.check("r", {"authorization": "Bearer sk-any"}, 1.0) == Key(run="r")
    assert refused(open_, x_api_key=GOOD[:-1]) == 401


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8400", True),
        ("LocalHost:1", True),
        ("[::1]", True),
        ("[::1]:8400", True),
        ("", False),
        ("localhost.evil.example", False),
        ("evil.example:8400", False),
        ("127.0.0.1.evil.example", False),
        ("localhost:8400@evil.example", False),
        ("localhost:evil.example", False),
        ("localhost:123456", False),
        ("[::1].evil.example", False),
        ("[::1", False),
        ("::1", False),
        ("127.0.0.1 evil.example", False),
        ("127.0.0.1, evil.example", False),
    ],
)
def test_names_by_which_it_is_called(host: str, taken: bool) -> None:
    """A page whose name is made to point here calls it by its own: DNS rebinding."""
    local = guard(needs_key=False, hosts=frozenset({"127.0.0.1", "localhost", "::1"}))
    assert (refused(local, host=host) is None) == taken
    assert refused(guard(needs_key=False), host=host) is None, "no names: any"


def test_pages_in_a_browser_get_nothing() -> None:
    for said in ({"origin": "http://localhost:8400"}, {"origin": "null"}, {"origin": ""}):
        assert refused(guard(needs_key=False), **said) == 403
    assert refused(guard(needs_key=False), sec_fetch_mode="cors") == 403
    assert refused(guard(needs_key=False), sec_fetch_mode="") is None


@pytest.mark.parametrize(
    ("run", "taken"),
    [
        ("r", True),
        ("my.run_2-b", True),
        ("r" * 64, True),
        ("r" * 65, False),
        ("r" * 1_000_000, False),
        ("", False),
        ("..", False),
        (".hidden", False),
        ("a b", False),
        ("a\n", False),
        ("a\x00b", False),
        ("a/b", False),
        ("é", False),
    ],
)
def test_names_of_runs(run: str, taken: bool) -> None:
    assert refused(guard(needs_key=False), run=run) == (None if taken else 404)


def test_a_header_that_decides_is_there_once() -> None:
    """By RFC 9110 5.3 a header that is no list comes once; the first and the last of two were read
    by different servers before."""
    twice = [(b"Host", b"a"), (b"host", b"a"), (b"Accept", b"x"), (b"accept", b"y")]
    assert headers_of(twice) == {"host": "a", "accept": "x"}
    for name in (b"Authorization", b"X-Api-Key", b"Host", b"Content-Length", b"Content-Type",
                 b"X-Assay-Consent", b"X-Session-Id", b"X-Turn-Type", b"Idempotency-Key",
                 b"X-Request-Id"):  # fmt: skip
        with pytest.raises(RefusedError, match="comes twice") as told:
            headers_of([(name, b"1"), (name.lower(), b"2")])
        assert told.value.status == 400


def test_names_in_headers() -> None:
    assert name_in({}, "x-session-id") is None
    assert name_in({"x-session-id": "a:b/c"}, "x-session-id") == "a:b/c"
    assert name_in({"x-session-id": "a" * 128}, "x-session-id") == "a" * 128
    for wrong in ("", "a b", "a" * 129, "\x7f", "a\n", "é"):
        with pytest.raises(RefusedError, match="1 to 128 printable"):
            name_in({"x-session-id": wrong}, "x-session-id")


# --- consent


@given(
    st.sampled_from(ORDER), st.none() | st.sampled_from(ORDER), st.none() | st.sampled_from(ORDER)
)
def test_a_header_can_only_lower_what_a_key_or_the_gateway_allows(own: Any, key: Any, said: Any):
    most = own if key is None else key
    found = guard(consent=own).consent_of(Key(run="r", consent=key), said)
    rank = {"none": 0, "record": 1, "train": 2}
    assert rank[found] == min(rank[most], rank[most if said is None else said])


def test_words_that_are_no_consent() -> None:
    for wrong in ("", "TRAIN", "train ", "train, none", "everything"):
        with pytest.raises(RefusedError, match="expected none, record, train") as told:
            guard().consent_of(Key(run="r"), wrong)
        assert told.value.status == 400
    assert consented("record") == "record"
    with pytest.raises(UsageError, match="--consent all: expected none, record, train"):
        consented("all")


@given(st.lists(st.sampled_from(ORDER), min_size=1))
def test_the_least_is_in_all_of_them(words: Any) -> None:
    assert least(*words) == sorted(words, key=["none", "record", "train"].index)[0]


# --- sizes


def depth(value: Any) -> int:
    """How deep lists and objects lie in each other, by recursion."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


NESTED = st.recursive(
    st.none() | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=2), NESTED, max_size=3), st.integers(1, 6))
def test_what_is_nested_deeper_than_it_may_be_is_refused(body: Any, most: int) -> None:
    """{} lies 1 deep, {"a": [1]} 2."""
    text = json.dumps(body).encode()
    if depth(body) <= most:
        assert parsed(text, Limits(depth=most)) == body
        return
    with pytest.raises(RefusedError, match=f"more than {most} deep") as told:
        parsed(text, Limits(depth=most))
    assert told.value.status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError, match="no JSON object") as told:
        parsed(body, Limits())
    assert told.value.status == 400


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"messages": [{}]}, None),
        ({"messages": [{}] * 3}, None),
        ({"messages": [{}] * 4}, "expected 1 to 3 messages"),
        ({"messages": []}, "expected 1 to 3 messages"),
        ({"messages": [{}], "max_tokens": 10}, None),
        ({"messages": [{}], "max_tokens": 11}, "max_tokens: expected 1 to 10"),
        ({"messages": [{}], "max_tokens": 0}, "max_tokens: expected 1 to 10"),
        ({"messages": [{}], "max_tokens": -1}, "max_tokens: expected 1 to 10"),
        ({"messages": [{}], "max_tokens": True}, "max_tokens: expected 1 to 10"),
        ({"messages": [{}], "max_tokens": 1.0}, "max_tokens: expected 1 to 10"),
        ({"messages": [{}], "max_completion_tokens": 11}, "max_completion_tokens: expected"),
        ({"messages": [{}], "n": 8}, None),
        ({"messages": [{}], "n": 9}, "n: expected 1 to 8"),
        ({"messages": [{}], "n": 0}, "n: expected 1 to 8"),
        ({"messages": [{}], "n": True}, "n: expected 1 to 8"),
        ({"messages": [{}], "n": [1]}, "n: expected 1 to 8"),
    ],
)
def test_how_much_may_be_asked_for(request_: Any, said: str | None) -> None:
    limits = Limits(messages=3, tokens=10)
    if said is None:
        return check_size(request_, limits)
    with pytest.raises(RefusedError, match=said) as told:
        check_size(request_, limits)
    assert told.value.status == 400
    return None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_alone_needs_neither_key_nor_certificate(host: str) -> None:
    check_bind(host, needs_key=False, tls=False)


@pytest.mark.parametrize(
    ("needs_key", "tls", "said"),
    [(False, False, "add --keys and --cert"), (True, False, "add --cert"), (False, True, "--keys")],
)
def test_others_need_both(needs_key: bool, tls: bool, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_bind("0.0.0.0", needs_key=needs_key, tls=tls)
    check_bind("0.0.0.0", needs_key=True, tls=True)


# --- addresses


@pytest.mark.parametrize(
    ("method", "path", "raw", "status"),
    [
        ("POST", "/r/r/v1/chat/completions", None, 200),
        ("GET", "/r/r/v1/models", None, 200),
        ("GET", "/r/r/v1/chat/completions", None, 405),
        ("PUT", "/r/r/v1/messages", None, 405),
        ("POST", "/r/r/v1/models", None, 405),
        ("HEAD", "/r/r/v1/models", None, 405),
        ("OPTIONS", "/r/r/v1/responses", None, 405),
        ("POST", "/", None, 404),
        ("POST", "/v1/chat/completions", None, 404),
        ("POST", "/r/r/chat/completions", None, 404),
        ("POST", "/r/r/v2/chat/completions", None, 404),
        ("POST", "/r/r/v1/load_lora_adapter", None, 404),
        ("GET", "/r/r/v1/models/", None, 404),
        ("GET", "/r/r/v1/models/m", None, 404),
        ("POST", "/r/r/v1/chat/completions/", None, 404),
        ("POST", "//r/r/v1/chat/completions", None, 404),
        ("POST", "/r/../v1/chat/completions", None, 404),
        ("POST", "/r/./v1/chat/completions", None, 404),
        ("POST", "/r//v1/chat/completions", None, 404),
        ("POST", "/r/r/../q/v1/chat/completions", None, 404),
        ("POST", "/r/a/b/v1/chat/completions", "/r/a%2Fb/v1/chat/completions", 404),
        ("POST", "/r/r/v1/chat/completions", "/r/r/v1/chat%2fcompletions", 404),
        ("POST", "/r/r/v1/chat/completions", "/r/%72/v1/chat/completions", 404),
        ("POST", "/r/a\n/v1/chat/completions", "/r/a%0a/v1/chat/completions", 404),
        ("POST", "/r/a\x00/v1/chat/completions", "/r/a\x00/v1/chat/completions", 404),
        ("POST", f"/r/{'a' * 100_000}/v1/chat/completions", None, 404),
        ("R\nX", "/r/r/v1/models", None, 405),
    ],
)
def test_four_addresses_and_no_other(method: str, path: str, raw: str | None, status: int) -> None:
    """What is refused is told in one line, nothing of what was sent in it."""
    live = gateway(None)
    found = call(live, method=method, path=path, raw_path=raw)
    assert found.status == status
    if status != 200:
        assert asked(live) == []
        assert "\n" not in found.said
        assert len(found.body) < 400
        if "no such run" not in found.said:
            assert "POST /r/RUN/v1/chat/completions, POST /r/RUN/v1/responses" in found.said
            assert "POST /r/RUN/v1/messages, GET /r/RUN/v1/models" in found.said


def test_the_list_of_models_is_guarded_too() -> None:
    live = gateway(None, needs_key=True)
    for headers, status in (
        ({}, 401),
        ({"X-Api-Key": minted(SECRET, Key(run="q"))}, 401),
        ({"X-Api-Key": GOOD, "Host": "evil.example"}, 403),
        ({"X-Api-Key": GOOD}, 200),
    ):
        assert call(live, headers, path="/r/r/v1/models", method="GET").status == status


# --- what leads nowhere


def test_headers_that_say_two_things_reach_nobody() -> None:
    live = gateway(None, needs_key=True)
    bob = minted(SECRET, Key(run="r", user="bob"))
    twice = [("Authorization", f"Bearer {GOOD}"), ("Authorization", f"Bearer {bob}")]
    assert call(live, twice).status == 400
    assert call(live, [*twice[:1], *twice[:1]]).status == 200
    more = [("X-Api-Key", GOOD), ("Host", "127.0.0.1"), ("Host", "evil.example")]
    assert call(live, more).status == 400
    consents = [("X-Api-Key", GOOD), ("X-Assay-Consent", "train"), ("X-Assay-Consent", "none")]
    assert call(live, consents).status == 400
    assert len(asked(live)) == 1


@pytest.mark.parametrize(
    "length", ["-1", "1e3", "0x10", "²", "+5", "", "1,1", "9" * 400, "9" * 5000]
)
def test_a_length_that_is_none_is_refused(length: str) -> None:
    assert call(gateway(None), {"Content-Length": length}).status == 413


def test_a_body_is_as_long_as_it_may_be_and_no_longer() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 50}]}).encode()
    for most, status in ((len(body), 200), (len(body) - 1, 413)):
        live = gateway(None, limits=Limits(body=most))
        assert call(live, body=body).status == status
        assert call(live, {"Content-Length": str(len(body))}, body).status == status
        assert call(live, {"Content-Length": "1"}, body).status == status, "whatever it says"
        assert call(live, {"Content-Length": str(most + 1)}, body).status == 413, (
            "before it is read"
        )


def test_a_session_of_another_user_is_not_reached_by_its_name(store: Store) -> None:
    """A slash in a name says nothing of whose it is: user "ann" with session "s" is "r/ann/s", and
    nobody with the session "ann/s" is "r/ann%2Fs"."""
    live = gateway(store)
    ann = {"X-Api-Key": minted(SECRET, Key(run="r", user="ann")), "X-Session-Id": "s"}
    key = {"X-Api-Key": minted(SECRET, Key(run="r", session="ann/s"))}
    odd = {"X-Api-Key": minted(SECRET, Key(run="r", user="ann/s")), "X-Session-Id": "t%2F"}
    names = [
        call(live, each).headers["x-assay-session"]
        for each in (ann, {"X-Session-Id": "ann/s"}, key, odd, {"X-Session-Id": "ann%2Fs"})
    ]
    assert names == ["r/ann/s", "r/ann%2Fs", "r/ann%2Fs", "r/ann%2Fs/t%252F", "r/ann%252Fs"]


def test_a_key_of_a_session_gets_nobody_s_kept_answer(store: Store) -> None:
    live = gateway(store)
    one, two = ({"X-Api-Key": minted(SECRET, Key(run="r", session=s)), "X-Request-Id": "1"}
                for s in ("one", "two"))  # fmt: skip
    found = [call(live, each) for each in (one, two, one, two)]
    assert [each.headers["x-assay-session"] for each in found] == ["r/one", "r/two"] * 2
    assert [each.headers["x-assay-recorded"] for each in found] == ["trainable"] * 2 + [
        "before"
    ] * 2
    assert len(asked(live)) == 2


@given(st.lists(st.none() | st.sampled_from(ORDER), min_size=1, max_size=5))
def test_consent_only_falls(said: list[Any]) -> None:
    """What a session's client took back stays so, whatever its next request says."""
    live = gateway(None)
    allowed = "train"
    for word in said:
        headers = {"X-Session-Id": "s", **({} if word is None else {"X-Assay-Consent": word})}
        assert call(live, headers).status == 200
        allowed = min(allowed, word or "train", key=["none", "record", "train"].index)
        (going,) = live.sessions._going.values()  # pyright: ignore[reportPrivateUsage]
        assert going.consent == allowed


# --- models


def served(store: Store, *names: str) -> None:
    events = [Version(at=1.0, name=name, state="served", path=f"/{name}") for name in names]
    store.append(*events, Version(at=2.0, name="pol-000009", state="made")).result(timeout=30)


def test_versions_that_serve_are_listed_beside_the_engine_s_models(store: Store) -> None:
    served(store, "pol-000001")
    found = call(gateway(store), path="/r/r/v1/models", method="GET")
    assert [each["id"] for each in json.loads(found.body)["data"]] == ["pol-000001"]
    listed = b'{"data": [{"id": "m"}, {"id": "pol-000001"}]}'
    assert _with(listed, ["pol-000001"]) == listed
    strange = b'{"data": 3}'
    assert _with(strange, ["pol-000001"]) == strange
    assert _with(b"no list", ["pol-000001"]) == b"no list"


@pytest.mark.parametrize(
    ("own", "model", "status"),
    [
        (None, "any", 200),
        (None, None, 200),
        (None, "", 200),
        (None, "pol-000001", 200),
        (None, "pol-000009", 404),
        (None, "pol-123456", 404),
        (None, "pol-1", 200),
        (None, "pol-000009x", 200),
        ("start", "start", 200),
        ("start", None, 200),
        ("start", "", 200),
        ("start", "pol-000001", 200),
        ("start", "pol-000009", 404),
        ("start", "any", 404),
        ("start", "Start", 404),
    ],
)
def test_models_by_their_names(store: Store, own: str | None, model: str | None, status: int):
    """A version answers once it serves: `made`, it was tried by nobody. An engine with one model
    has no other name for it; one with several decides itself."""
    served(store, "pol-000001")
    live = gateway(store, name=own)
    found = call(live, body={"messages": SAID["messages"], "model": model})
    assert found.status == status
    if status == 404:
        first = own or "a model of the engine"
        assert found.said == f"model '{model}': expected {first}, pol-000001"
    else:
        assert asked(live)[-1]["model"] == "pol-000001", "whatever it is called"


def test_a_version_that_the_engine_lost_is_not_asked_for_by_name(store: Store) -> None:
    """An engine that does not know it might answer with the base, and call it by that name."""
    served(store, "pol-000001", "pol-000002")
    live = gateway(store)
    live.versions.there = lambda name: name == "pol-000002"
    said = {"messages": SAID["messages"]}
    assert call(live, body={**said, "model": "pol-000001"}).status == 404
    assert call(live, body={**said, "model": "pol-000002"}).status == 200


def test_a_long_name_of_a_model_is_cut() -> None:
    found = call(gateway(None, name="start"), body={**SAID, "model": "x" * 10_000})
    assert (found.status, len(found.said)) == (404, len("model '': expected start") + 80)
