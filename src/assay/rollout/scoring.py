"""What a policy says of trajectories that are over, by forwards that score and train nothing.

elicited     how likely the right answer is to it, before the first step and after each
hindsight    how likely its own steps are once it is told how they ended
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, final

from msgspec import structs

from assay.errors import DataError
from assay.policy.scoring import Asked, score
from assay.records import Ledger, ModelStep, Step, Trajectory
from assay.rollout.elicitation import ELICIT, HINDSIGHT, ending


@final
@dataclass(frozen=True, slots=True)
class Beliefs:
    """log p(right answer | history, elicitation), nats, summed over the answer's tokens."""

    prior: float
    """Before the first step."""
    after: tuple[float, ...]
    """After each model step and what the world said to it."""
    forwards: int
    """Texts that were scored for it, and not for a trajectory before it that shares the history."""


def elicited(
    records: Sequence[Trajectory],
    model: Any,
    tokenizer: Any,
    *,
    elicit: str = ELICIT,
    batch: int = 16,
) -> list[Beliefs | None]:
    """Returns what the policy believes along each trajectory; None where no answer is known.

    Delta-Belief 2026, https://arxiv.org/abs/2602.12342: the answer is scored after an elicitation
    that is appended to the history; nothing of it stays there. Not clamped: a method does that.

    Args:
        records: with token ids of every step.
        model: a causal language model.
        tokenizer: the model's own.
        elicit: text between the history and the answer.
        batch: trajectories of one pass.

    Raises:
        DataError: a step has no token ids, or nothing stands before the first model step.
    """
    given = tuple(tokenizer(elicit, add_special_tokens=False)["input_ids"])
    histories, cut_at = list[list[int]](), list[list[int]]()
    asked, places = list[Asked](), dict[tuple[tuple[int, ...], ...], int]()
    of: list[list[int]] = []
    fresh: list[int] = []
    for at, record in enumerate(records):
        histories.append(ids_of(record))
        cut_at.append(cuts(record) if record.reference else [])
        before, mine = len(asked), list[int]()
        for cut in cut_at[at]:
            answer = tuple(tokenizer(record.reference, add_special_tokens=False)["input_ids"])
            key = tuple(histories[at][:cut]), answer
            if key not in places:
                places[key] = len(asked)
                asked.append(Asked(at, cut, given, answer))
            mine.append(places[key])
        of.append(mine)
        fresh.append(len(asked) - before)
    total = [sum(each) for each in score(model, histories, asked, batch=batch)]
    made = ([total[place] for place in mine] for mine in of)
    return [
        Beliefs(values[0], tuple(values[1:]), n) if values else None
        for values, n in zip(made, fresh, strict=True)
    ]


def believing(record: Trajectory, beliefs: Beliefs | None) -> Trajectory:
    """Returns the record with the beliefs at its model steps and before them, in place of those it
    has, and what they cost in its ledger; as it was where there are none."""
    if beliefs is None:
        return record
    after = iter(beliefs.after)
    steps = tuple(
        structs.replace(step, belief=next(after)) if type(step) is ModelStep else step
        for step in record.steps
    )
    ledger = spent(record.ledger, beliefs.forwards)
    return structs.replace(record, steps=steps, prior=beliefs.prior, ledger=ledger)


def unbelieving(record: Trajectory) -> Trajectory:
    """Returns the record without any belief."""
    steps = tuple(
        structs.replace(step, belief=None) if type(step) is ModelStep else step
        for step in record.steps
    )
    return structs.replace(record, steps=steps, prior=None)


def told_ending(tokenizer: Any) -> Callable[[Trajectory], list[int]]:
    """Returns what gives the prompt of a scored trajectory with its ending told: the tokens before
    its first model step, and the words behind them (`elicitation.ending`), whatever template made
    them."""

    def told(record: Trajectory) -> list[int]:
        said = ending(record.outcome or 0.0)
        ids = tokenizer(said, add_special_tokens=False)["input_ids"]
        return [*ids_of(record)[: cuts(record)[0]], *ids]

    return told


