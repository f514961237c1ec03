"""Small clusters worked out by hand: who plays what from when to when."""

import pytest

from assay.cluster import Measured, Plan, simulate
from assay.cluster.machine import Machine

simpy = pytest.importorskip("simpy")

THREE = Measured(length=[[2.0]], tokens=[[10.0]], start=1.0, update=1.0)
"""Pieces of one trajectory take 1 + 2 = 3 s, an update 1 s."""


def plan(**given):
    return Plan(**{"workers": 1, "groups": 1, "size": 1, **given})


def times(history):
    return [(each.begun, each.ended) for each in history.updates]


def played(history):
    return [(p.group, p.worker, p.begun, p.ended, p.end) for p in history.pieces]


def test_a_synchronous_round():
    # Three pieces of 3 s on two workers: 0-3, 0-3, 3-6. An update of 30 tokens: 2 + 0.1 * 30 = 5 s,
    # 6-11. Of two workers' 22 s they play 9. Groups 0 and 1 wait 3 s for group 2, which waits 0.
    measured = Measured(length=[[2.0]], tokens=[[10.0]], start=1.0, update=2.0, token=0.1)
    history = simulate(plan(workers=2, groups=3), measured, updates=2)
    assert times(history) == [(6.0, 11.0), (17.0, 22.0)]
    seen = history.outcome()
    assert seen.updates_per_hour == pytest.approx(3600 / 11)
    assert seen.tokens_per_second == pytest.approx(30 / 11)
    assert seen.worker_idle == pytest.approx(13 / 22)
    assert seen.trainer_idle == pytest.approx(6 / 11)
    assert seen.trainer_wait == pytest.approx(2.0)
    assert (seen.group_wait, seen.staleness_max, seen.groups_dropped) == (0.0, 0, 0.0)
    assert seen.tokens_per_trajectory == 10.0
    last = history.outcome(skip=1)
    assert (last.seconds, last.updates_per_hour) == (11.0, pytest.approx(3600 / 11))


def test_more_trainers_share_the_tokens_of_an_update():
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=2.0, token=0.1)
    # 3 s of play, then 2 + 0.1 * 10 / 4 = 2.25 s.
    assert times(simulate(plan(trainers=4), measured, updates=1)) == [(3.0, 5.25)]


def test_the_parts_of_a_piece():
    # A group of lengths 2 and 2, forward passes of 0.5 s of one and 1 s of two: 1 + 2 * 1 = 3 s.
    # Weights are loaded for the second group: 4 s more.
    measured = Measured(
        length=[[2.0]], tokens=[[10.0]], start=1.0, forward=(0.5, 1.0), load=4.0, update=1.0
    )
    assert times(simulate(plan(size=2), measured, updates=2)) == [(3.0, 4.0), (11.0, 12.0)]
    # Lengths 5, 1 and 3: one pass of three, as of two, two of two, two of one: 1 + 3 * 1 + 2 * 0.5.
    assert measured.piece_seconds([5.0, 1.0, 3.0]) == 5.0


def test_who_waited_wakes_up():
    # The trainer waits 3 s, then 1 + 0.5 s: 3-4.5. The worker waited too: 3 + 0.25, 4.5-7.75.
    measured = Measured(length=[[3.0]], tokens=[[10.0]], wake=0.25, wake_update=0.5, update=1.0)
    assert times(simulate(plan(), measured, updates=2)) == [(3.0, 4.5), (7.75, 9.25)]


def test_a_crowd():
    # Two pieces on one core. The second begins beside the first: 6 s of work instead of 3, the
    # first done at 6, the second at 9.
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=1.0, crowded=(2.0,))
    history = simulate(plan(workers=2, groups=2, cores=1), measured, updates=1)
    assert [p.ended for p in history.pieces] == [6.0, 9.0]


def test_a_group_in_pieces_waits_for_its_last():
    # Pieces of 2 and 1 trajectories on workers of speeds 1 and 0.5: 0-3, and 0-6.
    history = simulate(plan(size=3, piece=2, workers=2, speeds=(1.0, 0.5)), THREE, updates=1)
    assert [(p.rows, p.ended) for p in history.pieces] == [(2, 3.0), (1, 6.0)]
    seen = history.outcome()
    assert (seen.group_wait, seen.trainer_wait) == (3.0, 0.0)
    # The second piece is the third trajectory: lengths 1, 1, 5 take 0-1 and 0-5.
    measured = Measured(length=[[1.0], [5.0]], tokens=[[1.0], [5.0]], update=1.0)
    given = plan(size=3, piece=2, workers=2)
    for seed in range(4):
        ends = [p.ended for p in simulate(given, measured, updates=1, seed=seed).pieces]
        assert ends in ([1.0, 1.0], [5.0, 5.0])  # trajectories of one task


