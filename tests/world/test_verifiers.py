"""Tools, several turns and ends of verifiers through the real package; sums worked out by hand."""

import sys
import types
import warnings

import pytest

from assay.errors import MissingExtraError, UnknownNameError, UsageError
from assay.rollout.checking import check
from assay.world import load
from assay.world.adapters import FromVerifiers

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    vf = pytest.importorskip("verifiers.v1", reason="needs the extra assay[verifiers]")


class Till(vf.State):
    total: int = 0
    calls: int = 0


class ShopTools(vf.Toolset[vf.ToolsetConfig, Till]):
    TOOL_PREFIX = "shop"

    async def setup_task(self, data):
        self.price = data.price

    @vf.tool
    async def buy(self, many: int, gift: bool = False) -> str:
        """Buys some; a gift is free."""
        self.state.calls += 1
        self.state.total += 0 if gift else many * self.price
        return f"you owe {self.state.total}"

    @vf.tool
    def burn(self) -> str:
        """Fails."""
        raise RuntimeError("the till is on fire")


class Price(vf.TaskData):
    price: int = 0


class Shopping(vf.Task[Price, Till, vf.TaskConfig]):
    @classmethod
    def toolsets(cls, config):
        return [ShopTools(vf.ToolsetConfig())]

    @vf.reward(weight=3.0)
    async def right(self, trace) -> float:
        return float(trace.last_reply == str(trace.state.total))

    @vf.reward
    async def short(self, trace) -> float:
        return float(trace.num_turns <= 3)

    @vf.stop
    async def greedy(self, trace: vf.Trace) -> bool:
        return trace.state.calls >= 4


class Shop(vf.Taskset[Shopping, vf.TasksetConfig]):
    def load(self):
        for price in (7, 9):
            data = Price(prompt=f"One costs {price}. Buy.", price=price, system_prompt="Be brief.")
            yield Shopping(data, self.config.task)


class Counting(vf.Task[vf.TaskData, vf.State, vf.TaskConfig]):
    @vf.reward
    async def counted(self, trace) -> float:
        said = [message.content for message in trace.assistant_messages]
        return said.count("next") / 3


class Rounds(vf.Taskset[Counting, vf.TasksetConfig]):
    def load(self):
        yield Counting(vf.TaskData(prompt="round 1"), self.config.task)


class RoundsConfig(vf.EnvConfig):
    player: vf.AgentConfig = vf.AgentConfig()


class RoundsEnv(vf.Env[RoundsConfig]):
    async def run(self, task, agents):
        async with agents.player.interaction(task) as interaction:
            segment = await interaction.turn()
            for number in (2, 3):
                if segment.terminated or segment.last_reply != "next":
                    return
                segment = await interaction.turn(f"round {number}")
        interaction.trace.info["rounds"] = number

    async def finalize(self, task, episode):
        (trace,) = episode.traces
        trace.record_reward("tidy", 1.0, 1.0)


class PairConfig(vf.EnvConfig):
    asker: vf.AgentConfig = vf.AgentConfig()
    player: vf.AgentConfig = vf.AgentConfig()


class PairEnv(vf.Env[PairConfig]):
    async def run(self, task, agents):
        raise NotImplementedError


@pytest.fixture
def installed(monkeypatch):
    """Registers classes as the package of a taskset."""

    def install(name, *exported):
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name, origin=None)
        module.__all__ = [each.__name__ for each in exported]
        for each in exported:
            setattr(module, each.__name__, each)
        monkeypatch.setitem(sys.modules, name, module)

    return install


def shop():
    return FromVerifiers(Shop(vf.TasksetConfig()))


def test_tools_are_schemas_under_the_names_that_the_library_gives_them():
    burn, buy = sorted(shop().tools(), key=lambda each: each["name"])
    assert (buy["name"], burn["name"]) == ("shop_buy", "shop_burn")
    assert buy["description"] == "Buys some; a gift is free."
    assert buy["parameters"]["required"] == ["many"]
    assert set(buy["parameters"]["properties"]) == {"many", "gift"}


def test_tools_share_the_state_of_a_task_and_its_rewards_see_it():
    environment = shop()
    assert environment.reset(1) == "Be brief.\n\nOne costs 9. Buy."
    assert environment.call("shop_buy", {"many": 2}).text == "you owe 18"
    reply = environment.call("shop_buy", {"many": 1, "gift": True})
    assert (reply.text, reply.ran, reply.done) == ("you owe 18", True, False)
    last = environment.step("18\n")
    assert (last.done, last.score, dict(last.parts)) == (True, 1.0, {"right": 1.0, "short": 1.0})
    with pytest.raises(UsageError, match="after the end"):
        environment.call("shop_buy", {"many": 1})
    assert environment.reset(0).endswith("One costs 7. Buy.")  # a new task, a new state
    assert environment.call("shop_buy", {"many": 1}).text == "you owe 7"
    assert environment.step("8").score == 0.25  # (3 * 0 + 1 * 1) / 4


