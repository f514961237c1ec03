"""`assay audit` on a log that nobody scored: what agents did, and what to give to get the rest."""

import json
import re
import shutil
import sys
from pathlib import Path

from assay.audit.warnings import SESSIONS
from assay.importers import IMPORTERS
from tests.cli.conftest import CHAT, Assay


def test_no_table_of_nothing_is_printed(assay: Assay, tmp_path: Path):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({**each, "reward": None}) for each in CHAT]
    path.write_text("\n".join(lines))
    ended = assay("audit", path, "--no-report")
    assert ended.code == 0
    said = " ".join(ended.text.split())
    assert (
        "! no outcome: pass rates, groups and credit need one; name the number that is it with "
        "--outcome, or give it with assay label LOG --csv FILE (assay label LOG --template FILE "
        "writes the table to fill in) or assay label LOG --judge COMMAND"
    ) in said
    titles = ("Tool calls, by evidence", "Claims against what came last", "What it took")
    assert all(title in ended.text for title in titles)
    for title in ("Groups", "GRPO", "Pass rates", "Signal in dead", "Where agents stalled", "n/a"):
        assert title not in ended.text
    rows = {re.sub(r" {2,}", "|", line.strip()) for line in ended.text.splitlines()}
    assert {"says it is done|6", "ran, and nothing says whether it was right|6|6 of 6"} <= rows


def test_sessions_are_told_where_a_verdict_may_lie(assay: Assay, tmp_path: Path):
    path = tmp_path / "sessions"
    verdicts = shutil.ignore_patterns("*.result.json")
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "codex", path, ignore=verdicts)
    said = " ".join(assay("audit", path, "--no-report").text.split())
    for way in (
        "assay label LOG --csv FILE",
        "assay label LOG --judge COMMAND",
        'lay NAME.result.json beside a session ({"resolved": true})',
        "--group prompt compares sessions that began with the same message",
    ):
        assert way in said, way


def test_they_are_the_formats_that_read_such_a_verdict():
    modules = {name: sys.modules[IMPORTERS.get(name).__module__] for name in IMPORTERS.names()}
    assert {name for name, module in modules.items() if hasattr(module, "result_of")} == {*SESSIONS}


def test_harbor_s_advice_is_taken(assay: Assay):
    path = Path(__file__).parents[1] / "fixtures" / "harbor"
    before, after = (
        assay("audit", path, "--json", "-", *options).json["trust"]["warnings"]
        for options in ((), ("--outcome", "tests"))
    )
    assert any("none of them called reward: unscored; name one with --outcome" in x for x in before)
    assert not any("with --outcome" in warning for warning in after)
    assert "4 trajectories have no number that --outcome names: unscored" in after
