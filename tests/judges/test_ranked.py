"""The journal of votes: gone on from, cut short, of one judge; and scores onto records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.judges.chat import Spent
from assay.judges.protocols import Grm
from assay.judges.ranked import KEPT, Journal, all_rows, by_group, judged, scored
from assay.judges.ranking import Ranker
from assay.records import ModelStep, Trajectory, UserStep


def answered(id: str, group: str, text: str) -> Trajectory:
    steps = (UserStep(text=f"task {group}"), ModelStep(text=text))
    return Trajectory(id, group, group, steps=steps, rewards={"own": 1.0})


def ranker(spent: Spent | None = None, asked: list[Any] | None = None) -> Ranker:
    def asks(requests: Sequence[Any]) -> list[str]:
        for each in requests:
            if spent is not None:
                spent.add(10, 2)
            if asked is not None:
                asked.append(each)
        return ["so \\boxed{1, 10}"] * len(requests)

    return Ranker(asks, Grm(), votes=2)


RECORDS = [
    answered("a0", "a", "x" * 3000),
    answered("b0", "b", "one"),
    answered("a1", "a", "two"),
    answered("b1", "b", "three"),
    answered("c0", "c", "alone"),
]


def test_rows_are_kept_with_what_they_cost_and_not_asked_for_again(tmp_path: Path) -> None:
    path, spent, asked = tmp_path / "j.jsonl", Spent(), list[Any]()
    groups = by_group(RECORDS)
    assert {name: [r.id for r in of] for name, of in groups.items()} == {
        "a": ["a0", "a1"], "b": ["b0", "b1"], "c": ["c0"]}  # fmt: skip
    seen: list[int] = []
    found = judged(groups, ranker(spent, asked), Journal(path, "m"), spent=spent,
                   watch=lambda: seen.append(len(asked)))  # fmt: skip
    assert seen == [2, 4, 4]
    assert [row["new"] for row in found] == [True] * 3
    assert [row["tokens"] for row in found] == [[20, 4], [20, 4], [0, 0]]
    assert [row["ids"] for row in found] == [["a0", "a1"], ["b0", "b1"], ["c0"]]
    assert found[0]["answers"] == ["x" * KEPT, "AGENT: two"]
    assert found[0]["task"] == "task a"
    rows = all_rows(path)
    assert [(row["judge"], row["group"]) for row in rows] == [("m", "a"), ("m", "b"), ("m", "c")]
    assert all("new" not in row and "ids" not in row for row in rows)
    again = judged(groups, ranker(None, asked), Journal(path, "m"))
    assert [row["new"] for row in again] == [False] * 3
    assert len(asked) == 4
    other = judged({"b": groups["b"]}, ranker(None, asked), Journal(path, "n"))
    assert (other[0]["new"], len(asked)) == (True, 6)  # another judge has said nothing yet
    assert other[0]["tokens"] is None  # nobody counted
    moved = judged({"z": groups["b"]}, ranker(None, asked), Journal(path, "m"))
    assert (moved[0]["group"], moved[0]["new"]) == ("z", False)  # the same texts, another name


def test_a_line_that_a_kill_cut_short_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    judged(by_group(RECORDS), ranker(), Journal(path, "m"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    journal = Journal(path, "m")
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:2])
    assert [row["new"] for row in judged(by_group(RECORDS), ranker(), journal)] == [
        False, False, True]  # fmt: skip


def test_scores_go_to_the_records_that_they_are_of() -> None:
    found = [{"group": "a", "scores": [0.0, 1.0]}, {"group": "b", "scores": [None, 0.5]},
             {"group": "c", "scores": [None]}]  # fmt: skip
    made = [*scored(RECORDS, found, "m")]
    assert [r.id for r in made] == ["a0", "b0", "a1", "b1", "c0"]
    assert [r.rewards["judge:m"] for r in made] == [0.0, None, 1.0, 0.5, None]
    assert made[0].rewards["own"] == 1.0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"schema": "assay.judged/2", "key": "k", "judge": "m"}, "got schema 'assay.judged/2'"),
        ({"schema": "assay.judged/1", "judge": "m"}, "got a row without key"),
        ({"schema": "assay.judged/1", "key": "k"}, "got a row without judge"),
        ({}, "expected a journal"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, row: Any, said: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=said):
        Journal(path, "m")
