"""Secrets of every kind go, ordinary text stays, lengths hold."""

import msgspec
import pytest

from assay.records import Call, ModelStep, Span, ToolStep, Trajectory, UserStep
from assay.records.codec import decode
from assay.report.redact import Redactor
from assay.report.store import body

# assembled here, so that no scanner takes this file for a leak
SECRETS = {
    "api_key": "sk-" + "proj-Ab3dEf6hIj9kLm2nOp5q",
    "aws_key": "AKIA" + "IOSFODNN7EXAMPLE",
    "github_token": "ghp_" + "a1B2" * 9,
    "gitlab_token": "glpat-" + "x9Y8z7W6v5U4t3S2r1Q0",
    "slack_token": "xoxb-" + "123456789012-abcdefGHIJKL",
    "google_key": "AIza" + "Sy0123456789abcdefghijklmnopqrstuvw"[:35],
    "huggingface_token": "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "package_token": "npm_" + "abcdefghij0123456789ABCDEFGHIJ012345",
    "stripe_key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "web_token": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAbC+/=\n-----END RSA PRIVATE KEY-----",
}
INSIDE = {
    "bearer_token": ("Authorization: Bearer ", "abcDEF0123456789ghiJKL", "\nAccept: */*"),
    "basic_auth": ("Authorization: Basic ", "dXNlcjpwYXNzd29yZA==", " and more"),
    "url_password": ("postgres://", "admin:hunter2secret", "@db.example.com:5432/x"),
    "named_secret": ('{"password": "', "correct-horse-battery", '"}'),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_hidden_counted_and_keeps_its_length(kind: str):
    redactor = Redactor()
    secret = SECRETS[kind]
    clean = redactor.text(f"the key {secret} is here")
    assert secret not in clean
    assert f"[redacted {kind}]"[: len(secret)] in clean
    assert len(clean) == len(f"the key {secret} is here")
    assert clean.startswith("the key ")
    assert clean.endswith(" is here")
    assert redactor.counts == {kind: 1}


@pytest.mark.parametrize("kind", INSIDE)
def test_only_the_secret_part_is_hidden(kind: str):
    before, secret, after = INSIDE[kind]
    redactor = Redactor()
    clean = redactor.text(before + secret + after)
    assert clean.startswith(before)
    assert clean.endswith(after)
    assert secret not in clean
    assert len(clean) == len(before + secret + after)
    assert redactor.counts == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "task-12 asks for a bearer of bad news in Asia",
        "https://example.com/a:b@c is a path, not a password",
        "The password is required. sk-short",
        '{"key": "5d7fcb", "price": 396}',
        "desk-lamp-with-a-very-long-name-indeed",
        "basic economy, passengers: Omar Davis",
    ],
)
def test_ordinary_text_stays(text: str):
    redactor = Redactor()
    assert redactor.text(text) == text
    assert redactor.counts == {}


def test_every_text_of_a_record_is_searched_and_spans_hold():
    secret = SECRETS["github_token"]
    trajectory = Trajectory(
        id=f"a {secret}",
        task="t",
        group="g",
        rewards={secret: 1.0},
        reference=secret,
        steps=(
            ModelStep(
                text=f"use {secret} now",
                calls=(Call(name="call", arguments=f'{{"t": "{secret}"}}'),),
                spans=(Span(role="think", start=0, end=44),),
            ),
            ToolStep(text=secret, call=(0, 0)),
        ),
    )
    redactor = Redactor()
    clean = decode(redactor.line(msgspec.json.encode(trajectory)))
    assert secret not in str(clean)
    assert redactor.counts == {"github_token": 6}
    step = clean.steps[0]
    assert isinstance(step, ModelStep)
    assert len(step.text) == 48  # "use " + 40 characters + " now"
    assert step.spans == (Span(role="think", start=0, end=44),)


def test_a_record_without_secrets_is_returned_as_it_is():
    line = msgspec.json.encode(Trajectory(id="a", task="t", group="g"))
    assert Redactor().line(line) is line


def test_a_text_that_records_share_is_searched_once_and_counts_for_each():
    secret = SECRETS["github_token"]
    steps = (UserStep(text=f"use {secret}"), ModelStep(text=f"I used {secret}"))
    mine = Trajectory(id="a", task="t", group="g", steps=steps)
    other = Trajectory(id="b", task="t", group="g", steps=steps[:1], reference=secret)
    redactor = Redactor()
    clean = body(map(msgspec.json.encode, (mine, other)), redactor)
    assert secret.encode() not in clean
    assert redactor.counts == {"github_token": 4}
    found = msgspec.json.decode(clean)
    assert len(found["texts"]) == 2
    assert [[step["text"] for step in each["steps"]] for each in found["records"]] == [[0, 1], [0]]


@pytest.mark.parametrize("kind", [*SECRETS, *INSIDE])
@pytest.mark.parametrize("around", ["{}", "a\n{}\n", '"{}"', "\x1b{}", "é{}é ", "key={}"])
def test_what_a_text_holds_is_found_in_its_json_too(kind: str, around: str):
    text = around.format("".join(INSIDE[kind]) if kind in INSIDE else SECRETS[kind])
    alone, inside = Redactor(), Redactor()
    line = msgspec.json.encode({"id": "x", "steps": [{"text": text}]})
    assert msgspec.json.decode(inside.line(line))["steps"][0]["text"] == alone.text(text)
    assert inside.counts == alone.counts
    if not around.startswith(("é", "key")):  # a word before it, and it is no secret any more
        assert alone.counts
