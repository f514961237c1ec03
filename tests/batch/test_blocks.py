"""Large batches: columns in files, equal things numbered pile by pile, blocks of whole groups."""

import dataclasses
import io
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Batch, blocks, mapped, numbering, parts
from assay.batch.blocks import Block, Blocks
from assay.batch.table import Table
from assay.kernels.codes import numbered
from assay.records import ModelStep
from tests.batch.test_batch import made
from tests.batch.test_parallel import trajectory

INTEGERS = st.lists(st.integers(0, 12), max_size=60)


# --- tables


def grown(folder: Path | None = None) -> Table:
    table = Table("q", first=np.int64, second=np.int8, third=np.bool_)
    if folder is not None:
        table.into(folder)
    for n in range(50):
        table.tail.extend((n * 10**12, n % 5 - 2, n % 2))
        table.settle()
    return table


def check(table: Table) -> None:
    columns = table.arrays()
    assert [each.dtype for each in columns.values()] == [np.int64, np.int8, np.bool_]
    assert columns["first"].tolist() == [n * 10**12 for n in range(50)]
    assert columns["second"].tolist() == [n % 5 - 2 for n in range(50)]
    assert columns["third"].tolist() == [n % 2 == 1 for n in range(50)]
    assert len(table) == 50


@pytest.mark.parametrize("large", [8, 64, 100, 1 << 20])
def test_a_table_gives_the_rows_it_took_wherever_they_lie(monkeypatch, tmp_path, large):
    monkeypatch.setattr(mapped, "LARGE", large)
    check(grown())
    check(grown(tmp_path))
    check(pickle.loads(pickle.dumps(grown())))  # noqa: S301 - ours
    in_folder = grown(tmp_path)
    assert (in_folder.done > 0) == (large < 1 << 20)
    check(pickle.loads(pickle.dumps(in_folder)))  # noqa: S301 - ours
    rows = np.concatenate(list(grown().chunks()))
    assert rows.tolist() == [[n * 10**12, n % 5 - 2, n % 2] for n in range(50)]


class Full(io.BytesIO):
    def write(self, _: Any) -> int:
        raise OSError(28, "No space left on device")


def test_a_table_without_room_for_all_keeps_the_rest_in_memory(monkeypatch):
    monkeypatch.setattr(mapped, "LARGE", 64)
    table = Table("q", first=np.int64, second=np.int8, third=np.bool_)
    for n in range(50):
        if n == 30:  # the disk is full, for a while
            table._write()
            stream = table._streams["second"]
            table._streams["second"] = Full()
        if n == 45:
            table._streams["second"] = stream
        table.tail.extend((n * 10**12, n % 5 - 2, n % 2))
        table.settle()
    assert table.done == 30
    check(table)


OWNERS = range(-1, 40)


@pytest.mark.parametrize("large", [64, 1 << 20])
@pytest.mark.parametrize("full", [None, 2, 9])
def test_a_table_takes_over_the_rows_of_others(monkeypatch, tmp_path, large, full):
    monkeypatch.setattr(mapped, "LARGE", large)

    def part(number: int, folder: Path) -> Table:
        folder.mkdir()
        made = Table("q", owner=np.int64, name=np.int64, value=np.int8)
        made.into(folder)
        for n in OWNERS:
            made.tail.extend((n, n % 3 - 1, number))
            made.settle()
        return pickle.loads(pickle.dumps(made))  # noqa: S301 - ours

    mine = Table("q", owner=np.int64, name=np.int64, value=np.int8)
    rows: list[list[int]] = []
    for number in range(4):
        mine.absorb(part(number, tmp_path / f"{number}"), [100 * number, np.array([7, 5, -1])])
        rows += [[n + 100 * number if n >= 0 else n, (-1, 7, 5)[n % 3], number] for n in OWNERS]
        if number == full and mine.done:  # the disk is full, for a while
            stream, mine._streams["value"] = mine._streams["value"], Full()
        if full == 9:  # there are rows of its own between them
            mine.tail.extend((9, 9, 9))
            rows.append([9, 9, 9])
    if full == 2 and mine.done:
        mine._streams["value"] = stream
    assert np.stack([*mine.arrays().values()], 1).tolist() == rows


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_values_of_few_rows_are_written_over_the_others(monkeypatch, at_once):
    monkeypatch.setattr(mapped, "AT_ONCE", at_once)
    monkeypatch.setattr(mapped, "LARGE", 16)
    table = Table("d", step=np.int64, value=np.float64)
    assert table.spread(5, np.nan).strides == (0,)
    for step, value in ((1, 0.5), (4, -2.0)):
        table.tail.extend((step, value))
        table.settle()
    assert table.spread(6, 7.0).tolist() == [7.0, 0.5, 7.0, 7.0, -2.0, 7.0]


