"""Judges that err, by source and stratum: what audits of a set say of them, and their rates.

A judge (E1, E2) whose word a check or a person (E3, E4) looked at was audited, whichever of them
decided: such pairs cost nothing. A stratum is what the agent said of its own success, for a judge
who believes it errs where it claims. Axes: K trajectories, each by the one that votes for it.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from jaxtyping import Bool, Int64

from assay.batch import CATEGORIES, CLAIMS, Batch
from assay.kernels.constancy import bar
from assay.verify.rates import EXACT, Audits, Rates, rates

Strata = Literal["claim", "none"]
COUNTS: Final = (
    *("accepted passed", "accepted failed", "rejected passed", "rejected failed"),
    *("accepted", "judged"),
)
"""What is kept of each judge and stratum, as statistic `judge NAME/CLAIM: COUNT`."""
_CHECKED = [CATEGORIES.index(name) for name in CATEGORIES[:4]]
_JUDGED = [CATEGORIES.index(name) for name in ("unverified_claim", "weak_success", "weak_failure")]


def strata_K(batch: Batch) -> Int64[np.ndarray, " K"]:
    """Returns a number of the judge and the claim of each trajectory; -1: nobody judged it."""
    voter_K = batch.vote_K
    code_K = batch.judge_K * len(CLAIMS) + batch.claim_K
    return np.where(batch.judge_K < 0, -1, code_K)[voter_K]


def decided_K(batch: Batch) -> Bool[np.ndarray, " K"]:
    """Returns of which trajectories a judge, and no check, decided the outcome."""
    return np.isin(batch.category_K, _JUDGED)[batch.vote_K]


def named(batch: Batch, code: int, strata: Strata = "claim") -> str:
    """Returns NAME/CLAIM of a number of `strata_K`, or NAME."""
    judge = batch.judges[code // len(CLAIMS)]
    return f"{judge}/{CLAIMS[code % len(CLAIMS)]}" if strata == "claim" else judge


def counted(batch: Batch, pass_at: float = 1.0) -> dict[str, float]:
    """Returns how often each judge accepted what a check says passed, and so on: see `COUNTS`.

    Every session is counted once, whatever the gates said.
    """
    code_K = strata_K(batch)
    seen_K = batch.once_K & (code_K >= 0)
    accepted_K = batch.verdict_K >= bar(pass_at)
    checked_K = seen_K & np.isin(batch.category_K, _CHECKED)
    passed_K = batch.outcome_K >= bar(pass_at)
    which_K = np.where(accepted_K, 0, 2) + np.where(passed_K, 0, 1)
    found: dict[str, float] = {}
    for code in np.unique(code_K[seen_K]).tolist():
        of_K = seen_K & (code_K == code)
        four = np.bincount(which_K[of_K & checked_K], minlength=4).tolist()
        both = (int((of_K & accepted_K).sum()), int(of_K.sum()))
        name = named(batch, code)
        found |= {
            f"judge {name}: {c}": float(n) for c, n in zip(COUNTS, (*four, *both), strict=True)
        }
    return found


def audits(statistics: Mapping[str, float], strata: Strata = "claim") -> dict[str, Audits]:
    """Returns what statistics tell of each judge, by NAME/CLAIM, or by NAME over all claims.

    Audits may be drawn of what was accepted and of what was rejected apart, so both are read by the
    share that the judge accepts. Counts that have faded count as whole ones, cut off.
    """
    by_name: dict[str, Counter[str]] = {}
    for key, value in statistics.items():
        head, _, count = key.rpartition(": ")
        if head.startswith("judge ") and count in COUNTS:
            name = head.removeprefix("judge ")
            name = name if strata == "claim" else name.rpartition("/")[0]
            by_name.setdefault(name, Counter())[count] += value  # pyright: ignore[reportArgumentType]
    return {
        name: Audits(
            *(int(c[each]) for each in COUNTS[:4]),
            accepted_share=c["accepted"] / c["judged"] if c["judged"] else None,
        )
        for name, c in by_name.items()
    }


def rates_of(
    batch: Batch, given: Mapping[str, tuple[float, float]], strata: Strata, pass_at: float
) -> dict[int, Rates]:
    """Returns the rates of each number of `strata_K`.

    Those that are given, by NAME/CLAIM or by NAME; else those of the audits that the run kept
    (`Batch.statistics`), which this batch has no part in; else those of this batch's audits.
    """
    known = audits(batch.statistics, strata) or audits(counted(batch, pass_at), strata)
    found: dict[int, Rates] = {-1: EXACT}
    for code in np.unique(strata_K(batch)).tolist():
        if code < 0:
            continue
        name, judge = named(batch, code, strata), named(batch, code, "none")
        own = given.get(name, given.get(judge))
        found[code] = rates(known.get(name, Audits())) if own is None else Rates(*own)
    return found
