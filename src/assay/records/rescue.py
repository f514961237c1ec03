"""What came to a trajectory from outside the policy: hints about its steps, and help it was given.

Of version 5 of the format.
"""

from assay.records.base import Record


class Hint(Record, frozen=True):
    """What somebody says that the policy should have known at a step. Never shown to the policy
    that is trained; a teacher may be told it."""

    text: str
    source: str
    """Who says so: "env", "judge", "file", "human", or a name of one's own."""
    quote: str | None = None
    """The words of the next state on which it rests. None: it names none."""


class Rescue(Record, frozen=True):
    """How a trajectory came about that the policy did not sample from the task alone."""

    rung: str
    """Of the ladder: "prefix", "feedback", "wrong_answers", "critique", "self_hint", "oracle",
    "relabel"; or "scaffold", which helps before anything failed."""
    of: str | None = None
    """Id of the failed trajectory that it was made from. None: from the group as a whole."""
    given: str = ""
    """The text that the policy was given in addition; never trained."""
    goal: str | None = None
    """The goal it did reach, where the task was changed to it. None: the task's own."""