# --- numbers of what is equal


@settings(deadline=None)
@given(INTEGERS, st.integers(1, 70))
def test_what_is_equal_gets_the_number_it_has_without_piles(values, at_once):
    column = np.array(values, np.int64)
    other = column * 3 % 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "AT_ONCE", at_once)
        one, both = numbering.numbered_apart(column), numbering.numbered_apart(other, column)
        some = numbering.numbered_apart(column, known=other - 1)
    np.testing.assert_array_equal(one, numbered(column))
    np.testing.assert_array_equal(both, numbered(other, column))
    np.testing.assert_array_equal(some, np.where(other < 1, -1, numbered(column)))


@pytest.mark.parametrize("large", [64, 1 << 20])
@pytest.mark.parametrize("killed", [False, True])
def test_numbers_that_are_needed_later_are_the_same(monkeypatch, large, killed):
    monkeypatch.setattr(mapped, "LARGE", large)
    monkeypatch.setattr(numbering, "processes", lambda *_: 2)
    here, seen = os.getpid(), np.random.default_rng(0).integers(-1, 9, (2, 500))
    if killed:
        before = numbering._number

        def number(*given: Any) -> None:
            if os.getpid() != here:
                os.kill(os.getpid(), signal.SIGKILL)
            before(*given)

        monkeypatch.setattr(numbering, "_number", number)
    later = numbering.Later()
    one, both = later.numbered(seen[0], known=seen[0]), later.numbered(*seen)
    assert mapped.is_shared(one) == mapped.is_shared(both) == (large == 64)
    later.begin()
    later.end()
    np.testing.assert_array_equal(one, numbering.numbered_apart(seen[0], known=seen[0]))
    np.testing.assert_array_equal(both, numbered(*seen))


@given(INTEGERS, st.integers(1, 40))
def test_parts_hold_every_trajectory_once_and_no_group_twice(values, most):
    code_K = numbered(np.array(values, np.int64))
    size_K = np.arange(code_K.size) % 4 + 1
    found = list(parts.together(code_K, size_K, most))
    assert sorted(k for ks in found for k in ks.tolist()) == list(range(code_K.size))
    assert all((np.diff(ks) > 0).all() for ks in found)
    owners = [set(code_K[ks].tolist()) for ks in found]
    assert sum(map(len, owners)) == len(set(code_K.tolist()))
    for ks in found:
        whole = [size_K[ks][code_K[ks] == code].sum() for code in set(code_K[ks].tolist())]
        assert size_K[ks].sum() < most + max(whole)


# --- blocks


def check_block(block: Block, whole: Batch, order: list[int]) -> None:
    """The rows of a block are those of a batch of its trajectories alone, said in other numbers."""
    alone = Batch.of([trajectory(order[k]) for k in block.ks])
    batch = block.batch
    assert batch.ids == whole.ids
    np.testing.assert_array_equal(np.searchsorted(block.ks, batch.traj_S), alone.traj_S)
    np.testing.assert_array_equal(np.searchsorted(block.ks, batch.traj_R), alone.traj_R)
    for name in ("step_C", "step_R", "call_R", "role_R", "length_R", "index_S", "ran_C"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(alone, name), err_msg=name)
    for name in ("reward_S", "state_S", "seen_S", "untrainable_S"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(whole, name)[block.S])
    for name in ("key_C", "sibling_C", "answer_C"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(whole, name)[block.C])


