"""`assay demo`: what Assay does, from a recorded set to a trained policy, in minutes."""

from importlib.resources import as_file
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from assay.cli.audit import audit
from assay.cli.options import LOOK, Terminal, out_option, seed_option, set_option, settings
from assay.cli.tables import interval
from assay.cli.train import import_from_here
from assay.demo import RECORDED
from assay.demo.words import verdict
from assay.errors import MissingExtraError, UsageError
from assay.policy.loading import check_installed
from assay.report.evaluation import policies


def demo(
    which: Annotated[
        str, typer.Argument(metavar="[live]", help="live: a policy learns while it serves users.")
    ] = "",
    out: Annotated[
        Path | None,
        out_option(help="Folder of all it leaves.", show_default="runs/demo, runs/demo-live"),
    ] = None,
    seed: Annotated[int, seed_option(help="Of tasks' order and of all chance.")] = 0,
    set_: Annotated[
        list[str] | None, set_option(help="section.key=value of both arms. Repeatable.")
    ] = None,
    audit_only: Annotated[
        bool, typer.Option("--audit-only", help="Audit the recorded set and stop: trains nothing.")
    ] = False,
) -> None:
    """Audits a recorded set, trains two recipes, measures both.

    They are GRPO and rescue, on one budget. Run again after an interruption it goes on where
    it was. With live a policy serves simulated users, and learns their words meanwhile.
    """
    if which:
        _live(which, out or Path("runs/demo-live"), seed)
        return
    out = out or Path("runs/demo")
    if audit_only:
        with as_file(RECORDED) as log:
            audit([log], out=out / "recorded")
        return
    import_from_here()
    from assay.demo.plan import plan
    from assay.demo.run import run
    from assay.world import load

    chosen = plan(settings(set_), seed)
    load(chosen.config.env.name, **chosen.config.env.dials)  # refused here, not by both arms
    result = run(chosen, out, say=lambda line: typer.echo(line, err=True))
    _print(result)
    typer.echo(f"report  {out / 'report.html'}")


def _live(which: str, out: Path, seed: int) -> None:
    if which != "live":
        raise UsageError(f"demo {which}: there is none; expected live, or nothing")
    check_installed("assay demo live")
    try:
        from assay.demo.live import run as serve_and_learn
    except ImportError as error:
        raise MissingExtraError.of(error.name or "uvicorn", extra="live", to="the demo") from None
    serve_and_learn(out, seed=seed, say=typer.echo)
    typer.echo(f"page  {out / 'live.html'}")


def _print(result: dict[str, Any]) -> None:
    held = result["eval"]
    title = f"{result['env']}: pass@1 on {held['prompts']} held-out tasks x {held['samples']}"
    table = Table(Column(no_wrap=True), title=title, **LOOK)
    for name in ("pass@1, 95 %", "over the base", "excludes 0", "tokens", "calls"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, arm in policies(result).items():
        gap, budget = arm.get("difference"), arm.get("budget")
        cells = [name, f"{arm['pass_at_1']:.3f} {interval(arm['ci'])}"]
        told = f"{gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]" if gap else ""
        cells += [told, ("yes" if gap["excludes_zero"] else "no") if gap else ""]
        cells += [f"{budget['tokens']:,}", f"{budget['calls']:,}"] if budget else ["", ""]
        table.add_row(*cells)
    terminal = Terminal()
    terminal.width = max(terminal.width, 100)  # cells are never cut, lines may wrap
    terminal.print(table)
    for sentence in verdict(result):
        terminal.say(sentence)
