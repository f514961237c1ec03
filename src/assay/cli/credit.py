"""`assay credit`: one annotation file per method, beside the log and never in it."""

from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile, gettempdir
from typing import IO, Annotated, Any, Final

import numpy as np
import typer

from assay.audit import annotations, step_credit
from assay.batch import Batch
from assay.cli import options as opt
from assay.cli.ending import interruptible
from assay.cli.prose import say
from assay.credit.facts import holds, need
from assay.errors import MethodError, UsageError
from assay.files.atomic import about, published
from assay.files.folders import temporary
from assay.files.shards import Shards, Source, log_of
from assay.importers import NONE, Choices, load
from assay.pipeline import credits
from assay.recipes import Recipe
from assay.records import write
from assay.rollout.elicitation import ELICIT
from assay.runs.directory import is_training_run, records_of
from assay.runs.folder import Folder
from assay.runs.reading import gated_batch
from assay.runs.scored import GIVEN, Scorer

SCORED: Final = "scored.jsonl.zst"
"""Records with what a model added, beside the annotations."""


@interruptible()
def credit(
    logs: opt.Logs,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            "-m",
            metavar="NAME[:OPTION=VALUE,...]",
            help="A method's name. Repeatable.",
        ),
    ],
    out: Annotated[Path | None, opt.out_option(help="Folder for one METHOD.jsonl each.")] = None,
    json: opt.Json = None,
    set_: Annotated[
        list[str] | None, opt.set_option(help="Option of the method, name=value.")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", help="Reproduce an engine: trl, verl, rllm ...")
    ] = None,
    format: opt.Format = None,
    control: Annotated[
        str, typer.Option("--control", help="none, or its shuffled or random control.")
    ] = "none",
    blame: Annotated[
        str | None, typer.Option("--blame", help="Tokens of failures that take the blame.")
    ] = None,
    dose: Annotated[
        float | None, typer.Option("--dose", help="Scale to this mean |A| of a trained token.")
    ] = None,
    seed: Annotated[int, opt.seed_option(help="Of the control.")] = 0,
    ray: opt.Ray = None,
    pass_at: opt.PassAt = 1.0,
    outcome: opt.Outcome = None,
    group: opt.Group = None,
    strict: opt.Strict = False,
    map: opt.Map = None,
    labels: opt.Labels = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Scores what a method needs and the log lacks, beliefs, hindsight, hints: start, "
            "a folder, a name."
        ),
    ] = None,
    elicit: Annotated[
        str | None, typer.Option(help="Text before the answer whose likelihood is a belief.")
    ] = None,
) -> None:
    """Computes advantages per step, as annotations beside the log."""
    if (out is None) == (json is None):
        raise UsageError("give -o FOLDER for annotation files, or --json - for standard output")
    log = log_of(logs)
    opt.spare(json, log)
    options = opt.settings(set_)
    if options and len(method) > 1:
        raise UsageError("--set belongs to one method; run the command once for each")
    recipe = Recipe.compared(
        method,
        pass_at=pass_at,
        options={"like": like, **options},
        control=control,
        blame=blame,
        dose=dose,
    )
    choices = opt.chosen(outcome, group, map, strict=strict, labels=labels)
    by = opt.readers(ray)
    with ExitStack() as stack:
        with _scored(log, recipe, model, elicit, out, format, choices) as (read, form, chosen):
            batch, decisions, _ = gated_batch(
                read, format=form, pass_at=pass_at, choices=chosen, recipe=recipe, by=by
            )
            _possible(recipe, batch, asks=None if model else log)
            _warn(batch, log)
            also = [each for each in (blame, control) if each not in (None, "none")]
            made = {
                (name := "-".join([plain, *also])): stack.enter_context(
                    _spooled(annotations(batch, decisions, name, step_credit(batch, advantages)))
                )
                for plain, advantages in credits(batch, recipe, seed=(seed, 0))
            }
        if out is not None:
            for name, lines in made.items():
                opt.emit(lines, str(out / f"{name}.jsonl"))
                say(f"{out / f'{name}.jsonl'}  {len(decisions):,} trajectories")
        if json is not None:
            opt.emit(chain.from_iterable(made.values()), json)


