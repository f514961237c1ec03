"""A skill bank outside a run: candidates tried, and the bank played beside its controls."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from assay.errors import UsageError
from assay.kernels.constancy import bar
from assay.rollout.backends.local import Transformers
from assay.rollout.chain import Planned, collect
from assay.runs.config import Config
from assay.runs.sampling import of_config
from assay.runs.start import opened
from assay.skills.bank import Bank
from assay.skills.credit import difference
from assay.skills.shelf import Shelf
from assay.skills.trial import PAIRS, Arena, broken
from assay.world.catalogue import load

CONTROLS: Final = ("shuffled", "corrupted")


def arena_of(config: Config, checkpoint: Path | None, *, pairs: int = PAIRS) -> Arena:
    """Returns where candidates are tried: the held-out tasks of [skills], and the policy of a
    configuration or of a checkpoint.

    Raises:
        UsageError: those tasks are trained or measured on.
    """
    own = range(config.skills.first_task, config.skills.first_task + config.skills.tasks)
    for section, first, count in (
        ("train", config.train.first_task, config.train.pool),
        ("eval", config.eval.first_task, config.eval.prompts),
    ):
        if not (own.stop <= first or first + count <= own.start):
            raise UsageError(
                f"skills: tasks {own.start} to {own.stop - 1} overlap with those of [{section}], "
                f"{first} to {first + count - 1}; move skills.first_task"
            )
    model, tokenizer = opened(config, checkpoint)
    make = partial(load, config.env.name, **config.env.dials)
    return Arena(
        backend=Transformers(model, tokenizer),
        make=make,
        tasks=own,
        sampling=config.train.sampling,
        protocol=of_config(config, tokenizer, make(), model),
        pass_at=float(config.recipe.get("pass_at", 1.0)),
        pairs=pairs,
    )


def compared(bank: Bank, arena: Arena, seed: int, **shelf: Any) -> dict[str, dict[str, Any]]:
    """Returns what the arena's tasks come to with nothing, the bank, and the bank shuffled and
    corrupted: passes of attempts, tokens that an attempt read of it, and the difference from
    nothing with its 95 % interval.

    Args:
        bank: its active skills are read.
        arena: each task is played once by each.
        seed: of all chance.
        shelf: options of `Shelf`.
    """
    rng, tokenizer = np.random.default_rng(seed), arena.backend.tokenizer
    shelves: Mapping[str, Bank] = {
        "nothing": Bank(),
        "bank": bank,
        **{how: broken(bank, how, rng) for how in CONTROLS},
    }
    found = dict[str, dict[str, Any]]()
    for n, (name, each) in enumerate(shelves.items()):
        found[name] = _played(Shelf.of(each, arena.protocol.name, tokenizer, **shelf), arena,
                              (seed, n))  # fmt: skip
    base = found["nothing"]["passed"], found["nothing"]["attempts"]
    for each in found.values():
        each["over_nothing"] = list(difference(base, (each["passed"], each["attempts"])))
    return found


def _played(shelf: Shelf, arena: Arena, seed: tuple[int, ...]) -> dict[str, Any]:
    planned, read = list[Planned](), 0
    for task in arena.tasks:
        world = arena.make()
        shown = shelf.read(shelf.found(world.reset(task), world.title()))
        read += shelf.count(shown.text) if shown.text else 0
        notes = (shown.text,) if shown.text else ()
        planned.append(Planned(environment=world, seed=task, notes=notes))
    played = [*collect(
        arena.backend, planned, sampling=arena.sampling, seed=seed, clock=None,
        protocol=arena.protocol,
    )]  # fmt: skip
    graded = [each for each in map(arena.grade, played) if each is not None]
    return {
        "passed": sum(each >= bar(arena.pass_at) for each in graded),
        "attempts": len(graded),
        "tokens": read / max(len(planned), 1),
    }
