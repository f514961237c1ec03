"""Small logs that were read wrongly, one function a case; right values were worked out by hand."""

from pathlib import Path
from typing import Any

import pytest

from assay.audit import step_credit
from assay.credit import credit, method
from assay.errors import DataError, MethodError
from assay.importers import Choices, Losses, load
from assay.records import ModelStep, ToolStep
from assay.runs.audit import audit_log
from assay.runs.reading import gated_batch

CASES = Path(__file__).parents[3] / "shared" / "cases"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}"),
]


def audited(name: str, **options: Any) -> dict[str, Any]:
    return audit_log(CASES / name, report=False, **options).audit


def passes(found: dict[str, Any]) -> tuple[int, int]:
    return found["trajectories"]["passed"], found["trajectories"]["scored"]


def advantages(name: str, by: str, **options: Any) -> list[float]:
    """The advantage of the last step of each trajectory; 0 where nothing of it is carried."""
    batch, _, _ = gated_batch(CASES / name)
    steps = step_credit(batch, credit(batch, method(by, **options)))
    found = dict(zip(batch.traj_S.tolist(), steps.advantage_S.tolist(), strict=True))
    return [0.0 if value != value else value for value in found.values()]


# --- one vote, one bar, one baseline


@pytest.mark.parametrize("case", ["a07_masked", "a07_nemo"])
def test_masked_rows_are_out_of_the_baseline(case):
    # 1, 0, 0 and a masked 1: mean 1/3, deviation sqrt(1/3)
    root = 3**-0.5
    assert advantages(case, "grpo", eps=0.0) == pytest.approx([2 * root, -root, -root, 0.0])
    assert advantages(case, "rloo") == pytest.approx([1.0, -0.5, -0.5, 0.0])


def test_t_vf_weights():
    found = audited("t_vf_weights")
    assert passes(found) == (1, 2)
    assert (found["groups"]["mixed"], found["groups"]["dead"]) == (1, 0)


def test_t_float_sum():
    # rows a and c: 0.7 + 0.2 + 0.1 each; b 0.3, d 0
    found = audited("t_float_sum")
    assert passes(found) == (2, 4)
    assert (found["groups"]["mixed"], found["groups"]["dead"]) == (1, 0)


def test_a02_tau2_fraction():
    found = audited("a02_tau2_fraction")
    assert passes(found) == (4, 6)
    assert found["groups"]["mixed"] == 0
    assert found["groups"]["dead"] == 3


@pytest.mark.parametrize(
    ("case", "passed", "group", "mean"),
    [
        ("n_pm_mixed", (2, 4), "q", 0.0),
        ("n_verl_dapo", (3, 12), "g1", -0.5),
        ("a16_neg", (4, 5), "p", 0.0),
    ],
)
def test_outcomes_below_0(case, passed, group, mean):
    found = audited(case)
    assert passes(found) == passed
    reason = found["not_applicable"]["max_rl"]
    assert f"max_rl needs mean outcomes above 0, and that of group '{group}' is {mean:g};" in reason
    with pytest.raises(MethodError, match=f"group '{group}' is {mean:g}"):
        advantages(case, "max_rl")


def test_c_0100():
    text = "outcomes lie between 0 and 100, and 1 or more passes: say with --pass-at"
    assert audited("c_0100")["trust"]["warnings"][0].startswith(text)
    found = audited("c_0100", pass_at=100.0)
    assert not [each for each in found["trust"]["warnings"] if "lie between" in each]


def test_a17b_shaped_pos():
    warnings = audited("a17b_shaped_pos")["trust"]["warnings"]
    assert warnings[0].startswith("nothing passes: the highest outcome is 0.2")
    assert warnings[1].endswith(
        "though acc does not: what is trained there is the rest of the "
        "reward; --outcome acc audits it alone"
    )


# --- TRL and verl


def records(name: str) -> list[Any]:
    return list(load(CASES / name)[1])


def test_t_extra_double():
    """acc alone gives +-0.5, the advantages of the log."""
    found = audited("t_extra_double")
    assert passes(found) == (2, 4)
    assert advantages("t_extra_double", "grpo") == pytest.approx([0.866, -0.866] * 2, abs=1e-3)
    # the same in every row, so it moves no advantage
    assert found["losses"]["idle_column:gold_value"] == 1


def test_t_trl_empty():
    """The empty completion is one of four: means of 0.5; nothing of itself carries its part."""
    assert passes(audited("t_trl_empty")) == (2, 4)
    found = advantages("t_trl_empty", "grpo")
    assert found == pytest.approx([0.866, -0.866, 0.0, 0.866], abs=1e-3)


def test_a09b_trl_async_pairs_by_name():
    steps = records("a09b_trl_async")[0].steps
    named = {step.name: step.call for step in steps if type(step) is ToolStep}
    assert named == {"calc": (1, 1), "slow_search": (1, 0)}
    calls = audited("a09b_trl_async")["calls"]
    assert (calls["total"], calls["error"], calls["punished_correct"]) == (2, 1, 0)


def test_n_verl_nan():
    """Scored are 0, 1, 1: mean 2/3, deviation 0.577."""
    found = audited("n_verl_nan")
    assert passes(found) == (2, 3)
    assert found["losses"]["not_a_number"] == 1
    assert advantages("n_verl_nan", "grpo") == pytest.approx([-1.155, 0.577, 0.0, 0.577], abs=1e-3)


def test_t_verl_turns():
    found = records("t_verl_turns")
    calls = [[c.name for s in t.steps if type(s) is ModelStep for c in s.calls] for t in found]
    assert calls == [["calc"], ["calc"], ["calc", "calc"], ["search"]]
    own = "".join(s.text for s in found[3].steps if type(s) is ModelStep)
    assert own == "I need facts. <search>who</search><answer>X</answer>"


