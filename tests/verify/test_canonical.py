"""Canonical arguments. Expected texts are typed in; the oracle is Python's own `json`."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.verify import call_form, canonical

SAME = [  # two ways to write one call
    ('{"a":1,"b":2}', '{"b":2,"a":1}'),
    ('{"a":1}', ' {\n "a" :\t1 } '),
    ('{"a":1}', '{"a":1.0}'),
    ('{"a":1}', '{"a":1e0}'),
    ('{"a":100}', '{"a":1E+2}'),
    ('{"a":0}', '{"a":-0.0}'),
    ('{"a":0}', '{"a":-0}'),
    ('{"a":10000000000000000}', '{"a":1e16}'),
    ('{"a":100000000000000000000}', '{"a":1e20}'),
    ('{"a":0.5}', '{"a":5e-1}'),
    ('{"a":[1,{"c":3,"b":2.0}]}', '{"a":[1.0,{"b":2,"c":3}]}'),
    ('{"a":"x"}', '{"a":" x\\n"}'),
    ('{"a":"x"}', '{"a":"\\u00a0x\\u2003"}'),
    ('{"a":[" x "]}', '{"a":["x"]}'),
    ('{"a":"é"}', '{"a":"\\u00e9"}'),
    ('{"a":"😀"}', '{"a":"\\ud83d\\ude00"}'),
    ('{"a":"/"}', '{"a":"\\/"}'),
    ('{"a":1,"a":2}', '{"a":2}'),  # the last one counts, as in every parser that runs the call
]
DIFFERENT = [
    ('{"a":1}', '{"a":"1"}'),
    ('{"a":1}', '{"a":true}'),
    ('{"a":0}', '{"a":false}'),
    ('{"a":null}', "{}"),
    ('{"a":[1,2]}', '{"a":[2,1]}'),
    ('{"a":"x y"}', '{"a":"x  y"}'),  # white space inside a string can be code
    ('{"a":"x\\ny"}', '{"a":"x y"}'),
    ('{"a":"X"}', '{"a":"x"}'),
    ('{"A":1}', '{"a":1}'),
    ('{"a ":1}', '{"a":1}'),  # a key is a name, not a text
    ('{"a":9007199254740992}', '{"a":9007199254740993}'),  # 2^53 and 2^53 + 1 are one double
    ('{"a":123456789012345678901}', '{"a":123456789012345678902}'),
    ('{"a":0.1}', '{"a":0.10000000000000002}'),
    ('{"a":"e\\u0301"}', '{"a":"\\u00e9"}'),  # code points are compared, not glyphs
    ('{"a":{"b":1}}', '{"a":[{"b":1}]}'),
]
NOT_OBJECTS = [
    *("", " ", "null", "1", '"a"', "[]", '[{"a":1}]', "{", '{"a":1', '{"a":1}}', '{"a":1} x'),
    *("{'a': 1}", '{"a":1,}', '{"a":NaN}', '{"a":Infinity}', '{"a":1e999}', '{"a":01}'),
    *('{"a":"\\ud800"}', '{"a":"\ud800"}', "{" * 5000, "select * from t", "\x00"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_call_has_one_form(one: str, other: str):
    assert canonical(one) is not None
    assert canonical(one) == canonical(other)
    assert call_form("f", one) == call_form("f", other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_calls_have_different_forms(one: str, other: str):
    assert canonical(one) is not None
    assert canonical(other) is not None
    assert canonical(one) != canonical(other)
    assert call_form("f", one) != call_form("f", other)


@pytest.mark.parametrize("arguments", NOT_OBJECTS)
def test_what_is_no_object_has_no_canonical_form(arguments: str):
    assert canonical(arguments) is None
    assert not call_form("f", arguments).is_json


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("{}", "{}"),
        ('{ "b": 1.50, "a": [1e2, -0.0, true, null] }', '{"a":[100,0,true,null],"b":1.5}'),
        ('{"q": " select  1 \\n"}', '{"q":"select  1"}'),
        ('{"s": "1.0"}', '{"s":"1.0"}'),  # looks like a number with a point, and is none
        ('{"big": 1e300}', '{"big":' + str(int(1e300)) + "}"),
    ],
)
def test_canonical_text(arguments: str, expected: str):
    assert canonical(arguments) == expected


def test_raw_arguments_are_compared_as_written():
    assert call_form("f", " ls -l \n") == call_form("f", "ls -l")
    assert call_form("f", "ls -l") != call_form("f", "ls  -l")
    assert call_form("f", "ls") != call_form("g", "ls")
    # A raw text that reads like a canonical one is no object of it: "a" is JSON, but no object.
    assert call_form("f", '"a"') != call_form("f", '{"a":1}')
    assert not call_form("f", '"a"').is_json
    assert call_form("f", "{}").is_json


def test_the_name_belongs_to_the_call():
    assert call_form("f", "{}") != call_form("g", "{}")
    assert call_form("f", "{}") != call_form("f ", "{}")
    assert hash(call_form("f", '{"a": 1}')) == hash(call_form("f", '{"a":1.0}'))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3), JSON, max_size=4
)


def meaning(value: object) -> object:
    """What a call means, in terms that `==` compares: (kind, ...) tuples, exact numbers."""
    match value:
        case bool() | None:
            return ("constant", value)
        case int():
            return ("number", value)
        case float():
            return ("number", int(value) if value == math.floor(value) else value)
        case str():
            return ("text", value.strip())
        case list():
            return ("list", tuple(meaning(item) for item in value))
        case dict():
            return ("object", tuple(sorted((k, meaning(v)) for k, v in value.items())))
    raise TypeError(value)


def rewritten(value: object, rng: random.Random) -> object:
    """The same value written another way: keys shuffled, whole numbers as floats, texts padded."""
    match value:
        case dict():
            pairs = [(key, rewritten(item, rng)) for key, item in value.items()]
            rng.shuffle(pairs)
            return dict(pairs)
        case list():
            return [rewritten(item, rng) for item in value]
        case bool() | None:
            return value
        case int() if int(float(value)) == value and rng.random() < 0.5:
            return float(value)
        case str():
            return rng.choice(["", " ", "\n\t", "\u2003"]) + value + rng.choice(["", " ", "\r\n"])
    return value


@settings(deadline=None)
@given(OBJECTS, st.randoms(use_true_random=False), st.booleans())
def test_rewriting_changes_nothing(value: dict[str, object], rng: random.Random, plain: bool):
    written = json.dumps(value, ensure_ascii=plain)
    again = json.dumps(
        rewritten(value, rng),
        ensure_ascii=not plain,
        indent=rng.choice([None, 1]),
        separators=rng.choice([(",", ":"), (" , ", " : ")]),
    )
    assert canonical(written) == canonical(again)
    assert call_form("f", written) == call_form("f", again)
    assert canonical(canonical(written) or "") == canonical(written)  # it is its own form


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_equal_forms_if_and_only_if_equal_meanings(a: dict[str, object], b: dict[str, object]):
    same = meaning(a) == meaning(b)
    assert (call_form("f", json.dumps(a)) == call_form("f", json.dumps(b))) == same


@settings(deadline=None)
@given(OBJECTS, st.randoms(use_true_random=False))
def test_one_changed_leaf_changes_the_form(value: dict[str, object], rng: random.Random):
    """Pairs drawn apart are hardly ever equal, so change one thing and compare meanings again."""
    other = json.loads(json.dumps(value))
    key = rng.choice(sorted(other)) if other else "k"
    other[key] = rng.choice([0, 1, 1.0, "1", True, None, "", " ", [], {}])
    same = meaning(value) == meaning(other)
    assert (canonical(json.dumps(value)) == canonical(json.dumps(other))) == same


@settings(deadline=None)
@given(OBJECTS)
def test_the_canonical_text_is_json_of_the_same_meaning(value: dict[str, object]):
    text = canonical(json.dumps(value))
    assert text is not None
    assert meaning(json.loads(text)) == meaning(value)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_raises(text: str):
    form = canonical(text)
    assert form is None or isinstance(json.loads(form), dict)
    assert call_form("f", text).is_json == (form is not None)
