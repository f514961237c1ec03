"""OpenHands V0: expected values are those of tests/fixtures/make_openhands_v0.py, by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Choices, Losses, load
from assay.records import Mark, ModelStep, SystemStep, ToolStep, UserStep, decode, encode

FIXTURES = Path(__file__).parent.parent / "fixtures"
RUN = FIXTURES / "openhands_v0" / "large-1_maxiter_30"
EVENTS = FIXTURES / "openhands_v0_events"


def read(path: Path) -> tuple[list[Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "openhands_v0"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return found, losses


def answers(one: Any) -> list[tuple[str, Any, Any]]:
    return [(s.name, s.call, s.error) for s in one.steps if type(s) is ToolStep]


def test_rows_of_an_evaluation_with_the_report_beside_them():
    found, losses = read(FIXTURES / "openhands_v0")
    assert [(t.id, t.group, t.outcome, t.end) for t in found] == [
        ("shop-1/0", "shop-1", 1.0, "answered"),  # by the report
        ("site-2/0", "site-2", None, "budget"),  # its evaluation failed: not 0
        ("shop-1/1", "shop-1", 0.0, "unknown"),  # by the row itself
        ("site-3/0", "site-3", None, "infra"),
    ]
    assert losses.counts == {"evaluation_failed": 1, "no_outcome": 2}
    assert {t.policy_version for t in found} == {"large-1"}


def test_actions_of_one_response_are_one_step_and_results_answer_by_cause():
    one = read(RUN / "output.jsonl")[0][0]
    assert [type(s) for s in one.steps] == [
        *(SystemStep, UserStep, ModelStep, ToolStep, ToolStep, ModelStep),
    ]
    step = one.steps[2]
    assert step.text == "I look."
    assert [(c.name, c.arguments) for c in step.calls] == [
        ("execute_bash", '{"command": "ls"}'),
        ("execute_bash", '{"command": "pytest"}'),
    ]
    # pytest's came first, with code 1; "error.py" is the name of a file, with code 0
    assert answers(one) == [("execute_bash", (2, 1), True), ("execute_bash", (2, 0), False)]
    assert (one.steps[5].text, one.steps[5].calls) == ("Fixed.", ())
    # accumulated: 30 in the row's own total, 25 in its events
    assert (one.ledger.tokens, one.ledger.calls) == (30, 2)


def test_pairs_of_action_and_observation():
    one = read(RUN / "output.jsonl")[0][1]
    calls = [(c.name, c.arguments) for s in one.steps if type(s) is ModelStep for c in s.calls]
    assert calls == [
        ("run", '{"command": "cat a.html"}'),  # without what the harness adds
        ("edit", '{"path": "a.html", "content": "x"}'),
    ]
    assert answers(one) == [("run", (1, 0), True), ("edit", (3, 0), True)]


def test_a_report_of_names_and_none_at_all(tmp_path: Path):
    shutil.copy(RUN / "output.jsonl", tmp_path)
    found, losses = read(tmp_path)
    assert [t.outcome for t in found] == [None, None, 0.0, None]
    assert losses.counts == {"no_outcome": 3, "verdict_missing": 1}
    report = {"resolved_ids": ["site-3"], "unresolved_ids": ["shop-1"], "error_ids": ["site-2"]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    found, losses = read(tmp_path)
    assert [t.outcome for t in found] == [0.0, None, 0.0, 1.0]
    assert losses.counts == {"no_outcome": 1}


def test_an_evaluation_that_failed_is_counted_once_and_no_verdict_by_choice(tmp_path: Path):
    row = json.loads((RUN / "output.jsonl").read_text().splitlines()[0])
    reports = [{"resolved": True}, {"resolved": False, "error_eval": True}]
    rows = [{**row, "test_result": {"report": report}} for report in reports]
    path = tmp_path / "output.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, losses = read(path)
    assert [t.outcome for t in found] == [1.0, None]
    assert losses.counts == {"evaluation_failed": 1, "no_outcome": 1}
    choices = Choices(outcome="test_result.report.resolved")
    assert [t.outcome for t in load(path, choices=choices)[1]] == [1.0, None]


def test_a_folder_of_events_is_a_session():
    (one,), losses = read(EVENTS)
    assert (one.id, one.task, one.end, one.ledger.tokens) == ("s1", "Start the server.", *DONE)
    assert [s.text for s in one.steps] == [
        "Start the server.",
        "I start it.",
        "[still running]",
        "A server was started.",
        "",
        "Your thought has been logged.",
        "It is running.",
    ]
    assert answers(one) == [("run", (1, 0), None), ("think", (4, 0), None)]
    assert one.marks == (Mark(kind="compaction", step=3, source="importer"),)
    assert losses.counts == {"no_outcome": 1, "compaction": 1}


DONE = ("answered", 9)


@pytest.mark.parametrize(
    ("state", "reason", "end"),
    [
        ("finished", "", "answered"),
        ("error", "RuntimeError: Agent reached maximum iteration in headless mode.", "budget"),
        ("error", "AgentStuckInLoopError: Agent got stuck in a loop", "budget"),
        ("error", "STATUS$ERROR_LLM_AUTHENTICATION", "infra"),
        ("stopped", "", "answered"),  # the agent had answered before
    ],
)
def test_the_last_state_says_how_it_ended(tmp_path: Path, state: str, reason: str, end: str):
    shutil.copytree(EVENTS / "s1", tmp_path / "s1")
    last = tmp_path / "s1" / "events" / "7.json"
    event = json.loads(last.read_text())
    event["extras"] = {"agent_state": state, "reason": reason}
    last.write_text(json.dumps(event))
    assert read(tmp_path)[0][0].end == end


def test_the_same_event_twice_is_one_and_no_event_is_an_error(tmp_path: Path):
    rows = [json.loads(line) for line in (RUN / "output.jsonl").read_text().splitlines()]
    history = rows[0]["history"]
    rows[0]["history"] = [*history, history[4]]
    path = tmp_path / "output.jsonl"
    path.write_text(json.dumps(rows[0]) + "\n")
    found, losses = read(path)
    assert len(found[0].steps) == 6
    assert losses.counts["repeated_event"] == 1
    rows[0]["history"] = [7]
    path.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(DataError, match=r"history\[0\]: got int 7; expected an event object"):
        read(path)
