"""Formulas of rubrics: scores of graded items, what is shown and what is dropped, and monitors.

Axes: K trajectories, J items. A verdict is 1, 0, or NaN: not judged, which counts nowhere.
"""

import hashlib
from collections.abc import Mapping, Sequence
from math import exp, floor
from typing import Final, Literal

import numpy as np
from jaxtyping import Float64

Score = Literal["explicit", "absolute", "positive", "rler"]
LABELS: Final = {"essential": 1.0, "important": 0.7, "optional": 0.3, "pitfall": 0.8}
"""Weights of RaR's labels; its pitfalls are phrased so that passing is good."""


def scored(
    verdict_KJ: Float64[np.ndarray, "K J"], weight_J: Float64[np.ndarray, " J"], by: Score
) -> Float64[np.ndarray, " K"]:
    """Returns the score of each trajectory over the items that were judged; NaN: none was.

        explicit   sum w c / sum w                 RaR 2025, arXiv:2507.17746; weights above 0
        absolute   (sum_{w>0} w c + sum_{w<0} |w| (1 - c)) / sum |w|       arXiv:2605.12474
        positive   sum w c / sum_{w>0} w, 0 without a positive item        RuscaRL, arXiv:2508.16949
        rler       sum w c / max(sum_{w>0} w, 1)                           DR Tulu, arXiv:2511.19399

    The second alone keeps to [0, 1] where weights may be below 0. The papers' code takes 0 for what
    a judge did not answer; here it leaves numerator and divisor.
    """
    known_KJ = ~np.isnan(verdict_KJ)
    size_KJ = np.where(known_KJ, np.abs(weight_J), 0.0)
    up_KJ = np.where(weight_J > 0, size_KJ, 0.0)
    met_KJ = np.where(known_KJ, verdict_KJ, 0.0)
    earned_K = (met_KJ * np.sign(weight_J) * size_KJ).sum(axis=1)
    divisor_K = up_KJ.sum(axis=1)
    if by == "absolute":
        earned_K = earned_K + (size_KJ - up_KJ).sum(axis=1)
        divisor_K = size_KJ.sum(axis=1)
    if by == "rler":
        divisor_K = np.maximum(divisor_K, 1.0)
    found_K = np.divide(earned_K, divisor_K, out=np.zeros(divisor_K.size), where=divisor_K > 0)
    return np.where(known_KJ.any(axis=1), found_K, np.nan)


def implicit(rating_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " K"]:
    """Returns a judge's ratings of 1 to 10 on [0, 1], RaR's implicit form: (rating - 1) / 9.

    RaR 2025, arXiv:2507.17746, says "normalised" and not how. NaN: it was not rated.
    """
    return (rating_K - 1.0) / 9.0


def shown_share(
    index: int, group: int, step: int, total: int, *, start: float = 0.2, steep: float = 125.0
) -> float:
    """Returns the share of the items that a rollout is shown, in [0, 1].

        (G - 1 - i) / (G - 1)  *  1 / (1 + exp(steep ((step - 1) / (total - 1) - start)))

    RuscaRL 2025, arXiv:2508.16949: the first of a group sees all, the last none, and none do after
    a share `start` of training. Alone it sees all that the step allows. One step is the first.

    Args:
        index: of the rollout in its group, from 0.
        group: rollouts of the group, G.
        step: from 1.
        total: steps of the training.
        start: share of training at which half is shown.
        steep: how sudden it ends. With 125 within a twentieth of training.
    """
    place = 1.0 if group == 1 else (group - 1 - index) / (group - 1)
    x = (step - 1) / (total - 1) if total > 1 else 0.0
    return place / (1.0 + exp(min(700.0, steep * (x - start))))


def shown_count(items: int, share: float) -> int:
    """Returns how many items a share is; halves go to the even number, as in the released code."""
    return round(items * share)


def kept_items(name: str, step: int, items: int, share: float, least: int = 1) -> list[int]:
    """Returns the items that count in one step, in order: the others are dropped.

    Rubric Dropout 2026, arXiv:2608.11669, known to us from a note: a share of the items that earn
    something, one draw a group. Ours draws by the order of sha256 of "name|step|index".

    Args:
        name: of the task.
        step: of training.
        items: how many there are.
        share: to drop, in [0, 1): the next smaller whole number of items.
        least: items that stay in any case.
    """
    drop = min(floor(share * items), max(0, items - least))
    order = sorted(range(items), key=lambda i: _drawn(f"{name}|{step}|{i}"))
    return sorted(order[drop:])


def _drawn(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pruned(
    scores: Mapping[str, Sequence[float]], most: int = 5
) -> tuple[list[str], dict[str, float]]:
    """Returns the items that stay active, best first, and the deviation of every item.

    RLER, DR Tulu 2025, arXiv:2511.19399: an item that does not tell the rollouts of a group apart
    is dropped, and of the others those of the largest population deviation stay. A noisy item is
    preferred by that: log the score by persistent items alone beside it. Verdicts that are NaN are
    left out. Equal deviations go by name.

    Args:
        scores: of each item, one verdict a rollout.
        most: items that stay.
    """
    spread = {name: _deviation(np.asarray(each, float)) for name, each in scores.items()}
    live = sorted((name for name in spread if spread[name] > 0), key=lambda n: (-spread[n], n))
    return live[:most], spread


def _deviation(value: Float64[np.ndarray, " _"]) -> float:
    known = value[~np.isnan(value)]
    return float(known.std()) if known.size and np.ptp(known) > 0 else 0.0


def exploitation_rate(
    weight: Float64[np.ndarray, " J"],
    before: Float64[np.ndarray, " J"],
    now: Float64[np.ndarray, " J"],
    rejected: Float64[np.ndarray, " J"],
) -> float:
    """Returns how much of what was newly credited a panel rejects, in [0, 1]; NaN: nothing was.

        sum w N J / sum w N,    N = now (1 - before),  J = rejected by the whole panel

    arXiv:2605.12474. Items that somebody did not judge, at either time, are left out.
    """
    fresh = weight * now * (1.0 - before)
    known = ~np.isnan(fresh) & ~np.isnan(rejected)
    total = float(fresh[known].sum())
    return float((fresh * rejected)[known].sum()) / total if total > 0 else float("nan")


def internalised(
    plain: Float64[np.ndarray, " N"],
    helped: Float64[np.ndarray, " N"],
) -> float:
    """Returns the self-internalisation gap, mean of log p(plain) - log p(helped), nats a token.

    arXiv:2605.12474: of tokens that were sampled with the rubric in the prompt, how much likelier
    they are with it than without. It rises towards 0 while the policy takes in what the rubric
    asks, and where it turns training should stop. NaN: no token has both.
    """
    gap = plain - helped
    known = gap[~np.isnan(gap)]
    return float(known.mean()) if known.size else float("nan")
