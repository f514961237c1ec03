"""A rubric as a scaffold: some rollouts of a group read part of it, and are trained without it.

    task, items of the rubric     turns       as it is sampled
    task                          turns       as it is trained

RuscaRL 2025, https://arxiv.org/abs/2508.16949: the first of a group sees all items, the last none,
and after a share of the training none does (`kernels.rubrics.shown_share`). What a rollout reads is
drawn for it. The released code trains the tokens as if the bare task had drawn them; here they are
weighed besides (`recipe.importance`).
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, final

import numpy as np
from msgspec import Meta, structs

from assay.judges.rubric import Item
from assay.kernels.rubrics import shown_count, shown_share
from assay.recipes.settings import Positive, Settings, Whole, require
from assay.records import ModelStep, Rescue, Step, Trajectory
from assay.rollout.chain import attributed
from assay.rollout.protocols.base import Protocol
from assay.world.environment import Environment

RUNG: Final = "scaffold"
"""What a record calls the help (`Trajectory.rescue`)."""
_WANTED: Final = "Your answer will be looked at for this:"
_UNWANTED: Final = "It must not do this:"
_QUIET: Final = "Do not mention these points."


@final
class Scaffold(Settings, frozen=True):
    """Who reads how much of the rubric."""

    at: ClassVar[str] = "scaffold"

    kind: Literal["none", "rubric", "neutral"] = "none"
    """none: nobody reads any of it. rubric: items that have a text, under the task. neutral: as
    many tokens that say nothing, to the same rollouts: the control."""
    start: Annotated[float, Meta(gt=0, le=1)] = 0.2
    """Share of the training, what comes before the recipe aside, at which half is left."""
    steep: Positive = 125.0
    """How suddenly it ends: with 125 within a twentieth of training; 10 is slow."""
    gap: Whole = 0
    """Rollouts of each batch that are sampled with the whole rubric and not trained on, to measure
    `rubric/gap`, also with kind none. 0: it is that of the batch's own, while they see any."""

    @property
    def on(self) -> bool:
        """Whether anybody reads any of it."""
        return self.kind != "none" or self.gap > 0

    def check(self, items: Sequence[Item], *, alone: bool, corrected: bool) -> None:
        """Refuses a scaffold of nothing, and one whose rollouts something else takes apart.

        Args:
            items: of the run's rubric.
            alone: whether the run makes groups of whole trajectories, and helps none otherwise.
            corrected: whether `recipe.importance` weighs what was helped.

        Raises:
            UsageError: says what is missing, or in the way.
        """
        require(
            not self.on or any(item.text for item in items),
            "scaffold: no item of recipe.rubric has a text that could be shown; give one",
        )
        require(
            not self.on or alone,
            "scaffold: it is shown to rollouts of a group of whole trajectories; expected "
            "rollout.kind=chain, rollout.oversample=1 and rescue.kind=none",
        )
        require(
            corrected or self.kind != "none",
            "recipe.importance: none is RuscaRL's, of rollouts that a scaffold helped; take "
            "truncated, or scaffold.kind=rubric",
        )

    def drawn(
        self,
        items: Sequence[Item],
        place: tuple[int, int],
        when: tuple[int, int],
        rng: np.random.Generator,
    ) -> list[Item]:
        """Returns the items that a rollout reads, in their order.

        Args:
            items: of its task, those with a text.
            place: its number in the group, from 0, and the size of the group.
            when: the step, from 1, and how many there are.
            rng: its own source of chance.
        """
        share = shown_share(*place, *when, start=self.start, steep=self.steep)
        chosen = rng.permutation(len(items))[: shown_count(len(items), share)]
        return [items[at] for at in sorted(chosen.tolist())]


def offered(items: Sequence[Item], task: str) -> list[Item]:
    """Returns the items of a task that have a text."""
    return [item for item in items if item.text and item.task in (None, task)]


def note(items: Sequence[Item], protocol: Protocol) -> str:
    """Returns what stands under the task: lines of advice where those are its language ("!cites
    sources", "!avoid praise"), else sentences. Of no items, nothing."""
    wanted = [item.text for item in items if item.wanted]
    unwanted = [item.text for item in items if not item.wanted]
    if protocol.name == "line":
        lines = [" ".join(each) for each in (wanted, ["avoid", *unwanted])]
        kept = [f"!{line}" for line, texts in zip(lines, (wanted, unwanted), strict=True) if texts]
        return "\n".join(kept)
    said = [(_WANTED, wanted), (_UNWANTED, unwanted)]
    blocks = ["\n".join((head, *(f"- {text}" for text in t))) for head, t in said if t]
    return "\n".join((*blocks, _QUIET)) if blocks else ""


def neutral(text: str, count: Callable[[str], int], protocol: Protocol, words: str) -> str:
    """Returns a text that says nothing, as near to as many tokens as it can be; of nothing,
    nothing.

    Args:
        text: whose place it takes.
        count: how many tokens a text has.
        protocol: marks advice.
        words: that say nothing, again and again.
    """
    if not text:
        return ""
    mark, size = "!" if protocol.name == "line" else "", count(text)
    said, best = words.split(), ""
    for length in range(1, size + 1):
        made = mark + " ".join(said[n % len(said)] for n in range(length))
        if not best or abs(count(made) - size) < abs(count(best) - size):
            best = made
        if count(made) >= size:
            break
    return best


def bare(
    record: Trajectory, given: str, environment: Environment, seed: int, protocol: Protocol
) -> Trajectory:
    """Returns a record under its task alone, with a note of what was read besides (`rescue`).

    Args:
        record: as it was sampled.
        given: what stood under its task.
        environment: of the task; nobody plays it any more.
        seed: of the task.
        protocol: how policy and world talk.
    """
    with attributed(environment, seed, "reset"):
        opening: tuple[Step, ...] = protocol.opening(environment, environment.reset(seed), ())
    ids = protocol.prompt_ids(opening, environment)
    opening = tuple(
        structs.replace(step, token_ids=tuple(each))
        for step, each in zip(opening, ids, strict=True)
    )
    turns = next((n for n, s in enumerate(record.steps) if type(s) is ModelStep), len(opening))
    steps = (*opening, *record.steps[turns:])
    return structs.replace(record, steps=steps, rescue=Rescue(rung=RUNG, given=given))


def scaffolded(record: Trajectory) -> bool:
    """Returns whether a record was sampled with a scaffold."""
    return record.rescue is not None and record.rescue.rung == RUNG


def aided(records: Sequence[Trajectory], shares: Sequence[float]) -> dict[str, Any]:
    """Returns what a log line says of a batch: the mean share of the items that its rollouts read,
    the share of rollouts that read any, and the mean outcome of these; None: of nothing."""
    came = [each.outcome for each in records if scaffolded(each) and each.outcome is not None]
    count = max(len(records), 1)
    return {
        "rubric/shown": sum(shares) / count,
        "rubric/aided": sum(map(scaffolded, records)) / count,
        "rubric/aided_reward": float(np.mean(came)) if came else None,
    }
