"""Jobs in forks, and columns that several processes have filled."""

import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial

import numpy as np
import pytest

from assay.batch import Batch, mapped
from assay.batch.parallel import Crew, Fork, beside, in_forks, in_order, processes
from assay.errors import DataError
from assay.records import Call, ModelStep, ToolStep, Trajectory, read, write
from tests.processes import process


def trajectory(number: int) -> Trajectory:
    call = Call(name="f", arguments=f'{{"x": {number % 3}}}')
    steps = (
        ModelStep(text=f"step of {number % 4}", calls=(call,), reward=number / 8),
        ToolStep(text="Error: no" if number % 5 == 0 else "fine", call=(0, 0)),
        ModelStep(text="done", state_key=f"state {number % 2}", untrainable="masked"),
    )
    return Trajectory(
        id=f"t{number}",
        task=f"task {number // 3}",
        group=f"group {number // 3 % 4}",
        tree=None if number % 2 else "tree",
        rewards={f"part {number % 2}": float(number)},
        outcome=None if number == 7 else float(number % 2),
        steps=steps,
    )


HALF = """
import pickle, sys
from assay.batch.build import Builder
from assay.records import read
path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
builder = Builder()
builder.extend(list(read(path))[first:last])
sys.stdout.buffer.write(pickle.dumps(builder))
"""


