"""Every vector of shared/vectors/directive_vectors.py, V1 to V28: computed here to 1e-5, or held by
a test that is named, or named with why nothing of ours computes it. A new one is in none, and seen.
"""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.credit import method
from assay.credit.labels import baseline_of
from assay.credit.statistics import updated
from assay.gate import gate
from assay.kernels.noise import backward, forward, others, posterior, true_rate, weighed
from assay.kernels.uplift import Uplift
from assay.kernels.verdicts import majority, majority_error, worth
from assay.verify.rates import prevalence, upper
from tests.credit.test_judged import MIXED, RATES, labelled, said
from tests.credit.test_shared_vectors import leaves
from tests.credit.worlds import batch_of, group, one, per_trajectory

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT.parent / "shared" / "vectors" / "directive_vectors.py"
NAN = float("nan")
HELD = {
    "V2": ("credit/test_teaching", "test_opd_by_hand", "test_additive_by_hand"),
    "V3": ("signal/test_loss_terms",
           "test_the_teacher_that_names_most_of_what_the_policy_names"),
    "V4a on-policy": ("trainers/test_losses", "test_a_teachers_clipped_loss_by_hand"),
    "V4b drifted": ("trainers/test_losses", "test_a_teachers_clipped_loss_by_hand"),
    "V5": ("trainers/test_losses", "test_divergence_over_named_tokens_and_a_tail",
           "test_the_tail_of_everything_is_nearly_nothing"),
    "V6": ("credit/test_teaching", "test_rlsd_by_hand"),
    "V7": ("credit/test_teaching", "test_agreement_by_hand"),
    "V8": ("signal/test_importance", "test_shaping_at_worked_values"),
    "V12mc": ("credit/test_judged", "test_whoever_is_judged_leniently_is_not_paid_for_it"),
    "V27": ("rollout/test_teaching", "test_how_near_is_near"),
}  # fmt: skip
"""By vector: a file of tests, and the tests in it that hold it."""
OTHERS = {
    "V2pad": "a padded log-probability: steps have one each or none (records.checks)",
    "V16": "of serving: ids are never encoded anew",
    "V17": "of serving: merging calls by prefix",
    "V18": "of serving: weights of rows that are one rollout's",
    "V20": "what retries record; a label is of one attempt (docs/label_noise.md)",
    "V21": "of skills",
    "V24": "of serving: trainer against sampler",
}
"""What is computed nowhere here, and why."""


def array(*values: float) -> np.ndarray:
    return np.array(values, float)


