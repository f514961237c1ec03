"""Environments of others: gymnasium's own FrozenLake, and tasks shaped like those of verifiers."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from assay.errors import DataError, MissingExtraError, UnknownNameError, UsageError
from assay.rollout.checking import check
from assay.rollout.recording import Recorder
from assay.world import load
from assay.world.adapters import FromGymnasium, FromVerifiers

WAYS = ("left", "down", "right", "up")
# the 4x4 map of gymnasium: SFFF FHFH FFFH HFFG; down down right down right right crosses it
CROSSING = ("down", "down", "right", "down", "right", "right")


def frozen():
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra assay[train]")
    made = gymnasium.make("FrozenLake-v1", is_slippery=False, disable_env_checker=True)
    return FromGymnasium(made, actions=WAYS, describe=lambda at: f"<field {at}", steps=10)


def test_gymnasium_is_played_in_text():
    environment = frozen()
    assert environment.reset(0) == "<field 0"
    assert environment.step("down\n").text == "<field 4"
    assert environment.step("sideways\n").text == "<error write one of left, down, right, up"
    for way in CROSSING[1:]:
        reply = environment.step(f"{way}\n")
    assert (reply.done, reply.score, reply.end) == (True, 1.0, "answered")
    with pytest.raises(UsageError, match="after the end"):
        environment.step("up")


def test_gymnasium_that_goes_on_for_ever_is_stopped():
    environment = frozen()
    environment.reset(0)
    replies = [environment.step("up") for _ in range(10)]
    assert [r.done for r in replies] == [False] * 9 + [True]
    assert (replies[-1].end, replies[-1].score) == ("budget", 0.0)


def test_thoughts_before_an_action_are_not_part_of_it():
    environment = frozen()
    environment.reset(0)
    assert environment.step("#the goal lies below\ndown\n").text == "<field 4"
    assert environment.step("#only a thought\n").ran is False
    assert environment.step("down\nup\n").ran is False  # one action a turn


def test_a_missing_gymnasium_names_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingExtraError, match=r"gymnasium:Taxi-v4 needs .*'assay\[train\]'"):
        load("gymnasium:Taxi-v4")


def test_what_is_not_understood_did_not_run_on_the_last_step_either():
    environment = frozen()
    environment.reset(0)
    replies = [environment.step("sideways") for _ in range(10)]
    assert [reply.ran for reply in replies] == [False] * 10
    assert (replies[-1].done, replies[-1].end, replies[-1].score) == (True, "budget", 0.0)


def test_wrapped_environments_pass_the_check_but_for_the_one_task_they_have():
    found = {line.rule: line.verdict for line in check(frozen, range(2))}
    assert found.pop("prompts") == "finding"  # FrozenLake's default map is the same for every seed
    assert "finding" not in found.values()


def test_rewards_that_are_no_score_must_be_translated():
    class Paying:
        def reset(self, *, seed=None):
            return "start", {}

        def step(self, action, /):
            return "end", 7.0, True, False, {}

    environment = FromGymnasium(Paying())
    environment.reset(0)
    with pytest.raises(DataError, match=r"score 7.0.*pass score="):
        environment.step("x")
    environment = FromGymnasium(Paying(), score=lambda total: total / 10)
    environment.reset(0)
    assert environment.step("x").score == 0.7


class Sum:
    """Shaped like a verifiers task: data.prompt_text, and an async score that writes rewards."""

    def __init__(self, a, b, weight=3.0):
        self.data = SimpleNamespace(prompt_text=f"{a} + {b} =")
        self.right, self.weight = str(a + b), weight

    async def score(self, trace, runtime=None):
        await asyncio.sleep(0)
        trace.record_metric("length", len(trace.last_reply))
        trace.record_reward("right", float(trace.last_reply == self.right), self.weight)
        trace.record_reward("short", float(len(trace.last_reply) < 4), 1.0)


def test_verifiers_tasks_are_scored_by_their_own_rewards():
    environment = FromVerifiers([Sum(2, 3), Sum(50, 60)])
    assert environment.reset(3) == "50 + 60 ="
    reply = environment.step("110\n")
    assert (reply.done, reply.score, reply.parts) == (True, 1.0, {"right": 1.0, "short": 1.0})
    environment.reset(0)
    assert environment.step("4").score == 0.25  # (3 * 0 + 1 * 1) / 4
    with pytest.raises(UsageError):
        environment.step("5")


def test_verifiers_tasks_are_scored_where_a_loop_runs_already():
    """As in a notebook, or in a test session in which a browser is driven."""

    async def inside():
        environment = FromVerifiers([Sum(2, 3)])
        environment.reset(0)
        return environment.step("5").score

    with ThreadPoolExecutor(1) as pool:  # this thread's own loop may run: see above
        assert pool.submit(lambda: asyncio.run(inside())).result() == 1.0


def test_a_verifiers_attempt_becomes_a_record():
    recorder = Recorder(FromVerifiers([Sum(2, 3)]), 0)
    recorder.act("5")
    record = recorder.trajectory()
    assert (record.outcome, record.rewards) == (1.0, {"right": 1.0, "short": 1.0})
    assert record.task == "fromverifiers[]/0"


class Built(Sum):
    """With the hooks of the library's own tasks, of which one may need a runtime."""

    def __init__(self, *hooks, judges=()):
        super().__init__(2, 3)
        self.given, self.judges = hooks, judges

    def hooks(self, kind):
        return list(self.given) if kind == "reward" else []

    def plugged_judges(self):
        return list(self.judges)


