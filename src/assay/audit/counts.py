"""Where the learning signal of a set of trajectories is, and where it is lost.

`audit` is a pure function of arrays. Its result is the JSON of `assay audit --json`, schema
"assay.audit/1" (docs/formats.md): a contract that other programs read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Int64

from assay.audit.annotations import step_credit
from assay.batch import CATEGORIES, CLAIMS, ENDS, UNTRAINABLE, Batch
from assay.credit import METHODS, Method
from assay.credit import method as method_of
from assay.errors import MethodError
from assay.gate import components_cancel, first_copy
from assay.kernels.advantages import Advantages
from assay.kernels.groups import (
    ALL_FAIL,
    ALL_PASS,
    CONSTANT_PARTIAL,
    FATES,
    MIXED,
    SINGLE,
    UNSCORED,
    fates,
)
from assay.kernels.passk import bootstrap_interval, pass_at_k, pass_hat_k
from assay.records import Decision

SCHEMA: Final = "assay.audit/1"
FATE_KINDS: Final = (
    "trained_up",
    "trained_down",
    "punished_correct",
    "neutral",
    "truncated",
    "dead",
    "unscored",
    "infrastructure",
    "masked",
    "drifted",
)
"""What becomes of what the policy wrote under GRPO. `trained_down`: punished, and nothing says that
it was right; `punished_correct`: a call in a punished trajectory that evidence says was right;
`truncated`: punished text of a trajectory that its own budget cut off; `neutral`: an advantage of
exactly 0 in a live group."""


def audit(
    batch: Batch,
    decisions: Sequence[Decision],
    credits: Mapping[str, Advantages],
    *,
    pass_at: float = 1.0,
    losses: Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the audit of a gated batch.

    Args:
        batch: after the gates (`Batch.gated`).
        decisions: what the gates decided, in the batch's order.
        credits: advantages per method; "grpo" is what the fates are read from.
        pass_at: a trajectory passes at this outcome or above.
        losses: what the importer could not carry over, by kind.
        seed: of the bootstrap intervals; the same seed gives the same bytes.
    """
    fate_G, dead_G = group_fates(batch, pass_at=pass_at)
    passed_K = batch.outcome_K >= pass_at
    rng = np.random.default_rng(seed)
    return {
        "schema": SCHEMA,
        "measure": batch.measure,
        "pass_at": pass_at,
        "groups": _groups(batch, fate_G, dead_G),
        "trajectories": _trajectories(batch, passed_K),
        **_pass_rates(batch, passed_K, rng),
        "calls": _calls(batch, fate_G, passed_K),
        "steps": {"total": int(batch.traj_S.size)},
        "fate": _fate(batch, dead_G, credits["grpo"]),
        "recovered": _recovered(batch, fate_G, dead_G, credits),
        "not_applicable": not_applicable(batch, credits, pass_at=pass_at),
        "claims": _claims(batch, passed_K),
        "losses": dict(sorted((losses or {}).items())),
        "trust": _trust(batch, decisions, passed_K),
    }


def group_fates(
    batch: Batch, *, pass_at: float = 1.0
) -> tuple[Int64[np.ndarray, " G"], Bool[np.ndarray, " G"]]:
    """Returns what became of each group by its outcomes, and whether it is dead for GRPO.

    Who passed is a matter of outcomes; who is compared, of what the gates left: a group whose only
    failure was dropped is mixed and dead.
    """
    fate_G, _ = fates(batch.outcome_K, batch.group_K, n_groups=batch.n_groups, pass_at=pass_at)
    return fate_G, fates(batch.value_K, batch.group_K, n_groups=batch.n_groups)[1]


def applicable(batch: Batch, *, pass_at: float = 1.0) -> dict[str, Method]:
    """Returns every registered method, with default options, that can run on the batch.

    Methods that know only passes and failures are told the same `pass_at` as the audit.
    """
    methods = {name: method(name, pass_at=pass_at) for name in METHODS.names()}
    return {name: each for name, each in methods.items() if _refusal(each, batch) is None}


def method(name: str, *, pass_at: float, **options: Any) -> Method:
    """Returns a method; its `pass_at`, where it has one and none is given, is the audit's."""
    told = hasattr(METHODS.get(name), "pass_at")  # slots and defaults are class attributes
    return method_of(name, **({"pass_at": pass_at} if told else {}), **options)


