"""What a training run credits with: methods, gates, denominator, safety. Frozen; from plain data.

    method = "grpo"                             # or { name = "grpo", like = "trl", cap = 2.0 }
    gates = ["integrity", "degenerate"]         # or { name = "degenerate", pass_at = 0.5 }
    denominator = "kept"
    [safety]
    all_fail = "bounded"
    [safety.back_off]
    ratio = 5.0

A weighted mix is a list: `methods = [{ name = "psr", weight = 0.1 }, { name = "nsr" }]`.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import msgspec

from assay import pipeline
from assay.credit import METHODS, Method, method
from assay.errors import UnknownNameError, UsageError, hint
from assay.gate import GATES, Gate, Integrity
from assay.signal.settings import BackOffSettings, RegimeSettings, ReplaySettings, Safety, require

Denominator = Literal["all", "kept", "batch"]

ROW_LOSSES: Final = ("grpo", "sapo", "dr_grpo", "luspo")
"""TRL loss types that divide by rows; the others divide by tokens."""
TOKEN_LOSSES: Final = ("dapo", "cispo", "vespo")
"""TRL loss types that divide by `num_items_in_batch`."""
MEAN_LOSSES: Final = ("grpo", "sapo")
"""Of those, the ones that take the mean over a row's own tokens first."""
CLIPPED_LOSSES: Final = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
"""TRL loss types that clip the ratio, and so read `delta`."""
RATIO_LOSSES: Final = (*CLIPPED_LOSSES, "sapo")
"""TRL loss types whose gradient comes from the ratio; that of the others from log-probabilities."""


@final
@dataclass(frozen=True, slots=True)
class Part:
    """One method of a mix."""

    name: str
    method: Method
    weight: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice between trajectories and the trainer's tensors."""

    parts: tuple[Part, ...] = field(default_factory=lambda: (Part("grpo", method("grpo")),))
    """Advantages are the weighted sum of these methods'."""
    gates: tuple[Gate, ...] = (Integrity(),)
    denominator: Denominator = "all"
    """What the loss divides by. "all": every sampled token or row of the batch, gated or not, as
    TRL does. "kept": those that a gate kept and a method scored; the others leave the KL and
    entropy terms too. "batch": rows times the longest completion allowed, a constant; dapo, cispo,
    vespo, and dr_grpo, which does nothing else."""
    pass_at: float = 1.0
    """A trajectory passes at this outcome or above."""
    safety: Safety = field(default_factory=Safety)

    def __post_init__(self) -> None:
        """Refuses an empty mix, names given twice, and numbers out of their range."""
        require(len(self.parts) > 0, "recipe: no method; give at least one")
        names = [part.name for part in self.parts]
        twice = [name for at, name in enumerate(names) if name in names[:at]]
        require(not twice, f"recipe: two methods are called {''.join(twice[:1])!r}")
        finite = all(math.isfinite(part.weight) and part.weight > 0 for part in self.parts)
        require(finite, "recipe: weights of methods must be above 0")
        require(
            math.isfinite(self.pass_at),
            f"recipe.pass_at: got {self.pass_at:g}; expected a finite number",
        )

    @property
    def needs(self) -> frozenset[str]:
        """What trajectories must hold for the methods: "logprobs", "entropies", ..."""
        return frozenset(need for part in self.parts for need in part.method.needs)

    @staticmethod
    def of(what: "str | Mapping[str, Any] | Recipe | pipeline.Recipe", **options: Any) -> "Recipe":
        """Returns a recipe from a method's name and options, the name of a shipped recipe that no
        method has (`assay recipes` lists them), plain data, or another recipe.

        Raises:
            UnknownNameError: no such method, gate, option or key; names the nearest.
            UsageError: a value of the wrong type or out of its range.
        """
        match what:
            case str():
                return _by_name(what, options)
            case Recipe():
                return what
            case pipeline.Recipe():
                parts = tuple(Part(name, by) for name, by in what.methods.items())
                require(
                    len(parts) == 1,
                    f"recipe: {len(parts)} methods side by side cannot train one policy; "
                    "take one, or a mix with weights: methods = [{name, weight}, ...]",
                )
                return Recipe(parts, what.gates, pass_at=what.pass_at)
            case _:
                return _from_plain(what)

    def check_loss(self, loss_type: str) -> None:
        """Raises UsageError if TRL's loss of that type cannot do what the recipe asks."""
        require(
            self.denominator != "batch" or loss_type in (*TOKEN_LOSSES, "dr_grpo"),
            'recipe: denominator "batch" needs a loss that can be given its divisor; '
            f'{loss_type!r} cannot: take "dapo", or denominator "all"',
        )
        require(
            self.safety.delta is None or loss_type in CLIPPED_LOSSES,
            f"recipe: safety.delta clips the ratio, and loss_type {loss_type!r} has no clip; "
            f"take one of {', '.join(CLIPPED_LOSSES)}",
        )


