"""Claims as experiments: cells to train, measures with intervals, and what would refute them.

`assay claims list | run | show` finds the experiments in the folder `claims` of a checkout, with
what was run of them and committed; here is what runs and reads them.
"""

from assay.claims.cells import Arm, with_controls
from assay.claims.experiment import NEGATIVE, POSITIVE, Experiment, Prediction, experiment, load
from assay.claims.results import Row, Rows, committed

__all__ = [
    "NEGATIVE",
    "POSITIVE",
    "Arm",
    "Experiment",
    "Prediction",
    "Row",
    "Rows",
    "committed",
    "experiment",
    "load",
    "with_controls",
]
