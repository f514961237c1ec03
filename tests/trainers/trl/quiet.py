"""Warnings of other people's packages, each by its words; everything else stays an error."""

import pytest

IGNORED = (
    r"ignore:`gradient_checkpointing` is deprecated:FutureWarning",
    r"ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
)
MARKS = [pytest.mark.slow, *(pytest.mark.filterwarnings(each) for each in IGNORED)]
"""Of files that train."""
