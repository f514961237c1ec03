"""Imports a library when one of its environments is asked for."""

from importlib import import_module
from typing import Any

from assay.errors import MissingExtraError


def imported(module: str, *, to: str) -> Any:
    """Returns a module of the library that an extra of the same name installs.

    Args:
        module: its name.
        to: what needs it.

    Raises:
        MissingExtraError: it, or a module that it needs, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        extra = module.partition(".")[0]
        raise MissingExtraError.of(error.name or module, extra=extra, to=to) from None
