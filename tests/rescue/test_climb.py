"""The ladder in a world of doors: what each rung gives, what is trained of it, what it costs."""

from collections.abc import Callable
from math import log
from typing import Any

import pytest

from assay.records import ModelStep, Rescue, Trajectory, decode, encode
from assay.rescue.climb import Climbed, climb
from assay.rescue.scheduler import Scheduler
from assay.rescue.settings import Rescues
from assay.signal.origins import row_of
from tests.rescue.doors import Doors, Policy, Silent, sampled, text_of, world


def climbed(
    says: Callable[[str], str],
    *rungs: str,
    seeds: tuple[int, ...] = (1,),
    make: Any = Doors,
    before: tuple[Trajectory, ...] = (),
    **settings: Any,
) -> tuple[list[Trajectory], Climbed, Policy]:
    """Returns a batch, what came of it, and the policy; the right doors are the seeds plus one."""
    policy = Policy(says)
    rows = sampled(policy, seeds, make=make)
    policy.prompts.clear()
    given: dict[str, Any] = {"after": 1, "tries": 1, "share": 1.0, "budget": 100.0, **settings}
    scheduler = Scheduler(Rescues(kind="ladder", rungs=rungs, **given))
    if before:
        scheduler.visited([before])
    scheduler.visited(rows[n : n + 3] for n in range(0, len(rows), 3))
    return rows, climb(rows, scheduler, world(policy, make)), policy


def rescued(made: Climbed) -> Trajectory:
    (record,) = (each for each in made.rows if each.rescue is not None)
    return record


def given_to(record: Trajectory) -> Rescue:
    assert record.rescue is not None
    return record.rescue


def unless(advice: str) -> Callable[[str], str]:
    """Opens door 7, or door 2 where it was told to."""
    return lambda seen: "=2" if advice in seen else "=7"


def test_under_a_hint_it_is_sampled_with_the_hint_and_trained_without() -> None:
    rows, made, policy = climbed(unless("!it is 2"), "oracle")
    record = rescued(made)
    assert policy.prompts == ["?open a door\n!it is 2\n"]
    assert text_of(record) == "?open a door\n=2"
    assert record.steps[0] == rows[0].steps[0]
    assert record.outcome == 1.0
    step = record.steps[1]
    assert type(step) is ModelStep
    assert step.logprobs
    assert step.helped == (-1 / 8, -2 / 8, -3 / 8)
    assert step.logprobs == pytest.approx([-n / 8 - log(2) for n in (1, 2, 3)])
    assert given_to(record).given == "!it is 2"
    assert row_of(record).prompt_ids == row_of(rows[0]).prompt_ids


def test_it_takes_the_place_of_the_last_failure_and_of_no_other() -> None:
    rows, made, _ = climbed(unless("!it is 2"), "oracle")
    assert [each.outcome for each in made.rows] == [0.0, 0.0, 1.0]
    assert made.rows[:2] == rows[:2]
    assert made.beside == [rows[2]]
    assert rescued(made).trial == rows[2].trial
    assert rescued(made).group == rows[2].group


def test_what_it_cost_is_in_its_ledger_and_in_the_events() -> None:
    _, made, _ = climbed(unless("!it is 2"), "oracle")
    ledger = rescued(made).ledger
    assert (ledger.tokens, ledger.scoring_forwards) == (3, 1)  # "=2" and its end; one rereading
    (event,) = made.events
    assert (event.rung, event.rescued, event.tried, event.tokens, event.forwards) == (
        ("oracle", True, 1, 3, 1)
    )


def test_tries_that_come_to_nothing_are_kept_beside_with_what_they_were_given() -> None:
    rows, made, _ = climbed(lambda _: "=7", "oracle", tries=2)
    assert made.rows == rows
    assert [text_of(each) for each in made.beside] == ["?open a door\n!it is 2\n=7"] * 2
    assert all(each.rescue and each.rescue.given == "!it is 2" for each in made.beside)
    assert [each.rescued for each in made.events] == [False]
    assert made.events[0].tokens == 6


def test_rungs_are_climbed_in_order_until_one_helps() -> None:
    _, made, policy = climbed(unless("it is 2"), "wrong_answers", "oracle", "critique")
    assert [event.rung for event in made.events] == ["wrong_answers", "oracle"]
    assert policy.prompts[0] == "?open a door\n!not =7\n"


def test_a_critique_names_the_first_mistake_and_never_the_answer() -> None:
    says = lambda seen: (  # noqa: E731
        "=2" if "but >look(2)" in seen else ">look(0)\n" if seen.endswith("door\n") else "=7"
    )
    _, made, policy = climbed(says, "critique")
    assert policy.prompts == ["?open a door\n!not >look(0) but >look(2)\n"]
    assert text_of(rescued(made)) == "?open a door\n=2"
    assert given_to(rescued(made)).of is not None


class Named(Doors):
    """Its answer is the number alone, so that its hint and its expert give it away."""

    def answer(self) -> str:
        return str(self.right)


