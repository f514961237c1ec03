"""The audit of a set in which every fate is planted, worked out by hand; and its laws."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import pipeline
from assay.audit import FATE_KINDS, audit, dead_share, group_fates, shares, span_fates
from assay.batch import Batch
from assay.credit import METHODS, credit, method
from assay.gate import gate
from assay.kernels.groups import FATES, fates
from assay.recipes import Recipe
from assay.records import (
    Call,
    CallEvidence,
    ExpertCall,
    Mark,
    ModelStep,
    ToolStep,
    Trajectory,
    write,
)
from tests.records.strategies import trajectories


def said(n: int, **fields: Any) -> ModelStep:
    """A model step of n tokens and a text that no other step has."""
    fields = {"text": f"{n} tokens {sorted(fields)}", **fields}
    return ModelStep(token_ids=tuple(range(n)), **fields)


def called(n: int, start: int, end: int, name: str, arguments: str = "{}", **fields) -> ModelStep:
    call = Call(name=name, arguments=arguments, start=start, end=end)
    return said(n, calls=(call,), **fields)


def answer(text: str = "fine", step: int = 0) -> ToolStep:
    return ToolStep(text=text, call=(step, 0), token_ids=(7, 7, 7))


EXPERT = (ExpertCall(name="h", arguments='{"x": 1}'),)


def one(name: str, outcome: float | None, *steps: Any, **fields: Any) -> Trajectory:
    group = name[0]
    fields = {"task": group, "end": "answered", "expert": EXPERT, **fields}
    return Trajectory(id=name, group=group, outcome=outcome, steps=steps, **fields)


def planted() -> list[Trajectory]:
    copied = (called(10, 4, 8, "f", text="the same"), answer())
    return [
        # a: mixed, one pass in six scored
        one("a1", 1.0, called(10, 4, 8, "f"), answer(), claim="claimed"),
        one("a2", 0.0, *copied, claim="claimed"),
        one("a3", 0.0, said(5), called(6, 0, 6, "f"), answer("Error: no", 1), end="budget"),
        one("a4", 1.0, said(7), end="infra"),
        one("a5", None, said(3)),
        one("a6", 0.0, said(8, untrainable="drifted"), called(2, 0, 2, "h", '{"x":1.0}'),
            answer("ok", 1), claim="admitted"),
        one("a7", 0.0, said(4, untrainable="masked")),
        one("a8", 0.0, *copied),
        one("a9", 1.0, said(2), marks=(Mark(kind="tampered"),)),
        # b: none passes; c: the same partial score; d: one member; e: graded; f: with a middle
        one("b1", 0.0, called(3, 0, 3, "h", '{"x":1}'), answer()),
        one("b2", 0.0, said(5), called(1, 0, 1, "h", "broken"), answer("Error: JSON", 1)),
        one("c1", 0.5, said(2, text="c1")),
        one("c2", 0.5, said(2, text="c2")),
        one("d1", 0.0, said(6)),
        one("e1", 0.2, said(3, text="e1")),
        one("e2", 0.4, said(3, text="e2")),
        one("f1", 0.0, said(1, text="f1")),
        one("f2", 0.5, said(1, text="f2")),
        one("f3", 1.0, said(1, text="f3"), claim="admitted"),
        # g: nobody scored it; h: all pass; i: its only failure wrote nothing, so the rest is alike
        one("g1", None, said(2, text="g1")),
        one("g2", None, called(2, 0, 1, "f", text="g2"), end="unknown"),
        one("h1", 1.0, said(1, text="h1")),
        one("h2", 1.0, said(1, text="h2")),
        one("i1", 1.0, said(2, text="i1")),
        one("i2", 1.0, said(2, text="i2")),
        one("i3", 0.0),
    ]  # fmt: skip


def audited(records: list[Trajectory], **options: Any) -> dict[str, Any]:
    recipe, refused = Recipe.compared(pass_at=options.get("pass_at", 1.0)), dict[str, str]()
    batch, decisions = pipeline.gated(records, recipe)
    credits = pipeline.credits(batch, recipe, refused)
    return audit(batch, decisions, credits, refused=refused, **options)


def renamed(of: Trajectory) -> Trajectory:
    names = {"id": f"{of.id}+", "task": f"{of.task}+", "group": f"{of.group}+"}
    return msgspec.structs.replace(of, **names)


@pytest.mark.parametrize(
    ("passing", "bare", "interval"),
    [
        (9, 0, None),  # nine groups
        (0, 10, None),  # ten that all fail: every draw of them does
        # ten groups of which five pass: Binomial(10, 1/2) of a draw do, 1 at most in 11 of 1024
        # draws and 2 at most in 56, so 2 to 8 are the ends of 95 %
        (5, 5, [0.2, 0.8]),
    ],
)
def test_an_interval_needs_ten_groups_that_differ(
    passing: int, bare: int, interval: list[float] | None
):
    outcomes = [1.0] * passing + [0.0] * bare
    found = audited([one(f"{chr(97 + n)}1", value, said(2)) for n, value in enumerate(outcomes)])
    assert found["pass_at_k_interval"]["1"] == interval


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return audited(planted(), losses={"b": 2, "a": 1})


def test_groups(found):
    assert found["groups"] == {
        "total": 9,
        "all_fail": 2,  # b, and e, which is graded
        "all_pass": 2,  # h, and i, whose only failure is empty and dropped
        "mixed": 2,  # a, f
        "constant_partial": 1,  # c
        "single": 1,  # d
        "unscored": 1,  # g
        "dead": 6,  # b, c, d, g, h and i
        "graded": 1,  # e
        "components_cancel": 0,
    }


def test_trajectories(found):
    # 26 in all; without a4, a5, a9, g1, g2 there are 21 scores: 1 + 1 + 2 + 2 pass in a, f, h, i
    assert found["trajectories"] == {
        "total": 26,
        "rescued": 0,
        "sessions": 26,
        "scored": 21,
        "unscored": 5,
        "passed": 6,
        "pass_rate": 6 / 21,
        "by_end": {"answered": 23, "budget": 1, "infra": 1, "unknown": 1},
        "by_category": {
            "true_success": 5,
            "under_claim": 1,  # f3 passed and said that it had not
            "false_success": 1,  # a2
            "honest_failure": 14,
            "unverified_claim": 0,
            "weak_success": 0,
            "weak_failure": 0,
            "unscorable": 3,  # a5, g1, g2
            "infra": 1,
            "tampered": 1,
            "disputed": 0,
        },
    }


def test_pass_rates(found):
    # passes of scored: a 1/6, b 0/2, c 0/2, d 0/1, e 0/2, f 1/3, h 2/2, i 2/3
    rates = [1 / 6, 0, 0, 0, 0, 1 / 3, 1, 2 / 3]
    assert found["pass_at_k"]["1"] == pytest.approx(sum(rates) / 8)
    assert found["pass_hat_k"]["1"] == pytest.approx(sum(rates) / 8)
    # two draws, d left out: a 2/6, f 2/3, h 1, i 1 - 0; both passing: h 1, i 1/3
    assert found["pass_at_k"]["2"] == pytest.approx((1 / 3 + 2 / 3 + 1 + 1) / 7)
    assert found["pass_hat_k"]["2"] == pytest.approx((1 + 1 / 3) / 7)
    assert found["pass_k_groups"] == {"1": 8, "2": 7, "3": 3, "4": 1, "5": 1, "6": 1}
    assert found["pass_at_k"]["6"] == 1.0
    # eight groups are too few for an interval
    for name in ("pass_at_k_interval", "pass_hat_k_interval"):
        assert found[name] == dict.fromkeys("123456")
    assert set(found["pass_at_k"]) == set(found["pass_hat_k"]) == set("123456")


def test_calls(found):
    assert found["calls"] == {
        "total": 8,  # a1 a2 a3 a6 a8, b1 b2, g2
        "error": 2,  # a3, b2
        "unanswered": 1,  # g2
        "unparsed": 1,  # b2
        "in_failed_of_mixed": 4,  # a2 a3 a6 a8; a4, a5 and a9 did not fail
        "punished": 4,  # the same
        "punished_expert": 1,  # a6
        "punished_sibling": 2,  # a2 a8: a1 passed with it; a3's failed
        "punished_state": 0,
        "punished_correct": 3,
        # f in the first place of a: a1 gets 5 times what a2, a8 and the others lose, so net > 0;
        # a6's h is preceded by a step of its own, and nobody is rewarded for it
        "punished_shared": 2,
        "punished_variance": 2,
        "punished_systematic": 1,
        "expert_in_all_fail": 1,  # b1; b2's did not run
    }


def test_fates(found):
    # tokens: a1 10 up; a2 and a8 4 correct, 6 down each; a3 11 cut off; a6 8 drifted, 2 correct
    expected = {
        "trained_up": (3, 10 + 3 + 1),  # a1 e2 f3
        "trained_down": (4, 6 + 6 + 3 + 1),  # a2 a8 e1 f1
        "punished_correct": (3, 4 + 4 + 2),  # a2 a8 a6
        "neutral": (1, 1),  # f2 is the mean
        "truncated": (1, 11),  # a3, its call failed
        "dead": (9, 3 + 6 + 2 + 2 + 6 + 1 + 1 + 2 + 2),  # b1 b2 c1 c2 d1 h1 h2 i1 i2
        "unscored": (4, 3 + 2 + 2 + 2),  # a5 a9 g1 g2
        "infrastructure": (1, 7),  # a4
        "masked": (1, 4),  # a7
        "drifted": (1, 8),  # a6
    }
    assert found["fate"] == {
        kind: {"trajectories": k, "tokens": n} for kind, (k, n) in expected.items()
    }
    assert sum(row["tokens"] for row in found["fate"].values()) == sum(
        len(step.token_ids or ())
        for record in planted()
        for step in record.steps
        if isinstance(step, ModelStep)
    )
    assert found["steps"] == {"total": 28}


def test_what_ran_is_not_yet_right():
    """Its calls ran: z is nobody's, y was on a path to success by the state, x was not."""

    def step(name: str, n: int, state: bool | None) -> ModelStep:
        evidence = CallEvidence(ran=True, state=state)
        call = Call(name=name, arguments="{}", start=0, end=n, evidence=evidence)
        return said(n, calls=(call,))

    found = audited(
        [
            one("a1", 1.0, said(1)),
            one("a2", 0.0, step("z", 3, None), step("y", 2, True), step("x", 4, False)),
        ]
    )
    fate, calls = found["fate"], found["calls"]
    assert (calls["punished"], calls["punished_correct"], calls["punished_state"]) == (3, 1, 1)
    assert fate["punished_correct"] == {"trajectories": 1, "tokens": 2}
    assert fate["trained_down"] == {"trajectories": 1, "tokens": 7}


