"""NeMo-RL: expected values are those of tests/fixtures/make_nemo.py, by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import ModelStep, ToolStep, UserStep, decode, encode

FOLDER = Path(__file__).parent.parent / "fixtures" / "nemo"
FILE = FOLDER / "train_data_step5.jsonl"


def read(path: Path) -> tuple[list[Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "nemo"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return found, losses


@pytest.mark.parametrize("path", [FOLDER, FILE])
def test_a_run_of_the_mask_is_a_step(path: Path) -> None:
    found, losses = read(path)
    assert found[0].steps == (
        UserStep(text="What is 1+2?", token_ids=(1, 2, 3)),
        ModelStep(text="add(1, 2)", token_ids=(10, 11), logprobs=(-0.5, -0.25)),
        ToolStep(text="3", token_ids=(20,)),
        ModelStep(text="It is 3.", token_ids=(12,), logprobs=(-1.0,)),
    )
    # Six texts for five runs: two messages of the world are one run, so no text is placed.
    assert found[1].steps == (
        UserStep(text="", token_ids=(1, 2, 3)),
        ModelStep(token_ids=(10,), logprobs=(-0.5,)),
        ToolStep(text="", token_ids=(20, 30)),
        ModelStep(token_ids=(13, 14), logprobs=(-2.0, -0.125)),
        ToolStep(text="", token_ids=(40,)),
    )
    assert losses.counts == {"engine_advantages": 3, "trainer_logprobs": 3, "text_not_aligned": 1}


def test_one_prompt_is_one_group() -> None:
    found, _ = read(FILE)
    assert [(t.trial, t.outcome, t.ledger.tokens) for t in found] == [
        (0, 1.0, 3),
        (1, 0.0, 3),
        (0, 0.5, 2),
    ]
    assert found[0].group == found[1].group != found[2].group


def test_a_sample_kept_out_of_the_loss_is_masked() -> None:
    assert [s.untrainable for s in read(FILE)[0][2].steps if type(s) is ModelStep] == ["masked"]


def changed(tmp_path: Path, **fields: Any) -> Path:
    line = {**json.loads(FILE.read_text().splitlines()[0]), **fields}
    path = tmp_path / "train_data_step1.jsonl"
    path.write_text(json.dumps(line) + "\n")
    return path


def test_rewards_before_the_filter_are_of_other_rows(tmp_path: Path) -> None:
    (one,), losses = read(changed(tmp_path, rewards=[1.0], filtered_rewards=[0.25]))
    assert (one.outcome, losses.counts["rewards_before_filter"]) == (0.25, 1)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"token_loss_mask": [[1, 0]]}, "expected one per token, 9"),
        ({"token_loss_mask": [[2] * 9]}, "expected 0 or 1"),
        ({"input_lengths": [3]}, "input_lengths: got 3"),
        ({"rewards": [1.0, 2.0]}, "batch of one"),
        ({"token_ids": [["a"] * 9]}, "token id"),
    ],
)
def test_columns_that_do_not_fit_are_one_line(
    tmp_path: Path, fields: dict[str, Any], fault: str
) -> None:
    with pytest.raises(DataError, match=fault):
        read(changed(tmp_path, **fields))
