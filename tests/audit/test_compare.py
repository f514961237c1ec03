"""What changed between two logs: every number worked out by hand."""

from math import comb
from typing import Any

import msgspec
import pytest

from assay.audit.compare import Side, compare, sign_test
from assay.errors import DataError
from assay.pipeline import gated
from assay.recipes import Recipe
from assay.records import Call, Claim, ModelStep, ToolStep, Trajectory


def one(
    task: str,
    outcome: float | None,
    *,
    calls: str = "",
    tokens: int = 2,
    claim: Claim = "none",
    number: int = 0,
) -> Trajectory:
    """One model step of some tokens, with a call for each letter of `calls`: r ran, e error."""
    step = ModelStep(
        text=f"{task} {number}",
        token_ids=tuple(range(tokens)),
        calls=tuple(Call(name="f", arguments="{}") for _ in calls),
    )
    answers = [
        ToolStep(text="x", call=(0, index), error=kind == "e", token_ids=(7,))
        for index, kind in enumerate(calls)
    ]
    return Trajectory(
        id=f"{task}-{number}",
        task=task,
        group=task,
        outcome=outcome,
        steps=(step, *answers),
        claim=claim,
        end="answered",
    )


def side(*trajectories: Trajectory) -> Side:
    batch, _ = gated(trajectories, Recipe())
    return Side(batch, tuple(each.task for each in trajectories))


A = (
    one("t1", 1.0, calls="re", claim="claimed"),
    one("t1", 0.0, calls="rr", claim="claimed", number=1),
    one("t2", 0.0, calls="e", tokens=4),
    one("t2", 0.0, calls="e", tokens=4, number=1),
    one("t3", 1.0),
    one("t3", 1.0, number=1),
    one("gone", 1.0),
)
B = (
    one("t1", 1.0, calls="rr", claim="claimed"),
    one("t1", 1.0, calls="rr", claim="claimed", number=1),
    one("t2", 1.0, calls="rr", tokens=8),
    one("t2", 0.0, calls="r", tokens=4, number=1),
    one("t3", 0.0, calls="r", claim="claimed"),
    one("t3", 0.0, number=1),
    one("new", 1.0),
)


@pytest.fixture(scope="module")
def changed() -> dict[str, Any]:
    return compare(side(*A), side(*B), seed=3)


def test_tasks_are_aligned_and_those_of_one_log_are_named(changed: dict[str, Any]):
    assert changed["tasks"] == {"both": 3, "only_a": ["gone"], "only_b": ["new"]}
    assert changed["outcomes"] == {
        "t1": {"a": [1, 2], "b": [2, 2]},
        "t2": {"a": [0, 2], "b": [1, 2]},
        "t3": {"a": [2, 2], "b": [0, 2]},
    }
    assert (changed["solved"], changed["lost"]) == (["t2"], ["t3"])
    assert (changed["better"], changed["worse"], changed["equal"]) == (2, 1, 0)
    assert changed["sign_test"] == 1.0  # 2 (1 + 3) / 2^3


@pytest.mark.parametrize(
    ("name", "a", "b", "change", "tasks"),
    [
        # t1, t2, t3: 1/2, 0, 1 against 1, 1/2, 0
        ("pass_rate", 0.5, 0.5, 0.0, 3),
        # A: t1 is mixed, the others are not; B: t2 is
        ("dead_groups", 2 / 3, 2 / 3, 0.0, 3),
        # A: 1 of 4 and 2 of 2; t3 has no call, which is not an error rate of 0. B: 0 and 0
        ("errors", 5 / 8, 0.0, -5 / 8, 2),
        ("steps", 1.0, 1.0, 0.0, 3),
        # A: 2, 4, 2; B: 2, 6, 2
        ("written", 8 / 3, 10 / 3, 2 / 3, 3),
        # A: one of two of t1; B: one of two of t3
        ("false_success", 1 / 6, 1 / 6, 0.0, 3),
    ],
)
def test_means_over_tasks(
    changed: dict[str, Any], name: str, a: float, b: float, change: float, tasks: int
):
    found = changed["measures"][name]
    assert (found["a"], found["b"], found["change"]) == pytest.approx((a, b, change))
    assert found["tasks"] == tasks


def test_the_interval_is_that_of_all_draws_of_ten_tasks(changed: dict[str, Any]):
    """Five tasks change by +1/2 and five by -1: of ten draws k rise with chance C(10, k) / 2^10."""
    names = [f"t{n}" for n in range(10)]
    first = [one(name, float(n >= 5)) for n, name in enumerate(names)]
    second = [one(name, float(n < 5), number=k) for n, name in enumerate(names) for k in range(2)]
    second = [
        msgspec.structs.replace(each, outcome=0.0) if each.id.endswith("-1") else each
        for each in second
    ]
    chances = [comb(10, k) / 2**10 for k in range(11)]
    low, high = (
        next(k for k in range(11) if sum(chances[: k + 1]) > tail) for tail in (0.025, 0.975)
    )
    found = compare(side(*first), side(*second))["measures"]["pass_rate"]
    assert (found["low"], found["high"]) == pytest.approx(
        tuple((0.5 * k - (10 - k)) / 10 for k in (low, high))
    )
    few = changed["measures"]["pass_rate"]  # three tasks
    assert (few["low"], few["high"]) == (None, None)


