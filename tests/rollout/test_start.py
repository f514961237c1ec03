"""Continuations: what is shared is the record's own, what follows is as if it had gone on."""

from dataclasses import replace
from typing import Any

import pytest

from assay.errors import DataError, UsageError
from assay.records import ModelStep, Origin, ToolStep, Trajectory, decode, encode
from assay.rollout import Planned, Sampling, Start, collect, points, seed_of, stand
from assay.rollout.backends.turns import begun
from assay.rollout.protocols.line import Line
from assay.world import Environment, Reply, load
from tests.rollout.fakes import Characters, Guess, Said, Scripted, Silent

SAMPLING = Sampling()
SAID = ">ask(3)\n>ask(7)\n=5$"  # seed 4: the number is 5


def played(env: Environment, text: str, sampling: Sampling = SAMPLING, **planned: Any):
    attempt = Planned(**{"environment": env, "seed": 4, **planned})
    backend = Scripted([text])
    return next(collect(backend, [attempt], sampling=sampling, seed=(0,), clock=None))


def gone_on(
    record: Trajectory,
    steps: int,
    text: str,
    sampling: Sampling = SAMPLING,
    env: Any = None,
    **p: Any,
):
    return played(env or Guess(), text, sampling, start=Start(record, steps), **p)


def test_what_is_shared_is_the_records_own_and_what_follows_is_new() -> None:
    record = played(Guess(), SAID)
    again = gone_on(record, 3, ">ask(8)\n=4$", trial=2)
    prompt, call, world, *rest = again.steps
    assert (prompt, call, world) == record.steps[:3]
    assert [step.text for step in rest] == [">ask(8)\n", "<not higher\n", "=4"]
    first, last = rest[0], rest[2]
    assert isinstance(first, ModelStep)
    assert isinstance(last, ModelStep)
    # the backend's log-probs begin anew: they are those of this sampling
    assert first.logprobs == tuple(-i / 8 for i in range(1, 9))
    assert last.token_ids == (ord("="), ord("4"), 1)
    assert (again.outcome, again.end, again.group) == (0.0, "answered", record.group)
    assert again.id == "guess[]/4/0@3/2"
    # 8 characters of a call and 3 tokens of an answer; one call; two turns
    spent = again.ledger
    assert (spent.prompts, spent.tokens, spent.calls, spent.env_steps) == (0, 11, 1, 2)
    assert decode(encode(again)) == again


def test_a_record_can_be_gone_on_from_before_each_of_its_turns() -> None:
    record = played(Guess(), SAID)
    assert points(record) == (1, 3, 5)
    for steps in (0, 1):
        again = gone_on(record, steps, "=5$")
        assert again.steps[0] == record.steps[0]
        assert [step.text for step in again.steps[1:]] == ["=5"]
    with pytest.raises(UsageError, match=r"after 2 of its 6 steps; expected 0 or one of \(1, 3, 5"):
        Start(record, 2)


def test_the_budget_is_what_was_left() -> None:
    # 8 + 8 tokens before the answer; of 17 one is left, of 16 none
    record = played(Guess(), SAID)
    cut = gone_on(record, 5, "=5$", Sampling(max_tokens=17))
    assert (cut.steps[-1].text, cut.end, cut.ledger.tokens) == ("=", "budget", 1)
    none = gone_on(record, 5, "=5$", Sampling(max_tokens=16))
    assert (none.steps, none.end, none.outcome) == (record.steps[:5], "budget", 0.0)
    assert (none.ledger.tokens, none.ledger.env_steps) == (0, 0)
    length = sum(len(step.token_ids or ()) for step in record.steps[:5])
    full = gone_on(record, 5, "=5$", Sampling(max_length=length))
    assert (full.steps, full.end) == (record.steps[:5], "budget")


def test_a_turn_that_fills_the_budget_is_played_and_ends_it() -> None:
    record = played(Guess(), SAID)
    again = gone_on(record, 3, ">ask(8)\n=4$", Sampling(max_tokens=16))
    assert [step.text for step in again.steps[3:]] == [">ask(8)\n", "<not higher\n"]
    assert again.end == "budget"


