"""Logs that are trees of records: which branch counts."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from assay.importers.fields import Fields


class Tree:
    """Records that name the one before them."""

    def __init__(self, links: Mapping[str, str | None], said: Sequence[tuple[str, Fields]]) -> None:
        """
        Args:
            links: of each record the one that it follows; None: it begins.
            said: the records that count, in the order of the file, with where they stand.
        """
        self.links = links
        self.said = said
        self._before = {key: before for (before, _), (key, _) in pairwise(said)}

    def chain(self, leaf: str | None = None) -> dict[str, int]:
        """Returns the place of each record on the branch that ends in `leaf`, by default in the
        last one. Where a record names one that is not there, that is counted, and the one before
        it in the file is taken."""
        at = dict(self.said)
        said = leaf if leaf is not None and leaf in self.links else self.said[-1][0]
        here: str | None = said
        path: dict[str, int] = {}
        while here is not None and here not in path:
            path[here] = len(path)
            said = here if here in at else said
            parent = self.links.get(here)
            if parent is not None and parent not in self.links and said in at:
                at[said].lose("parent_missing")
                parent = self._before.get(said)
            here = parent
        return {key: len(path) - 1 - place for key, place in path.items()}
