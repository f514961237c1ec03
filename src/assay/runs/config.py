"""The configuration of a run: a TOML recipe, changed by --set, frozen, hashed, written back.

    about    what the recipe shows, how long it takes        model   what is trained
    env      the tasks                                        train   how much, how fast
    rollout  chains or trees, how many tokens in all          eval    what `assay eval` measures
    recipe   credit, gates, safety: `assay.recipes.recipe`   start   what comes before it
    trl      any other field of TRL's GRPOConfig

Precedence: defaults < file < command line. A key that nobody knows is an error.
"""

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, final

import msgspec
import tomli_w
from msgspec import field

from assay.errors import UsageError
from assay.recipes.recipe import ROW_LOSSES, TOKEN_LOSSES, Recipe
from assay.recipes.settings import (
    Count,
    NotNegative,
    Settings,
    Whole,
    converted,
    known_only,
    require,
)
from assay.rollout.backends.base import Sampling
from assay.rollout.choice import Choice
from assay.rollout.elicitation import ELICIT
from assay.rollout.tree import Shape
from assay.runs.imitation import Imitation
from assay.runs.micro import micro_rows

LOSSES: Final = (*ROW_LOSSES, *TOKEN_LOSSES, "bnpo")
"""TRL's loss types."""


@final
class About(Settings, frozen=True):
    """For people; no part of the hash."""

    at: ClassVar[str] = "about"

    title: str = ""
    shows: str = ""
    """What to look for in the result."""
    minutes: float = 0.0
    """An estimate for one core."""


@final
class Env(Settings, frozen=True):
    """Which tasks."""

    at: ClassVar[str] = "env"

    name: str = "lookup/even"
    """A family, a level of it, or my_package:MyEnv; see `assay.world.load`."""
    dials: dict[str, Any] = field(default_factory=dict)


@final
class Model(Settings, frozen=True):
    """Which policy."""

    at: ClassVar[str] = "model"

    name: str = "start"
    """"start", a folder, or a name that Hugging Face knows."""
    pad_token: str = ""
    """Where the tokenizer has none."""
    template: dict[str, Any] = field(default_factory=dict)
    """Arguments of its chat template, such as enable_thinking = false."""
    protocol: Literal["auto", "line", "chat"] = "auto"
    """How it talks. auto: chat where it has a template, or the environment tools, but in lines with
    the embedded families and of the shipped policy."""
    lora: Whole = 0
    """Rank of adapters on all linear layers. 0: the whole model is trained."""


@final
class Engine(Settings, frozen=True):
    """Who samples."""

    at: ClassVar[str] = "sampling"

    backend: Literal["local", "vllm", "server"] = "local"
    """This process, vLLM in it, or a server that returns token ids."""
    url: str = ""
    """Of the server, as in http://127.0.0.1:8000/v1."""
    model: str = ""
    """What the server calls the model. Empty: model.name."""
    key: str = ""
    """Environment variable that holds the server's key; empty: none."""
    update: str = ""
    """Address that is told after each step where the weights lie ({"model_path": FOLDER}), as
    SGLang's /update_weights_from_disk. Empty: the server keeps the weights it has."""
    parallel: Count = 32
    """Requests at the same time."""
    timeout: float = 300.0
    """Seconds of one request."""

    def __post_init__(self) -> None:
        """Refuses a server without an address, and an address that nobody asks."""
        super().__post_init__()
        server = self.backend == "server"
        require(
            bool(self.url) == server,
            f"sampling: got backend={self.backend} and url={self.url!r}; expected an address with "
            "backend=server, and with that alone",
        )
        require(server or not self.update, "sampling.update: only a server is told of weights")


