"""Which version of the policy serves: what the store's events say, read as they come."""

import re
from collections.abc import Callable
from typing import Final, final

from assay.live.store import Store
from assay.records.live import Version

NAMED: Final = re.compile(r"pol-(\d{6,})")
"""Names of versions."""
KEPT: Final = 3
"""Versions that are kept, the one that serves among them: sessions may go on with these."""
TRIED: Final = ("made", "canary")
"""States of a version to publish: one whose canary was killed is tried again."""


def waits(version: Version) -> bool:
    """Returns whether a version can be published: it has files, and nothing is decided yet."""
    return version.state in TRIED and bool(version.path)


@final
class Versions:
    """The version that new sessions get, and those that sessions that began with them keep."""

    def __init__(self, store: Store | None) -> None:
        self._store, self._seen = store, 0
        self._all: dict[str, Version] = {}
        self._served: list[str] = []
        """Those that serve, oldest first."""
        self._ever = set[str]()
        """Those that ever did."""
        self.there: Callable[[str], bool] = lambda _: True
        """Whether the engine has a version; of one that it lost, an older one serves until it is
        loaded again."""

    def refresh(self) -> bool:
        """Reads what is new in the store; returns whether something is.

        Raises:
            DataError: the store is broken.
        """
        before = self._seen
        for seq, event in (
            () if self._store is None else self._store.events("version", after=self._seen)
        ):
            self._seen = seq
            if isinstance(event, Version):
                self._all[event.name] = event
                self._served = [name for name in self._served if name != event.name]
                if event.state == "served":
                    self._served.append(event.name)
                    self._ever.add(event.name)
        return self._seen > before

    @property
    def current(self) -> Version | None:
        """The one that was served last and still is, of those that the engine has. None: the policy
        as it was given."""
        return next((self._all[name] for name in self.here[::-1]), None)

    @property
    def served(self) -> list[Version]:
        """Those that serve or may serve again, the one that serves last."""
        return [self._all[name] for name in self._served]

    @property
    def kept(self) -> list[str]:
        """Those that sessions may have, oldest first."""
        return self._served[-KEPT:]

    @property
    def here(self) -> list[str]:
        """Those of them that the engine has, oldest first."""
        return [name for name in self.kept if self.there(name)]

    @property
    def tried(self) -> list[str]:
        """Those that are made and not decided about."""
        return [name for name, each in self._all.items() if waits(each)]

    @property
    def known(self) -> bool:
        """Whether there was any."""
        return bool(self._all)

    def of(self, name: str | None) -> Version | None:
        """Returns the version of a session that began with it, None: the policy as it was given;
        where it serves no more, because it was taken back or three came after it, the current
        one."""
        if name is None and len(self._ever) < KEPT:
            return None
        return self._all[name] if name in self.here else self.current

    def path(self, name: str) -> str | None:
        """Returns where the weights of a version lie; None: there is no such version."""
        return self._all[name].path if name in self._all else None
