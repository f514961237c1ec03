"""How often the judges of a log err, where a check or a person looked at what they judged."""

from collections.abc import Mapping
from typing import Any

from assay.batch import Batch
from assay.credit.judges import audits, counted
from assay.verify.rates import ENOUGH, rates


def judged(batch: Batch, pass_at: float = 1.0) -> dict[str, dict[str, Any]]:
    """Returns by judge what audits found of it, over all claims; judges that nobody looked at are
    left out.

    `accepted_passed`, `accepted_failed`, `rejected_passed`, `rejected_failed`: trajectories that
    were looked at; `rho0` false positives from above, `rho1` false negatives, `j` and `trust`, as
    training takes them (`verify.rates`).
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, each in audits(counted(batch, pass_at), "none").items():
        four = {
            "accepted_passed": each.accepted_passed,
            "accepted_failed": each.accepted_failed,
            "rejected_passed": each.rejected_passed,
            "rejected_failed": each.rejected_failed,
        }
        if any(four.values()):
            found = rates(each)
            known = {"rho0": found.rho0, "rho1": found.rho1, "j": found.j, "trust": found.trust}
            rows[name] = four | known
    return rows


def sentence(name: str, row: Mapping[str, Any]) -> str:
    """Returns what `judged` found of a judge in one line."""
    failed = row["accepted_failed"] + row["rejected_failed"]
    passed = row["accepted_passed"] + row["rejected_passed"]
    verdict = {
        "calibrated": "its word counts",
        "quarantined": "quarantined: below 0.2 nothing that it says counts",
        "uncalibrated": f"uncalibrated: of {ENOUGH} failures that must be looked at {failed} were",
    }
    return (
        f"judge {name}: accepted {row['accepted_failed']:,} of {failed:,} failures that were "
        f"checked (false positives at most {row['rho0']:.1%} by 90 %), rejected "
        f"{row['rejected_passed']:,} of {passed:,} passes; J {row['j']:.2f}, "
        f"{verdict[row['trust']]}"
    )
