"""Dumps of engines: expected values are those of tests/fixtures/make_engines.py and make_art.py."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from assay.audit import audit
from assay.audit.kinds import sentences
from assay.errors import DataError
from assay.importers import Losses, load
from assay.pipeline import run
from assay.records import Call, ModelStep, SystemStep, ToolStep, UserStep

FIXTURES = Path(__file__).parent.parent / "fixtures"
ADD = (Call(name="add", arguments='{"a": 1, "b": 2}'),)
USED = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'


def read(path: Path, format: str) -> tuple[list[Any], dict[str, int]]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == format
    return list(trajectories), losses.counts


def written(folder: Path, name: str, *rows: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("part", ["", "rollouts.jsonl"])
def test_nemo_gym_reads_failures_and_the_plan(part: str):
    found, losses = read(FIXTURES / "nemo_gym" / part, "nemo_gym")
    assert [(t.id, t.group, t.trial, t.outcome, t.end) for t in found] == [
        ("rollouts/0/0", "rollouts/0", 0, 1.0, "answered"),
        ("rollouts/0/1", "rollouts/0", 1, None, "answered"),  # masked
        ("rollouts/0/2", "rollouts/0", 2, 0.0, "answered"),  # failed once, then came right
        ("rollouts/1/0", "rollouts/1", 0, 1.0, "answered"),
        ("rollouts/1/1", "rollouts/1", 1, 0.0, "budget"),
        ("rollouts/0/3", "rollouts/0", 3, None, "infra"),  # failed twice
        ("rollouts/0/4", "rollouts/0", 4, None, "infra"),  # killed
    ]
    assert (found[0].rewards, found[1].rewards) == ({"format": 0.5}, {})
    # one failure of rollout 2, the first of rollout 3
    assert losses == {
        "span_in_characters": 1,
        "reward_masked": 1,
        "no_outcome": 3,
        "failure_tried_again": 2,
        "planned_not_run": 1,
    }


@pytest.mark.parametrize(
    ("said", "outcome", "end", "lost"),
    [
        ({"mask_sample": True}, None, "answered", {"reward_masked": 1}),
        (
            {"mask_sample": True, "failure_kind": "judge_failed"},
            None,
            "infra",
            {"reward_masked": 1},
        ),
        # a failure that did not touch what was measured: its environment says so
        (
            {"mask_sample": False, "failure_kind": "judge_failed"},
            0.0,
            "answered",
            {"failure_kind:judge_failed": 1},
        ),
        # nobody says that it was measured
        ({"failure_kind": "session_lost"}, None, "infra", {"reward_of_failure": 1}),
        ({"mask_sample": False, "failure_kind": None}, 0.0, "answered", {}),
        ({"failure_kind": ""}, 0.0, "answered", {}),
    ],
)
def test_nemo_gym_tells_failures_of_the_environment_from_scores(
    said: dict[str, Any], outcome: float | None, end: str, lost: dict[str, int], tmp_path: Path
):
    (tmp_path / "a_failures.jsonl").write_text("")
    answer = {"type": "message", "role": "assistant", "content": "3"}
    row = {"responses_create_params": {"input": "1+2?"}, "response": {"output": [answer]}}
    row |= {"reward": 0.0, "reward_components": {"format": 1.0}, **said}
    (found,), losses = read(written(tmp_path, "a.jsonl", row), "nemo_gym")
    assert (found.outcome, found.end) == (outcome, end)
    assert found.rewards == ({} if outcome is None else {"format": 1.0})
    unscored = {"no_outcome": 1} if outcome is None else {}
    assert losses == {"group_is_prompt": 1, **lost, **unscored}


def test_nemo_gym_items_of_one_model_call_are_one_step_with_its_tokens():
    found, _ = read(FIXTURES / "nemo_gym", "nemo_gym")
    call = Call(name="add", arguments='{"a": 1, "b": 2}', id="c1")
    # The prompt of the second call, 1 to 5, goes on from 1 to 4: token 5 is the result's.
    assert found[0].steps == (
        UserStep(text="1+2?", token_ids=(1, 2)),
        ModelStep(text="Add.", calls=(call,), token_ids=(3, 4), logprobs=(-0.5, -0.5)),
        ToolStep(text="3", name="add", call=(1, 0), token_ids=(5,)),
        ModelStep(text="3", token_ids=(6,), logprobs=(-0.5,)),
    )
    assert found[0].ledger.tokens == 3
    # a list a turn, of which each repeats the one before
    assert found[3].steps == (
        UserStep(text="1+2?"),
        ModelStep(calls=(call,)),
        ToolStep(text="3", name="add", call=(1, 0)),
        ModelStep(text="3"),
    )


def test_nemo_gym_says_which_files_are_missing(tmp_path: Path):
    row = {"responses_create_params": {"input": "1+2?"}, "response": {"output": []}, "reward": 1.0}
    alone = written(tmp_path, "a.jsonl", row | {"_ng_task_index": 0, "_ng_rollout_index": 0})
    found, losses = read(alone, "nemo_gym")
    assert [(t.outcome, t.end) for t in found] == [(1.0, "unknown")]
    assert losses == {"failures_file_missing": 1, "plan_file_missing": 1}
    # examples of old versions have no index, and no such files
    found, losses = read(written(tmp_path, "b.jsonl", row, row), "nemo_gym")
    assert found[0].group == found[1].group
    assert losses == {"group_is_prompt": 2}


def test_nemo_gym_where_everything_failed(tmp_path: Path):
    row = {"_ng_task_index": 0, "_ng_rollout_index": 0, "_ng_failure_class": "timeout"}
    path = written(tmp_path, "a_failures.jsonl", row)
    found, _ = read(path, "nemo_gym")
    assert [(t.outcome, t.end) for t in found] == [(None, "infra")]


def test_atropos_gives_each_run_of_the_mask_to_its_message():
    found, losses = read(FIXTURES / "atropos", "atropos")
    assert [(t.group, t.trial, t.outcome) for t in found] == [
        ("groups.jsonl/0", 0, 1.0),
        ("groups.jsonl/0", 1, -1.0),
        ("groups.jsonl/1", 0, 0.0),
        ("groups.jsonl/1", 1, 1.0),
        ("groups.jsonl/2", 0, 0.5),
        ("groups.jsonl/2", 1, 0.0),
    ]
    assert found[1].steps == (
        UserStep(text="1+2?", token_ids=(1, 2)),
        ModelStep(text="3", token_ids=(3,), logprobs=(-0.25,)),
        UserStep(text="Sure?", token_ids=(4,)),
        ModelStep(text="Yes", token_ids=(5,), logprobs=(-0.125,)),
    )
    # two answers and one run: which of them was trained is not said
    assert [step.text for step in found[2].steps] == ["1+2?", "3", "Sure?", "Yes"]
    assert all(step.token_ids is None for step in found[2].steps)
    # one message that is the whole text
    assert found[4].steps == (
        UserStep(text="", token_ids=(7,)),
        ModelStep(token_ids=(8, 9)),
    )
    assert found[2].task == found[3].task == found[0].task
    assert losses == {"tokens_not_aligned": 1, "no_text": 2, "equal_scores_not_written": 1}


def test_atropos_that_wrote_equal_scores_was_told_to(tmp_path: Path):
    group = {"tokens": [[1, 2], [1, 2]], "masks": [[-100, 2]] * 2, "scores": [1.0, 1.0]}
    other = group | {"scores": [1.0, 0.0]}
    assert read(written(tmp_path, "a.jsonl", group, other), "atropos")[1] == {"no_text": 4}
    wrong = group | {"masks": [[-100, 2], [2]]}
    with pytest.raises(DataError, match=r"masks: got 1 values; expected one per token, 2"):
        read(written(tmp_path, "b.jsonl", wrong), "atropos")
    wrong = group | {"masks": [["", 2]] * 2}
    with pytest.raises(DataError, match="masks: got values that are no whole numbers"):
        read(written(tmp_path, "b.jsonl", wrong), "atropos")


def test_skyrl_text_is_cut_at_the_templates_markers():
    found, losses = read(FIXTURES / "skyrl", "skyrl")
    assert [(t.outcome, t.end, t.trial, t.policy_version) for t in found] == [
        (1.0, "answered", 0, "20"),
        (0.25, "answered", 1, "20"),  # 0 + .25 + 0, given per token
        (0.0, "budget", 2, "20"),
        (1.0, "answered", 0, "20"),
    ]
    assert found[0].group == found[2].group != found[3].group
    assert found[0].steps == (
        SystemStep(text="You add."),
        UserStep(text="1+2?"),
        ModelStep(text=USED, calls=ADD),
        ToolStep(text="3", name="add", call=(2, 0)),
        ModelStep(text="3"),
    )
    assert found[3].steps == (UserStep(text="3+4="), ModelStep(text="7"))
    assert losses == {
        "call_from_text": 1,
        "turn_from_markers": 2,
        "group_is_prompt": 4,
        "no_tokens": 4,
        "evaluation_dump": 1,
        "score_per_token": 1,
    }


def test_areal_segments_give_the_turns():
    found, losses = read(FIXTURES / "areal", "areal")
    assert [(t.group, t.trial, t.outcome, t.rewards) for t in found] == [
        ("3/4", 0, 1.0, {}),
        ("3/4", 1, -1.0, {"original_reward": 0.0}),
    ]
    assert [t.policy_version for t in found] == ["2-3", "2-3"]
    assert found[0].steps == (
        SystemStep(text="You add."),
        UserStep(text="1+2?"),
        ModelStep(text=USED, calls=ADD),
        ToolStep(text="3", name="add", call=(2, 0)),
        ModelStep(text="3"),
    )
    assert found[0].ledger.tokens == 7  # 5 and 2
    assert found[1].steps[2] == ModelStep(text="4")
    assert losses == {"call_from_text": 1, "no_tokens": 2}


def _asked(text: str, *turns: str) -> str:
    said = [f"<|im_start|>user\n{one}<|im_end|>\n<|im_start|>assistant\n" for one in (text, *turns)]
    return "no.<|im_end|>\n".join(said)


def test_areal_samples_of_a_task_are_a_group_whichever_version_began_them(tmp_path: Path):
    """Task 4 in folder 3: samples that began at 3 and at 2, one of several turns in either dump."""
    row = {"task_id": 4, "seqlen": 9, "prompt_len": 5, "tail_version": 3, "completion": "3"}
    for dump, more in (("new", {"version_rle": [[3, 1]]}), ("old", {})):
        prompts = (_asked("1+2?"), _asked("1+2?") if more else _asked("1+2?", "again"))
        rows = [
            {**row, **more, "sample_idx": i, "head_version": 3 - i, "prompt": asked, "reward": i}
            for i, asked in enumerate(prompts)
        ]
        # another rank counts its tasks for itself, and appends to the same file
        other = {**rows[0], "prompt": _asked("2+2?")}
        written(tmp_path / dump, "3/4.jsonl", *rows, other)
        found, losses = read(tmp_path / dump, "areal")
        assert [(t.group, t.outcome) for t in found[:2]] == [("3/4", 0.0), ("3/4", 1.0)]
        assert found[2].group == f"3/4@{found[2].task}"
        assert [t.task == found[0].task for t in found] == [True, True, False]
        assert [t.policy_version for t in found] == ["3", "2-3", "3"]
        assert losses == {"no_tokens": 3}


def test_areal_tells_evaluations_from_training(tmp_path: Path):
    row = {"task_id": 0, "seqlen": 9, "prompt_len": 5, "head_version": 3, "tail_version": 3}
    row |= {"sample_idx": 0, "prompt": _asked("1+2?"), "completion": "3", "reward": 1}
    for name in ("rollout", "eval-rollout"):
        written(tmp_path, f"{name}/3/0.jsonl", row)
    found, losses = read(tmp_path, "areal")
    assert [t.group for t in found] == ["3/0", "3/0@rollout"]
    assert losses == {"no_tokens": 2, "of_evaluation:eval": 1}


def test_tinker_has_fates_and_rewards_without_text():
    found, losses = read(FIXTURES / "tinker", "tinker")
    assert [(t.group, t.trial, t.outcome, t.rewards) for t in found] == [
        ("7/train/0", 0, 1.5, {"final_reward": 1.0}),
        ("7/train/0", 1, 0.0, {"final_reward": 0.0}),
        ("7/train/1", 0, 1.0, {"final_reward": 1.0}),
        ("7/train/1", 1, 1.0, {"final_reward": 1.0}),
    ]
    assert [step.reward for step in found[0].steps] == [0.5, 0.0]
    assert found[0].ledger.tokens == 10
    assert losses == {"no_text": 4}
    # Of two groups one is mixed and one all pass: what is dead is told by outcomes alone.
    done = run(found)
    groups = audit(done.batch, done.decisions, done.advantages)["groups"]
    assert (groups["mixed"], groups["all_pass"], groups["dead"]) == (1, 1, 1)


def test_tinker_tells_evaluations_from_training(tmp_path: Path):
    """Group 0 of either in one iteration: two groups, and the one of the evaluation is counted."""
    row = {"schema_version": 1, "iteration": 7, "group_idx": 0, "final_reward": 1.0}
    row |= {"total_reward": True, "steps": [{"step_idx": 0, "ac_len": 3}]}
    for name, split in (("train", "train"), ("eval_gsm", "eval/gsm")):
        rows = [{**row, "split": split, "traj_idx": i} for i in range(2)]
        written(tmp_path, f"iteration_000007/{name}_rollout_summaries.jsonl", *rows)
    found, losses = read(tmp_path, "tinker")
    assert [(t.group, t.trial, t.outcome) for t in found] == [
        ("7/train/0", 0, 1.0),
        ("7/train/0", 1, 1.0),
        ("7/eval/gsm/0", 0, 1.0),
        ("7/eval/gsm/0", 1, 1.0),
    ]
    assert losses == {"no_text": 4, "of_evaluation:eval/gsm": 2}
    assert any("2 trajectories are of an evaluation" in told for told in sentences(losses))


def test_art_tells_other_splits_from_training(tmp_path: Path):
    for split in ("train", "val"):
        folder = tmp_path / "trajectories" / split
        folder.mkdir(parents=True)
        shutil.copy(next((FIXTURES / "art").rglob("*.parquet")), folder)
    found, losses = read(tmp_path, "art")
    assert {t.group.partition("/")[0] for t in found} == {"train", "val"}
    assert losses["of_evaluation:val"] == 4  # rows of the file


def test_a_reward_of_art_that_is_null_is_no_score(tmp_path: Path):
    """Left out it has its default, 0, which may be a failure or none; null is what NaN becomes."""
    said = {"messages_and_choices": [{"role": "user", "content": "1+2?"}]}
    made = [json.dumps(said | given) for given in ({"reward": None}, {}, {"reward": 0.5})]
    columns = {"trajectory_json": made, "group_json": ["{}"] * 3, "group_index": [0] * 3}
    columns |= {"format_version": [2] * 3, "trajectory_index": [0, 1, 2]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "0001.parquet")
    found, losses = read(tmp_path, "art")
    assert [t.outcome for t in found] == [None, 0.0, 0.5]
    assert losses == {"no_outcome": 1, "reward_zero_or_unset": 1}


def test_art_reads_choices_with_their_tokens_and_what_was_raised():
    found, losses = read(FIXTURES / "art", "art")
    assert [(t.id, t.group, t.outcome, t.end) for t in found] == [
        ("train/0007/0/raised-0", "train/0007/0", None, "infra"),
        ("train/0007/0/0", "train/0007/0", 1.0, "answered"),
        ("train/0007/0/1", "train/0007/0", 0.5, "answered"),
        ("train/0007/1/2", "train/0007/1", 0.0, "budget"),
        ("train/0007/2/raised-0", "train/0007/2", None, "infra"),
        ("train/0007/2/raised-1", "train/0007/2", None, "infra"),
    ]
    call = Call(name="add", arguments='{"a": 1, "b": 2}', id="c0")
    assert found[1].steps == (
        SystemStep(text="You add."),
        UserStep(text="1+2?"),
        ModelStep(calls=(call,), token_ids=(11, 12), logprobs=(-0.5, -0.5)),
        ToolStep(text="3", name="add", call=(2, 0)),
        ModelStep(text="3", token_ids=(13,), logprobs=(-0.5,)),
    )
    assert found[1].policy_version == "4"
    # a shot in the prompt was not sampled
    assert [getattr(step, "untrainable", "") for step in found[3].steps] == ["", "copied", "", None]
    assert losses == {"rollout_raised": 3, "reward_zero_or_unset": 1}
