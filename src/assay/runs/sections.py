"""The sections of a run's configuration that are its own, each a few checked values."""

import math
from typing import Any, ClassVar, Final, Literal, final

from msgspec import field

from assay.recipes.recipe import ROW_LOSSES, TOKEN_LOSSES
from assay.recipes.settings import Count, NotNegative, Settings, Whole, require
from assay.rollout.backends.base import Sampling
from assay.rollout.choice import Choice
from assay.rollout.elicitation import ELICIT
from assay.rollout.tree import Shape

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
    apart: bool = False
    """Each trajectory draws with chance of its own, so that several processes sample what one does,
    and end where one does."""
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
            apart=self.apart,
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
    resample: Whole = 0
    """Rounds in which other tasks take the place of dead groups; see `assay.rollout.resampling`."""
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