def test_an_engine_that_knows_what_was_spent_asks_for_no_more() -> None:
    rows = begun([[1], [1, 2]], Sampling(max_tokens=10, spent=(3, 10)))
    assert [row.budget(Sampling(max_tokens=10)) for row in rows] == [7, 0]
    assert [row.done for row in rows] == [False, True]


class Overshoots(Scripted):
    """An engine that stops at line ends alone, whatever the limits."""

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        ids = [ord(c) for c in self.texts[at]]
        said(ids, [-1.0] * len(ids))


def test_what_an_engine_samples_beyond_the_budget_is_left_out() -> None:
    record = played(Guess(), SAID)
    attempt = Planned(environment=Guess(), seed=4, start=Start(record, 5))
    (cut,) = collect(
        Overshoots([">ask(8)\n"]), [attempt], sampling=Sampling(max_tokens=19), seed=(0,)
    )
    assert (cut.steps[-1].text, cut.ledger.tokens, cut.end) == (">as", 3, "budget")


def test_a_silent_world_is_gone_on_with_between_two_turns() -> None:
    record = played(Silent(), ">ask(3)\n>ask(4)\n=5$")
    assert points(record) == (1, 2, 3)
    again = gone_on(record, 2, ">ask(9)\n=5$", env=Silent())
    assert [step.text for step in again.steps[1:]] == [">ask(3)\n", ">ask(9)\n", "=5"]
    assert (again.outcome, again.ledger.tokens) == (1.0, 11)


def test_advice_stays_where_it_was_read() -> None:
    record = played(Guess(), SAID, notes=("!it is odd",))
    assert gone_on(record, 3, "=5$").steps[0].text == "?a number from 1 to 9\n!it is odd\n"


class Other(Guess):
    """Says it in other words."""

    def step(self, text: str) -> Reply:
        reply = super().step(text)
        return reply if reply.done else replace(reply, text=reply.text.replace("higher", "more"))


class Ends(Guess):
    """Is over at once."""

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=0.0)


class Mute(Guess):
    """Says nothing to a call."""

    def step(self, text: str) -> Reply:
        reply = super().step(text)
        return reply if reply.done else Reply()


class Elsewhere(Guess):
    """Names a state that it never stood in."""

    def state_key(self) -> str:
        return "elsewhere"


class Here(Guess):
    def state_key(self) -> str:
        return "here"


@pytest.mark.parametrize(
    ("env", "steps", "said"),
    [
        (Other(), 3, r"steps\[2\], played again: the environment says '<more.n'; expected '<hig"),
        (Ends(), 3, r"steps\[2\], .*the task is over \(end 'answered'\); expected that it goes on"),
        (Mute(), 3, r"steps\[2\], .*says ''; expected '<higher.n', as recorded"),
        (Silent(), 5, r"steps\[2\], .*: give the environment, dials and seed of the record"),
    ],
)
def test_an_observation_that_differs_is_named(env: Environment, steps: int, said: str) -> None:
    with pytest.raises(DataError, match=said):
        gone_on(played(Guess(), SAID), steps, "=5$", env=env)


def test_a_task_that_differs_is_named() -> None:
    record = played(load("lookup"), "=x$")
    with pytest.raises(DataError, match=r"steps\[0\], played again: the environment says"):
        played(load("lookup"), "=x$", seed=5, start=Start(record, 1))


def test_a_world_that_says_more_than_is_recorded_is_named() -> None:
    record = played(Silent(), ">ask(3)\n>ask(4)\n=5$")
    with pytest.raises(DataError, match=r"steps\[2\], .*says '<higher.n'; expected ''"):
        gone_on(record, 3, "=5$", env=Guess())


def test_a_state_of_another_name_is_refused_by_replay_and_by_fork() -> None:
    record = played(Here(), SAID)
    with pytest.raises(DataError, match="stands in state 'elsewhere'; expected state 'here'"):
        gone_on(record, 1, "=5$", env=Elsewhere())
    with pytest.raises(DataError, match="stands in state 'elsewhere'; expected state 'here'"):
        played(Guess(), "=5$", start=Start(record, 3, Elsewhere()))


def test_a_state_on_the_way_is_looked_at_too() -> None:
    class Wanders(Here):
        asked = 0

        def state_key(self) -> str:
            self.asked += 1
            return "astray" if self.asked == 2 else "here"

    with pytest.raises(DataError, match=r"steps\[3\], .*stands in state 'astray'; expected state"):
        gone_on(played(Here(), SAID), 5, "=5$", env=Wanders())


