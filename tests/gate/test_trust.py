"""A judge's word is credited where a test of it on labels of one's own speaks for it."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError, UsageError
from assay.gate.rubric import TRUST
from assay.judges.tested import Trust, trust_of
from assay.pipeline import gated
from assay.recipes import Recipe, read
from assay.runs.config import parsed
from assay.signal.rubric import rubric_facts
from tests.credit.worlds import batch_of, one

FOUND = {
    "schema": "assay.judge-test/1",
    "of": {"judge": "m", "protocol": "grm", "votes": 8},
    "trusted": True,
    "why": [],
    "axes": {"outcome": [0.9, 0.75], "style": None},
    "labelled": {"outcome": 50, "style": 3},
}
KEPT = {"judge": "m", "protocol": "grm", "trusted": True, "mean": 0.9, "low": 0.75, "labelled": 50}
RECIPE = """
[recipe]
method = "grpo"
[recipe.rubric]
dense = "judge:grm"
trust = { "judge:grm" = "tests/judge.json" }
"""


def written(folder: Path, **changes: Any) -> Path:
    (folder / "tests").mkdir(exist_ok=True)
    path = folder / "tests" / "judge.json"
    path.write_text(json.dumps({**FOUND, **changes}), encoding="utf-8")
    return path


def rubric(**more: Any) -> dict[str, Any]:
    return {"method": "grpo", "rubric": {"dense": "judge:grm", **more}}


def test_what_a_test_found_becomes_part_of_the_recipe(tmp_path: Path) -> None:
    path, recipe = written(tmp_path), tmp_path / "r.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    config = parsed(read(str(recipe)))
    assert config.recipe["rubric"]["trust"] == {"judge:grm": KEPT}
    path.unlink()  # a run that is resumed reads what was written down
    assert parsed(tomllib.loads(config.toml())).sha256 == config.sha256
    made = Recipe.of(rubric(trust={"judge:grm": KEPT})).rubric
    assert made is not None
    assert made.trust == {"judge:grm": Trust(**KEPT)}
    with pytest.raises(DataError, match=r"judge.json: .*No such file"):
        Recipe.of(rubric(trust={"judge:grm": str(path)}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trusted": False, "why": ["fooled by claims: 4 of 4"]}, "not trusted: fooled by claims"),
        ({"trusted": False}, "'judge:grm' is not trusted: untrusted"),
        ({"why": ["one", "two"]}, "not trusted: one; two"),
        ({"labelled": {"outcome": 49}}, "its test is on 49 answers with an outcome; expected 50"),
        ({"labelled": {}}, "its test is on 0 answers"),
        ({"axes": {"outcome": None}}, "its test is on 50 answers"),
        ({"axes": {}}, "its test is on 50 answers"),
    ],
)
def test_a_test_that_speaks_against_it_refuses_its_word(
    tmp_path: Path, changes: Any, says: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(UsageError) as caught:
        Recipe.of(rubric(trust={"judge:grm": str(path)}))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_word_that_nobody_tested_is_refused_and_so_is_a_test_of_nothing() -> None:
    with pytest.raises(UsageError, match="'judge:grm' is a judge's word, and nobody has tested it"):
        Recipe.of(rubric())
    table = {"r3": 1.0, "judge:grm": 0.5}
    with pytest.raises(UsageError, match="nobody has tested it; expected trust"):
        Recipe.of(rubric(dense=table))
    assert Recipe.of(rubric(dense=table, trust={"judge:grm": KEPT})).rubric is not None
    with pytest.raises(UsageError, match="trust: 'judge:other' is no dense reward by a judge"):
        Recipe.of(rubric(trust={"judge:grm": KEPT, "judge:other": KEPT}))
    with pytest.raises(UsageError, match="names among none"):
        Recipe.of(rubric(dense="r3", trust={"r3": KEPT}))
    with pytest.raises(UsageError, match=r"recipe.rubric.trust"):
        Recipe.of(rubric(trust={"judge:grm": {**KEPT, "trust": 1}}))


@pytest.mark.parametrize(
    "text", ["[]", "{}", json.dumps({**FOUND, "axes": 3}), json.dumps({**FOUND, "trusted": "yes"}),
             json.dumps({**FOUND, "of": {}}), json.dumps({**FOUND, "labelled": []})]
)  # fmt: skip
def test_what_is_no_test_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="expected what assay judge test -o wrote"):
        trust_of(tmp_path / "a")


def test_the_lowest_trust_is_logged_with_the_step() -> None:
    both = {"judge:grm": 1.0, "judge:b": 1.0}
    trust = {"judge:grm": KEPT, "judge:b": {**KEPT, "low": 0.6}}
    recipe = Recipe.of(rubric(dense=both, trust=trust))
    records = [
        one(0.0, group="g", id=f"g{k}", rewards={"judge:grm": k / 2, "judge:b": 0.5})
        for k in range(3)
    ]
    batch, decisions = gated(batch_of(records), recipe)
    assert batch.statistics[TRUST] == 0.6
    assert rubric_facts(batch, decisions)["rubric/trust"] == 0.6
    assert [float(v) for v in batch.value_K] == pytest.approx([0.5, 1.0, 1.5])
