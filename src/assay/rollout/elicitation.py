"""What stands before an answer whose likelihood is asked. No torch."""

from typing import Final

ELICIT: Final = "Is it '"
"""The policy is asked nothing, the words are put into its mouth."""
