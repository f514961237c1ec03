"""Versions of the policy: named once and for ever, tried before they serve, taken back in one go.

    made         `assay live train` made it                      STORE/versions/NAME holds its files
    canary       its suites are being played
    refused      a suite said no; its files go                    served      new sessions get it
    rolled_back  somebody took it back; it never serves again     retired     three newer ones did,
                                                                  or it waited, and its parent went

Turns of a version that is refused or taken back may be trained on again, twice; those of one that
waited in vain however often. Where a version stands is the last event of its name in the store; the
one that was served last and still is serves. A file STOP in the folder of the store is the kill
switch: while it is there nothing is trained and nothing published (rolling back goes on working).
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from msgspec.structs import replace

from assay.errors import DataError, UsageError
from assay.files.folders import locked
from assay.live.adapters import AdapterError, Adapters
from assay.live.canary import Play, Seen, canary, figures_of
from assay.live.selection import BASE
from assay.live.store import Store
from assay.live.suites import Suite
from assay.live.versions import KEPT, NAMED, TRIED, Versions, waits
from assay.records.live import Event, Moved, Version

TRIES: Final = 2
"""Versions that a turn may have been trained on for, before the canary's refusals leave it out."""
STOP: Final = "STOP"
FOLDER: Final = "versions"


def folder_of(store: Store) -> Path:
    """Returns the folder of a store."""
    return store.path.parent.resolve()


def check_not_stopped(store: Store) -> None:
    """Raises UsageError where the kill switch is there, with what is written in it."""
    switch = folder_of(store) / STOP
    if switch.exists():
        said = " ".join(switch.read_text("utf-8", "replace").split())[:200]
        raise UsageError(
            f"{switch}: stops training and publishing{f' ({said})' if said else ''}; remove it to "
            "go on"
        )


def next_name(store: Store) -> str:
    """Returns a name that no version ever had: events are never taken back."""
    known = (NAMED.fullmatch(name) for name in store.versions())
    last = max((int(each[1]) for each in known if each), default=0)
    return f"pol-{last + 1:06d}"


def served(store: Store) -> list[Version]:
    """Returns the versions that serve or may serve again, the one that serves last."""
    found = Versions(store)
    found.refresh()
    return found.served


def serving(store: Store) -> Version | None:
    """Returns the version that serves; None: the policy that there was before any."""
    found = served(store)
    return found[-1] if found else None


