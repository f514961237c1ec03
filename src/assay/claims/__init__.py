"""Claims as experiments: cells to train, measures with intervals, and what would refute them.

`assay claims list | run | show`. What was run and committed is in `results/`.
"""

from assay.claims.experiment import EXPERIMENTS, Experiment, experiment
from assay.claims.predictions import Prediction
from assay.claims.results import Row, Rows, shipped

__all__ = ["EXPERIMENTS", "Experiment", "Prediction", "Row", "Rows", "experiment", "shipped"]
