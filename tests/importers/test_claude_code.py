"""Claude Code: expected values are those of tests/fixtures/make_claude_code.py, by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import NONE, Choices, Losses, load
from assay.records import Mark, ModelStep, Span, SystemStep, ToolStep, UserStep, decode, encode

FIXTURE = Path(__file__).parent.parent / "fixtures" / "claude_code"
SHOP = FIXTURE / "projects" / "-home-ada-shop"
SITE = FIXTURE / "projects" / "-home-ada-site"


def read(path: Path, choices: Choices = NONE) -> tuple[dict[str, Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses, choices=choices)
    assert name == "claude_code"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return {one.id: one for one in found}, losses


def calls_of(one: Any) -> list[str]:
    return [c.name for s in one.steps if type(s) is ModelStep for c in s.calls]


def answers(one: Any) -> list[tuple[str, Any, Any]]:
    return [(s.name, s.call, s.error) for s in one.steps if type(s) is ToolStep]


def test_a_folder_of_projects_is_read_as_it_lies():
    found, losses = read(FIXTURE / "projects")
    assert [(t.id, t.outcome, t.end) for t in found.values()] == [
        ("11111111-aaaa", 1.0, "answered"),  # the verdict lies beside
        ("55555555-aaaa", None, "answered"),
        ("22222222-aaaa", None, "unknown"),  # not done
        ("44444444-aaaa", None, "infra"),
        ("11111111-aaaa/agent-b7", None, "answered"),
    ]
    assert all(t.group == t.id for t in found.values())
    assert losses.counts == {
        "no_outcome": 4,
        "repeated_line": 1,
        "attachment": 1,
        "compaction": 1,
        "other_branch": 2,  # the first wording of the prompt and its answer
        "content_part:image": 2,
        "replayed_call": 1,
        "replayed_result": 1,
        "parent_missing": 1,  # the copy begins with a record whose parent was not copied
        "copied_from_other_session": 1,
        "no_messages": 1,
        "api_error": 2,  # the retry and what the user was shown
    }


def test_one_model_call_is_one_step_whatever_lies_between_its_records():
    first = read(FIXTURE)[0]["11111111-aaaa"]
    step = first.steps[3]
    assert step.text == "Look first.I look at both."
    assert step.spans == (Span(role="think", start=0, end=11),)
    assert [(c.name, c.id) for c in step.calls] == [("Bash", "t1"), ("Read", "t2"), ("Glob", "t3")]
    # Read's answer came first, Bash's between the records, Glob's last: all by id
    assert sorted(answers(first)[:3]) == [
        ("Bash", (3, 0), True),
        ("Glob", (3, 2), None),
        ("Read", (3, 1), False),
    ]


def test_each_call_counts_once_with_its_tokens():
    found, _ = read(FIXTURE)
    first = found["11111111-aaaa"]
    assert calls_of(first) == ["Bash", "Read", "Glob", "Edit", "Task", "Write"]
    # by model call: 7 on the branch that was given up, 52 (the last count of 1, 1, 1, 40, 52),
    # 30, 20 (written down twice), 9, 11
    assert (first.ledger.tokens, first.ledger.calls) == (7 + 52 + 30 + 20 + 9 + 11, 6)
    # the copy's first turn is the first session's; its own turn has 8 tokens and no call
    copy = found["55555555-aaaa"]
    assert (copy.ledger.tokens, copy.ledger.calls) == (8, 0)
    assert [type(s) for s in copy.steps[2:]] == [
        *(SystemStep, ToolStep, ToolStep, UserStep, ModelStep),
    ]
    assert answers(copy) == [("", None, None)] * 2
    agent = found["11111111-aaaa/agent-b7"]
    assert (agent.ledger.tokens, agent.policy_version) == (11, "small-1")
    assert agent.origin.extra["called_by"] == "11111111-aaaa"


def test_only_the_branch_that_the_session_ended_on_counts():
    first = read(FIXTURE)[0]["11111111-aaaa"]
    assert first.task == "/home/ada/shop: Fix the total of the cart in cart.py."
    assert "I will look." not in [s.text for s in first.steps]
    assert [s.text for s in first.steps if type(s) is UserStep] == [
        "Fix the total of the cart in cart.py."
    ]


def test_errors_are_what_the_harness_calls_so():
    first = read(FIXTURE)[0]["11111111-aaaa"]
    assert answers(first)[3:] == [
        ("Edit", (7, 0), True),  # refused
        ("Task", (9, 0), False),
        ("Write", (13, 0), False),
    ]


def test_what_the_harness_wrote_is_not_the_user():
    found, _ = read(FIXTURE)
    first, failed = found["11111111-aaaa"], found["44444444-aaaa"]
    system = [s.text[:12] for s in first.steps if type(s) is SystemStep]
    assert system == ["<command-nam", "Caveat: The ", "Conversation", "This goes on"]
    assert first.marks == (Mark(kind="compaction", step=11, source="importer"),)
    assert failed.steps[1] == SystemStep(text="API Error: overloaded")
    assert calls_of(failed) == []


def test_a_session_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path):
    path = tmp_path / "s.jsonl"
    path.write_text((SITE / "22222222-aaaa.jsonl").read_text()[:-40])
    found, losses = read(path)
    (one,) = found.values()
    assert [type(s) for s in one.steps] == [UserStep, ModelStep, ToolStep]
    assert losses.counts == {"torn_record": 1, "no_outcome": 1, "content_part:image": 1}
    with pytest.raises(DataError, match=r"cut short.*--strict"):
        read(path, Choices(strict=True))


def test_what_lies_beside_a_session_is_no_other_log(tmp_path: Path):
    copy = tmp_path / "projects"
    shutil.copytree(FIXTURE / "projects", copy)
    usual = read(copy)[1].counts
    below = copy / "-home-ada-shop" / "11111111-aaaa"
    next(below.rglob("agent-b7.jsonl")).with_suffix(".meta.json").write_text(
        '{"agentType": "Explore"}'
    )
    (copy / "-home-ada-shop" / "sessions-index.json").write_text('{"version": 1}')
    (copy / "-home-ada-shop" / "memory").mkdir()
    (copy / "-home-ada-shop" / "memory" / "MEMORY.md").write_text("Use tabs.")
    assert read(copy)[1].counts == usual


def test_a_file_of_titles_alone_is_no_session():
    with pytest.raises(DataError, match="no trajectory in it; expected Claude Code"):
        read(SITE / "33333333-aaaa.jsonl")


def test_the_reader_may_name_outcome_and_group():
    found, _ = read(FIXTURE, Choices(outcome="tests", group="prompt"))
    assert found["11111111-aaaa"].outcome == 0.5
    same = found["11111111-aaaa"], found["55555555-aaaa"]
    assert {t.group for t in same} == {"Fix the total of the cart in cart.py."}


def written(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "s.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def line(uuid: str, parent: str | None, kind: str, **message: Any) -> dict[str, Any]:
    extra = {k: message.pop(k) for k in ("isSidechain", "agentId") if k in message}
    named = {"uuid": uuid, "parentUuid": parent, "sessionId": "s", "type": kind, **extra}
    return {**named, "message": {"role": kind, **message}}


def test_agents_between_the_lines_are_sessions_of_their_own(tmp_path: Path):
    said = [{"type": "text", "text": "hi"}]
    path = written(
        tmp_path,
        line("a", None, "user", content="Do it."),
        line("x", None, "user", content="Find it.", isSidechain=True),
        line("y", "x", "assistant", id="m1", content=said, isSidechain=True),
        line("p", None, "user", content="And this.", isSidechain=True, agentId="k"),
        line("b", "a", "assistant", id="m2", content=said),
    )
    found, losses = read(path)
    assert [(t.id, t.task) for t in found.values()] == [
        ("s", "Do it."),
        ("s/side-x", "Find it."),
        ("s/k", "And this."),
    ]
    assert [len(t.steps) for t in found.values()] == [2, 2, 1]
    assert "other_branch" not in losses.counts


def test_lines_in_another_order_make_the_same_steps(tmp_path: Path):
    lines = [json.loads(text) for text in (SHOP / "11111111-aaaa.jsonl").read_text().splitlines()]
    said = [one for one in lines if "uuid" in one]
    moved = [*said[1:6], said[0], *said[6:]]
    usual = read(written(tmp_path, *said))[0]["11111111-aaaa"].steps
    assert read(written(tmp_path, *moved))[0]["11111111-aaaa"].steps == usual


def test_a_verdict_that_is_none_is_one_line(tmp_path: Path):
    path = written(tmp_path, line("a", None, "user", content="Do it."))
    (tmp_path / "s.result.json").write_text('{"resolved": "yes"}')
    with pytest.raises(DataError, match=r'resolved: got str "yes"; expected'):
        read(path)
    (tmp_path / "s.result.json").write_text('{"resolved": null}')
    assert read(path)[0]["s"].outcome is None


def test_ids_that_a_proxy_uses_again_are_no_copies(tmp_path: Path):
    used = [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]
    for name in "ab":
        one = line("u", None, "assistant", id="msg_1", content=used)
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps({**one, "sessionId": name, "timestamp": f"10:0{name}"}) + "\n")
    found, losses = read(tmp_path)
    assert [t.ledger.calls for t in found.values()] == [1, 1]
    assert "copied_from_other_session" not in losses.counts


def test_a_turn_that_is_known_to_be_over_is_an_answer(tmp_path: Path):
    said = line("b", "a", "assistant", id="m", content=[{"type": "text", "text": "Yes."}])
    lines = [line("a", None, "user", content="Is it?"), said]
    assert read(written(tmp_path, *lines))[0]["s"].end == "unknown"
    over = {"uuid": "c", "parentUuid": "b", "sessionId": "s", "type": "system"}
    found, _ = read(written(tmp_path, *lines, {**over, "subtype": "turn_duration"}))
    assert found["s"].end == "answered"


def test_a_parent_that_is_missing_cuts_nothing_off(tmp_path: Path):
    used = [{"type": "tool_use", "id": "t", "name": "Edit", "input": {}}]
    refused = "<tool_use_error>File has not been read yet.</tool_use_error>"
    lines = [
        line("a", None, "user", content="Do it."),
        line("b", "gone", "assistant", id="m", content=used),
        line("c", "b", "user", content=[{"type": "tool_result", "tool_use_id": "t"}]),
    ]
    lines[2]["message"]["content"][0]["content"] = refused
    found, losses = read(written(tmp_path, *lines))
    assert [type(s) for s in found["s"].steps] == [UserStep, ModelStep, ToolStep]
    assert answers(found["s"]) == [("Edit", (1, 0), True)]  # by its wrapper alone
    assert losses.counts == {"parent_missing": 1, "no_outcome": 1}


def result(call: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": text, **more}


@pytest.mark.parametrize(
    ("results", "told", "errors"),
    [
        # of one result it speaks, of one of several nobody knows which
        ([result("t1", "boom")], "Error: boom", [True]),
        ([result("t1", "ok")], {"stdout": "ok"}, [False]),
        ([result("t1", "ok"), result("t2", "no", is_error=True)], "Error: no", [None, True]),
        ([result("t1", "ok"), result("t2", "no", is_error=True)], {"stdout": ""}, [None, True]),
        ([result("t1", "ok", is_error=False), result("t2", "no")], "Error: no", [False, None]),
    ],
)
def test_the_text_beside_a_record_speaks_of_its_only_result(
    results: list[Any], told: Any, errors: list[bool | None], tmp_path: Path
):
    calls = [{"type": "tool_use", "id": f"t{i}", "name": "f", "input": {}} for i in (1, 2)]
    common = {"sessionId": "s", "cwd": "/w", "isSidechain": False}
    rows = [
        {"type": "user", "uuid": "u", "parentUuid": None, "message": {"content": "go"}},
        {"type": "assistant", "uuid": "a", "parentUuid": "u", "message": {"content": calls}},
        {"type": "user", "uuid": "r", "parentUuid": "a", "message": {"content": results}},
    ]
    rows[2]["toolUseResult"] = told
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(common | row) + "\n" for row in rows))
    (found,) = read(path)[0].values()
    assert [error for _, _, error in answers(found)] == errors