@final
class Publisher:
    """Decides which version serves."""

    def __init__(
        self, store: Store, clock: Callable[[], float], engine: Adapters | None = None
    ) -> None:
        """Takes a store that is open to write, seconds since 1970, and the engine that serves.

        Without an engine versions are played and served by this machine alone; with one, what is
        tried is loaded into it first, and taken out where it may not serve. What it is to have
        besides is its gateway's to see to (`assay.live.keeper`).
        """
        self._store, self._clock, self._engine = store, clock, engine

    def candidate(self, name: str | None) -> Version:
        """Returns the version to publish; None: the one that was made last.

        Raises:
            UsageError: there is none, it was tried or served before, or another serves than the one
                that it was made from.
        """
        known = self._store.versions()
        made = [each for each in known.values() if waits(each)]
        if name is None and not made:
            raise UsageError("live: no version is waiting; assay live train makes one")
        found = made[-1] if name is None else known.get(name)
        if found is None:
            raise UsageError(f"live: no version {name!r}; known: {', '.join(known) or 'none'}")
        if found.state not in TRIED:
            why = f" ({found.why})" if found.why else ""
            raise UsageError(f"live: {found.name} is {found.state}{why}; a name is published once")
        if not waits(found):
            raise UsageError(
                f"live: {found.name} has no weights that could serve: they were in memory alone; "
                "assay live train makes a version that has"
            )
        self._check_parent(found)
        return found

    def _check_parent(self, version: Version) -> None:
        """Raises UsageError where another serves than the one that a version was made from."""
        if why := self._orphaned(version):
            raise UsageError(f"live: {version.name} was {why}; train again")

    def _orphaned(self, version: Version) -> str:
        """Returns why a version cannot serve any more: another serves than its parent; else
        nothing."""
        now, parent = serving(self._store), version.parent or BASE
        name = now.name if now else BASE
        return "" if parent == name else f"made from {parent}, and {name} serves"

    def sweep(self) -> None:
        """Retires the versions that wait and cannot serve any more; their turns may be trained on
        again, as often as before."""
        for each in self._store.versions().values():
            if waits(each) and (why := self._orphaned(each)):
                self._say(each, "retired", *self._back(each, why, spared=True), why=why)
                self._unload(each)
                self._remove(each)

    def publish(
        self, version: Version, suites: Sequence[Suite], before: Play, after: Play
    ) -> list[Seen]:
        """Plays the suites, and lets the version serve if every one of them holds.

        Args:
            version: as `candidate` returns it.
            suites: at least one.
            before: plays for the version that serves.
            after: plays for the new one.

        Raises:
            UsageError: the kill switch is there, before or after the suites were played; another
                process publishes; the version is no candidate, or is none any more once they were
                played, for the one that it was made from was taken back.
            AdapterError: the engine refuses it; it may be tried again.
        """
        check_not_stopped(self._store)
        home = folder_of(self._store)
        with locked(home / "PUBLISH", f"{home}: another process publishes from this store"):
            return self._played(self.candidate(version.name), suites, before, after)

    def _played(
        self, version: Version, suites: Sequence[Suite], before: Play, after: Play
    ) -> list[Seen]:
        """Plays the suites, and lets the version serve or refuses it."""
        now = serving(self._store)
        if self._engine is not None:
            for each in (version,) if now is None else (now, version):
                self._engine.load(each.name, each.path)
        self._say(version, "canary")
        try:
            found = canary(suites, before, after)
            check_not_stopped(self._store)
            self._check_parent(version)
        except BaseException:
            self._say(version, "made")
            self._unload(version)
            self.sweep()
            raise
        figures = dict(figures_of(found))
        if found and all(each.holds for each in found):
            self._say(version, "served", figures=figures)
            self._retire()
            self.sweep()
        else:
            back = self._back(version, f"{version.name} was refused")
            self._say(version, "refused", *back, figures=figures, why=_why(found))
            self._unload(version)
            self._remove(version)
        return found

    def rollback(self, why: str = "") -> tuple[Version, Version | None]:
        """Takes back the version that serves; returns it, and the one that serves now (None: the
        policy that there was before any).

        Raises:
            UsageError: none serves.
        """
        now = serving(self._store)
        if now is None:
            raise UsageError("live: no version serves that could be taken back")
        self._say(now, "rolled_back", *self._back(now, f"{now.name} was taken back"), why=why)
        self.sweep()
        return now, serving(self._store)

    def _unload(self, version: Version) -> None:
        """Takes a version out of the engine; where that fails its gateway does it later."""
        if self._engine is not None:
            with suppress(AdapterError):
                self._engine.unload(version.name)

    def _back(self, version: Version, why: str, *, spared: bool = False) -> list[Event]:
        """Returns what gives the turns of a version back to be trained on again; one that was in
        `TRIES` of them is not, for it may be what they were found wanting for."""
        out = f"in {TRIES} versions that were refused or taken back"
        return [
            Moved(session=each.turn.session, at=self._clock(), turn=each.turn.id,
                  to="resolved" if spared or each.tries < TRIES else "excluded",
                  why=why if spared or each.tries < TRIES else out, spared=spared)
            for each in self._store.turns()
            if each.progress == "trained" and each.why == version.name
        ]  # fmt: skip

    def _retire(self) -> None:
        for old in served(self._store)[:-KEPT]:
            self._say(old, "retired", why=f"{KEPT} newer ones are kept")
            self._remove(old)

    def _remove(self, version: Version) -> None:
        """Deletes the files of a version that lie in the folder of the store, and no others."""
        own = folder_of(self._store) / FOLDER / version.name
        if version.path and Path(version.path) == own:
            shutil.rmtree(own, ignore_errors=True)

    def _say(
        self,
        version: Version,
        state: str,
        *more: Event,
        figures: dict[str, float | None] | None = None,
        why: str = "",
    ) -> None:
        event = replace(
            version,
            at=self._clock(),
            state=state,
            figures=version.figures if figures is None else figures,
            why=why,
        )
        self._store.append(event, *more, durable=True).result()


def _why(found: Sequence[Seen]) -> str:
    """Returns why a version is refused, and what can be done about it."""
    lost = [each.suite for each in found if not each.holds]
    keep = "; train with --keep LOG, of tasks that it is to stay able to do"
    could = any(each.passes == "outcome" for each in lost)
    return f"suites that fail: {', '.join(each.name for each in lost)}{keep if could else ''}"


def files_of(version: Version | None, base: str) -> str:
    """Returns where the policy of a version is: its folder, or the name of the base policy.

    Raises:
        DataError: its files are gone.
    """
    if version is None:
        return base
    if not Path(version.path).is_dir():
        raise DataError(f"live: {version.name}: {version.path} is gone; roll back to one before it")
    return version.path
