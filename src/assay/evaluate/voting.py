"""One answer out of several attempts: by majority, by stated confidence, or the surest."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from assay.errors import DataError

By = Literal["majority", "weighted", "surest"]


def elected(
    answers: Sequence[str], stated: Sequence[float | None], by: By = "majority"
) -> list[str]:
    """Returns the answer that is elected; several where they tie, none where nobody answers.

    Args:
        answers: of the attempts; an empty one is none and elects nothing.
        stated: how sure each is; None: it does not say, which weighs 0.
        by: "majority" counts attempts, "weighted" adds what they state, "surest" takes the greatest
            that one of them states.

    Raises:
        DataError: not as many of one as of the other.
    """
    if len(answers) != len(stated):
        raise DataError(f"vote: {len(answers)} answers, {len(stated)} confidences")
    weight: defaultdict[str, float] = defaultdict(float)
    for answer, sure in zip(answers, stated, strict=True):
        if not answer:
            continue
        if by == "surest":
            weight[answer] = max(weight[answer], sure or 0.0)
        else:
            weight[answer] += 1.0 if by == "majority" else sure or 0.0
    most = max(weight.values(), default=0.0)
    return [answer for answer, each in weight.items() if each >= most - 1e-12 * max(most, 1.0)]


def elected_right(
    answers: Sequence[str], stated: Sequence[float | None], right: Sequence[bool], by: By
) -> float:
    """Returns how right the elected answer is: the share of right attempts among those that gave
    it, mean over ties; 0 where nobody answers. In [0, 1]."""
    winners = elected(answers, stated, by)
    shares = list[float]()
    for winner in winners:
        mine = [ok for answer, ok in zip(answers, right, strict=True) if answer == winner]
        shares.append(sum(mine) / len(mine))
    return sum(shares) / len(shares) if shares else 0.0
