"""`assay skills`: a bank of what rollouts taught, tried before it is shown, and audited after."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli import options as opt
from assay.cli import skills_build as taking
from assay.cli import skills_told as told
from assay.cli.options import Json, emit_one, out_option, seed_option, set_option, settings
from assay.cli.prose import say
from assay.errors import UsageError, one_line

if TYPE_CHECKING:
    from assay.skills.skill import Skill
    from assay.skills.trial import Arena

app = typer.Typer(
    help="Skill memory: what rollouts teach, and whom it helps.",
    no_args_is_help=True,
    add_completion=False,
)
At = Annotated[Path, typer.Argument(metavar="BANK", help="Folder of a bank.")]
On = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe, or a run: its last policy on its tasks.")
]
Set = Annotated[
    list[str] | None,
    set_option(help="section.key=value, as skills.tasks=512 or skills.retrieval=embedding."),
]


@app.command("build")
def build(
    log: opt.Log,
    out: Annotated[Path, out_option(help="The bank; one that is there grows.")],
    writer: Annotated[
        str, typer.Option(help="template, a model's address (http://...), or policy:NAME.")
    ] = "template",
    how: Annotated[
        str, typer.Option(help="asymmetric; for comparison lessons, demonstrations, raw.")
    ] = "asymmetric",
    held_out: Annotated[
        Path | None, typer.Option(help="Names of tasks, a line each, that teach nothing.")
    ] = None,
    active: Annotated[
        bool, typer.Option("--active", help="Show them at once, without a gate.")
    ] = False,
    cap: Annotated[
        int | None, typer.Option(min=1, help="Active skills of a new bank, at most: 64.")
    ] = None,
    evidence: Annotated[
        int | None, typer.Option(min=1, help="Evidence that a skill of it keeps, at most: 16.")
    ] = None,
    model: Annotated[str, typer.Option(help="What the server calls the model.")] = "default",
    key: Annotated[
        str | None, typer.Option(help="Environment variable that holds the server's key.")
    ] = None,
    timeout: opt.Timeout = 60.0,
    format: opt.Format = None,
    pass_at: opt.PassAt = 1.0,
) -> None:
    """Writes lessons from failures and demonstrations from verified successes.

    Each names the steps that it rests on. They are candidates until assay skills gate admits them.
    """
    from assay.importers import Losses, load
    from assay.runs.directory import is_training_run, records_of
    from assay.skills import store
    from assay.skills.bank import became
    from assay.skills.building import built

    if how not in ("asymmetric", "lessons", "demonstrations", "raw"):
        raise UsageError(f"--how {how}: expected asymmetric, lessons, demonstrations or raw")
    opt.spare(out, log)
    tasks = taking.tasks(held_out) if held_out else set[str]()
    write = taking.writer(writer, model, key, timeout)
    losses = Losses()
    records = load(records_of(log), format=format, losses=losses)[1]
    before = taking.begun(out, cap, evidence)
    if held_out is None:
        records = taking.of_training(log, records, losses)
    made = built(records, write, name=writer, how=how, held_out=tasks, pass_at=pass_at)
    lost = taking.lost(write, writer)
    bank = before.merged(made.skills, status="active" if active else "candidate")
    store.save(out, bank, since=before)
    not_read = {f"not read ({kind})": n for kind, n in losses.counts.items() if "torn" in kind}
    say(f"{out}  version {bank.version}: {told.counts(bank)}")
    found = became(before, made.skills, bank)
    for line in (*told.built(found, {**made.left, **not_read}, bank.cap), *lost):
        say(line)
    if held_out is None and not is_training_run(log):
        say(told.UNKNOWN_SPLIT)
    if held_out is not None and not made.left["held out"]:
        say(f"{held_out}: none of the {len(tasks):,} tasks that it names is in {log}")


@app.command("list")
def list_(
    bank: At,
    status: Annotated[
        str | None, typer.Option(help="Only these: candidate, active or retired.")
    ] = None,
    json: Json = None,
) -> None:
    """Lists the skills of a bank."""
    import msgspec

    from assay.skills import store

    if status not in (None, "candidate", "active", "retired"):
        raise UsageError(f"--status {status}: expected candidate, active or retired")
    known = store.opened(bank)
    some = [each for each in known.skills if status in (None, each.status)]
    if json is not None:
        rows = [msgspec.to_builtins(each) for each in some]
        emit_one({"schema": "assay.skills/1", "bank": known.name, "skills": rows}, json)
    if json != "-":
        say(f"{bank}  {known.name}, version {known.version}: {told.counts(known)}")
        for each in sorted(some, key=lambda each: (told.ORDER.index(each.status), each.id)):
            said = f"{one_line(each.when)[:32]:<32} {one_line(each.principle)[:60]}"
            typer.echo(f"{each.id}  {each.status:<9} {each.kind:<13} {said}")


@app.command("show")
def show(bank: At, id: Annotated[str, typer.Argument(help="Of a skill.")]) -> None:
    """Shows one skill, and the steps that it rests on."""
    from assay.skills import store

    each = store.opened(bank).get(id)
    for name in ("id", "kind", "category", "status", "why", "title", "when", "principle", "avoid"):
        if text := getattr(each, name):
            typer.echo(f"{name:<10} {one_line(text)}")
    for rests in each.evidence:
        steps = ", ".join(map(str, rests.steps)) or "-"
        typer.echo(f"from       {one_line(rests.trajectory)}  step {steps}  {rests.level}")
    for rest in each.rest:
        typer.echo(f"and from   {told.rest(rest)}")
    if each.trial is not None:
        typer.echo(f"trial      {told.tried(each.trial)}")


@app.command("gate")
def gate(
    bank: At,
    on: On,
    pairs: Annotated[int, typer.Option(min=16, help="Paired runs of each candidate.")] = 64,
    most: Annotated[
        int, typer.Option(min=1, help="Candidates to play: untried first, then fewest pairs.")
    ] = 16,
    probe: Annotated[
        bool, typer.Option("--probe", help="Try defects too: may the gate be trusted?")
    ] = False,
    set_: Set = None,
    seed: Annotated[int, seed_option(help="Of all chance.")] = 0,
    json: Json = None,
) -> None:
    """Tries candidates on held-out tasks, with them and without, and admits what helps.

    Run again it goes on: with the untried, then with those that have fewest pairs.
    """
    import msgspec

    from assay.skills import store
    from assay.skills.trial import injected, silence, sound, tried, waiting

    known = store.opened(bank)
    queue = waiting(known)
    found, probed = dict[str, Any](), dict[str, tuple[int, int]]()
    if queue:
        arena, shelf = _arena(on, set_, pairs, [*known.active, *queue])
        found, _ = tried(known, queue, arena, (seed,), limit=most, **shelf)
        played = [each for each in queue if each.id in found and found[each.id].pairs]
        probed = injected(known, played, arena, (seed,), **shelf) if probe else {}
    after = store.save(bank, known.decided(found), since=known)
    untried, why = sum(each.trial is None for each in waiting(after)), silence(found.values())
    if json is not None:
        rows = msgspec.to_builtins(found)
        said = {"probes": probed, "sound": sound(probed) if probed else None,
                "untried": untried, "uninformative": why}  # fmt: skip
        emit_one({"schema": "assay.skills-gate/1", "bank": after.name, "found": rows, **said}, json)
    if json != "-":
        for line in told.gated(found, why, probed, fit=sound(probed)):
            say(line)
        say(f"{bank}  version {after.version}: {told.after_gate(after, untried, len(found))}")


def _arena(
    on: str, set_: list[str] | None, pairs: int, read: Sequence["Skill"]
) -> tuple["Arena", dict[str, Any]]:
    """Returns where skills are tried, and how attempts read them: as [skills] says."""
    from assay.cli.hints import configured
    from assay.cli.train import import_from_here
    from assay.policy.loading import check_installed
    from assay.runs.held_out import refuse
    from assay.runs.remembered import arena_of
    from assay.world.catalogue import load

    check_installed("assay skills")
    import_from_here()
    config, checkpoint = configured(on, settings(set_), "skills")
    refuse(read, config, lambda: load(config.env.name, **config.env.dials))
    return arena_of(config, checkpoint, pairs=pairs), config.skills.shelf


@app.command("retire")
def retire(
    bank: At,
    log: Annotated[
        Path | None, typer.Option(help="Rollouts that read it: what they say counts.")
    ] = None,
    unused: Annotated[int, typer.Option(min=1, help="Generations without a task.")] = 20,
    format: opt.Format = None,
    pass_at: opt.PassAt = 1.0,
) -> None:
    """Retires skills that surely harm, and those that no task asks for.

    A skill harms where attempts that it was shown to surely pass less often than those that it was
    held back from. With a log its exposures take the place of the bank's own.
    """
    from assay.skills import store
    from assay.skills.credit import by_skill, exposures

    known = store.opened(bank)
    if log is None:
        after = known.retired(unused=unused)
    else:
        records = _records(log, format)
        counted = known.counted(by_skill(exposures(records, pass_at)), afresh=True)
        after = counted.retired(unused=unused)
    store.save(bank, after, since=known)
    gone = {each.id for each in after.of("retired")} - {each.id for each in known.of("retired")}
    for id in sorted(gone):
        typer.echo(f"{id}  {after.get(id).why}")
    say(f"{bank}  version {after.version}: {len(gone)} retired, {len(after.active)} active")


def _records(log: Path, format: str | None) -> Sequence[Any]:
    from assay.importers import load
    from assay.runs.directory import records_of

    return [*load(records_of(log), format=format)[1]]


@app.command("export")
def export_(bank: At, out: Annotated[Path, out_option(help="Folder of skill folders.")]) -> None:
    """Writes active skills as Markdown folders that coding agents read: NAME/SKILL.md."""
    from assay.skills import store
    from assay.skills.export import export

    names = export(store.opened(bank), out)
    say(f"{out}  {len(names)} skills")


@app.command("audit")
def audit(
    bank: At,
    log: Annotated[Path | None, typer.Option(help="Rollouts that read the bank.")] = None,
    on: Annotated[
        str | None, typer.Option(help="A recipe or a run: play the bank and its controls.")
    ] = None,
    set_: Set = None,
    seed: Annotated[int, seed_option(help="Of all chance.")] = 0,
    out: Annotated[
        Path | None, out_option(help="Folder of an audit of the log, whose page has the skills.")
    ] = None,
    retired: Annotated[
        bool, typer.Option("--retired", help="List retired skills too, not their count alone.")
    ] = False,
    format: opt.Format = None,
    pass_at: opt.PassAt = 1.0,
    json: Json = None,
) -> None:
    """Says whether a bank is used at all, and what each skill did.

    From a log by randomised exposure; with --on beside nothing, and its skills shuffled and
    corrupted.
    """
    from assay.skills import store
    from assay.skills.credit import audited, tallied

    if log is None and on is None:
        raise UsageError("skills audit: expected --log, --on, or both")
    if out is not None and log is None:
        raise UsageError("skills audit: --out takes the page of a log; give --log too")
    known = store.opened(bank)
    said: dict[str, Any] = {"schema": "assay.skills-audit/1", "bank": known.name}
    if log is not None:
        tally = tallied(_records(log, format), pass_at)
        said |= audited(known, tally, store.names(bank))
    if on is not None:
        from assay.runs.remembered import compared

        arena, shelf = _arena(on, set_, 64, known.active)
        said["arms"] = compared(known, arena, seed, **shelf)
    if json is not None:
        emit_one(said, json)
    if json != "-":
        for line in told.audited(said, store.names(bank), retired=retired):
            typer.echo(line)
    if out is not None and log is not None:
        from assay.runs.audit import audit_log

        made = audit_log(log, format=format, out=out, pass_at=pass_at, bank=bank)
        if json != "-":
            say(f"report  {made.report}")
