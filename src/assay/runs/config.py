"""The configuration of a run: a TOML recipe, changed by --set, frozen, hashed, written back.

    about    what the recipe shows, how long it takes        model   what is trained
    env      the tasks                                        train   how much, how fast
    recipe   credit, gates, safety: `assay.signal.recipe`      eval    what `assay eval` measures
    trl      any other field of TRL's GRPOConfig

Precedence: defaults < file < command line. A key that nobody knows is an error.
"""

import copy
import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, final

import msgspec

from assay.errors import DataError, UnknownNameError, UsageError, hint
from assay.rollout.backends.base import Sampling
from assay.signal.recipe import ROW_LOSSES, TOKEN_LOSSES, Recipe, known_only
from assay.signal.settings import require

_FROM_1: Final = (
    *("steps", "prompts", "minibatches", "pool", "save_every", "keep"),
    *("max_tokens", "turn_tokens", "max_length"),
)
_FROM_0: Final = (
    *("micro", "warmup", "probe", "threads", "first_task"),
    *("epsilon", "epsilon_high", "beta", "max_grad_norm"),
)
"""Settings of [train] by their least value."""
LOSSES: Final = (*ROW_LOSSES, *TOKEN_LOSSES, "bnpo")
"""TRL's loss types."""


def _in_range(section: str, values: Any, names: Iterable[str], *, least: int) -> None:
    """Raises UsageError unless the named settings are at least `least`; NaN never is."""
    for name in names:
        value = getattr(values, name)
        require(value >= least, f"{section}.{name}: got {value}; expected at least {least}")


@final
@dataclass(frozen=True, slots=True)
class About:
    """For people; no part of the hash."""

    title: str = ""
    shows: str = ""
    """What to look for in the result."""
    minutes: float = 0.0
    """An estimate for one core."""


@final
@dataclass(frozen=True, slots=True)
class Env:
    """Which tasks."""

    name: str = "lookup/even"
    """A family, a level of it, or my_package:MyEnv; see `assay.world.load`."""
    dials: dict[str, Any] = field(default_factory=dict[str, Any])


@final
@dataclass(frozen=True, slots=True)
class Model:
    """Which policy."""

    name: str = "start"
    """"start", a folder, or a name that Hugging Face knows."""
    pad_token: str = ""
    """Where the tokenizer has none."""
    template: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of its chat template, such as enable_thinking = false."""
    lora: int = 0
    """Rank of adapters on all linear layers. 0: the whole model is trained."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        _in_range("model", self, ("lora",), least=0)


