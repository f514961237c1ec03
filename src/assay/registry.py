"""A table of names to classes, plus what other packages add to it by entry point."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from assay.errors import UnknownNameError, UsageError, hint

T = TypeVar("T")


class Registry(Generic[T]):
    """Looks names up. Built-ins are the dict it is given; plug-ins are entry points of `group`.

    A plug-in is imported when it is asked for and not before. It cannot shadow a built-in, and two
    plug-ins cannot share a name.
    """

    def __init__(self, kind: str, builtin: dict[str, type[T]], *, group: str) -> None:
        self.kind, self._builtin, self._group = kind, builtin, group
        self._ours = len(builtin)

    @property
    def has_others(self) -> bool:
        """Is there anything in it that is not of this package?"""
        return len(self._builtin) > self._ours or bool(self._added())

    def names(self) -> list[str]:
        """Every name that `get` accepts: built-ins in their order, then plug-ins sorted."""
        added = {entry.name for entry in self._added()} - self._builtin.keys()
        return [*self._builtin, *sorted(added)]

    def get(self, name: str) -> type[T]:
        """Returns the class called `name`.

        Raises:
            UnknownNameError: no such name, with the nearest one; or two plug-ins claim it.
        """
        if name in self._builtin:
            return self._builtin[name]
        found = [entry for entry in self._added() if entry.name == name]
        if len(found) == 1:
            return found[0].load()
        if found:
            owners = ", ".join(sorted(entry.value for entry in found))
            raise UnknownNameError(f"{self.kind} {name!r} is provided twice: {owners}")
        known = self.names()
        raise UnknownNameError(
            f"no {self.kind} {name!r}.{hint(name, known)} Known: {', '.join(known)}"
        )

    def add(self, name: str, cls: type[T]) -> None:
        """Makes a class known by name in this process; a package takes an entry point instead.

        Raises:
            UsageError: the name is taken.
        """
        if name in self.names():
            raise UsageError(f"{self.kind} {name!r} is there already; choose another name")
        self._builtin[name] = cls

    def _added(self) -> tuple[EntryPoint, ...]:
        return _installed(self._group)


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    """Every installed package is looked through for them: once a process."""
    return tuple(entry_points(group=group))
