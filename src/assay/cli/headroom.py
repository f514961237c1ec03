"""`assay headroom`: what can help from this start: comparison, rescue, or neither?"""

from functools import partial
from typing import Annotated, Any

import typer

from assay.cli.options import Json, emit_one, seed_option, set_option, settings
from assay.cli.prose import say
from assay.cli.train import config_of, import_from_here
from assay.policy.loading import check_installed


def headroom(
    recipe: Annotated[
        str, typer.Argument(help="A TOML file, or a shipped recipe's name (assay recipes).")
    ],
    tasks: Annotated[int, typer.Option(min=1, help="Training tasks that are tried.")] = 32,
    samples: Annotated[int, typer.Option(min=2, help="Attempts at each.")] = 64,
    told: Annotated[
        int, typer.Option(min=0, help="Attempts at each under the environment's right hint.")
    ] = 8,
    set_: Annotated[list[str] | None, set_option(help="section.key=value. Repeatable.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Same as --set model.name=NAME: any causal LM.")
    ] = None,
    env: Annotated[
        str | None, typer.Option(help="Same as --set env.name=NAME: lookup/dead, my_package:MyEnv.")
    ] = None,
    seed: Annotated[int, seed_option(help="Of sampling and of the intervals.")] = 0,
    json: Json = None,
) -> None:
    """Says, before a run, what can help it learn.

    Groups that can be compared, rescue, or neither.
    """
    check_installed("assay headroom")
    import_from_here()
    changes: dict[str, Any] = settings(set_)
    changes |= {"model.name": model} if model else {}
    changes |= {"env.name": env} if env else {}
    config = config_of(recipe, changes)
    from assay.rollout.backends.local import Transformers
    from assay.rollout.headroom import Probe, sentences
    from assay.rollout.progress import Progress
    from assay.runs.headroom import measured
    from assay.runs.sampling import of_config
    from assay.runs.start import opened
    from assay.world import load

    make = partial(load, config.env.name, **config.env.dials)
    policy, tokenizer = opened(config, None)
    asked = Probe(tasks=tasks, samples=samples, told=told)
    with Progress(tasks * (1 + samples + told), "attempts") as progress:
        found = measured(
            config,
            asked,
            Transformers(policy, tokenizer),
            make,
            protocol=of_config(config, tokenizer, make(), policy),
            seed=seed,
            watch=progress.attempt,
        )
    if json is not None:
        emit_one(found, json)
    if json != "-":
        for line in sentences(found):
            say(line)
