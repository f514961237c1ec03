"""What is written: the same bytes for the same input, nothing half, nothing lost."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.errors import DataError
from tests.report.samples import mixed_set, report_of, token_set


def chunks_of(page: Path) -> list[Any]:
    """Reads the chunks of a page with nothing but the standard library."""
    found = re.findall(r'<script type="text/plain" id="c(\d+)">([^<]*)</script>', page.read_text())
    assert [int(number) for number, _ in found] == list(range(len(found)))
    return [json.loads(gzip.decompress(base64.b64decode(body))) for _, body in found]


def index_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="index">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_same_input_gives_the_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        report_of(mixed_set(), tmp_path / name / "report.html")
    for file in ("report.html", "report.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_chunks_hold_every_record_with_its_texts(tmp_path: Path):
    records = mixed_set()
    page, _ = report_of(records, tmp_path / "report.html")
    chunks, index = chunks_of(page), index_of(page)
    for k, record in enumerate(records):
        body = chunks[index["trajectories"]["chunk"][k]]
        found = body["records"][index["trajectories"]["slot"][k]]
        assert found["id"] == record.id
        texts = [
            body["texts"][s["text"]] if s.get("text", "") != "" else "" for s in found["steps"]
        ]
        assert texts == [step.text for step in record.steps]
    # the system prompt of three siblings is stored once
    assert chunks[index["trajectories"]["chunk"][0]]["texts"].count("Be kind.") == 1


def test_the_twin_has_everything_but_the_texts(tmp_path: Path):
    page, audit = report_of(mixed_set(), tmp_path / "report.html")
    text = page.with_suffix(".json").read_text()
    twin = json.loads(text)
    assert twin["schema"] == "assay.report/1"
    assert twin["audit"] == json.loads(json.dumps(audit))
    assert [m["id"] for m in twin["members"]] == twin["trajectories"]["id"]
    assert twin["headline"].startswith("Of the ")
    assert "Be kind." not in text
    assert "I could not find it." not in text
    # mixed/1: GRPO with outcomes [1, 0, 0]: mean 1/3, sample deviation 0.57735, (0 - 1/3) / 0.57735
    member = twin["members"][1]
    assert member["methods"]["grpo"]["step"] == pytest.approx(-0.577350, abs=2e-6)
    assert member["why"]["down_correct"].startswith("Pushed down with its failed attempt")
    assert member["steps"][0]["correct"] == [0]


def test_terms_show_what_they_were_made_of(tmp_path: Path):
    page, _ = report_of(mixed_set(), tmp_path / "report.html", methods=["grpo"])
    member = json.loads(page.with_suffix(".json").read_text())["members"][0]
    term = member["methods"]["grpo"]["terms"]["outcome"]
    compared = member["compared"][term["compared"]]
    assert compared == {"value": 1, "peers": 3, "mean": 0.333333}
    assert term["part"] == pytest.approx(1.154699, abs=2e-6)


def test_parts_of_unknown_options_come_without_values(tmp_path: Path):
    from assay.batch import Batch
    from assay.credit import credit, method
    from assay.gate import gate
    from assay.report.shape import Shapes

    batch = Batch.of(mixed_set())
    decisions = gate(batch)
    batch = batch.gated(decisions)
    credits = {"grpo": credit(batch, method("grpo", ddof=0))}
    shapes = Shapes(batch, credits, decisions, pass_at=1.0, redactor=None)
    piece = shapes.member(0, mixed_set()[0])["methods"]["grpo"]["terms"]["outcome"]
    assert piece["compared"] is None
    # population deviation of [1, 0, 0] is sqrt(2)/3: (2/3) / (sqrt(2)/3) = sqrt(2)
    assert piece["part"] == pytest.approx(np.sqrt(2), abs=1e-5)


def test_punished_calls_by_group_add_up_to_the_audit(tmp_path: Path):
    page, audit = report_of(mixed_set(), tmp_path / "report.html")
    index = index_of(page)
    assert index["groups"]["punished"] == [2, 0, 0, 0]
    assert audit["calls"]["punished_correct"] == 2
    written = np.array(index["groups"]["written"]).sum(axis=0)
    by_kind = dict(zip(index["fates"], written.tolist(), strict=True))
    assert by_kind == {kind: row["characters"] for kind, row in audit["fate"].items()}


def test_records_that_are_not_the_batch_are_refused(tmp_path: Path):
    records = mixed_set()
    with pytest.raises(DataError, match=r"record 0 is 'mixed/1'; expected 'mixed/0'"):
        report_of(records, tmp_path / "report.html", read=records[1:])
    with pytest.raises(DataError, match="got 7 records; expected 8"):
        report_of(records, tmp_path / "report.html", read=records[:-1])
    with pytest.raises(DataError, match="record 8 is 'mixed/0'; expected no more"):
        report_of(records, tmp_path / "report.html", read=[*records, records[0]])
    assert list(tmp_path.iterdir()) == []


def test_a_large_set_becomes_a_folder_and_stale_chunks_go(tmp_path: Path):
    page, _ = report_of(mixed_set(), tmp_path / "report.html", limit_trajectories=4)
    assert page == tmp_path / "report" / "index.html"
    first = sorted(p.name for p in (page.parent / "chunks").iterdir())
    assert "connect-src 'self'" in page.read_text()
    report_of(mixed_set()[:5], tmp_path / "report.html", limit_bytes=1)
    second = sorted(p.name for p in (page.parent / "chunks").iterdir())
    assert len(first) == len(second) == 1
    assert first != second
    index = index_of(page)
    data = (page.parent / "chunks" / second[0]).read_bytes()
    file, at, length = index["places"][0]
    assert file == 0
    assert json.loads(gzip.decompress(data[at : at + length]))[0]["id"] == "mixed/0"


def test_secrets_are_hidden_by_default_and_shown_when_asked(tmp_path: Path):
    from tests.report.test_redact import SECRETS

    records = mixed_set()
    secret = SECRETS["aws_key"]
    steps = (*records[0].steps[:-1], type(records[0].steps[-1])(text=f"key {secret}"))
    records[0] = _changed(records[0], steps=steps)
    page, _ = report_of(records, tmp_path / "hidden.html")
    assert index_of(page)["redacted"] == {"aws_key": 1}
    assert secret not in json.dumps(chunks_of(page))
    page, _ = report_of(records, tmp_path / "shown.html", redact=False)
    assert index_of(page)["redacted"] is None
    assert secret in json.dumps(chunks_of(page))


def _changed(record: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(record, **changes)


def test_token_runs_and_masked_prompts(tmp_path: Path):
    page, _ = report_of(token_set(), tmp_path / "report.html")
    member = json.loads(page.with_suffix(".json").read_text())["members"][0]
    # prompt, scaffold, text, forced, text, call, observation
    assert member["runs"]["count"] == 7
    assert member["runs"]["length"] == [3, 2, 3, 1, 2, 4, 2]
    assert member["runs"]["step"] == [-1, -1, 0, -1, 0, 0, -1]
    assert member["runs"]["call"] == {"v": [-1, 0, -1], "n": [5, 1, 1]}


def test_an_empty_attempt_is_drawn(tmp_path: Path):
    records = [*mixed_set(), _changed(mixed_set()[0], id="bare", group="bare", steps=())]
    page, _ = report_of(records, tmp_path / "report.html")
    assert index_of(page)["trajectories"]["steps"][-1] == 0
