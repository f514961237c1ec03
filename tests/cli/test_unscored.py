"""`assay audit` on a log that nobody scored: what agents did, and what to give to get the rest."""

import json
import re
from pathlib import Path

from tests.cli.conftest import CHAT, Assay


def test_no_table_of_nothing_is_printed(assay: Assay, tmp_path: Path):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({**each, "reward": None}) for each in CHAT]
    path.write_text("\n".join(lines))
    ended = assay("audit", path, "--no-report")
    assert ended.code == 0
    assert "! no outcome: pass rates, groups and credit need one; name the number" in ended.text
    titles = ("Tool calls, by evidence", "Claims against what came last", "What it took")
    assert all(title in ended.text for title in titles)
    for title in ("Groups", "GRPO", "Pass rates", "Signal in dead", "Where agents stalled", "n/a"):
        assert title not in ended.text
    rows = {re.sub(r" {2,}", "|", line.strip()) for line in ended.text.splitlines()}
    assert {"says it is done|6", "ran, and nothing says whether it was right|6|100%"} <= rows
