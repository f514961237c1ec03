"""The audit of real logs, against a counter that shares no code with it and typed-in headlines."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from assay.runs.audit import audit_log
from tests.audit import counter

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs shared/data beside the repository"),
]
SETS = {
    "tau-bench": ("tau-bench/gpt-4o-airline.json", counter.tau_bench),
    "intercode-sql": ("intercode-sql", counter.intercode),
    "who-and-when": ("who-and-when", counter.who_and_when),
}


@cache
def audited(name: str) -> dict[str, Any]:
    return audit_log(DATA / SETS[name][0]).audit


@pytest.fixture(scope="module", params=SETS)
def both(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    path, read = SETS[request.param]
    return audited(request.param), counter.count(read(DATA / path))


def test_every_count_is_the_counters(both):
    audit, counted = both
    assert audit["groups"] == counted["groups"] | {"components_cancel": 0}
    category = {"by_category": audit["trajectories"]["by_category"]}
    category |= {"sessions": audit["trajectories"]["total"], "rescued": 0}
    assert audit["trajectories"] == counted["trajectories"] | category
    split = ("punished_shared", "punished_variance", "punished_systematic")  # test_punished.py
    calls = {key: count for key, count in audit["calls"].items() if key not in split}
    assert calls == counted["calls"] | {"unparsed": 0, "punished_state": 0}
    assert audit["steps"] == counted["steps"]
    assert audit["measure"] == "characters"
    empty = {"trajectories": 0, "characters": 0}
    rest = dict.fromkeys(("unscored", "infrastructure", "masked", "drifted"), empty)
    assert audit["fate"] == counted["fate"] | rest
    assert audit["trust"]["duplicates"] == counted["duplicates"]


def test_every_rate_is_the_counters(both):
    audit, counted = both
    for name in ("pass_at_k", "pass_hat_k"):
        assert audit[name] == pytest.approx(counted[name], abs=1e-12)
        for k, interval in audit[f"{name}_interval"].items():
            if interval is not None:
                assert interval[0] <= audit[name][k] <= interval[1]
    assert audit["pass_k_groups"] == counted["pass_k_groups"]


def test_what_one_sided_methods_reach_is_the_counters(both):
    audit, counted = both
    assert audit["recovered"]["psr"] == pytest.approx(counted["positive"])
    assert audit["recovered"]["nsr"] == pytest.approx(counted["negative"])
    assert audit["recovered"]["grpo"] == {"groups": 0, "steps": 0, "share_of_dead": 0.0}


def test_claims_and_categories_add_up_to_outcomes(both):
    audit, counted = both
    claims, passed = audit["claims"], counted["trajectories"]["passed"]
    assert claims["claimed_verified"] + claims["silent_verified"] == passed
    failed = counted["trajectories"]["total"] - passed
    assert claims["claimed_failed"] + claims["silent_failed"] == failed
    assert claims["unscored"] == 0
    assert claims["admitted_verified"] <= claims["silent_verified"]
    assert claims["admitted_failed"] <= claims["silent_failed"]
    category = audit["trajectories"]["by_category"]
    assert category["true_success"] + category["under_claim"] == passed
    assert category["under_claim"] == claims["admitted_verified"]
    assert category["false_success"] == claims["claimed_failed"]
    assert category["honest_failure"] == claims["silent_failed"]
    assert sum(category.values()) == counted["trajectories"]["total"]


def test_fates_partition_what_the_policy_wrote(both):
    audit, counted = both
    written = sum(row["characters"] for row in audit["fate"].values())
    assert written == sum(row["characters"] for row in counted["fate"].values())
    assert written > 0


def test_headlines_of_tau_bench():
    tau = audited("tau-bench")
    groups = {k: tau["groups"][k] for k in ("total", "all_fail", "all_pass", "mixed", "dead")}
    assert groups == {"total": 50, "all_fail": 14, "all_pass": 10, "mixed": 26, "dead": 24}
    calls = tau["calls"]
    assert (calls["total"], calls["error"], calls["in_failed_of_mixed"]) == (1164, 73, 358)
    punished = [calls[f"punished_{by}"] for by in ("expert", "sibling", "correct")]
    assert punished == [106, 161, 190]
    assert calls["expert_in_all_fail"] == 149
    assert [round(tau["pass_at_k"][k], 3) for k in "1234"] == [0.42, 0.567, 0.66, 0.72]
    assert [round(tau["pass_hat_k"][k], 3) for k in "1234"] == [0.42, 0.273, 0.22, 0.2]
    assert tau["trajectories"]["passed"] == 84
    assert not tau["trust"]["has_tokens"]


def test_headlines_of_intercode():
    intercode = audited("intercode-sql")
    groups = intercode["groups"]
    assert intercode["trajectories"]["total"] == 1399
    assert groups["total"] == 200
    assert (groups["all_fail"], groups["graded"], groups["constant_partial"]) == (38, 5, 0)
    assert (groups["all_pass"], groups["mixed"], groups["dead"]) == (1, 161, 34)
    assert intercode["steps"]["total"] == intercode["calls"]["total"] == 11_553