def test_the_lengths_of_a_piece_are_its_own():
    # One task whose trajectories are 1 and 5 long, two of them one by one on one worker: together
    # they take the sum of their tokens.
    measured = Measured(length=[[1.0, 5.0]], tokens=[[1.0, 5.0]])
    seen: set[tuple[float, ...]] = set()
    for seed in range(20):
        pieces = simulate(plan(size=2, piece=1), measured, updates=1, seed=seed).pieces
        assert [p.ended - p.begun for p in pieces] == [p.tokens for p in pieces]
        seen.add(tuple(p.tokens for p in pieces))
    assert len(seen) == 4


def test_staleness_is_a_trajectory_s():
    # Group 0 in pieces of 2 and 1: 0-3, 3-6, trained 6-7. Group 1: 6-9 with version 0, 9-12 with
    # version 1, trained by version 1: one late twice, of six trajectories.
    history = simulate(plan(size=3, piece=2, staleness=1), THREE, updates=2)
    assert [p.version for p in history.pieces[:4]] == [0, 0, 0, 1]
    assert history.outcome().staleness_mean == pytest.approx(1 / 3)


def test_weights_are_loaded_once():
    # Round 0: 0-3, 3-6, 6-7. Round 1: 4 s to load, 7-14; the second group has them, 14-17.
    measured = Measured(length=[[2.0]], tokens=[[10.0]], start=1.0, load=4.0, update=1.0)
    assert times(simulate(plan(groups=2), measured, updates=2)) == [(6.0, 7.0), (17.0, 18.0)]


def test_a_bound_of_one_version():
    # The update takes 5 s. Group 0: 0-3, trained 3-8. While it is, one group may be begun: group 1,
    # 3-6 with version 0. The worker waits till 8; group 1 is trained 8-13 as version 1, one late;
    # group 2 is played 8-11, group 3 13-16, open at 18: 12 of 18 s.
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=5.0)
    history = simulate(plan(staleness=1), measured, updates=3)
    assert times(history) == [(3.0, 8.0), (8.0, 13.0), (13.0, 18.0)]
    seen = history.outcome()
    assert seen.worker_idle == pytest.approx(1 / 3)
    assert seen.staleness_mean == pytest.approx(2 / 3)
    assert (seen.staleness_max, seen.trainer_idle) == (1, pytest.approx(3 / 18))


def test_extra_groups_and_who_is_late():
    # Three workers begin three groups, of which two are needed. Two are done at 3; the third, at
    # half the speed, is stopped then: 1 of 3 dropped, 3 s of 3 workers' 4 s played in vain.
    given = plan(workers=3, groups=2, extra=1, speeds=(1.0, 1.0, 0.5))
    history = simulate(given, THREE, updates=1)
    assert played(history)[-1] == (2, 2, 0.0, 3.0, "stopped")
    seen = history.outcome()
    assert seen.dropped == {"late": pytest.approx(1 / 3), "stale": 0.0, "lost": 0.0}
    assert seen.groups_dropped == pytest.approx(1 / 3)
    assert seen.worker_wasted == pytest.approx(3 / 12)
    assert times(history) == [(3.0, 4.0)]


def slow_second(**given):
    return plan(workers=2, staleness=1, speeds=(1.0, 0.25), **given)


def test_what_would_miss_its_bound_is_dropped():
    # Group 0: 0-3, trained 3-4. Group 1 is played from 0 on at a quarter of the speed, till 12.
    # While the trainer is at work there is room for one group, which is group 1. Group 2: 4-7 with
    # version 1, trained at 7; group 1 would be used by version 2 at the earliest, two late: dropped
    # and stopped at 7.
    history = simulate(slow_second(), THREE, updates=2)
    assert times(history) == [(3.0, 4.0), (7.0, 8.0)]
    assert history.dropped == [(7.0, 1, "stale")]
    assert (1, 1, 0.0, 7.0, "stopped") in played(history)


def test_in_order_the_trainer_waits_for_the_slowest():
    # As above, but the trainer waits for group 1 till 12; then group 2, which waited since 7.
    history = simulate(slow_second(in_order=True), THREE, updates=3)
    assert times(history) == [(3.0, 4.0), (12.0, 13.0), (13.0, 14.0)]
    assert [list(each.groups) for each in history.updates] == [[0], [1], [2]]
    assert history.dropped == []
    assert history.outcome().staleness_max == 1


@pytest.mark.parametrize(("retry", "group"), [(True, 0), (False, 1)])
def test_a_lost_worker(retry, group):
    # Lost at 2, ready at 6; the piece, or another group, is played 6-9 and trained 9-10.
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=1.0, restart=4.0)
    history = simulate(plan(retry=retry), measured, updates=1, losses=[(2.0, 0)])
    assert played(history) == [(0, 0, 0.0, 2.0, "lost"), (group, 0, 6.0, 9.0, "done")]
    seen = history.outcome()
    assert seen.worker_down == pytest.approx(0.4)
    assert seen.worker_wasted == pytest.approx(0.2)
    assert seen.worker_idle == pytest.approx(0.1)
    assert seen.dropped["lost"] == (0.0 if retry else 0.5)