@pytest.mark.parametrize("rung", ["oracle", "critique"])
def test_help_that_names_the_answer_is_not_given(rung: str) -> None:
    rows, made, policy = climbed(unless("2"), rung, make=Named)
    assert (made.rows, made.beside, policy.prompts) == (rows, [], [])


def test_behind_an_error_the_turns_before_are_read_and_not_trained() -> None:
    says = lambda seen: ">look(0)\n" if seen.endswith("door\n") else next(turns)  # noqa: E731
    turns = iter(["=7", "=7", "=7", "=2"])
    rows, made, policy = climbed(says, "feedback")
    record = rescued(made)
    assert policy.prompts == ["?open a door\n>look(0)\n<error no 0\n"]
    assert given_to(record).given == "<error no 0\n"
    first, last = (step for step in record.steps if type(step) is ModelStep)
    assert (first.untrainable, first.sampled, first.logprobs) == ("copied", (), None)
    assert (last.untrainable, last.text, last.helped) == (None, "=2", None)
    assert sum(row_of(record).sampled) == len("=2") + 1
    assert record.ledger.tokens == 3
    assert given_to(record).of in [each.id for each in rows]


def test_a_success_from_before_is_a_head_start() -> None:
    opened = iter(["=7"] * 3 + ["=2"])
    policy = Policy(lambda seen: ">look(2)\n" if seen.endswith("door\n") else "=2")
    (success,) = sampled(policy, [1], size=1)
    says = lambda seen: next(opened)  # noqa: E731
    _, made, asked = climbed(says, "prefix", before=(success,))
    assert asked.prompts == ["?open a door\n>look(2)\n<saw 2\n"]
    record = rescued(made)
    assert [s.untrainable for s in record.steps if type(s) is ModelStep] == ["copied", None]


def test_a_handicap_is_a_failure_s_beginning_where_all_passed() -> None:
    policy = Policy(lambda seen: ">look(5)\n" if seen.endswith("door\n") else "=5")
    (failure,) = sampled(policy, [1], size=1)
    says = lambda seen: "=5" if "saw 5" in seen else "=2"  # noqa: E731
    _, made, _ = climbed(says, "handicap", before=(failure,))
    assert [each.outcome for each in made.rows] == [1.0, 1.0, 0.0]
    assert text_of(rescued(made)) == "?open a door\n>look(5)\n<saw 5\n=5"


def test_a_failure_is_relabelled_with_the_goal_it_reached() -> None:
    says = lambda seen: ">look(4)\n" if seen.endswith("door\n") else "=4"  # noqa: E731
    rows, made, policy = climbed(says, "relabel")
    record = rescued(made)
    assert policy.prompts == []
    assert text_of(record) == "?open door 4\n>look(4)\n<saw 4\n=4"
    assert given_to(record).goal == "?open door 4"
    assert given_to(record).of == rows[0].id
    assert (record.outcome, record.reference, record.expert) == (1.0, None, None)
    assert [each.outcome for each in made.rows] == [1.0, 0.0, 0.0]
    assert (record.ledger.tokens, record.ledger.scoring_forwards) == (0, 1)
    assert made.beside == [rows[0]]


@pytest.mark.parametrize(
    "says",
    [
        lambda _: "=4",  # nothing was changed on the way
        lambda seen: ">look(0)\n" if seen.endswith("door\n") else "=4",  # a turn of no use
        lambda seen: ">look(3)\n" if seen.endswith("door\n") else "=4",  # reached by nothing
    ],
)
def test_a_goal_that_nothing_led_to_is_none(says: Callable[[str], str]) -> None:
    rows, made, _ = climbed(says, "relabel")
    assert (made.rows, made.beside) == (rows, [])


def test_a_hint_of_its_own_is_written_from_a_failure() -> None:
    says = lambda seen: (  # noqa: E731
        "look at two\n" if "failed" in seen else "=2" if "!look at two" in seen else "=7"
    )
    _, made, policy = climbed(says, "self_hint")
    assert "=7" in policy.prompts[0]
    assert "does not give the answer" in policy.prompts[0]
    record = rescued(made)
    assert given_to(record).given == "!look at two"
    assert record.ledger.tokens == len("look at two\n") + 3


@pytest.mark.parametrize("rung", ["oracle", "critique", "relabel"])
def test_where_the_world_knows_nothing_nothing_is_given(rung: str) -> None:
    says = lambda seen: ">look(4)\n" if seen.endswith("door\n") else "=4"  # noqa: E731
    rows, made, policy = climbed(says, rung, make=Silent)
    assert (made.rows, policy.prompts) == (rows, [])


def test_an_expert_s_turns_are_read_and_less_of_them_as_the_oracle_is_withdrawn() -> None:
    says = lambda seen: "=2" if "saw 2" in seen else "=7"  # noqa: E731
    _, made, policy = climbed(says, "oracle", oracle="prefix")
    assert policy.prompts == ["?open a door\n>look(2)\n<saw 2\n"]
    assert text_of(rescued(made)) == "?open a door\n>look(2)\n<saw 2\n=2"


