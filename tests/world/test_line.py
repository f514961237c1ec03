"""Turns taken apart. Spans are counted by hand; `|` marks where they begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.world import line as protocol
from assay.world.line import is_complete, parse


def cut(text):
    return [(span.role, text[span.start : span.end]) for span in parse(text).spans]


def test_a_call():
    turn = parse(">capital(France)\n")
    assert (turn.kind, turn.tool, turn.argument) == ("call", "capital", "France")
    assert cut(">capital(France)\n") == [("call", ">capital(France)\n")]
    assert turn.action == (0, 17)


def test_an_answer_with_confidence():
    turn = parse("=Paris ~7")
    assert (turn.kind, turn.answer, turn.confidence) == ("answer", "Paris", 0.75)
    assert cut("=Paris ~7") == [("answer", "=Paris"), ("confidence", " ~7")]


def test_thoughts_come_first_and_are_not_part_of_the_action():
    text = "#first the country\n#then its money\n>home(Paris)\n"
    assert cut(text) == [
        ("think", "#first the country\n"),
        ("think", "#then its money\n"),
        ("call", ">home(Paris)\n"),
    ]
    assert parse(text).action == (35, 48)  # 19 + 16 characters of thought, then 13


@pytest.mark.parametrize(
    ("written", "probability"),
    [("~0", 0.05), ("~9", 0.95), ("~0.7", 0.7), ("~.25", 0.25), ("~1.0", 1.0), ("~0.0", 0.0)],
)
def test_confidence_is_a_tenth_or_a_probability(written, probability):
    assert parse(f"=x {written}").confidence == pytest.approx(probability)


@pytest.mark.parametrize("text", ["=x ~10", "=x ~1.5", "=x ~-1", "=x ~", "=~x"])
def test_what_is_no_probability_stays_in_the_answer(text):
    turn = parse(text)
    assert (turn.kind, turn.confidence, turn.answer) == ("answer", None, text[1:].strip())


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("", ""),
        ("\n", ""),
        ("#only a thought\n", ""),
        ("capital(France)\n", ""),
        (">capital(France\n", "capital"),
        (">capital France)\n", "capital"),
        (">Capital(France)\n", "Capital"),
        (">\n", ""),
        (">capital(France)\n=Paris\n", "capital"),
        ("=Paris\n>capital(France)\n", ""),
        ("hello", ""),
    ],
)
def test_malformed_turns(text, tool):
    turn = parse(text)
    assert (turn.kind, turn.tool) == ("malformed", tool)


@given(st.text(max_size=80) | st.text("#>=~()<\n 79ab", max_size=40))
def test_spans_cover_every_character_once_and_in_order(text):
    at = 0
    for span in parse(text).spans:
        assert span.start == at
        assert span.end >= span.start
        at = span.end
    assert at == len(text)


@pytest.mark.parametrize(
    ("text", "over"),
    [
        (">a(b)\n", True),
        (">a(b)", False),
        ("#thought\n", False),
        ("#thought\n=x\n", True),
        ("\n", False),
        ("", False),
        ("anything\n", True),
        (">a(b)\n\n", True),  # as one token: ")\n\n"
        (">a(b)\n \n", True),
        ("#thought\n\n", False),
        (">a(b)\n\n ", False),
    ],
)
def test_a_turn_ends_with_a_line_that_is_no_thought(text, over):
    assert is_complete(text) is over


def test_prompt_and_observation_are_lines():
    assert protocol.prompt("?x", ["!y", ""]) == "?x\n!y\n"
    assert protocol.prompt("?x", [None]) == "?x\n"
    assert protocol.observation(">a(b)\n", "<c") == "<c\n"
    assert protocol.observation(">a(b)", "<c") == "\n<c\n"


def test_what_is_written_is_read_back():
    assert parse(protocol.call_text("go", "up")).argument == "up"
    assert protocol.answer_text("Paris", 0.75) == "=Paris ~7"
    assert protocol.answer_text("Paris", 1.0) == "=Paris ~9"
    assert protocol.answer_text("Paris") == "=Paris"
    assert protocol.arguments('a "b"') == '{"input": "a \\"b\\""}'