@final
@dataclass(frozen=True, slots=True)
class Train:
    """How much, how fast, how far."""

    steps: int = 100
    """Optimiser steps."""
    prompts: int = 16
    """Tasks of one generated batch."""
    group: int = 8
    """Attempts at each."""
    minibatches: int = 1
    """Optimiser steps per generated batch; above 1 the later ones are off-policy."""
    micro: int = 0
    """Rows of one forward and backward pass, per process. 0: a minibatch at once. The shipped
    recipes say 16, the fastest for the shipped policy on a CPU core; a GPU wants more."""
    learning_rate: float = 5e-5
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: int = 0
    """Steps over which the learning rate rises."""
    max_grad_norm: float = 1.0
    loss: str = "dapo"
    """TRL's loss_type."""
    epsilon: float = 0.2
    epsilon_high: float = 0.0
    """Upper clip. 0: as epsilon. Of cispo the bound on the ratio itself: above 1, usually 5."""
    beta: float = 0.0
    """Weight of the KL term."""
    temperature: float = 1.0
    max_tokens: int = 400
    turn_tokens: int = 160
    max_length: int = 1024
    pool: int = 4096
    """Tasks; each is met once per epoch, in an order of its own."""
    first_task: int = 0
    """Seed of the first."""
    save_every: int = 10
    keep: int = 2
    """Checkpoints that stay, the last one among them."""
    probe: int = 8
    """Training tasks of which the expert's solution is followed: how likely it is by now."""
    threads: int = 0
    """Of torch. 0: as many as it takes."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        _in_range("train", self, _FROM_1, least=1)
        _in_range("train", self, _FROM_0, least=0)
        require(self.group >= 2, f"train.group: got {self.group}; expected at least 2 to compare")
        for name, why in (("learning_rate", ""), ("temperature", ": 0 explores nothing")):
            require(
                0 < getattr(self, name) < math.inf,
                f"train.{name}: got {getattr(self, name)}; expected a finite number above 0{why}",
            )
        require(self.beta < math.inf, f"train.beta: got {self.beta}; expected a finite number")
        require(self.loss in LOSSES, f"train.loss: got {self.loss!r}; expected {', '.join(LOSSES)}")
        for name in ("steps", "save_every"):
            require(
                getattr(self, name) % self.minibatches == 0,
                f"train.{name} ({getattr(self, name)}) must be a multiple of train.minibatches "
                f"({self.minibatches}): a batch is never left half used",
            )
        require(
            (self.prompts * self.group) % (self.minibatches * (self.micro or 1)) == 0,
            f"train: {self.prompts} prompts x {self.group} rows do not divide into "
            f"{self.minibatches} minibatches of {self.micro or 'equal'} rows a pass",
        )

    @property
    def sampling(self) -> Sampling:
        """How trajectories are sampled."""
        return Sampling(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            turn_tokens=self.turn_tokens,
            max_length=self.max_length,
        )


@final
@dataclass(frozen=True, slots=True)
class Eval:
    """What `assay eval` measures unless told otherwise."""

    prompts: int = 64
    samples: int = 64
    first_task: int = 1_000_000
    """Seed of the first held-out task."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        _in_range("eval", self, ("prompts", "samples"), least=1)
        _in_range("eval", self, ("first_task",), least=0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that decides what a run does, its seed aside."""

    about: About = field(default_factory=About)
    env: Env = field(default_factory=Env)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    eval: Eval = field(default_factory=Eval)
    recipe: dict[str, Any] = field(default_factory=lambda: {"method": "grpo"})
    trl: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Refuses training tasks that are also measured on, and credit that nobody knows."""
        Recipe.of(self.recipe).check_loss(self.train.loss)
        own = range(self.train.first_task, self.train.first_task + self.train.pool)
        held = range(self.eval.first_task, self.eval.first_task + self.eval.prompts)
        require(
            own.stop <= held.start or held.stop <= own.start,
            f"eval tasks {held.start} to {held.stop - 1} overlap with training tasks "
            f"{own.start} to {own.stop - 1}; move eval.first_task",
        )
        require(
            not self.trl.get("use_vllm"),
            "trl.use_vllm: assay train samples in the trainer's process; for vLLM take "
            "AssayTrainer with assay.trainers.trl.one_gpu",
        )
        taken = sorted(set(self.trl) & OURS)
        require(not taken, f"trl.{taken[0] if taken else ''} is set by Assay; see [train]")

    @property
    def sha256(self) -> str:
        """Hash of everything but `about`."""
        data = {name: value for name, value in asdict(self).items() if name != "about"}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def toml(self) -> str:
        """Returns the whole configuration as TOML; `parsed` reads it back."""
        return "\n".join(_toml("", asdict(self))).lstrip("\n") + "\n"


OURS: Final = frozenset(
    {"output_dir", "max_steps", "num_generations", "per_device_train_batch_size", "seed"}
    | {"gradient_accumulation_steps", "steps_per_generation", "generation_batch_size"}
    | {"learning_rate", "lr_scheduler_type", "warmup_steps", "max_grad_norm", "loss_type"}
    | {"epsilon", "epsilon_high", "beta", "temperature", "shuffle_dataset", "save_steps"}
    | {"save_strategy", "max_completion_length", "num_iterations", "resume_from_checkpoint"}
)
"""Fields of GRPOConfig that [train] decides."""

_SECTIONS: Final = {"about": About, "env": Env, "model": Model, "train": Train, "eval": Eval}


def shipped() -> list[str]:
    """Returns the names of the recipes that come with Assay."""
    folder = files("assay.recipes")
    found = (each.name for each in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml"))


def read(name: str) -> dict[str, Any]:
    """Returns the tables of a recipe: a TOML file, or one that ships, by its bare name.

    Raises:
        UnknownNameError: neither exists; with the nearest name.
        UsageError: it is no TOML, or no UTF-8.
        DataError: it is the frozen configuration of a run, and was removed.
    """
    path = Path(name)
    bare = name.removesuffix(".toml")
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            where = f"byte {error.start}"
            raise UsageError(f"recipe {name}: not UTF-8 at {where}; save it as UTF-8") from None
    elif path.name == "config.toml" and (path.parent / "run.json").is_file():
        raise DataError(
            f"{path.parent}: the run has no config.toml, so nobody knows what it trained; "
            "restore it, or begin another run"
        )
    elif bare in shipped():
        text = (files("assay.recipes") / f"{bare}.toml").read_text(encoding="utf-8")
    else:
        known = shipped()
        raise UnknownNameError(
            f"no recipe {name!r}.{hint(bare, known)} Shipped: {', '.join(known)}"
        )
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {name}: {error}") from None


def changed(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tables with `section.key = value` changes made.

    Raises:
        UsageError: a name without a section, or one that goes through a value.
    """
    result: dict[str, Any] = copy.deepcopy(dict(tables))
    for name, value in changes.items():
        *sections, key = name.split(".")
        if not sections:
            raise UsageError(f"--set {name}: expected section.key=value, as in train.steps=200")
        at = result
        for section in sections:
            at = at.setdefault(section, {})
            if not isinstance(at, dict):
                raise UsageError(f"--set {name}: {section} is a value, no section")
        at[key] = value
        if name == "recipe.method":
            at.pop("methods", None)
        if name == "recipe.methods":
            at.pop("method", None)
    return result


def parsed(tables: Mapping[str, Any], where: str = "recipe") -> Config:
    """Returns the configuration that tables describe.

    Raises:
        UnknownNameError: an unknown section or key, with the nearest one.
        UsageError: a value of the wrong type or out of its range.
    """
    known_only(tables, [each.name for each in fields(Config)], where)
    made: dict[str, Any] = {}
    for name, value in _plain(tables, where, ()).items():
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: {name} is {value!r}; expected a section [{name}]")
        cls: Any = _SECTIONS.get(name)
        if cls is None:
            made[name] = dict(value)
            continue
        known_only(value, [each.name for each in fields(cls)], f"{where} [{name}]")
        try:
            made[name] = msgspec.convert(dict(value), cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"{where} [{name}]: {error}") from None
    return Config(**made)


def _plain(value: Any, where: str, path: tuple[str, ...]) -> Any:
    """Returns a copy of tables, lists and plain values; refuses what no run can write down."""
    match value:
        case Mapping():
            return {key: _plain(each, where, (*path, key)) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each, where, path) for each in value]
        case str() | bool() | int() | float():
            return value
        case _:
            raise UsageError(
                f"{where}: {'.'.join(path)} is {value}; expected text, a number, true or false, "
                "or a list or table of these"
            )


def _toml(path: str, table: Mapping[str, Any]) -> list[str]:
    """Returns the lines of a table, plain values first."""
    lines = [f"[{path}]"] if path else []
    lines += [f"{_key(k)} = {_value(v)}" for k, v in table.items() if not _is_table(v)]
    for key, value in table.items():
        if _is_table(value):
            lines += ["", *_toml(f"{path}.{_key(key)}" if path else _key(key), value)]
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else _text(name)


def _text(value: str) -> str:
    """Returns a TOML string. JSON's escapes are TOML's, pairs of surrogates aside; so is what must
    be escaped, DEL aside."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return str(value)
        case float():
            return repr(value) if "e" not in repr(value) else _exponent(value)
        case int():
            return str(value)
        case str():
            return _text(value)
        case Mapping():
            inner = ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items())
            return f"{{ {inner} }}"
        case Sequence():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            raise UsageError(f"configuration: {value!r} cannot be written as TOML")


def _exponent(value: float) -> str:
    mantissa, _, power = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power}"
