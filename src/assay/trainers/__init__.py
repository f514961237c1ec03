"""Advantages into the trainers that people use, one package for each."""
