"""Rollouts under verl: a transformers engine as its server, and the world played by its agent loop.

`assay.trainers.verl.plugin` puts them into verl's tables by name; importing this loads nothing.
"""
