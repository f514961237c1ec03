"""`assay rubric check`: right answers pass, or it says which item would veto them."""

import json
from pathlib import Path
from typing import Any

from assay.judges.rubric import read_rubric, version_of
from assay.records import read, write
from tests.cli.conftest import Assay
from tests.feedback.made import record
from tests.judges import server

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


def test_a_judge_s_verdicts_go_onto_records(assay: Assay, tmp_path: Path) -> None:
    rubric, log, out = (tmp_path / name for name in ("r.toml", "log.jsonl", "out.jsonl"))
    rubric.write_text(
        'items = [{id = "kind", text = "Is kind"}, {id = "t", checked_by = "code", has = "."}]',
        encoding="utf-8",
    )
    write(log, [record("0/t/0"), record("0/t/1")])

    def yes(body: dict[str, Any]) -> str:
        reply = body["messages"][0]["content"].splitlines()[-1].partition("{")[0]
        return f'{reply}{{"verdict": 1}}{reply}'

    with server.serving(yes) as url:
        ended = assay("rubric", "judge", rubric, log, "--endpoint", url, "--votes", "1", "-o", out)
    assert ended.code == 0, ended.text
    assert "2 trajectories, 2 verdicts asked for, 0 not given" in ended.text
    found = [each.rewards for each in read(out)]
    assert [(each["rubric:kind"], each["rubric:t"]) for each in found] == [(1.0, 1.0)] * 2
    assert "untrusted: nobody has probed this judge; --probe does" in " ".join(ended.text.split())

    def rate(body: dict[str, Any]) -> str:
        reply = body["messages"][0]["content"].splitlines()[-1].partition("{")[0]
        wrong = "error" in body["messages"][1]["content"]
        return f'{reply}{{"rating": {3 if wrong else 8}}}{reply}'

    given = ("--form", "implicit", "--votes", "1", "--probe", "-o", out)
    with server.serving(rate) as url:
        ended = assay("rubric", "judge", rubric, log, "--endpoint", url, *given)
    assert ended.code == 0, ended.text
    said = " ".join(ended.text.split())
    assert "plain 0 of 12, claims 0 of 6, empty 0 of 6; nothing against it" in said
    assert "2 trajectories, 2 ratings asked for, 0 not given" in said
    assert [each.rewards["rating:rubric"] for each in read(out)] == [8.0, 8.0]
    with server.serving(yes) as url:  # says 1 to everything, wherever it is asked
        ended = assay("rubric", "judge", rubric, log, "--endpoint", url, "--probe", "-o", out)
    assert "untrusted, fooled by plain, claims, empty" in " ".join(ended.text.split())
    with server.serving(lambda _: 503) as url:
        ended = assay("rubric", "judge", rubric, log, "--endpoint", url, "--probe", "-o", out)
        assert "probes: it said nothing; untrusted" in " ".join(ended.text.split())
    ended = assay("rubric", "judge", rubric, log, "--endpoint", url, "--form", "implict", "-o", out)
    assert (ended.code, "Did you mean 'implicit'" in ended.err) == (2, True)
    with server.serving(lambda _: 503) as url:
        ended = assay("rubric", "judge", rubric, log, "--endpoint", url, "-o", out)
    assert "2 not given (votes lost: refused 6)" in " ".join(ended.text.split())
    assert [each.rewards["rubric:kind"] for each in read(out)] == [None, None]
    ended = assay("rubric", "judge", rubric, log, "--endpoint", url, "-o", log)
    assert (ended.code, "choose another" in ended.err) == (2, True)
    ended = assay("rubric", "judge", rubric, log, "--endpoint", url, "-o", out, "--key", "NO_KEY")
    assert (ended.code, "no such environment variable" in ended.err) == (2, True)


def test_a_model_proposes_items_of_the_next_version(assay: Assay, tmp_path: Path) -> None:
    rubric, log, out = (tmp_path / name for name in ("r.toml", "log.jsonl", "next.toml"))
    rubric.write_text('reference = "Hi"\nitems = [{id = "kind", text = "Is kind"}]', "utf-8")
    write(log, [record("0/t/0"), record("0/t/1")])

    def propose(body: dict[str, Any]) -> str:
        reply = body["messages"][0]["content"].splitlines()[-1].partition("{")[0]
        items = [{"text": "Is kind.", "weight": 1}, {"text": "Cites a source", "weight": -1}]
        return f"{reply}{json.dumps({'items': items})}{reply}"

    with server.serving(propose) as url:
        ended = assay("rubric", "evolve", rubric, log, "--endpoint", url, "-o", out)
    assert ended.code == 0, ended.text
    said = "version 1: 1 tasks, 1 items added, 0 retired; refused: duplicate 1; nothing proposed:"
    assert said in " ".join(ended.text.split())
    items, reference = read_rubric(out)
    assert [(each.text, each.born) for each in items] == [("Is kind", None), ("Cites a source", 1)]
    assert reference == "Hi"
    # its next version; as JSON too
    with server.serving(lambda _: 503) as url:
        given = ("--endpoint", url, "-o", tmp_path / "third.json")
        ended = assay("rubric", "evolve", out, log, *given)
    assert "version 2: 1 tasks, 0 items added, 0 retired" in " ".join(ended.text.split())
    assert "nothing proposed: refused 1" in " ".join(ended.text.split())
    assert read_rubric(tmp_path / "third.json") == (items, "Hi")
    assert version_of(tmp_path / "third.json") == 2
    ended = assay("rubric", "evolve", rubric, log, "--endpoint", url, "-o", log)
    assert (ended.code, "choose another" in ended.err) == (2, True)
    ended = assay("rubric", "evolve", rubric, log, "--endpoint", url, "-o", out, "--fresh", "0")
    assert (ended.code, "got fresh=0; expected at least 1" in ended.err) == (2, True)
    assert read_rubric(out) == (items, "Hi")
