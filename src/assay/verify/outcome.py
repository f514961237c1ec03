"""What is the outcome worth? The lattice of evidence E0 to E4, resolved.

| check (E3, E4) | judge, next state (E1, E2) | claim          | category         | value  |
|----------------|----------------------------|----------------|------------------|--------|
| pass           | any                        | claimed, none  | true_success     | check  |
| pass           | any                        | admitted       | under_claim      | check  |
| fail           | any                        | claimed        | false_success    | check  |
| fail           | any                        | admitted, none | honest_failure   | check  |
| none           | positive                   | claimed        | unverified_claim | judged |
| none           | positive                   | else           | weak_success     | judged |
| none           | negative                   | any            | weak_failure     | judged |
| none           | none                       | any            | unscorable       | None   |
| any, but stopped by infrastructure          | any            | infra            | None   |
| any, but with a "tampered" mark             | any            | tampered         | None   |
| two of the strongest level that differ      | any            | disputed         | None   |

E0 alone, the agent's own word, never makes a success. The strongest level with a value decides; of
sources inside a level that disagree none does. Only a person (E4) overrules the outcome that a log
records: it is what its source made of its own checks and judges (tau2-bench multiplies several, a
benchmark may vote), so it takes the place of theirs, at their level.
"""

from typing import Literal

from assay.kernels.constancy import bar
from assay.records import Claim, Trajectory
from assay.records.base import Record
from assay.records.evidence import ResolvedLevel, strongest

Category = Literal[
    "true_success",
    "under_claim",
    "false_success",
    "honest_failure",
    "unverified_claim",
    "weak_success",
    "weak_failure",
    "unscorable",
    "infra",
    "tampered",
    "disputed",
]


class Resolved(Record, frozen=True):
    """The outcome that training may use, and why."""

    value: float | None
    category: Category
    level: ResolvedLevel = "none"


def resolve(trajectory: Trajectory, claim: Claim, *, pass_at: float = 1.0) -> Resolved:
    """Returns the outcome of a trajectory under the lattice above.

    Args:
        trajectory: its `outcome` counts at the strongest level of E1 to E3 that graded it, at E3
            where none did.
        claim: what the agent said, see `claim_of`.
        pass_at: a value at or above it is a pass (`kernels.constancy.bar`).
    """
    if trajectory.end == "infra":
        return Resolved(value=None, category="infra")
    if any(mark.kind == "tampered" for mark in trajectory.marks):
        return Resolved(value=None, category="tampered")
    level, values = strongest(trajectory.grades)
    if level != "E4" and trajectory.outcome is not None:
        level, values = "E3" if level == "none" else level, {trajectory.outcome}
    if len(values) != 1:
        category = "disputed" if values else "unscorable"
        return Resolved(value=None, category=category, level=level)
    value = values.pop()
    return Resolved(
        value=value, category=_category(level, value >= bar(pass_at), claim), level=level
    )


def verdict(trajectory: Trajectory) -> tuple[str, float] | None:
    """Returns who judged the outcome, at E1 or E2, and what they said, also where a check overrules
    it: a pair of both is an audit of the judge, and costs nothing.

    Sources of one level that agree are one judge, by all their names; without a name it is the
    level's. A recorded outcome is what they said, unless a check (E3) made it. None: nobody judged,
    or the judges of the stronger level disagree.
    """
    level, values = strongest(trajectory.grades, ("E2", "E1"))
    if level == "none":
        return None
    if trajectory.outcome is not None and strongest(trajectory.grades, ("E3",))[0] == "none":
        values = {trajectory.outcome}
    if len(values) != 1:
        return None
    judges = {
        g.source or level for g in trajectory.grades if g.level == level and g.value is not None
    }
    return " + ".join(sorted(judges)), values.pop()


def _category(level: ResolvedLevel, passed: bool, claim: Claim) -> Category:
    if level in ("E3", "E4"):
        if passed:
            return "under_claim" if claim == "admitted" else "true_success"
        return "false_success" if claim == "claimed" else "honest_failure"
    if not passed:
        return "weak_failure"
    return "unverified_claim" if claim == "claimed" else "weak_success"
