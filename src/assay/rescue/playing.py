"""An environment inside somebody's own TRL script: its tasks are played, dead groups rescued.

A prompt of the data set is the number of a task, its seed: "17". Needs torch when it plays.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from assay.errors import UsageError
from assay.files.atomic import publish
from assay.recipes.recipe import Recipe
from assay.recipes.settings import converted
from assay.recipes.shipped import read, shipped
from assay.records import Trajectory
from assay.rescue.climb import counted_twice
from assay.rescue.rescuer import Rescuer
from assay.rescue.settings import Rescues
from assay.rollout.backends.base import Sampling
from assay.rollout.chain import collect, tasks
from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.named import protocol_of
from assay.signal.origins import columns
from assay.world.catalogue import load
from assay.world.environment import Environment

Makes = str | Callable[[], Environment]
"""An environment: its name (`assay.world.load`), its class, or what makes one."""
STATE: Final = "assay_rescue.json"
_LONGEST: Final = 32768
"""Tokens of a trajectory, where the model does not say how many it takes."""


def rescues_of(recipe: Any, given: "Mapping[str, Any] | Rescues | None") -> Rescues:
    """Returns what is done for dead groups: what is given, the ladder unless `kind` says otherwise,
    or what a shipped recipe of that name says; else nothing is.

    Raises:
        UnknownNameError: an unknown key.
        UsageError: a value of the wrong type or out of its range.
    """
    if isinstance(given, Mapping):
        return converted({"kind": "ladder", **given}, Rescues, "rescue")
    if given is not None:
        return converted(given, Rescues, "rescue")
    named = isinstance(recipe, str) and recipe in shipped()
    return converted(read(recipe).get("rescue", {}) if named else {}, Rescues, "rescue")


def together(accelerator: Any, mine: Sequence[Any]) -> list[Any]:
    """Returns what all processes have, in their order."""
    if accelerator.num_processes == 1:
        return [*mine]
    from accelerate.utils import gather_object

    return gather_object([*mine])


@final
class Playing:
    """TRL's `rollout_func` over an environment."""

    def __init__(self, environment: Makes, rescues: Rescues, recipe: Recipe) -> None:
        """Takes an environment by name, class or function, and what is done for dead groups.

        Raises:
            UnknownNameError: no environment of that name.
            UsageError: it makes no environment.
        """
        self._make: Callable[[], Environment] = (
            partial(load, environment) if isinstance(environment, str) else environment
        )
        one: Any = self._make()
        if not isinstance(one, Environment):
            raise UsageError(
                f"environment: {environment!r} makes {one!r}; expected an assay.world.Environment"
            )
        self._rescues, self._recipe = rescues, recipe
        self._rescuer: Rescuer | None = None
        self._state: Mapping[str, Any] | None = None

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
        """Returns what TRL takes of a batch: one row per prompt, the records beside them."""
        from assay.rollout.backends.local import Transformers

        tokenizer, accelerator = trainer.processing_class, trainer.accelerator
        model = accelerator.unwrap_model(trainer.model)
        sampling, protocol = _sampling(trainer, model), self._protocol(tokenizer, model)
        backend = Transformers(model, tokenizer)
        step, process = int(trainer.state.global_step) + 1, int(accelerator.process_index)
        planned = [
            each
            for place, task in enumerate(_groups(prompts, trainer.num_generations))
            for each in tasks(
                self._make, [task], trainer.num_generations, prefix=f"{process}.{place}/"
            )
        ]
        seed = (int(trainer.args.seed), step, process)
        records = list(
            collect(backend, planned, sampling=sampling, seed=seed, clock=None, protocol=protocol)
        )
        if trainer.model.training and self._rescues.kind == "ladder":
            self._check(len(records))
            rescuer = self._rescuer = self._rescuer or self._begun(protocol, sampling, seed[0])
            made = rescuer(
                records,
                backend,
                model,
                step,
                process=process,
                together=partial(together, accelerator),
            )
            twice = sum(together(accelerator, [counted_twice(made.rows)]))
            _pay(trainer, together(accelerator, made.beside), twice)
            records = made.rows
        return columns(records)

    def _check(self, rows: int) -> None:
        if not self._rescues.most(rows):
            raise UsageError(
                f"rescue.share: got {self._rescues.share:g} of the {rows} rows that a process "
                f"plays at a time, which is not one; expected at least {1 / rows:.3g}"
            )

    def _protocol(self, tokenizer: Any, model: Any) -> Protocol:
        return protocol_of("auto", tokenizer, self._make(), model=model)

    def _begun(self, protocol: Protocol, sampling: Sampling, seed: int) -> Rescuer:
        made = Rescuer(
            self._rescues,
            make=self._make,
            protocol=protocol,
            sampling=sampling,
            seed=seed,
            pass_at=self._recipe.pass_at,
        )
        if self._state is not None:
            made.restore(self._state)
        return made

    def facts(self) -> dict[str, Any]:
        """Returns what a row of metrics says of rescue; empty: nothing was to be rescued."""
        return {} if self._rescuer is None else self._rescuer.facts()

    def save(self, folder: Path) -> None:
        """Leaves what rescue remembers in a checkpoint."""
        if self._rescuer is not None:
            publish(folder / STATE, json.dumps(self._rescuer.state()).encode())

    def load(self, folder: Path) -> None:
        """Puts back what `save` left."""
        if (folder / STATE).is_file():
            self._state = json.loads((folder / STATE).read_bytes())


def _sampling(trainer: Any, model: Any) -> Sampling:
    most = int(trainer.max_completion_length)
    longest = getattr(model.config, "max_position_embeddings", None) or _LONGEST
    return Sampling(
        temperature=float(trainer.temperature),
        max_tokens=most,
        turn_tokens=most,
        max_length=int(longest),
    )


def _groups(prompts: Sequence[Any], size: int) -> list[int]:
    """Returns the task of each group of rows.

    Raises:
        UsageError: a prompt is no number, or a group is spread over processes.
    """
    found: list[int] = []
    for at in range(0, len(prompts), size):
        texts = {_text(each) for each in prompts[at : at + size]}
        (text, *others) = texts
        if others or len(prompts) % size:
            raise UsageError(
                "environment: a group's rows are on several processes; take a "
                "per_device_train_batch_size that num_generations divides"
            )
        if not text.strip().removeprefix("-").isdecimal():
            raise UsageError(
                f"environment: got the prompt {text!r}; expected the number of a task, its seed, "
                'as in {"prompt": ["0", "1", "2"]}'
            )
        found.append(int(text))
    return found


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else str(prompt[-1].get("content", ""))


def _pay(trainer: Any, beside: Sequence[Trajectory], twice: int) -> None:
    """Counts what rescue has cost beside the rows that are trained on: of all processes, less the
    tokens that are counted `twice`."""
    session = getattr(trainer, "session", None)
    if session is None or not beside:
        return
    session.spend(
        tokens=sum(each.ledger.tokens or 0 for each in beside) - twice,
        calls=sum(each.ledger.calls or 0 for each in beside),
        trajectories=len(beside),
    )
