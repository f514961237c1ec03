"""Assay: finds the learning signal in every agent rollout, failed ones included.

Start with `assay.pipeline.run`; `assay.records` is what is on disk.
"""

__version__ = "0.1.0"