def test_halves_that_two_strange_processes_read_are_joined(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, map(trajectory, range(23)))
    halves = [
        pickle.loads(  # noqa: S301 - ours
            subprocess.run(
                [sys.executable, "-c", HALF, str(path), str(first), str(last)],
                env={**os.environ, "PYTHONHASHSEED": seed},
                check=True,
                capture_output=True,
            ).stdout
        )
        for first, last, seed in ((0, 11, "1"), (11, 23, "2"))
    ]
    halves[0].absorb(halves[1])
    together, alone = Batch(**halves[0].arrays()), Batch.of(read(path))
    for field in dataclasses.fields(Batch):
        one, other = getattr(alone, field.name), getattr(together, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_jobs_beside_are_all_done_at_the_end(tmp_path, count):
    with beside(count) as do:
        for n in range(7):
            do(partial((tmp_path / f"{n}").write_text, str(n)))
    assert sorted(path.name for path in tmp_path.iterdir()) == list("0123456")


def test_a_job_beside_is_in_another_process_while_one_is_free(tmp_path):
    def say() -> None:
        (tmp_path / str(os.getpid())).touch()

    with beside(1) as do:
        do(say)
    (made,) = tmp_path.iterdir()
    assert made.name != str(os.getpid())


@pytest.mark.parametrize("count", [0, 2])
def test_what_a_job_beside_raises_is_raised(count):
    def fail() -> None:
        raise DataError("log.jsonl line 3: no")

    with pytest.raises(DataError, match="line 3: no"), beside(count) as do:
        do(fail)


def test_a_job_beside_that_is_killed_is_said():
    with pytest.raises(DataError, match="was killed"), beside(1) as do:
        do(lambda: os._exit(9))


def test_the_first_of_jobs_in_forks_is_done_here_and_all_are_told_in_order():
    found = in_forks([lambda n=n: (n, os.getpid()) for n in range(3)])
    assert [n for n, _ in found] == [0, 1, 2]
    assert [pid == os.getpid() for _, pid in found] == [True, False, False]


def test_a_fork_that_is_killed_within_its_answer_is_said():
    with closing(Fork(partial(bytes, 1 << 24))) as fork:  # more than a pipe holds
        while not fork.ready():
            time.sleep(0.01)
        os.kill(fork._process.pid, signal.SIGKILL)
        with pytest.raises(DataError, match="was killed"):
            fork.answer()


def done(crew, given):
    """What a crew makes of something, and who did it."""
    with closing(crew.begin(given)) as fork:
        return fork.answer(), fork._process


def test_a_fork_of_a_crew_does_one_job_after_the_other_until_it_is_over():
    crew = Crew(lambda given: (given, os.getpid()))
    first, process = done(crew, 1)
    assert first == (1, process.pid)
    assert done(crew, 2)[0] == (2, process.pid)
    crew.close()
    assert not process.is_alive()
    assert not done(crew, 3)[1].is_alive()


def test_jobs_in_order_have_no_more_forks_than_are_asked_for_and_none_waits_for_the_first():
    def job(number):
        time.sleep(1.0 if number == 0 else 0.0)
        return number, os.getpid()

    crew = Crew(job)
    jobs = {f"job {n}": partial(crew.begin, n) for n in range(9)}
    said: list[str] = []
    found = [*in_order(jobs, 2, said.append)]
    assert [(name, number) for name, (number, _) in found] == [(f"job {n}", n) for n in range(9)]
    first, *others = (pid for _, (_, pid) in found)
    assert len({first, *others}) == 2
    assert first not in others[:-1], "the others were done meanwhile"
    assert not said
    assert len({id(fork) for fork in crew._idle}) == len(crew._idle) == 2
    crew.close()


def test_a_fork_of_a_crew_that_is_killed_is_replaced():
    crew = Crew(lambda given: given)
    _, process = done(crew, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    answer, other = done(crew, 2)
    assert (answer, other.pid != process.pid) == (2, True)
    crew.close()


@pytest.mark.parametrize("again", [False, True])
def test_a_fork_of_a_crew_nobody_waits_for_any_more_ends(again):
    crew = Crew(time.sleep)
    if again:
        done(crew, 0)
    with closing(crew.begin(60)) as fork:
        pass
    assert not fork._process.is_alive()
    assert not crew._idle


def test_there_are_as_many_processes_as_cores_and_work_for_them_and_none_beside_a_thread(
    monkeypatch,
):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    with monkeypatch.context() as alone:  # tests before it may have left a thread
        alone.setattr(threading, "active_count", lambda: 1)
        # 7 parts of work worth a process are for 4 cores, 3 for 3, less than one for this one
        assert [processes(size, 10) for size in (79, 39, 19, 9, 0)] == [4, 3, 1, 1, 1]
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, args=(60,))
    thread.start()
    try:
        assert processes(79, 10) == 1
    finally:
        ended.set()
        thread.join(60)


def test_a_fork_ends_when_told_to_whatever_this_process_does_then():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        fork, began = Fork(partial(time.sleep, 60)), time.monotonic()
        time.sleep(0.5)  # it has begun
        fork.close()
        assert time.monotonic() - began < 30
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_fork_that_is_told_to_end_as_it_begins_ends_and_is_no_second_one_of_us():
    def raises(*_):
        raise KeyboardInterrupt

    told = [signal.SIGTERM]
    before = signal.signal(signal.SIGTERM, raises)
    os.register_at_fork(after_in_child=lambda: told and os.kill(os.getpid(), told.pop()))
    try:
        with closing(Fork(partial(time.sleep, 5))) as fork:
            told.clear()
            with pytest.raises(DataError, match="was killed"):
                fork.answer()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_interrupt_within_a_fork_is_neither_lost_nor_leaves_a_process():
    told = [os.getpid()]
    os.register_at_fork(before=lambda: told and os.kill(told.pop(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        Fork(partial(time.sleep, 60))
    assert not told
    assert not multiprocessing.active_children()


def test_nobody_waits_for_jobs_beside_a_block_that_fails():
    def interrupted() -> None:
        with beside(1) as do:
            do(partial(time.sleep, 60))
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("room", [True, False])
def test_large_arrays_lie_in_a_file_and_say_the_same(monkeypatch, room):
    made = [trajectory(number) for number in range(40)]
    small = Batch.of(made)
    monkeypatch.setattr(mapped, "LARGE", 64)
    if not room:
        monkeypatch.setattr(mapped.tempfile, "TemporaryFile", no_room)
    large = Batch.of(made)
    for field in dataclasses.fields(Batch):
        one, other = getattr(small, field.name), getattr(large, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
    assert small.traj_S.flags.writeable
    assert large.traj_S.flags.writeable is not room
    assert large.length_R.flags.writeable is not room
    assert large.ran_C.nbytes == 40, "shorter than 64: stays in memory"
    assert large.ran_C.flags.writeable


def no_room(**_: object) -> None:
    raise OSError(28, "No space left on device")


def test_what_no_step_has_takes_no_memory():
    batch = Batch.of([trajectory(1)])
    assert np.isnan(batch.belief_S).all()
    assert batch.belief_S.shape == batch.traj_S.shape
    assert batch.belief_S.strides == (0,)
    assert batch.reward_S.strides == (8,)


def test_forks_end_where_their_parent_is_killed_before_they_answer():
    code = """
import sys, time
from assay.batch.parallel import Fork
def large():
    time.sleep(0.5)
    return bytes(1 << 20)  # more than a pipe holds
forks = [Fork(large) for _ in range(2)]
print("begun", flush=True)
time.sleep(60)
"""
    with process([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"begun\n"
        parent.kill()
        # standard output ends when the last process that has it does
        assert parent.communicate(timeout=60)[0] == b""
