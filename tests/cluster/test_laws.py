"""What holds for any cluster, and an oracle that shares no code: list scheduling on a heap."""

import heapq
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.cluster import Measured, Plan, simulate

pytest.importorskip("simpy")
pytestmark = pytest.mark.slow

quarters = st.integers(1, 24).map(lambda i: i / 4)


@st.composite
def measures(draw):
    """Lengths equal tokens, so that a piece's length can be read off the history. As fields: types
    are checked at random, which must not be in a strategy."""
    tasks = draw(st.lists(st.lists(quarters, min_size=1, max_size=3), min_size=1, max_size=3))
    seconds = {name: draw(quarters) for name in ("start", "update", "restart")}
    seconds["forward"] = draw(st.lists(quarters, min_size=1, max_size=3))
    return {"length": tasks, "tokens": tasks, **seconds}


@st.composite
def plans(draw, **fixed):
    chosen = {
        "workers": draw(st.integers(1, 5)),
        "groups": draw(st.integers(1, 4)),
        "size": draw(st.integers(1, 3)),
        "piece": draw(st.integers(0, 3)),
        "staleness": draw(st.none() | st.integers(0, 3)),
        "cores": draw(st.none() | st.integers(1, 3)),
        "lost": draw(st.sampled_from([0.0, 0.0, 60.0])),
        "retry": draw(st.booleans()),
    }
    chosen |= draw(st.sampled_from([{}, {"extra": 2}, {"in_order": True}]))
    return {**chosen, **fixed}


@settings(max_examples=60, deadline=None)
@given(plans(), measures(), st.integers(0, 9))
def test_what_holds_for_every_history(plan, measured, seed):
    plan, measured = Plan(**plan), Measured(**measured)
    history = simulate(plan, measured, updates=4, seed=seed, limit=1e5)
    done = [piece for piece in history.pieces if piece.end == "done"]
    trained = {number: each for each in history.updates for number in each.groups}
    assert len(trained) == 4 * plan.groups
    rows = Counter[int]()
    for piece in done:
        if piece.group in trained:
            rows[piece.group] += piece.rows
            late = trained[piece.group].version - piece.version
            assert late >= 0
            assert plan.staleness is None or late <= plan.staleness
            assert piece.ended <= trained[piece.group].begun
    assert set(rows.values()) == {plan.size}
    thrown = {number for _, number, _ in history.dropped}
    assert not thrown & set(trained)
    for reason in ("late", "stale", "lost"):
        seen = any(why == reason for _, _, why in history.dropped)
        can = {"late": plan.extra, "stale": not plan.in_order, "lost": plan.lost and not plan.retry}
        assert can[reason] or not seen
    assert plan.lost or not any(piece.end == "lost" for piece in history.pieces)
    updates = history.updates
    assert all(a.ended <= b.begun for a, b in pairwise(updates))
    alone(plan, history)
    shares(history.outcome())


def alone(plan, history):
    """A worker plays one piece at a time, and none while it is down."""
    for worker in range(plan.workers):
        spans = [(p.begun, p.ended) for p in history.pieces if p.worker == worker]
        spans += [(a, b) for who, a, b in history.down if who == worker]
        spans.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


def shares(seen):
    idle, down = seen.worker_idle, seen.worker_down
    assert 0 <= idle <= 1
    assert 0 <= down <= 1
    assert 0 <= seen.worker_wasted <= 1 - idle - down + 1e-9
    assert 0 <= seen.trainer_idle <= 1
    assert seen.groups_dropped == pytest.approx(sum(seen.dropped.values()))


def lengths(history):
    """Length of the only trajectory of each group."""
    return {p.group: p.tokens for p in history.pieces if p.end == "done"}


@settings(max_examples=30, deadline=None)
@given(plans(workers=1, size=1, staleness=0, extra=0, cores=None, lost=0.0), measures())
def test_one_worker_takes_the_sum(plan, measured):
    plan, measured = Plan(**plan), Measured(**measured)
    history = simulate(plan, measured, updates=3)
    play = sum(measured.piece_seconds([each]) for each in lengths(history).values())
    train = sum(
        measured.update_seconds(sum(lengths(history)[number] for number in each.groups))
        for each in history.updates
    )
    assert history.updates[-1].ended == pytest.approx(play + train)


@settings(max_examples=30, deadline=None)
@given(plans(size=1, staleness=0, extra=0, cores=None, lost=0.0), measures())
def test_synchronous_rounds_are_list_schedules(plan, measured):
    plan, measured = Plan(**plan), Measured(**measured)
    # Graham 1969: jobs in order, each to the worker that is free first.
    history = simulate(plan, measured, updates=3)
    length, now, number = lengths(history), 0.0, 0
    for update in history.updates:
        free = [now] * plan.workers
        ends, tokens = [], 0.0
        for _ in range(plan.groups):
            begun = heapq.heappop(free)
            ends.append(begun + measured.start + measured.forward[0] * length[number])
            heapq.heappush(free, ends[-1])
            tokens, number = tokens + length[number], number + 1
        now = max(ends) + measured.update + measured.token * tokens
        assert update.ended == pytest.approx(now)


@settings(max_examples=30, deadline=None)
@given(plans(staleness=0, extra=0, cores=None, lost=0.0), measures())
def test_more_workers_are_never_slower_and_never_above_the_trainer(plan, measured):
    plan, measured = Plan(**plan), Measured(**measured)
    given = {name: getattr(plan, name) for name in ("groups", "size", "piece", "staleness")}
    ends = [
        simulate(Plan(workers=n, **given), measured, updates=3).updates[-1].ended
        for n in (1, 2, 3, 8)
    ]
    assert all(b <= a + 1e-9 for a, b in pairwise(ends))
    seen = simulate(Plan(workers=99, **{**given, "staleness": None}), measured, updates=3)
    assert seen.outcome().updates_per_hour <= 3600 / measured.update * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(plans(staleness=None, extra=0, lost=0.0), measures())
def test_without_a_bound_nobody_waits(plan, measured):
    plan, measured = Plan(**plan), Measured(**measured)
    assert simulate(plan, measured, updates=3).outcome().worker_idle == pytest.approx(0.0)


@settings(max_examples=30, deadline=None)
@given(plans(), measures())
def test_little_s_law(plan, measured):
    plan, measured = Plan(**plan), Measured(**measured)
    # Little 1961: mean number in play = rate * mean time in play; the number is counted along the
    # events, and all that began has ended, since what was open ends with the history.
    history = simulate(plan, measured, updates=3, limit=1e5)
    end = history.updates[-1].ended
    events = sorted(
        event for p in history.pieces for event in ((p.begun, 1, p.group), (p.ended, -1, p.group))
    )
    area = count = 0.0
    before = 0.0
    for at, step, _ in events:
        area += count * (at - before)
        count, before = count + step, at
    assert count == 0
    times = [p.ended - p.begun for p in history.pieces]
    rate = len(times) / end
    assert area / end == pytest.approx(rate * sum(times) / len(times))
    seen = history.outcome()
    share = 1 - seen.worker_idle - seen.worker_down
    assert area / end == pytest.approx(plan.workers * share, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(plans(), measures(), st.integers(0, 3))
def test_a_seed_repeats(plan, measured, seed):
    plan, measured = Plan(**plan), Measured(**measured)
    one, two = (simulate(plan, measured, updates=3, seed=seed, limit=1e5) for _ in range(2))
    assert (one.pieces, one.updates, one.down) == (two.pieces, two.updates, two.down)
