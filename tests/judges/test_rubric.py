"""A rubric as data: binary items, one question each, and a reference that passes them."""

import json

import pytest

from assay.errors import UnknownNameError, UsageError
from assay.judges.rubric import Item, answer_of, failed, items_of, read_rubric, with_verdicts
from assay.records import ModelStep, ToolStep
from tests.credit.worlds import one

CAPITAL = {"id": "capital", "checked_by": "code", "has": r"\blima\b", "essential": True}
SHORT = {"id": "short", "checked_by": "code", "words": 4, "label": "optional"}
CALM = {"id": "calm", "checked_by": "code", "lacks": "!"}


def test_what_code_checks():
    capital, short, calm = items_of([CAPITAL, SHORT, CALM])
    assert capital.passes("The capital is LIMA.")
    assert not capital.passes("Limassol")
    assert short.passes("one two three four")
    assert not short.passes("one two three four five")
    assert calm.passes("so")
    assert not calm.passes("so!")
    assert failed((capital, short, calm), "Limassol!") == ["capital", "calm"]
    (loud,) = items_of([{"id": "loud", "checked_by": "code", "has": "!", "weight": -1}])
    assert (failed((loud,), "Lima"), failed((loud,), "Lima!")) == ([], ["loud"])
    assert (capital.reward, short.points, calm.points) == ("rubric:capital", 0.3, 1.0)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"id": ""}, "id: expected a name"),
        ({"text": " "}, "text: empty"),
        ({"text": "Names the capital and the currency."}, "asks two things, joined by 'and'"),
        ({"text": "Is short; is right"}, "joined by ';'"),
        ({"text": "Is short as well as right"}, "joined by 'as well as'"),
        ({"text": "Is short\nIs right"}, "split it into two items"),
        ({"checked_by": "code"}, "got no check; expected one of has, lacks, words"),
        ({"checked_by": "code", "has": "a", "words": 3}, "got has and words; expected one"),
        ({"has": "a"}, "has: is read of items that are checked by code"),
        ({"checked_by": "code", "words": 0}, "words: got 0; expected above 0"),
        ({"checked_by": "code", "has": "("}, "has: missing )"),
        ({"essential": True, "weight": 1.0}, "essential: has no weight"),
        ({"essential": True, "label": "pitfall"}, "essential: has no weight"),
        ({"weight": 0.0}, "weight: expected a number other than 0"),
        ({"weight": 1.0, "label": "pitfall"}, "without a label beside it"),
    ],
)
def test_what_is_no_item_is_refused_on_one_line(fields, says):
    with pytest.raises(UsageError) as caught:
        items_of([{"id": "a", "text": "Is it so", **fields}])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_with_a_joining_word_are_quoted():
    assert Item("a", 'Names "Trinidad and Tobago" once').points == 1.0
    assert Item("a", "Names the land").text  # "and" inside a word joins nothing


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("a", "rubric: got str; expected a list of items"),
        ({"id": "a"}, "rubric: got dict; expected a list"),
        (["a"], "rubric: item 0: got str; expected a table"),
        ([{"id": "a", "text": "b", "words": "x"}], "rubric: item 0: Expected `int | null`"),
        ([CALM, CALM], "rubric: two items are called 'calm'"),
    ],
)
def test_what_is_no_list_of_items_is_refused(given, says):
    with pytest.raises(UsageError, match=r"rubric") as caught:
        items_of(given)
    assert says in str(caught.value)


def test_files(tmp_path):
    toml = tmp_path / "r.toml"
    toml.write_text(
        'reference = "It is Lima."\n[[items]]\nid = "capital"\nchecked_by = "code"\n'
        'has = "lima"\nessential = true\n',
        encoding="utf-8",
    )
    found, reference = read_rubric(toml)
    assert ([each.id for each in found], reference) == (["capital"], "It is Lima.")
    other = tmp_path / "r.json"
    other.write_text(json.dumps({"items": [CAPITAL]}), encoding="utf-8")
    assert read_rubric(other)[1] is None
    for text, error, says in (
        ("[[items", UsageError, "r.toml: "),
        ("a = 1", UsageError, r"no items; expected \[\[items\]\]"),
        ('items = [{id = "a", text = "b"}]\nother = 1', UnknownNameError, "no key 'other'"),
        ('items = [{id = "a", text = "b"}]\nreference = 1', UsageError, "expected a text"),
        ('reference = "no"\nitems = [{id = "a", checked_by = "code", has = "lima"}]', UsageError,
         "the reference answer fails 'a'; an item that a right answer fails vetoes"),
    ):  # fmt: skip
        toml.write_text(text, encoding="utf-8")
        with pytest.raises(error, match=says):
            read_rubric(toml)
    with pytest.raises(UsageError, match=r"none.toml: No such file"):
        read_rubric(tmp_path / "none.toml")


def test_verdicts_of_code_and_world_go_under_their_items():
    items = items_of([CAPITAL, {"id": "short", "checked_by": "world"}, {**CALM, "task": "other"}])
    said = [ModelStep(text="ask", token_ids=(1,)), ToolStep(text="Lima", token_ids=(1,)),
            ModelStep(text="It is Lima", token_ids=(1,))]  # fmt: skip
    first = one(1.0, steps=said, rewards={"short": 0.5})
    assert answer_of(first) == "It is Lima"
    found = with_verdicts(items, first)
    assert found.rewards == {"short": 0.5, "rubric:capital": 1.0, "rubric:short": 0.0}
    assert with_verdicts(items, found) is found
    # what somebody said stays; the world's word is passed on as it is, also where it has none
    kept = with_verdicts(items, one(1.0, steps=said, rewards={"rubric:capital": None}))
    assert kept.rewards == {"rubric:capital": None}
    none = with_verdicts(items, one(1.0, steps=said, rewards={"short": None}))
    assert none.rewards["rubric:short"] is None
    # whoever wrote nothing passes nothing
    assert answer_of(one(1.0, steps=[])) is None
    assert with_verdicts(items, one(1.0, steps=[])).rewards == {"rubric:capital": 0.0}
    assert with_verdicts(items_of([CALM]), one(1.0, steps=[])).rewards == {"rubric:calm": 0.0}
