"""Several files and folders as one log: what is found, in which order, and what is refused."""

from pathlib import Path

import pytest

from assay.errors import DataError
from assay.files.shards import Shards, log_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("logs/b.jsonl", "logs/a/2.jsonl", "logs/a/10.jsonl", "logs/a/note.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def found(*asked):
    log = log_of([Path(each) for each in asked])
    assert isinstance(log, Shards)
    return [str(path) for path in log.paths]


def test_a_pattern_is_what_it_matches_in_the_order_of_names(here):
    assert found("logs/**/*.jsonl") == ["logs/a/10.jsonl", "logs/a/2.jsonl", "logs/b.jsonl"]
    assert found("logs/*.jsonl") == ["logs/b.jsonl"]
    assert found("logs/?") == ["logs/a"]


def test_several_are_in_the_order_in_which_they_are_named_and_each_once(here):
    assert found("logs/b.jsonl", "logs/a/*.jsonl", "logs/b.jsonl") == [
        "logs/b.jsonl",
        "logs/a/10.jsonl",
        "logs/a/2.jsonl",
    ]


def test_what_lies_in_a_folder_that_is_named_is_of_that_folder(here):
    assert found("logs/a/2.jsonl", "logs/*") == ["logs/a", "logs/b.jsonl"]
    assert found("logs/**") == ["logs/a", "logs/b.jsonl"]


def test_one_path_stays_a_path_also_with_signs_of_a_pattern_in_its_name(here):
    odd = here / "log[1].jsonl"
    odd.touch()
    assert log_of([odd]) == odd
    assert log_of([here / "logs"]) == here / "logs"
    assert log_of([here / "nowhere"]) == here / "nowhere", "its absence is said where it is read"


def test_what_audits_left_below_is_no_log_unless_the_pattern_begins_in_it(here):
    run = here / "logs" / "run"
    (run / "credit").mkdir(parents=True)
    (run / "run.json").write_text('{"schema":"assay.run/1","kind":"audit"}')
    (run / "credit" / "grpo.jsonl").touch()
    assert "logs/run/credit/grpo.jsonl" not in found("logs/**/*.jsonl")
    assert found("logs/run/credit/*.jsonl") == ["logs/run/credit/grpo.jsonl"]


@pytest.mark.parametrize("asked", [["logs/*.csv"], ["nowhere/**/*.jsonl"]])
def test_a_pattern_that_matches_nothing_is_said(here, asked):
    with pytest.raises(DataError, match="no file matches"):
        found(*asked)


def test_one_of_several_that_is_not_there_is_said(here):
    with pytest.raises(DataError, match=r"c\.jsonl: no such file"):
        found("logs/b.jsonl", "logs/c.jsonl")


def test_the_root_is_the_deepest_folder_of_all(here):
    both = log_of([Path("logs/a/*.jsonl"), Path("logs/b.jsonl")])
    assert isinstance(both, Shards)
    assert (both.root, both.name) == (Path("logs"), "logs")
    mixed = log_of([Path("logs/a/2.jsonl"), here / "logs" / "b.jsonl"])
    assert isinstance(mixed, Shards)
    assert mixed.root == here / "logs"
