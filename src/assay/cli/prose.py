"""Prose of the command line: on a terminal its lines end between words."""

import shutil
import sys
import textwrap
from typing import IO


def fitted(text: str, stream: IO[str]) -> str:
    """Returns a text as lines that fit the terminal behind a stream; as it is where there is none.

    A word that is longer than a line, as paths are, stays whole.
    """
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def say(text: str, *, err: bool = False) -> None:
    """Prints a sentence."""
    stream = sys.stderr if err else sys.stdout
    print(fitted(text, stream), file=stream)
