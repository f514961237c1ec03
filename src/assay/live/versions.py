"""Which version of the policy serves: what the store's events say, read as they come."""

from typing import Final, final

from assay.live.store import Store
from assay.records.live import Version

_KEPT: Final = 3
"""Served versions that sessions may go on with."""


@final
class Versions:
    """The version that new sessions get, and those that sessions that began with them keep."""

    def __init__(self, store: Store | None) -> None:
        self._store, self._seen = store, 0
        self._all: dict[str, Version] = {}
        self._served: list[str] = []
        """Those that serve, oldest first."""

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
        return self._seen > before

    @property
    def current(self) -> Version | None:
        """The one that was served last and still is. None: the policy as it was given."""
        return self._all[self._served[-1]] if self._served else None

    def of(self, name: str | None) -> Version | None:
        """Returns the version of a session that began with it; where it serves no more, because it
        was taken back or three came after it, the current one."""
        return self._all[name] if name in self._served[-_KEPT:] else self.current

    def path(self, name: str) -> str | None:
        """Returns where the weights of a version lie; None: there is no such version."""
        return self._all[name].path if name in self._all else None
