"""May a version serve? The same fixed tasks, played by the version that serves and by the new one.

Both play each task with the same chance, token by token, so that what is left between them is the
policy. Of each suite the one-sided lower bound of the difference in pass rate (Tango's, see
`assay.kernels.paired`) must lie above the loss that the suite tolerates; one that does not is
enough to refuse. Needs torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from assay.kernels.paired import Pairs, compared
from assay.live.suites import Suite
from assay.policy.loading import START
from assay.rollout import Planned, Sampling, collect
from assay.rollout.backends.base import Backend
from assay.rollout.backends.local import Transformers
from assay.rollout.protocols.named import protocol_of
from assay.world.catalogue import load


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """What a suite says."""

    suite: Suite
    pairs: Pairs
    before: float
    """Pass rate of the version that serves."""

    @property
    def lower(self) -> float:
        """Lower bound of the difference."""
        return self.pairs.lower(self.suite.level)

    @property
    def holds(self) -> bool:
        """Whether the version is no worse than the suite tolerates."""
        return self.pairs.holds(self.suite.margin, self.suite.level)

    def sentence(self) -> str:
        """Returns it in words."""
        after = self.before + self.pairs.difference
        said = "holds" if self.holds else "FAILS"
        return (
            f"{self.suite.name}: {said}: {self.before:.1%} to {after:.1%} of {self.pairs.tasks} "
            f"tasks, difference {self.pairs.difference:+.1%}, at least {self.lower:+.1%} by "
            f"{self.suite.level:.0%}; tolerated {-self.suite.margin:+.1%}"
        )

    def figures(self) -> dict[str, float | None]:
        """Returns it as plain values."""
        name = self.suite.name
        return {
            f"{name}/before": self.before,
            f"{name}/difference": self.pairs.difference,
            f"{name}/lower": self.lower,
            f"{name}/margin": self.suite.margin,
            f"{name}/tasks": float(self.pairs.tasks),
        }


Play = Callable[[Suite], Sequence[bool]]
"""Passes of a suite's tasks, in order."""


def canary(suites: Sequence[Suite], serving: Play, candidate: Play) -> list[Seen]:
    """Returns what each suite says of a candidate beside the version that serves."""
    found: list[Seen] = []
    for suite in suites:
        before, after = serving(suite), candidate(suite)
        pairs = compared(zip(before, after, strict=True))
        found.append(Seen(suite, pairs, sum(before) / len(before)))
    return found


def played(
    suite: Suite,
    *,
    model: Any,
    tokenizer: Any,
    name: str,
    seed: Sequence[int],
    backend: Backend | None = None,
) -> list[bool]:
    """Returns which tasks of a suite a policy passes.

    Args:
        suite: its tasks.
        model: the policy.
        tokenizer: its own.
        name: of the base policy, which decides how policy and world talk.
        seed: names the chance, which a task has whoever plays it.
        backend: who samples for the policy; None: the model itself. An engine draws its own tokens
            from the same seed, which pairs the two that are compared less closely.
    """
    make = partial(load, suite.env)
    environment = make()
    protocol = protocol_of("auto", tokenizer, environment, model=model, start=name == START)
    planned = [
        Planned(environment=make(), seed=task, id=f"{suite.name}/{task}", group=f"{task}")
        for task in range(suite.first_task, suite.first_task + suite.tasks)
    ]
    sampling = Sampling(apart=True, max_tokens=160, turn_tokens=48)
    records = collect(
        Transformers(model, tokenizer) if backend is None else backend,
        planned,
        sampling=sampling,
        seed=seed,
        clock=None,
        protocol=protocol,
    )
    return [suite.passed(record) for record in records]


def figures_of(found: Sequence[Seen]) -> Mapping[str, float | None]:
    """Returns the figures of all suites."""
    return {key: value for each in found for key, value in each.figures().items()}
