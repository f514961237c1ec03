"""What is refused, in one line; and a log as what was measured."""

import builtins

import pytest

from assay.cluster import Measured, Plan, simulate
from assay.errors import DataError, MissingExtraError, UsageError
from assay.records import Ledger, Trajectory

ONE = Measured(length=[[1.0]], tokens=[[1.0]])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"groups": 0}, "groups is 0"),
        ({"size": -1}, "size is -1"),
        ({"trainers": 0}, "trainers is 0"),
        ({"piece": -1}, "piece is -1"),
        ({"staleness": -1}, "staleness is -1"),
        ({"lost": float("nan")}, "lost is nan"),
        ({"cores": 0}, "cores is 0"),
        ({"speeds": ()}, "speeds are"),
        ({"speeds": (1.0, 0.0)}, "speeds are"),
        ({"extra": 1, "in_order": True}, "one of both"),
    ],
)
def test_plans_that_cannot_be(wrong, said):
    with pytest.raises(UsageError, match=said):
        Plan(**{"workers": 1, "groups": 1, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": []},
        {"length": [[]], "tokens": [[]]},
        {"length": [[1.0, 2.0]]},
        {"update": -1.0},
        {"start": float("nan")},
        {"forward": (-1.0,)},
        {"forward": ()},
        {"jitter": ()},
        {"rates": (1.0, 0.0)},
    ],
)
def test_measures_that_cannot_be(wrong):
    with pytest.raises(DataError, match=r"^measured: .*expected"):
        Measured(**{"length": [[1.0]], "tokens": [[1.0]], **wrong})


def test_no_updates():
    with pytest.raises(UsageError, match="updates is 0"):
        simulate(Plan(workers=1, groups=1), ONE, updates=0)


def test_a_cluster_that_never_gets_there():
    pytest.importorskip("simpy")
    with pytest.raises(DataError, match=r"0 of 1 updates within 0\.5 s"):
        simulate(Plan(workers=1, groups=1), ONE, updates=1, limit=0.5)


def test_no_update_is_left():
    pytest.importorskip("simpy")
    with pytest.raises(DataError, match="more than 1"):
        simulate(Plan(workers=1, groups=1), ONE, updates=1).outcome(skip=1)


def test_without_simpy(monkeypatch):
    real = builtins.__import__

    def blocked(name, *args):
        if name == "simpy":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(MissingExtraError, match=r"assay\[cluster\]"):
        simulate(Plan(workers=1, groups=1), ONE, updates=1)


def record(group, seconds, tokens):
    spent = Ledger(wall_seconds=seconds, tokens=tokens)
    return Trajectory(id=f"{group}/{seconds}", task=group, group=group, steps=(), ledger=spent)


def test_a_log_says_lengths_and_tokens():
    log = [record("a", 2.0, 30), record("b", 5.0, 70), record("a", 3.0, 40), record("b", None, 9)]
    seen = Measured.of(log, update=1.5)
    assert seen.length == [[2.0, 3.0], [5.0]]
    assert seen.tokens == [[30.0, 40.0], [70.0]]
    assert (seen.update, seen.forward) == (1.5, (1.0,))


def test_a_log_without_times():
    with pytest.raises(DataError, match="no record has both"):
        Measured.of([record("a", None, 30)])
