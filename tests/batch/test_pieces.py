"""A log read in pieces, by several processes, gives the batch that one process gives."""

import dataclasses
import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.batch import Batch, pieces
from assay.batch.parallel import Fork, LostError
from assay.batch.pieces import Asked, Joined, Workers
from assay.errors import DataError
from assay.files import lines as line_files
from assay.importers import NONE, Kept, Losses, load, opened
from assay.records import read, write
from tests.batch.test_parallel import trajectory


class Here:
    """A job that is done when it begins; one that was told so is lost."""

    def __init__(self, job, *, lost: bool = False) -> None:
        self._answer, self._lost = None if lost else job(), lost

    def ready(self, seconds: float = 0.0) -> bool:
        return True

    def answer(self):
        if self._lost:
            raise LostError("a process of ours was killed")
        return self._answer

    def close(self) -> None:
        pass


def joined(
    log: Path,
    count: int = 2,
    begin: Any = Fork,
    say: Any = lambda _: None,
    copies: list[bytes] | None = None,
) -> Joined:
    found, kept = opened(log, None, Losses(), NONE, None), Kept()
    asked = Asked(found.importer, found.found(kept), 1.0, copied=True)
    write = None if copies is None else copies.append
    made = Joined(asked, kept, Workers(count, begin, say=say), write)
    made.read()
    return made


def same(one: Batch, other: Batch) -> None:
    for field in dataclasses.fields(Batch):
        first, second = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_array_equal(first, second, err_msg=field.name)


@pytest.mark.parametrize("size", [1, 700, 5_000, 1 << 20])
@pytest.mark.parametrize("count", [1, 3])
def test_the_batch_depends_neither_on_the_processes_nor_on_the_pieces(
    tmp_path, monkeypatch, size, count
):
    path = tmp_path / "log.jsonl"
    write(path, map(trajectory, range(23)))
    monkeypatch.setattr(pieces, "SIZE", size)
    same(Batch(**joined(path, count).builder.arrays()), Batch.of(read(path)))


@pytest.mark.parametrize(
    ("size", "copied", "expected"),
    # 6,400 / 32 / 2 = 100 for each of two workers; 64,000 would be 1,000, and 8 * 50 is the most
    [(640, False, 50), (6_400, False, 100), (64_000, False, 400), (64_000, True, 50)],
)
def test_pieces_of_a_large_log_are_larger(tmp_path, monkeypatch, size, copied, expected):
    path = tmp_path / "log.jsonl"
    write(path, map(trajectory, range(3)))
    asked: list[int] = []

    def few(importer, log, kept, most):
        asked.append(most)
        return iter(())

    monkeypatch.setattr(pieces, "SIZE", 50)
    monkeypatch.setattr(pieces, "_LARGEST", 400)
    monkeypatch.setattr(pieces, "pieces", few)
    found, kept = opened(path, None, Losses(), NONE, None), Kept()
    how = Asked(found.importer, found.found(kept), 1.0, copied=copied, size=size)
    Joined(how, kept, Workers(2)).read()
    assert asked == [expected]


def test_an_error_names_the_line_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    write(path, map(trajectory, range(20)))
    rows = path.read_bytes().splitlines()
    rows[16] = b'{"schema": "assay.trajectory/1"}'
    path.write_bytes(b"\n".join(rows))  # and no newline at the end
    monkeypatch.setattr(pieces, "SIZE", 2_000)
    with pytest.raises(DataError, match=r"log\.jsonl line 17: .*id"):
        joined(path)


@pytest.mark.parametrize("over", [-1, 0, 1, 2, 100])
def test_a_record_is_as_long_as_one_reader_lets_it_be(tmp_path, monkeypatch, over):
    path = tmp_path / "log.jsonl"
    write(path, map(trajectory, range(8)))
    longest = max(map(len, path.read_bytes().splitlines()))
    monkeypatch.setattr(line_files, "MAX_RECORD", longest - over)

    def said(read_it):
        try:
            return read_it().ids
        except DataError as error:
            return str(error)

    alone = said(lambda: Batch.of(read(path)))
    assert (type(alone) is str) == (over > 0)
    for size in (1, 1_500):
        monkeypatch.setattr(pieces, "SIZE", size)
        assert said(lambda: Batch(**joined(path).builder.arrays())) == alone