class Far(Doors):
    """Its expert looks at three doors before it opens one."""

    def best(self) -> str | None:
        seen = len(self.looked)
        return f">look({seen + 5})" if seen < 3 else f"={self.right}"


def test_of_several_that_help_the_one_that_was_given_least_is_trained() -> None:
    rows, made, policy = climbed(
        lambda seen: "=2" if "saw 5" in seen else "=7", "oracle", make=Far, oracle="prefix", tries=8
    )
    given = [asked.count("look") for asked in policy.prompts]
    assert len({*given}) > 1
    record = rescued(made)
    assert text_of(record).count("look") == min(given)
    others = [each for each in made.beside if each.rescue is not None]
    assert len(others) == 7  # what helped with more is paid for like the rest
    assert made.beside.count(rows[2]) == 1
    assert sorted(made.events[0].came) == sorted((4 - each, True) for each in given)


def test_how_far_to_go_back_is_drawn_where_chances_are_even() -> None:
    policy = Policy(lambda _: "=7")
    rows = sampled(policy, [1], make=Far)
    scheduler = Scheduler(
        Rescues(kind="ladder", rungs=("oracle",), after=1, share=1, budget=99, tries=40,
                oracle="prefix")
    )  # fmt: skip
    scheduler.visited([rows])
    # with one turn left all succeeded, with three none did: c (1 - c) is 1001/1002^2 and as much,
    # with two 1/4
    scheduler.places = {
        "oracle/1": [1000.0, 1000.0], "oracle/2": [0.0, 0.0], "oracle/3": [1000.0, 0.0],
    }  # fmt: skip
    policy.prompts.clear()
    climb(rows, scheduler, world(policy, Far))
    assert [asked.count("look") for asked in policy.prompts].count(2) >= 38


@pytest.mark.parametrize("kind", ["hint", "prefix"])
def test_a_withdrawn_oracle_gives_nothing(kind: Any) -> None:
    policy = Policy(lambda _: "=7")
    rows = sampled(policy, [1])
    policy.prompts.clear()
    scheduler = Scheduler(Rescues(kind="ladder", rungs=("oracle",), after=1, oracle=kind, share=1))
    scheduler.visited([rows])
    made = climb(rows, scheduler, world(policy, left=0.0))
    assert (made.rows, policy.prompts) == (rows, [])


def test_the_share_of_rows_and_the_budget_bound_what_is_done() -> None:
    _, made, _ = climbed(unless("!it is"), "oracle", seeds=(1, 2, 3, 4), share=0.25)
    assert len({each.group for each in made.events}) == 3  # a quarter of twelve rows
    # a try costs what a trajectory of the batch does, 3 tokens: 12 of them pay for no more
    _, made, _ = climbed(lambda _: "=7", "oracle", seeds=(1, 2, 3, 4), budget=1 / 3)
    assert len(made.events) == 4
    _, made, _ = climbed(lambda _: "=9", "oracle", seeds=(1, 2, 3, 4), budget=0.25)
    assert len(made.events) == 3


def test_a_budget_that_is_overspent_ends_the_ladder() -> None:
    # four groups of three times 3 tokens: a tenth is 3.6, one try. It writes 4, and .4 are owed
    says = lambda seen: "=77" if "not =7" in seen else "=7"  # noqa: E731
    _, made, _ = climbed(says, "wrong_answers", "oracle", seeds=(1, 2, 3, 4), budget=0.1)
    assert [(each.rung, each.tokens) for each in made.events] == [("wrong_answers", 4)]


def test_dead_groups_and_handicaps_have_one_share_of_the_rows() -> None:
    before = Policy(lambda seen: ">look(5)\n" if seen.endswith("door\n") else "=5")
    (failure,) = sampled(before, [5], size=1)  # door 6 is right
    says = lambda seen: "=2" if "!it is 2" in seen else "=5" if "saw 5" in seen else "=6"  # noqa: E731
    rungs = ("oracle", "handicap")
    _, made, _ = climbed(says, *rungs, seeds=(1, 5), before=(failure,), share=0.34)
    assert [each.rung for each in made.events] == ["oracle", "handicap"]  # two of six rows
    _, made, _ = climbed(says, *rungs, seeds=(1, 5), before=(failure,), share=0.2)
    assert [each.rung for each in made.events] == ["oracle"]  # one of six


def test_what_a_try_that_came_to_nothing_read_of_others_it_did_not_sample() -> None:
    says = lambda seen: ">look(0)\n" if seen.endswith("door\n") else "=7"  # noqa: E731
    _, made, _ = climbed(says, "feedback")
    (record,) = made.beside
    assert [s.untrainable for s in record.steps if type(s) is ModelStep] == ["copied", None]
    assert sum(row_of(record).sampled) == record.ledger.tokens == len("=7") + 1


def test_the_same_seed_gives_the_same_bytes_and_records_can_be_written() -> None:
    once, again = (climbed(unless("!it is 2"), "oracle")[1] for _ in range(2))
    assert [*map(encode, once.rows)] == [*map(encode, again.rows)]
    assert [decode(encode(each)) for each in once.rows] == once.rows
