"""The ladder of a training: what is done for each batch, what it cost and brought, its memory."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final, final

from assay.records import Trajectory
from assay.rescue.climb import Climbed, World, climb
from assay.rescue.scheduler import Event, Scheduler
from assay.rescue.settings import Rescues
from assay.rollout.backends.base import Backend, Sampling
from assay.rollout.chain import Planned, collect
from assay.rollout.protocols.base import Protocol
from assay.world.environment import Environment

_AGAIN: Final = 0x616761696E
"""Sets the chance of what is played again apart from that of the batch."""
Together = Callable[[Sequence[Any]], list[Any]]
"""Gives what all processes have, in their order."""


@final
class Rescuer:
    """Helps dead groups, batch after batch; its memory is the same on every process."""

    def __init__(
        self,
        settings: Rescues,
        *,
        make: Callable[[], Environment],
        protocol: Protocol,
        sampling: Sampling,
        seed: int,
        pass_at: float = 1.0,
    ) -> None:
        """Takes what is done for whom, and where tasks are played.

        Args:
            settings: `[rescue]` of a run.
            make: makes an environment.
            protocol: how policy and world talk.
            sampling: how tries are sampled.
            seed: names the source of chance.
            pass_at: a trajectory passes at this outcome or above.
        """
        self._settings, self._make, self._protocol = settings, make, protocol
        self._sampling, self._seed = sampling, seed
        self._scheduler = Scheduler(settings, pass_at=pass_at)
        self.events: list[Event] = []
        """Of the last batch, of all processes."""
        self._again: list[Trajectory] = []
        """Tasks that were played again with it, of all processes."""

    def __call__(
        self,
        records: Sequence[Trajectory],
        backend: Backend,
        model: Any,
        step: int,
        *,
        process: int = 0,
        together: Together = list,
        version: str | None = None,
    ) -> Climbed:
        """Returns a batch with its dead groups rescued, as far as they could be.

        Args:
            records: of this process, group after group.
            backend: samples.
            model: says how likely the policy finds what it wrote, without the help.
            step: that trains on the batch first, from 1.
            process: number of this process.
            together: what joins the processes.
            version: of the policy, for the records.
        """
        from assay.rollout.unaided import reread

        settings = self._settings
        seen = together(records)
        self._again = []
        self._scheduler.visited(list(each) for _, each in groupby(seen, lambda one: one.group))
        options = {"policy_version": version, "clock": None}
        due = self._scheduler.due()
        again = self._replayed(due, backend, step, (process, together), options) if due else []
        made = climb(
            records,
            self._scheduler,
            World(
                backend=backend,
                make=self._make,
                protocol=self._protocol,
                sampling=self._sampling,
                reread=partial(reread, model=model, temperature=self._sampling.temperature or 1.0),
                seed=(self._seed, step, process),
                left=max(0.0, 1 - (step - 1) / settings.anneal) if settings.anneal else 1.0,
                options=options,
            ),
        )
        made.beside.extend(again)
        self.events = together(made.events)
        self._scheduler.came(self.events)
        return made

    def _replayed(
        self,
        due: Sequence[int],
        backend: Backend,
        step: int,
        among: tuple[int, Together],
        options: Mapping[str, Any],
    ) -> list[Trajectory]:
        """Returns this process's share of the tasks that are due, played once without help."""
        process, together = among
        names = {seed: f"{step}+again/{seed}" for seed in due[process :: len(together([process]))]}
        played = list(
            collect(
                backend,
                [
                    Planned(environment=self._make(), seed=seed, id=name, group=name)
                    for seed, name in names.items()
                ],
                sampling=self._sampling,
                seed=(self._seed, step, process, _AGAIN),
                protocol=self._protocol,
                **options,
            )
        )
        self._again = together(played)
        self._scheduler.again(self._again)
        return played

    def facts(self) -> dict[str, Any]:
        """Returns what a row of metrics says: of the last batch, and by rung since the beginning.

        `rescue/RUNG/later` is the share of passes, without help, at the visit after the rung had
        rescued a task, or when it was played again (`rescue/again` of the last batch): what it was
        worth. None: neither yet. `rescue/later` is that of all rungs, of `rescue/later_of`
        trajectories.
        """
        events, tallies = self.events, self._scheduler.tallies
        met = sum(each.later for each in tallies.values())
        passed = sum(each.later_passed for each in tallies.values())
        facts: dict[str, Any] = {
            "rescue/groups": len({each.group for each in events}),
            "rescue/rescued": sum(each.rescued for each in events),
            "rescue/tokens": sum(each.tokens for each in events),
            "rescue/forwards": sum(each.forwards for each in events),
            "rescue/again": len(self._again),
            "rescue/again_tokens": sum(each.ledger.tokens or 0 for each in self._again),
            "rescue/later": passed / met if met else None,
            "rescue/later_of": met,
        }
        for name, tally in tallies.items():
            facts |= {
                f"rescue/{name}/tried": tally.tried,
                f"rescue/{name}/rescued": tally.rescued,
                f"rescue/{name}/tokens": tally.tokens,
                f"rescue/{name}/later": tally.later_passed / tally.later if tally.later else None,
            }
        return facts

    def state(self) -> dict[str, Any]:
        """Returns plain data for a checkpoint."""
        return self._scheduler.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` returned."""
        self._scheduler.restore(state)
