"""Skills in a run: the section [skills]."""

from typing import Annotated, Any, ClassVar, Literal, final

from msgspec import Meta

from assay.recipes.settings import Count, Settings, Whole, require
from assay.skills.bank import CAP
from assay.skills.block import BUDGET
from assay.skills.resting import EVIDENCE
from assay.skills.retrieval import MOST, Retrieval
from assay.skills.shelf import SHOW

Share = Annotated[float, Meta(ge=0, le=1)]


@final
class Skills(Settings, frozen=True):
    """What rollouts read of a bank, how it grows, and when it is withdrawn."""

    at: ClassVar[str] = "skills"

    bank: str = ""
    """Folder of the bank that a run begins with. Empty: an empty one."""
    every: Whole = 0
    """Steps after which the bank grows by what the rollouts since then teach. 0: never."""
    show: Share = SHOW
    """Probability that a skill that fits a task is shown; the rest is what it is measured by."""
    budget: Count = BUDGET
    """Tokens of the block, at most."""
    most: Count = MOST
    """Skills of a task, at most."""
    retrieval: Retrieval = "bm25"
    """By which skills are found: the words of a task, or its meaning (extra `embeddings`)."""
    train: Literal["read", "bare"] = "read"
    """What the policy is trained on: the prompt with the skills that it read (SkillRL), or without
    them, weighed by `recipe.importance`."""
    fade: Share = 1.0
    """Share of the training after which skills are shown less and less (SKILL0). 1: never."""
    gone: Share = 1.0
    """Share of the training after which none is shown."""
    admit: bool = True
    """Candidates are shown once paired runs on held-out tasks admit them. False: at once."""
    pairs: Count = 32
    """Paired runs of a candidate."""
    candidates: Count = 8
    """That are tried each time: those that never were, most evidence first."""
    below: Share = 1.0
    """Only categories that pass less than this write lessons; SkillRL's is .4."""
    first_task: Whole = 3_000_000
    """Where the held-out tasks that candidates are tried on begin."""
    tasks: Count = 256
    """How many of these there are."""
    cap: Count = CAP
    """Active skills of a bank that begins empty, at most."""
    evidence: Count = EVIDENCE
    """Pieces of evidence that each skill of it keeps, at most."""

    @property
    def on(self) -> bool:
        """Whether there is a bank."""
        return bool(self.bank) or self.every > 0

    @property
    def shelf(self) -> dict[str, Any]:
        """How rollouts read the bank: options of `Shelf`."""
        return {"budget": self.budget, "most": self.most, "retrieval": self.retrieval}

    def check(self, *, alone: bool, corrected: bool, others: tuple[range, ...]) -> None:
        """Refuses skills whose rollouts something else takes apart, and trials on other tasks.

        Args:
            alone: whether the run makes groups of whole trajectories, and helps none otherwise.
            corrected: whether `recipe.importance` weighs what was helped.
            others: training tasks, and tasks that are measured on.

        Raises:
            UsageError: says what is in the way.
        """
        require(self.fade <= self.gone, "skills: expected fade <= gone")
        require(
            not self.on or alone,
            "skills: they are shown to rollouts of a group of whole trajectories; expected "
            "rollout.kind=chain, rollout.oversample=1, rescue.kind=none and scaffold.kind=none",
        )
        require(
            not (self.on and self.train == "bare") or corrected,
            "skills.train=bare: rollouts that read skills are trained without them; take "
            "recipe.importance=truncated",
        )
        own = range(self.first_task, self.first_task + self.tasks)
        for each in others if self.every and self.admit else ():
            require(
                own.stop <= each.start or each.stop <= own.start,
                f"skills: candidates are tried on tasks {own.start} to {own.stop - 1}, and tasks "
                f"{each.start} to {each.stop - 1} are trained or measured on; move "
                "skills.first_task",
            )

    def shown(self, done: float) -> float:
        """Returns the probability that a skill is shown, after a share of the training: `show` up
        to `fade`, then in a straight line down to 0 at `gone`."""
        if done < self.fade:
            return self.show
        if done >= self.gone:
            return 0.0 if self.gone < 1.0 else self.show
        return self.show * (self.gone - done) / (self.gone - self.fade)
