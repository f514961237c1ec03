"""`assay judge`: a language model's opinion of answers, and what that is worth."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from assay.cli import options as opt
from assay.cli.prose import say
from assay.errors import DataError, UsageError
from assay.policy.loading import check_installed

if TYPE_CHECKING:
    from assay.judges.chat import Spent
    from assay.judges.ranking import Ranker

app = typer.Typer(
    help="Judges: rank answers by one, and measure what it is worth.",
    no_args_is_help=True,
    add_completion=False,
)
Protocol = Annotated[str, typer.Option(help="grm, rrm, rm-r1 or ruler: docs/judges.md.")]
Votes = Annotated[int, typer.Option(min=1, help="On each task; of a pair, half in each order.")]
Endpoint = Annotated[
    str | None, typer.Option(metavar="URL", help="A server's, as http://localhost:8000/v1.")
]
Model = Annotated[
    str | None, typer.Option(help="Its name there; without --endpoint, a model to open here.")
]
Key = Annotated[str, typer.Option(help="Environment variable that holds the server's key.")]
Knockout = Annotated[bool, typer.Option("--knockout", help="Of pairs: n - 1 duels, not all.")]
Shown = Annotated[int, typer.Option(min=2, help="Characters of each answer that it is shown.")]
Meta = Annotated[
    int | None, typer.Option(min=1, metavar="K", help="Votes kept, those that are graded best.")
]
MetaModel = Annotated[
    str | None, typer.Option(help="Who grades them, opened or asked as the judge [default: it].")
]
Parallel = Annotated[int, typer.Option(min=1, help="Requests at the same time.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Of what it writes, at most.")]
Temperature = Annotated[float, typer.Option(min=0, help="Of what it writes.")]
Seed = Annotated[int, opt.seed_option(help="Of orders and brackets.")]


@app.command("rank")
def rank(
    log: opt.Log,
    out: Annotated[Path, opt.out_option(help="A .jsonl or .jsonl.zst file; appears whole.")],
    protocol: Protocol = "grm",
    votes: Votes = 8,
    endpoint: Endpoint = None,
    model: Model = None,
    key: Key = "",
    knockout: Knockout = False,
    name: Annotated[
        str | None, typer.Option(help='Of rewards["judge:NAME"] [default: the protocol].')
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Votes and reasons [default: OUT.judged.jsonl].")
    ] = None,
    tested: Annotated[
        Path | None, typer.Option(help="What `assay judge test` wrote of this judge.")
    ] = None,
    meta: Meta = None,
    meta_model: MetaModel = None,
    shown: Shown = 4000,
    parallel: Parallel = 8,
    max_tokens: MaxTokens = 1024,
    temperature: Temperature = 0.6,
    timeout: opt.Timeout = 60.0,
    seed: Seed = 0,
    format: opt.Format = None,
    json: opt.Json = None,
) -> None:
    """Scores the answers of each group, relative to each other.

    What is asked and read is kept beside; the same command goes on from there.
    """
    from assay.judges.ranked import Journal, by_group, judged, scored
    from assay.records import write
    from assay.rollout.progress import Progress

    at = journal or out.with_name(f"{out.name}.judged.jsonl")
    for to in (out, at):
        opt.spare(to, log)
    ranker, who, spent = opened(
        protocol, votes, endpoint, model, key, knockout=knockout, meta=meta,
        meta_model=meta_model, shown=shown, parallel=parallel, max_tokens=max_tokens,
        temperature=temperature, timeout=timeout, seed=seed,
    )  # fmt: skip
    trust = _trust(tested, who, ranker)
    say(trust, err=True)
    records = [*read(log, format)]
    groups = by_group(records)
    with Progress(len(groups), "groups") as progress:
        found = judged(
            groups, ranker, Journal(at, who), spent=spent, watch=lambda: progress.advance(1)
        )
    write(out, scored(records, found, name or ranker.protocol.name))
    about = summed(found)
    if json is not None:
        told = {"judge": who, "protocol": ranker.protocol.name, "trust": trust, **about}
        opt.emit_one({"schema": "assay.judge-rank/1", **told}, json)
    if json != "-":
        say(f"{out}  {len(records):,} trajectories in {len(groups):,} groups; votes in {at}")
        for line in sentences(about):
            say(line)


@app.command("test")
def measure(
    judge: Annotated[str, typer.Argument(help="A server's address, or a model to open here.")],
    data: Annotated[Path, typer.Option(help="Your own log, with outcomes; 50 answers or more.")],
    out: Annotated[
        Path | None, opt.out_option(help="What was found, for `judge rank --tested`.")
    ] = None,
    protocol: Protocol = "grm",
    votes: Votes = 8,
    model: Annotated[str | None, typer.Option(help="Its name on the server.")] = None,
    key: Key = "",
    knockout: Knockout = False,
    most: Annotated[int, typer.Option(min=1, help="Answers that defects are planted in.")] = 20,
    meta: Meta = None,
    meta_model: MetaModel = None,
    shown: Shown = 4000,
    parallel: Parallel = 8,
    max_tokens: MaxTokens = 1024,
    temperature: Temperature = 0.6,
    timeout: opt.Timeout = 60.0,
    seed: Seed = 0,
    format: opt.Format = None,
    json: opt.Json = None,
) -> None:
    """Measures what a judge is worth: probes, planted defects, agreement, order.

    It is trusted where nothing of that speaks against it.
    """
    from assay.files.atomic import publish
    from assay.judges.ranked import by_group
    from assay.judges.tested import SCHEMA, identity
    from assay.judges.trial import tried
    from assay.rollout.progress import Progress

    opt.spare(out, data)
    remote = judge.startswith(("http://", "https://"))
    if not remote and model is not None:
        raise UsageError("--model is a server's name of it; JUDGE already names the one to open")
    ranker, who, spent = opened(
        protocol, votes, judge if remote else None, model if remote else judge, key,
        knockout=knockout, meta=meta, meta_model=meta_model, shown=shown, parallel=parallel,
        max_tokens=max_tokens, temperature=temperature, timeout=timeout, seed=seed,
    )  # fmt: skip
    groups = by_group(read(data, format))
    with Progress(36 + len(groups), "rankings") as progress:
        found = tried(groups, ranker, most=most, watch=lambda: progress.advance(1))
    tokens = [spent.read, spent.wrote] if spent.told else None
    whole = {"schema": SCHEMA, "of": identity(who, ranker), **found.about(), "tokens": tokens}
    if out is not None:
        publish(out, msgspec.json.encode(whole) + b"\n")
    if json is not None:
        opt.emit_one(whole, json)
    if json != "-":
        for line in found.sentences(ranker.votes):
            say(line)
        cost = f"; {spent.read:,} tokens read, {spent.wrote:,} written" if tokens else ""
        say(f"cost: {found.requests:,} requests{cost}")


@app.command("show")
def show(
    journal: Annotated[Path, typer.Argument(help="What `judge rank` left: OUT.judged.jsonl.")],
    out: Annotated[Path, opt.out_option(help="A page.")],
) -> None:
    """Writes a page of votes and reasons, those that agree least first."""
    from assay.files.atomic import publish
    from assay.judges.ranked import all_rows
    from assay.report.judged import page

    opt.spare(out, journal)
    found = all_rows(journal)
    publish(out, page(found, sentences(summed(found))).encode("utf-8", "replace"))
    say(f"{out}  {len(found):,} groups")


def read(log: Path, format: str | None) -> Any:
    """Returns the trajectories of a log."""
    from assay.importers import load
    from assay.runs.directory import records_of

    choices = opt.chosen(None, None, None)
    return load(records_of(log), format=format, choices=choices)[1]


def opened(
    protocol: str,
    votes: int,
    endpoint: str | None,
    model: str | None,
    key: str,
    *,
    knockout: bool,
    meta: int | None,
    meta_model: str | None,
    shown: int,
    **how: Any,
) -> "tuple[Ranker, str, Spent]":
    """Returns a judge, what it is called, and what counts its tokens; `how` is of `_model`.

    Raises:
        UsageError: neither an endpoint nor a model, or settings that do not fit.
        DataError: the variable of the key is not set.
    """
    from assay.judges import protocols, ranking
    from assay.judges.chat import Spent

    by = protocols.protocol(protocol)
    if meta is None and meta_model is not None:
        raise UsageError("--meta-model is of --meta, and there is none")
    spent = Spent()
    asks, who = _model(endpoint, model, key, spent, **how)
    kept = None
    if meta is not None:
        grades = (asks, who) if meta_model in (None, model) else None
        kept = ranking.Meta(*(grades or _model(endpoint, meta_model, key, spent, **how)), meta)
    schedule = "knockout" if knockout else "round_robin"
    ranker = ranking.Ranker(
        asks, by, votes=votes, schedule=schedule, shown=shown, seed=how["seed"], meta=kept
    )
    return ranker, who, spent


def _model(
    endpoint: str | None,
    model: str | None,
    key: str,
    spent: "Spent",
    *,
    parallel: int,
    max_tokens: int,
    temperature: float,
    timeout: float,
    seed: int,
) -> tuple[Any, str]:
    """Returns a model that several things are asked at once, and what it is called."""
    from assay.judges import chat, ranking

    if endpoint is None:
        if model is None:
            raise UsageError("judge: give --endpoint URL, or --model NAME to open one here")
        if key:
            raise UsageError("--key is of --endpoint, and there is none")
        check_installed("a judge of this machine", "; or give --endpoint URL")
        from assay.policy.judging import LocalJudge

        return LocalJudge(
            model, max_tokens=max_tokens, temperature=temperature, batch=parallel, seed=seed,
            spent=spent,
        ), model  # fmt: skip
    secret = os.environ.get(key) if key else None
    if key and not secret:
        raise DataError(f"--key: the variable {key} is not set; expected the key")
    server = chat.Endpoint(
        url=endpoint, model=model or "default", key=secret, timeout=timeout,
        temperature=temperature, max_tokens=max_tokens, spent=spent,
    )  # fmt: skip
    return ranking.at_once(server, parallel), f"{server.model} at {endpoint}"


def _trust(tested: Path | None, who: str, ranker: "Ranker") -> str:
    """Returns whether the judge is to be trusted, in words."""
    from assay.judges.tested import trust_in

    return f"judge {who}, {ranker.protocol.name}: {trust_in(tested, who, ranker)}"


def summed(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what rows of a journal come to: scores, votes lost, and what those that were asked
    for now cost; all of them, where none says that it is of before."""
    why = sum((Counter(each for each in row["why"] if each) for row in found), Counter[str]())
    votes = [vote for row in found for vote in row["votes"]]
    lost = Counter(vote["why"] for vote in votes if vote["why"])
    new = [row for row in found if row.get("new", True)]
    tokens = [row["tokens"] for row in new if row["tokens"] is not None]
    return {
        "answers": sum(len(row["scores"]) for row in found),
        "without": dict(why),
        "groups": len(found),
        "kept": len(found) - len(new),
        "requests": sum(row["asked"] for row in new),
        "lost": dict(lost),
        "characters": [sum(row["characters"][i] for row in new) for i in (0, 1)],
        "tokens": [sum(each[i] for each in tokens) for i in (0, 1)] if tokens else None,
        "seconds": round(sum(row["seconds"] for row in new), 3),
    }


def sentences(about: Mapping[str, Any]) -> list[str]:
    """Returns the same in words."""

    def of(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{word} {n:,}" for word, n in sorted(counts.items()))

    without = sum(about["without"].values())
    some = f"{about['answers'] - without:,} of {about['answers']:,} answers scored"
    some += f" (without: {of(about['without'])})" if without else ""
    asked, back = about["tokens"] or about["characters"]
    unit = "tokens" if about["tokens"] else "characters"
    cost = (
        f"cost: {about['requests']:,} requests, {asked:,} {unit} read, {back:,} written, "
        f"{about['seconds']:,.1f} s"
    )
    if about["kept"]:
        cost += f"; {about['kept']:,} of {about['groups']:,} groups are from the journal"
    lost = f"votes lost: {of(about['lost'])}"
    return [some, *([lost] if about["lost"] else []), cost]