def test_verifiers_tasks_whose_rewards_need_a_runtime_are_refused():
    async def right(trace):
        return 1.0

    async def tidy(trace, runtime=None):
        return 1.0

    async def passes_tests(trace, runtime):
        return 1.0

    assert FromVerifiers([Built(right, tidy)]).reset(0) == "2 + 3 ="
    tasks = FromVerifiers([Built(right), Built(right, passes_tests)])
    tasks.reset(0)
    with pytest.raises(UsageError, match=r"passes_tests of Built needs a runtime"):
        tasks.reset(1)
    judge = SimpleNamespace(reward_name="style", score=passes_tests)
    with pytest.raises(UsageError, match=r"style of Built needs a runtime"):
        FromVerifiers([Built(right, judges=[judge])]).reset(0)


def test_a_verifiers_system_prompt_comes_first():
    task = Sum(2, 3)
    task.data.system_prompt = "You add numbers."
    assert FromVerifiers([task]).reset(0) == "You add numbers.\n\n2 + 3 ="
    task.data.system_prompt = None
    assert FromVerifiers([task]).reset(0) == "2 + 3 ="


def test_verifiers_tasks_without_rewards_are_refused():
    class Nothing(Sum):
        async def score(self, trace, runtime=None):
            return

    environment = FromVerifiers([Nothing(1, 1)])
    environment.reset(0)
    with pytest.raises(DataError, match="gave no reward"):
        environment.step("2")
    with pytest.raises(UsageError, match="no tasks"):
        FromVerifiers([])


def test_gymnasium_by_name():
    pytest.importorskip("gymnasium", reason="needs the extra assay[train]")
    lake = load("gymnasium:FrozenLake-v1", is_slippery=False, steps=10)
    assert lake.reset(0) == (
        "FrozenLake-v1. Each turn, write one of: left, down, right, up.\n[S]FFF\nFHFH\nFFFH\nHFFG"
    )
    assert lake.step("down").text == "  (Down)\nSFFF\n[F]HFH\nFFFH\nHFFG"
    assert (lake.state_key(), lake.dials()) == ("4", {"id": "FrozenLake-v1", "is_slippery": False})
    assert [lake.step(way).score for way in CROSSING[1:]][-1] == 1.0
    cart = load("gymnasium:CartPole-v1", high=20)
    cart.reset(0)
    replies = [cart.step("1")]  # 1 a step; it falls within 8 to 10
    while not replies[-1].done:
        replies.append(cart.step("1"))
    assert 8 <= len(replies) <= 10
    assert replies[-1].score == len(replies) / 20
    for name in ("Taxi-v4", "Blackjack-v1", "CartPole-v1"):
        lines = check(lambda name=name: load(f"gymnasium:{name}"), range(3))
        assert [line for line in lines if line.verdict == "finding"] == []
    assert "\x1b" not in load("gymnasium:Taxi-v4").reset(0)


def test_gymnasium_that_cannot_be_made_by_name_says_why():
    pytest.importorskip("gymnasium", reason="needs the extra assay[train]")
    with pytest.raises(UsageError, match=r"Pendulum-v1: its actions are Box.*FromGymnasium"):
        load("gymnasium:Pendulum-v1")
    with pytest.raises(UnknownNameError, match="no environment 'Nope-v1'"):
        load("gymnasium:Nope-v1")
    with pytest.raises(UsageError, match="got low=1, high=0; expected low < high"):
        load("gymnasium:CartPole-v1", low=1, high=0)
