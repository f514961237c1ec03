"""Prose of the command line: on a terminal its lines end between words."""

import shutil
import sys
import textwrap


def fitted(text: str, *, terminal: bool) -> str:
    """Returns a text as lines that fit a terminal; as it is where it goes elsewhere.

    A word that is longer than a line, as paths are, stays whole.
    """
    if not terminal:
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def say(text: str, *, err: bool = False) -> None:
    """Prints a sentence."""
    stream = sys.stderr if err else sys.stdout
    print(fitted(text, terminal=stream.isatty()), file=stream)
