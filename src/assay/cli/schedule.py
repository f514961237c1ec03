"""`assay schedule`: in which order to train tasks one after the other."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.cli.options import Json, emit_one, out_option, seed_option
from assay.cli.prose import say
from assay.cli.train import import_from_here
from assay.policy.loading import check_installed

app = typer.Typer(
    help="In which order to train tasks, by what each does to the others.",
    no_args_is_help=True,
    add_completion=False,
)
Samples = Annotated[
    int | None, typer.Option(min=1, help="Attempts at each task [default: the recipe's].")
]
Prompts = Annotated[
    int | None, typer.Option(min=2, help="Held-out tasks of each [default: the recipe's].")
]
Seed = Annotated[int, seed_option(help="Of sampling.")]


@app.command("plan")
def plan(
    runs: Annotated[
        list[Path], typer.Argument(help="One run of each task, all of the same base; 2 to 15.")
    ],
    samples: Samples = None,
    prompts: Prompts = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, out_option(file_okay=False, help="Folder [default: RUN/schedule].")
    ] = None,
    json: Json = None,
) -> None:
    """Says in which order to train tasks.

    By measured transfers: every run's last checkpoint plays every other run's held-out tasks.
    """
    check_installed("assay schedule plan")
    import_from_here()
    from assay.evaluate.transfer import measured_plan
    from assay.report.transfer import sentences

    result, folder = measured_plan(runs, samples=samples, prompts=prompts, seed=seed, out=out)
    _told(result, sentences(result), f"page  {folder / 'transfer.html'}", json)


@app.command("measure")
def measure(
    run: Annotated[Path, typer.Argument(help="A run that trained each of its domains once.")],
    samples: Samples = None,
    prompts: Prompts = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, out_option(dir_okay=False, help="File [default: RUN/stages.json].")
    ] = None,
    json: Json = None,
) -> None:
    """Says what later stages did to the domains of earlier ones.

    Every stage's last checkpoint plays the held-out tasks of all domains.
    """
    check_installed("assay schedule measure")
    import_from_here()
    from assay.evaluate.stages import measured_stages, sentences

    result, path = measured_stages(run, samples=samples, prompts=prompts, seed=seed, out=out)
    _told(result, sentences(result), f"file  {path}", json)


def _told(result: Any, lines: Iterable[str], where: str, json: str | None) -> None:
    if json is not None:
        emit_one(result, json)
    if json != "-":
        for line in lines:
            say(line)
        typer.echo(where)
