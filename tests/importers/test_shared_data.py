"""The real logs, counted twice: by the importers, and here with plain json and loops."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from assay.importers import Losses, load
from assay.records import ModelStep, ToolStep, Trajectory, UserStep, decode, encode

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded rollouts at {DATA}"),
]


def read(name: str, format: str) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    found, trajectories = load(DATA / name, losses=losses)
    assert found == format
    records = list(trajectories)
    assert len({t.id for t in records}) == len(records)
    for record in records:
        assert decode(encode(record)) == record
    return records, losses.counts


def kinds(trajectory: Trajectory) -> Counter[str]:
    return Counter(type(step).__name__ for step in trajectory.steps)


def calls(trajectory: Trajectory) -> list[tuple[str, str]]:
    models = (s for s in trajectory.steps if isinstance(s, ModelStep))
    return [(c.name, c.arguments) for step in models for c in step.calls]


def test_tau_bench():
    records, losses = read("tau-bench", "tau_bench")
    rows: list[dict[str, Any]] = json.loads((DATA / "tau-bench/gpt-4o-airline.json").read_text())
    assert len(records) == len(rows) == 200
    assert len({t.group for t in records}) == len({r["task_id"] for r in rows}) == 50
    assert sum(len(calls(t)) for t in records) == 1164
    roles = {
        "system": "SystemStep",
        "user": "UserStep",
        "assistant": "ModelStep",
        "tool": "ToolStep",
    }
    for record, row in zip(records, rows, strict=True):
        assert (record.task, record.trial) == (str(row["task_id"]), row["trial"])
        assert record.outcome == row["reward"]
        assert kinds(record) == Counter(roles[m["role"]] for m in row["traj"])
        made = []
        for message in row["traj"]:
            for call in message.get("tool_calls") or []:
                made.append((call["function"]["name"], call["function"]["arguments"]))
        assert calls(record) == made
        actions = [(a["name"], a["kwargs"]) for a in row["info"]["task"]["actions"]]
        expert = [(e.name, json.loads(e.arguments)) for e in record.expert or ()]
        assert expert == actions
        cut = row["info"]["reward_info"] is None
        assert record.end == ("budget" if cut else "answered")
        assert len(record.grades) == (0 if cut else 1)
    assert Counter(t.end for t in records) == {"answered": 195, "budget": 5}
    # Every call is answered by the message that follows it: one call a message, 1,164 of each.
    assert "result_of_no_call" not in losses
    assert losses["not_a_log"] == 1


def test_tau_bench_pairs_every_result_with_the_call_before_it():
    records, _ = read("tau-bench/gpt-4o-airline.json", "tau_bench")
    for record in records:
        for index, step in enumerate(record.steps):
            if isinstance(step, ToolStep):
                assert step.call == (index - 1, 0)
                assert step.error is None


def test_intercode():
    records, losses = read("intercode-sql", "intercode")
    files = sorted((DATA / "intercode-sql").glob("*.json"))
    assert len(files) == 7
    expected: list[tuple[Any, ...]] = []
    unobserved = 0
    for trial, file in enumerate(files):
        model = file.name[len("ic_sql_multiturn_") : -len("_10_turns.json")]
        for episode in json.loads(file.read_text()).values():
            turns = episode["turn_history"]
            best = turns["rewards"][0]
            for reward in turns["rewards"]:
                best = reward if reward > best else best
            full = episode["summary"]["turns_taken"] >= episode["summary"]["turns_max"]
            end = "budget" if full and best < 1 else "answered"
            task = str(episode["task_id"])
            unobserved += len(turns["actions"]) - len(turns["observations"])
            expected.append((task, trial, model, best, end, turns, episode["query"]))
    assert len(records) == len(expected) == 1399
    for record, (task, trial, model, best, end, turns, query) in zip(
        records, expected, strict=True
    ):
        assert (record.task, record.group, record.trial) == (task, task, trial)
        assert (record.policy_version, record.outcome, record.end) == (model, best, end)
        assert record.steps[0] == UserStep(text=query)
        models = [s for s in record.steps if isinstance(s, ModelStep)]
        tools = [s for s in record.steps if isinstance(s, ToolStep)]
        assert [s.reward for s in models] == turns["rewards"]
        made = [json.loads(arguments)["command"] for _, arguments in calls(record)]
        assert made == turns["actions"]
        assert [s.text for s in tools] == turns["observations"]
        assert [s.error for s in tools] == [not valid for valid in turns["valid_action"]]
    assert len({t.group for t in records}) == 200
    assert sum(len(calls(t)) for t in records) == 11_553
    assert unobserved == 47
    assert losses == {"not_a_log": 1, "action_without_observation": 47}


def test_intercode_reads_one_file_as_one_model():
    name = "intercode-sql/ic_sql_multiturn_gpt-4_10_turns.json"
    records, losses = read(name, "intercode")
    assert len(records) == len(json.loads((DATA / name).read_text())) == 200
    assert {t.trial for t in records} == {0}
    assert {t.policy_version for t in records} == {"gpt-4"}
    assert losses == {}


def test_who_and_when():
    records, losses = read("who-and-when", "who_and_when")
    files = sorted((DATA / "who-and-when").glob("*/*.json"))
    assert len(records) == len(files) == 92
    differing = 0
    questions: set[str] = set()
    for record, file in zip(records, files, strict=True):
        log = json.loads(file.read_text())
        questions.add(log["question_ID"])
        assert (record.task, record.group) == (log["question_ID"], log["question_ID"])
        assert record.outcome == 0.0
        assert record.reference == log["ground_truth"]
        messages = log["history"]
        assert [s.text for s in record.steps[-len(messages) :]] == [m["content"] for m in messages]
        (mark,) = record.marks
        labelled = messages[int(log["mistake_step"])]
        assert mark.step is not None
        step = record.steps[mark.step]
        assert step.text == labelled["content"]
        assert mark.text == log["mistake_reason"]
        speaker = labelled.get("name") or labelled["role"].partition(" (")[0]
        if isinstance(step, ModelStep):
            assert step.agent == speaker
        if speaker != log["mistake_agent"]:
            differing += 1
    assert len({t.group for t in records}) == len(questions) == 79
    assert losses["labelled_agent_differs"] == differing == 3
    # 15 of the 29 hand-crafted logs end with the harness's own words; four say "Max rounds".
    assert Counter(t.end for t in records) == {"unknown": 77, "answered": 11, "budget": 4}
    assert losses["not_a_log"] == 1
