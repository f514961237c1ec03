"""The strict reader of JSON: what it says, and what it counts."""

import json
from pathlib import Path

import pytest

from assay.errors import DataError
from assay.files.reading import documents
from assay.files.strict import parse, shape


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "a": 2}', "here: key 'a' occurs twice in one object; expected once"),
        (b'{"x": [{"b\\n": 1, "b\\u000a": 2}]}', "here: key 'b\\n' occurs twice"),
        (b"[NaN]", "here: NaN is not JSON; write null for a missing number"),
        (b"-Infinity", "here: -Infinity is not JSON; write null for a missing number"),
        (b"[1e999]", "here: number 1e999 is too large for a double"),
        (b'"\\ud800"', "here: half a surrogate pair"),
        (b'["\\udc00\\ud800"]', "here: half a surrogate pair"),
        (b'"\xed\xa0\x80"', "here: not UTF-8 at byte 1; convert it"),
        (b'{"a": "\xff"}', "here: not UTF-8 at byte 7; convert it"),
        (b"[1, 2", "here: not JSON at character 5: Expecting ',' delimiter; is it cut short?"),
        (b'{"a": tru', "here: not JSON at character 6: Expecting value; is it cut short?"),
        (b"{'task': 'a', 'x': 1}", "here: not JSON at character 1: Expecting property name"),
        (b"[1] [2]", "here: more than one JSON value; expected one (or one a line, .jsonl)"),
        (b"[" * 100_000, "here: nested too deeply; expected a few hundred levels"),
        (b"[" * 100_000 + b"]" * 100_000, "here: nested too deeply; expected a few hundred levels"),
        (b"\x80\x04\x95", "here: looks like a pickle, which is never read; export it as JSON"),
        (b"9" * 5000, "here: Exceeds the limit (4300 digits)"),
        (
            b"[" + b"{}," * 700_000 + b"{}]",
            "here: its 2,100,004 bytes would take over 64 MiB in memory, so many values are in",
        ),
    ],
)
def test_refusals_are_one_line(text: bytes, said: str):
    with pytest.raises(DataError) as caught:
        parse(text, "here")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_fault_long_before_the_end_is_not_called_a_cut():
    with pytest.raises(DataError, match="; write it with a JSON writer, one value a record"):
        parse(b"{'task': 'a', 'reward': 1}", "here")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf {} \n",
        b'{"a" : 1, "b\\\\": {"a": "\\": "}}',
        b'"\\ud83d\\ude00"',
        b'["\\\\ud800"]',
        b"-0.0",
    ],
)
def test_what_is_json_is_read(text: bytes):
    assert parse(text, "here") == json.loads(text.decode("utf-8-sig"))


def test_a_long_trajectory_of_short_steps_is_a_log():
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "a"},
    ]
    value = {"task": "a", "reward": 1.0, "messages": turn * 10_000}
    assert parse(json.dumps(value).encode(), "here") == value


def test_a_large_wide_text_is_held_to_the_same():
    # Over 256 KiB with a character beyond 16 bits: the decoder that makes no copy.
    wide = "\U0001f600" + "a" * 300_000
    value = {"text": wide, "odd key\\": [1, {"a": None}], "spaced": '": '}
    for separators in ((",", ":"), (" , ", " : ")):
        text = json.dumps(value, ensure_ascii=False, separators=separators).encode()
        assert parse(text, "here") == value
    twice = json.dumps(value, ensure_ascii=False).encode().replace(b'"a":', b'"a": 1, "a":')
    with pytest.raises(DataError, match="a key occurs twice in one object"):
        parse(twice, "here")
    for broken in (b"NaN", b'"\\ud800"', b"[", b"1e999"):
        with pytest.raises(DataError, match="here: not JSON"):
            parse(text[:-1] + b', "x": ' + broken + b"}", "here")
    with pytest.raises(DataError, match="here: not UTF-8"):
        parse(text[:-1] + b', "x": "\xff"}', "here")


def test_shape_tells_strings_from_structure():
    # Three keys; what looks like a key or an object inside a string is neither.
    text = b'{"a": "{\\"b\\": [1, 2]}", "c": {"d\\\\": ":"}}'
    assert shape(text).keys == 3


def test_a_list_is_read_one_element_at_a_time(tmp_path: Path):
    log = tmp_path / "log.json"
    log.write_text('[ {"a": "]"} ,\n [1, [2]], "x,\\"]", 3 , {"bad": }, {"later": 1}]')
    found = documents(log)
    assert [next(found)[1] for _ in range(4)] == [{"a": "]"}, [1, [2]], 'x,"]', 3]
    with pytest.raises(DataError, match="record 4: not JSON"):
        next(found)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n  \n "])
@pytest.mark.parametrize("value", [{"a": [1, {"b": "}"}]}, [{"a": 1}]])
def test_a_document_is_one_however_it_is_written(
    value: object, before: bytes, indent: int | None, tmp_path: Path
):
    log = tmp_path / "log.json"
    log.write_bytes(before + json.dumps(value, indent=indent).encode() + b"\n")
    assert [found for _, found in documents(log)] == (value if type(value) is list else [value])


def test_lines_may_be_blank(tmp_path: Path):
    log = tmp_path / "log.json"
    log.write_text('\n{"a": 1}\n   \n\r\n{"a": 2}')
    assert [found for _, found in documents(log)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "text", ["[1, 2", "[1, 2}", "[1 2]", "[1,]", "[1]]", "[,]", '["a', "[1] x", "["]
)
def test_a_list_that_breaks_off_is_an_error(text: str, tmp_path: Path):
    log = tmp_path / "log.json"
    log.write_text(text)
    with pytest.raises(DataError, match=r"log\.json"):
        list(documents(log))
