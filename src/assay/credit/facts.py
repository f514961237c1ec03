"""Facts that a method can need of a batch, and who could have recorded each."""

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float64

from assay.batch import ROLES, Batch
from assay.credit.labels import votes_of
from assay.errors import MethodError, hint
from assay.verify.answers import SCORE as ANSWER
from assay.verify.similarity import SCORE


def _score_S(batch: Batch, name: str) -> Float64[np.ndarray, " S"]:
    return batch.score_SJ[:, batch.score_names.index(name)]


FACTS: Final[dict[str, tuple[Callable[[Batch], bool], str]]] = {
    "logprobs": (
        lambda batch: batch.logprob_N is not None,
        "the importers atif, nemo, rllm and verifiers read them, `assay train` writes them",
    ),
    "entropies": (
        lambda batch: batch.entropy_N is not None,
        "the importer verifiers reads them, `assay train` writes them where a method asks",
    ),
    "calls": (
        lambda batch: batch.step_C.size > 0,
        "any importer of chats with tools reads them, an environment with tools has them",
    ),
    "trees": (
        lambda batch: bool((batch.tree_K >= 0).any()),
        "the importers verifiers and chat read them, tree rollouts (`assay train tree`) have them",
    ),
    "nodes": (
        lambda batch: bool((batch.node_S >= 0).any()),
        "the importer verifiers reads them, tree rollouts (`assay train tree`) have them; records "
        "name them as `node` of a step",
    ),
    "states": (
        lambda batch: bool((batch.state_S >= 0).any()),
        "an environment that says its state has them; records name them as `state_key` of a step",
    ),
    "rewards per step": (
        lambda batch: not np.isnan(batch.reward_S).all(),
        "the importers intercode and rllm read them, an environment that pays its steps has them",
    ),
    "rewards of opening steps": (
        lambda batch: bool((batch.opening_S & ~np.isnan(batch.reward_S)).any()),
        "the importers intercode and rllm read them, an environment that pays its steps has them",
    ),
    "known calls of opening steps": (
        lambda batch: bool((batch.opening_S[batch.step_C] & (batch.ran_C >= 0)).any()),
        "any importer of chats with tools reads whether their calls ran",
    ),
    "scores": (
        lambda batch: any(
            not np.isnan(_score_S(batch, name)).all()
            for name in batch.score_names
            if name != ANSWER
        ),
        "judges and reward models write them as `scores` of a step, an environment with `progress` "
        "as its score 'state'",
    ),
    "labels by the next state": (
        lambda batch: bool(votes_of(batch.score_names)) or bool((batch.on_path_C >= 0).any()),
        "judges write them as score `next_state`, or `next_state:JUDGE`, of a step; an environment "
        "that knows its paths to success has them as evidence `state` of calls",
    ),
    "similarity to an expert": (
        lambda batch: SCORE in batch.score_names and not np.isnan(_score_S(batch, SCORE)).all(),
        "assay credit LOG -m srl and assay train work it out where records know an `expert`, as "
        "those of the importers chat, tau_bench and tau2_bench and of the embedded worlds do",
    ),
    "named rewards": (
        lambda batch: bool(batch.reward_names) and not np.isnan(batch.reward_KJ).all(),
        "environments and reward functions that keep parts of the outcome apart record them as "
        "`rewards` of a trajectory",
    ),
    "stated confidence": (
        lambda batch: not np.isnan(batch.confidence_S).all(),
        "a protocol that asks for it records it as `confidence` of a step",
    ),
    "answers": (
        lambda batch: ANSWER in batch.score_names and not np.isnan(_score_S(batch, ANSWER)).all(),
        "assay credit LOG -m ttrl and assay train read them off the last step of each trajectory, "
        "where it does not end in a call, as its score `answer`",
    ),
    "confidence tokens": (
        lambda batch: bool((batch.role_R == ROLES.index("confidence")).any()),
        "a protocol that asks for confidence marks where it was stated, as a span of role "
        "`confidence`; rlcr needs to know the number alone",
    ),
    "beliefs": (
        lambda batch: not np.isnan(batch.belief_S).all(),
        'an environment with a belief has them, `[rollout] belief = "elicited"` asks the policy, '
        "`assay credit --model` afterwards; records name them as `belief` of a step",
    ),
    "hindsight": (
        lambda batch: (
            "hindsight" in batch.score_names and not np.isnan(_score_S(batch, "hindsight")).all()
        ),
        "`[rollout] hindsight = true` asks the policy, `assay credit --model` afterwards; records "
        "name it as score `hindsight` of a step",
    ),
    "told": (
        lambda batch: batch.told_N is not None,
        "`[feedback]` of a run asks a teacher that is told the hints, `assay credit --model` "
        "afterwards; steps without hints (`assay hints write`) have none",
    ),
    "neutral": (
        lambda batch: batch.neutral_N is not None,
        "`[feedback]` of a run asks a teacher that is told a hint without content, `assay credit "
        "--model` afterwards; steps without hints (`assay hints write`) have none",
    ),
}
"""By name: does the batch hold it, and who could provide it?"""
_OF_STEPS = (
    *("nodes", "states", "rewards per step", "scores", "stated confidence", "beliefs"),
    *("similarity to an expert", "hindsight", "told", "neutral"),
)


def holds(batch: Batch, fact: str) -> bool:
    """Returns whether the set that the batch is, or is a part of, has the fact."""
    return fact in batch.facts if batch.facts is not None else FACTS[fact][0](batch)


def held(batch: Batch) -> frozenset[str]:
    """Returns all facts that a batch has."""
    return frozenset(fact for fact in FACTS if holds(batch, fact))


def need(batch: Batch, fact: str, method: str) -> None:
    """Raises unless the batch holds the fact.

    Raises:
        MethodError: no trajectory has it, or there is no such fact; names who could provide it.
    """
    if fact not in FACTS:
        raise MethodError(
            f"{method} needs {fact!r}, which no importer and no environment provides."
            f"{hint(fact, list(FACTS))} Known: {', '.join(FACTS)}"
        )
    if not holds(batch, fact):
        provided = FACTS[fact][1]
        nobody = "no step has one" if fact in _OF_STEPS else "no trajectory of the set has any"
        raise MethodError(f"{method} needs {fact}, and {nobody}: {provided}")
