"""rLLM: expected values are those of tests/fixtures/make_rllm.py, by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Mark, ModelStep, decode, encode

FOLDER = Path(__file__).parent.parent / "fixtures" / "rllm"
FILE = FOLDER / "episodes.jsonl"


def read(path: Path) -> tuple[list[Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "rllm"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return found, losses


def tokens(trajectory: Any) -> list[Any]:
    return [(s.token_ids, getattr(s, "sampled", None)) for s in trajectory.steps]


def test_prompts_that_extend_each_other_are_joined() -> None:
    one = read(FILE)[0][0]
    assert tokens(one) == [
        ((1, 2), None),
        ((10, 11), None),
        ((20,), None),
        ((12,), None),
        (None, None),  # two results share 30 31 without a border
        (None, None),
        ((30, 31, 13), ((2, 3),)),
    ]
    assert [i for ids, _ in tokens(one) for i in ids or ()] == [1, 2, 10, 11, 20, 12, 30, 31, 13]
    assert one.marks == ()
    assert (one.group, one.trial, one.outcome, one.end) == ("sum", 0, 1.0, "answered")
    assert [s.reward for s in one.steps if type(s) is ModelStep] == [0.25, 0.0, 1.0]
    assert (one.policy_version, one.ledger.tokens) == ("4-5", 4)


def test_a_prompt_that_was_tokenised_anew_drifts() -> None:
    one = read(FILE)[0][1]
    models = [s for s in one.steps if type(s) is ModelStep]
    assert [s.untrainable for s in models] == [None, "drifted", None]
    assert one.marks == (Mark(kind="prefix_break", step=3, source="importer"),)
    # Call 3 reads 1 2 14 15 21: it extends call 1. 21 stands for all that happened between.
    assert (models[1].token_ids, models[1].sampled) == ((16,), None)
    assert (models[2].token_ids, models[2].sampled) == ((21, 17), ((1, 2),))
    assert (one.outcome, one.end) == (None, "infra")


def test_losses() -> None:
    assert read(FILE)[1].counts == {
        "result_of_no_call": 4,
        "engine_advantages": 1,
        "observation_tokens_not_split": 2,
        "prefix_break": 1,
        "no_outcome": 1,
    }


def test_logged_episodes_have_text_only() -> None:
    (one,), losses = read(FOLDER / "logged")
    assert [s.text for s in one.steps] == ["What is 1+2?", "add", "What is 1+2?", "summary", "5"]
    assert (one.id, one.task, one.end, one.outcome) == ("u3", "sum", "budget", 0.0)
    # The second call read a rewritten history.
    assert one.marks == (Mark(kind="prefix_break", step=4, source="importer"),)
    assert losses.counts == {"not_a_log": 1, "history_rewritten": 1, "result_of_no_call": 1}


def test_a_model_message_that_no_call_wrote_is_copied(tmp_path: Path) -> None:
    episode = json.loads(FILE.read_text().splitlines()[0])
    first = episode["trajectories"][0]["steps"][0]
    shot = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    first["chat_completions"] = [*shot, *first["chat_completions"]]
    episode["trajectories"][0]["steps"] = [first]
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps(episode) + "\n")
    steps = read(path)[0][0].steps
    assert [s.untrainable for s in steps if type(s) is ModelStep] == ["copied", None]


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("response_ids", ["a"], "response_ids"),
        ("logprobs", ["a"], "logprobs"),
        ("reward", "1", "reward"),
        ("chat_completions", "hi", "chat_completions"),
    ],
)
def test_malformed_steps_are_one_line(tmp_path: Path, field: str, value: Any, fault: str) -> None:
    episode = json.loads(FILE.read_text().splitlines()[0])
    episode["trajectories"][0]["steps"][0][field] = value
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps(episode) + "\n")
    with pytest.raises(DataError, match=fault):
        read(path)
