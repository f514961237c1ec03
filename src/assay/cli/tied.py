"""`python -m assay.cli.tied`: the command line, in a process that ends with the one that began it.

An arm of a demo trains for minutes. If the demo is killed, nobody waits for it, and the next demo
would find it at work. The demo holds the other end of this process's standard input and never
writes: it closes when the demo ends, however it ends. A run that ends anywhere can be resumed.
"""

import os
import threading

from assay.cli import main


def _end_with_parent() -> None:
    """Waits until standard input is closed, and ends the process."""
    while os.read(0, 1):
        pass
    os._exit(3)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()
