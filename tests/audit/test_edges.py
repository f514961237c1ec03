"""What few logs have: calls that nobody scored, masks of all kinds, claims that nobody checked."""

from typing import Any

import pytest

from assay import pipeline
from assay.audit import audit
from assay.recipes import Recipe
from assay.records import Call, CallEvidence, ModelStep, Rescue, ToolStep, Trajectory

RIGHT, RAN = CallEvidence(ran=True, state=True), CallEvidence(ran=True)


def made(name: str, *calls: tuple[str, CallEvidence], **fields: Any) -> ModelStep:
    tools = tuple(Call(name=call, arguments="{}", evidence=known) for call, known in calls)
    return ModelStep(text=name, token_ids=(1, 2), calls=tools, **fields)


def one(name: str, outcome: float | None, *steps: Any, **fields: Any) -> Trajectory:
    fields = {"task": name[0], "group": name[0], "end": "answered", **fields}
    steps = steps or (made(name),)
    return Trajectory(id=name, outcome=outcome, steps=steps, **fields)


def audited(*records: Trajectory, gates: tuple[str, ...] = ("integrity",)) -> dict[str, Any]:
    recipe = Recipe.of({"method": "grpo", "gates": list(gates)})
    batch, decisions = pipeline.gated(records, recipe)
    return audit(batch, decisions, pipeline.credits(batch, recipe))


def test_calls_of_what_nobody_scored_are_no_failures():
    call = ("go", RAN)
    calls = audited(
        one("a1", 1.0, made("1", call)),
        one("a2", 0.0, made("2", call)),
        one("a3", None, made("3", call)),
    )["calls"]
    assert (calls["total"], calls["in_failed_of_mixed"]) == (3, 1)


def test_the_experts_call_in_an_all_fail_group_ran_and_is_the_experts():
    calls = audited(
        one("a1", 0.0, made("1", ("f", CallEvidence(ran=True, expert=True)))),
        one("a2", 0.0, made("2", ("g", CallEvidence(ran=False, expert=True)))),
        one("a3", 0.0, made("3", ("h", CallEvidence(ran=True, expert=False, state=True)))),
    )["calls"]
    assert calls["expert_in_all_fail"] == 1


def test_fates_of_what_is_closed_or_cut_off_or_dropped():
    closed = {
        kind: one(f"a{number}", 0.0, made(kind, untrainable=kind))
        for number, kind in enumerate(("masked", "drifted", "copied", "logprobs"), 2)
    }
    cut = one("a6", 0.0, made("cut", ("go", RIGHT), ("no", RAN)), end="budget")
    twin = one("a7", 1.0, made("same"))
    records = [one("a1", 1.0, made("same")), *closed.values(), cut, twin]
    fate = audited(*records, gates=("integrity", "duplicates"))["fate"]
    tokens = {kind: row["tokens"] for kind, row in fate.items() if row["tokens"]}
    # two tokens each; nobody said where the calls are, so all of a6 is its first call's: right
    assert tokens == {
        "trained_up": 2,
        "masked": 2,  # what was copied into a4 the policy did not write
        "drifted": 4,  # drifted and logprobs
        "punished_correct": 2,  # a right call stays one where the budget ended
        "unscored": 2,  # a7, a copy that was dropped
    }


def test_a_call_of_what_nobody_scored_weighs_nothing_in_the_split():
    go = ("go", RIGHT)
    calls = audited(
        one("a1", 1.0, made("1", go)), one("a2", 0.0, made("2", go)), one("a3", None, made("3", go))
    )["calls"]
    assert (calls["punished_variance"], calls["punished_systematic"]) == (1, 0)


def test_a_call_of_which_nobody_knows_whether_it_ran_is_part_of_the_place():
    look, go = ("look", CallEvidence()), ("go", RIGHT)
    calls = audited(one("a1", 1.0, made("1", look), made("2", go)), one("a2", 0.0, made("3", go)))[
        "calls"
    ]
    # "go" after a look and "go" at once are two: nobody is rewarded for the second
    assert [calls[f"punished_{each}"] for each in ("shared", "variance", "systematic")] == [0, 0, 1]