def test_graded_groups_are_all_fail_and_alive():
    two = [one(f"{g}{i}", 0.1 * i, said(i + 1, text=g)) for g in "ab" for i in range(2)]
    dead = [one(f"c{i}", 0.0, said(i + 1, text="c")) for i in range(2)]
    groups = audited(two + dead)["groups"]
    assert (groups["all_fail"], groups["graded"], groups["dead"]) == (3, 2, 1)


def test_recovered(found):
    # model steps in dead groups: b 3, c 2, d 1, h 2, i 2 are 10; g is unscored
    assert found["recovered"]["grpo"] == {"groups": 0, "steps": 0, "share_of_dead": 0.0}
    assert found["recovered"]["nsr"] == {"groups": 3, "steps": 6, "share_of_dead": 0.6}  # b c d
    assert found["recovered"]["psr"] == {"groups": 2, "steps": 4, "share_of_dead": 0.4}  # h i
    everything = set(found["recovered"]) | set(found["not_applicable"])
    assert everything == set(METHODS.names())
    assert not set(found["recovered"]) & set(found["not_applicable"])
    assert found["not_applicable"]["lens"] == (
        "lens needs logprobs, and no trajectory of the set has any: the importers atif, nemo, rllm "
        "and verifiers read them, `assay train` writes them"
    )


