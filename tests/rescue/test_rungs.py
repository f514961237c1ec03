"""What single rungs look for, give and leave out, and what the ladder counts of them."""

from typing import Any

import numpy as np
import pytest
from msgspec import structs

from assay.records import (
    Call,
    CallEvidence,
    Ledger,
    ModelStep,
    Rescue,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)
from assay.rescue.base import NO_TOKENS, Case, Table, Try, has_tokens, opening
from assay.rescue.climb import _Ladder, _trained, counted_twice  # pyright: ignore
from assay.rescue.critique import critique
from assay.rescue.ladder import LADDER
from assay.rescue.relabel import _apart, _of_use  # pyright: ignore
from assay.rescue.scheduler import Scheduler
from assay.rescue.settings import Rescues
from assay.rescue.wrong_answers import answer_of
from assay.rollout import Line
from assay.world import Reply
from tests.rescue.doors import Doors, Policy, sampled, text_of, world
from tests.rescue.test_climb import climbed, given_to, rescued, unless
from tests.rollout.fakes import Characters

LINE = Line(Characters())
LOOKED = lambda seen: ">look(4)\n" if seen.endswith("door\n") else "=4"  # noqa: E731


def of(*steps: Any, **more: Any) -> Trajectory:
    return Trajectory(id="a", task="t", group="g", steps=steps, **more)


def table(policy: Policy) -> Table:
    return Table(make=Doors, protocol=LINE, write=lambda _: [], rng=np.random.default_rng(0))


def test_an_opening_is_all_that_stands_before_the_first_turn() -> None:
    read = (SystemStep(text="s"), UserStep(text="u"))
    assert opening(of(*read, ModelStep(text="x"))) == read
    assert opening(of(*read)) == read
    shown = UserStep(text="v")
    assert _trained(of(*read, ModelStep(text="x")), Try(opening=(shown,))).steps == (
        shown, ModelStep(text="x"),
    )  # fmt: skip


def test_one_step_without_tokens_is_enough_to_go_on_from_nothing() -> None:
    whole = UserStep(text="u", token_ids=(1,))
    assert has_tokens(of(whole, ModelStep(text="x", token_ids=(2,))))
    assert not has_tokens(of(whole, ModelStep(text="x")))
    assert not has_tokens(of())


def test_what_samples_nothing_costs_nothing_and_is_done_without_a_budget() -> None:
    _, made, _ = climbed(LOOKED, "relabel", budget=0.0)
    assert given_to(rescued(made)).rung == "relabel"
    (event,) = made.events
    assert (event.tried, event.tokens, event.rescued) == (0, 0, True)


def test_a_rung_that_lacks_something_is_not_tried() -> None:
    _, made, _ = climbed(unless("!it is 2"), "feedback", "prefix", "oracle")
    assert [event.rung for event in made.events] == ["oracle"]


def test_what_cannot_be_weighed_helps_nobody_who_is_trained_otherwise() -> None:
    ladder = _Ladder(Scheduler(Rescues(kind="ladder")), world(Policy(unless("x"))), 0, 1)
    bare = of(ModelStep(text="x", token_ids=(1,)), outcome=1.0)
    assert ladder._helps(LADDER["prefix"], bare, Try())
    assert not ladder._helps(LADDER["oracle"], bare, Try(opening=()))
    assert not ladder._helps(LADDER["prefix"], structs.replace(bare, outcome=None), Try())


def test_tokens_that_were_sampled_for_another_one_are_counted_twice() -> None:
    row = of(UserStep(text="u", token_ids=(1,)), ModelStep(text="x", token_ids=(2, 3, 4)))
    saved = structs.replace(row, rescue=Rescue(rung="relabel"), ledger=Ledger(tokens=1))
    assert counted_twice([row, saved]) == 2


class Aside(Doors):
    """Door 5 is off the path, door 6 was found empty."""

    def step(self, text: str) -> Reply:
        reply = super().step(text)
        if "look(5)" in text:
            return Reply(text=reply.text, ran=True, found=True, on_path=False)
        return Reply(text=reply.text, ran=True, found=False) if "look(6)" in text else reply


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (["=7"], "not =7 but >look(2)"),
        ([">look(4)\n", "=7"], "not =7 but >look(2)"),
        ([">look(5)\n"], "not >look(5) but >look(2)"),
        ([">look(6)\n", "=2"], "not >look(6) but >look(2)"),
        (["=2"], None),
        ([">look(4)\n"], None),
    ],
)
def test_a_critique_is_about_the_first_turn_that_went_wrong(
    written: list[str], said: str | None
) -> None:
    assert critique(Aside(), 1, written, LINE) == said


