"""Assay: finds the learning signal in every agent rollout, failed ones included.

    from assay import audit, credit, load, run, Recipe
    audit("log.jsonl")["groups"]["dead"]             # what `assay audit` counts
    credit("log.jsonl", "toolpo").advantage_N        # one number per token
    run(load("log.jsonl"), Recipe.of("grpo"))        # the whole path, in memory

The names below are the public ones; each is loaded when it is asked for. `assay.audit` and
`assay.credit` are packages too: called, they are the functions of `assay.api`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from assay.api import audit, credit, load
    from assay.batch import Batch
    from assay.credit import METHODS, Advantages, Method, method
    from assay.errors import AssayError
    from assay.pipeline import Result, run
    from assay.recipes import Recipe
    from assay.records import Trajectory

_HOME = {
    "METHODS": "credit",
    "Advantages": "credit",
    "AssayError": "errors",
    "Batch": "batch",
    "Method": "credit",
    "Recipe": "recipes",
    "Result": "pipeline",
    "Trajectory": "records",
    "load": "api",
    "method": "credit",
    "run": "pipeline",
}
"""The module of each public name."""
_CALLED = ("audit", "credit")
"""Packages that are functions as well."""


class _Package(ModuleType):
    """A package that can be called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Calls the function of the package's name."""
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module("assay.api"), name)(*args, **options)


class _Assay(ModuleType):
    """The import system binds a package here once it is loaded: that is when it is made callable,
    whichever import came first."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Binds a name."""
        if name in _CALLED and isinstance(value, ModuleType):
            value.__class__ = _Package
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Assay


def __getattr__(name: str) -> Any:
    if name in _CALLED:
        return import_module(f"assay.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    value = getattr(import_module(f"assay.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_CALLED])


__all__ = [
    "METHODS",
    "Advantages",
    "AssayError",
    "Batch",
    "Method",
    "Recipe",
    "Result",
    "Trajectory",
    "__version__",
    "audit",
    "credit",
    "load",
    "method",
    "run",
]
