"""Prose of the command line: on a terminal its lines end between words."""

import shutil
import sys
import textwrap

_WIDTH = 80


def fitted(text: str, *, terminal: bool) -> str:
    """Returns a text as lines that fit a terminal; as it is where it goes elsewhere.

    A word that is longer than a line, as paths are, stays whole.
    """
    if not terminal:
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def headed(source: str, said: str, mark: str = "") -> str:
    """Returns what is said of a log on one line; of a path that is too long for it, the end."""
    room = max(_WIDTH - len(f"{mark}: {said}"), 10)
    return f"{mark}{source if len(source) <= room else f'…{source[1 - room :]}'}: {said}"


def say(text: str, *, err: bool = False) -> None:
    """Prints a sentence."""
    stream = sys.stderr if err else sys.stdout
    print(fitted(text, terminal=stream.isatty()), file=stream)
