"""The table of verbs; one file each."""

from typing import Annotated

import typer

from assay import __version__
from assay.cli import (
    audit,
    claims,
    compare,
    credit,
    demo,
    doctor,
    eval_,
    export,
    headroom,
    hints,
    import_,
    judge,
    label,
    live,
    live_admit,
    live_publish,
    live_resolve,
    live_train,
    methods,
    recipes,
    replay,
    rubric,
    schedule,
    serve,
    skills,
    train,
    view,
    world,
)

app = typer.Typer(
    name="assay",
    help="Finds the learning signal in every agent rollout, failed ones included.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("audit")(audit.audit)
app.command("compare")(compare.compare)
app.command("credit")(credit.credit)
app.command("export")(export.export_log)
app.command("methods")(methods.methods)
app.command("import")(import_.import_log)
app.command("label")(label.label)
app.command("view")(view.view)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("headroom")(headroom.headroom)
app.command("train")(train.train)
app.command("eval")(eval_.evaluate)
app.command("replay")(replay.replay)
app.command("recipes")(recipes.recipes)
app.command("serve")(serve.serve)
app.add_typer(world.app, name="world")
app.add_typer(claims.app, name="claims")
app.add_typer(hints.app, name="hints")
app.add_typer(schedule.app, name="schedule")
app.add_typer(rubric.app, name="rubric")
app.add_typer(judge.app, name="judge")
app.add_typer(skills.app, name="skills")
app.add_typer(live.app, name="live")

live.app.command("resolve")(live_resolve.resolve)
live.app.command("admit")(live_admit.admit)
live.app.command("train")(live_train.train)
live.app.command("publish")(live_publish.publish)
live.app.command("rollback")(live_publish.rollback)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"assay {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    del version
