"""What can go wrong, as a tree.

    AssayError
    ├── DataError          (ValueError)   a file, record or array is malformed                exit 3
    │   ├── TornError                     a text ends before its JSON does: cut short         exit 3
    │   └── AlignmentError                per-token data does not line up with its tokens     exit 3
    │       └── MixedTokensError          some trajectories have token ids, others have none  exit 3
    ├── MethodError        (ValueError)   a method cannot run on this data or these options   exit 3
    ├── UsageError         (ValueError)   the command or a configuration is wrong             exit 2
    │   └── UnknownNameError (LookupError)  a registry has no such name                       exit 2
    └── MissingExtraError  (ImportError)  an optional dependency is not installed             exit 2

A message is one line: what, where, got, expected, what to do. `assert` is for tests only.
"""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from importlib import import_module
from typing import Any, ClassVar


def hint(name: str, known: Iterable[str]) -> str:
    """Returns a question to put behind a message: was the nearest known name meant? Or nothing.

    Of names that are equally near it is the first; capitals are no distance.
    """
    low = name.lower()
    near = max(known, key=lambda each: SequenceMatcher(None, each.lower(), low).ratio(), default="")
    return f" Did you mean {near!r}?" if get_close_matches(low, [near.lower()]) else ""


def told(error: BaseException) -> str:
    """Returns what other people's code raised, on one line: its kind, how its message begins."""
    said = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def one_line(text: str) -> str:
    """Returns `text` without line breaks, control characters and lone surrogates, 500 at most."""
    plain = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:500])
    return plain if len(text) <= 500 else f"{plain}..."


class AssayError(Exception):
    """Base of every error that Assay raises on purpose; `str(error)` is one line for a person."""

    exit_code: ClassVar[int] = 3
    """What the command line exits with: 2 for usage, 3 for data."""


class DataError(AssayError, ValueError):
    """A file, record or array is malformed."""


class TornError(DataError):
    """A text is no whole JSON value: mostly one that a killed process left half written."""


class AlignmentError(DataError):
    """Per-token data does not line up with its tokens."""


class MixedTokensError(AlignmentError):
    """Some trajectories have token ids and others have none, so no one measure fits them all."""


class MethodError(AssayError, ValueError):
    """A method cannot run on this data or with these options."""


class UsageError(AssayError, ValueError):
    """The command line or a configuration asks for something that does not exist."""

    exit_code: ClassVar[int] = 2


class UnknownNameError(UsageError, LookupError):
    """A registry has no such name."""


class MissingExtraError(AssayError, ImportError):
    """An optional dependency is not installed."""

    exit_code: ClassVar[int] = 2

    @classmethod
    def of(cls, module: str, *, extra: str, to: str) -> "MissingExtraError":
        """The error for a failed import of `module`, which `to` needs and `extra` installs."""
        return cls(f"{to} needs {module}, which is not installed: pip install 'assay[{extra}]'")


def imported(module: str, *, extra: str, to: str) -> Any:
    """Returns a module that `to` needs and `extra` installs.

    Raises:
        MissingExtraError: it, or a module that it needs, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError.of(error.name or module, extra=extra, to=to) from None