def test_a_call_that_fails_is_answered():
    environment = shop()
    environment.reset(0)
    unknown = environment.call("steal", {})
    assert (unknown.ran, "no tool 'steal'; there are shop_buy" in unknown.text) == (False, False)
    assert "no tool 'steal'; there are shop_burn, shop_buy" in unknown.text
    wrong = environment.call("shop_buy", {"many": "a few"})
    assert (wrong.ran, "valid integer" in wrong.text) == (False, True)
    raised = environment.call("shop_burn", {})
    assert (raised.ran, "the till is on fire" in raised.text) == (False, True)
    assert environment.step("0").score == 0.75  # right, and not short: (3 * 1 + 1 * 0) / 4


def test_a_stop_of_the_task_ends_it():
    environment = shop()
    environment.reset(0)
    replies = [environment.call("shop_buy", {"many": 1}) for _ in range(4)]
    assert [reply.done for reply in replies] == [False, False, False, True]
    assert (replies[-1].end, replies[-1].score) == ("answered", 0.0)
    assert environment._episode.trace.stop_condition == "greedy"


def test_a_budget_ends_a_task_and_the_library_scores_it():
    environment = FromVerifiers(Shop(vf.TasksetConfig()), steps=2)
    environment.reset(0)
    environment.call("shop_buy", {"many": 1})
    last = environment.call("shop_buy", {"many": 1})
    assert (last.done, last.end, last.score) == (True, "budget", 0.25)  # short, and no reply
    assert environment._episode.trace.stop_condition == "max_turns"


def test_an_environment_of_several_turns_is_driven_by_the_policy(installed):
    installed("counting_rounds", Rounds, RoundsEnv)
    environment = load("verifiers:counting-rounds")
    assert environment.dials() == {"taskset": "counting-rounds"}
    assert environment.reset(0) == "round 1"
    assert environment.step("next").text == "round 2"
    assert environment.step("#thinking\nnext").text == "round 3"
    last = environment.step("next")
    assert (last.done, last.score) == (True, 1.0)
    assert dict(last.parts) == {"counted": 1.0, "tidy": 1.0}
    environment.reset(0)
    assert environment.step("enough").score == 0.5  # (0 + 1) / 2
    environment.reset(0)
    environment.step("next")  # left in the middle: nothing waits for it
    environment.close()


def test_a_plain_taskset_is_found_by_name_and_the_check_says_that_it_pays_for_silence(installed):
    installed("corner_shop", Shop)
    lines = list(check(lambda: load("verifiers:corner_shop"), range(2)))
    found = [line for line in lines if line.verdict == "finding"]
    assert [line.rule for line in found] == ["verifier rejects the empty answer"]
    assert "scores 0.25" in found[0].detail  # it is short


def test_more_agents_than_one_are_refused(installed):
    installed("pairs", Rounds, PairEnv)
    with pytest.raises(UsageError, match="has the agents asker, player; expected one"):
        load("verifiers:pairs")


def test_what_needs_a_sandbox_is_refused():
    class Prepared(Counting):
        async def setup(self, trace, runtime):
            return None

    class Sandboxed(vf.Taskset[Prepared, vf.TasksetConfig]):
        def load(self):
            yield Prepared(vf.TaskData(prompt="x"), self.config.task)

    with pytest.raises(UsageError, match="setup of Prepared needs a runtime"):
        FromVerifiers(Sandboxed(vf.TasksetConfig())).reset(0)


def test_a_taskset_without_an_end_is_read_as_far_as_a_seed_asks():
    read = []

    class Endless(vf.Taskset[Counting, vf.TasksetConfig]):
        INFINITE = True

        def load(self):
            number = 0
            while True:
                read.append(number)
                yield Counting(vf.TaskData(prompt=f"task {number}"), self.config.task)
                number += 1

    environment = FromVerifiers(Endless(vf.TasksetConfig()))
    assert environment.reset(4) == "task 4"
    assert environment.reset(2) == "task 2"
    assert read == [0, 1, 2, 3, 4]


def test_errors_of_an_environment_reach_the_caller(installed):
    class Broken(RoundsEnv):
        async def run(self, task, agents):
            async with agents.player.interaction(task) as interaction:
                await interaction.turn()
                raise KeyError("broken")

    installed("broken_rounds", Rounds, Broken)
    environment = load("verifiers:broken-rounds")
    environment.reset(0)
    with pytest.raises(KeyError, match="broken"):
        environment.step("next")


def test_what_is_not_there_is_named(monkeypatch):
    with pytest.raises(UnknownNameError, match="'no-such-taskset' not found"):
        load("verifiers:no-such-taskset")
    monkeypatch.setitem(sys.modules, "verifiers.v1", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'assay\[verifiers\]'"):
        load("verifiers:gsm8k")