def not_applicable(
    batch: Batch, credits: Mapping[str, Advantages], *, pass_at: float = 1.0
) -> dict[str, str]:
    """Returns the registered methods that are not in `credits`, with the reason."""
    missing = [name for name in METHODS.names() if name not in credits]
    return {
        name: _refusal(method(name, pass_at=pass_at), batch) or "not asked for" for name in missing
    }


def _refusal(method: Method, batch: Batch) -> str | None:
    try:
        method.check(batch)
        method.terms(batch)
    except MethodError as error:
        return str(error)
    return None


def _groups(
    batch: Batch, fate_G: Int64[np.ndarray, " G"], dead_G: Bool[np.ndarray, " G"]
) -> dict[str, int]:
    counts = np.bincount(fate_G, minlength=len(FATES))
    names = ("all_fail", "all_pass", "mixed", "constant_partial", "single", "unscored")
    codes = (ALL_FAIL, ALL_PASS, MIXED, CONSTANT_PARTIAL, SINGLE, UNSCORED)
    return {
        "total": batch.n_groups,
        **{name: int(counts[code]) for name, code in zip(names, codes, strict=True)},
        "dead": int(dead_G.sum()),
        "graded": int(((fate_G == ALL_FAIL) & ~dead_G).sum()),
        "components_cancel": int(components_cancel(batch).sum()),
    }


def _trajectories(batch: Batch, passed_K: Bool[np.ndarray, " K"]) -> dict[str, Any]:
    scored = int((~np.isnan(batch.outcome_K)).sum())
    passed = int(passed_K.sum())
    return {
        "total": len(batch.ids),
        "scored": scored,
        "unscored": len(batch.ids) - scored,
        "passed": passed,
        "pass_rate": passed / scored if scored else None,
        "by_end": {name: int((batch.end_K == code).sum()) for code, name in enumerate(ENDS)},
        "by_category": {
            name: int((batch.category_K == code).sum()) for code, name in enumerate(CATEGORIES)
        },
    }


def _pass_rates(
    batch: Batch, passed_K: Bool[np.ndarray, " K"], rng: np.random.Generator
) -> dict[str, Any]:
    """Returns pass@k and pass^k with 95 % intervals over groups, k up to the largest group."""
    scored_K = ~np.isnan(batch.outcome_K)
    total_G = np.bincount(batch.group_K[scored_K], minlength=batch.n_groups)
    passed_G = np.bincount(batch.group_K[passed_K], minlength=batch.n_groups)
    largest = int(total_G.max(initial=0))
    ks = [k for k in range(1, largest + 1) if k <= 8 or k & (k - 1) == 0]
    table: dict[str, Any] = {}
    for name, estimate in (("pass_at_k", pass_at_k), ("pass_hat_k", pass_hat_k)):
        values = {k: estimate(total_G, passed_G, k) for k in ks}
        table[name] = {str(k): float(np.nanmean(value_G)) for k, value_G in values.items()}
        table[f"{name}_interval"] = {
            str(k): list(bootstrap_interval(value_G, rng=rng)) for k, value_G in values.items()
        }
    table["pass_k_groups"] = {str(k): int((total_G >= k).sum()) for k in ks}
    return table


def _calls(
    batch: Batch, fate_G: Int64[np.ndarray, " G"], passed_K: Bool[np.ndarray, " K"]
) -> dict[str, int]:
    traj_C = batch.traj_S[batch.step_C]
    failed_C = (~passed_K & ~np.isnan(batch.outcome_K))[traj_C]
    in_mixed_C = failed_C & (fate_G[batch.group_K] == MIXED)[traj_C]
    ran_C = batch.ran_C == 1
    expert_C, sibling_C = ran_C & (batch.expert_C == 1), ran_C & (batch.sibling_C == 1)
    in_all_fail_C = (fate_G[batch.group_K] == ALL_FAIL)[traj_C]
    return {
        "total": int(batch.step_C.size),
        "error": int((batch.ran_C == 0).sum()),
        "unanswered": int((batch.ran_C < 0).sum()),
        "unparsed": int((batch.parsed_C == 0).sum()),
        "in_failed_of_mixed": int(in_mixed_C.sum()),
        "punished_expert": int((in_mixed_C & expert_C).sum()),
        "punished_sibling": int((in_mixed_C & sibling_C).sum()),
        "punished_correct": int((in_mixed_C & (expert_C | sibling_C)).sum()),
        "expert_in_all_fail": int((in_all_fail_C & expert_C).sum()),
    }


