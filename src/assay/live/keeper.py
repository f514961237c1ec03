"""What an engine has to have: the versions that serve. Beside a gateway it looks every two seconds,
loads what is missing, as after the engine was started anew, and takes out what serves no more.

An engine that cannot be asked has nothing, and one that is neither vLLM nor SGLang is left to its
owner: whatever version it is asked for, it is asked for by name.
"""

import asyncio
from typing import Any, Final, final

from assay.errors import AssayError, UsageError
from assay.live.adapters import Adapters
from assay.live.versions import Versions

EVERY: Final = 2.0
"""Seconds between two looks: an engine that was started anew was away for longer."""


@final
class Keeper:
    """Of one engine, for one gateway."""

    def __init__(self, versions: Versions, adapters: Adapters) -> None:
        """Takes the versions of a gateway, which ask it from now on what the engine has."""
        self._versions, self._adapters = versions, adapters
        self._has: frozenset[str] | None = frozenset()
        """None: nobody can tell."""
        self.why = ""
        """What went wrong at the last look; empty: nothing."""
        versions.there = self.has

    def has(self, name: str) -> bool:
        """Returns whether the engine has a version, as far as is known."""
        return self._has is None or name in self._has

    def look(self) -> None:
        """Looks once. Until there was a version it asks for nothing."""
        if not self._versions.known:
            return
        wanted = {name: self._versions.path(name) or "" for name in self._versions.kept}
        try:
            failed = self._adapters.keep(wanted, spared=self._versions.tried)
            self._has, self.why = frozenset(self._adapters.loaded()), "; ".join(failed)
        except UsageError as error:  # an engine that takes no adapters
            self._has, self.why = None, str(error)
        except AssayError as error:
            self._has, self.why = frozenset(), str(error)

    async def follow(self) -> None:
        """Looks every so often, without holding up who is served."""
        while True:
            await asyncio.sleep(EVERY)
            await asyncio.to_thread(self.look)

    def status(self) -> dict[str, Any]:
        """Returns it as plain values."""
        has = None if self._has is None else sorted(self._has & {*self._versions.kept})
        return {"has": has, "failing": self.why}