def chat(task: str, text: str) -> str:
    said = [{"role": "user", "content": "please"}, {"role": "assistant", "content": text}]
    return json.dumps({"task": task, "reward": 1.0, "messages": said}) + "\n"


def episode(task: str, name: str) -> str:
    """A verifiers episode; the trials of a task are numbered over all files."""
    nodes = [
        {"message": {"role": "user", "content": task}, "sampled": False},
        {"parent": 0, "message": {"role": "assistant", "content": name}, "sampled": True},
    ]
    trace = {"id": name, "nodes": nodes, "rewards": {"right": {"score": 1.0, "weight": 1.0}}}
    trace |= {"is_completed": True}
    return json.dumps({"task": {"key": task}, "group": {"id": task}, "traces": [trace]}) + "\n"


def test_groups_that_are_numbered_over_files_are_read_again_until_they_hold(tmp_path, monkeypatch):
    for number in range(7):
        folder = tmp_path / f"step_{number}"
        folder.mkdir()
        rows = [episode(f"task {n % 2}", f"{number}-{n}") for n in range(3)]
        (folder / "traces.jsonl").write_text("".join(rows))
    monkeypatch.setattr(pieces, "SIZE", 1)
    copies: list[bytes] = []
    made = joined(tmp_path, 3, copies=copies)
    name, alone = load(tmp_path)
    assert name == "verifiers"
    expected = [*alone]
    assert len({each.id for each in expected}) == 21
    rows = [json.loads(line) for each in copies for line in each.splitlines()]
    assert [(row["id"], row.get("trial")) for row in rows] == [(e.id, e.trial) for e in expected]
    assert made.again > 0
    same(Batch(**made.builder.arrays()), Batch.of(expected))


def test_records_are_numbered_as_in_the_whole_file_with_blank_and_torn_lines(tmp_path, monkeypatch):
    rows = [chat(f"t{n // 3}", f"text {n}") for n in range(20)]
    rows[3] = "\n\n" + rows[3]
    rows[9] = '{"task": "t3", "mess\n'
    path = tmp_path / "log.jsonl"
    path.write_text("".join(rows))
    monkeypatch.setattr(pieces, "SIZE", 300)
    made = joined(path, 3)
    losses = Losses()
    alone = Batch.of(load(path, losses=losses)[1])
    assert losses.counts["torn_record"] == 1
    same(Batch(**made.builder.arrays()), alone)
    assert made._asked.log.losses == losses


def test_the_units_are_those_that_one_process_notes(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(chat(f"t{n // 3}", f"text {n}") for n in range(12)))
    monkeypatch.setattr(pieces, "SIZE", 300)
    made = joined(path, 2)
    assert (made._kept.fresh, made.count) == (1, 12)


def test_a_piece_whose_process_is_killed_is_read_again_and_that_is_said(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    write(path, map(trajectory, range(23)))
    monkeypatch.setattr(pieces, "SIZE", 2_000)
    begun: list[Fork[Any]] = []
    said: list[str] = []

    def begin(job):
        begun.append(Fork(job))
        if len(begun) in (1, 4):
            os.kill(begun[-1]._process.pid, signal.SIGSTOP)
            os.kill(begun[-1]._process.pid, signal.SIGKILL)
        return begun[-1]

    made = joined(path, 2, begin, say=said.append)
    same(Batch(**made.builder.arrays()), Batch.of(read(path)))
    assert len(said) in (1, 2), "a process that has answered is not missed"
    assert all("a process of ours was killed; begun again, try " in line for line in said)
    assert str(path) in said[0]


def test_a_piece_that_is_lost_every_time_ends_it_in_one_line(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, map(trajectory, range(5)))
    said: list[str] = []
    with pytest.raises(DataError, match=r"log\.jsonl: a process of ours was killed, 3 times"):
        joined(path, 2, partial(Here, lost=True), say=said.append)
    assert len(said) == 2
