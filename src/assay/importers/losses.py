"""What could not be carried over, counted."""

import re
from dataclasses import dataclass, field

_KIND = re.compile(r"[^A-Za-z0-9_.:-]")
_MOST_KINDS = 200


@dataclass(slots=True)
class Losses:
    """What could not be carried over, counted by kind, with the first place of each kind."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, where: str, count: int = 1) -> None:
        """Counts `count` losses of `kind`, the first of them at `where`.

        Kinds are lower_snake_case; a part after a colon may name a key of the log. Such a key is
        foreign text, so it is cut to 80 plain characters, and beyond 200 kinds all go to `others`.
        """
        kind = _KIND.sub("?", kind[:80])
        if kind not in self.counts and len(self.counts) >= _MOST_KINDS:
            kind = "others"
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.first.setdefault(kind, where)
