"""Arithmetic on arrays: no records, no options objects, no input or output."""
