"""How like an expert's steps a trajectory's own steps are, as Supervised RL scores them.

Deng et al. 2025, Supervised Reinforcement Learning, https://arxiv.org/abs/2510.25992. There the
policy continues an expert's first steps by one, so its step has one counterpart. A trajectory of
its own goes other ways: which of its steps stands for which of the expert's is found here, and is
no part of the paper.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final

from msgspec import structs

from assay.errors import DataError
from assay.records import Call, ModelStep, Trajectory
from assay.verify.canonical import call_form

SCORE: Final = "srl"
"""Name of the score of a step: its similarity, in [0, 1], or `WRONG`."""
PLACE: Final = "srl_step"
"""Name of the score that says which of the expert's steps, from 0, a step stands for."""
WRONG: Final = -1.0
"""What an action in a wrong format earns."""


@lru_cache(maxsize=1 << 15)
def similarity(pred: str | tuple[str, ...], gold: str | tuple[str, ...]) -> float:
    """Returns r = 2 M / T, in [0, 1]: M the length of all matching blocks, T that of both together.

    Texts are compared by character, tuples by element. `difflib` decides, with its heuristic for
    popular elements off: on, a copy of 261 characters with one more than the original scores .499
    in place of .998. The order counts: (tide, diet) is .25, (diet, tide) .5; the paper's reward is
    this one, of the policy's action and then the expert's.

    Raises:
        DataError: the expert's action is empty, so that there is nothing to be like.
    """
    if not gold:
        raise DataError("similarity: got an empty expert's action; expected a call or an answer")
    return SequenceMatcher(None, pred, gold, autojunk=False).ratio()


def action_text(*calls: tuple[str, str]) -> str:
    """Returns the text that stands for calls, given as (name, arguments), one a line: the name and
    the arguments as canonical JSON (`verify.canonical`)."""
    return "\n".join(f"{name}{call_form(name, arguments).arguments}" for name, arguments in calls)


def aligned(
    ratio: Sequence[Sequence[float]], n_expert: int, *, skip: float = 0.1
) -> list[int | None]:
    """Returns, for each own step, the expert's step that it stands for; None: for none.

    Pairs are monotone and one to one, and maximise

        sum of the ratios of the pairs - skip * (own steps without one + expert's without one)

    so each further pair is worth 2 * skip besides its ratio. Of several best alignments it is the
    one whose pairs come last.

    Args:
        ratio: of each own step, its similarity to each of the expert's.
        n_expert: the expert's steps.
        skip: what a step without a counterpart costs, at least 0.
    """
    best = [[-skip * j for j in range(n_expert + 1)]]
    for i, row in enumerate(ratio, 1):
        line = [-skip * i]
        for j, each in enumerate(row, 1):
            line.append(max(best[-1][j - 1] + each, best[-1][j] - skip, line[j - 1] - skip))
        best.append(line)
    found: list[int | None] = [None] * len(ratio)
    i, j = len(ratio), n_expert
    while i and j:
        if best[i][j] == best[i - 1][j - 1] + ratio[i - 1][j - 1]:
            i, j = i - 1, j - 1
            found[i] = j
        elif best[i][j] == best[i][j - 1] - skip:
            j -= 1
        else:
            i -= 1
    return found


def with_similarity(record: Trajectory, *, skip: float = 0.1) -> Trajectory:
    """Returns the record with `scores["srl"]` and `scores["srl_step"]` on its own steps that call.

    A step's action is its calls; one of the expert's steps is one of its calls. A step that stands
    for none of them scores 0 and has no `srl_step`. A call that is no JSON object, where the
    expert's are, is placed by its text and scores -1. Steps that only speak, and those that repeat
    somebody else's, have no score. A record that knows no expert, or has such scores, is returned
    as it is.

    Raises:
        DataError: one of the expert's calls is empty.
    """
    expert = [(call.name, call.arguments) for call in record.expert or ()]
    gold = [action_text(call) for call in expert]
    at = [k for k, step in enumerate(record.steps) if _acts(step)]
    if not gold or not at or any(SCORE in _own(record, k).scores for k in at):
        return record
    if "" in gold:
        raise DataError(
            f"trajectory {record.id!r}: expert[{gold.index('')}] has no name and no arguments; "
            "expected a call"
        )
    json = all(call_form(*call).is_json for call in expert)
    texts = [action_text(*((c.name, c.arguments) for c in _own(record, k).calls)) for k in at]
    ratio = [[similarity(text, each) for each in gold] for text in texts]
    steps = list(record.steps)
    for k, row, place in zip(at, ratio, aligned(ratio, len(gold), skip=skip), strict=True):
        step = _own(record, k)
        wrong = json and not all(map(_parsed, step.calls))
        score = WRONG if wrong else 0.0 if place is None else row[place]
        known = {} if place is None else {PLACE: float(place)}
        steps[k] = structs.replace(step, scores={**step.scores, SCORE: score, **known})
    return structs.replace(record, steps=tuple(steps))


def _own(record: Trajectory, at: int) -> ModelStep:
    step = record.steps[at]
    assert type(step) is ModelStep
    return step


def _acts(step: object) -> bool:
    return type(step) is ModelStep and bool(step.calls) and step.untrainable != "copied"


def _parsed(call: Call) -> bool:
    said = call.evidence.parsed
    return call_form(call.name, call.arguments).is_json if said is None else said