def test_steps_without_ids_are_refused() -> None:
    record = played(Guess(), SAID)
    steps = [*record.steps]
    steps[1] = ModelStep(text=steps[1].text)
    bare = Trajectory(id="x", task="t", group="g", steps=tuple(steps))
    with pytest.raises(DataError, match=r"'x' steps\[1\]: no token ids; expected those that were"):
        gone_on(bare, 3, "=5$")


def test_a_fork_is_played_on_and_the_planned_environment_is_left_alone() -> None:
    class Untouched(Guess):
        def reset(self, seed: int) -> str:
            raise AssertionError

    record = played(Guess(), SAID)
    standing = stand(Start(record, 3), Guess(), 4, Line(Characters()))
    again = played(Untouched(), "=5$", start=Start(record, 3, standing))
    assert (again.outcome, again.steps[:3]) == (1.0, record.steps[:3])


def test_the_seed_of_a_record_is_read_from_its_origin() -> None:
    record = played(Guess(), SAID)
    assert seed_of(record) == 4
    bare = Trajectory(id="x", task="t", group="g", origin=Origin(format="log"))
    with pytest.raises(DataError, match=r"'x': origin.extra\['seed'\] is ''; expected the number"):
        seed_of(bare)


WORLDS = {
    "lookup": (
        {"hops": 3, "flaky": 0.4, "steps": 9},
        ">home(Paris)\n>capital(Peru)\n>region(Mali)\n",
    ),
    "countdown": ({"numbers": 4, "flaky": 0.4}, ">calc(1+1)\n>calc(2*3)\n>calc(4-1)\n"),
    "twenty": ({"pool": 40, "flaky": 0.4}, ">ask(region Asia)\n>ask(letter B)\n>ask(borders 3)\n"),
    "report": ({"facts": 3, "flaky": 0.4}, ">capital(Peru)\n>currency(Peru)\n>region(Mali)\n"),
    "lake": ({"size": 8, "holes": 0.0, "slip": 0.5}, ">go(down)\n>go(right)\n>go(down)\n"),
}
"""Dials under which what comes depends on hidden chance, and turns to play."""


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_a_fork_stands_where_its_original_does_and_neither_notices_the_other(name: str) -> None:
    dials, text = WORLDS[name]
    turns = text.splitlines(keepends=True)
    original = load(name, **dials)
    original.reset(3)
    original.step(turns[0])
    one, other = original.fork(), original.fork()
    assert one is not None
    assert other is not None
    answers = [
        [(env.step(turn), env.state_key()) for turn in turns * 2] for env in (one, original, other)
    ]
    assert answers[0] == answers[1] == answers[2]


def test_an_environment_offers_no_copy_unless_it_says_so() -> None:
    assert Guess().fork() is None


def texts(record: Trajectory, kind: type) -> list[str]:
    return [step.text for step in record.steps if isinstance(step, kind)]


@pytest.mark.parametrize("name", [*sorted(WORLDS), "gymnasium:FrozenLake-v1"])
def test_the_rest_of_a_record_is_reproduced_by_replay_and_by_fork(name: str) -> None:
    """Chance of the world included: the same turns find the same answers."""
    dials, text = WORLDS.get(name, ({"steps": 6}, "right\ndown\nleft\ndown\nup\n"))
    record = decode(encode(played(load(name, **dials), text + "=x$", seed=3)))
    assert len(texts(record, ToolStep)) >= 2
    for at in points(record):
        spoken = "".join(s.text for s in record.steps[at:] if isinstance(s, ModelStep))
        spoken += "" if record.end == "budget" and spoken.endswith("\n") else "$"
        standing = stand(Start(record, at), load(name, **dials), 3, Line(Characters()))
        for fork in (None, standing.fork()):
            start = Start(record, at, fork)
            again = played(load(name, **dials), spoken, seed=3, start=start)
            assert [s.text for s in again.steps] == [s.text for s in record.steps]
            keys = [
                [s.state_key for s in r.steps if isinstance(s, ModelStep)] for r in (again, record)
            ]
            assert keys[0] == keys[1]
            assert (again.outcome, again.end, again.task) == (
                record.outcome,
                record.end,
                record.task,
            )
