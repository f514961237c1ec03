"""`assay claims`: the list, and a run that goes on from the committed rows."""

import json
from pathlib import Path

import pytest

from assay.claims import committed, load
from assay.claims.results import data, read
from tests.cli.conftest import Assay

CLAIMS = Path(__file__).parents[2] / "claims"
IN = ("--folder", str(CLAIMS))
BASE = (*IN, "--only", "lookup-dead-base")
"""A cell that is committed, so that nothing is left to run."""


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here trains."""
    monkeypatch.setattr("assay.cli.claims.check_installed", lambda verb: None)


@pytest.mark.slow
def test_the_list_has_a_schema_of_its_own(assay: Assay):
    ended = assay("claims", "list", *IN, "--json", "-")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json["schema"] == "assay.claims-list/1"  # rows are assay.claims/1
    assert [each["id"] for each in ended.json["claims"]] == list(load(CLAIMS))


def test_committed_rows_are_where_a_run_goes_on(assay: Assay):
    ended = assay("claims", "run", "dead_start", "--committed", *BASE, "-o", "out")
    assert (ended.code, ended.err) == (0, "")
    assert ended.text.startswith("1 cells, 1 of them done; ")
    assert read(Path("out/rows.jsonl")).rows == committed(CLAIMS, "dead_start").rows
    assert Path("out/dead_start.md").is_file()


def test_rows_that_are_there_are_not_touched(assay: Assay, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("assay.cli.claims._written", lambda *_: "page")
    rows = Path("out/rows.jsonl")
    rows.parent.mkdir()
    rows.write_text(json.dumps(data(committed(CLAIMS, "dead_start").rows[0])) + "\n")
    before = rows.read_bytes()
    ended = assay("claims", "run", "dead_start", "--committed", *BASE, "-o", "out")
    assert ended.code == 0
    assert rows.read_bytes() == before


def test_without_the_option_nothing_is_taken_over(assay: Assay, monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    monkeypatch.setattr("assay.claims.runner.run", lambda *given, **_: asked.append(given))
    monkeypatch.setattr("assay.cli.claims._written", lambda *_: "page")
    assert assay("claims", "run", "dead_start", *BASE, "-o", "out").code == 0
    assert len(asked) == 1
    assert not Path("out").exists()


def test_committed_rows_of_another_scale_are_refused_and_nothing_is_written(
    assay: Assay, tmp_path: Path
):
    for options in (("--quick",), ("--quick", "-o", "out")):
        ended = assay("claims", "run", "dead_start", "--committed", *IN, *options)
        assert ended.code == 2
        assert ended.error.startswith(
            "--committed: the committed rows are of scale full, asked is quick; "
        )
        assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_experiments_one_line_says_so(assay: Assay):
    for verb in (("list",), ("run", "dead_start"), ("show", "dead_start")):
        ended = assay("claims", *verb)
        assert ended.code == 2
        assert ended.error == (
            "claims: no experiments there; run this in a checkout of Assay, or name their folder "
            "with --folder"
        )
