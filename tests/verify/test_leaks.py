"""Texts that name the right answer, and texts that only look like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.records import Trajectory
from assay.verify.leaks import leaks


def of(answer: str | None) -> Trajectory:
    return Trajectory(id="a", task="t", group="g", reference=answer)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Lima", "the capital is LIMA."),
        ("Lima", "not >north(Peru) but >home(Lima)"),
        ("1200", "It costs 1,200 in all"),
        ("1,234,567", "1234567"),
        ("New York", "new\n york"),
        ("\uff17", "take 7"),  # a full-width digit
        ("3 * (4 + 5)", "write 3*(4+5)"),
        ("\u6771\u4eac", "\u7b54\u3048\u306f\u6771\u4eac\u3067\u3059"),  # no spaces between words
        ("->", "press -> twice"),
    ],
)
def test_an_answer_is_found_in_other_dress(answer: str, text: str) -> None:
    assert leaks(text, of(answer))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("7", "there are 17 of them, and 7,000 more"),
        ("12", "1 and 2, or 1,2"),
        ("1200", "12 and 00"),
        ("Lima", "climate"),
        ("New York", "York is new"),
        ("->", "press - then >"),
        (None, "anything"),
        ("", "anything"),
        (" ", "any thing"),
    ],
)
def test_what_only_looks_like_it_is_not(answer: str | None, text: str) -> None:
    assert not leaks(text, of(answer))


WORDS = st.text("abcdefg ", min_size=1).filter(str.strip)


@given(WORDS, WORDS, WORDS)
def test_an_answer_among_other_words_is_always_found(before: str, answer: str, behind: str) -> None:
    assert leaks(f"{before} {answer.upper()}! {behind}", of(answer))
