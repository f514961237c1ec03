"""A score may be a truth: 1 where it is true and 0 where it is false, in every format."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Choices, Fields, Losses, load
from tests.importers.test_otel import ASKED, said, span, text, written

TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
CHAT = {"task": "t", "messages": TURNS}
SKYRL = {"input_prompt": "q", "output_response": "a", "stop_reason": "stop", "env_class": "e"}
VERL = {"input": "q", "output": "a", "step": 1}
AREAL = {"task_id": 1, "sample_idx": 0, "seqlen": 2, "prompt_len": 1, "prompt": "q"}
GROUP = {"tokens": [[1, 2], [1, 2]], "masks": [[-100, 2]] * 2}
RESULT = {"example_id": 1, "prompt": TURNS[:1], "completion": TURNS[1:]}


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([{**CHAT, "reward": True}, {**CHAT, "reward": False}], "chat"),
        ([{**SKYRL, "score": True}, {**SKYRL, "score": [False, False]}], "skyrl"),
        ([{**VERL, "score": True}, {**VERL, "score": False}], "verl"),
        ([{**AREAL, "completion": "a", "reward": one} for one in (True, False)], "areal"),
        ([{**GROUP, "scores": [True, False]}], "atropos"),
        ([{**RESULT, "reward": True}, {**RESULT, "reward": False}], "verifiers_results"),
    ],
)
def test_truths_are_scores(rows: list[Any], name: str, tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, trajectories = load(path)
    assert (found, [t.outcome for t in trajectories]) == (name, [1.0, 0.0])


@pytest.mark.parametrize("value", [True, False])
def test_an_evaluation_of_a_trace_may_be_a_truth(value: bool, tmp_path: Path) -> None:
    about = [
        {"key": "gen_ai.evaluation.name", "value": text("pass")},
        {"key": "gen_ai.evaluation.score.value", "value": {"boolValue": value}},
    ]
    judged = {"name": "gen_ai.evaluation.result", "timeUnixNano": "9", "attributes": about}
    path = written(tmp_path, span(1, [ASKED], [said("assistant", "a")], events=[judged]))
    (found,) = load(path)[1]
    assert (found.outcome, found.rewards) == (float(value), {"pass": float(value)})


def test_a_key_that_is_named_may_hold_a_truth(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({**CHAT, "reward": 0.5, "won": {"all": True}}) + "\n")
    (found,) = load(path, choices=Choices(outcome="won.all"))[1]
    assert found.outcome == 1.0


def test_what_is_no_score() -> None:
    losses = Losses()
    at = Fields({"nan": float("nan"), "word": "1"}, "line 1", losses)
    assert (at.score("none"), at.score("nan")) == (None, None)
    assert losses.counts == {"reward_nan": 1}
    with pytest.raises(DataError, match=r'line 1\.word: got str "1"; expected a number, true or'):
        at.score("word")
