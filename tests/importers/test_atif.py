"""ATIF: expected values are those of tests/fixtures/make_atif.py, worked out there by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Mark, ModelStep, SystemStep, ToolStep, UserStep, decode, encode

FIXTURES = Path(__file__).parent.parent / "fixtures" / "atif"


def read(path: Path) -> tuple[list[Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "atif"
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return found, losses


def test_tokens_go_to_the_step_that_added_them() -> None:
    (one,), losses = read(FIXTURES / "trajectory.json")
    steps = one.steps
    # Prompt 1 2 3 is shared by system and user step, so the model step carries it, not sampled.
    assert (steps[2].token_ids, steps[2].sampled) == ((1, 2, 3, 10, 11), ((3, 5),))
    assert steps[2].logprobs == (-0.5, -0.25)
    # One result between calls 1 and 2: 20 21 are its tokens, and all of call 2 is sampled.
    assert steps[3].token_ids == (20, 21)
    assert (steps[4].token_ids, steps[4].sampled) == ((12,), None)
    # Two results before call 3: 30 31 32 have no border between them.
    assert (steps[5].token_ids, steps[6].token_ids) == (None, None)
    assert (steps[7].token_ids, steps[7].sampled) == ((30, 31, 32, 13, 14), ((3, 5),))
    joined = [i for step in steps[:8] for i in step.token_ids or ()]
    assert joined == [1, 2, 3, 10, 11, 20, 21, 12, 30, 31, 32, 13, 14]
    assert losses.counts["observation_tokens_not_split"] == 2


def test_a_prompt_that_broke_off_drifts_and_is_marked() -> None:
    (one,), losses = read(FIXTURES / "trajectory.json")
    last = one.steps[10]
    assert (last.token_ids, last.untrainable) == ((15,), "drifted")
    assert one.marks == (Mark(kind="prefix_break", step=10, source="importer"),)
    assert losses.counts["prefix_break"] == 1


def test_results_answer_calls_by_id_within_their_step() -> None:
    (one,), _ = read(FIXTURES / "trajectory.json")
    answers = [(s.text, s.name, s.call) for s in one.steps if type(s) is ToolStep]
    assert answers == [
        ("paid 12.50", "get_order", (2, 0)),
        ("noted", "note", (4, 1)),
        ("refunded", "refund", (4, 0)),
    ]
    assert one.steps[4].calls[0].arguments == '{"id": 7}'


def test_what_no_model_of_this_run_wrote_teaches_nothing() -> None:
    (one,), losses = read(FIXTURES / "trajectory.json")
    assert one.steps[8] == SystemStep(text="Context was compacted.")  # llm_call_count == 0
    assert one.steps[9] == ModelStep(text="Old words.", untrainable="copied")
    assert losses.counts["step_without_model"] == 1


def test_losses_name_all_that_was_left_behind() -> None:
    (one,), losses = read(FIXTURES / "trajectory.json")
    assert one.outcome is None
    assert losses.counts == {
        "subagent_trajectory": 1,
        "continuation_missing": 1,
        "step_without_model": 1,
        "observation_tokens_not_split": 2,
        "span_in_characters": 1,  # the reasoning span: this step counts in tokens
        "prefix_break": 1,
        "no_outcome": 1,
        "no_task": 1,
    }


def test_extra_may_carry_task_trial_and_reward() -> None:
    found, losses = read(FIXTURES / "scored.jsonl")
    assert [(t.id, t.task, t.group, t.trial, t.outcome) for t in found] == [
        ("run-0", "refund", "refund", 0, 1.0),
        ("run-1", "refund", "refund", 1, 0.0),
    ]
    assert losses.counts == {"extra:region": 2}


def document(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"schema_version": "ATIF-v1.8", "agent": {"name": "a", "version": "1"}, "steps": steps}


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"step_id": 2, "source": "user", "message": "x"}, "step_id: got 2; expected 1"),
        ({"step_id": 1, "source": "bot", "message": "x"}, "source"),
        ({"step_id": 1, "source": "agent", "message": {"a": 1}}, "message"),
        ({"step_id": 1, "source": "agent", "message": "", "tool_calls": [7]}, "tool_calls"),
    ],
)
def test_a_malformed_step_is_one_line(tmp_path: Path, step: dict[str, Any], fault: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document(step)))
    with pytest.raises(DataError, match=fault) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_token_ids_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for ids in ([1.5], [-1], [True], [2**31], "12"):
        step = {"step_id": 1, "source": "agent", "message": "x"}
        step["metrics"] = {"completion_token_ids": ids}
        path.write_text(json.dumps(document(step)))
        with pytest.raises(DataError, match="completion_token_ids"):
            read(path)


def test_an_id_used_twice_in_a_step_answers_in_order(tmp_path: Path) -> None:
    call = {"tool_call_id": "a", "function_name": "f", "arguments": {}}
    results = [{"source_call_id": "a", "content": text} for text in ("1", "2")]
    step = {"step_id": 1, "source": "agent", "message": "", "tool_calls": [call, call]}
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document({**step, "observation": {"results": results}})))
    (one,), _ = read(path)
    assert [(s.text, s.call) for s in one.steps[1:]] == [("1", (0, 0)), ("2", (0, 1))]


def test_logprobs_that_do_not_line_up_are_counted_and_train_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    step = {"step_id": 1, "source": "agent", "message": "x"}
    step["metrics"] = {"completion_token_ids": [1, 2], "logprobs": [-0.5]}
    path.write_text(json.dumps(document(step)))
    (one,), losses = read(path)
    assert (one.steps[0].logprobs, one.steps[0].untrainable) == (None, "logprobs")
    assert losses.counts["logprobs_misaligned"] == 1


def step(number: int, source: str, message: str = "", **rest: Any) -> dict[str, Any]:
    return {"step_id": number, "source": source, "message": message, **rest}


def turn(number: int, *calls: str, **rest: Any) -> dict[str, Any]:
    made = [{"tool_call_id": c, "function_name": f"f{c}", "arguments": {}} for c in calls]
    return step(number, "agent", "x", tool_calls=made, **rest)


def seen(*results: dict[str, Any]) -> dict[str, Any]:
    return {"results": list(results)}


def write(folder: Path, name: str, *steps: dict[str, Any], **rest: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps({"schema_version": "ATIF-v1.8", "steps": list(steps), **rest}))
    return path


def results_of(one: Any) -> list[tuple[str, Any, Any]]:
    return [(s.text, s.call, s.error) for s in one.steps if type(s) is ToolStep]


def test_a_result_in_a_later_step_answers_the_call_that_it_names(tmp_path: Path) -> None:
    late = seen({"source_call_id": "1", "content": "late"})
    other = seen({"source_call_id": "2", "content": "b"})
    steps = (turn(1, "1"), turn(2, "2", observation=other), step(3, "system", observation=late))
    (one,), losses = read(write(tmp_path, "a.json", *steps))
    assert results_of(one) == [("b", (1, 0), None), ("late", (0, 0), None)]
    assert "result_of_no_call" not in losses.counts


def test_results_that_name_no_call_answer_the_calls_of_their_step_in_order(tmp_path: Path) -> None:
    told = seen({"content": "a"}, {"content": "b"}, {"content": "Call a tool."})
    (one,), losses = read(write(tmp_path, "a.json", turn(1, "1", "2", observation=told)))
    assert results_of(one) == [("a", (0, 0), None), ("b", (0, 1), None)]
    assert one.steps[3] == UserStep(text="Call a tool.")
    assert losses.counts["harness_message"] == 1


def test_one_result_that_names_its_call_leaves_the_unnamed_unpaired(tmp_path: Path) -> None:
    told = seen({"content": "a"}, {"source_call_id": "1", "content": "b"})
    (one,), losses = read(write(tmp_path, "a.json", turn(1, "1", "2", observation=told)))
    assert results_of(one) == [("a", None, None), ("b", (0, 0), None)]
    assert losses.counts["result_of_no_call"] == 1


@pytest.mark.parametrize("key", ["tool_result_is_error", "is_error"])
def test_a_result_is_an_error_where_its_extra_says_so(tmp_path: Path, key: str) -> None:
    told = [
        {"source_call_id": "1", "content": "a", "extra": {key: True}},
        {"source_call_id": "2", "content": "b", "extra": {key: False}},
        {"source_call_id": "3", "content": "c", "extra": {key: "yes"}},
    ]
    made = turn(1, "1", "2", "3", observation=seen(*told))
    (one,), _ = read(write(tmp_path, "a.json", made))
    assert [error for *_, error in results_of(one)] == [True, False, None]


def test_reasoning_that_is_the_message_again_is_read_once(tmp_path: Path) -> None:
    same = step(1, "agent", "I list.", reasoning_content="I list.")
    other = step(2, "agent", "I list.", reasoning_content="Hm. ")
    (one,), losses = read(write(tmp_path, "a.json", same, other))
    assert [(s.text, len(s.spans)) for s in one.steps] == [("I list.", 0), ("Hm. I list.", 1)]
    assert losses.counts["reasoning_repeats_message"] == 1


def test_a_folder_joins_what_goes_on_and_reads_the_rest(tmp_path: Path) -> None:
    text = 'not a key: "continued_trajectory_ref": "c.json"'
    write(tmp_path, "b.json", step(1, "user", "one"), continued_trajectory_ref="a.json")
    copied = step(1, "agent", "x", is_copied_context=True)
    write(tmp_path, "a.json", copied, step(2, "user", "two"))
    write(tmp_path, "c.json", step(1, "user", text), extra={"continued_trajectory_ref": "b.json"})
    found, losses = read(tmp_path)
    assert [[s.text for s in one.steps] for one in found] == [["one", "two"], [text]]
    assert losses.counts["copied_step"] == 1


@pytest.mark.parametrize(
    "name", ["../b.json", "/etc/passwd", "a.json", "none.json", "", ".", "a\0b", "x" * 999]
)
def test_a_continuation_is_a_file_beside(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    write(tmp_path, "b.json", step(1, "user", "no"))
    path = write(tmp_path / "x", "a.json", step(1, "user", "q"), continued_trajectory_ref=name)
    (one,), losses = read(path)
    assert [s.text for s in one.steps] == ["q"]
    assert losses.counts["continuation_missing"] == 1


def test_a_torn_document_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "a.json", step(1, "user", "q"))
    whole = write(
        tmp_path, "b.json", step(1, "user", "q"), continued_trajectory_ref="b.cont-1.json"
    )
    (tmp_path / "b.cont-1.json").write_text(whole.read_text()[:-9])
    found, losses = read(tmp_path)
    assert [len(one.steps) for one in found] == [1, 1]
    assert losses.counts["torn_record"] == 1
