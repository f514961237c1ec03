"""verl: expected values are those of tests/fixtures/make_verl.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Call, ModelStep, Span, ToolStep

FOLDER = Path(__file__).parent.parent / "fixtures" / "verl"


def read(path: Path) -> tuple[list[Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "verl"
    return list(trajectories), losses


@pytest.mark.parametrize("part", ["v1", "v1/1.jsonl"])
def test_three_part_keys_name_group_and_trial(part: str) -> None:
    found, losses = read(FOLDER / part)
    assert [(t.id, t.group, t.trial, t.session, t.outcome, t.reference) for t in found] == [
        ("a-1_0_0", "a-1", 0, "a-1_0", 1.0, "3 and 7"),
        ("a-1_0_1", "a-1", 0, "a-1_0", 1.0, "3 and 7"),
        ("a-1_1_0", "a-1", 1, "a-1_1", 0.0, "3 and 7"),
        ("b-2_0_0", "b-2", 0, "b-2_0", 0.5, None),
    ]
    assert losses.counts == {
        "no_tokens": 4,
        "turn_from_markers": 2,
        "no_reward_extras": 4,
        "call_not_parsed": 1,
        "result_of_no_call": 1,
    }


@pytest.mark.parametrize(
    ("training", "validation"),
    [
        ("rollout", "val"),
        ("rollout_data", "validation_data"),
        ("eval/rollouts", "eval/Val"),
        ("rollouts/a1", "val_generations/a1"),
    ],
)
def test_validations_beside_training_are_told(
    training: str, validation: str, tmp_path: Path
) -> None:
    """Of four rows three pass, of training alone one of two."""
    for folder, scores in ((training, (1.0, 0.0)), (validation, (1.0, 1.0))):
        rows = [{"input": "p", "output": "x", "step": 1, "score": score} for score in scores]
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    found, losses = read(tmp_path)
    assert (len(found), len({t.group for t in found})) == (4, 2)
    assert losses.counts["of_evaluation:validation"] == 2
    assert "of_evaluation" in " ".join(read(tmp_path / validation)[1].counts)
    found, losses = read(tmp_path / training)
    assert [t.outcome for t in found] == [1.0, 0.0]
    assert "of_evaluation" not in " ".join(losses.counts)


def test_tool_turns_are_cut_out_where_the_template_marks_them() -> None:
    _, model, first, second, last = read(FOLDER / "v1")[0][0].steps
    assert model.calls == (
        Call(name="add", arguments='{"a": 1, "b": 2}'),
        Call(name="add", arguments='{"a": 3, "b": 4}'),
    )
    # "<think>" 7, newline 1, "Add." 4, newline 1, "</think>" 8: 21 characters.
    assert model.spans == (Span(role="think", start=0, end=21),)
    assert first == ToolStep(text="3", name="add", call=(1, 0))
    assert second == ToolStep(text="7", name="add", call=(1, 1))
    assert last == ModelStep(text="3 and 7.")


def test_every_result_answers_a_call_of_its_own_turn(tmp_path: Path) -> None:
    call = '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
    turn = f"{call}\nuser\n<tool_response>\n1\n</tool_response>\nassistant\n"
    row = {"input": "a", "output": turn * 2 + "2", "score": 1.0, "step": 1}
    path = tmp_path / "1.jsonl"
    path.write_text(json.dumps(row) + "\n")
    # Steps: 0 user, 1 model, 2 result, 3 model, 4 result, 5 model.
    steps = read(path)[0][0].steps
    assert [s.call for s in steps if type(s) is ToolStep] == [(1, 0), (3, 0)]
    assert steps[5] == ModelStep(text="2")


def test_a_call_that_is_no_json_stays_text() -> None:
    _, model, result = read(FOLDER / "v1")[0][2].steps
    assert model == ModelStep(text="<tool_call>\nadd(1, 2)\n</tool_call>")
    assert result == ToolStep(text="error")


def test_legacy_rows_are_grouped_by_step_and_prompt() -> None:
    found, losses = read(FOLDER / "legacy")
    assert [(t.id, t.trial, t.outcome, t.rewards) for t in found] == [
        ("r1", 0, 1.0, {"acc": 1.0}),
        ("r2", 1, 0.0, {"acc": 0.0}),
        ("r3", 0, 1.0, {"acc": 1.0}),
    ]
    assert found[0].group == found[1].group != found[2].group
    assert found[2].reference == '{"value": 4}'
    assert losses.counts == {"group_is_prompt": 3, "no_tokens": 3, "column:pred": 3}


def test_score_is_the_outcome_and_acc_a_part_of_the_reward(tmp_path: Path) -> None:
    row = {"input": "a", "output": "b", "score": -1.0, "step": 1, "uid": "g_0_0", "acc": False}
    path = tmp_path / "1.jsonl"
    path.write_text(json.dumps(row) + "\n")
    found, losses = read(path)
    assert [(t.outcome, t.rewards) for t in found] == [(-1.0, {"acc": 0.0})]
    assert "no_reward_extras" not in losses.counts


def test_a_bare_nan_is_unscored_and_counted(tmp_path: Path) -> None:
    row = '{"input": "a", "output": "b", "step": 1, "uid": "g_%d_0", "score": %s}\n'
    path = tmp_path / "1.jsonl"
    path.write_text(row % (0, "1.0") + row % (1, "NaN"))
    found, losses = read(path)
    assert [t.outcome for t in found] == [1.0, None]
    assert losses.counts["not_a_number"] == losses.counts["no_outcome"] == 1


def test_steps_come_in_the_order_of_training(tmp_path: Path) -> None:
    row = {"input": "a", "output": "b", "score": 1.0, "gts": None}
    for step in (10, 9):
        (tmp_path / f"{step}.jsonl").write_text(json.dumps({**row, "step": step}) + "\n")
    assert [t.policy_version for t in read(tmp_path)[0]] == ["9", "10"]


@pytest.mark.parametrize(
    "change", [{"score": "1"}, {"input": 3}, {"uid": 7}, {"step": 1.5}, {"output": None}]
)
def test_malformed_rows_are_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    row = {"input": "a", "output": "b", "score": 1.0, "step": 1, **change}
    path = tmp_path / "1.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=next(iter(change))):
        list(load(path, format="verl")[1])
