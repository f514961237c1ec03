"""The settings of what is practised next: the section [schedule] of a run."""

import json
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, final

from msgspec import Meta, field, structs

from assay.errors import DataError, hint
from assay.recipes.settings import Count, NotNegative, Positive, Settings, Whole, require

SCHEMA: Final = "assay.schedule/1"
"""Of the plan that `assay schedule plan` writes."""


Share = Annotated[float, Meta(ge=0, le=1)]


@final
class Schedule(Settings, frozen=True):
    """Which domain the next batch is of. A domain is an environment of a run that has several."""

    at: ClassVar[str] = "schedule"

    mode: Literal["uniform", "fixed", "exact", "tac"] = "uniform"
    """uniform: all domains in every batch, as many tasks of each. fixed: by `order` or `weights`.
    exact: one after the other, in the order of a plan that `assay schedule plan` wrote. tac: each
    batch is of one, drawn by what it teaches and how far that helps the others
    (`assay.schedule.bandit`)."""
    order: tuple[str, ...] = ()
    """Of fixed: stages of equal length, one domain each; it may come again. Of exact: read from the
    plan when the run begins."""
    weights: dict[str, NotNegative] = field(default_factory=dict[str, NotNegative])
    """Of fixed: the share of each domain; one that is left out has none."""
    whole: bool = False
    """Of fixed with weights: each batch is of one domain, drawn by them. False: shares of it."""
    plan: str = ""
    """Of exact: the file, or its folder."""
    alpha: NotNegative = 1.0
    """Of tac: weight of alignment at the start; it falls to 0 at the end. 0: learnability alone."""
    temperature: Positive = 1.0
    """Of tac: of the softmax. Low: the best domain nearly always."""
    memory: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    """Of tac: what alignment keeps of what was seen before."""
    floor: Share = 0.5
    """Of tac: least chance of a domain, in parts of an equal one."""
    pool: Whole = 0
    """Tasks of each domain that are kept for further visits while the policy passes them sometimes
    (`assay.schedule.pool`). 0: every task comes once an epoch."""
    low: Share = 0.125
    """With a pool: a task whose predicted pass rate is lower leaves it."""
    high: Share = 0.875
    """And one whose rate is higher."""
    strength: Positive = 2.0
    """Of the prediction: attempts that the mean of the domain is worth."""
    recall: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """What a task's attempts still count at its next visit."""
    guard: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """A domain is paused while the policy's mean token entropy on it is below this share of its
    start; .5 is usual. 0: nothing is watched."""
    probe: Count = 4
    """With a guard: training tasks of each domain on whose solutions, the expert's, entropy is
    taken before each batch."""

    def __post_init__(self) -> None:
        """Refuses what contradicts the mode."""
        super().__post_init__()
        given = [name for name in ("order", "weights", "whole", "plan") if getattr(self, name)]
        needs = {
            "uniform": [[]],
            "fixed": [["order"], ["weights"], ["weights", "whole"]],
            "exact": [["plan"], ["order", "plan"]],
            "tac": [[]],
        }[self.mode]
        require(
            given in needs,
            f"schedule: got mode={self.mode} with {', '.join(given) or 'nothing else'}; expected "
            + " or ".join(" and ".join(need) or "no order, weights or plan" for need in needs),
        )
        require(
            self.low < self.high,
            f"schedule: got low={self.low:g} and high={self.high:g}; expected low below high",
        )
        require(
            not self.weights or sum(self.weights.values()) > 0,
            "schedule.weights: all are 0; expected one above",
        )

    def check(self, domains: tuple[str, ...]) -> None:
        """Raises UsageError where the run has not the domains that are named here."""
        alone = ", ".join(domains)
        for key, off in (("mode", "uniform"), ("guard", 0.0)):
            require(
                getattr(self, key) == off or len(domains) > 1,
                f"schedule.{key}: got {getattr(self, key)}, and one domain, {alone}; name "
                f"several: env.name=several:{alone}+lake/even",
            )
        for key in ("order", "weights"):
            for name in getattr(self, key):
                require(
                    name in domains,
                    f"schedule.{key}: {name!r} is no domain of the run.{hint(name, domains)} "
                    f"Expected some of {', '.join(domains)}",
                )
        require(
            self.mode != "exact" or not self.order or {*self.order} == {*domains},
            f"schedule.plan: orders {', '.join(self.order)}; expected the domains of the run, "
            f"{', '.join(domains)}",
        )

    def resolved(self) -> "Schedule":
        """Returns the settings with the order of the plan in them; as they are where it is.

        Raises:
            DataError: no such file, or none that `assay schedule plan` wrote.
        """
        if self.mode != "exact" or self.order:
            return self
        path = Path(self.plan)
        path = path / "schedule.json" if path.is_dir() else path
        try:
            told = json.loads(path.read_bytes())
            schema, order = told["schema"], tuple(map(str, told["order"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = getattr(error, "strerror", None) or error
            raise DataError(
                f"schedule.plan: {path}: no plan ({why}); expected what assay schedule plan wrote"
            ) from None
        if schema != SCHEMA:
            raise DataError(f"schedule.plan: {path}: schema {schema!r}; expected {SCHEMA!r}")
        return structs.replace(self, order=order)
