"""What the policy would have said of its own tokens, had it not been helped. Needs torch."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from assay.policy.scoring import Asked, score
from assay.records import ModelStep, Step, Trajectory
from assay.rollout.scoring import spent


def reread(
    records: Sequence[Trajectory],
    model: Any,
    *,
    temperature: float = 1.0,
    batch: int = 16,
) -> list[Trajectory]:
    """Returns the records with `logprobs` of their sampled tokens as the policy finds them when it
    reads the record as it stands, nats; what they were sampled with is `helped`.

    A record stands as it is trained: without the help under which it was sampled, or under another
    task. One forward each, counted in its ledger.

    Args:
        records: with token ids of every step, and log-probabilities of those that are sampled.
        model: the policy.
        temperature: of sampling: log-probabilities are those of the distribution drawn from.
        batch: records of one pass.

    Raises:
        UsageError: a record begins with what the policy wrote.
    """
    ids = [[token for step in each.steps for token in step.token_ids or ()] for each in records]
    asked = [Asked(at, 1, (), tuple(row[1:])) for at, row in enumerate(ids)]
    found = score(model, ids, asked, batch=batch, temperature=temperature)
    return [_read(each, logp) for each, logp in zip(records, found, strict=True)]


def _read(record: Trajectory, logp: Sequence[float]) -> Trajectory:
    """Returns a record with log-probabilities that begin with its second token."""
    steps, at = list[Step](), -1
    for step in record.steps:
        size = len(step.token_ids or ())
        if type(step) is ModelStep and step.logprobs is not None:
            ranges = ((0, size),) if step.sampled is None else step.sampled
            new = tuple(value for a, b in ranges for value in logp[at + a : at + b])
            step = structs.replace(step, logprobs=new, helped=step.logprobs)
        steps.append(step)
        at += size
    return structs.replace(record, steps=tuple(steps), ledger=spent(record.ledger, 1))
