"""Where the learning signal of a set of trajectories is, and where it is lost."""

from assay.audit.annotations import KeptSteps, StepCredit, annotations, step_credit
from assay.audit.counts import SCHEMA, Audit, audit, dead_share, shares
from assay.audit.fates import FATE_KINDS, alike_groups, group_fates, span_fates
from assay.audit.punished import contexts, punished_calls

__all__ = [
    "FATE_KINDS",
    "SCHEMA",
    "Audit",
    "KeptSteps",
    "StepCredit",
    "alike_groups",
    "annotations",
    "audit",
    "contexts",
    "dead_share",
    "group_fates",
    "punished_calls",
    "shares",
    "span_fates",
    "step_credit",
]
