"""What is known of a trajectory: calls by evidence, the agent's claim, the resolved outcome."""

from assay.verify.canonical import CallForm, call_form, canonical
from assay.verify.claims import claim_of
from assay.verify.observation import is_error
from assay.verify.outcome import Resolved, resolve, verdict

__all__ = [
    "CallForm",
    "Resolved",
    "call_form",
    "canonical",
    "claim_of",
    "is_error",
    "resolve",
    "verdict",
]
