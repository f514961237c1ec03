"""Measurement: pass@k with intervals, calibration, diversity, the frozen-model null. Numpy only.

`assay.evaluate.run`, which samples from a model, is the one module here that needs torch.
"""

from assay.evaluate.calibration import (
    BrierParts,
    NullBand,
    auroc,
    brier,
    brier_parts,
    ece,
    ece_debiased,
    ece_mass,
    null_band,
    overconfidence,
)
from assay.evaluate.curves import Curve, Matched, check_samples, curve, matched, powers
from assay.evaluate.diversity import answer_entropy, distinct, entropy
from assay.evaluate.intervals import (
    Estimate,
    improvement_probability,
    iqm,
    paired_difference,
    stratified_interval,
    wilson,
)
from assay.evaluate.null import Expansion, discoveries, expansion, fisher_greater

__all__ = [
    "BrierParts",
    "Curve",
    "Estimate",
    "Expansion",
    "Matched",
    "NullBand",
    "answer_entropy",
    "auroc",
    "brier",
    "brier_parts",
    "check_samples",
    "curve",
    "discoveries",
    "distinct",
    "ece",
    "ece_debiased",
    "ece_mass",
    "entropy",
    "expansion",
    "fisher_greater",
    "improvement_probability",
    "iqm",
    "matched",
    "null_band",
    "overconfidence",
    "paired_difference",
    "powers",
    "stratified_interval",
    "wilson",
]
