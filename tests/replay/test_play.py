"""Continuations in a world whose values are known, and what a kill leaves of a replay."""

import json
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from assay.errors import DataError, MethodError, UsageError
from assay.records import ModelStep, Replayed, Trajectory, replayed
from assay.replay.plan import Chosen
from assay.replay.play import Play, rows
from assay.replay.run import Asked, Replay
from assay.replay.words import sentences
from assay.rollout import points
from tests.replay.worlds import CHANCE, log, player, value

ASKED = Asked(decisions=24, samples=4, seed=5)


def all_of(record: Trajectory) -> list[Chosen]:
    return [Chosen(record.id, at, "mixed/first", 1.0) for at in points(record)]


def said(record: Trajectory, at: int) -> str:
    """What the policy had said before a step."""
    return "".join(s.text.strip() for s in record.steps[:at] if type(s) is ModelStep)


def test_estimates_are_unbiased_and_intervals_cover():
    records = {record.id: record for record in log(40)}
    play, found = player(16), list[Replayed]()
    for record in records.values():
        found += rows(all_of(record), records, play)
    assert len(found) == 480
    assert value("") == pytest.approx(CHANCE**2 * (3 - 2 * CHANCE))  # two or three of three
    off, held = [], 0
    for row in found:
        record = records[row.trajectory]
        before = said(record, row.step)
        letter = record.steps[row.step]
        assert isinstance(letter, ModelStep)
        true = value(before + letter.text.strip()) - value(before)
        assert row.advantage is not None
        assert row.low is not None
        assert row.high is not None
        off.append(row.advantage - true)
        held += row.low - 1e-9 <= true <= row.high + 1e-9
    # neighbours share a value, so their errors cancel in part: per trajectory they are independent
    per = np.array(off).reshape(-1, 3).sum(1)
    assert abs(per.mean()) < 4 * per.std() / np.sqrt(per.size)
    assert np.abs(off).mean() < 0.12
    assert held / len(found) >= 0.93


def test_a_shared_value_is_played_once_and_the_end_is_the_outcome():
    (record,) = log(1, 1)
    asked = list[int]()

    def play(of: Trajectory, steps: int) -> list[Trajectory]:
        asked.append(steps)
        return player(3)(of, steps)

    first, second, third = rows(all_of(record), {record.id: record}, play)
    assert asked == [1, 3, 5]
    assert first.after == second.before
    assert second.after == third.before
    assert third.after.exact
    assert third.after.mean == record.outcome
    # three continuations of three, then two, then one letter and its newline each
    assert first.cost.tokens == 3 * (6 + 4)
    assert (second.cost.tokens, third.cost.tokens) == (3 * 2, 0)


def test_outcomes_that_are_no_shares():
    records = {record.id: record for record in log(6, 2, shares=True)}
    found = [
        r for each in records.values() for r in rows(all_of(each), records, player(8, shares=True))
    ]
    assert any(row.before.passed is None for row in found)
    # an `a` is worth .6 / 3 more than expected, a `b` .4 / 3 less, wherever it stands
    gaps = [
        abs((r.advantage or 0) - (0.2 if _letter(records, r) == "a" else -0.4 / 3)) for r in found
    ]
    assert np.mean(gaps) < 0.1


def _letter(records: dict[str, Trajectory], row: Replayed) -> str:
    step = records[row.trajectory].steps[row.step]
    assert isinstance(step, ModelStep)
    return step.text.strip()


def test_an_environment_that_answers_otherwise_is_refused():
    (record,) = log(1, 1)
    with pytest.raises(DataError, match="played again"):
        player(2)(_lying(record), 3)


def _lying(record: Trajectory) -> Trajectory:
    steps = list(record.steps)
    steps[2] = structs.replace(steps[2], text="<z")
    return structs.replace(record, steps=tuple(steps))


def finished(out: Path, *, processes: int = 1, play: Play | None = None) -> bytes:
    work = Replay(log(12), out, ASKED)
    work.play(play or player(ASKED.samples, seed=ASKED.seed), processes=processes)
    work.truth()
    return work.path.read_bytes() + (out / "truth.json").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return finished(tmp_path_factory.mktemp("whole"))


def test_the_number_of_processes_changes_nothing(whole: bytes, tmp_path: Path):
    assert finished(tmp_path, processes=3) == whole


class Stopped(Exception):
    """Stands for whatever ends a process."""


def stopping(after: int) -> Play:
    left = [after]
    inner = player(ASKED.samples, seed=ASKED.seed)

    def play(record: Trajectory, steps: int) -> list[Trajectory]:
        left[0] -= 1
        if left[0] < 0:
            raise Stopped
        return inner(record, steps)

    return play


@pytest.mark.parametrize("stops", [(1, 2), (7, 5), (20, 3)])
def test_what_was_stopped_twice_ends_with_the_same_bytes(
    whole: bytes, tmp_path: Path, stops: tuple[int, int]
):
    for after in stops:
        with pytest.raises(Stopped):
            finished(tmp_path, play=stopping(after))
        with (tmp_path / "decisions.jsonl").open("ab") as stream:
            stream.write(b'{"schema":"assay.rep')  # a line that a kill cut short
    assert finished(tmp_path) == whole


