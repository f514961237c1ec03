"""What stands before an answer whose likelihood is asked, and what tells an ending. No torch."""

from typing import Final

ELICIT: Final = "Is it '"
"""The policy is asked nothing, the words are put into its mouth."""
HINDSIGHT: Final = "hindsight"
"""Name of the score of a step whose policy was told the ending."""
ENDING: Final = "(This attempt {how}.)\n"
"""Stands behind the task where a policy is told how its own steps ended."""


def ending(outcome: float, pass_at: float = 1.0) -> str:
    """Returns the line that tells an outcome: a success, a failure, or a score between."""
    if 0 < outcome < pass_at:
        return ENDING.format(how=f"scores {outcome:g}")
    return ENDING.format(how="succeeds" if outcome >= pass_at else "fails")
