"""Measurement: pass@k with intervals, calibration, diversity, the frozen-model null. Numpy only.

`run`, `measure`, which sample from a model, are the modules here that need torch.
"""
