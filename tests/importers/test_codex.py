"""Codex: expected values are those of tests/fixtures/make_codex.py, worked out there by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Mark, ModelStep, Span, SystemStep, ToolStep, UserStep, decode, encode

FIXTURE = Path(__file__).parent.parent / "fixtures" / "codex"
CALL = {"type": "function_call", "name": "f"}


def read(path: Path) -> tuple[dict[str, Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "codex"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return {one.id: one for one in found}, losses


def calls_of(one: Any) -> list[list[str | None]]:
    return [[c.id for c in s.calls] for s in one.steps if type(s) is ModelStep]


def test_a_folder_of_sessions_is_read_as_it_lies():
    found, losses = read(FIXTURE / "sessions")
    assert [(t.id, t.outcome, t.end, t.task) for t in found.values()] == [
        ("dddd", None, "unknown", "Hi."),
        ("aaaa", 0.0, "answered", "/home/ada/shop: Fix the total."),
        ("bbbb", None, "answered", "/home/ada/shop: Find the sum."),
        ("cccc", None, "unknown", "/home/ada/shop: Fix the total."),
        ("eeee", None, "budget", "/home/ada/shop: Read everything."),
    ]
    assert all(t.group == t.id for t in found.values())
    assert losses.counts == {
        "no_outcome": 4,
        "compaction": 1,
        "result_not_in_log": 1,
        "encrypted_reasoning": 1,
        "rolled_back": 1,
        "copied_line": 1,  # of the caller: its count is no line of the talk
        "copied_from_other_session": 2,
        "api_error": 1,
    }


def test_one_model_call_ends_at_its_count():
    one = read(FIXTURE)[0]["aaaa"]
    assert calls_of(one) == [["c1", "c2"], ["c3"], ["c4"], [None]]
    first = one.steps[4]
    assert (first.text, first.spans) == ("Look.I look.", (Span(role="think", start=0, end=5),))
    assert [c.arguments for s in one.steps if type(s) is ModelStep for c in s.calls] == [
        '{"command": ["cat", "cart.py"]}',
        '{"command": ["pytest"]}',
        '{"command": ["ls"',  # as the model wrote it
        '{"input": "*** Begin Patch"}',  # plain text is one argument
        '{"type": "search", "query": "sum in python"}',
    ]


def test_results_answer_by_id_and_their_header_says_whether_they_failed():
    one = read(FIXTURE)[0]["aaaa"]
    answers = [(s.call, s.error) for s in one.steps if type(s) is ToolStep]
    # c2 with code 1, c1 with code 0 though its text speaks of a traceback, c3 refused, c4 in JSON
    assert answers == [((4, 1), True), ((4, 0), False), ((7, 0), True), ((9, 0), False)]


def test_usage_counts_where_its_total_moved():
    found, _ = read(FIXTURE)
    # the second count repeats the first; what was taken back was paid for: 2
    assert found["aaaa"].ledger.tokens == 40 + 5 + 30 + 9 + 2
    assert found["bbbb"].ledger.tokens == 6 + 4  # not the 500 of its caller
    assert found["cccc"].ledger.tokens is None  # its own call has no count
    assert [found[name].ledger.calls for name in ("aaaa", "bbbb", "cccc")] == [5, 1, 1]


def test_what_was_taken_back_is_left_out():
    one = read(FIXTURE)[0]["aaaa"]
    assert [s.text for s in one.steps if type(s) is UserStep] == ["Fix the total."]
    assert one.steps[-1].text == "The total is fixed."
    assert one.steps[11] == SystemStep(text="The total was wrong.")
    assert one.marks == (Mark(kind="compaction", step=11, source="importer"),)


def test_copies_of_another_session_are_no_turns_of_this_one():
    found, _ = read(FIXTURE)
    assert found["bbbb"].origin.extra["called_by"] == "aaaa"
    assert [type(s) for s in found["bbbb"].steps] == [UserStep, ModelStep, ToolStep, ModelStep]
    fork = found["cccc"]
    assert fork.origin.extra["forked_from"] == "aaaa"
    assert [type(s) for s in fork.steps] == [
        *(UserStep, SystemStep, ToolStep, ToolStep, SystemStep, UserStep, ModelStep, ToolStep),
    ]
    assert [s.call for s in fork.steps if type(s) is ToolStep] == [None, None, (6, 0)]


def test_the_first_version_wrote_bare_items():
    one = read(FIXTURE)[0]["dddd"]
    assert calls_of(one) == [["c7"], ["c8"], []]  # no counts: a result ends a model call
    assert [(s.call, s.error) for s in one.steps if type(s) is ToolStep] == [
        ((1, 0), True),
        ((3, 0), None),
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Exit code: 0\nWall time: 1 seconds\nOutput:\nok", False),
        ("Exit code: 127\nWall time: 1 seconds\nOutput:\n", True),
        ("Command: ls\nChunk ID: 3\nWall time: 0.1\nProcess exited with code 2\nOutput:\n", True),
        ("Wall time: 0.1 seconds\nOutput:\nExit code: 1\n", None),  # text of the command
        ("Chunk ID: 3\nWall time: 0.1 seconds\nProcess running with session ID 4\n", None),
        ('{"output":"x","metadata":{"exit_code":1,"duration_seconds":0.0}}', True),
        ("unsupported call: shel", True),
        ("aborted by user after 3.0s", None),
    ],
)
def test_exit_codes(tmp_path: Path, text: str, error: bool | None):
    lines = [
        {"type": "session_meta", "payload": {"id": "s"}},
        {
            "type": "response_item",
            "payload": {"type": "function_call", "name": "f", "call_id": "c"},
        },
    ]
    output = {"type": "function_call_output", "call_id": "c", "output": text}
    lines.append({"type": "response_item", "payload": output})
    path = tmp_path / "rollout-1.jsonl"
    path.write_text("".join(json.dumps({"timestamp": "t", **line}) + "\n" for line in lines))
    assert read(path)[0]["s"].steps[-1].error is error


def test_a_rollout_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path):
    (source,) = FIXTURE.rglob("*bbbb.jsonl")
    path = tmp_path / source.name
    path.write_text(source.read_text()[:-30])
    found, losses = read(path)
    assert losses.counts["torn_record"] == 1
    assert found["bbbb"].end == "unknown"  # the last count is gone
    path.write_text('{"timestamp": "t", "type": "response_item", "payload": 7}\n')
    with pytest.raises(DataError, match="payload: got int 7"):
        load(path, format="codex")[1].__next__()


def test_ids_that_a_local_server_uses_again_are_no_copies(tmp_path: Path):
    for name in "ab":
        lines = [
            {"type": "session_meta", "payload": {"id": name}},
            {"type": "response_item", "payload": {**CALL, "call_id": "call_1"}},
        ]
        path = tmp_path / f"rollout-{name}.jsonl"
        path.write_text("".join(json.dumps({"timestamp": "t", **line}) + "\n" for line in lines))
    found, losses = read(tmp_path)
    assert [t.ledger.calls for t in found.values()] == [1, 1]
    assert "copied_from_other_session" not in losses.counts


def test_an_answer_without_an_id_is_a_copy_where_it_follows_what_it_followed(tmp_path: Path):
    """A fork repeats a call and "Done."; then it says "Done." again, of its own."""

    def item(**payload: Any) -> dict[str, Any]:
        return {"type": "response_item", "payload": payload}

    def said(role: str, text: str) -> dict[str, Any]:
        return item(type="message", role=role, content=[{"type": "output_text", "text": text}])

    def count(total: int, last: int) -> dict[str, Any]:
        usage = {"output_tokens": total}, {"output_tokens": last}
        info = dict(zip(("total_token_usage", "last_token_usage"), usage, strict=True))
        return {"type": "event_msg", "payload": {"type": "token_count", "info": info}}

    call = item(type="function_call", name="f", arguments="{}", call_id="c1")
    talk = [said("user", "go"), call, count(5, 5), said("assistant", "Done."), count(9, 4)]
    own = [said("user", "again"), said("assistant", "Done."), count(12, 3)]
    for name, lines in (("a", talk), ("b", talk + own)):
        meta = {"id": name} | ({"forked_from_id": "a"} if name == "b" else {})
        lines = [{"type": "session_meta", "payload": meta}, *lines]
        text = "\n".join(json.dumps({"timestamp": "t", **line}) for line in lines)
        (tmp_path / f"rollout-{name}.jsonl").write_text(text + "\n")
    found, losses = read(tmp_path)
    assert [type(s) for s in found["b"].steps] == [
        *(UserStep, SystemStep, SystemStep, UserStep, ModelStep)
    ]
    assert found["b"].ledger.tokens == 3
    assert losses.counts["copied_from_other_session"] == 2