def check_alone(block: Block, order: list[int]) -> None:
    """Without the others a block is the batch of its trajectories, but for what siblings say."""
    alone, expected = block.alone, Batch.of([trajectory(order[k]) for k in block.ks])
    assert alone.ids == expected.ids
    assert [alone.groups[g] for g in alone.group_K] == [
        expected.groups[g] for g in expected.group_K
    ]
    assert numbered(alone.tree_K).tolist() == numbered(expected.tree_K).tolist()
    assert (alone.tree_K < 0).tolist() == (expected.tree_K < 0).tolist()
    for name in ("outcome_K", "category_K", "traj_S", "traj_R", "step_R", "step_C", "wrote_K"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("most", [1, 20, 60, 10_000])
def test_blocks_are_a_batch_cut_between_groups(monkeypatch, mixed, most):
    order = list(range(24))
    if mixed:
        order = np.random.default_rng(0).permutation(24).tolist()
    batch = Batch.of([trajectory(n) for n in order])
    monkeypatch.setattr(blocks, "AT_ONCE", most)
    monkeypatch.setattr(blocks, "ROWS", 0)
    monkeypatch.setattr(blocks, "MOST", 1000)
    found = list(Blocks(batch))
    assert (len(found) == 1) == (most == 10_000)
    if most == 10_000:
        assert found[0].batch is batch
    for block in found:
        check_block(block, batch, order)
        check_alone(block, order)
    assert sum(block.batch.traj_S.size for block in found) == batch.traj_S.size
    assert sum(block.batch.length_R.size for block in found) == batch.length_R.size


def test_a_part_with_as_many_characters_as_spans_is_no_block(monkeypatch):
    texts = ("a", "b", "long", "c", "longer")
    log = [made(ModelStep(text=text), identity=text, group=text) for text in texts]
    monkeypatch.setattr(blocks, "AT_ONCE", 1)
    monkeypatch.setattr(blocks, "ROWS", 0)
    assert len(Blocks(Batch.of(log))) == 1, "what is kept per token would look as if per span"
    assert len(Blocks(Batch.of([log[2], log[4]]))) == 2


def everything(batch: Batch) -> dict[str, Any]:
    return {each.name: getattr(batch, each.name) for each in dataclasses.fields(batch)}


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_a_batch_is_the_same_however_little_of_it_is_worked_on_together(monkeypatch, at_once):
    log = [trajectory(n) for n in (*range(12), *range(5, 20))]
    expected = everything(Batch.of(log))
    monkeypatch.setattr(mapped, "AT_ONCE", at_once)
    monkeypatch.setattr(mapped, "LARGE", 32)
    for name, values in everything(Batch.of(log)).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_numbers_that_nobody_knows_travel_as_how_many_there_are() -> None:
    table = Table("d", value=np.float64)
    table.tail.extend([float("nan")] * 50_000)
    said = pickle.dumps(table)
    assert len(said) < 1000
    there = pickle.loads(said)  # noqa: S301 - ours
    assert len(there) == 50_000
    assert np.isnan(there.arrays()["value"]).all()
    table.tail[49_999] = 0.5  # one is known: all travel as they are
    again = pickle.loads(pickle.dumps(table)).arrays()["value"]  # noqa: S301 - ours
    assert again[-1] == 0.5
    assert np.isnan(again[:-1]).all()
    whole = Table("q", value=np.int64)
    whole.tail.extend(range(3))
    assert pickle.loads(pickle.dumps(whole)).arrays()["value"].tolist() == [0, 1, 2]  # noqa: S301
