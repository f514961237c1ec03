"""Options of questions, scored with and without their context, against one plain forward each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra assay[train]")

from assay.errors import DataError, UsageError
from assay.policy.loading import load
from assay.policy.scoring import plain
from assay.rollout.protocols.line import Line
from assay.rollout.questions import question, questions, right, scored
from tests.runs import tiny


class Long(tiny.Asked):
    """Its options begin alike, one is longer, and odd tasks have two of them."""

    def options(self) -> Sequence[str]:
        every = ("=aba", "=ab", "=abc?d")
        return every[:2] if self.wanted in "bd" else every

    def best(self) -> str:
        return "=ab"


class Alone(tiny.Asked):
    def best(self) -> str:
        return "=?"


class Double(tiny.Asked):
    def options(self) -> Sequence[str]:
        return ("=a", "=a", "=b")


class One(tiny.Asked):
    def options(self) -> Sequence[str]:
        return (self.best(),)


class Silent(tiny.Asked):
    def options(self) -> Sequence[str]:
        return ("", self.best())


class Half(tiny.Asked):
    def context(self) -> str:
        return "b\ud800"


class Spelt(tiny.Asked):
    def options(self) -> Any:
        return "=abcd"


class Broken(tiny.Asked):
    def options(self) -> Any:
        raise ZeroDivisionError("by zero")


class Bookless(tiny.Asked):
    def context(self) -> Any:
        return None


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return load(str(tiny.policy(tmp_path_factory.mktemp("policy"))))


def texts(tokenizer: Any, *said: str) -> list[tuple[int, ...]]:
    return [tuple(tokenizer(each, add_special_tokens=False)["input_ids"]) for each in said]


def test_a_question_as_tokens(opened: tuple[Any, Any]) -> None:
    _, tokenizer = opened
    made = question(tiny.Asked(lies="c"), 2, Line(tokenizer))
    assert (made.task, made.prompt, made.context, made.right) == (2, "?c", "b", 2)
    closed, open_, told, *turns = texts(
        tokenizer, "?c\n", "?c\nb\n", "b\n", "=a\n", "=b\n", "=c\n", "=d\n"
    )
    assert (made.closed, made.open, made.told) == (closed, open_, told)
    assert made.turns == tuple(turns)
    assert made.given == 1  # "="
    # all begin with "=ab"; of "=ab" its end is left to score
    assert question(Long(), 0, Line(tokenizer)).given == 3


def test_scores_are_means_over_what_is_not_alike(opened: tuple[Any, Any]) -> None:
    model, tokenizer = opened
    asked = questions(Long, range(4), Line(tokenizer))
    found = scored(model, asked)
    for at, each in enumerate(asked):
        for table, before in ((found.open_QO, each.open), (found.closed_QO, each.closed)):
            for option, turn in enumerate(each.turns):
                logp = plain(model, [*before, *turn])[len(before) + 3 - 1 :]
                assert table[at, option] == pytest.approx(np.mean(logp), abs=1e-5)
    assert np.isnan(found.open_QO).tolist() == [[False] * 3, [False, False, True]] * 2
    assert np.isnan(found.closed_QO).tolist() == np.isnan(found.open_QO).tolist()
    # turns of 5, 4 and 7 tokens: 16 or 9 a question; before them 5 tokens with the line, 3 without
    assert found.tokens == 4 * (5 + 3) + 2 * 2 * (16 + 9)
    assert found.forwards == 2 * (3 + 2 + 3 + 2)


def test_a_likeliest_option_is_right_or_not(opened: tuple[Any, Any]) -> None:
    _, tokenizer = opened
    asked = questions(tiny.Asked, [0, 1], Line(tokenizer))
    table = np.array([[-1.0, -2.0, -3.0, -4.0], [-1.0, -2.0, -3.0, -4.0]])
    assert right(table, asked).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (tiny.Letter, "0 options, 0 of them different, and no context"),
        (Double, "3 options, 2 of them different, and a context"),
        (One, "1 options, 1 of them different, and a context"),
        (Bookless, "4 options, 4 of them different, and no context"),
        (Spelt, "got options '=abcd', one text"),
        (Silent, "a prompt, context or option is empty: ''; expected text"),
        (Half, "a prompt, context or option is half a surrogate pair: 'b"),
        (Alone, "the right turn is '=?', which is none of its options"),
    ],
)
def test_what_asks_no_question_is_refused(opened: tuple[Any, Any], made: Any, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        question(made(), 1, Line(opened[1]))
    assert words in str(refused.value)


def test_an_environment_that_raises_is_named(opened: tuple[Any, Any]) -> None:
    with pytest.raises(DataError) as refused:
        question(Broken(), 1, Line(opened[1]))
    words = "environment Broken, task of seed 1: reset, options, context or best raised"
    assert words in str(refused.value)
