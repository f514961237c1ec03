"""What a skill rests on stays within a bound, and no task that taught it is forgotten whole."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from assay.skills.bank import Bank
from assay.skills.resting import EVIDENCE, PLACES, bounded, joined, split
from assay.skills.skill import Evidence, Rest, Skill
from assay.verify.outcome import ResolvedLevel
from tests.skills.test_bank import skill


def piece(
    n: int, task: str = "", level: ResolvedLevel = "E3", steps: tuple[int, ...] = (1,)
) -> Evidence:
    return Evidence(trajectory=f"x/{n}", task=task or f"lookup[]/{n}", steps=steps, level=level)


def ids(found: Skill) -> list[int]:
    return [int(each.trajectory.removeprefix("x/")) for each in found.evidence]


def test_the_strongest_level_is_kept_then_known_steps_then_the_newest() -> None:
    """Of E3 with a step 0, 1, 3 and 6, of E4 2, of E2 4, of E3 without a step 5."""
    levels = dict.fromkeys(range(7), "E3") | {2: "E4", 4: "E2"}
    some = [piece(n, level=levels[n], steps=() if n == 5 else (1,)) for n in range(7)]  # type: ignore[arg-type]
    for most, kept in {1: [2], 2: [2, 6], 3: [2, 3, 6], 5: [0, 1, 2, 3, 6]}.items():
        assert ids(bounded(skill("a", evidence=tuple(some)), most)) == kept
    six = bounded(skill("a", evidence=tuple(some)), 6)
    assert ids(six) == [0, 1, 2, 3, 5, 6]
    assert six.rest == (Rest(tasks="lookup[]", count=1, first=4, last=4),)
    assert bounded(six, 6) is six


def test_the_others_are_counted_by_how_their_tasks_begin() -> None:
    """Kept is 9 alone: five of lookup, from 2 to 50, two of report, one whose name is no number."""
    numbers = [("lookup[]", n) for n in (7, 2, 50, 9, 8)] + [("report[]", n) for n in (3, 1)]
    some = [piece(n, f"{name}/{number}") for n, (name, number) in enumerate(numbers)]
    whole = joined(skill("a"), [*some, piece(7, "airline/b"), piece(9)], 1)
    assert (ids(whole), whole.support) == ([9], 9)
    assert whole.rest == (
        Rest(count=1),
        Rest(tasks="lookup[]", count=5, first=2, last=50),
        Rest(tasks="report[]", count=2, first=1, last=3),
    )


def test_attempts_of_two_logs_that_are_called_the_same_are_two() -> None:
    """x/0 of one log and of another count as two, each again as one. An older bank does not say
    which x/0 it has: whichever comes is taken for that one."""
    one, other = (structs.replace(piece(0), digest=each) for each in "ab")
    both = joined(joined(skill("a"), [one], 4), [other], 4)
    assert both.evidence == (one, other)
    for again in ([one], [other], [one, other]):
        assert joined(both, again, 4).evidence == (one, other)
    old = joined(skill("a"), [piece(0)], 4)
    assert joined(old, [one], 4).evidence == (piece(0),)


def test_of_too_many_kinds_the_last_are_counted_together() -> None:
    """Eight of ten kinds have a place, the last two one together, with the numbers of both, and
    with what has no number. Others that come later have no place of their own either."""
    some = [piece(99, "airline/b"), *(piece(n, f"kind{n}/{n}") for n in range(11))]
    whole = joined(skill("a"), some, 1)
    assert whole.rest[0] == Rest(count=3, first=8, last=9)
    assert [each.tasks for each in whole.rest[1:]] == [f"kind{n}" for n in range(PLACES)]
    assert joined(whole, some, 1) == whole
    more = joined(whole, [piece(100 + n, f"other{n}/{20 + n}") for n in range(3)], 1)
    assert {each.tasks for each in more.rest} == {each.tasks for each in whole.rest}
    assert more.rest[0] == Rest(count=6, first=8, last=21)


def test_a_log_that_is_read_again_is_counted_once_and_another_one_is_added() -> None:
    one = joined(skill("a"), map(piece, range(40)), 4)
    assert (ids(one), one.support) == ([36, 37, 38, 39], 40)
    assert joined(one, map(piece, range(40)), 4) == one
    grown = joined(one, map(piece, range(60)), 4)
    assert (ids(grown), grown.support) == ([56, 57, 58, 59], 60)
    other = joined(one, map(piece, range(100, 103)), 4)
    assert (ids(other), other.support) == ([39, 100, 101, 102], 43)
    assert other.rest == (Rest(tasks="lookup[]", count=39, first=0, last=38),)


def test_what_was_known_of_a_trajectory_stays() -> None:
    old = skill("a", evidence=(piece(1, level="E4"),))
    assert joined(old, [piece(1, level="E2"), piece(2), piece(2, level="E2")], 4).evidence == (
        piece(1, level="E4"), piece(2),
    )  # fmt: skip


def test_a_thousand_observations_of_one_skill_are_a_bounded_bank() -> None:
    """A step of a long run each: the bank is not larger by the last nine hundred than by digits of
    numbers, and every observation is counted."""
    bank, sizes = Bank(), list[int]()
    for n in range(1000):
        bank = bank.merged([skill("do this", evidence=(piece(n),))])
        sizes.append(len(msgspec.json.encode(bank)))
    (only,) = bank.skills
    assert ids(only) == [*range(1000 - EVIDENCE, 1000)]
    assert only.support == 1000
    assert only.rest == (Rest(tasks="lookup[]", count=984, first=0, last=983),)
    assert sizes[-1] <= sizes[100] + 64
    assert len(bank.merged([skill("do this", evidence=(piece(n),)) for n in range(3)]).skills) == 1
    small = Bank(evidence=2).merged([skill("x", evidence=(piece(n),)) for n in range(9)])
    assert (small.evidence, len(small.skills[0].evidence)) == (2, 2)
    assert small.next([structs.replace(small.skills[0], title="t")]).evidence == 2


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=5), st.integers(1, 5))
def test_laws_of_the_bound(logs: list[list[int]], most: int) -> None:
    """Never more than the bound; every log is counted whole; every task lies in what is known."""
    found, seen = skill("a"), set[int]()
    for log in logs:
        found = joined(found, map(piece, log), most)
        seen |= {*log}
        assert found.support >= len({*log})
        assert joined(found, map(piece, log), most).support >= found.support
        again = joined(found, found.evidence, most)
        assert again == found, "what is kept, read again, is nothing new"
    assert len(found.evidence) == min(most, len(seen))
    kept = {*ids(found)}
    assert all(n in kept or any(each.first <= n <= each.last for each in found.rest) for n in seen)


@pytest.mark.parametrize(
    ("task", "parts"),
    [("a[b=1]/7", ("a[b=1]", 7)), ("a/b/0", ("a/b", 0)), ("a", ("a", None)), ("7", ("", 7)),
     ("a/", ("a/", None)), (f"a/{'9' * 18}", ("a", 10**18 - 1)), (f"a/{'9' * 19}", None),
     ("a/\N{SUPERSCRIPT TWO}", None), ("a/\N{ARABIC-INDIC DIGIT ONE}", None), ("", ("", None))],
)  # fmt: skip
def test_a_task_s_number_stands_behind_its_last_slash(task: str, parts: Iterable[object]) -> None:
    assert split(task) == (parts or (task, None))
