"""A source of hints measured outside a run, by the policy of a configuration or of a checkpoint."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, final

from assay.feedback.admission import Replays, replayed
from assay.feedback.base import Source, failed, given, turns
from assay.feedback.settings import Hints
from assay.feedback.verdict import plain
from assay.kernels.uplift import Measured, levels, looks, paired
from assay.records import Trajectory
from assay.rollout.chain import Planned, Watch, collect, tasks
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
) -> tuple[Measured, dict[str, Any]]:
    """Returns what paired replays say of a source, and with what they cost as plain values.

    The policy of a configuration, or of a checkpoint, tries twice as many training tasks as pairs
    are wanted; what it fails is hinted and played again, in pairs. It is looked at after 16 pairs,
    32, 64 and so on (`looks`), and goes on until the bound at the look's own level (`levels`) says
    that the source helps or that it harms, or `pairs` are played. So often looked at, useless hints
    are admitted no more often than by one look. `watch` sees each attempt.
    """
    from assay.rollout.backends.local import Transformers

    train = config.train
    model, tokenizer = opened(config, checkpoint)
    make = partial(load, config.env.name, **config.env.dials)
    how: dict[str, Any] = {
        "sampling": train.sampling,
        "protocol": of_config(config, tokenizer, make(), model),
    }
    many = min(2 * pairs, train.pool)
    seeds = range(train.first_task, train.first_task + many)
    planned = tasks(make, seeds, -(-2 * pairs // many), experts={})[: 2 * pairs]
    test = _Test(config, source, settings, Transformers(model, tokenizer), make, how, watch)
    at, level = 0, 0.0
    for end, level in zip(ends := looks(pairs), levels(ends), strict=True):
        test.goes_on(planned[2 * at : 2 * end], end - at, (seed, at))
        at, by = end, test.found.decides
        if by.helps(level) or by.harms(level):
            break
    by = test.found.decides
    seen = {**plain(test.found), "lower": by.bound(level) if by.pairs else None}
    return test.found, {
        **{name: value for name, value in test.counts.items() if name != "tokens"},
        **seen,
        "admitted": by.helps(level),
        "level": level,
        "tokens": test.counts["tokens"],
    }


@final
class _Test:
    """Tries tasks, and plays those again that failed, stretch by stretch."""

    def __init__(
        self,
        config: Config,
        source: Source,
        settings: Hints,
        backend: Any,
        make: Callable[[], Any],
        how: dict[str, Any],
        watch: Watch | None,
    ) -> None:
        self._pass_at = float(config.recipe.get("pass_at", 1.0))
        self._source, self._settings = source, settings
        self._backend, self._make, self._how, self._watch = backend, make, how, watch
        self.found = Measured(paired(()))
        self.counts = dict.fromkeys(("tried", "failed", "hinted", "leaked", "tokens"), 0)

    def goes_on(self, planned: list[Planned], pairs: int, seed: tuple[int, ...]) -> None:
        """Tries what is planned, and adds so many pairs of replays at most."""
        how: dict[str, Any] = {**self._how, "watch": self._watch}
        tried = [*collect(self._backend, planned, seed=seed, clock=None, **how)]
        lost = [each for each in tried if self._settings.of == "all" or failed(each, self._pass_at)]
        told = given(self._source, lost, self._settings.leaks)
        new = replayed(
            told,
            pairs,
            self._backend,
            self._make,
            seed=seed,
            pass_at=self._pass_at,
            **how,
        )
        self.found = self.found.after(new.found, 1.0)
        self._count(tried, told, new)

    def _count(self, tried: list[Trajectory], told: list[Trajectory], new: Replays) -> None:
        self.counts["tried"] += len(tried)
        self.counts["failed"] += len(told)
        self.counts["leaked"] += self._source.leaked
        self.counts["hinted"] += sum(any(t.step.hints for t in turns(each)) for each in told)
        self.counts["tokens"] += sum(each.ledger.tokens or 0 for each in (*tried, *new.played))
