"""Open and closed book: how often the likeliest option of a held-out question is the right one.

By forwards that score and sample nothing; only where an environment asks such questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from assay.evaluate.intervals import paired_difference, wilson
from assay.rollout.questions import Question, questions, right, scored
from assay.runs.config import Config
from assay.runs.folder import Folder
from assay.runs.sampling import of_config
from assay.runs.start import opened
from assay.world.catalogue import load

SHOWN: Final = 24
"""Questions whose answers a page lists."""


def books(
    config: Config,
    policies: Mapping[str, tuple[Path | None, Config]],
    folders: Mapping[str, Folder],
    *,
    prompts: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Returns how often policies choose the right option, with the context and without.

    `open` and `closed`: by policy, `right` with its 95 % interval (Wilson) and, of all but the
    first, `difference` over it, paired by question. `asked`: the first questions, with the option
    that each policy finds likeliest closed book. `course`: see there. None: the environment has no
    options.

    Args:
        config: says which questions are held out.
        policies: checkpoint and configuration of each, by name, the base first; None: its start.
        folders: of the runs, by name.
        prompts: how many questions.
        rng: of the intervals.
    """
    make = partial(load, config.env.name, **config.env.dials)
    environment, first = make(), config.eval.first_task
    environment.reset(first)
    if not environment.options():
        return None
    tables: dict[str, dict[str, np.ndarray]] = {"open": {}, "closed": {}}
    said: dict[str, list[int]] = {}
    asked: Sequence[Question] = ()
    for name, (checkpoint, of) in policies.items():
        model, tokenizer = opened(of, checkpoint)
        protocol = of_config(config, tokenizer, environment, model)
        asked = questions(make, range(first, first + prompts), protocol)
        found = scored(model, asked)
        tables["open"][name] = right(found.open_QO, asked)
        tables["closed"][name] = right(found.closed_QO, asked)
        said[name] = np.nanargmax(found.closed_QO, axis=1).tolist()
    return {
        **{book: _measured(of, rng) for book, of in tables.items()},
        "course": {name: course(folder) for name, folder in folders.items()},
        "asked": [
            {
                "prompt": each.prompt,
                "context": each.context,
                "right": each.options[each.right],
                "said": {name: each.options[options[at]] for name, options in said.items()},
            }
            for at, each in enumerate(asked[:SHOWN])
        ],
    }


def course(folder: Folder) -> list[list[float]]:
    """Returns of each slice that a run learnt from its first step, and the share of questions whose
    likeliest option was right closed and open book, before it was trained on."""
    names = ("rlag/closed_book", "rlag/open_book")
    rows = {int(row["step"]): row for row in folder.rows("metrics.jsonl")}
    starts = (int(row["step"]) for row in folder.rows("ledger.jsonl"))
    found = ((step, rows[step]) for step in starts if step in rows)
    return [[float(step), *(row[n] for n in names)] for step, row in found if names[0] in row]


def _measured(right_of: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, Any]:
    base = next(iter(right_of.values()))
    made: dict[str, Any] = {}
    for name, right_Q in right_of.items():
        made[name] = {
            "right": float(right_Q.mean()),
            "ci": list(wilson(int(right_Q.sum()), right_Q.size)),
        }
        if right_Q is not base:
            one, other = (each[None, :].astype(float) for each in (base, right_Q))
            gap = paired_difference(one, other, rng=rng, over="prompts")
            made[name]["difference"] = asdict(gap)
    return made