def test_claims(found):
    assert found["claims"] == {
        "claimed_verified": 1,  # a1
        "claimed_failed": 1,  # a2
        "silent_verified": 5,  # f3 h1 h2 i1 i2
        "silent_failed": 14,
        "unscored": 5,
        "admitted_verified": 1,  # f3
        "admitted_failed": 1,  # a6
    }


def test_trust(found):
    trust = dict(found["trust"])
    warnings = trust.pop("warnings")
    assert trust == {
        "infra_share": 1 / 26,
        "unscored_share": 5 / 26,
        "false_claim_share": 1 / 2,
        "duplicates": 1,  # a8
        "repeated_ids": 0,
        "dropped": {"empty": 1, "infra": 1, "masked": 1, "tampered": 1, "unscored": 3},
        "untrainable_steps": {"masked": 1, "drifted": 1, "copied": 0, "logprobs": 0},
        "has_tokens": True,
        "has_logprobs": False,
    }
    assert len(warnings) == 6
    for word in (
        "infrastructure",
        "no outcome",
        "say they are done",
        "repeat",
        "masked",
        "re-tokenised",
    ):
        assert sum(word in warning for warning in warnings) == 1
    assert found["losses"] == {"a": 1, "b": 2}
    assert list(found["losses"]) == ["a", "b"]


