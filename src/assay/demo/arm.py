"""`python -m assay.demo.arm FOLDER CONFIG SEED`: trains and audits one arm of a demo.

It goes on where an earlier process stood, and ends with the process that began it. An arm trains
for minutes: if the demo is killed, nobody waits for it, and the next demo would find it at work.
The demo holds the other end of this process's standard input and never writes: it closes when the
demo ends, however it ends. A run that ends anywhere can be resumed.
"""

import os
import sys
import threading
from pathlib import Path

from assay.errors import AssayError


def work(path: Path, config: str, seed: int) -> None:
    """Does what is left of an arm: training, then the audit of what it generated."""
    from assay.recipes import read
    from assay.runs.audit import audit_log
    from assay.runs.config import parsed
    from assay.runs.folder import Folder
    from assay.runs.start import part, resume, start

    if not (path / "run.json").is_file():
        start(parsed(read(config), f"recipe {config}"), path, seed=seed)
    elif Folder.open(path).about["status"] != "finished":
        resume(path)
    if not (path / "audit" / "run.json").is_file():
        audit_log(path, out=path / "audit")
    part()


def _end_with_parent() -> None:
    """Waits until standard input is closed, and ends the process."""
    while os.read(0, 1):
        pass
    os._exit(3)


def main() -> None:
    """Works as the command line says; an error is the last line, as of the command line."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    path, config, seed = sys.argv[1:]
    try:
        work(Path(path), config, int(seed))
    except AssayError as error:
        print(f"assay: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
