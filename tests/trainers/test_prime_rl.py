"""prime-rl's algorithm: each sampled token of a trace gets the recipe's credit of its group."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from assay.errors import MissingExtraError, UsageError
from assay.recipes import Recipe
from assay.signal import signal
from assay.trainers import engine, prime_rl
from tests.exporters.logs import DOWN, UP

from . import prime_rl_contract as contract


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    engine.engine_of.cache_clear()
    monkeypatch.setenv("ASSAY_RECIPE", "grpo")


def node(parent: int | None, role: str, ids: list[int], sampled: int = 0, **more: Any) -> Any:
    """A node whose last `sampled` tokens the policy sampled."""
    mask = [False] * (len(ids) - sampled) + [True] * sampled
    message = {"role": role, "content": "x", **more}
    return {
        "parent": parent,
        "message": message,
        "sampled": sampled > 0,
        "token_ids": ids,
        "mask": mask,
        "logprobs": [-0.5] * sampled,
        "timestamp": 0.0,
    }


def episode(name: str, score: float | None, nodes: list[Any], **trace: Any) -> dict[str, Any]:
    rewards = {"r": None if score is None else {"score": score, "weight": 1.0}}
    one = {"id": name, "nodes": nodes, "rewards": rewards, "is_completed": True, **trace}
    return {"id": f"e-{name}", "group": {"id": "g"}, "task": {"key": "k"}, "traces": [one]}


PROMPT = [node(None, "system", [1, 2]), node(0, "user", [3])]
CALL = [{"id": "x", "name": "add", "arguments": "{}"}]


def group() -> list[dict[str, Any]]:
    """Outcomes 1, 0, 0; the first calls a tool between its two turns."""
    return [
        episode(
            "a",
            1.0,
            [
                *PROMPT,
                node(1, "assistant", [4, 5, 6], 2, tool_calls=CALL),
                node(2, "tool", [7, 8], tool_call_id="x"),
                node(3, "assistant", [9, 10], 2),
            ],
        ),
        episode("b", 0.0, [*PROMPT, node(1, "assistant", [11, 12], 2)]),
        episode("c", 0.0, [*PROMPT, node(1, "assistant", [13], 1)]),
    ]


def scored(raws: list[dict[str, Any]]) -> list[Any]:
    """The episodes after prime-rl's call; by verifiers' own types where they are installed."""
    episodes = [contract.Episode(raw) for raw in raws]
    made = prime_rl.algorithm(
        contract.Algorithm, contract.assign_advantages, engine.engine_of("prime-rl")
    )
    algorithm = made(SimpleNamespace(action_loss_type="rl"), None)
    with pytest.raises(StopIteration):  # it waits for nothing, so no loop is needed
        algorithm.score_group(episodes).send(None)
    return episodes


def values(one: Any) -> list[list[float] | None]:
    return [node.advantages for node in one.traces[0].nodes]


def test_each_sampled_token_gets_the_credit_of_the_group():
    a, b, c = scored(group())
    # GRPO of 1, 0, 0 is worked out in tests.exporters.logs
    assert values(a)[:2] == [None, None]
    assert values(a)[3] is None
    assert values(a)[2] == pytest.approx([UP, UP], rel=1e-12)
    assert values(a)[4] == pytest.approx([UP, UP], rel=1e-12)
    assert values(b)[2] == pytest.approx([DOWN, DOWN], rel=1e-12)
    assert values(c)[2] == pytest.approx([DOWN], rel=1e-12)


@pytest.mark.parametrize("recipe", ["mt_grpo", "assay", "w_reinforce"])
def test_it_is_the_offline_path_s_credit_to_the_bit(monkeypatch: pytest.MonkeyPatch, recipe: str):
    monkeypatch.setenv("ASSAY_RECIPE", recipe)
    value_KT, weight_KT = signal(prime_rl.recorded(group()), Recipe.of(recipe)).rows()
    for k, one in enumerate(scored(group())):
        got = [value for own in values(one) for value in own or []]
        assert got == value_KT[k, weight_KT[k] > 0].tolist()
        assert any(got)


def test_what_nobody_scored_stays_without_advantages():
    raws = group()
    raws[2]["traces"][0]["rewards"] = {"r": None}
    a, _, c = scored(raws)
    assert values(c) == [None, None, None]
    # the mean of 1 and 0 is 1/2, their deviation sqrt(1/2)
    assert values(a)[2] == pytest.approx([0.5 / (0.5**0.5 + 1e-6)] * 2)


def test_a_trace_whose_call_failed_is_compared_with_nothing():
    raws = group()
    failed = raws[2]["traces"][0]["nodes"][2]
    failed["token_ids"], failed["mask"], failed["logprobs"] = [], [], []
    a, _, c = scored(raws)
    assert values(c) == [None, None, None]
    assert values(a)[2] == pytest.approx([0.5 / (0.5**0.5 + 1e-6)] * 2)  # of 1 and 0
    assert scored(raws[2:])[0].traces[0].nodes[2].advantages is None


def test_a_node_that_branches_share_is_credited_once():
    # two leaves behind one turn; both have their trace's outcome, and one vote together
    nodes = [*PROMPT, node(1, "assistant", [4], 1)]
    nodes += [node(2, "user", [5]), node(3, "assistant", [6, 7], 2)]
    nodes += [node(2, "user", [8]), node(5, "assistant", [9], 1)]
    raws = [episode("a", 1.0, nodes), episode("b", 0.0, [*PROMPT, node(1, "assistant", [4], 1)])]
    half = 0.5 / (0.5**0.5 + 1e-6)
    a, b = scored(raws)
    assert values(a) == [
        None,
        None,
        pytest.approx([half]),
        None,
        pytest.approx([half] * 2),
        None,
        pytest.approx([half]),
    ]
    assert values(b)[2] == pytest.approx([-half])


def test_a_branch_that_trains_nothing_is_left_out():
    nodes = [*PROMPT, node(1, "assistant", [4], 1), node(1, "assistant", [5, 6], 2)]
    raws = [episode("a", 1.0, nodes), episode("b", 0.0, [*PROMPT, node(1, "assistant", [4], 1)])]
    episodes = [contract.Episode(raw) for raw in raws]
    episodes[0].traces[0].cut = frozenset({3})
    prime_rl.score(episodes, contract.assign_advantages, engine.engine_of("prime-rl"))
    assert values(episodes[0])[3] is None
    assert len(values(episodes[0])[2] or []) == 1


def test_verifiers_own_types_take_it():
    reason = "verifiers 0.4 is not installed here: its environments need another set of packages"
    verifiers = pytest.importorskip("verifiers.v1", reason=reason)
    from pathlib import Path

    lines = (Path(__file__).parents[1] / "fixtures/verifiers/traces.jsonl").read_text().split("\n")
    episodes = [verifiers.WireEpisode.model_validate_json(line) for line in lines if line]
    prime_rl.score(episodes, contract.assign_advantages, engine.engine_of("prime-rl"))
    for one in episodes:
        for trace in one.traces:
            for each in trace.nodes:
                assert each.advantages is None or len(each.advantages) == sum(each.mask)


@pytest.mark.parametrize("package", prime_rl.PACKAGES)
def test_the_module_puts_it_into_prime_rl_s_table(package: str, monkeypatch: pytest.MonkeyPatch):
    fakes = contract.modules(package)
    for name, module in fakes.items():
        monkeypatch.setitem(sys.modules, name, module)
    made = prime_rl.install()
    assert issubclass(made, contract.Algorithm)
    assert fakes[package].__dict__["ALGORITHM_CLASSES"] == {"grpo": made}
    started: list[str] = []
    script = SimpleNamespace(load=lambda: lambda: started.append("orchestrator"))
    monkeypatch.setattr(prime_rl, "entry_points", lambda **asked: (asked and script,))
    prime_rl.main()
    assert started == ["orchestrator"]
    fakes[package].__dict__["ALGORITHM_CLASSES"] = None
    with pytest.raises(UsageError, match="has no ALGORITHM_CLASSES"):
        prime_rl.install()


def test_without_prime_rl_or_a_recipe_it_ends_in_one_line(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(MissingExtraError, match="prime-rl is not installed here"):
        prime_rl.install()
    with pytest.raises(SystemExit, match="assay: prime-rl is not installed"):
        prime_rl.main()
    monkeypatch.delenv("ASSAY_RECIPE")
    engine.engine_of.cache_clear()
    with pytest.raises(SystemExit, match="assay: ASSAY_RECIPE is not set"):
        prime_rl.main()