def test_shares(found):
    assert dead_share(found) == 6 / 9
    total = sum(row["tokens"] for row in found["fate"].values())
    assert shares(found) == pytest.approx(
        {
            "dead": 6 / 9,
            "punished": 3 / 4,
            "wasted": 1 - (14 + 16) / total,
            "infra": 1 / 26,
            "unscored": 5 / 26,
            "false_claims": 1 / 2,
            "errors": 2 / 8,
            "fail": 1 - 6 / 21,
        }
    )


def test_a_lower_bar_moves_every_count_that_asks_who_passes():
    batch = Batch.of(planted(), pass_at=0.5)
    decisions = gate(batch)
    gated = batch.gated(decisions)
    low = audit(gated, decisions, {"grpo": credit(gated, method("grpo"))}, pass_at=0.5)
    assert low["pass_at"] == 0.5
    assert low["groups"]["all_pass"] == 3  # h, i, and now c
    assert low["groups"]["constant_partial"] == 0
    assert low["groups"]["dead"] == 6
    assert low["trajectories"]["passed"] == 9  # c1 c2 f2 more


def test_a_clean_set_warns_of_nothing():
    records = [one("a1", 1.0, said(2)), one("a2", 0.0, said(3))]
    assert audited(records)["trust"]["warnings"] == []
    bare = [
        Trajectory(id=i, task="t", group="t", outcome=0.0, steps=(ModelStep(text=i),)) for i in "ab"
    ]
    (warning,) = audited(bare)["trust"]["warnings"]
    assert "no token ids" in warning


def test_pass_rates_of_a_large_group_are_said_for_some_k():
    # 17 attempts: every k up to 8, then powers of two; 1 pass in 17, so pass@16 is 16/17
    records = [one(f"a{i}", float(i == 0), said(1, text=str(i))) for i in range(17)]
    result = audited(records)
    assert list(result["pass_at_k"]) == ["1", "2", "3", "4", "5", "6", "7", "8", "16"]
    assert result["pass_at_k"]["16"] == pytest.approx(16 / 17)
    assert result["pass_hat_k"]["2"] == 0.0


def test_a_group_passes_at_1_unless_told_otherwise():
    batch = Batch.of([one("a1", 1.5, said(1)), one("a2", 1.0, said(2))])
    fate_G, dead_G = group_fates(batch)
    assert (FATES[fate_G[0]], dead_G.tolist()) == ("all_pass", [False])
    assert FATES[group_fates(batch, pass_at=1.2)[0][0]] == "mixed"


def test_nothing_scored_and_nothing_at_all():
    unscored = audited([one("a1", None, said(2)), one("a2", None, said(2))])
    assert unscored["pass_at_k"] == unscored["pass_hat_k"] == unscored["pass_k_groups"] == {}
    assert unscored["trajectories"]["pass_rate"] is None
    assert unscored["groups"]["unscored"] == unscored["groups"]["dead"] == 1
    assert all(row["steps"] == 0 for row in unscored["recovered"].values())
    empty = audited([])
    assert empty["groups"]["total"] == empty["trajectories"]["total"] == 0
    # nothing is no share of anything, and an audit of nothing finds no success
    nothing = dict.fromkeys(shares(empty), 0.0)
    assert shares(empty) == nothing | {"wasted": 1.0, "fail": 1.0}


