"""How a command ends: one line for every error, and an exit code that means one thing.

0 ok (also when whoever read a pipe left), 1 a finding above `--fail-on`, 2 usage, 3 bad input,
130 interrupted.
"""

import os
import signal
import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

import typer
from typer.main import get_command

from assay.cli.prose import say
from assay.errors import AssayError
from assay.files.outputs import telling

_CommandError: type[Exception] = typer.BadParameter.__bases__[0]
"""What the command line parser raises for a wrong verb, option or value."""


def ended(app: typer.Typer) -> int:
    """Runs the command line and returns its exit code.

    The parser's own runner is left out: it gives a closed pipe and an interrupt the code 1, which
    is ours for a finding.
    """
    try:
        with get_command(app).make_context("assay", sys.argv[1:]) as context, _told():
            context.command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, typer.Abort) as stop:
        return _said("; ".join(("interrupted", "nothing was half-written", *stop.args)), 130)
    except BrokenPipeError:  # nothing to say, and nowhere to say it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except AssayError as error:
        return _said(str(error), error.exit_code)
    except _CommandError as error:
        return _misused(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _said(f"{where}{error.strerror or error}", 3)
    return 0


@contextmanager
def interruptible() -> Generator[None]:
    """Within the block being asked to end, or the end of the terminal (SIGTERM, SIGHUP; not where
    nohup had it ignored), is what Ctrl-C is: what is temporary goes."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    for each, now in before.items():
        if now is not signal.SIG_IGN:
            signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each, now in before.items():
            signal.signal(each, now)


def _told() -> AbstractContextManager[None]:
    """Within it stores that are read are told what is made of them (`files.outputs`)."""
    return telling(time.time, lambda line: say(f"assay: {line}", err=True))


def _misused(error: Exception) -> int:
    """Says what is wrong with a command line, and where its help is; a bare verb gets its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        print(context.get_help())
        return 2
    message = getattr(error, "format_message", error.__str__)()
    verb = "assay" if context is None else context.command_path
    stop = "" if message.endswith((".", "?", ")")) else "."
    return _said(f"{message}{stop} See {verb} --help", 2)


def _said(message: str, code: int) -> int:
    say(f"assay: {' '.join(message.split())}", err=True)
    return code
