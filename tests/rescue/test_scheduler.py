"""Who is helped and by what: hysteresis, rest, shares, and a memory that survives a kill."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import UsageError
from assay.recipes.settings import converted
from assay.records import ModelStep, Trajectory
from assay.rescue.ladder import LADDER
from assay.rescue.scheduler import Event, Scheduler, Tally, all_passed
from assay.rescue.settings import HANDICAP, RUNGS, Rescues


def group(task: str, *outcomes: float | None) -> list[Trajectory]:
    return [
        Trajectory(id=f"{task}/{n}", task=task, group=task, outcome=each, steps=(ModelStep("a"),))
        for n, each in enumerate(outcomes)
    ]


def scheduler(**given: object) -> Scheduler:
    settings = converted({"kind": "ladder", "share": 1.0, **given}, Rescues, "rescue")
    return Scheduler(settings)


def test_every_rung_has_a_place_and_every_place_a_rung() -> None:
    assert {*LADDER} == {*RUNGS, HANDICAP}
    assert {name for name, rung in LADDER.items() if not rung.of_failed} == {HANDICAP}


@pytest.mark.parametrize(
    ("outcomes", "passed"),
    [
        ((0.0, 0.0), False),
        ((1.0, 1.0), True),
        ((0.0, 1.0), None),
        ((0.0, None), None),
        ((0.0, 0.0, None), None),  # nobody knows of one: it may have passed
        ((0.0,), None),  # nothing to compare it with
        ((0.3, 0.0), False),
    ],
)
def test_a_group_failed_or_passed_as_a_whole(
    outcomes: tuple[float | None, ...], passed: bool | None
) -> None:
    assert all_passed(group("t", *outcomes), 1.0) is passed


def test_a_task_is_helped_after_two_dead_visits_in_a_row_and_no_sooner() -> None:
    made = scheduler(after=2)
    dead, alive = group("t", 0, 0), group("t", 0, 1)
    seen: list[list[int]] = []
    for visit in (dead, alive, dead, dead, dead, alive, dead):
        made.visited([visit])
        seen.append(made.open([visit]))
    assert seen == [[], [], [], [0], [0], [], []]


def test_a_visit_on_which_nobody_scored_is_no_dead_one() -> None:
    made = scheduler(after=1)
    made.visited([group("t", None, None)])
    assert made.visits["t"].dead == 0


def test_no_more_groups_than_their_share_of_rows() -> None:
    made = scheduler(after=1, share=0.25)
    groups = [group(name, 0, 0) for name in "abcde"]  # a quarter of ten rows: two
    made.visited(groups)
    assert made.open(groups) == [0, 1]
    assert made.open(groups, taken=1) == [0]
    assert made.open(groups, taken=2) == made.open(groups, taken=3) == []


def test_a_rung_that_never_helps_rests_and_is_tried_again() -> None:
    made = scheduler(rungs=["feedback", "oracle"])
    failing = [Event(rung="feedback", task="t", group="t", rescued=False)]
    made.came(failing * 7)
    assert not made.rests("feedback")
    made.came(failing)
    assert made.rests("feedback")  # eight tries, none of use
    assert not made.rests("oracle")
    made.visited([])  # 7.2 are left of eight
    assert not made.rests("feedback")


def test_a_rung_that_helps_often_enough_never_rests() -> None:
    made = scheduler(rungs=["oracle"], floor=0.1)
    made.came([Event(rung="oracle", task="t", group="t", rescued=n == 0) for n in range(10)])
    assert not made.rests("oracle")  # one of ten: as often as the floor
    made.came([Event(rung="oracle", task="t", group="t", rescued=False)])
    assert made.rests("oracle")


def test_what_a_rung_was_worth_is_the_next_visit_without_help() -> None:
    made = scheduler(after=1, rungs=["oracle"])
    made.visited([group("t", 0, 0)])
    made.came([Event(rung="oracle", task="t", group="t", rescued=True, tried=2, tokens=9)])
    made.visited([group("t", 0, 1, 1, None)])
    made.visited([group("t", 1, 1)])  # the visit after that is no longer the rung's
    assert made.tallies["oracle"] == Tally(
        tried=1, rescued=1, tokens=9, later=3, later_passed=2, recent=0.81, recent_rescued=0.81
    )


def test_rescued_tasks_are_played_again_once_when_their_time_has_come() -> None:
    made = scheduler(after=1, rungs=["oracle"], again=2, lag=2)
    tasks = {"t": 7, "u": 8, "v": 9, "w": 10}
    made.visited([group(name, 0, 0) for name in tasks])
    won = [
        Event(rung="oracle", task=name, group=name, rescued=name != "w", seed=seed)
        for name, seed in tasks.items()
    ]
    made.came(won)
    assert made.due() == []
    made.visited([group("u", 0, 0)])  # met again by itself: needs no other visit
    assert made.due() == []
    made.visited([])
    assert made.due() == [7, 9]
    made.again([*group("t", 1.0), *group("v", None)])
    assert made.due() == []
    assert (made.tallies["oracle"].later, made.tallies["oracle"].later_passed) == (3, 1)
    assert made.visits["t"].dead == 1  # it was no visit
    few = scheduler(after=1, rungs=["oracle"], again=1, lag=1)
    few.came(won)
    few.visited([])
    assert few.due() == [7]
    assert scheduler(rungs=["oracle"], lag=1).due() == []


def test_successes_are_remembered_where_a_rung_reads_them() -> None:
    one, two = group("t", 1, 1), group("u", 0, 1)
    made = scheduler(rungs=["prefix"], memory=1)
    made.visited([one, two])
    assert made.successes == {"u": two[1]}
    assert made.failures == {}
    assert made.case(group("u", 0, 0)).success == two[1]
    assert scheduler(rungs=["oracle"]).case(group("u", 0, 0)).success is None
    handicapped = scheduler(rungs=[HANDICAP])
    handicapped.visited([two])
    assert (handicapped.failures, handicapped.successes) == ({"u": two[0]}, {})


VISITS = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from([0.0, 1.0, None]), min_size=2)),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(VISITS, VISITS, st.booleans())
def test_a_state_that_was_saved_goes_on_as_if_nothing_had_happened(
    before: list[tuple[str, list[float | None]]],
    after: list[tuple[str, list[float | None]]],
    rescued: bool,
) -> None:
    whole, cut = scheduler(rungs=["prefix", HANDICAP]), scheduler(rungs=["prefix", HANDICAP])
    event = Event(rung="prefix", task="a", group="a", rescued=rescued, tokens=3)
    for each in (whole, cut):
        each.visited(group(task, *outcomes) for task, outcomes in before)
        each.came([event])
    fresh = scheduler(rungs=["prefix", HANDICAP])
    fresh.restore(json.loads(json.dumps(cut.state())))
    for each in (whole, fresh):
        each.visited(group(task, *outcomes) for task, outcomes in after)
    assert fresh == whole


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rungs": ["oracel"]}, "oracle"),
        ({"rungs": []}, "expected one"),
        ({"rungs": ["oracle", "oracle"]}, "each once"),
        ({"share": 0.0}, "share"),
        ({"after": 0}, "after"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        scheduler(**given)


def test_a_place_is_as_hard_as_its_tries_of_late() -> None:
    made = scheduler(rungs=["prefix"])
    assert made.chance("prefix", 2) == 0.5  # nobody knows
    came = ((1, True), (1, True), (2, False), (1, True))
    made.came([Event(rung="prefix", task="t", group="t", rescued=True, came=came)])
    assert made.chance("prefix", 1) == 4 / 5  # three of three, and one of two before
    assert made.chance("prefix", 2) == 1 / 3
    assert made.chance("oracle", 1) == 0.5
    made.visited([])
    assert made.chance("prefix", 1) == pytest.approx((0.9 * 3 + 1) / (0.9 * 3 + 2))
