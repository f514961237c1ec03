"""`assay audit --explain-dead`: what could rescue each dead group, and a line for each on disk."""

import json
import sys
from pathlib import Path

import pytest
from msgspec import structs

from assay.cli import main
from assay.cli.explain import NONE
from assay.records import read, write
from tests.rescue.doors import Policy, sampled


def said(*arguments: object, patch: pytest.MonkeyPatch, shown: pytest.CaptureFixture[str]) -> str:
    patch.setattr(sys, "argv", ["assay", *map(str, arguments)])
    patch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return shown.readouterr().out


def test_dead_groups_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    write(log, sampled(Policy(lambda _: "=7"), [1, 2], size=2))
    options = (log, "--explain-dead", "--no-report", "--out", out)
    text = said("audit", *options, patch=monkeypatch, shown=capsys)
    assert "What could rescue 2 groups in which every trajectory failed" in text
    assert "an earlier success at this task (2)" in text
    assert "wrong_answers, critique, self_hint, oracle" in text
    lines = [json.loads(line) for line in (out / "explain_dead.jsonl").read_text().splitlines()]
    assert [line["size"] for line in lines] == [2, 2]
    assert lines[0]["missing"]["oracle"] is None
    assert "Group by group" in text
    assert NONE not in " ".join(text.split())
    bare = [structs.replace(each, origin=None) for each in read(log)]
    write(log, [structs.replace(each, steps=each.steps[:1]) for each in bare])
    text = said("audit", *options, patch=monkeypatch, shown=capsys)
    assert NONE in " ".join(text.split())
    assert "Group by group" not in text
    write(log, sampled(Policy(lambda _: "=2"), [1], size=2))
    text = said("audit", *options, patch=monkeypatch, shown=capsys)
    assert "none in which every trajectory failed" in text
    assert not (out / "explain_dead.jsonl").exists()
