"""Trajectories as they are on disk. Start with `Trajectory`."""

from assay.records.base import Record
from assay.records.codec import decode, encode, read, write
from assay.records.decision import Decision
from assay.records.evidence import CallEvidence, Grade, Level, Mark
from assay.records.replayed import Replayed, Value, replayed, replayed_line
from assay.records.rescue import Hint, Rescue
from assay.records.trajectory import (
    Call,
    Claim,
    End,
    ExpertCall,
    Ledger,
    ModelStep,
    Origin,
    Role,
    Span,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)

__all__ = [
    "Call",
    "CallEvidence",
    "Claim",
    "Decision",
    "End",
    "ExpertCall",
    "Grade",
    "Hint",
    "Ledger",
    "Level",
    "Mark",
    "ModelStep",
    "Origin",
    "Record",
    "Replayed",
    "Rescue",
    "Role",
    "Span",
    "Step",
    "SystemStep",
    "ToolStep",
    "Trajectory",
    "UserStep",
    "Value",
    "decode",
    "encode",
    "read",
    "replayed",
    "replayed_line",
    "write",
]
