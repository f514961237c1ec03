"""Does a text name the right answer? What is given away then is the answer, not help."""

import re
from typing import Final
from unicodedata import normalize

from assay.records import Trajectory

_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORDS: Final = re.compile(r"\w+")


def leaks(text: str, record: Trajectory) -> bool:
    """Returns whether a text names the right answer of the record's task (`reference`).

    Both are compared as words in a row: upper and lower case, forms of one character (NFKC),
    punctuation and commas of thousands make no difference, so that "It is 1,200." names "1200" and
    "12 and 20" does not. An answer outside ASCII counts inside a word too, for not all scripts part
    them. False where nobody knows the answer.
    """
    given = (record.reference or "").strip()
    answer = _words(given)
    if not answer:
        return bool(given) and given in text
    words = _words(text)
    return f" {answer} " in f" {words} " if answer.isascii() else answer in words


def _words(text: str) -> str:
    plain = _THOUSANDS.sub("", normalize("NFKC", text).casefold())
    return " ".join(_WORDS.findall(plain))