def hindsight(
    records: Sequence[Trajectory],
    model: Any,
    told: Callable[[Trajectory], Sequence[int]],
    *,
    batch: int = 16,
) -> list[Trajectory]:
    """Returns the records with the score "hindsight" at each model step: the mean log p of its
    sampled tokens under a prompt that tells how it ended, nats.

    HCAPO 2026, https://arxiv.org/abs/2603.08754. A step without sampled tokens gets None, and so do
    those of a trajectory that nobody scored: there is no ending to tell.

    Args:
        records: with token ids of every step.
        model: a causal language model.
        told: returns the ids of the prompt that tells the ending of a trajectory.
        batch: trajectories of one pass.

    Raises:
        DataError: a step has no token ids, or nothing stands before the first model step.
    """
    known = [record for record in records if record.outcome is not None]
    histories: list[list[int]] = []
    for record in known:
        ids, first = ids_of(record), cuts(record)[0]
        histories.append([*told(record), *ids[first:]])
    asked = [Asked(at, 1, (), tuple(ids[1:])) for at, ids in enumerate(histories) if len(ids) > 1]
    scores = iter(score(model, histories, asked, batch=batch))
    made: list[Trajectory] = []
    for record in records:
        logp = next(scores) if record.outcome is not None else None
        made.append(_hindsighted(record, logp))
    return made


def _hindsighted(record: Trajectory, logp: Sequence[float] | None) -> Trajectory:
    """Returns a record with the mean of the last log-probabilities at each of its model steps."""
    own = 0 if logp is None else len(ids_of(record)) - cuts(record)[0]
    tail = None if logp is None else logp[len(logp) - own :]
    steps, at, begun = list[Step](), 0, False
    for step in record.steps:
        begun |= type(step) is ModelStep
        size = len(step.token_ids or ()) if begun else 0
        if type(step) is ModelStep:
            mean = None if tail is None else _mean(tail[at : at + size], step)
            step = structs.replace(step, scores={**step.scores, HINDSIGHT: mean})
        steps.append(step)
        at += size
    ledger = record.ledger if logp is None else spent(record.ledger, 1)
    return structs.replace(record, steps=tuple(steps), ledger=ledger)


def _mean(logp: Sequence[float], step: ModelStep) -> float | None:
    ranges = ((0, len(logp)),) if step.sampled is None else step.sampled
    values = [value for a, b in ranges for value in logp[a:b]]
    return sum(values) / len(values) if values else None


def spent_on(record: Trajectory, forwards: int) -> Trajectory:
    """Returns a record with so many scoring forwards more in its ledger."""
    return structs.replace(record, ledger=spent(record.ledger, forwards))


def spent(ledger: Ledger, forwards: int) -> Ledger:
    """Returns a ledger with so many scoring forwards more."""
    return structs.replace(ledger, scoring_forwards=(ledger.scoring_forwards or 0) + forwards)


def ids_of(record: Trajectory) -> list[int]:
    """Returns all tokens of a trajectory."""
    made: list[int] = []
    for at, step in enumerate(record.steps):
        if step.token_ids is None:
            raise DataError(
                f"trajectory {record.id!r} steps[{at}]: no token ids; a policy scores tokens"
            )
        made += step.token_ids
    return made


def cuts(record: Trajectory) -> list[int]:
    """Returns the tokens before the first model step, and up to the end of each step's answers."""
    ends = [0, *accumulate(len(step.token_ids or ()) for step in record.steps)]
    starts = [end for end, step in zip(ends, record.steps, strict=False) if type(step) is ModelStep]
    if not starts or starts[0] == 0:
        raise DataError(f"trajectory {record.id!r}: expected a prompt, and a model step after it")
    return [*starts, ends[-1]]
