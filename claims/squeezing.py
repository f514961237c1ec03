"""P18: what pushing a token down does to the entropy of its distribution, computed exactly.

One step of size eta against log pi of the sampled token y changes logits by

    z' = z - eta (e_y - pi),

so mass goes to the other tokens in proportion to their probability.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from assay.claims.cells import Cell, Scale
from assay.runs.config import parsed


def squeezed(cell: Cell, scale: Scale) -> Mapping[str, Any]:
    """Returns what the row of the weak start's base says of it, in `squeezing`; of others nothing.

    By kind of token: mean, low, high (95 %) of the change in nats, and positions.
    """
    if (cell.env, cell.start, cell.arm) != ("lookup", "weak", "base"):
        return {}
    return {"squeezing": {which: intervals(each) for which, each in squeezing(scale).items()}}


def pushed_down(
    logits_NV: Float64[np.ndarray, "N V"], token_N: np.ndarray, *, eta: float = 0.5
) -> tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """Returns (pi of the token, change of entropy in nats) for each position."""
    pi_NV = _softmax(logits_NV)
    push_NV = -pi_NV
    at = np.arange(token_N.size)
    push_NV[at, token_N] += 1.0
    after_NV = _softmax(logits_NV - eta * push_NV)
    return pi_NV[at, token_N], _entropy(after_NV) - _entropy(pi_NV)


def _softmax(logits_NV: Float64[np.ndarray, "N V"]) -> Float64[np.ndarray, "N V"]:
    shifted = np.exp(logits_NV - logits_NV.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def _entropy(pi_NV: Float64[np.ndarray, "N V"]) -> Float64[np.ndarray, " N"]:
    return -(pi_NV * np.log(np.maximum(pi_NV, 1e-300))).sum(1)


def squeezing(scale: Scale, seed: int = 0) -> dict[str, list[list[float]]]:
    """Returns changes of entropy (nats), by task, when the policy's own tokens are pushed down.

    "rare": tokens with pi < 0.05; "likely": pi > 0.5. Positions are those of sampled attempts at
    `lookup/hard`; those at which nothing else is possible (pi > 0.999) are left out.
    """
    import torch

    from assay.records import ModelStep
    from assay.rollout.backends.local import Transformers
    from assay.rollout.chain import collect, tasks
    from assay.runs.start import opened
    from assay.world import load

    cell = Cell(env="lookup", start="weak", arm="grpo", seed=seed)
    config = parsed(cell.tables(scale))
    model, tokenizer = opened(config, None)
    first = config.eval.first_task
    attempts = tasks(lambda: load(cell.level), range(first, first + scale.held_out), 8)
    found: dict[str, dict[str, list[float]]] = {"rare": {}, "likely": {}}
    backend = Transformers(model, tokenizer)
    for record in collect(backend, attempts, sampling=config.train.sampling, seed=(seed, 0, 0)):
        ids = [i for step in record.steps for i in getattr(step, "token_ids", None) or ()]
        own = [
            type(step) is ModelStep
            for step in record.steps
            for _ in getattr(step, "token_ids", None) or ()
        ]
        at = [place for place in range(1, len(ids)) if own[place]]
        with torch.no_grad():
            given = torch.tensor([ids], device=model.device)
            logits = model(input_ids=given).logits[0].double().cpu().numpy()
        before = [place - 1 for place in at]
        pi_N, change_N = pushed_down(logits[before], np.array([ids[place] for place in at]))
        for which, at_N in (("rare", pi_N < 0.05), ("likely", (pi_N > 0.5) & (pi_N < 0.999))):
            found[which].setdefault(record.group, []).extend(change_N[at_N].tolist())
    return {which: [*by_task.values()] for which, by_task in found.items()}


def intervals(changes: Sequence[Sequence[float]], draws: int = 10_000) -> list[float]:
    """Returns mean, low, high (95 %, tasks resampled with all their positions) and how many there
    are. `changes`: by task."""
    sum_G, count_G = (np.array([of(each) for each in changes], float) for of in (sum, len))
    if not count_G.sum():
        return [0.0, 0.0, 0.0, 0.0]
    rng = np.random.default_rng(0)
    weight_DG = rng.multinomial(len(changes), np.full(len(changes), 1 / len(changes)), draws)
    count_D = weight_DG @ count_G
    means = (weight_DG @ sum_G)[count_D > 0] / count_D[count_D > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(sum_G.sum() / count_G.sum()), float(low), float(high), float(count_G.sum())]
