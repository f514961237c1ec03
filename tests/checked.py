"""Checks types and shapes of every call, once, and shapes only where an annotation has some.

The import hook of `--jaxtyping-packages` puts `jaxtyping.jaxtyped` on every function. That binds
the arguments of a call, checks them, calls, and checks them again beside the result, whether or not
an annotation is of an array; most of the time of a test went there. `jaxtyped` below takes its
place: beartype checks each argument and the result once, and the axes of a call get names of their
own only where there are arrays.
"""

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

full = jaxtyping.jaxtyped
_check = beartype(conf=BeartypeConf(violation_type=TypeError))
"""As Python says it of a call that cannot be made."""


def jaxtyped(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns the decorator of a function or class, as the hook asks for it."""
    return functools.partial(_of_class_or_function, typechecker)


def _of_class_or_function(typechecker: Callable[[Any], Any], it: Any) -> Any:
    if not inspect.isclass(it):
        return _of_function(typechecker, it)
    if dataclasses.is_dataclass(it) and not hasattr(it.__init__, "checked"):
        it.__init__ = _of_function(typechecker, it.__init__)
    return it


def _of_function(typechecker: Callable[[Any], Any], it: types.FunctionType) -> Any:
    hints = {name: _resolved(hint, it.__globals__) for name, hint in it.__annotations__.items()}
    arrays = any(map(_of_array, hints.values()))
    if arrays and inspect.isgeneratorfunction(it):
        return full(it, typechecker=typechecker)
    inner = types.FunctionType(
        it.__code__, it.__globals__, it.__name__, it.__defaults__, it.__closure__
    )
    inner.__kwdefaults__, inner.__qualname__ = it.__kwdefaults__, it.__qualname__
    inner.__module__, inner.__annotations__ = it.__module__, hints
    inner = _check(inner)
    outer: Any = functools.wraps(it)(_with_axes(it, inner) if arrays else inner)
    outer.checked = True
    return outer


def _with_axes(it: Callable[..., Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `inner` with axes of its own; unchecked while the checks are disabled."""

    def outer(*arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return it(*arguments, **named)
        with full("context"):
            return inner(*arguments, **named)

    return outer


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """Returns a hint without strings; `Any` where it names what only a type checker imports."""
    holder = types.SimpleNamespace(__annotations__={"value": hint})
    try:
        return get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:
        return Any


def _of_array(hint: Any) -> bool:
    if isinstance(hint, list):
        return any(map(_of_array, hint))
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_of_array, get_args(hint)))
