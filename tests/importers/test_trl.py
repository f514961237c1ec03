"""TRL: expected values are those of tests/fixtures/make_trl.py."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from assay.errors import DataError, MissingExtraError
from assay.importers import Choices, Losses, load
from assay.records import Call, ModelStep, ToolStep, UserStep

FOLDER = Path(__file__).parent.parent / "fixtures" / "trl"
TEXT = FOLDER / "completions" / "completions_00003.parquet"
CHAT = FOLDER / "completions" / "completions_00004.parquet"


def read(path: Path) -> tuple[list[Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "trl"
    return list(trajectories), losses


def test_rewards_are_summed_and_none_is_not_zero() -> None:
    found, losses = read(TEXT)
    assert [(t.outcome, t.rewards) for t in found] == [
        (1.5, {"exact": 1.0, "style": 0.5}),
        (0.5, {"exact": 0.0, "style": 0.5}),
        (1.0, {"exact": 1.0, "style": None}),
        (1.25, {"exact": 1.0, "style": 0.25}),
        (0.5, {"exact": 0.0, "style": 0.5}),
        (None, {"exact": None, "style": None}),
    ]
    assert losses.counts == {
        "column:source": 6,
        "evaluation_not_told": 1,
        "no_tokens": 6,
        "no_outcome": 1,
    }
    assert found[0].origin.extra == {"advantage": "0.70701"}


def test_a_prompt_that_comes_again_is_another_group() -> None:
    groups = [(t.group, t.trial) for t in read(TEXT)[0]]
    names = [group for group, _ in groups]
    assert [trial for _, trial in groups] == [0, 1, 0, 1, 0, 1]
    assert names[::2] == names[1::2]
    assert len(set(names)) == 3
    assert names[4] == f"{names[0]}-1"
    assert len({t.task for t in read(TEXT)[0]}) == 2


def test_conversations_lose_the_nulls_of_other_rows() -> None:
    (first, second), losses = read(CHAT)
    assert losses.counts["null_argument"] == 2  # x of the first call, a and b of the second
    assert first.steps == (
        UserStep(text="2+2?"),
        ModelStep(text="4", untrainable="copied"),  # part of the prompt
        UserStep(text="1+2?"),
        ModelStep(calls=(Call(name="add", arguments='{"a": 1, "b": 2}'),)),
        ToolStep(text="3", name="add", call=(3, 0)),
        ModelStep(text="3"),
    )
    assert second.steps[3].calls == (Call(name="add", arguments='{"x": 3}'),)


def test_the_output_folder_is_read_in_order() -> None:
    assert [t.policy_version for t in read(FOLDER)[0]] == ["3"] * 6 + ["4"] * 2


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    name, trajectories = load(TEXT)  # recognised all the same
    assert name == "trl"
    with pytest.raises(MissingExtraError, match=r"assay\[parquet\]"):
        list(trajectories)


def test_broken_parquet_is_one_line(tmp_path: Path) -> None:
    whole = TEXT.read_bytes()
    path = tmp_path / "completions_00001.parquet"
    for data in (whole[:100], whole[:-9], b"PAR1" + b"\0" * 64 + b"PAR1", b"PAR1"):
        path.write_bytes(data)
        with pytest.raises(DataError, match="broken parquet") as caught:
            list(load(path, format="trl")[1])
        assert "\n" not in str(caught.value)


def test_rows_beyond_belief_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "completions_00001.parquet"
    n = 200_000  # one value, run-length packed: a few hundred bytes
    table = pyarrow.table({"step": [1] * n, "prompt": ["p"] * n, "completion": ["c"] * n})
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(DataError, match="not believable"):
        list(load(path, format="trl")[1])


def table(folder: Path, step: int, **columns: list[Any]) -> None:
    """Writes the file of a step; where nothing else is said, two rows of one prompt."""
    rows = len(next(iter(columns.values()), [0, 0]))
    said = [f"{step} {row}" for row in range(rows)]
    before = {"step": [step] * rows, "prompt": ["q"] * rows, "completion": said}
    last = {"advantage": [0.0] * rows}
    made = pyarrow.table({**before, **columns, **last, **columns})
    folder.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(made, folder / f"completions_{step:05d}.parquet")


PAIR: dict[str, list[Any]] = {"acc": [1.0, 0.0], "advantage": [0.5, -0.5]}


def test_a_file_that_equals_the_one_before_is_no_new_batch(tmp_path: Path) -> None:
    """num_iterations 3: the batch of step 1 is written three times, then another."""
    for step in (1, 2, 3):
        table(tmp_path, step, completion=["a", "b"], **PAIR)
    table(tmp_path, 4, completion=["a", "c"], **PAIR)
    found, losses = read(tmp_path)
    assert [(t.policy_version, t.steps[1].text) for t in found] == [
        ("1", "a"),
        ("1", "b"),
        ("4", "a"),
        ("4", "c"),
    ]
    assert losses.counts["repeated_batch"] == 4
    assert losses.counts["evaluation_not_told"] == 4
    assert "step_without_file" not in losses.counts


def state(folder: Path, upto: int, *evaluated: int) -> None:
    """Writes what a trainer saves, with two things that it logged at each step."""
    rows = [{"step": step, "loss": float("nan")} for step in range(1, upto + 1)]
    rows += [{"step": step, "eval_loss": 0.5} for step in evaluated]
    folder.mkdir(exist_ok=True)
    made = json.dumps({"global_step": upto, "log_history": rows})
    (folder / "trainer_state.json").write_text(made)


@pytest.mark.parametrize(
    ("saved", "lost"),
    [
        ({}, {"evaluation_not_told": 3}),
        # evaluated never, or at a step that has a file
        ({"checkpoint-3": (3,)}, {}),
        ({"checkpoint-3": (3, 2)}, {"evaluation_in_file": 1}),
        # the last state knows most; of what came after it none does
        (
            {"checkpoint-1": (1, 1), "checkpoint-2": (2, 1, 2)},
            {"evaluation_in_file": 2, "evaluation_not_told": 1},
        ),
        ({"checkpoint-2": (2,), ".": (3, 3)}, {"evaluation_in_file": 1}),
    ],
)
def test_the_state_of_the_trainer_tells_where_it_evaluated(
    saved: dict[str, tuple[int, ...]], lost: dict[str, int], tmp_path: Path
) -> None:
    for step in (1, 2, 3):
        table(tmp_path / "completions", step, **PAIR)
    for name, given in saved.items():
        state(tmp_path / name, *given)
    counts = read(tmp_path)[1].counts
    assert {kind: n for kind, n in counts.items() if kind.startswith("evaluation")} == lost
    assert "not_a_log" not in counts
    # the folder of the log alone: what lies outside of it is not looked at
    assert read(tmp_path / "completions")[1].counts["evaluation_not_told"] == 3


def test_a_state_that_is_none_tells_nothing(tmp_path: Path) -> None:
    table(tmp_path / "completions", 1, **PAIR)
    for text in ("{", "[]", '{"global_step": "1", "log_history": [1]}', '{"log_history": {}}'):
        (tmp_path / "trainer_state.json").write_text(text)
        assert read(tmp_path)[1].counts["evaluation_not_told"] == 1


@pytest.mark.parametrize("change", [{"acc": [1.0, 0.5]}, {"advantage": [0.5, -0.4]}])
def test_other_numbers_are_another_batch(tmp_path: Path, change: dict[str, Any]) -> None:
    table(tmp_path, 1, completion=["a", "b"], **PAIR)
    table(tmp_path, 2, **{"completion": ["a", "b"], **PAIR, **change})
    found, losses = read(tmp_path)
    assert len(found) == 4
    assert "repeated_batch" not in losses.counts


def test_steps_without_a_file_are_counted(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        table(tmp_path, step, **PAIR)
    table(tmp_path / "other run", 2, **PAIR)
    assert read(tmp_path)[1].counts["step_without_file"] == 18  # 11 to 19, 21 to 29


def test_a_file_cut_short_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    for step in (1, 2):
        table(tmp_path, step, **PAIR)
    cut = tmp_path / "completions_00002.parquet"
    cut.write_bytes(cut.read_bytes()[:-9])
    found, losses = read(tmp_path)
    assert [t.policy_version for t in found] == ["1", "1"]
    assert losses.counts["torn_record"] == 1
    with pytest.raises(DataError, match="broken parquet"):
        list(load(tmp_path, choices=Choices(strict=True))[1])


def test_a_file_without_rows_is_no_batch(tmp_path: Path) -> None:
    table(tmp_path, 1, acc=[], advantage=[])
    table(tmp_path, 2, **PAIR)
    assert [t.policy_version for t in read(tmp_path)[0]] == ["2", "2"]


def answer(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def asks(*names: str) -> dict[str, Any]:
    calls = [{"type": "function", "function": {"name": n, "arguments": {"q": n}}} for n in names]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def result(name: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "name": name, "content": text}


def test_results_of_async_tools_come_last_and_are_paired_by_name(tmp_path: Path) -> None:
    said = [
        asks("slow", "calc"),
        result("calc", "{'error': 'x'}"),
        result("slow", "3"),
        answer("3"),
    ]
    ask = [{"role": "user", "content": "q"}]
    table(tmp_path, 1, prompt=[ask, ask], completion=[said, [answer("4")]], **PAIR)
    steps = read(tmp_path)[0][0].steps
    assert [(s.name, s.call) for s in steps if type(s) is ToolStep] == [
        ("calc", (1, 1)),
        ("slow", (1, 0)),
    ]


def test_a_tool_run_that_the_budget_cut_ends_in_the_budget(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "q"}]
    done = [asks("calc"), result("calc", "3")]
    said = [[*done, answer("3")], [*done, asks("calc")], done, [asks("calc")]]
    table(tmp_path, 1, prompt=[ask] * 4, completion=said, acc=[1.0] * 4)
    # a lone call may be all that was asked for
    assert [t.end for t in read(tmp_path)[0]] == ["unknown", "budget", "budget", "unknown"]


CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


def test_text_logs_are_split_at_their_marks(tmp_path: Path) -> None:
    split = f"{CALL}\nuser\n<tool_response>\n2\n</tool_response>\nassistant\nIt is 2"
    other = f"{CALL}ipython\n\n2assistant\n\nIt is 2"
    table(tmp_path, 1, completion=[split, other], **PAIR)
    (first, second), losses = read(tmp_path)
    add = Call(name="add", arguments='{"a": 1}')
    assert first.steps == (
        UserStep(text="q"),
        ModelStep(text=CALL, calls=(add,)),
        ToolStep(text="2", name="add", call=(1, 0)),
        ModelStep(text="It is 2"),
    )
    assert second.steps == (UserStep(text="q"), ModelStep(text=other, calls=(add,)))
    assert losses.counts["turn_from_markers"] == 1
    assert losses.counts["turns_not_separable"] == 1


def test_an_empty_completion_is_the_policys(tmp_path: Path) -> None:
    table(tmp_path, 1, completion=["yes", ""], **PAIR)
    assert [(t.outcome, t.steps[1:]) for t in read(tmp_path)[0]] == [
        (1.0, (ModelStep(text="yes"),)),
        (0.0, (ModelStep(text=""),)),
    ]


def test_the_reader_may_name_the_column(tmp_path: Path) -> None:
    table(tmp_path, 1, acc=[1.0, 0.0], seen=[3.0, 1.0], advantage=[0.0, 0.0])
    losses = Losses()
    found = list(load(tmp_path, losses=losses, choices=Choices(outcome="seen"))[1])
    assert [t.outcome for t in found] == [3.0, 1.0]
    assert not any(kind.startswith("reward_or") for kind in losses.counts)
