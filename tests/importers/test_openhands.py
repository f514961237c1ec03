"""OpenHands (V1): expected values are those of tests/fixtures/make_openhands.py, by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Mark, ModelStep, SystemStep, ToolStep, UserStep, decode, encode

FIXTURES = Path(__file__).parent.parent / "fixtures"
MORE = FIXTURES / "openhands_more"


def folder(number: int) -> Path:
    place = MORE if number > 1 else FIXTURES / "openhands"
    return place / "conversations" / f"{number:032d}"


def read(path: Path) -> tuple[list[Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "openhands"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return found, losses


def answers(one: Any) -> list[tuple[Any, Any]]:
    return [(s.call, s.error) for s in one.steps if type(s) is ToolStep]


def test_a_folder_of_conversations_is_read_as_it_lies():
    found, losses = read(MORE)
    assert [(t.outcome, t.end, t.task) for t in found] == [
        (None, "budget", "/home/ada/ws: What is 1+2?"),  # MaxIterationsReached
        (1.0, "answered", "/home/ada/ws: What is 1+2?"),
        (None, "infra", "/home/ada/ws: What is 1+2?"),
    ]
    assert len({t.group for t in found}) == 3
    assert losses.counts == {
        "malformed_arguments": 1,
        "other_branch": 1,
        "compaction": 1,
        "model_failed": 1,
        "no_outcome": 2,
    }


def test_token_events_belong_to_the_turn_before_them():
    (one,), _ = read(folder(1))
    first, second = (s for s in one.steps if type(s) is ModelStep)
    # prompt 1 2 3 is the system's and the user's together; 20 21 22 are the two results
    assert (first.token_ids, first.sampled) == ((1, 2, 3, 10, 11), ((3, 5),))
    assert (second.token_ids, second.sampled) == ((20, 21, 22, 12), ((3, 4),))
    assert first.untrainable is second.untrainable is None


def test_actions_of_one_response_are_one_step_and_finish_is_the_answer():
    (one,), _ = read(folder(1))
    assert [type(s) for s in one.steps] == [
        *(SystemStep, UserStep, ModelStep, ToolStep, ToolStep, ModelStep),
    ]
    assert [c.arguments for c in one.steps[2].calls] == ['{"a": 1, "b": 2}', '{"a": 3, "b": 2}']
    assert (one.steps[5].text, one.steps[5].calls) == ("3 and 5.", ())


def test_refused_calls_are_answered_before_the_others():
    (one,), _ = read(folder(2))
    calls = [[c.name for c in s.calls] for s in one.steps if type(s) is ModelStep]
    assert calls == [["add", "add", "sub"], ["add"], ["add", "add"]]
    assert answers(one) == [
        ((2, 1), True),
        ((2, 2), True),
        ((2, 0), False),
        ((6, 0), True),
        ((8, 0), True),  # the tool's own word
        ((8, 1), True),  # it raised
    ]
    # the text of arguments that were no JSON is gone: they are none
    assert [c.arguments for c in one.steps[6].calls] == [""]
    assert one.steps[2].text == "Add.I add."


def test_only_the_branch_of_the_leaf_counts():
    (one,), losses = read(folder(3))
    assert one.outcome == 1.0  # the verdict lies beside
    assert [s.text for s in one.steps] == [
        "You are OpenHands agent.",
        "What is 1+2?",
        "A sum was asked for.",
        "Use the tool.",
        "",
        "3",
        "Three is the sum.",
    ]
    assert one.marks == (Mark(kind="compaction", step=2, source="importer"),)
    assert losses.counts == {"other_branch": 1, "compaction": 1}


def test_one_state_file_or_the_events_alone_are_enough(tmp_path: Path):
    (one,), _ = read(folder(1) / "base_state.json")
    assert len(one.steps) == 6
    shutil.copytree(folder(1) / "events", tmp_path / "talk" / "events")
    (alone,), _ = read(tmp_path)
    assert alone.steps == one.steps
    assert (alone.id, alone.end) == ("talk", "unknown")


def test_an_event_that_is_being_written_is_counted(tmp_path: Path):
    talk = tmp_path / "talk"
    shutil.copytree(folder(1), talk)
    last = max((talk / "events").iterdir())
    last.write_text(last.read_text()[:-9])
    _, losses = read(tmp_path)
    assert losses.counts["torn_record"] == 1
    state = json.loads((talk / "base_state.json").read_text())
    (talk / "base_state.json").write_text(json.dumps({**state, "agent": 7}))
    with pytest.raises(DataError, match=r"base_state\.json\.agent: got int 7"):
        read(tmp_path)
