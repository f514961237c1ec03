"""The trainer's own log: what no table holds is a record, and nothing in it ends a training."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.importers import load
from assay.records import Call, ModelStep, Step, ToolStep, Trajectory, UserStep
from assay.trainers.trl.own_log import OwnLog, Row

ASK = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]


def row(completion: Any, **fields: Any) -> Row:
    given: dict[str, Any] = {
        "id": "1/0",
        "group": "1/0",
        "step": 0,
        "prompt": "q",
        "completion": completion,
        "ids": [5, 6],
        "sampled": None,
        "outcome": 1.0,
        "rewards": {"acc": 1.0},
        "answered": True,
        **fields,
    }
    return Row(**given)


def written(folder: Path, *rows: Row, processes: int = 1) -> tuple[list[Trajectory], list[str]]:
    said: list[str] = []
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(num_processes=processes, process_index=processes - 1),
        state=SimpleNamespace(global_step=2),
    )
    OwnLog(folder, said.append).write(trainer, rows)
    return list(load(folder)[1]) if folder.is_dir() else [], said


def asks(**arguments: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments}
    call = {"type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call, call]}


def test_a_text_is_one_step_with_its_tokens(tmp_path: Path) -> None:
    ((found,), said) = written(tmp_path, row("yes", answered=False))
    assert found.steps == (UserStep(text="q"), ModelStep(text="yes", token_ids=(5, 6)))
    assert (found.outcome, found.rewards, found.end) == (1.0, {"acc": 1.0}, "budget")
    assert (found.id, found.group, found.policy_version) == ("1/0", "1/0", "0")
    assert [file.name for file in tmp_path.iterdir()] == ["step_000003.jsonl"]
    assert said == []


def test_messages_get_the_tokens_of_their_turns(tmp_path: Path) -> None:
    """Turn 5 6, two results 7 8, answer 9; what lies between turns is the first result's."""
    results = [{"role": "tool", "name": "f", "content": each} for each in ("1", "2")]
    said = [asks(a=1), *results, {"role": "assistant", "content": "3"}]
    tokens = {"ids": [5, 6, 7, 8, 9], "sampled": [1, 1, 0, 0, 1]}
    ((found,), _) = written(tmp_path, row(said, prompt=ASK, **tokens))
    call = Call(name="f", arguments='{"a": 1}')
    expected: tuple[Step, ...] = (
        ModelStep(text="", calls=(call, call), token_ids=(5, 6)),
        ToolStep(text="1", name="f", call=(2, 0), token_ids=(7, 8)),
        ToolStep(text="2", name="f", call=(2, 1), token_ids=()),
        ModelStep(text="3", token_ids=(9,)),
    )
    assert found.steps[2:] == expected


def test_runs_that_are_not_the_messages_stay_one_step(tmp_path: Path) -> None:
    one = row([{"role": "assistant", "content": "x"}], sampled=[1, 0])
    turns = [{"role": "assistant", "content": "x"}, {"role": "tool", "name": "f", "content": "y"}]
    two = row(turns, id="1/1")
    found, said = written(tmp_path, one, two)
    assert found[0].steps[1:] == (ModelStep(text="x", token_ids=(5, 6), sampled=((0, 1),)),)
    assert found[1].steps[1:] == (ModelStep(text="assistant: x\ntool: y", token_ids=(5, 6)),)
    assert said == []


NO_TABLE = [
    # pyarrow: a struct without fields; text beside lists; an integer beside a double
    [asks(), {"role": "tool", "name": "f", "content": "x"}],
    [asks(a=1), {"role": "tool", "name": "f", "content": ["a", "b"]}],
    [asks(a=2**60 + 1), {"role": "tool", "name": "f", "content": "x"}, asks(a=0.5)],
]


@pytest.mark.parametrize("completion", NO_TABLE)
def test_what_ends_a_table_is_a_record(tmp_path: Path, completion: Any) -> None:
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    with pytest.raises((pyarrow.ArrowException, NotImplementedError)):
        pandas.DataFrame({"completion": [completion] * 2}).to_parquet(tmp_path / "table")
    tokens = {"ids": [5, 6, 7], "sampled": [1, 0, 1]} if len(completion) == 3 else {}
    if len(completion) == 2:
        tokens = {"ids": [5, 6], "sampled": [1, 0]}
    found, said = written(tmp_path / "log", row(completion, **tokens))
    given = completion[0]["tool_calls"][0]["function"]["arguments"]
    calls = [c for s in found[0].steps if type(s) is ModelStep for c in s.calls]
    assert json.loads(calls[0].arguments) == given
    assert said == []


class Opaque:
    def __repr__(self) -> str:
        return "<opaque>"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"completion": "half \ud800"}, "half \\ud800"),
        ({"completion": [asks(a="\ud800")]}, 'assistant:  [{"type"'),
        ({"completion": [{"role": "narrator", "content": "x"}]}, "narrator: x"),
        ({"completion": [asks(a=Opaque())]}, 'assistant:  [{"type"'),
        ({"completion": [3]}, '"[3]"'),
        ({"outcome": float("inf"), "rewards": {"acc": float("inf")}}, "yes"),
    ],
)
def test_what_is_no_plain_data_is_logged_as_text_and_said_once(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    fields = {"completion": "yes", **change}
    found, said = written(tmp_path, row(**fields), row(**fields, id="1/1"), row("b", id="1/2"))
    assert len(found) == 3
    last = found[0].steps[-1]
    assert type(last) is ModelStep
    assert last.text.startswith(text)
    assert last.token_ids == (5, 6)
    assert found[0].outcome in (1.0, None)
    assert len(said) == 1
    assert said[0].startswith("a completion is logged as plain text: ")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found, said = written(tmp_path / "file" / "log", row("yes"))
    assert found == []
    assert len(said) == 1
    assert said[0].startswith("a batch is not logged: ")


def test_processes_write_files_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, row("yes"), processes=2)
    assert [file.name for file in tmp_path.iterdir()] == ["step_000003-1.jsonl"]
