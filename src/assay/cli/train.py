"""`assay train`: a recipe in, a run directory out; `--resume` goes on after a kill."""

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import out_option, seed_option, set_option, settings
from assay.cli.prose import say
from assay.errors import UsageError
from assay.runs.directory import bank_of
from assay.runs.folder import Folder

if TYPE_CHECKING:
    from assay.runs.config import Config


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A TOML file, or a shipped recipe's name (assay recipes).")
    ] = None,
    out: Annotated[Path | None, out_option(help="Run directory [default: runs/NAME-SEED].")] = None,
    seed: Annotated[
        int | None, seed_option(help="Of tasks' order and all chance [default: 0].")
    ] = None,
    set_: Annotated[list[str] | None, set_option(help="section.key=value. Repeatable.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Same as --set model.name=NAME: any causal LM.")
    ] = None,
    env: Annotated[
        str | None, typer.Option(help="Same as --set env.name=NAME: lookup/dead, my_package:MyEnv.")
    ] = None,
    feedback: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Of hints: env, human, a judge's address (http://...), or a file of hints.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run directory; nothing else is asked.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the whole configuration and stop.")
    ] = False,
) -> None:
    """Trains a policy by a recipe.

    A kill at any moment leaves a run that --resume finishes.
    """
    import_from_here()
    if asked_for_more(os.environ):
        typer.echo(
            "accelerate began one process: without several GPUs, add --multi_gpu to begin all of "
            "them (they are joined by gloo, on the CPU)",
            err=True,
        )
    from assay.runs.start import part, start
    from assay.runs.start import resume as go_on

    if resume is not None:
        given = (recipe, set_, out, model, env, seed, feedback)
        if print_config or any(each is not None for each in given):
            raise UsageError("--resume takes everything from the run directory; give nothing else")
        done = Folder.open(resume).about["status"] == "finished"
        with _resumable(resume):
            _told(go_on(resume).path)
        if done:
            say(f"assay: {resume} had finished: nothing was trained", err=True)
        part()
        return
    if recipe is None:
        raise UsageError("give a recipe: a TOML file, or one of those that assay recipes lists")
    changes: dict[str, Any] = settings(set_)
    changes |= {"model.name": model} if model else {}
    changes |= {"env.name": env} if env else {}
    changes = {**(_fed(feedback) if feedback else {}), **changes}
    config = config_of(recipe, changes)
    if print_config:
        typer.echo(config.toml(), nl=False)
        return
    name, seed = Path(recipe).name.removesuffix(".toml"), seed or 0
    out = out or Path("runs") / f"{name}-{seed}"
    with _resumable(out):
        _told(start(config, out, seed=seed).path)
    part()


def asked_for_more(environment: Mapping[str, str]) -> bool:
    """Returns whether `accelerate launch` was asked for several processes and began this one alone:
    it then names a master, and neither the size of a world nor a rank in it."""
    given = {"MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"} <= set(environment)
    return given and not set(environment) & {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}


def _fed(feedback: str) -> dict[str, Any]:
    """Returns the settings of [hints] that a source's short name stands for."""
    from assay.feedback.settings import named

    return {f"hints.{name}": value for name, value in named(feedback).items()}


def config_of(recipe: str, changes: dict[str, Any]) -> "Config":
    """Returns the configuration of a run; its environment has been made once."""
    from assay.recipes import read
    from assay.runs.config import changed, parsed
    from assay.world import load

    config = parsed(changed(read(recipe), changes), f"recipe {recipe}")
    load(config.env.name, **config.env.dials)
    return config


def import_from_here() -> None:
    """Makes modules of the current folder importable, as for `python -m`: my_package:MyEnv."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


@contextmanager
def _resumable(run: Path) -> Generator[None]:
    """Says of an interrupt how to go on, where there is something to go on with."""
    try:
        yield
    except KeyboardInterrupt:
        if (run / "run.json").is_file():
            raise KeyboardInterrupt(f"go on with assay train --resume {run}") from None
        raise


def _told(path: Path) -> None:
    """Says where a run lies; one that read skills ends with the page of them."""
    from assay.runs.start import RANKS

    typer.echo(f"run directory  {path}")
    if bank_of(path / "rollouts") is not None and not set(os.environ) & RANKS:
        from assay.runs.audit import audit_log

        typer.echo(f"its skills     {audit_log(path, out=path / 'audit').report}")
    typer.echo(f"measure it     assay eval {path}")
