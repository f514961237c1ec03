"""Dead groups give way to others, place by place, and what was thrown away is kept count of."""

from collections.abc import Sequence

from assay.records import Ledger, Trajectory
from assay.rollout.resampling import dead, resampled


def group(name: str, *outcomes: float | None) -> list[Trajectory]:
    return [
        Trajectory(
            id=f"{name}/{at}",
            task=name,
            group=name,
            outcome=value,
            ledger=Ledger(tokens=10),
        )
        for at, value in enumerate(outcomes)
    ]


def test_a_group_is_dead_where_no_outcome_differs() -> None:
    groups = [
        group("all fail", 0.0, 0.0),
        group("mixed", 0.0, 1.0),
        group("all pass", 1.0, 1.0),
        group("partly", 0.5, 0.25),
        group("one", 0.0, None),  # one scored member has nobody to be compared with
        group("nobody", None, None),
        group("partly scored", 1.0, 1.0, None),  # who is not scored has not failed
    ]
    assert dead(groups) == [0, 2, 4, 5, 6]
    assert dead([]) == []


def test_dead_groups_are_replaced_in_their_places_until_the_rounds_are_over() -> None:
    asked = list[tuple[list[int], int]]()
    fresh = {1: [group("a1", 0.0, 0.0), group("c1", 0.0, 1.0)], 2: [group("a2", 0.0, 0.0)]}

    def again(places: Sequence[int], number: int) -> list[list[Trajectory]]:
        asked.append((list(places), number))
        return fresh[number]

    first = [group("a", 0.0, 0.0), group("b", 1.0, 0.0), group("c", 1.0, 1.0)]
    made = resampled(first, 2, again)
    assert asked == [([0, 2], 1), ([0], 2)]
    assert [one[0].task for one in made.groups] == ["a2", "b", "c1"]
    # a and c went in the first round, a1 in the second: two trajectories each
    assert [each.id for each in made.thrown] == ["a/0", "a/1", "c/0", "c/1", "a1/0", "a1/1"]
    assert [one[0].task for one in first] == ["a", "b", "c"]  # what came in is left as it is


def test_nothing_is_asked_where_all_live_or_no_round_is_wanted() -> None:
    def never(places: Sequence[int], number: int) -> list[list[Trajectory]]:
        raise AssertionError

    living, lost = [group("b", 1.0, 0.0)], [group("a", 0.0, 0.0)]
    assert resampled(living, 3, never).thrown == ()
    assert resampled(lost, 0, never).groups == (lost[0],)
