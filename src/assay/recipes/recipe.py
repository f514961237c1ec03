"""Every choice that an audit or a training run makes, from plain data. Frozen.

    method = "grpo"                             # or { name = "grpo", like = "trl", cap = 2.0 }
    gates = ["integrity", "degenerate"]         # or { name = "degenerate", pass_at = 0.5 }
    denominator = "kept"
    [safety]
    all_fail = "bounded"
    [safety.back_off]
    ratio = 5.0

Several methods are a list: `methods = [{ name = "psr", weight = 0.1 }, { name = "nsr" }]`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from typing import Any, Final, Literal, final, get_type_hints

import msgspec

from assay.credit import METHODS, Method, method
from assay.credit.blame import Blame, blame_of
from assay.credit.controls import Control, control_named
from assay.errors import UsageError
from assay.gate import GATES, Composition, Gate, Integrity
from assay.judges.rubric import items_of
from assay.recipes.inlined import with_file
from assay.recipes.settings import Safety, converted, known_only, require
from assay.recipes.shipped import read, shipped
from assay.records import Trajectory

Denominator = Literal["all", "kept", "batch"]
Importance = Literal["truncated", "shaped", "f", "none"]

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
    """One method of a recipe."""

    name: str
    method: Method
    weight: float = 1.0
    """Its share in a mix. Side by side, as in an audit, methods are not weighted."""


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice between trajectories and the trainer's tensors. Nothing else decides.

    An audit credits its parts one by one (`assay.pipeline.credits`); training adds them up, each
    times its weight (`assay.signal.signal`), and minds the denominator and safety as well.
    """

    parts: tuple[Part, ...] = field(default_factory=lambda: (Part("grpo", method("grpo")),))
    gates: tuple[Gate, ...] = (Integrity(),)
    rubric: Composition | None = None
    """What is compared in place of the outcome, of named rewards and a rubric (`gate.rubric`), and
    which groups are: asked after the gates. None: the outcome."""
    denominator: Denominator = "all"
    """What the loss divides by. "all": every sampled token or row of the batch, gated or not, as
    TRL does. "kept": those that a gate kept and a method scored; the others leave the KL and
    entropy terms too. "batch": rows times the longest completion allowed, a constant; dapo, cispo,
    vespo, and dr_grpo, which does nothing else."""
    pass_at: float = 1.0
    """A trajectory passes at this outcome or above."""
    safety: Safety = field(default_factory=Safety)
    control: Control = "none"
    """What is trained instead of the methods' credit, to see whether its order in time matters:
    "shuffled" or "random", see `assay.credit.controls`."""
    blame: Blame | None = None
    """Which tokens of a failure take the blame (`assay.credit.blame`). None: all alike."""
    dose: float | None = None
    """Mean |A| of a trained token to which every batch is scaled, last of all. None: as it is."""
    importance: Importance = "truncated"
    """How far a trajectory counts that was sampled with help, and is trained without it: see
    `assay.signal.importance`."""
    gamma: float = 0.1
    """Of importance "shaped" and "f"."""

    def __post_init__(self) -> None:
        """Refuses no method at all, names given twice, and numbers out of their range."""
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
        require(
            self.dose is None or 0 < self.dose < math.inf,
            f"recipe.dose: got {self.dose}; expected a finite number above 0",
        )
        require(
            0 < self.gamma < math.inf,
            f"recipe.gamma: got {self.gamma:g}; expected a finite number above 0",
        )

    @property
    def label(self) -> str:
        """Names of its methods, and its control if it has one: what its credit is called."""
        names = "+".join(part.name for part in self.parts)
        names += "" if self.blame is None else f"-{self.blame.name}"
        return names if self.control == "none" else f"{names}-{self.control}"

    @property
    def needs(self) -> frozenset[str]:
        """What trajectories must hold for the methods: "logprobs", "entropies", ..."""
        blame = () if self.blame is None else self.blame.needs
        return frozenset((*blame, *(need for each in self.parts for need in each.method.wanted)))

    def prepared(self, record: Trajectory) -> Trajectory:
        """Returns a record with what the methods read off it and nobody has written there."""
        for part in self.parts:
            record = part.method.prepared(record)
        return record if self.rubric is None else self.rubric.prepared(record)

    @property
    def prepares(self) -> bool:
        """Whether anything is read off records that their batch does not hold."""
        return self.rubric is not None or any(
            type(part.method).prepared is not Method.prepared for part in self.parts
        )

    @staticmethod
    def of(
        what: "str | Method | Iterable[Any] | Mapping[str, Any] | Recipe", **options: Any
    ) -> "Recipe":
        """Returns a recipe.

        >>> [part.name for part in Recipe.of(["grpo", "toolpo"]).parts]
        ['grpo', 'toolpo']

        Args:
            what: a method's name, the name of a shipped recipe that no method has
                (`assay recipes` lists them), a method, a list of such names, methods or tables,
                plain data as TOML has it, or a recipe, which is returned.
            options: of the method, where its name is given.

        Raises:
            UnknownNameError: no such method, gate, option or key; names the nearest.
            UsageError: a value of the wrong type or out of its range.
        """
        match what:
            case Recipe():
                return what
            case Mapping():
                return _from_plain(what)
            case str() if what in shipped() and what not in METHODS.names() and not options:
                return _from_plain(read(what)["recipe"])
            case str():
                return Recipe((Part(what, method(what, **options)),))
            case Method():
                return Recipe((_part(what),))
            case _:
                return Recipe(tuple(_part(each) for each in what))

    @staticmethod
    def compared(
        names: Iterable[str] | None = None,
        *,
        pass_at: float = 1.0,
        options: Mapping[str, Any] | None = None,
        control: str = "none",
        blame: str | None = None,
        dose: float | None = None,
    ) -> "Recipe":
        """Returns a recipe of methods by name, to be looked at side by side; None: every one.

        A name may have options behind it, as "tree_grpo:prefix_mode=dedup_sum,ddof=0", and is that
        method's name then. Methods that know only passes and failures are told the recipe's
        `pass_at`, unless those, or `options`, which each of them gets, have another. Where none
        reads outcomes, what nobody scored is credited too.

        Raises:
            UnknownNameError: no such method or option; names the nearest.
            UsageError: an option without a value, or out of its range.
        """
        parts: list[Part] = []
        for named in METHODS.names() if names is None else dict.fromkeys(names):
            name, own = _with_options(named)
            told = hasattr(METHODS.get(name), "pass_at")  # defaults are class attributes
            bar: dict[str, Any] = {"pass_at": pass_at} if told else {}
            parts.append(Part(named, method(name, **{**bar, **(options or {}), **own})))
        known = control_named(control)
        by = blame_of(blame)
        gates = (Integrity(unscored=any(each.method.scored for each in parts)),)
        return Recipe(
            tuple(parts), gates=gates, pass_at=pass_at, control=known, blame=by, dose=dose
        )

    def check_loss(self, loss_type: str) -> None:
        """Raises UsageError if TRL's loss of that type cannot do what the recipe asks."""
        require(
            self.denominator != "batch" or loss_type in (*TOKEN_LOSSES, "dr_grpo"),
            'recipe: denominator "batch" needs a loss that can be given its divisor; '
            f'{loss_type!r} cannot: take "dapo", or denominator "all"',
        )
        for part in self.parts:
            require(
                loss_type not in MEAN_LOSSES
                or getattr(part.method, "aggregation", "") != "sequence_mean",
                f'recipe: {part.name}: aggregation "sequence_mean" divides by the tokens of a row, '
                f'and so does loss_type {loss_type!r}; take "token_mean", or another loss',
            )
        require(
            self.safety.delta is None or loss_type in CLIPPED_LOSSES,
            f"recipe: safety.delta clips the ratio, and loss_type {loss_type!r} has no clip; "
            f"take one of {', '.join(CLIPPED_LOSSES)}",
        )


