"""`assay hints`: a log in, its records with hints out, and what a judge is worth before."""

import json
from pathlib import Path

import pytest

from assay.records import read, write
from tests.cli.conftest import Assay
from tests.feedback.made import record
from tests.feedback.test_sources import said
from tests.judges import server


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    write(path, [record("0/t/0"), record("0/t/1", outcome=1.0), record("0/t/2", outcome=None)])
    return path


def test_what_the_world_says_is_written_beside_and_the_log_stays(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    before, out = log.read_bytes(), tmp_path / "out.jsonl"
    ended = assay("hints", "write", log, "--set", "which=errors", "-o", out)
    assert ended.code == 0, ended.text
    assert [said(each) for each in read(out)] == [{0: ["<error no c"]}, {}, {}]
    assert "3 trajectories, 1 hints about 1 turns of 1" in ended.text
    assert log.read_bytes() == before
    assay("hints", "write", log, "--set", "of=all", "-o", out)
    assert [len(said(each)) for each in read(out)] == [2, 2, 2]


def test_a_judge_is_probed_before_it_is_asked_and_what_was_found_is_said(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    with server.serving(server.honest) as url:
        ended = assay("hints", "write", log, "--source", url, "--set", "votes=1", "-o", out)
    assert ended.code == 0, ended.text
    assert "48 probes, 0 without a verdict" in ended.err
    assert "false positives: 0 of 36" in ended.err
    assert next(said(each) for each in read(out)) == {0: ["try another call than this one"]}
    with server.serving(server.prosaic) as url:
        ended = assay("hints", "write", log, "--source", url, "--set", "votes=1", "-o", out)
    assert ended.code == 0
    assert "unfit: too few verdicts" in " ".join(ended.err.split())
    assert '"next_state:judge":null' in out.read_text()
    assert [said(each) for each in read(out)] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("--source", "nobody"), "no such file; expected env, human, a judge's"),
        (("--set", "votes=2"), "expected an odd number"),
        (("--set", "voters=2"), "no key 'voters'. Did you mean 'votes'"),
    ],
)
def test_what_is_wrong_is_one_line(
    assay: Assay, log: Path, tmp_path: Path, options: tuple[str, ...], wrong: str
) -> None:
    ended = assay("hints", "write", log, *options, "-o", tmp_path / "out.jsonl")
    assert ended.code == 2
    assert wrong in " ".join(ended.err.split())
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_of_hints_is_read(assay: Assay, log: Path, tmp_path: Path) -> None:
    lines, out = tmp_path / "hints.jsonl", tmp_path / "out.jsonl"
    lines.write_text(json.dumps({"task": "t", "turn": 1, "text": "b is a box"}))
    assert assay("hints", "write", log, "--source", lines, "-o", out).code == 0
    assert [said(each) for each in read(out)] == [{1: ["b is a box"]}, {}, {}]
