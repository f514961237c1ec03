"""The dense reward of a run: a scorer that stands still, follows, or is the policy itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, final

from assay.policy.averaging import Average
from assay.records import Trajectory
from assay.rollout.dense import certainty, facts, rewarded
from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.line import Line
from assay.rollout.reward import Reward

FILE: Final = "scorer.safetensors"
"""Name of the scorer in a checkpoint."""
SILENT: Final = (
    "no rollout of the batch has a reference answer, so nothing is rewarded by it: reward.kind "
    "needs an environment that knows its answers"
)


@final
class Rewarding:
    """Who scores, and what it says of a batch."""

    def __init__(self, settings: Reward, protocol: Protocol, tokenizer: Any) -> None:
        """Takes what decides it; `begin` gives it the policy."""
        lines = "=" if isinstance(protocol, Line) else ""
        self.settings, self._tokenizer = settings, tokenizer
        self._mark = lines if settings.mark == "auto" else settings.mark
        self._scorer: Average | None = None
        self.facts: dict[str, float] = {}
        """What a step's row says of the batch: `assay.rollout.dense.facts`."""

    @property
    def on(self) -> bool:
        """Whether anything is scored."""
        return self.settings.kind != "none"

    def begin(self, model: Any) -> None:
        """Takes the policy as it starts; of a run that is resumed, before `load`."""
        if self.on and self.settings.scorer != "policy":
            self._scorer = Average(model, self.settings.rate)

    def follow(self, model: Any) -> None:
        """Lets a scorer that lags follow by a step."""
        if self._lagging is not None:
            self._lagging.update(model)

    def save(self, folder: Path) -> None:
        """Writes a scorer that lags into a checkpoint; one that stands still is the start."""
        if self._lagging is not None:
            self._lagging.save(folder, FILE)

    def load(self, folder: Path) -> None:
        """Puts it back.

        Raises:
            DataError: the checkpoint has none.
        """
        if self._lagging is not None:
            self._lagging.load(folder, FILE)

    @property
    def _lagging(self) -> Average | None:
        return self._scorer if self.settings.scorer == "lagged" else None

    def __call__(
        self, records: list[Trajectory], model: Any, *, say: Callable[[str], None]
    ) -> list[Trajectory]:
        """Returns the records with their dense rewards.

        Args:
            records: of whole groups.
            model: the policy.
            say: gets a line where there is nothing to score.
        """
        if not self.on:
            return records
        with self._scoring(model):
            found = certainty(records, model, self._tokenizer, mark=self._mark)
        records = rewarded(records, found, self.settings)
        self.facts = dict(facts(records, self.settings.kind))
        if not any(found):
            say(SILENT)
        return records

    def _scoring(self, model: Any) -> AbstractContextManager[None]:
        return nullcontext() if self._scorer is None else self._scorer.worn(model)