def _killed(work: Callable[[], object], path: Path, lines: int) -> None:
    """Runs `work` in a process that is killed once there are so many lines: in one of its own, for
    a fork of this one may wait for what a thread of this one held."""
    child, deadline = multiprocessing.get_context("spawn").Process(target=work), time.monotonic()
    child.start()
    try:
        while not path.exists() or path.read_bytes().count(b"\n") < lines:
            assert child.is_alive(), "it ended before it was killed"
            assert time.monotonic() < deadline + 120
            time.sleep(0.001)
    finally:
        child.kill()
        child.join(60)


def _slow(record: Trajectory, steps: int) -> list[Trajectory]:
    time.sleep(0.01)
    return player(ASKED.samples, seed=ASKED.seed)(record, steps)


def test_two_kills_and_the_same_bytes(whole: bytes, tmp_path: Path):
    for lines in (2, 9):
        work = partial(finished, tmp_path, play=_slow, processes=lines % 3)
        _killed(work, tmp_path / "decisions.jsonl", lines)
    assert len(list(replayed(tmp_path / "decisions.jsonl"))) < ASKED.decisions
    assert finished(tmp_path) == whole


def test_another_plan_in_the_same_folder_is_refused(tmp_path: Path):
    finished(tmp_path)
    with pytest.raises(UsageError, match=r"samples=4; got samples=8"):
        Replay(log(12), tmp_path, Asked(decisions=24, samples=8, seed=5))
    with pytest.raises(DataError, match="was begun with other records; give the log as it was"):
        Replay(log(2), tmp_path, ASKED)


def test_a_log_that_changed_under_the_same_ids_is_refused(tmp_path: Path):
    with pytest.raises(Stopped):
        finished(tmp_path, play=stopping(3))
    records = log(12)
    records[-1] = structs.replace(records[-1], outcome=1.0 - (records[-1].outcome or 0.0))
    with pytest.raises(DataError, match="was begun with other records"):
        Replay(records, tmp_path, ASKED)


def test_a_folder_that_cannot_be_written_is_seen_before_anything_is_spent(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    for folder in ("file", "file/out"):
        work = Replay(log(2), tmp_path / folder, ASKED)
        with pytest.raises(DataError, match=f"{folder}: cannot be written"):
            work.check()
    Replay(log(2), tmp_path / "a" / "b", ASKED).check()
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_of_two_plans_made_at_once_the_second_is_refused(tmp_path: Path):
    one, other = (Replay(log(12), tmp_path, Asked(24, 4, seed)) for seed in (5, 6))
    assert not list(tmp_path.iterdir())
    one.play(player(4, seed=5))
    with pytest.raises(UsageError, match="was begun with seed=5; got seed=6"):
        other.play(player(4, seed=6))


def test_rows_without_a_plan_are_left_alone(tmp_path: Path):
    (tmp_path / "decisions.jsonl").write_text("mine\n")
    with pytest.raises(UsageError, match="no plan"):
        Replay(log(2), tmp_path, ASKED)
    assert (tmp_path / "decisions.jsonl").read_text() == "mine\n"


def test_a_log_without_decisions_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no decision"):
        Replay([Trajectory(id="x", task="t", group="t")], tmp_path / "out", ASKED)
    assert not (tmp_path / "out").exists()


def test_what_is_too_little_says_how_much_is_needed(tmp_path: Path):
    work = Replay(log(3, 2), tmp_path, Asked(decisions=4, samples=2, seed=0))
    work.play(player(2))
    result = work.truth()
    assert {result["verdicts"][verdict] for verdict in ("good", "bad")} == {0}
    few, *rest = sentences(result)
    assert few == (
        "4 scored decisions of 3 tasks are too few: intervals take 10 tasks; what is left out "
        "(auroc_matters, auroc_sign, rank, sign) takes good, bad and open steps of unlike credit. "
        "Ask for more with --decisions, or for more --samples."
    )
    enough = next(sentences({**result, "tasks": 10}))
    assert enough.endswith(few.partition("; ")[2])
    assert "intervals" not in enough
    assert not any("too few" in each for each in rest)


def test_the_budget_is_what_is_left(tmp_path: Path):
    work = Replay(log(1, 1), tmp_path, Asked(decisions=99, samples=4, seed=0))
    left = work.budget()
    # three decisions, the last of which ends: three points; 6, 4 and 2 tokens from them on
    assert (left.decisions, left.continuations, left.tokens) == (3, 3 * 4, 12 * 4)
    work.play(player(4))
    assert work.budget().continuations == 0


def test_the_result_says_what_was_found(tmp_path: Path):
    work = Replay(log(30), tmp_path, Asked(decisions=60, samples=16, seed=0))
    work.play(player(16))
    result = work.truth(["grpo"])
    assert json.loads((tmp_path / "truth.json").read_bytes()) == result
    assert sum(result["verdicts"].values()) == result["decisions"] == 60
    assert result["matters"]["strata"]["mixed/last"]["decisions"] > 0
    assert result["methods"]["grpo"]["auroc_sign"]["value"]["value"] > 0.5
    assert result["methods"]["grpo"]["rank"]["over_shuffled"]["value"] == 0
    assert result["evidence"]["ran"]["decisions"] == 0  # nobody calls anything
    assert "tree_grpo" in result["refused"]
    assert result["headline"].startswith(("No method stands above", "Above their own"))
    with pytest.raises(MethodError, match="-m tree_grpo"):
        work.truth(["tree_grpo"])
