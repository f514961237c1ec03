"""Runs: folders that appear whole, say what they are, and go on after a kill."""
