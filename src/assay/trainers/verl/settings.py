"""The section `assay` of verl's configuration, and how a recipe fits the rest of it. No verl.

+assay.recipe=assay             a shipped recipe, a method's name, a TOML file or a table
+assay.log=logs                 folder that gets a file of records for each step
++assay.turn_tokens=32          of the agent loop: tokens of a turn, at most
++assay.max_tokens=160          of a trajectory
+assay.protocol=auto            auto, line or chat
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, final

from assay.errors import AssayError, UsageError
from assay.recipes import Recipe, read, shipped
from assay.recipes.settings import Count, converted, require
from assay.recipes.settings import Settings as Checked

LEVEL_2: Final = "assay"
"""The adv_estimator under which the recipe is read."""
PROTOCOLS: Final = ("auto", "line", "chat")
BY_ROW: Final = "seq-mean-token-mean"
"""verl's loss_agg_mode that takes the mean over a row's own tokens first."""
CONSTANT: Final = "seq-mean-token-sum-norm"
"""verl's loss_agg_mode that divides by a constant."""


@final
class Words(Checked, frozen=True):
    """The section as it was given; types are checked."""

    at: ClassVar[str] = "assay"

    recipe: str | dict[str, Any] | list[Any] | None = None
    log: str | None = None
    turn_tokens: Count | None = None
    max_tokens: Count | None = None
    protocol: str = "auto"

    def __post_init__(self) -> None:
        """Refuses a protocol that there is not."""
        super().__post_init__()
        require(
            self.protocol in PROTOCOLS,
            f"assay.protocol: got {self.protocol!r}; expected one of {', '.join(PROTOCOLS)}",
        )


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """What the section says."""

    recipe: Recipe
    log: Path | None
    by_row: bool
    """The loss takes the mean over a row's tokens first."""
    kept: bool
    """What a gate dropped or nobody scored leaves the loss's divisor."""
    off: tuple[str, ...] = ()
    """Settings of the recipe that do nothing here."""


def chosen(config: Any) -> Settings | None:
    """Returns what a configuration of verl says of us. None: its own estimators are asked.

    Raises:
        UsageError: a recipe that nothing would read; and as `settings_of`.
    """
    name = config.algorithm.adv_estimator
    if name == LEVEL_2:
        return settings_of(config)
    given = _words(config)
    for word in ("recipe", "log"):
        if getattr(given, word):
            raise UsageError(
                f"assay.{word} is given and algorithm.adv_estimator is {name}, which does not read "
                "it: set algorithm.adv_estimator=assay"
            )
    return None


def _words(config: Any) -> Words:
    return converted(_plain(config.get("assay") or {}), Words, "assay")


def settings_of(config: Any) -> Settings:
    """Returns what a configuration of verl says of us, and sets the clip that the recipe asks for.

    Args:
        config: verl's, with its sections actor_rollout_ref, algorithm and trainer.

    Raises:
        UsageError: no recipe, a key that is not known, or what verl cannot do.
        UnknownNameError: no such recipe or method.
    """
    given = _words(config)
    if not given.recipe:
        raise UsageError(
            "algorithm.adv_estimator=assay needs a recipe: add +assay.recipe=assay, the name of a "
            f"method, or a TOML file; shipped: {', '.join(shipped())}"
        )
    _synchronous(config)
    actor = config.actor_rollout_ref.actor
    mode = actor.loss_agg_mode
    with _named(given.recipe):
        recipe = recipe_of(given.recipe)
        _fit(recipe, mode)
    safety = recipe.safety
    if safety.delta is not None:
        actor.clip_ratio_c = safety.delta
    if safety.back_off is not None and actor.policy_loss.loss_mode == "vanilla":
        actor.policy_loss.loss_mode = "assay"  # the same, and it says how far tokens moved
    return Settings(
        recipe=recipe,
        log=None if given.log is None else Path(given.log).absolute(),
        by_row=mode == BY_ROW,
        kept=recipe.denominator == "kept",
        off=() if safety.replay is None else ("safety.replay",),
    )


@contextmanager
def _named(given: Any) -> Generator[None]:
    """Says of what goes wrong with which word of the command it began."""
    try:
        yield
    except AssayError as error:
        word = f"={given}" if isinstance(given, str) else ""
        raise type(error)(f"assay.recipe{word}: {error}") from None


def recipe_of(given: Any) -> Recipe:
    """Returns the recipe of a name, of a TOML file, or of plain data.

    Raises:
        UnknownNameError: there is none of this name.
        UsageError: the file has no section [recipe], or a value is out of its range.
    """
    if not isinstance(given, str) or not (given.endswith(".toml") or "/" in given):
        return Recipe.of(given if isinstance(given, str) else _plain(given))
    tables = read(given)
    if "recipe" not in tables:
        raise UsageError(f"{given}: no section [recipe]; expected what assay train takes")
    return Recipe.of(tables["recipe"])


def _plain(given: Any) -> Any:
    """Returns plain data for a table of OmegaConf's."""
    if isinstance(given, Mapping) or hasattr(given, "items"):
        return {str(key): _plain(value) for key, value in given.items()}
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        return given
    return [_plain(each) for each in given]


def _synchronous(config: Any) -> None:
    """Refuses what rewards or rows of a group would be lost in."""
    trainer = config.trainer
    if not trainer.get("use_v1", True):
        raise UsageError("trainer.use_v1=False: rows have no records there; take True")
    if (mode := trainer.v1.trainer_mode) != "sync":
        raise UsageError(
            f"trainer.v1.trainer_mode={mode}: rows of a group come apart there; take sync"
        )
    if config.algorithm.get("use_kl_in_reward"):
        raise UsageError(
            "algorithm.use_kl_in_reward=True: advantages here come from outcomes, not from rewards "
            "less a KL; take actor_rollout_ref.actor.use_kl_loss=True"
        )


def _fit(recipe: Recipe, mode: str) -> None:
    """Refuses what would not train as the recipe says."""
    safety = recipe.safety
    refused = {
        f'recipe: denominator "batch" with loss_agg_mode={mode}; take {CONSTANT}': (
            recipe.denominator == "batch" and mode != CONSTANT
        ),
        "recipe: safety.off_policy reads log-probabilities of whole rows, which verl's loss does "
        "not show; take algorithm.rollout_correction of verl": safety.off_policy is not None,
        "recipe: safety.preserve is a loss that verl has no place for; leave it out": (
            safety.preserve > 0
        ),
    }
    for why, holds in refused.items():
        if holds:
            raise UsageError(why)
    for part in recipe.parts:
        if mode == BY_ROW and getattr(part.method, "aggregation", "") == "sequence_mean":
            raise UsageError(
                f'recipe: {part.name}: aggregation "sequence_mean" divides by the tokens of a row, '
                f'and so does loss_agg_mode={mode}; take "token_mean", or token-mean'
            )