def _fate(batch: Batch, dead_G: Bool[np.ndarray, " G"], grpo: Advantages) -> dict[str, Any]:
    """Returns, per fate, how much the policy wrote and in how many trajectories."""
    kind_R = run_fates(batch, dead_G, grpo)
    fated = {}
    for code, kind in enumerate(FATE_KINDS):
        here_R = kind_R == code
        fated[kind] = {
            "trajectories": int(np.unique(batch.traj_R[here_R]).size),
            batch.measure: int(batch.length_R[here_R].sum()),
        }
    return fated


def run_fates(
    batch: Batch, dead_G: Bool[np.ndarray, " G"], grpo: Advantages
) -> Int64[np.ndarray, " R"]:
    """Returns the index into `FATE_KINDS` of each run; -1 for what the policy did not write.

    Where several apply the first of these wins: masked or drifted, infrastructure, unscored, dead,
    then what the sign of GRPO's advantage says.
    """
    step, traj = batch.step_R, batch.traj_R
    mask_R = np.append(batch.untrainable_S, -1)[step]
    infra_R = (batch.category_K == CATEGORIES.index("infra"))[traj]
    unscored_R = (np.isnan(batch.outcome_K) | ~batch.kept_K)[traj]
    ran_C = batch.ran_C == 1
    correct_C = ran_C & ((batch.expert_C == 1) | (batch.sibling_C == 1) | (batch.on_path_C == 1))
    correct_R = np.append(correct_C, False)[batch.call_R]
    drifted_R = (mask_R == UNTRAINABLE.index("drifted")) | (mask_R == UNTRAINABLE.index("logprobs"))
    cut_R = (batch.end_K == ENDS.index("budget"))[traj]
    cases = [
        (step < 0, -1),
        (drifted_R, FATE_KINDS.index("drifted")),
        (mask_R >= 0, FATE_KINDS.index("masked")),
        (infra_R, FATE_KINDS.index("infrastructure")),
        (unscored_R, FATE_KINDS.index("unscored")),
        (dead_G[batch.group_K][traj], FATE_KINDS.index("dead")),
        (grpo.total > 0, FATE_KINDS.index("trained_up")),
        (grpo.total == 0, FATE_KINDS.index("neutral")),
        (correct_R, FATE_KINDS.index("punished_correct")),
        (cut_R, FATE_KINDS.index("truncated")),
    ]
    return np.select(
        [case for case, _ in cases], [code for _, code in cases], FATE_KINDS.index("trained_down")
    )


def _recovered(
    batch: Batch,
    fate_G: Int64[np.ndarray, " G"],
    dead_G: Bool[np.ndarray, " G"],
    credits: Mapping[str, Advantages],
) -> dict[str, dict[str, int | float]]:
    """Returns, per method, how much of the dead groups gets an advantage that is not 0."""
    dead_S = (dead_G & (fate_G != UNSCORED))[batch.group_K][batch.traj_S]
    n_dead = max(int(dead_S.sum()), 1)
    recovered: dict[str, dict[str, int | float]] = {}
    for name, advantages in credits.items():
        magnitude_S = step_credit(batch, advantages).magnitude_S
        live_S = dead_S & (np.nan_to_num(magnitude_S) > 0)
        recovered[name] = {
            "groups": int(np.unique(batch.group_K[batch.traj_S[live_S]]).size),
            "steps": int(live_S.sum()),
            "share_of_dead": float(live_S.sum() / n_dead),
        }
    return recovered


