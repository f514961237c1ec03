"""Pi and STS: expected values are those of tests/fixtures/make_sessions.py, by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Mark, ModelStep, Span, SystemStep, ToolStep, UserStep, decode, encode

FIXTURES = Path(__file__).parent.parent / "fixtures"


def read(path: Path, format: str) -> tuple[dict[str, Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == format
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return {one.id: one for one in found}, losses


def answers(one: Any) -> list[tuple[str, Any, Any]]:
    return [(s.name, s.call, s.error) for s in one.steps if type(s) is ToolStep]


def test_pi_sessions_are_read_as_they_lie():
    found, losses = read(FIXTURES / "pi" / "sessions", "pi")
    assert [(t.id, t.task, t.outcome, t.end, t.ledger.tokens) for t in found.values()] == [
        ("p1", "/home/ada/shop: Fix the total.", 0.75, "answered", 3 + 20 + 7),
        ("p2", "/home/ada/shop: Fix the total.", None, "budget", 9),  # 3 are p1's
        ("p3", "/home/ada/site: Hello", None, "infra", None),
    ]
    assert losses.counts == {
        "other_branch": 1,
        "branch_summary": 1,
        "compaction": 1,
        "copied_from_other_session": 1,
        "no_outcome": 2,
        "api_error": 1,
    }


def test_pi_reads_the_branch_of_the_last_entry():
    one = read(FIXTURES / "pi", "pi")[0]["p1"]
    assert "Which one?" not in [s.text for s in one.steps]
    assert [s.text for s in one.steps if type(s) is UserStep] == [
        "Fix the total.",
        "Fix the total in cart.py.",
    ]
    assert [s.text for s in one.steps if type(s) is SystemStep] == [
        "It asked which one.",
        "$ ls\ncart.py",  # the user's own command is no call of the agent's
        "cart.py is wrong.",
    ]
    assert one.marks == (
        Mark(kind="branch_summary", step=1, source="importer"),
        Mark(kind="compaction", step=7, source="importer"),
    )


def test_pi_pairs_by_id_and_says_what_failed():
    one = read(FIXTURES / "pi", "pi")[0]["p1"]
    step = one.steps[3]
    assert (step.text, step.spans) == ("Look.I look.", (Span(role="think", start=0, end=5),))
    assert answers(one) == [("bash", (3, 1), True), ("read", (3, 0), False)]


def test_what_a_fork_of_a_pi_session_copied_is_no_turn_of_its_own():
    one = read(FIXTURES / "pi", "pi")[0]["p2"]
    assert one.origin.extra["forked_from"] == "p1.jsonl"
    assert one.steps[1] == SystemStep(text="Which one?")
    assert [s.text for s in one.steps if type(s) is ModelStep] == ["I will"]


def test_session_traces_are_read():
    found, losses = read(FIXTURES / "sts", "sts")
    assert [(t.id, t.task, t.end, t.ledger.tokens) for t in found.values()] == [
        ("b1a2c3", "Add a page.", "answered", None),
        ("c1", "What is a borrow?", "answered", 4 + 5),
        ("c3", "Hi.", "unknown", None),
    ]
    one = found["b1a2c3"]
    assert answers(one) == [("ls", (2, 1), None), ("write", (2, 0), None)]
    assert one.steps[2].text == "Write it."
    assert one.policy_version == "small-1"
    # the current node is the second answer: the first and what followed it are another branch
    assert [s.text for s in found["c1"].steps] == ["What is a borrow?", "A reference."]
    assert losses.counts == {"no_outcome": 3, "other_branch": 2, "no_messages": 1}


def test_a_verdict_is_of_a_file_with_one_session(tmp_path: Path):
    for name in ("agent", "talk"):
        source = FIXTURES / "sts" / f"{name}.jsonl"
        (tmp_path / source.name).write_bytes(source.read_bytes())
        (tmp_path / f"{name}.result.json").write_text('{"resolved": true}')
    found, _ = read(tmp_path, "sts")
    assert {t.id: t.outcome for t in found.values()} == {"b1a2c3": 1.0, "c1": None, "c3": None}


def test_calls_may_be_json_text(tmp_path: Path):
    calls = json.dumps([{"id": "f", "function": {"name": "ls", "arguments": "{}"}}])
    lines = [
        {"type": "session", "harness": "h", "id": "s"},
        {"type": "message", "message": {"role": "assistant", "content": "", "toolCalls": calls}},
    ]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (step,) = read(path, "sts")[0]["s"].steps
    assert [(c.name, c.id) for c in step.calls] == [("ls", "f")]
    lines[1] = {"type": "message", "message": {"role": "robot", "content": ""}}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=r"line 2\.message\.role: got str \"robot\""):
        read(path, "sts")
