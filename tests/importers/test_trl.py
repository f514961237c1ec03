"""TRL: expected values are those of tests/fixtures/make_trl.py."""

import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from assay.errors import DataError, MissingExtraError
from assay.importers import Losses, load
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
        "reward_weights_unknown": 5,
        "no_tokens": 6,
        "no_outcome": 1,
    }
    assert found[0].origin.extra == {"advantage": "0.7"}


def test_a_prompt_that_comes_again_is_another_group() -> None:
    groups = [(t.group, t.trial) for t in read(TEXT)[0]]
    names = [group for group, _ in groups]
    assert [trial for _, trial in groups] == [0, 1, 0, 1, 0, 1]
    assert names[::2] == names[1::2]
    assert len(set(names)) == 3
    assert names[4] == f"{names[0]}-1"
    assert len({t.task for t in read(TEXT)[0]}) == 2


def test_conversations_lose_the_nulls_of_other_rows() -> None:
    first, second = read(CHAT)[0]
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
