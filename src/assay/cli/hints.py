"""`assay hints`: what should have been known at a turn, written onto a log, and tested."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from assay.cli.options import (
    Format,
    Json,
    Log,
    PassAt,
    chosen,
    emit_one,
    out_option,
    seed_option,
    set_option,
    settings,
    spare,
)
from assay.cli.prose import say
from assay.cli.train import config_of, import_from_here
from assay.errors import UsageError
from assay.policy.loading import check_installed

if TYPE_CHECKING:
    from assay.feedback.base import Source
    from assay.feedback.settings import Hints
    from assay.records import Trajectory
    from assay.runs.config import Config

app = typer.Typer(
    help="Hints: what should have been known, and whether it helps.",
    no_args_is_help=True,
    add_completion=False,
)
From = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="env, human, a judge's address (http://...), or a file of hints.",
    ),
]
Set = Annotated[
    list[str] | None,
    set_option(metavar="NAME=VALUE", help="A key of [hints], as votes=5 or model=NAME."),
]
_AT_ONCE = 256
"""Trajectories that a source sees together."""


@app.command("write")
def write_(
    log: Log,
    out: Annotated[Path, out_option(help="A .jsonl or .jsonl.zst file; appears whole.")],
    source: From = "env",
    set_: Set = None,
    format: Format = None,
    pass_at: PassAt = 1.0,
) -> None:
    """Writes what a source says of each turn onto the records.

    Methods that a teacher informs then read it: assay credit OUT -m agreement --model NAME.
    """
    from assay.importers import load
    from assay.records import write
    from assay.runs.directory import records_of

    spare(out, log)
    chosen_ = asked(source, set_)
    by = opened(chosen_)
    trajectories = load(records_of(log), format=format, choices=chosen(None, None, None))[1]
    counts = [0, 0, 0, 0]
    written = write(out, _hinted(trajectories, by, chosen_, pass_at, counts))
    hints, turns, about, left = counts
    said = f"{hints:,} hints about {turns:,} turns of {about:,} of them"
    say(f"{out}  {written:,} trajectories, {said}{_left_out(left)}")


def _left_out(leaked: int) -> str:
    return f"; {leaked:,} that named the answer left out" if leaked else ""


def asked(
    source: str, set_: list[str] | None = None, base: "Mapping[str, Any] | None" = None
) -> "Hints":
    """Returns the settings that a source's short name and pairs of name=value stand for, over those
    of `base`."""
    from assay.feedback.settings import Hints, named
    from assay.recipes.settings import converted

    return converted({**(base or {}), **named(source), **settings(set_)}, Hints, "[hints]")


def opened(chosen_: "Hints") -> "Source":
    """Returns the source; what probes of a judge found is said before it is used."""
    from assay.feedback.settings import opened as open_

    return open_(
        chosen_,
        lambda line: say(line, err=True),
        show=lambda text: typer.echo(text, err=True),
    )


def _hinted(
    records: "Iterator[Trajectory]", by: "Source", of: "Hints", pass_at: float, counts: list[int]
) -> "Iterator[Trajectory]":
    """Yields all records, those that hints are asked about with them; adds up hints, turns that
    have some, trajectories of those turns, and hints that were left out."""
    from assay.feedback.base import failed, given, turns

    told = set[str]()
    while some := [*islice(records, _AT_ONCE)]:
        wanted = [at for at, each in enumerate(some) if of.of == "all" or failed(each, pass_at)]
        for at, record in zip(
            wanted, given(by, [some[at] for at in wanted], of.leaks), strict=True
        ):
            some[at] = record
            hinted = [turn.step.hints for turn in turns(record) if turn.step.hints]
            counts[0] += sum(map(len, hinted))
            counts[1] += len(hinted)
            counts[2] += bool(hinted)
        counts[3] += by.leaked if wanted else 0
        if by.said and by.said not in told:
            told.add(by.said)
            say(by.said, err=True)
        yield from some


@app.command("test")
def measure(
    source: Annotated[
        str,
        typer.Argument(help="env, human, a judge's address (http://...), or a file of hints."),
    ],
    recipe: Annotated[
        str, typer.Argument(help="A recipe, or a run: its last policy on its tasks.")
    ] = "grpo",
    pairs: Annotated[int, typer.Option(min=16, help="Paired replays, at most.")] = 64,
    env: Annotated[
        str | None, typer.Option(help="Same as --set env.name=NAME, of a recipe.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Same as --set model.name=NAME, of a recipe.")
    ] = None,
    set_: Annotated[
        list[str] | None, set_option(help="section.key=value, as hints.votes=5. Repeatable.")
    ] = None,
    seed: Annotated[int, seed_option(help="Of all chance.")] = 0,
    json: Json = None,
) -> None:
    """Measures whether a source is worth listening to.

    Tasks that the policy fails are played again, with its hints and with neutral ones, until the
    answer is clear or all pairs are played.
    """
    check_installed("assay hints test")
    import_from_here()
    from assay.feedback.verdict import sentence
    from assay.rollout.progress import Progress
    from assay.runs.uplift import measured

    named = {"env.name": env, "model.name": model}
    changes = {name: value for name, value in named.items() if value is not None}
    config, checkpoint = configured(recipe, {**settings(set_), **changes}, "hints")
    chosen_ = asked(source, base=msgspec.to_builtins(config.hints))
    by = opened(chosen_)
    with Progress(4 * pairs, "attempts") as progress:
        seen, found = measured(
            config, checkpoint, by, chosen_, pairs=pairs, seed=seed, watch=progress.attempt
        )
    if by.said:
        say(by.said, err=True)
    if json is not None:
        emit_one({"schema": "assay.hints-test/1", "source": source, **found}, json)
    if json != "-":
        hinted = f"{found['hinted']} hinted{_left_out(found['leaked'])}"
        say(f"{found['failed']} of {found['tried']} trajectories failed, {hinted}")
        say(sentence(by.name, seen, found["level"]))


def configured(recipe: str, changes: dict[str, Any], section: str) -> "tuple[Config, Path | None]":
    """Returns a recipe's configuration, or a run's with its last checkpoint.

    Args:
        recipe: name or file of a recipe, or a run.
        changes: section.key and value.
        section: the one that may be changed of a run.

    Raises:
        UsageError: a run, and changes of more than its section.
    """
    from msgspec import structs

    from assay.recipes.settings import converted
    from assay.runs.checkpoint import committed, intact
    from assay.runs.directory import is_training_run
    from assay.runs.folder import Folder

    if not is_training_run(Path(recipe)):
        return config_of(recipe, changes), None
    if other := [name for name in changes if not name.startswith(f"{section}.")]:
        raise UsageError(f"--set {other[0]}: a run says it itself; expected {section}.KEY alone")
    folder = Folder.open(Path(recipe))
    config, whole = folder.config, committed(folder.checkpoints)
    more = {name.removeprefix(f"{section}."): value for name, value in changes.items()}
    kept = getattr(config, section)
    made = converted({**msgspec.to_builtins(kept), **more}, type(kept), f"[{section}]")
    at = intact(folder.checkpoints / f"step_{whole[-1]}") if whole else None
    return structs.replace(config, **{section: made}), at
