"""The settings of a run's teacher: the section [feedback]."""

from typing import Annotated, ClassVar, Literal, final

from msgspec import Meta

from assay.recipes.settings import Count, Positive, Settings, require

Kind = Literal["none", "opd", "sdpo", "topk"]


@final
class Feedback(Settings, frozen=True):
    """What hints about steps do to training."""

    at: ClassVar[str] = "feedback"

    kind: Kind = "none"
    """none: nothing. opd: the teacher scores what was sampled, and a method of the recipe reads it
    (routing, agreement, rlsd, additive, opd). sdpo, topk: a loss beside the recipe's over the
    policy's top k tokens, a divergence (SDPO 2026, arXiv:2601.20802) or clipped advantages
    (OpenClaw-RL 2026, arXiv:2603.10165)."""
    teacher: Literal["start", "ema", "self"] = "start"
    """The policy as the run began, its running average, or the policy as it is: one that follows
    the policy drifts with it."""
    rate: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """With ema: how much of each step's weights the average takes."""
    place: Literal["auto", "front", "prompt", "step"] = "auto"
    """Where the block stands; see `assay.rollout.teaching`. auto: in front where the tokenizer has
    a chat template, else under the task."""
    where: Literal["dead", "all"] = "dead"
    """With sdpo, topk: in groups in which all fail alike, or everywhere."""
    k: Count = 20
    """With sdpo, topk: tokens at each place."""
    alpha: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """With sdpo: 0 forward KL, 1 reverse KL, else between."""
    cap: Positive = 1.0
    """With topk: bound on the teacher's log-ratio, nats."""
    weight: Positive = 1.0
    """With sdpo, topk: factor on the loss, against a policy loss of one mean token."""

    def check(self, needs: frozenset[str]) -> None:
        """Raises UsageError where nothing reads what it makes, or nobody makes what is read.

        Args:
            needs: facts of the recipe's methods (`Recipe.needs`).
        """
        read = bool(needs & {"told", "neutral"})
        require(
            self.kind != "none" or not read,
            "feedback.kind: got none, and the recipe's method needs told; take feedback.kind=opd, "
            "and say in [hints] who writes hints",
        )
        require(
            self.kind != "opd" or read,
            "feedback.kind: got opd, which no method of the recipe reads; take recipe.method "
            "routing, agreement, rlsd, additive or opd, or feedback.kind=sdpo",
        )
