"""Where the learning signal of a set of trajectories is, and where it is lost."""

from assay.audit.counts import (
    FATE_KINDS,
    SCHEMA,
    applicable,
    audit,
    dead_share,
    group_fates,
    method,
    not_applicable,
    run_fates,
    shares,
)

__all__ = [
    "FATE_KINDS",
    "SCHEMA",
    "applicable",
    "audit",
    "dead_share",
    "group_fates",
    "method",
    "not_applicable",
    "run_fates",
    "shares",
]