def _by_name(name: str, options: Mapping[str, Any]) -> Recipe:
    from assay.runs.config import read, shipped

    if name in shipped() and name not in METHODS.names() and not options:
        return _from_plain(read(name)["recipe"])
    return Recipe((Part(name, method(name, **options)),))


_KEYS = ("method", "methods", "gates", "denominator", "pass_at", "safety")


def _from_plain(data: Mapping[str, Any]) -> Recipe:
    """Returns the recipe of a plain mapping, as TOML has it."""
    known_only(data, _KEYS, "recipe")
    if ("method" in data) == ("methods" in data):
        raise UsageError('recipe: give either "method" or "methods"')
    given: Any = data.get("methods", [data.get("method")])
    if not isinstance(given, list | tuple):
        raise UsageError(f"recipe.methods: got {type(given).__name__}; expected a list")
    gates: Any = data.get("gates", ["integrity"])
    if not isinstance(gates, list | tuple):
        raise UsageError(f"recipe.gates: got {type(gates).__name__}; expected a list")
    rest = {key: data[key] for key in ("denominator", "pass_at") if key in data}
    checked = _converted(rest, _Rest, "recipe")
    return Recipe(
        parts=tuple(_part(each) for each in given),
        gates=tuple(_gate(each) for each in gates),
        denominator=checked.denominator,
        pass_at=checked.pass_at,
        safety=_safety(data.get("safety", {})),
    )


@final
@dataclass(frozen=True, slots=True)
class _Rest:
    denominator: Denominator = "all"
    pass_at: float = 1.0


def _part(given: Any) -> Part:
    name, options = _named(given, "method")
    weight = options.pop("weight", 1.0)
    if not isinstance(weight, int | float):
        raise UsageError(f"recipe: weight of {name!r}: got {weight!r}; expected a number")
    return Part(name, method(name, **options), float(weight))


def _gate(given: Any) -> Gate:
    if isinstance(given, Gate):
        return given
    name, options = _named(given, "gate")
    cls: Any = GATES.get(name)
    return _converted(options, cls, f"gate {name}")


def _named(given: Any, kind: str) -> tuple[str, dict[str, Any]]:
    if isinstance(given, str):
        return given, {}
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise UsageError(f"recipe: {kind} {given!r}: expected a name, or a table with a name")
    return given["name"], {key: value for key, value in given.items() if key != "name"}


def _safety(data: Any) -> Safety:
    nested: dict[str, Any] = {
        "replay": ReplaySettings,
        "entropy": RegimeSettings,
        "back_off": BackOffSettings,
    }
    if not isinstance(data, Mapping):
        raise UsageError(f"recipe.safety: got {data!r}; expected a table")
    known_only(data, [f.name for f in dataclasses.fields(Safety)], "recipe.safety")
    made = {
        key: _converted(value, nested[key], f"recipe.safety.{key}")
        for key, value in data.items()
        if key in nested
    }
    plain = {key: value for key, value in data.items() if key not in nested}
    return dataclasses.replace(_converted(plain, Safety, "recipe.safety"), **made)


def _converted(data: Any, cls: Any, where: str) -> Any:
    """Returns `cls` of a plain mapping, keys and types checked."""
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: got {data!r}; expected a table")
    known_only(data, [f.name for f in dataclasses.fields(cls)], where)
    try:
        return msgspec.convert(dict(data), cls)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from None


def known_only(data: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raises UnknownNameError for a key that is not `known`, with the nearest one."""
    known = list(known)
    for key in data:
        if key not in known:
            raise UnknownNameError(
                f"{where} has no key {key!r}.{hint(str(key), known)} "
                f"Known: {', '.join(known) or 'none'}"
            )
