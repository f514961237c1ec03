"""`assay rubric check`: right answers pass, or it says which item would veto them."""

import json
from pathlib import Path

from tests.cli.conftest import Assay

RUBRIC = """
reference = "The capital of Peru is Lima."
[[items]]
id = "short"
checked_by = "world"
essential = true
[[items]]
id = "named"
checked_by = "code"
has = "is"
[[items]]
id = "loud"
checked_by = "code"
has = "!"
label = "optional"
weight = WEIGHT
"""


def test_a_world_s_own_solutions_must_pass(assay: Assay, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    text = RUBRIC.replace('label = "optional"\n', "")
    path.write_text(text.replace("WEIGHT", "-1"), encoding="utf-8")
    ended = assay("rubric", "check", path, "--env", "report", "--seeds", "3", "--json", "-")
    assert ended.code == 0, ended.text
    items = {each["id"]: each for each in json.loads(ended.out)["items"]}
    assert items["short"] == {
        "id": "short", "checked_by": "world", "essential": True, "weight": None, "passed": 3,
        "failed": 0,
    }  # fmt: skip
    assert (items["loud"]["weight"], items["loud"]["passed"]) == (-1.0, 4)
    # what a solution fails would veto it
    path.write_text(text.replace("WEIGHT", "-1").replace('"is"', '"Peru"'), encoding="utf-8")
    ended = assay("rubric", "check", path, "--env", "report", "--set", "facts=1", "--seeds", "3")
    assert ended.code == 1
    assert "named: right answers fail it" in ended.text
    assert "short            essential    by world  3 of 3 references pass" in ended.text


def test_what_is_no_rubric_is_said_on_one_line(assay: Assay, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RUBRIC.replace("WEIGHT", "1"), encoding="utf-8")
    ended = assay("rubric", "check", path)
    assert ended.code == 2
    assert "item 'loud': weight: expected a number other than 0, without a label" in ended.err
    path.write_text('items = [{id = "a", text = "b"}]', encoding="utf-8")
    assert "no reference seen" in assay("rubric", "check", path).text
    ended = assay("rubric", "check", path, "--env", "tests.world.bad:None")
    assert ended.code == 2
