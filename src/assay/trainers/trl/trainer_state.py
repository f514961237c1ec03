"""What a training run remembers between steps: ledger, controllers, replay, and the log."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from assay.batch import ENDS
from assay.errors import DataError, told
from assay.files.atomic import publish
from assay.recipes.settings import Safety
from assay.signal.consensus import consensus
from assay.signal.controllers import Controllers, Scales
from assay.signal.signal import Signal
from assay.signal.trust import trust
from assay.trainers.trl.metrics import causes_of, step_line
from assay.trainers.trl.replay import Replay

STATE: Final = "assay_state.json"
"""File in a checkpoint that holds what `Session.load` puts back."""
SCHEMA: Final = "assay.train.state/1"
EXPECTED: Final = "expected what AssayTrainer saved there"
_log = logging.getLogger("assay.train")


@final
@dataclass(slots=True)
class Spent:
    """What the run has cost so far, over all processes."""

    tokens_generated: int = 0
    tool_calls: int = 0
    trajectories: int = 0
    steps_skipped: int = 0
    dose: float = 0.0
    """Sum over steps of |A| over the trained tokens, each times its learning rate."""


@final
@dataclass(slots=True)
class Credited:
    """What is known of the batch that is being trained on."""

    facts: dict[str, float] = field(default_factory=dict)
    length_mean: float = 0.0
    length_max: int = 0
    seconds: float = 0.0
    fresh: bool = True
    """No step has been made on it."""


@final
class Session:
    """One per trainer."""

    def __init__(
        self,
        safety: Safety,
        *,
        metrics: Callable[[dict[str, Any]], None] | None = None,
        say: Callable[[str], None] | None = None,
        beside: Any = None,
    ) -> None:
        self.safety, self._beside = safety, beside
        self.spent, self.batch = Spent(), Credited()
        self.controllers = Controllers(safety)
        self.regime, self.back_off = self.controllers.regime, self.controllers.back_off
        self.replay = None if safety.replay is None else Replay(safety.replay)
        self.statistics: dict[str, float] = {}
        """Running statistics of all batches so far (`credit.statistics`), for the next one."""
        self._metrics, self._say = metrics, say
        self.rate = 0.0
        """Learning rate of the step that is made now."""
        self.start = False
        """What is trained on is an expert's start, not the recipe's own credit."""
        self._warned = False
        self._said: set[str] = set()
        self._events: list[str] = []

    @property
    def scales(self) -> tuple[Scales, ...]:
        """What the controllers multiply advantages by now."""
        return self.controllers.scales

    def event(self, message: str) -> None:
        """Says something that a person should know, and puts it into the step's row."""
        self._events.append(message)
        if self._say is None:
            _log.warning(message)
        else:
            self._say(message)

    def once(self, message: str) -> None:
        """Says it, unless it was said before."""
        if message not in self._said:
            self._said.add(message)
            self.event(message)

    def credited(self, made: Signal, calls: int, seconds: float) -> None:
        """Takes the signal of a new batch, and what it cost: tool calls, seconds."""
        batch = made.batch
        sampled_R = batch.step_R >= 0
        n = len(batch.ids)
        length_K = np.bincount(batch.traj_R[sampled_R], batch.length_R[sampled_R], n)
        budget_K = batch.end_K == ENDS.index("budget")
        facts = made.facts() | {"length/at_limit": float(budget_K.mean()) if n else 0.0}
        before, self.statistics = self.statistics, made.statistics
        of_judges, said = trust(before, self.statistics)
        facts |= of_judges
        for each in said:
            self.event(each)
        of_votes, locked = consensus(batch)
        facts |= of_votes
        if locked is not None:
            self.event(locked)
        self.batch = Credited(
            facts, float(length_K.mean()) if n else 0.0, int(length_K.max(initial=0)), seconds
        )
        first_S = batch.once_S | ~batch.own_S  # a step that leaves of a tree share was sampled once
        fresh_R = np.append(first_S, False)[batch.step_R]
        self.spent.tokens_generated += int(batch.length_R[fresh_R].sum())
        self.spent.tool_calls += calls
        self.spent.trajectories += n

    def spend(self, *, tokens: int, calls: int, trajectories: int, **_: int) -> None:
        """Takes what was sampled for a batch and is not trained on, as a ledger counts it."""
        self.spent.tokens_generated += tokens
        self.spent.tool_calls += calls
        self.spent.trajectories += trajectories

    def on_policy(self, *, sampled: bool) -> None:
        """Warns, once, that settings which compare new with old log-probabilities do nothing.

        `sampled`: log-probabilities of the sampler are known, which is what `off_policy` reads.
        """
        reads_old = {"delta", "preserve"} if sampled else {"delta", "preserve", "off_policy"}
        inert = set(self.safety.active) & reads_old
        if inert and not self._warned:
            self._warned = True
            self.event(
                f"every ratio is 1: safety.{', safety.'.join(sorted(inert))} can do nothing while "
                "each batch is trained on once; take train.minibatches above 1, or of a GRPOConfig "
                "num_iterations above 1 or steps_per_generation above gradient_accumulation_steps"
            )

    def step(
        self,
        number: int,
        seen: dict[str, float],
        *,
        probe: float | None,
        skipped: bool,
        write: bool,
    ) -> dict[str, Any]:
        """Returns the row of a finished step; controllers look at it, and it is written."""
        facts, spent = self.batch.facts, self.spent
        dose = self.rate * seen.get("mass/trained", 0.0)
        spent.dose += dose
        if skipped:
            spent.steps_skipped += 1
            causes = causes_of(facts).items()
            why = ", ".join(f"{share:.0%} of groups {name}" for name, share in causes)
            self.event(
                f"step {number} skipped, optimiser and scheduler: no token has an advantage"
                + (f" ({why})" if why else "")
            )
        self._observe(seen, probe)
        row: dict[str, Any] = {
            "step": number,
            "start": int(self.start),
            **facts,
            **seen,
            "length/mean": self.batch.length_mean,
            "length/max": self.batch.length_max,
            "probe_logprob": probe,
            "dose": dose,
            "dose/total": spent.dose,
            "tokens_generated": spent.tokens_generated,
            "tool_calls": spent.tool_calls,
            "trajectories": spent.trajectories,
            "signal_seconds": self.batch.seconds,
            "skipped": int(skipped),
            "steps_skipped": spent.steps_skipped,
            "regime": "off" if self.regime is None else self.regime.state,
            "negative_scale": 1.0 if self.back_off is None else self.back_off.scale,
            "events": self._events,
        }
        self._events = []
        if write:
            if self._metrics is not None:
                self._metrics(row)
            if self._say is not None:
                self._say(step_line(row))
        return row

    def _observe(self, seen: dict[str, float], probe: float | None) -> None:
        length, self.batch.fresh = self.batch.length_mean if self.batch.fresh else None, False
        for said in self.controllers.observe(
            entropy=seen["entropy"], ratio=seen["ratio/max"], length=length, probe=probe
        ):
            self.event(said)

    def save(self, folder: Path) -> None:
        """Writes `STATE` into a checkpoint, whole or not at all."""
        state = {
            "schema": SCHEMA,
            "spent": asdict(self.spent),
            "statistics": self.statistics,
            **self.controllers.state(),
            "replay": None if self.replay is None else self.replay.state(),
        }
        publish(folder / STATE, json.dumps(state).encode())
        if self._beside is not None:
            self._beside.save(folder)

    def load(self, folder: Path) -> None:
        """Puts back what `save` wrote.

        Raises:
            DataError: the checkpoint has no state of ours, or not one of this recipe.
        """
        path = folder / STATE
        try:
            state = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}; {EXPECTED}") from None
        schema = state.get("schema") if isinstance(state, dict) else None
        if schema != SCHEMA:
            raise DataError(f"{path}: schema {schema!r}, not {SCHEMA!r}; {EXPECTED}")
        machines = {"regime": self.regime, "back_off": self.back_off, "replay": self.replay}
        for name, machine in machines.items():
            if (state.get(name) is None) != (machine is None):
                raise DataError(f"{path}: {name} is on in one of checkpoint and recipe only")
        try:
            for name in Spent.__slots__:
                kind = type(getattr(self.spent, name))
                setattr(self.spent, name, kind(state["spent"][name]))
            known = state.get("statistics", {}).items()  # older checkpoints have none
            self.statistics = {name: float(value) for name, value in known}
            self.controllers.restore(state)
            if self.replay is not None:
                self.replay.restore(state["replay"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: {told(error)}; {EXPECTED}") from None
        if self._beside is not None:
            self._beside.load(folder)
