"""`assay rubric`: is a rubric fit to veto with?"""

import os
from collections.abc import Iterator, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import tomli_w
import typer

from assay.cli import options as opt
from assay.cli.options import Json, emit_one, out_option, set_option, settings
from assay.cli.prose import say
from assay.cli.train import import_from_here
from assay.errors import UsageError
from assay.judges.rubric import Item, read_rubric, with_verdicts
from assay.records import Trajectory

if TYPE_CHECKING:
    from assay.judges.chat import Endpoint

NOT_PROBED: Final = "untrusted: nobody has probed this judge; --probe does"
app = typer.Typer(
    help="Rubrics: what may veto, and what ranks.", no_args_is_help=True, add_completion=False
)
Rubric = Annotated[Path, typer.Argument(metavar="FILE", help="Items, in TOML or JSON.")]
Address = Annotated[str, typer.Option(help="Address, as http://127.0.0.1:8000/v1.")]
Model = Annotated[str, typer.Option(help="What the server calls the model.")]
Key = Annotated[str | None, typer.Option(help="Environment variable that holds the server's key.")]


@app.command("check")
def check(
    rubric: Rubric,
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


@app.command("judge")
def judge(
    rubric: Rubric,
    log: opt.Log,
    out: Annotated[Path, out_option(help="File of records with verdicts.")],
    endpoint: Address,
    model: Model = "default",
    key: Key = None,
    form: Annotated[
        str, typer.Option("--form", help="items: a question an item. implicit: one rating, 1-10.")
    ] = "items",
    votes: Annotated[int, typer.Option(help="Answers to each question, odd.")] = 3,
    probe: Annotated[
        bool, typer.Option("--probe", help="First ask about 48 made-up answers, and say so.")
    ] = False,
    timeout: opt.Timeout = 60.0,
    format: opt.Format = None,
) -> None:
    """Writes what a judge says on a rubric onto the records of a log.

    A model says yes or no to each item that a judge checks, or rates an answer by all graded items
    at once. What it does not answer is null, which is never 0.
    """
    from assay.importers import load
    from assay.judges.forms import form_named
    from assay.judges.items import Panel, fooled, judged
    from assay.records import write
    from assay.runs.directory import records_of

    asks = form_named(form)
    items, _ = read_rubric(rubric)
    opt.spare(out, log)
    panel = Panel(endpoint_of(endpoint, model, key, timeout), votes=votes)
    records = [*load(records_of(log), format=format)[1]]
    say(_probed(fooled(panel, asks)) if probe else NOT_PROBED)
    found = judged([with_verdicts(items, each) for each in records], items, panel, asks)
    write(out, found.records)
    why = ", ".join(f"{word} {n}" for word, n in sorted(found.why.items()))
    lost = f" (votes lost: {why})" if why else ""
    what = "verdicts" if form == "items" else "ratings"
    say(f"{out}  {len(records):,} trajectories, {found.asked:,} {what} asked for, "
        f"{found.unjudged:,} not given{lost}")  # fmt: skip


@app.command("evolve")
def evolve(
    rubric: Rubric,
    log: opt.Log,
    out: Annotated[Path, out_option(help="File of the next version, TOML or JSON.")],
    endpoint: Address,
    model: Model = "default",
    key: Key = None,
    fresh: Annotated[int, typer.Option(help="New items of a task, at most.")] = 5,
    most: Annotated[int, typer.Option(help="Earlier ones that stay at a task, at most.")] = 5,
    votes: Annotated[int, typer.Option(help="Of the judge on a reference, odd.")] = 3,
    reference: Annotated[
        bool, typer.Option(help="A task's reference answer must pass its new items.")
    ] = True,
    timeout: opt.Timeout = 60.0,
    format: opt.Format = None,
) -> None:
    """Lets a model propose items that tell a log's rollouts apart.

    Task by task it sees the rollouts and the items that there are. Of items proposed earlier those
    stay that tell the rollouts apart most; those of a person stay in any case.
    """
    from assay.files.atomic import publish
    from assay.importers import load
    from assay.judges.evolving import Evolution
    from assay.judges.items import Panel
    from assay.judges.rubric import version_of, written
    from assay.runs.directory import records_of

    items, answer = read_rubric(rubric)
    version = version_of(rubric) + 1
    opt.spare(out, log)
    ask = endpoint_of(endpoint, model, key, timeout)
    panel = Panel(ask, votes=votes) if reference else None
    grow = Evolution(ask=ask, panel=panel, fresh=fresh, most=most)
    found = grow([*load(records_of(log), format=format)[1]], items, version)
    data = written(found.items, answer, version)
    text = dumps(data, indent=1) if out.suffix == ".json" else tomli_w.dumps(data)
    publish(out, f"{text}\n".encode())
    lost = [", ".join(f"{w} {n}" for w, n in sorted(x.items())) for x in (found.refused, found.why)]
    say(f"{out}  version {version}: {found.asked:,} tasks, {found.added:,} items added, "
        f"{found.retired:,} retired; refused: {lost[0] or 'none'}; "
        f"nothing proposed: {lost[1] or 'none'}")  # fmt: skip


def endpoint_of(url: str, model: str, key: str | None, timeout: float) -> "Endpoint":
    """Returns where a model is asked.

    Raises:
        UsageError: no such environment variable, or no address.
    """
    from assay.judges.chat import Endpoint

    if key is not None and key not in os.environ:
        raise UsageError(f"--key {key}: no such environment variable")
    return Endpoint(url=url, model=model, key=key and os.environ[key], timeout=timeout)


def _probed(found: dict[str, tuple[int, int]]) -> str:
    """Returns in words what probes found of a judge."""
    kinds = ", ".join(f"{kind} {n} of {of}" for kind, (n, of) in found.items())
    worst = [kind for kind, (n, of) in found.items() if 2 * n >= of]
    said = "it said nothing" if not found else f"wrong answers put as high as right ones: {kinds}"
    trust = f"untrusted, fooled by {', '.join(worst)}" if worst else "nothing against it"
    return f"probes: {said}; {'untrusted' if not found else trust}"


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