def test_what_was_lost_is_played_first_of_all():
    # Pieces of 2, 2 and 1. Worker 0 is lost at 1 with the first; worker 1 ends the second at 3 and
    # plays the first again before the third.
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=1.0, restart=90.0)
    given = plan(workers=2, size=5, piece=2)
    history = simulate(given, measured, updates=1, losses=[(1.0, 0)])
    assert [p.rows for p in history.pieces] == [2, 2, 2, 1]
    assert history.down == [(0, 1.0, 10.0)]


def test_lost_again_while_it_starts():
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=1.0, restart=4.0)
    history = simulate(plan(), measured, updates=1, losses=[(2.0, 0), (5.0, 0)])
    assert history.down == [(0, 2.0, 9.0)]
    assert times(history) == [(12.0, 13.0)]


def shared(jobs, rate):
    return mixed([(*job, False) for job in jobs], lambda n, _: (rate(n), rate(n)))


def mixed(jobs, rates):
    env = simpy.Environment(0.0)
    machine, ends = Machine(env, rates), {}

    def job(name, begins, seconds, trains):
        yield env.timeout(begins)
        yield from machine.work(seconds, trains=trains)
        ends[name] = env.now

    for name, given in enumerate(jobs):
        env.process(job(name, *given))
    env.run()
    return ends


def test_two_jobs_share_one_core():
    # Of 1 and 2 s: each at half the speed, the first is done at 2; 1 s is left, done at 3.
    assert shared([(0.0, 1.0), (0.0, 2.0)], lambda n: 1 / max(n, 1)) == {0: 2.0, 1: 3.0}


def test_a_job_that_comes_later():
    # 2 s from 0, 2 s from 1: 1 is left at 1, done at 3; the other has 1 left there, done at 4.
    assert shared([(0.0, 2.0), (1.0, 2.0)], lambda n: 1 / max(n, 1)) == {0: 3.0, 1: 4.0}


def test_rates_that_were_measured():
    # At 0.75 each: 1 s is done at 4/3; of 2 s 1 is left, done at 7/3.
    ends = shared([(0.0, 1.0), (0.0, 2.0)], lambda n: 0.75 if n == 2 else 1.0)
    assert ends == {0: pytest.approx(4 / 3), 1: pytest.approx(7 / 3)}


def test_a_trainer_may_have_a_speed_of_its_own():
    # Beside each other the worker goes on at 0.5, the trainer at 0.8. The trainer's 2 s are done at
    # 2.5, when the worker has 0.75 of its 2 s left, alone: 3.25.
    def rates(workers, trainers):
        return (0.5, 0.8) if workers and trainers else (1.0, 1.0)

    ends = mixed([(0.0, 2.0, False), (0.0, 2.0, True)], rates)
    assert ends == {0: pytest.approx(3.25), 1: pytest.approx(2.5)}


def test_speeds_of_more_than_were_measured():
    one = {"length": [[1.0]], "tokens": [[1.0]]}
    alone = Measured(**one)
    assert [alone.speeds(n, 0, 2)[0] for n in (1, 2, 4)] == [1.0, 1.0, 0.5]
    assert alone.speeds(3, 1, 2) == (0.5, 0.5)
    some = Measured(**one, rates=(1.0, 0.9))
    assert [some.speeds(n, 0, 2)[0] for n in (1, 2, 4)] == [1.0, 0.9, 0.45]
    assert (some.speeds(0, 1, 2), some.speeds(1, 1, 2)) == ((1.0, 1.0), (0.9, 0.9))
    more = Measured(**one, rates=(1.0, 0.9), beside=(0.7, 0.4), burdened=(0.8, 0.6))
    assert more.speeds(2, 0, 2) == (0.9, 0.9)
    assert more.speeds(1, 1, 2) == (0.7, 0.8)
    assert more.speeds(4, 1, 2) == (0.2, 0.3)
    assert more.speeds(0, 1, 2) == (1.0, 1.0)


def test_workers_and_trainer_share_a_machine():
    # One core. Groups 0 and 1, 3 s each at half the speed: both at 6. The update, 1 s, alone: 6-7.
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=1.0)
    history = simulate(plan(workers=2, groups=2, cores=1), measured, updates=1)
    assert times(history) == [(6.0, 7.0)]


def test_who_is_lost_leaves_the_core_to_others():
    # One core, two workers, 3 s each: 2 s are left of each at 2. Worker 0 starts again, 9 s of work
    # beside worker 1, whose group is done at 6. It plays the lost one, 3 s, till 12; the start has
    # 4 s left then, beside the update of 1 s: 12-14.
    measured = Measured(length=[[3.0]], tokens=[[10.0]], update=1.0, restart=9.0)
    given = plan(workers=2, groups=2, cores=1)
    assert times(simulate(given, measured, updates=1, losses=[(2.0, 0)])) == [(12.0, 14.0)]