def test_a_head_start_has_a_turn_of_the_success_and_its_tokens() -> None:
    policy = Policy(LOOKED)
    (success,) = sampled(policy, [3], size=1)
    case, rung = Case(group=(success,), success=success), LADDER["prefix"]
    assert rung.missing(case) is None
    tries = rung.tries(case, table(policy), 20)
    assert {each.given for each in tries} == {">look(4)\n"}
    assert {each.copied for each in tries} == {3}  # task, turn, what was seen
    bare = tuple(structs.replace(step, token_ids=None) for step in success.steps)
    bare = tuple(
        structs.replace(s, logprobs=None, spans=()) if type(s) is ModelStep else s for s in bare
    )
    lost = structs.replace(success, steps=bare)
    assert rung.missing(Case(group=(lost,), success=lost)) == NO_TOKENS


def test_a_turn_behind_what_was_answered_well_is_behind_no_error() -> None:
    well = sampled(Policy(LOOKED), [1], size=2)
    assert "an error" in (LADDER["feedback"].missing(Case(group=tuple(well))) or "")


def called(ran: bool | None = True, *, error: bool | None = False, end: Any = "answered") -> Any:
    call = Call(name="look", arguments="{}", evidence=CallEvidence(ran=ran))
    steps = (
        ModelStep(text=">look(4)", calls=(call,)),
        ToolStep(text="fine", error=error),
        ModelStep(text="=4"),
    )
    return of(UserStep(text="u"), *steps, end=end)


def test_a_failure_is_of_use_where_all_ran_and_it_ended_by_itself() -> None:
    assert _of_use(called())
    assert _of_use(called(None))
    assert not _of_use(called(end="budget"))
    assert not _of_use(called(error=True))
    assert not _of_use(called(ran=False))


def test_what_was_said_of_a_step_of_another_task_is_forgotten() -> None:
    known = CallEvidence(ran=True, expert=True, sibling=True, state=False)
    step = ModelStep(text="x", calls=(Call(name="f", arguments="{}", evidence=known),), reward=0.5)
    made = _apart(step, 1.0)
    assert made.calls[0].evidence == CallEvidence(ran=True)
    assert (made.reward, _apart(step, None).reward) == (1.0, None)
    _, climb, _ = climbed(LOOKED, "relabel")
    own = [each.reward for each in rescued(climb).steps if type(each) is ModelStep]
    assert own == [None, 1.0]


def test_a_hint_of_its_own_that_names_the_answer_is_paid_for_and_not_given() -> None:
    line = "try door 2\n"
    rows, made, policy = climbed(lambda seen: line if "failed" in seen else "=7", "self_hint")
    assert (made.rows, made.beside, len(policy.prompts)) == (rows, [], 1)
    (event,) = made.events
    assert (event.tried, event.tokens) == (0, len(line))


def test_what_writing_a_hint_cost_is_in_the_event_and_a_long_one_is_cut() -> None:
    line = "look at two " * 30 + "\n"
    says = lambda seen: line if "failed" in seen else "=2" if "!look" in seen else "=7"  # noqa: E731
    _, made, _ = climbed(says, "self_hint")
    assert len(given_to(rescued(made)).given) == 1 + 200
    assert made.events[0].tokens >= 3 + 20  # a turn at most, and "=2" with its end


def test_of_many_wrong_answers_eight_are_listed_each_once() -> None:
    doors = iter([*"133456789"] * 2)
    policy = Policy(lambda _: f"={next(doors)}")
    group = sampled(policy, [1], size=9)
    (found,) = LADDER["wrong_answers"].tries(Case(group=tuple(group)), table(policy), 1)
    assert found.given == "!not =1, =3, =4, =5, =6, =7, =8, =9"
    ten = [*group, *(structs.replace(each, steps=(*each.steps[:-1], ModelStep(text=f"={n}0")))
                     for n, each in enumerate(group, 1))]  # fmt: skip
    (found,) = LADDER["wrong_answers"].tries(Case(group=tuple(ten)), table(policy), 1)
    assert found.given.count("=") == 8
    assert answer_of(of(ModelStep(text="=1"), ModelStep(text="=3")), LINE, Doors()) == "=3"
    assert text_of(group[0]) == "?open a door\n=1"
