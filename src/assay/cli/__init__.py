"""The command line: `assay VERB`. One file per verb; every error is one line and an exit code."""

import sys


def main() -> None:
    """Runs the command line: 0 ok, 1 a finding above `--fail-on`, 2 usage, 3 bad input.

    All else is imported here, where an interrupt of the imports is one line and no traceback.
    """
    try:
        from assay.cli.ending import ended
        from assay.cli.verbs import app

        code = ended(app)
    except KeyboardInterrupt:
        print("assay: interrupted; nothing was half-written", file=sys.stderr)
        code = 130
    sys.exit(code)
