"""`assay world`: list, check, play and measure environments."""

import json as _json
from functools import partial
from random import Random
from typing import Annotated

import typer

from assay.cli.options import Json, emit_one, seed_option, set_option, settings
from assay.cli.train import import_from_here
from assay.errors import AssayError, UsageError, told
from assay.policy.loading import check_installed

app = typer.Typer(
    help="Environments: the five that ship, and your own.",
    no_args_is_help=True,
    add_completion=False,
)

Env = Annotated[
    str, typer.Argument(metavar="ENV", help="lookup, lookup/dead, my_package:MyEnv ...")
]
Dials = Annotated[
    list[str] | None, set_option(metavar="NAME=VALUE", help="A dial, for example hops=4.")
]


@app.command("list")
def list_(json: Json = None) -> None:
    """Lists the environments with their dials and levels."""
    from assay.world import FAMILIES, LEVELS

    rows = [_listed(name) for name in FAMILIES.names()]
    if json is not None:
        emit_one({"schema": "assay.world/1", "environments": rows}, json)
        return
    for row in rows:
        typer.echo(f"{row['name']:<10} {row['about']}\n           {row['example']}")
        for level, dials in LEVELS.get(str(row["name"]), {}).items():
            typer.echo(f"           {row['name']}/{level}: {_json.dumps(dials)}")


def _listed(name: str) -> dict[str, object]:
    """Returns what `list` says of an environment; where it cannot be made, why is its example."""
    from assay.world import FAMILIES, LEVELS, load

    said: list[str] = []
    try:
        said = (FAMILIES.get(name).__doc__ or "").strip().splitlines()
        example = load(name).reset(0)
    except AssayError as error:
        example = str(error)
    except Exception as error:  # a plug-in may raise anything, and the others are still there
        example = told(error)
    about = said[0] if said else ""
    return {"name": name, "about": about, "example": example, "levels": LEVELS.get(name, {})}


@app.command("check")
def check(
    env: Env,
    dials: Dials = None,
    seeds: Annotated[int, typer.Option(min=1, help="Tasks to look at.")] = 8,
    json: Json = None,
) -> None:
    """Tests an environment: is it fit to train on?

    Exits with 1 if a rule is broken.
    """
    from assay.rollout.checking import check as look
    from assay.world import load

    chosen = settings(dials)
    import_from_here()
    load(env, **chosen)
    lines = list(look(lambda: load(env, **chosen), range(seeds)))
    broken = sum(line.verdict == "finding" for line in lines)
    if json is not None:
        found = [{"rule": x.rule, "verdict": x.verdict, "detail": x.detail} for x in lines]
        emit_one({"schema": "assay.check/1", "environment": env, "lines": found}, json)
    if json != "-":
        for line in lines:
            typer.echo(f"{line.verdict:<8} {line.rule}: {line.detail}")
    if broken:
        raise typer.Exit(1)


@app.command("play")
def play(
    env: Env,
    dials: Dials = None,
    seed: Annotated[int | None, seed_option(help="Which task; by default a random one.")] = None,
    hint: Annotated[str | None, typer.Option(help="right, neutral or wrong.")] = None,
) -> None:
    """Lets a person play a task in the terminal."""
    from assay.rollout.chain import attributed
    from assay.rollout.protocols.chat import spoken
    from assay.rollout.protocols.line import INSTRUCTIONS, LINE
    from assay.rollout.recording import Recorder
    from assay.world import load

    if hint not in (None, "right", "neutral", "wrong"):
        raise UsageError(f"--hint {hint}: expected right, neutral or wrong")
    import_from_here()
    environment = load(env, **settings(dials))
    number = Random().randrange(10**6) if seed is None else seed
    with attributed(environment, number, "reset"):
        environment.reset(number)
        said = environment.hint(hint) if hint else None
        protocol = spoken(environment)
        notes = (said,) if said else ()
        recorder = Recorder(environment, number, notes=notes, protocol=protocol)
    told = environment.system() or INSTRUCTIONS  # a chat's are in its prompt
    opening = f"{told}\n\n{recorder.prompt}" if protocol is LINE else f"{recorder.prompt}\n"
    typer.echo(opening, nl=False)
    while not recorder.last.done:
        try:
            line = input()
        except EOFError:
            return
        with attributed(environment, number, "step"):
            recorder.act(f"{line}\n")
        typer.echo(recorder.observation, nl=protocol is not LINE)
    score = recorder.last.score
    scored = "not scored" if score is None else f"score {score:g}"
    typer.echo(f"{scored}; the reference is {environment.answer()}")


@app.command("measure")
def measure(
    model: Annotated[str, typer.Option(help="A policy: start, a folder, a Hugging Face name.")] = (
        "start"
    ),
    env: Annotated[
        list[str] | None, typer.Option(help="Environments; by default all levels of all families.")
    ] = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks per environment.")] = 64,
    attempts: Annotated[int, typer.Option(min=8, help="Attempts per task.")] = 64,
    hints: Annotated[bool, typer.Option(help="Measure advice instead: none to wrong.")] = False,
    seed: Annotated[int, seed_option(help="Seed of the sampling.")] = 0,
    json: Json = None,
) -> None:
    """Measures what a policy can do, per family and level.

    That is pass@1, pass@64 and how many groups of 8 all fail.
    """
    from assay.world import BUILT_IN, LEVELS, load

    levels = ("hard",) if hints else ("even", "hard", "dead")
    names = env or [f"{name}/{level}" for name in BUILT_IN for level in levels if name in LEVELS]
    import_from_here()
    for name in names:
        load(name)  # before the policy, which takes longer
    check_installed("assay world measure")
    from assay.evaluate.measure import ADVICE, table
    from assay.evaluate.measure import measure as run
    from assay.rollout.progress import Progress

    found = []
    rows = len(names) * (len(ADVICE) if hints else 1)
    with Progress(rows * tasks * attempts, "attempts") as progress:
        play = partial(run, model, names, watch=progress.attempt)
        for row in play(tasks=tasks, attempts=attempts, hints=hints, seed=seed):
            found.append(row)
            typer.echo(table(row, first=len(found) == 1), err=json == "-")
    if json is not None:
        emit_one({"schema": "assay.measure/1", "model": model, "rows": found}, json)
