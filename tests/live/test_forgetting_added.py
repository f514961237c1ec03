"""To forget a session reaches what verbs add to line by line: journals of judges, labels."""

import json
from pathlib import Path

import pytest

from assay.live.store import Store
from assay.records import read
from tests.judges.server import serving
from tests.live.conftest import opened, turn
from tests.live.test_forgetting import OTHER, PHRASE, holding, ids


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """Two tasks with two answers each; one answer is the phrase."""
    with Store.open(tmp_path / "live") as store:
        for name, task, text in (
            ("gone", "which bird?", PHRASE),
            ("stays", "which bird?", OTHER),
            ("more", "which tree?", OTHER),
            ("last", "which tree?", "an oak"),
        ):
            said = turn(
                f"{name}-1", name, messages=({"role": "user", "content": task},),
                answer={"role": "assistant", "content": text},
            )  # fmt: skip
            store.append(opened(name), said, durable=True).result(timeout=30)
    return tmp_path / "live"


def rank(store: Path, url: str) -> tuple[object, ...]:
    return ("judge", "rank", store, "-o", "jr.jsonl", "--endpoint", url, "--votes", "1",
            "--parallel", "1")  # fmt: skip


def boxed(_: object = None) -> str:
    return "Analysis.\n\\boxed{1, 2}"


def test_the_journal_of_a_judge_goes_with_a_session_and_is_named(judged, tmp_path, assay):
    journal = tmp_path / "jr.jsonl.judged.jsonl"
    with serving(boxed) as url:
        ranked = assay(*rank(judged, url))
        assert ranked.code == 0, ranked.err
        assert holding(tmp_path)[:2] == ["jr.jsonl", journal.name]
        ended = assay("live", "forget", "gone", "--store", judged)
        assert ended.code == 0, ended.err
        assert f"{journal.name}: deleted" in ended.text
        assert holding(tmp_path) == []
        assert assay(*rank(judged, url)).code == 0
    assert {json.loads(line)["group"] for line in journal.read_text().splitlines()} == {
        each.group for each in read("jr.jsonl")
    }


def test_a_journal_that_has_all_votes_already_is_told_to_the_store(judged, tmp_path, assay):
    """The first ranking is of an import, of which no store is told."""
    assert assay("import", judged, "-o", "plain.jsonl").code == 0
    with serving(boxed) as url:
        assert assay(*rank(Path("plain.jsonl"), url)).code == 0
        again = assay(*rank(judged, url))
    assert "2 of 2 groups are from the journal" in again.text
    assert assay("live", "forget", "gone", "--store", judged).code == 0
    assert holding(tmp_path) == []


def test_a_session_forgotten_while_a_judge_ranks_is_not_in_its_journal(judged, tmp_path, assay):
    """After the first group is in the journal, and before it is; what is left is asked again."""
    for at in (1, 2):
        asked: list[object] = []

        def answer(body: object, at: int = at, asked: list[object] = asked) -> str:
            asked.append(body)
            if len(asked) == at:
                with Store.open(judged) as store:
                    store.forget("gone" if at == 1 else "more", at=1e12)
            return boxed()

        with serving(answer) as url:
            ranked = assay(*rank(judged, url))
        assert ranked.code == 3
        assert "forgotten while it was read" in ranked.err
        assert not Path("jr.jsonl").exists()
        assert not Path("jr.jsonl.judged.jsonl").exists()
        assert holding(tmp_path) == []
        with Store.open(judged) as store:
            said = turn(
                "x-1", "x", messages=({"role": "user", "content": "which bird?"},),
                answer={"role": "assistant", "content": "a wren"},
            )  # fmt: skip
            store.append(opened("x"), said, durable=True).result(timeout=30)


def test_what_is_written_just_as_somebody_is_forgotten_is_taken_away(
    judged, tmp_path, assay, monkeypatch
):
    """The store is not stale when a row is told to it, and is when it is written."""
    from assay.judges import ranked as module

    def late(path, row):
        with Store.open(judged) as store:
            store.forget("gone", at=1e12)
        append(path, row)

    append = module.append
    monkeypatch.setattr(module, "append", late)
    with serving(boxed) as url:
        made = assay(*rank(judged, url))
    assert made.code == 3
    assert "was forgotten while this was made" in made.err
    assert holding(tmp_path) == []


def test_labels_added_while_somebody_is_forgotten_are_not_left(judged, assay, monkeypatch):
    from assay.cli import label_judge

    words = ("label", judged, "--judge", "echo 1", "-o", "said.labels.jsonl")
    line, seen = label_judge.label_line, list[object]()

    def late(label):
        seen.append(label)
        if len(seen) == 2:
            with Store.open(judged) as store:
                store.forget("more", at=1e12)
        return line(label)

    monkeypatch.setattr(label_judge, "label_line", late)
    made = assay(*words)
    assert made.code == 3
    assert "was forgotten while this was made" in made.error
    assert "more" not in ids(Path("said.labels.jsonl"))
    made = assay(*words)
    assert made.code == 0, made.err
    assert sorted(ids(Path("said.labels.jsonl"))) == ["gone", "last", "stays"]
