"""Pools of tasks by hand: what comes next, what stays, what it cost."""

from itertools import count

import numpy as np
import pytest

from assay.errors import UsageError
from assay.schedule.pool import Pool, Visited
from assay.schedule.settings import Schedule

RNG = np.random.default_rng(0)


def pool(size=3, **given):
    return Pool(Schedule(pool=size, **given))


def batch(pool, fresh, many, rng=RNG):
    taken = []
    for _ in range(many):
        taken.append(pool.next(lambda: next(fresh), taken, rng))
    return taken


def visited(task, passed, tried=8, tokens=10):
    return Visited(task, passed, tried, tokens)


def test_new_tasks_come_while_there_is_room_and_then_those_of_the_pool():
    one, fresh = pool(), count(100)
    assert batch(one, fresh, 2) == [100, 101]
    assert batch(one, fresh, 1) == [102]
    assert sorted(batch(one, fresh, 3)) == [100, 101, 102]
    # a batch that is larger than the pool: what comes beside is not kept
    assert sorted(batch(one, fresh, 4)) == [100, 101, 102, 103]
    assert [*one.known] == [100, 101, 102]
    drawn = {batch(one, fresh, 1)[0] for _ in range(60)}
    assert drawn == {100, 101, 102}


def test_what_passes_always_or_never_leaves_and_is_replaced():
    one, fresh = pool(), count(100)
    batch(one, fresh, 3)
    facts = one.learnt([visited(100, 0, tokens=7), visited(101, 4), visited(102, 8, tokens=5)])
    # nothing was known: .5 is predicted of all; rates 0, .5, 1
    assert facts["error"] == facts["error_of_mean"] == pytest.approx(1 / 3)
    # mean (.9 + 12) / (1.8 + 24) = .5; (0 + 1) / 10 = .1, (4 + 1) / 10 = .5, (8 + 1) / 10 = .9
    assert one.mean == pytest.approx(0.5)
    assert [*one.known] == [101]
    assert {name: facts[name] for name in ("tasks", "fresh", "left", "cost")} == {
        "tasks": 1.0, "fresh": 3.0, "left": 2.0, "cost": 12.0,
    }  # fmt: skip
    assert batch(one, fresh, 2) == [103, 104]


def test_earlier_visits_count_in_part():
    one = pool(recall=0.25, low=0.0, high=1.0)
    one.next(lambda: 5, [], RNG)
    one.learnt([visited(5, 4)])
    facts = one.learnt([visited(5, 8)])
    # mean was (.9 + 4) / (1.8 + 8) = .5: (4 + 1) / 10 = .5, and 1 was seen
    assert facts["error"] == pytest.approx(0.5)
    assert facts["fresh"] == 0.0
    assert one.known == {5: (9.0, 10.0)}
    # (.9 * 4.9 + 8) / (.9 * 9.8 + 8)
    assert one.mean == pytest.approx(12.41 / 16.82)
    facts = one.learnt([visited(5, 0)])
    assert facts["error"] == pytest.approx((9 + 2 * 12.41 / 16.82) / 12)
    assert facts["error_of_mean"] == pytest.approx(12.41 / 16.82)


def test_bounds_are_its_own_and_belong_to_it():
    # .5 is predicted of 4 of 8, .3 of 2 of 8 (mean .375: (.9 + 6) / (1.8 + 16) = .387640;
    # (2 + .775281) / 10 = .277528)
    one, fresh = pool(low=0.4, high=0.6), count(1)
    batch(one, fresh, 2)
    one.learnt([visited(1, 4), visited(2, 2)])
    assert [*one.known] == [1]
    edge = pool(low=0.5, high=0.9)
    edge.next(lambda: 1, [], RNG)
    edge.learnt([visited(1, 4)])
    assert [*edge.known] == [1], "a bound is inside"


def test_attempts_that_nobody_scored_say_nothing():
    one = pool()
    one.next(lambda: 1, [], RNG)
    facts = one.learnt([visited(1, 0, tried=0)])
    assert [*one.known] == [1]
    assert np.isnan(facts["error"])
    assert np.isnan(facts["error_of_mean"])
    assert one.mean == pytest.approx(0.5)
    assert one.learnt([])["tasks"] == 1.0


def test_a_task_beside_the_pool_counts_for_the_domain_alone():
    one = pool(1)
    one.next(lambda: 1, [], RNG)
    facts = one.learnt([visited(9, 8, tokens=50)])
    assert [*one.known] == [1]
    assert (facts["left"], facts["cost"]) == (0.0, 0.0)
    assert one.mean == pytest.approx(8.9 / 9.8)


def test_all_it_knows_is_remembered():
    one, other = pool(), pool()
    batch(one, count(3), 3)
    one.learnt([visited(3, 1), visited(4, 2), visited(5, 7)])
    other.restore(one.state())
    assert other == one
    seen = [batch(each, count(9), 3, np.random.default_rng(4)) for each in (one, other)]
    assert seen[0] == seen[1]


def test_bounds_that_leave_nothing_are_refused():
    with pytest.raises(UsageError, match=r"got low=0\.5 and high=0\.5; expected low below high"):
        Schedule(pool=3, low=0.5, high=0.5)
