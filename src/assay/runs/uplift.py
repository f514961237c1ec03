"""A source of hints measured outside a run, by the policy of a configuration or of a checkpoint."""

from functools import partial
from pathlib import Path
from typing import Any

from assay.feedback.admission import replayed
from assay.feedback.base import Source, failed, given, turns
from assay.feedback.settings import Hints
from assay.rollout.chain import Watch, collect, tasks
from assay.runs.config import Config
from assay.runs.sampling import of_config
from assay.runs.start import opened
from assay.world.catalogue import load


def measured(
    config: Config,
    checkpoint: Path | None,
    source: Source,
    settings: Hints,
    *,
    pairs: int,
    seed: int,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Returns what paired replays say of a source, as plain values.

    The policy of a configuration, or of a checkpoint, tries twice as many training tasks as pairs
    are wanted; what it fails is hinted and played again, in pairs. `watch` sees each attempt.
    """
    from assay.rollout.backends.local import Transformers

    train, pass_at = config.train, float(config.recipe.get("pass_at", 1.0))
    model, tokenizer = opened(config, checkpoint)
    make = partial(load, config.env.name, **config.env.dials)
    how: dict[str, Any] = {
        "sampling": train.sampling,
        "protocol": of_config(config, tokenizer, make(), model),
    }
    backend = Transformers(model, tokenizer)
    many = min(2 * pairs, train.pool)
    seeds = range(train.first_task, train.first_task + many)
    planned = tasks(make, seeds, -(-2 * pairs // many))[: 2 * pairs]
    tried = [*collect(backend, planned, seed=(seed,), clock=None, watch=watch, **how)]
    lost = [each for each in tried if settings.of == "all" or failed(each, pass_at)]
    told = given(source, lost)
    found = replayed(told, pairs, backend, make, seed=(seed,), pass_at=pass_at, watch=watch, **how)
    seen = found.uplift
    return {
        "tried": len(tried),
        "failed": len(lost),
        "hinted": sum(any(turn.step.hints for turn in turns(each)) for each in told),
        "told": seen.told,
        "neutral": seen.neutral,
        "pairs": seen.pairs,
        "uplift": seen.value if seen.pairs else None,
        "error": seen.error if seen.pairs else None,
        "lower": seen.lower if seen.pairs else None,
        "admitted": seen.admits,
        "tokens": sum(each.ledger.tokens or 0 for each in (*tried, *found.played)),
    }
