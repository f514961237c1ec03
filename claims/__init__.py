"""Experiments, what was predicted of them, and the rows of what was run: outside the wheel.

`assay claims list | run | show` reads this folder where it is run in a checkout.
"""