_KEYS = ("method", "methods", *(each.name for each in fields_of(Recipe) if each.name != "parts"))


def _with_options(named: str) -> tuple[str, dict[str, str]]:
    """Returns the name and the options of NAME:OPTION=VALUE,OPTION=VALUE."""
    name, colon, rest = named.partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",")] if colon else []
    if not all(option and equals and value for option, equals, value in pairs):
        raise UsageError(f"{named}: expected NAME, or NAME:OPTION=VALUE,...")
    return name, {option: value for option, _, value in pairs}


def _from_plain(data: Mapping[str, Any]) -> Recipe:
    """Returns the recipe of a plain mapping, as TOML has it."""
    known_only(data, _KEYS, "recipe")
    if ("method" in data) == ("methods" in data):
        raise UsageError('recipe: give either "method" or "methods"')
    rest = with_file(data)
    if "method" in rest:
        rest["methods"] = [rest.pop("method")]
    for key in ("methods", "gates"):
        if not isinstance(rest.get(key, []), list | tuple):
            raise UsageError(f"recipe.{key}: got {type(rest[key]).__name__}; expected a list")
    parts = tuple(_part(each) for each in rest.pop("methods"))
    if "gates" in rest:
        rest["gates"] = tuple(_gate(each) for each in rest["gates"])
    if "safety" in rest:
        rest["safety"] = converted(rest["safety"], Safety, "recipe.safety")
    for key, kind in (
        ("denominator", Denominator),
        ("pass_at", float),
        ("dose", float | None),
        ("importance", Importance),
        ("gamma", float),
    ):
        if key in rest:
            rest[key] = _typed(rest[key], kind, f"recipe.{key}")
    if "rubric" in rest:
        rest["rubric"] = _rubric(rest["rubric"])
    if "blame" in rest:
        rest["blame"] = blame_of(rest["blame"])
    if "control" in rest:
        rest["control"] = control_named(rest["control"])
    return Recipe(parts, **rest)


def _part(given: Any) -> Part:
    if isinstance(given, Method):
        return Part(given.name, given)
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
    known_only(options, [each.name for each in fields_of(cls)], f"gate {name}")
    return _typed(options, cls, f"gate {name}")


def _rubric(given: Any) -> Composition | None:
    if given is None or isinstance(given, Composition):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"recipe.rubric: got {given!r}; expected a table")
    kinds = get_type_hints(Composition)
    known_only(given, [each.name for each in fields_of(Composition)], "recipe.rubric")
    made: dict[str, Any] = {
        key: items_of(value, "recipe.rubric.items")
        if key == "items"
        else _typed(value, kinds[key], f"recipe.rubric.{key}")
        for key, value in given.items()
    }
    return Composition(**made)


def _named(given: Any, kind: str) -> tuple[str, dict[str, Any]]:
    if isinstance(given, str):
        return given, {}
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise UsageError(f"recipe: {kind} {given!r}: expected a name, or a table with a name")
    return given["name"], {key: value for key, value in given.items() if key != "name"}


def _typed(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from None