def _claims(batch: Batch, passed_K: Bool[np.ndarray, " K"]) -> dict[str, int]:
    scored_K = ~np.isnan(batch.outcome_K)
    claimed_K = batch.claim_K == CLAIMS.index("claimed")
    admitted_K = batch.claim_K == CLAIMS.index("admitted")
    failed_K = scored_K & ~passed_K
    return {
        "claimed_verified": int((claimed_K & passed_K).sum()),
        "claimed_failed": int((claimed_K & failed_K).sum()),
        "silent_verified": int((~claimed_K & passed_K).sum()),
        "silent_failed": int((~claimed_K & failed_K).sum()),
        "unscored": int((~scored_K).sum()),
        "admitted_verified": int((admitted_K & passed_K).sum()),
        "admitted_failed": int((admitted_K & failed_K).sum()),
    }


def _trust(
    batch: Batch, decisions: Sequence[Decision], passed_K: Bool[np.ndarray, " K"]
) -> dict[str, Any]:
    """Returns what to know before believing any other number."""
    n = max(len(batch.ids), 1)
    scored_K = ~np.isnan(batch.outcome_K)
    claimed_K = (batch.claim_K == CLAIMS.index("claimed")) & scored_K
    false_claims = int((claimed_K & ~passed_K).sum())
    copies = int((first_copy(batch) != np.arange(len(batch.ids))).sum())
    infra = int((batch.category_K == CATEGORIES.index("infra")).sum())
    trust: dict[str, Any] = {
        "infra_share": infra / n,
        "unscored_share": float((~scored_K).sum() / n),
        "false_claim_share": false_claims / int(claimed_K.sum()) if claimed_K.any() else None,
        "duplicates": copies,
        "repeated_ids": len(batch.ids) - len(set(batch.ids)),
        "dropped": dict(sorted(Counter(d.reason for d in decisions if d.weight == 0).items())),
        "untrainable_steps": {
            name: int((batch.untrainable_S == code).sum()) for code, name in enumerate(UNTRAINABLE)
        },
        "has_tokens": batch.measure == "tokens",
        "has_logprobs": batch.logprob_N is not None,
    }
    return {**trust, "warnings": _warnings(trust, batch)}


def _warnings(trust: Mapping[str, Any], batch: Batch) -> list[str]:
    """Returns one plain sentence for each thing that makes the other numbers doubtful."""
    said: list[str] = []
    n = len(batch.ids)
    infra, unscored = round(trust["infra_share"] * n), round(trust["unscored_share"] * n)
    if infra:
        said.append(
            f"{infra:,} of {n:,} trajectories were stopped by infrastructure; "
            "they are unscored here, whatever reward the log gives them"
        )
    if unscored > infra:
        said.append(f"{unscored - infra:,} of {n:,} trajectories have no outcome at all")
    if (trust["false_claim_share"] or 0) > 0.1:
        said.append(
            f"{trust['false_claim_share']:.0%} of the trajectories that say they are done failed"
        )
    if trust["duplicates"]:
        said.append(f"{trust['duplicates']} trajectories repeat another one of their group")
    if trust["repeated_ids"]:
        said.append(f"{trust['repeated_ids']} trajectory ids occur more than once")
    drifted = trust["untrainable_steps"]["drifted"]
    if drifted:
        said.append(f"{drifted} steps were re-tokenised and cannot be trained on")
    if batch.measure == "characters":
        said.append("no token ids: this set can be audited and credited, not trained on")
    return said


def dead_share(result: Mapping[str, Any]) -> float:
    """Returns the share of groups that teach GRPO nothing."""
    groups = result["groups"]
    return groups["dead"] / groups["total"] if groups["total"] else 0.0


def shares(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns the shares that `--fail-on` knows, in [0, 1]."""
    measure = result["measure"]
    written = {kind: row[measure] for kind, row in result["fate"].items()}
    total = max(sum(written.values()), 1)
    in_failed = result["calls"]["in_failed_of_mixed"]
    return {
        "dead": dead_share(result),
        "punished": result["calls"]["punished_correct"] / in_failed if in_failed else 0.0,
        "wasted": 1 - (written["trained_up"] + written["trained_down"]) / total,
        "infra": result["trust"]["infra_share"],
        "unscored": result["trust"]["unscored_share"],
        "false_claims": result["trust"]["false_claim_share"] or 0.0,
        "errors": result["calls"]["error"] / max(result["calls"]["total"], 1),
        "fail": 1 - (result["trajectories"]["pass_rate"] or 0.0),
    }