def test_a_log_that_nobody_scored_has_no_dead_groups():
    found = compare(side(one("t1", None)), side(one("t1", None)))["measures"]["dead_groups"]
    assert found["tasks"] == 0


def test_the_same_log_twice_has_no_change():
    same = compare(side(*A), side(*A))
    assert same["tasks"] == {"both": 4, "only_a": [], "only_b": []}
    for found in same["measures"].values():
        assert found["tasks"] > 0
        assert found["change"] == 0
        assert found["low"] is None  # four tasks, all alike
    assert same["solved"] == same["lost"] == []
    assert (same["better"], same["worse"], same["equal"], same["sign_test"]) == (0, 0, 4, 1.0)


def test_backwards_is_the_same_with_the_sign_turned(changed: dict[str, Any]):
    back = compare(side(*B), side(*A), seed=3)
    assert (back["solved"], back["lost"]) == (changed["lost"], changed["solved"])
    for name, found in changed["measures"].items():
        assert back["measures"][name]["change"] == pytest.approx(-found["change"])


def test_the_order_of_a_log_does_not_matter(changed: dict[str, Any]):
    turned = compare(side(*A[::-1]), side(*B[::-1]), seed=3)
    for name, found in changed["measures"].items():
        assert turned["measures"][name]["change"] == pytest.approx(found["change"])


def test_what_nobody_scored_is_not_compared_by_passes():
    first = side(one("t1", None), one("t2", 1.0))
    second = side(one("t1", 1.0), one("t2", None))
    found = compare(first, second)
    assert found["measures"]["pass_rate"] == dict.fromkeys(("a", "b", "change", "low", "high")) | {
        "tasks": 0
    }
    assert found["measures"]["steps"]["tasks"] == 2
    assert (found["solved"], found["lost"], found["sign_test"]) == ([], [], None)


def test_a_copied_prompt_is_not_written_by_the_policy():
    copied = ModelStep(text="an example", token_ids=(1, 2, 3), untrainable="copied")
    own = one("t1", 1.0)
    shown = Trajectory(id="x", task="t1", group="t1", outcome=1.0, steps=(copied, *own.steps))
    found = compare(side(own), side(shown))["measures"]
    assert (found["steps"]["b"], found["written"]["b"]) == (1.0, 2.0)


def test_logs_without_a_common_task_are_refused_with_the_first_of_both():
    with pytest.raises(DataError, match="the first has 't1', the second 'u0', 'u1', 'u2' and 2 mo"):
        compare(side(one("t1", 1.0)), side(*(one(f"u{i}", 1.0) for i in range(5))))


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (0, 0, 1.0),
        (5, 0, 2 / 32),
        (1, 9, 22 / 1024),  # 2 (1 + 10) / 2^10
        (4, 4, 1.0),
        (3000, 3000, 1.0),
    ],
)
def test_sign_test(better: int, worse: int, p: float):
    assert sign_test(better, worse) == pytest.approx(p)
    assert sign_test(worse, better) == pytest.approx(p)


def test_equal_rates_of_unequal_numbers_are_equal():
    first = side(one("t1", 1.0), one("t1", 0.0, number=1))
    second = side(*(one("t1", float(i < 2), number=i) for i in range(4)))
    found = compare(first, second)
    assert found["outcomes"] == {"t1": {"a": [1, 2], "b": [2, 4]}}
    assert (found["better"], found["worse"], found["equal"]) == (0, 0, 1)


def test_a_call_that_nothing_answered_is_no_error():
    answered = one("t1", 1.0, calls="er")
    step = answered.steps[0]
    unanswered = Trajectory(id="x", task="t1", group="t1", outcome=1.0, steps=(step,))
    found = compare(side(answered), side(unanswered))["measures"]["errors"]
    assert (found["a"], found["b"]) == (0.5, 0.0)


def test_it_passes_at_the_bar_and_a_session_counts_once():
    parts = [one("t1", value, number=i) for i, value in enumerate((0.5, 0.5, 0.0))]
    in_one = [msgspec.structs.replace(each, session="s") for each in parts[:2]]
    found = compare(side(*in_one, parts[2]), side(*parts), pass_at=0.5)
    assert found["outcomes"] == {"t1": {"a": [1, 2], "b": [2, 3]}}
    assert found["measures"]["steps"]["a"] == 3 / 2


def test_changes_that_are_equal_up_to_the_last_bit_have_no_interval():
    def rates(passed: int, more: int) -> list[Trajectory]:
        return [
            one(f"t{i}", float(j < passed + more * (i % 2)), number=j)
            for i in range(10)
            for j in range(10)
        ]

    # .3 - .2 is not .4 - .3 in binary
    found = compare(side(*rates(2, 1)), side(*rates(3, 1)))["measures"]["pass_rate"]
    assert found["change"] == pytest.approx(0.1)
    assert (found["low"], found["high"]) == (None, None)