@final
class Train(Settings, frozen=True):
    """How much, how fast, how far."""

    at: ClassVar[str] = "train"

    steps: Count = 100
    """Optimiser steps."""
    prompts: Count = 16
    """Tasks of one generated batch."""
    group: int = 8
    """Attempts at each."""
    minibatches: Count = 1
    """Optimiser steps per generated batch; above 1 the later ones are off-policy."""
    micro: Whole = 0
    """Rows of one forward and backward pass, per process. 0: a minibatch at once. The shipped
    recipes say 16, the fastest for the shipped policy on a CPU core; a GPU wants more."""
    learning_rate: float = 5e-5
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Whole = 0
    """Steps over which the learning rate rises."""
    max_grad_norm: NotNegative = 1.0
    loss: str = "dapo"
    """TRL's loss_type."""
    epsilon: NotNegative = 0.2
    epsilon_high: NotNegative = 0.0
    """Upper clip. 0: as epsilon. Of cispo the bound on the ratio itself: above 1, usually 5."""
    beta: NotNegative = 0.0
    """Weight of the KL term."""
    temperature: float = 1.0
    max_tokens: Count = 400
    turn_tokens: Count = 160
    max_length: Count = 1024
    pool: Count = 4096
    """Tasks; each is met once per epoch, in an order of its own."""
    first_task: Whole = 0
    """Seed of the first."""
    save_every: Count = 10
    keep: Count = 2
    """Checkpoints that stay, the last one among them."""
    probe: Whole = 8
    """Training tasks of which the expert's solution is followed: how likely it is by now."""
    threads: Whole = 0
    """Of torch. 0: as many as it takes."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        super().__post_init__()
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
class Rollout(Settings, frozen=True):
    """Which trajectories a task gets, and when sampling ends."""

    at: ClassVar[str] = "rollout"

    kind: Literal["chain", "tree"] = "chain"
    """chain: train.group whole trajectories. tree: chains with branches; `assay.rollout.tree`."""
    chains: Count = 2
    """Trees of a task."""
    expansions: Whole = 2
    """Branches that a tree gets in a round."""
    rounds: Whole = 1
    choose: Choice = "uniform"
    """Where they branch."""
    oversample: Count = 1
    """Makes so many times train.group trajectories of a task, for a gate that keeps train.group."""
    belief: Literal["exact", "elicited", "none"] = "exact"
    """exact: what the environment says of itself, where it does. elicited: how likely the right
    answer is to the policy after each step, by a scoring forward; see `assay.rollout.scoring`."""
    elicit: str = ELICIT
    """Text before the answer that is scored."""
    hindsight: bool = False
    """Scores each step by the policy that is told how its trajectory ended, one forward each."""
    budget_tokens: Whole = 0
    """Training ends with the batch after which the tokens sampled in all are nearest to it, or with
    train.steps. 0: with train.steps."""

    def __post_init__(self) -> None:
        """Refuses trees that are oversampled."""
        super().__post_init__()
        require(
            self.kind == "chain" or self.oversample == 1,
            f"rollout: got kind=tree with oversample={self.oversample}; expected oversample=1: a "
            "gate that keeps some leaves would leave torn trees",
        )

    @property
    def shape(self) -> Shape | None:
        """How trees grow. None: there are none."""
        if self.kind == "chain":
            return None
        return Shape(
            chains=self.chains,
            expansions=self.expansions,
            rounds=self.rounds,
            choose=self.choose,
        )


@final
class Eval(Settings, frozen=True):
    """What `assay eval` measures unless told otherwise."""

    at: ClassVar[str] = "eval"

    prompts: Count = 64
    samples: Count = 64
    first_task: Whole = 1_000_000
    """Seed of the first held-out task."""


@final
class Config(Settings, frozen=True):
    """Everything that decides what a run does, its seed aside."""

    about: About = field(default_factory=About)
    env: Env = field(default_factory=Env)
    model: Model = field(default_factory=Model)
    sampling: Engine = field(default_factory=Engine)
    train: Train = field(default_factory=Train)
    rollout: Rollout = field(default_factory=Rollout)
    start: Imitation = field(default_factory=Imitation)
    eval: Eval = field(default_factory=Eval)
    recipe: dict[str, Any] = field(default_factory=lambda: {"method": "grpo"})
    trl: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses training tasks that are also measured on, and credit that nobody knows."""
        super().__post_init__()
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
            "trl.use_vllm: take sampling.backend=vllm, or AssayTrainer with "
            "assay.trainers.trl.one_gpu",
        )
        engine = self.sampling
        require(
            not (self.model.lora and (engine.update or engine.backend == "vllm")),
            "sampling: adapters (model.lora) are not sent to an engine; take "
            "sampling.backend=local, or train the whole model",
        )
        self._check_rows()
        self.start.check(self.train.steps, self.train.minibatches)
        taken = sorted(set(self.trl) & OURS)
        require(not taken, f"trl.{taken[0] if taken else ''} is set by Assay; see [train]")

    def _check_rows(self) -> None:
        train, shape = self.train, self.rollout.shape
        require(
            shape is None or train.group == shape.leaves,
            f"train.group: got {train.group}; expected {shape and shape.leaves}, the leaves of "
            "[rollout]: chains (1 + rounds expansions); leave it out",
        )
        self.micro()

    def micro(self, processes: int = 1) -> int:
        """Returns the rows of one pass, per process; see `micro_rows`."""
        train = self.train
        shape = (train.prompts, self.rows, train.minibatches, train.micro)
        return micro_rows(*shape, processes=processes)

    @property
    def rows(self) -> int:
        """Trajectories that are made of a task."""
        return self.train.group * self.rollout.oversample

    @property
    def sha256(self) -> str:
        """Hash of everything but `about`."""
        data = msgspec.to_builtins(msgspec.structs.replace(self, about=About()))
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def toml(self) -> str:
        """Returns the whole configuration as TOML; `parsed` reads it back."""
        return tomli_w.dumps(msgspec.to_builtins(self))


OURS: Final = frozenset(
    {"output_dir", "max_steps", "num_generations", "per_device_train_batch_size", "seed"}
    | {"gradient_accumulation_steps", "steps_per_generation", "generation_batch_size"}
    | {"learning_rate", "lr_scheduler_type", "warmup_steps", "max_grad_norm", "loss_type"}
    | {"epsilon", "epsilon_high", "beta", "temperature", "shuffle_dataset", "save_steps"}
    | {"save_strategy", "max_completion_length", "num_iterations", "resume_from_checkpoint"}
)
"""Fields of GRPOConfig that [train] decides."""


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
    known_only(tables, Config.__struct_fields__, where)
    made: dict[str, Any] = {}
    for name, value in _plain(tables, where, ()).items():
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: {name} is {value!r}; expected a section [{name}]")
        kind = Config.__annotations__[name]
        is_table = not issubclass(kind, Settings)
        made[name] = value if is_table else converted(value, kind, f"{where} [{name}]")
    shape = made["rollout"].shape if "rollout" in made else None
    if shape is not None and "group" not in tables.get("train", {}):
        train = made.get("train", Train())
        made["train"] = msgspec.structs.replace(train, group=shape.leaves)
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
