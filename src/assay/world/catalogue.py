"""Environments by name: the families, their levels, those of other libraries as
`textarena:TowerOfHanoi-v0`, your own as `my_package:MyEnv`, and several as one."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from assay.errors import AssayError, UnknownNameError, UsageError, hint, told
from assay.registry import Registry
from assay.world.adapters import gymnasium, verifiers
from assay.world.adapters.scienceworld import ScienceWorld
from assay.world.adapters.textarena import TextArena
from assay.world.almanac import Almanac
from assay.world.countdown import Countdown
from assay.world.environment import Environment
from assay.world.lake import Lake
from assay.world.lookup import Lookup
from assay.world.report import Report
from assay.world.several import PREFIX, Several, domains
from assay.world.twenty import Twenty

FAMILIES: Final = Registry[Environment](
    "environment",
    {
        "lookup": Lookup,
        "countdown": Countdown,
        "twenty": Twenty,
        "report": Report,
        "lake": Lake,
        "almanac": Almanac,
    },
    group="assay.environments",
)
ADAPTED: Final[Mapping[str, Callable[..., Environment]]] = {
    "gymnasium": gymnasium.named,
    "textarena": TextArena,
    "verifiers": verifiers.named,
    "scienceworld": ScienceWorld,
}
"""Environments of other libraries by the prefix of their names; what follows it is the first
argument of the constructor."""
BUILT_IN: Final = ("lookup", "countdown", "twenty", "report", "lake")
"""Families of tool use, which have levels."""

LEVELS: Final[Mapping[str, Mapping[str, Mapping[str, float | int]]]] = {
    "lookup": {
        "even": {"hops": 3, "steps": 4},
        "hard": {"hops": 4, "flaky": 0.3, "steps": 6},
        "dead": {"hops": 3, "renamed": True},
    },
    "countdown": {
        "even": {"numbers": 2},
        "hard": {"numbers": 3},
        "dead": {"numbers": 4, "largest": 20, "top": 99, "steps": 4},
    },
    "twenty": {
        "even": {"pool": 8},
        "hard": {"pool": 60},
        "dead": {"pool": 232, "steps": 7},
    },
    "report": {
        "even": {"facts": 2, "steps": 3},
        "hard": {"facts": 3, "flaky": 0.1, "steps": 5},
        "dead": {"facts": 4, "steps": 5},
    },
    "lake": {
        "even": {"size": 4, "holes": 0.35},
        "hard": {"size": 7, "holes": 0.3},
        "dead": {"size": 8, "holes": 0.3, "slip": 0.3},
    },
}
"""Dials at which the starting policy passes about 45 %, about 10 % and under 1 % of its attempts
(measured: docs/world.md)."""


def load(name: str, **dials: Any) -> Environment:
    """Returns an environment: a family ("lookup"), a level of it ("lookup/dead"), a plug-in, one of
    another library ("textarena:TowerOfHanoi-v0"), "my_package:MyEnv", or several of them
    ("several:lookup/even+lake/even").

    Args:
        name: what to load.
        dials: settings of its constructor; they override those of the level. Of several a table
            of them by the name of each.

    Raises:
        UnknownNameError: there is no such family, level or class.
        UsageError: the dials do not fit its constructor, the class is no `Environment`, or its
            module or its constructor raised.
    """
    if name.startswith(f"{PREFIX}:"):
        return _several(name, dials)
    family, slash, level = name.partition("/")
    prefix, colon, rest = name.partition(":")
    made: Callable[..., Environment]
    if colon and prefix in ADAPTED:
        made = partial(ADAPTED[prefix], rest)
    else:
        made = _imported(name) if colon else FAMILIES.get(family)
    if slash and ":" not in name:
        dials = {**_level(family, level), **dials}
    try:
        inspect.signature(made).bind(**dials)
    except TypeError as error:
        raise UsageError(f"{name}: {error}; it takes {_settings(made)}") from None
    try:
        return made(**dials)
    except AssayError:
        raise
    except Exception as error:  # whatever a user's code raises, or a dial of the wrong type
        given = ", ".join(f"{dial}={value!r}" for dial, value in dials.items())
        raise UsageError(
            f"{name}({given}) raised {told(error)}; it takes {_settings(made)}"
        ) from error


def _several(name: str, dials: Mapping[str, Any]) -> Several:
    """Returns several environments as one, each with its own dials."""
    names = domains(name)
    for each, given in dials.items():
        if each not in names or not isinstance(given, Mapping):
            raise UsageError(
                f"{name}: got dials {each}={given!r}; expected tables named {', '.join(names)}"
            )
    return Several({each: partial(load, each, **dials.get(each, {})) for each in names})


def _level(family: str, level: str) -> Mapping[str, float | int]:
    levels = LEVELS.get(family, {})
    if level not in levels:
        known = ", ".join(levels) or "none"
        near = hint(level, levels)
        raise UnknownNameError(f"{family} has no level {level!r}.{near} Known: {known}")
    return levels[level]


def _imported(name: str) -> type[Environment]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UnknownNameError(f"{name}: {said}; expected my_package:MyEnvironment") from None
    except Exception as error:  # a user's module may raise anything when it is imported
        raise UsageError(
            f"{name}: importing {module} raised {told(error)}; "
            f"python -c 'import {module}' shows where"
        ) from error
    if not isinstance(found, type) or not issubclass(found, Environment):
        raise UsageError(
            f"{name}: got {found!r}; expected a class that derives from assay.world.Environment"
        )
    return found


def _settings(made: Callable[..., Environment]) -> str:
    names = [name for name in inspect.signature(made).parameters if name not in ("args", "kwargs")]
    return ", ".join(names) or "no settings"