def _warn(batch: Batch, log: Source) -> None:
    if np.isnan(batch.outcome_K).all():
        say(
            f"assay: {log}: no trajectory has an outcome, so every advantage by outcome is null; "
            "give outcomes with --outcome, or with assay label",
            err=True,
        )


@contextmanager
def _spooled(values: Iterable[Any]) -> Generator[IO[bytes]]:
    """Values, one a line, in a file that nobody else sees: no target is touched until all methods
    are computed, and no more than a line is in memory."""
    with TemporaryFile(prefix="assay-") as stream:
        with about(f"{gettempdir()}: cannot be written"):
            try:
                stream.writelines(map(opt.encoded, values))
                stream.seek(0)
            except OSError:
                with suppress(OSError):  # it would try again, and say so in its own words
                    stream.close()
                raise
        yield stream


@contextmanager
def _scored(
    log: Source,
    recipe: Recipe,
    model: str | None,
    elicit: str | None,
    out: Path | None,
    format: str | None,
    choices: Choices,
) -> Generator[tuple[Source, str | None, Choices]]:
    """Gives what is to be read, its format and choices: the log, or with a model its records and
    what the model added, which are in the folder `out` once the block succeeds."""
    if model is None:
        if elicit is not None:
            raise UsageError("--elicit is read where --model scores beliefs; give one, or leave it")
        yield log, format, choices
        return
    scorer = Scorer(model, recipe.needs, elicit=ELICIT if elicit is None else elicit)
    source = records_of(log)
    parents = () if out is None else (out.resolve(), *out.resolve().parents)
    folders = source.paths if isinstance(source, Shards) else (source,)
    if any(each.is_dir() and each.resolve() in parents for each in folders):
        raise UsageError(f"-o {out}: lies in the log, and gets records; choose a folder outside it")
    _possible(recipe, gated_batch(log, format=format, choices=choices, recipe=recipe)[0])
    with temporary() as folder:
        made = folder / SCORED
        records = load(source, format=format, choices=choices)[1]
        count = write(made, map(recipe.prepared, scorer(records)))
        yield made, "assay", NONE
        to = Path(SCORED) if out is None else out / SCORED
        if out is not None:
            with made.open("rb") as scored, published(to) as stream:
                copyfileobj(scored, stream)
        said = f"{to}  {count:,} trajectories, {scorer.forwards:,} scoring forwards of {model}"
        say(said, err=True)
        if out is not None:
            say(f"assay audit {to} shows these methods beside the others", err=True)
        if scorer.apart:
            said = "the model is not the one that sampled the log: its gap to `logprobs` says more"
            say(f"assay: {said} than hints ({scorer.apart})", err=True)
        if scorer.unanswered:
            say(f"assay: {scorer.unanswered:,} know no right answer (`reference`)", err=True)


def _possible(recipe: Recipe, batch: Batch, *, asks: Source | None = None) -> None:
    """Raises MethodError for what methods need and the batch lacks, before any is computed; what a
    model can add is no lack, unless a log `asks` for one."""
    lacking = {
        part.name: [fact for fact in part.method.wanted if not holds(batch, fact)]
        for part in recipe.parts
    }
    for name, facts in lacking.items():
        for fact in set(facts) - {*GIVEN}:
            need(batch, fact, name)
    names = [name for name, facts in lacking.items() if facts]
    if asks is not None and names:
        facts = " and ".join(fact for fact in GIVEN if fact in chain(*lacking.values()))
        raise MethodError(
            f"{', '.join(names)}: no step has {facts}, which a model can add: give --model "
            f"{_policy(asks)}, or leave out {' '.join(f'-m {name}' for name in names)}; nothing "
            "was written"
        )


def _policy(log: Source) -> str:
    """Returns what `--model` takes for a log: the last policy of a run, where it is one."""
    if isinstance(log, Shards) or not is_training_run(log):
        return "FOLDER (or start, or a name on Hugging Face), the policy that sampled the log"
    folder = Folder.open(log)
    last = folder.checkpoints / f"step_{folder.about['step']}"
    return str(last) if (last / "config.json").is_file() else folder.config.model.name
