"""The configuration of a run: a TOML recipe, changed by --set, frozen, hashed, written back.

    about    what the recipe shows, how long it takes        model   what is trained
    env      the tasks                                        train   how much, how fast
    rollout  chains or trees, how many tokens in all          eval    what `assay eval` measures
    recipe   credit, gates, safety: `assay.recipes.recipe`   start   what comes before it
    rescue   what is done for groups that failed as a whole   probe   what is measured of the start
    hints    who says what should have been known            feedback what hints do to training
    schedule which of several environments comes next
    reward   how likely the reference answer is after each rollout: a dense reward
    scaffold which rollouts read part of the rubric, and are trained without it
    skills   what rollouts read of a skill bank, how it grows, and when it is withdrawn
    rlag     learning from contexts in place of rollouts
    trl      any other of TRL's GRPOConfig

Precedence: defaults < file < command line. A key that nobody knows is an error.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, final

import msgspec
import tomli_w
from msgspec import field

from assay.errors import UsageError
from assay.feedback.settings import Hints
from assay.recipes.inlined import with_file
from assay.recipes.recipe import Recipe
from assay.recipes.settings import Settings, converted, known_only, require
from assay.rescue.settings import Rescues
from assay.rollout.headroom import Probe
from assay.rollout.reward import Reward
from assay.rollout.scaffold import Scaffold
from assay.rollout.teacher import Feedback
from assay.runs.imitation import Imitation
from assay.runs.micro import micro_rows
from assay.runs.rlag import Rlag
from assay.runs.sections import About, Engine, Env, Eval, Model, Rollout, Train
from assay.schedule.settings import Schedule
from assay.skills.settings import Skills
from assay.world.several import domains


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
    probe: Probe = field(default_factory=Probe)
    rescue: Rescues = field(default_factory=Rescues)
    hints: Hints = field(default_factory=Hints)
    feedback: Feedback = field(default_factory=Feedback)
    reward: Reward = field(default_factory=Reward)
    schedule: Schedule = field(default_factory=Schedule)
    scaffold: Scaffold = field(default_factory=Scaffold)
    skills: Skills = field(default_factory=Skills)
    rlag: Rlag = field(default_factory=Rlag)
    eval: Eval = field(default_factory=Eval)
    recipe: dict[str, Any] = field(default_factory=lambda: {"method": "grpo"})
    trl: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses training tasks that are also measured on, and credit that nobody knows."""
        super().__post_init__()
        msgspec.structs.force_setattr(self, "recipe", with_file(self.recipe))
        recipe = Recipe.of(self.recipe)
        recipe.check_loss(self.train.loss)
        self.feedback.check(recipe.needs)
        self.reward.check({} if recipe.rubric is None else recipe.rubric.weights)
        self._check_tasks()
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
        self._check_help(recipe)
        self._check_rows()
        self._check_apart()
        self.start.check(self.train.steps, self.train.minibatches)
        self.rlag.check({name: getattr(self, name) for name in self.__struct_fields__})
        taken = sorted(set(self.trl) & OURS)
        require(not taken, f"trl.{taken[0] if taken else ''} is set by Assay; see [train]")

    def _check_tasks(self) -> None:
        of = domains(self.env.name)
        self.schedule.check(of)
        require(
            self.train.pool >= len(of),
            f"train.pool: got {self.train.pool}; expected a task of each of {len(of)} domains",
        )
        own = range(self.train.first_task, self.train.first_task + self.train.pool)
        held = range(self.eval.first_task, self.eval.first_task + self.eval.prompts)
        require(
            own.stop <= held.start or held.stop <= own.start,
            f"eval tasks {held.start} to {held.stop - 1} overlap with training tasks "
            f"{own.start} to {own.stop - 1}; move eval.first_task",
        )

    def _check_apart(self) -> None:
        plain = (self.rollout.kind, self.rollout.oversample, self.rollout.resample) == (
            "chain",
            1,
            0,
        )
        require(
            not self.train.apart or (self.sampling.backend == "local" and plain),
            "train.apart: every trajectory is drawn once, by the model in this process; take "
            "sampling.backend=local and rollout.kind=chain, without oversample and resample",
        )

    def _check_help(self, recipe: Recipe) -> None:
        whole = (self.rollout.kind, self.rollout.oversample) == ("chain", 1)
        require(
            self.rescue.kind == "none" or whole,
            "rescue: it takes the place of a failure in a group of whole trajectories; expected "
            "rollout.kind=chain and rollout.oversample=1",
        )
        batch = self.train.prompts * self.rows
        require(
            self.rescue.kind == "none" or self.rescue.most(batch) > 0,
            f"rescue.share: got {self.rescue.share:g} of the {batch} rows of a batch, which is not "
            f"one; expected at least {1 / batch:.3g}, or more of train.prompts and train.group",
        )
        self.scaffold.check(
            () if recipe.rubric is None else recipe.rubric.items,
            alone=whole and self.rescue.kind == "none",
            corrected=recipe.importance != "none",
        )

        train, held = self.train, self.eval
        self.skills.check(
            alone=whole and self.rescue.kind == "none" and not self.scaffold.on,
            corrected=recipe.importance != "none",
            others=(
                range(train.first_task, train.first_task + train.pool),
                range(held.first_task, held.first_task + held.prompts),
            ),
        )

    def _check_rows(self) -> None:
        train, shape = self.train, self.rollout.shape
        require(
            shape is None or train.group == shape.leaves,
            f"train.group: got {train.group}; expected {shape and shape.leaves}, the leaves of "
            "[rollout]: chains (1 + rounds expansions); leave it out",
        )
        if not self.rlag.on:  # of which a pass is any number of questions
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
        return hashed(msgspec.to_builtins(self))

    def toml(self) -> str:
        """Returns the whole configuration as TOML; `parsed` reads it back."""
        return tomli_w.dumps(msgspec.to_builtins(self))


def hashed(data: Mapping[str, Any]) -> str:
    """Returns the hash of a configuration's plain data, of everything but `about`.

    Of a file that a run wrote it is that of the run's configuration, also where this version knows
    keys that the run's version did not.
    """
    plain = {**data, "about": msgspec.to_builtins(About())}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


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
