"""`assay rubric`: is a rubric fit to veto with?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.cli.options import Json, emit_one, set_option, settings
from assay.cli.train import import_from_here
from assay.errors import UsageError
from assay.judges.rubric import Item, read_rubric, with_verdicts
from assay.records import Trajectory

app = typer.Typer(
    help="Rubrics: what may veto, and what ranks.", no_args_is_help=True, add_completion=False
)


@app.command("check")
def check(
    rubric: Annotated[Path, typer.Argument(metavar="FILE", help="Items, in TOML or JSON.")],
    env: Annotated[
        str | None, typer.Option(help="An environment: its own solutions must pass.")
    ] = None,
    dials: Annotated[
        list[str] | None, set_option(metavar="NAME=VALUE", help="A dial of it: facts=4.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Tasks of it to look at.")] = 8,
    json: Json = None,
) -> None:
    """Reads a rubric, and lets reference answers pass it.

    Exits with 1 if one fails an item: that item would veto right answers.
    """
    items, reference = read_rubric(rubric)
    solved: list[Trajectory] = []
    if env is not None:
        import_from_here()
        solved = [*_solved(env, settings(dials), seeds)]
    records = [with_verdicts(items, each) for each in solved]
    found = [_checked(item, records, reference) for item in items]
    if json is not None:
        emit_one({"schema": "assay.rubric/1", "items": found}, json)
    if json != "-":
        for line in _lines(found):
            typer.echo(line)
    if any(each["failed"] for each in found):
        raise typer.Exit(1)


def _solved(env: str, dials: dict[str, Any], seeds: int) -> Iterator[Trajectory]:
    """Yields what an environment's own expert does in its first tasks."""
    from assay.rollout.protocols.chat import spoken
    from assay.rollout.recording import Recorder, led
    from assay.world import load

    for seed in range(seeds):
        environment = load(env, **dials)
        turns, _ = led(environment, seed)
        if not turns:
            raise UsageError(f"--env {env}: has no solution of task {seed} of its own to look at")
        recorder = Recorder(environment, seed, expert=turns, protocol=spoken(environment))
        for turn in turns:
            if recorder.act(f"{turn}\n").done:
                break
        yield recorder.trajectory()


def _checked(item: Item, records: Sequence[Trajectory], reference: str | None) -> dict[str, Any]:
    """Returns an item as plain values: how many solutions passed and failed it, of those that it is
    asked of; the reference passes, or the file is not read."""
    good = float(item.wanted)
    said = [record.rewards.get(item.reward) for record in records]
    asked = item.checked_by == "code" and item.task is None and reference is not None
    return {
        "id": item.id,
        "checked_by": item.checked_by,
        "essential": item.essential,
        "weight": None if item.essential else item.points,
        "passed": said.count(good) + asked,
        "failed": said.count(1.0 - good),
    }


def _lines(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    for each in found:
        role = "essential" if each["essential"] else f"weight {each['weight']:g}"
        seen = each["passed"] + each["failed"]
        said = f"{each['passed']} of {seen} references pass" if seen else "no reference seen"
        yield f"{each['id']:<16} {role:<12} by {each['checked_by']:<6} {said}"
    for each in found:
        if each["failed"]:
            yield f"{each['id']}: right answers fail it; change it, or it vetoes them"