def numbers(value: Any) -> list[float]:
    match value:
        case dict():
            return [n for item in value.values() for n in numbers(item)]
        case list():
            return [n for item in value for n in numbers(item)]
        case bool() | str() | None:
            return []
    return [value]


def test_every_number_is_finite_and_plain(found):
    assert all(type(n) in (int, float) and math.isfinite(n) for n in numbers(found))
    assert json.loads(msgspec.json.encode(found)) == found


def tame(record: Trajectory) -> Trajectory:
    """The same with scores below 8: squares of 1e200 overflow, whoever takes them."""

    def small(value: float | None) -> float | None:
        return None if value is None else math.fmod(value, 8.0)

    steps = [
        msgspec.structs.replace(step, reward=small(step.reward))
        if isinstance(step, ModelStep)
        else step
        for step in record.steps
    ]
    return msgspec.structs.replace(
        record,
        steps=tuple(steps),
        outcome=small(record.outcome),
        rewards={name: small(value) for name, value in record.rewards.items()},
        grades=tuple(msgspec.structs.replace(g, value=small(g.value)) for g in record.grades),
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.lists(trajectories().map(tame), max_size=5))
def test_any_set_is_partitioned(records: list[Trajectory]):
    batch = Batch.of(records, measure="characters")
    decisions = gate(batch)
    gated = batch.gated(decisions)
    grpo = credit(gated, method("grpo"))
    result = audit(gated, decisions, {"grpo": grpo})
    _, dead_G = fates(gated.value_K, gated.group_K, n_groups=gated.n_groups)
    kind_R = span_fates(gated, dead_G, grpo)
    own_R = np.append(gated.own_S, False)[gated.step_R]
    assert ((kind_R >= 0) == own_R).all()
    assert (kind_R < len(FATE_KINDS)).all()
    written = int(gated.length_R[own_R].sum())
    assert sum(row["characters"] for row in result["fate"].values()) == written
    groups, trajectory = result["groups"], result["trajectories"]
    causes = ("all_fail", "all_pass", "mixed", "constant_partial", "single", "unscored")
    assert sum(groups[cause] for cause in causes) == groups["total"]
    assert trajectory["scored"] + trajectory["unscored"] == trajectory["sessions"]
    assert trajectory["sessions"] + trajectory["rescued"] <= trajectory["total"] == len(records)
    assert sum(trajectory["by_end"].values()) == sum(trajectory["by_category"].values())
    assert sum(trajectory["by_end"].values()) == len(records)
    claims = result["claims"]
    two_by_two = ("claimed_verified", "claimed_failed", "silent_verified", "silent_failed")
    assert sum(claims[cell] for cell in two_by_two) + claims["unscored"] == trajectory["sessions"]
    kept = sum(d.weight > 0 for d in decisions)
    assert kept + sum(result["trust"]["dropped"].values()) == len(records)
    if np.isfinite(batch.outcome_K).all():
        assert all(0 <= share <= 1 for share in shares(result).values())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path):
    """Hashes of strings differ from process to process; nothing printed may hang on them."""
    write(tmp_path / "set.jsonl", planted())
    program = (
        "import sys, msgspec; from pathlib import Path; from assay.runs.audit import audit_log;"
        "sys.stdout.buffer.write(msgspec.json.encode(audit_log(Path(sys.argv[1]), seed=3).audit))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "set.jsonl")],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert json.loads(printed[0])["schema"] == "assay.audit/2"


def test_another_seed_moves_the_intervals_and_nothing_else():
    twice = [*planted(), *(renamed(each) for each in planted())]
    one_seed, other = audited(twice, seed=0), audited(twice, seed=1)
    changed = {key for key in one_seed if one_seed[key] != other[key]}
    assert changed <= {"pass_at_k_interval", "pass_hat_k_interval"}
    assert changed
