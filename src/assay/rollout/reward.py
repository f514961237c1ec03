"""The settings of a dense reward: the section [reward] of a run."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Final, Literal, final

from msgspec import Meta

from assay.kernels.r3 import HIGH, LOW, OMEGA
from assay.recipes.settings import NotNegative, Settings, require

DENSE: Final = ("r3", "r3_v1", "mean_p", "mean_logp")
"""Names of the rewards that a scorer gives."""
Share = Annotated[float, Meta(ge=0, le=1)]


@final
class Reward(Settings, frozen=True):
    """What a scorer says of the reference answer after each rollout's reasoning."""

    at: ClassVar[str] = "reward"

    kind: Literal["none", "r3", "r3_v1", "mean_p", "mean_logp"] = "none"
    """none: nothing is scored. Else the named reward that each rollout gets: r3 and r3_v1
    (`assay.kernels.r3`), or the mean of the tokens' probabilities or log-probabilities. What is
    compared is recipe.rubric's to say: dense = "r3"."""
    scorer: Literal["start", "lagged", "policy"] = "start"
    """The policy as the run began; its running average; or itself, whose certainty can rise without
    better reasoning."""
    rate: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """With lagged: how much of each step's weights the average takes."""
    mark: str = "auto"
    """Text before an answer. auto: "=" in lines, else nothing."""
    omega: NotNegative = OMEGA
    """With r3: sharpness of its weights."""
    low: Share = LOW
    """With r3: a token that is less likely than this in every rollout says nothing of them."""
    high: Share = HIGH
    """With r3: nor does one that is more likely."""
    length: NotNegative = 0.0
    """Above 0: a reward "length" that falls so steeply with the distance of the answer's length
    from the reference's. 0: there is none."""
    leaks: Literal["unscored", "kept"] = "unscored"
    """Rollouts whose reasoning, task or tool's output holds the reference word for word: unscored,
    or rewarded like the others."""

    def __post_init__(self) -> None:
        """Refuses bounds that leave no token."""
        super().__post_init__()
        require(
            self.low < self.high,
            f"reward: got low={self.low:g} and high={self.high:g}; expected low below high",
        )

    def check(self, read: Collection[str]) -> None:
        """Raises UsageError where nothing compares what it makes, or nobody makes what is compared.

        Args:
            read: names of the rewards that are compared (`gate.rubric.Composition.weights`).
        """
        require(
            self.kind == "none" or self.kind in read,
            f"reward.kind: got {self.kind}, which nothing compares; say recipe.rubric.dense = "
            f'"{self.kind}"',
        )
        missing = [each for each in DENSE if each in read and each != self.kind]
        require(
            not missing,
            f"recipe.rubric.dense: reads {', '.join(missing)}, and reward.kind is {self.kind}; "
            f"take reward.kind={''.join(missing[:1])}",
        )