# --- harbor, ATIF, Inspect, mini-SWE-agent, verifiers


def read(name: str, **chosen: Any) -> tuple[list[Any], dict[str, int]]:
    losses = Losses()
    found = list(load(CASES / name, losses=losses, choices=Choices(**chosen))[1])
    return found, losses.counts


def answers(one: Any) -> list[tuple[Any, Any]]:
    """Of each result the call that it answers, and the log's word on whether it is an error."""
    return [(step.call, step.error) for step in one.steps if type(step) is ToolStep]


def test_a12_fan():
    # one rollout with three branches (reward 1), two with one (0): mean of three rollouts 1/3
    found = audited("a12_fan")
    assert found["pass_at_k"]["1"] == pytest.approx(1 / 3)
    third = pytest.approx([2 / 3] * 3 + [-1 / 3] * 2)
    assert advantages("a12_fan", "dr_grpo") == third
    # deviation over n - 1 = 2: sqrt((4 + 1 + 1) / 9 / 2) = sqrt(1/3)
    root = 3**0.5
    expected = [2 / 3 * root] * 3 + [-root / 3] * 2
    assert advantages("a12_fan", "grpo", eps=0.0) == pytest.approx(expected)


def test_a15_corrupt():
    found, losses = read("a15_corrupt")
    assert [one.task for one in found] == ["inst-1", "inst-2"]
    assert losses["torn_record"] == 1
    with pytest.raises(DataError, match=r"inst-3\.traj"):
        read("a15_corrupt", strict=True)


def test_t_vf_nested():
    for level in ("t_vf_nested", "t_vf_nested/outputs/evals", "t_vf_nested/outputs/evals/env--m"):
        found, _ = read(level)
        assert [one.id for one in found] == ["A", "B"]


def test_t_harbor_cont():
    for level in ("t_harbor_cont", "t_harbor_cont/job2", "t_harbor_cont/job2/big__0000001"):
        (one,), losses = read(level)
        assert (one.id, one.outcome) == ("big__0000001", 1.0)
        texts = ["do big", "working big__0000001", "summary so far", "final fix", "ok"]
        assert [s.text for s in one.steps if "Command" not in s.text] == texts
        assert answers(one) == [((1, 0), None), ((4, 0), None)]
        assert losses == {"copied_step": 1}


def test_atif_is_error_min():
    (one,), _ = read("atif_is_error_min.json")
    assert answers(one) == [((1, 0), True)]


def test_atif_mini_no_source_call_id():
    (one,), losses = read("atif_mini_no_source_call_id.json")
    assert answers(one) == [((2, 0), None), ((2, 1), None)]
    said = ["sys", "do it", "first", "last"]
    texts = [step.text for step in one.steps if type(step) is not ToolStep]
    assert [*texts[:3], texts[4]] == said
    assert texts[3].startswith("No tool calls found")
    assert "result_of_no_call" not in losses


def test_atif_late_result():
    (one,), losses = read("atif_late_result.json")
    assert answers(one) == [((1, 0), None)]
    assert losses == {}


def test_t_atif_err():
    found, losses = read("t_atif_err")
    assert [answers(one) for one in found] == [[((1, 0), None)]] * 2
    assert losses == {}
    calls = audited("t_atif_err")["calls"]
    assert (calls["error"], calls["punished"], calls["punished_correct"]) == (1, 1, 0)


def test_inspect_first_scorer_absent():
    found = audited("inspect_first_scorer_absent.json")
    assert passes(found) == (0, 4)
    assert found["trajectories"]["total"] == 6
    said = " ".join(found["trust"]["warnings"])
    assert "maybe" in said
    assert "--outcome" in said
    assert passes(
        audited("inspect_first_scorer_absent.json", choices=Choices(outcome="always"))
    ) == (6, 6)


def test_inspect_stop_max_tokens():
    (one,), _ = read("inspect_stop_max_tokens.eval")
    assert one.end == "budget"


def test_harbor_no_reward_key():
    found, losses = read("harbor_no_reward_key")
    assert [one.outcome for one in found] == [None, None]
    assert losses["outcome_not_named"] == 2
    named, _ = read("harbor_no_reward_key", outcome="passed")
    assert [one.outcome for one in named] == [None, 3.0]


def test_harbor_multi_step():
    (one,), _ = read("harbor_multi_step")
    assert one.outcome == 0.6
    assert answers(one) == [((1, 0), None), ((4, 0), None)]


def test_mini_rejected_turns():
    (one,), losses = read("mini_rejected_turns.traj.json")
    assert [step.text for step in one.steps if type(step) is ModelStep] == ["I think so"] * 3
    assert (one.end, losses["rejected_turn"]) == ("budget", 3)


@pytest.mark.parametrize("level", ["", "rollouts", "rollouts/step_1", "rollouts/step_1/train"])
def test_primerl(level):
    found, losses = read(f"primerl/{level}")
    # 22 episodes in all/, of which 4 stand in effective/ again
    assert len(found) == 22
    assert losses["repeated_episode"] == 4


def test_a12_fan_has_one_vote_a_rollout():
    found = audited("a12_fan")
    assert found["pass_at_k"]["1"] == pytest.approx(1 / 3)
    assert passes(found) == (1, 3)
    root = 3**-0.5
    assert advantages("a12_fan", "grpo", eps=0.0) == pytest.approx([2 * root] * 3 + [-root] * 2)
    like = advantages("a12_fan", "grpo", like="prime-rl")
    assert like == pytest.approx([2 / 3] * 3 + [-1 / 3] * 2)