def both(rho0: float, rho1: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full(2, rho0), np.full(2, rho1)


def mean(values: np.ndarray, accepted: float) -> float:
    """The mean of (accepted, rejected) where so many are accepted."""
    return float(accepted * values[0] + (1 - accepted) * values[1])


def v1() -> list[Any]:
    rows = ([1, 1, -1], [1, -1, 0], [1, -1, None], [None, None, -1], [None] * 3, [1, 1, -1, -1, 0])
    found = []
    for votes in rows:
        label = majority(np.array([[NAN if v is None else v for v in votes]], float))[0]
        # there 0 says "not trained on", which is no label here
        found.append({"votes": votes, "label": 0 if np.isnan(label) else label})
    return found


def v9() -> list[Any]:
    records = [one(1.0, steps=[labelled(1), labelled(1)]),
               one(0.0, steps=[labelled(1), labelled(-1)]),
               one(0.0, steps=[labelled(-1)])]  # fmt: skip
    by = method("next_state", variant="step")
    (made,) = by(batch_of(records)).made
    value, z = made.term.value_U, made.advantage_U
    return [
        {"step": 0, "rewards": value[[0, 2, 4]], "z": z[[0, 2, 4]]},
        {"step": 1, "rewards": value[[1, 3]], "z": z[[1, 3]]},
    ]


def v10() -> list[Any]:
    x, w = backward(array(1, 0), *both(0.2, 0.1)), forward(array(1, 0), both(0.2, 0.1)[1])
    apart = (x[0] - x[1]) ** 2
    return [{
        "J": 1 - 0.2 - 0.1, "R1": x[0], "R0": x[1], "E1": mean(x, 0.9), "E0": mean(x, 0.2),
        "var1": 0.9 * 0.1 * apart, "var0": 0.2 * 0.8 * apart, "fw1": w[0], "fw0": w[1],
        "Ew_true1": mean(w, 0.9), "Ew_true0": mean(w, 0.2),
    }]  # fmt: skip


OBSERVED = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def v11() -> list[Any]:
    judged, known = batch_of(said(r) for r in OBSERVED), {"judge": (0.2, 0.1)}
    exact = {"ddof": 0, "eps": 0.0}

    def given(batch: Any, name: str, **options: Any) -> np.ndarray:
        return np.array(per_trajectory(batch, method(name, **options)(batch)))

    x = backward(np.array(OBSERVED), np.full(8, 0.2), np.full(8, 0.1))
    p = float(true_rate(array(0.375), 0.2, 0.1)[0])
    std = 7 / 8 * given(judged, "mixed_judges", rates=known, scale="std")
    return [{
        "z_obs": given(group(OBSERVED), "grpo", **exact),
        "z_corr": given(group(x.tolist()), "grpo", **exact),
        "dr_obs": given(group(OBSERVED), "dr_grpo"),
        # the mean of all in place of that of the others
        "dr_corr": 7 / 8 * given(judged, "mixed_judges", rates=known),
        "p_tilde": 0.375, "p_hat": p, "std_corrected": std,
        "shrink_of_naive": given(group(OBSERVED), "grpo", **exact)[0] / std[0],
    }]  # fmt: skip


def v11b() -> list[Any]:
    judged = batch_of(said(float(k == 0)) for k in range(8))
    by = method("mixed_judges", rates={"judge": (0.2, 0.1)}, scale="std")
    dropped = not by(judged).carried.any()
    action = "drop the group: every positive is explained by false positives"
    return [{
        "p_tilde": 0.125, "p_hat": true_rate(array(0.125), 0.2, 0.1)[0],
        "p_hat_raw": backward(array(0.125), array(0.2), array(0.1))[0],
        "action": action if dropped else "",
    }]  # fmt: skip


def v12() -> list[Any]:
    batch = batch_of(MIXED)
    rho0, rho1 = (
        array(*([RATES["A"][i]] * 4 + [RATES["B"][i]] * 3 + [RATES["C"][i]])) for i in (0, 1)
    )
    x, w = weighed(batch.outcome_K, rho0, rho1)
    found = per_trajectory(batch, method("mixed_judges", rates=RATES)(batch))
    kernel = x - others(x, w, np.zeros(8, np.int64))
    np.testing.assert_allclose(np.nan_to_num(found), np.nan_to_num(kernel), atol=1e-12)
    note = "7th: unscorable; 8th: J=0.05<0.2; naive LOO of the six: 0.6,0.6,-0.6,-0.6,0.6,-0.6"
    return [{"corrected": np.nan_to_num(x), "weight": w, "advantage": np.nan_to_num(found),
             "note": note}]  # fmt: skip


def v12b() -> list[Any]:
    found = {
        f"{judge}{int(seen)}": posterior(array(seen), array(0.3), array(rho0), array(rho1))[0]
        for judge, (rho0, rho1) in RATES.items()
        if judge != "C"
        for seen in (1.0, 0.0)
    }
    return [{"posterior_p03": found}]


def v13() -> list[Any]:
    found = []
    for guess in (0.1, 0.15, 0.2, 0.25, 0.3):
        x = backward(array(1, 0), *both(guess, 0.1))
        found.append(
            {"true": [0.2, 0.1], "rho0_hat": guess, "E1": mean(x, 0.9), "E0": mean(x, 0.2)}
        )
    return found


def v14() -> list[Any]:
    found: list[Any] = []
    for m in (100, 20):
        given = {"p": 0.6, "spec": 0.85, "sens": 0.9, "n": 500, "m0": m, "m1": m}
        out = prevalence(0.6, 0.15, 0.1, n=500, failed=m, passed=m)
        found.append({"in_": given, "out": list(out)})
    bounds = {str(m): upper(0, m, 0.95) for m in (20, 50, 100, 300)}
    return [*found, {"zero_FP_upper95": bounds}]


def v15() -> list[Any]:
    sizes = (1, 3, 5, 7)
    return [{
        "independent": {str(e): [majority_error(e, m) for m in sizes] for e in (0.1, 0.2, 0.3)},
        "corr053_e02": [majority_error(0.2, m, 0.53) for m in sizes],
        "n_eff_8": worth(8, 0.53),
    }]  # fmt: skip


def v19() -> list[Any]:
    given = [1.0, 1.0, 0.0, None, None]
    batch = batch_of(one(outcome) for outcome in given)
    batch = batch.gated(gate(batch))
    filled = group([0.0 if outcome is None else outcome for outcome in given])
    by = method("dr_grpo")
    return [{"filled_with_0": per_trajectory(filled, by(filled)),
             "excluded": per_trajectory(batch, by(batch))}]  # fmt: skip


def v22() -> list[Any]:
    found = []
    for k in range(9):
        batch = group([1.0] * k + [0.0] * (8 - k))
        made = method("grpo", ddof=0, eps=0.0)(batch).made[0]
        found.append(0.0 if made.constant_U[0] else made.divisor_U[0])
    return [{"sqrt_p_1mp_n8": found}]


def v22ema() -> list[Any]:
    kept: Any = {}
    found: list[float] = []
    for label in (1, 1, -1, 1):
        batch = replace(batch_of([one(None, steps=[labelled(label)])]), statistics=kept)
        found += method("next_state")(batch).advantage_N.tolist()
        kept = updated(batch, keep=0.9)
    return [{"rewards": [1, 1, -1, 1], "decay": 0.9, "advantages": found,
             "baseline_end": kept[baseline_of("votes/call")]}]  # fmt: skip


def v23() -> list[Any]:
    naive = mean(array(1, 0), 0.3 * 0.9 + 0.7 * 0.2)  # a Brier score is least at the mean
    fixed = backward(array(naive), array(0.2), array(0.1))[0]
    return [{"true_rate": 0.3, "rho": [0.2, 0.1], "brier_minimiser_naive": naive,
             "brier_minimiser_corrected": fixed}]  # fmt: skip


def v25() -> list[Any]:
    by, high = method("honest_claims"), method("honest_claims", under_claim=0.075)
    return [{"lambdas": [0.25, 0.05, 0.25], "threshold": by.pays_above, "at_b05": by.earned(0.5),
             "at_b06": by.earned(0.6), "for_08": high.pays_above}]  # fmt: skip


def v26() -> list[Any]:
    seen = Uplift(told=14, neutral=8, pairs=20)
    return [{"uplift": seen.value, "se": seen.error, "lcb90_one_sided": seen.lower,
             "admit": seen.admits}]  # fmt: skip


def v28() -> list[Any]:
    found = []
    for judge, (rho0, rho1) in RATES.items():
        if judge == "C":
            continue
        told = posterior(array(1, 0), np.full(2, 0.3), *both(rho0, rho1))
        x, p = backward(array(1, 0), *both(rho0, rho1)), 0.3 * (1 - rho1) + 0.7 * rho0
        found.append({
            "judge": judge, "mean": mean(told, p), "var": p * (1 - p) * (told[0] - told[1]) ** 2,
            "var_backward": p * (1 - p) * (x[0] - x[1]) ** 2,
            "gap": (1 - rho0 - rho1) * (told[0] - told[1]),
        })  # fmt: skip
    return found


OURS = {
    "V1": v1, "V9": v9, "V10": v10, "V11": v11, "V11b": v11b, "V12": v12, "V12b": v12b, "V13": v13,
    "V14": v14, "V15": v15, "V19": v19, "V22": v22, "V22ema": v22ema, "V23": v23, "V25": v25,
    "V26": v26, "V28": v28,
}  # fmt: skip
"""By vector: what we get of it, row by row of what the script prints."""


def printed() -> dict[str, list[Any]]:
    """What the script prints: rows by vector."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True, timeout=120
    )
    found: dict[str, list[Any]] = {}
    for tag, row in re.findall(r"^\[(.*?)\] (.*)$", done.stdout, re.M):
        found.setdefault(tag, []).append(json.loads(row))
    return found


@pytest.mark.shared_data
@pytest.mark.skipif(not SCRIPT.is_file(), reason="needs shared/vectors beside the repository")
def test_every_vector_is_computed_held_or_named():
    expected = printed()
    places = (OURS, HELD, OTHERS)
    assert sum(map(len, places)) == len({name for of in places for name in of}), "in one place"
    assert {name for of in places for name in of} == set(expected)
    for name, made in OURS.items():
        ours, theirs = leaves(made()), leaves(expected[name])
        assert set(ours) == set(theirs), name
        for path, value in ours.items():
            if isinstance(theirs[path], bool | str | None):
                assert value == theirs[path], (name, path)
            else:  # six digits are printed, or four
                digits = len(repr(theirs[path]).partition(".")[2])
                near = 1e-5 if digits >= 5 else 0.51 * 10.0 ** -max(digits, 4)
                assert value == pytest.approx(theirs[path], abs=near, rel=0), (name, path)


def test_the_tests_that_hold_a_vector_are_there():
    for name, (file, *tests) in HELD.items():
        tree = ast.parse((ROOT / "tests" / f"{file}.py").read_text("utf-8"))
        there = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
        assert set(tests) <= there, name