def test_calls_of_one_step_are_made_in_one_place():
    f, g, h = (("f", RIGHT), ("g", RIGHT), ("h", RIGHT))
    calls = audited(one("a1", 1.0, made("1", f, g)), one("a2", 0.0, made("2", f, h)))["calls"]
    # f cancels, whatever is called beside it; h is made by the failure alone
    assert [calls[f"punished_{each}"] for each in ("shared", "variance", "systematic")] == [1, 1, 1]


def test_a_call_that_is_punished_a_little_more_than_it_is_rewarded_does_not_cancel():
    # 1 and 1 against a mean of 3/5: of "go" -3/5 +2/5 is -1/5, a fifth of its push
    go, other = ("go", RIGHT), ("other", RIGHT)
    outcomes = [(1.0, go), (0.0, go), (1.0, other), (1.0, other), (0.0, other)]
    calls = audited(*(one(f"a{n}", o, made(f"{n}", call)) for n, (o, call) in enumerate(outcomes)))[
        "calls"
    ]
    # "other": 2/5 + 2/5 - 3/5 > 0
    assert (calls["punished_variance"], calls["punished_systematic"]) == (1, 1)


def warnings_of(*records: Trajectory) -> list[str]:
    return audited(*records)["trust"]["warnings"]


def test_who_claims_and_is_not_scored_claims_nothing_false():
    trust = audited(
        one("a1", 1.0, claim="claimed"),
        one("a2", None, claim="claimed"),
        one("a3", 0.0, claim="claimed"),
    )["trust"]
    assert trust["false_claim_share"] == 0.5


@pytest.mark.parametrize(("false", "said"), [(1, False), (2, True)])
def test_a_tenth_of_false_claims_is_not_worth_a_warning(false: int, said: bool):
    records = [one(f"a{n}", float(n >= false), claim="claimed") for n in range(10)]
    assert any("say they are done failed" in each for each in warnings_of(*records)) == said


def test_what_infrastructure_stopped_is_not_told_twice():
    said = warnings_of(one("a1", 1.0), one("a2", 1.0, end="infra"))
    assert len(said) == 1
    assert said[0].startswith("1 of 2 trajectories was stopped by infrastructure")
    said = warnings_of(one("a1", 1.0), one("a2", 1.0, end="infra"), one("a3", None))
    assert said[1] == "1 more of 3 trajectories has no outcome at all"


def test_ids_that_repeat_and_logprobs_are_seen():
    step = ModelStep(text="x", token_ids=(1,), logprobs=(-1.0,))
    records = [one("a1", 1.0, step), one("a1", 0.0, ModelStep(text="y", token_ids=(1,)))]
    trust = audited(*records)["trust"]
    assert (trust["repeated_ids"], trust["has_logprobs"]) == (1, True)
    assert "1 trajectory id occurs more than once" in trust["warnings"]


def test_an_answer_with_an_error_is_an_error_and_no_answer_is_none():
    steps = (
        made("1", ("f", CallEvidence()), ("g", CallEvidence())),
        ToolStep(text="Error: no", call=(0, 0), token_ids=(7,)),
    )
    calls = audited(one("a1", 1.0, *steps))["calls"]
    assert (calls["error"], calls["unanswered"]) == (1, 1)


def test_a_group_that_was_rescued_is_dead_and_grpo_learns_from_it_all_the_same():
    helped = one("a3", 1.0, rescue=Rescue(rung="oracle"))
    found = audited(one("a1", 0.0), one("a2", 0.0), helped, one("b1", 0.0), one("b2", 0.0))
    assert (found["groups"]["dead"], found["groups"]["all_fail"]) == (2, 2)
    assert (found["trajectories"]["scored"], found["trajectories"]["rescued"]) == (4, 1)
    assert found["recovered"]["grpo"] == {"groups": 0, "steps": 0, "share_of_dead": 0.0}
    trained = {kind: row["trajectories"] for kind, row in found["fate"].items()}
    assert (trained["trained_up"], trained["trained_down"], trained["dead"]) == (1, 2, 2)
