"""What is written: the same bytes for the same input, nothing half, nothing lost."""

import base64
import dataclasses
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.batch import Batch
from assay.credit import METHODS, method
from assay.errors import DataError, MethodError
from assay.gate import gate
from assay.records import ModelStep, Trajectory
from assay.report import Report, shape
from tests.report.samples import graded_set, mixed_set, report_of, token_set


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
    # mean and deviation of [1, 0, 0]: 1/3 and sqrt((4/9 + 1/9 + 1/9) / 2) = 0.577350 + 1e-6
    assert compared == {"value": 1, "peers": 3, "baseline": 0.333333, "divisor": 0.577351}
    assert term["part"] == pytest.approx(1.154699, abs=2e-6)


def spread(piece: Any, member: Any, lengths: list[int]) -> list[Any]:
    """Unpacks a piece to one value per token: it has one value, one a run, or one a token."""
    if isinstance(piece, dict):
        piece = [v for v, n in zip(piece["v"], piece["n"], strict=True) for _ in range(n)]
    if not isinstance(piece, list):
        piece = [piece] * len(lengths)
    if len(piece) != len(lengths):
        return piece
    return [v for v, n in zip(piece, lengths, strict=True) for _ in range(n)]


def remade(term: dict[str, Any], row: dict[str, Any]) -> float | None:
    """Returns a part by the arithmetic that the page states, from the numbers that it shows."""
    value = row.get("value")
    if value is None:
        return None
    baseline = row.get("baseline", 0.0)
    scaled = 0.0 if baseline is None else (value - baseline) / row.get("divisor", 1.0)
    if term["sign"] != "both":
        scaled = (max if term["sign"] == "positive" else min)(scaled, 0.0)
    if term["cap"] is not None:
        scaled = min(max(scaled, -term["cap"]), term["cap"])
    return scaled * row.get("weight", term["weight"])


OPTIONS = [(name, {}) for name in METHODS.names()] + [
    *(("grpo", {"ddof": 0}), ("grpo", {"scale": "none"}), ("nsr", {"pass_at": 0.4})),
    *(("quantile", {"k": 0.7}), ("rloo", {"pass_at": 0.4}), ("ngrpo", {"ddof": 0})),
]


@pytest.mark.parametrize(("name", "given"), OPTIONS, ids=str)
@pytest.mark.parametrize("records", [graded_set, token_set], ids=["characters", "tokens"])
def test_the_numbers_shown_make_the_part_shown(name: str, given: Any, records: Any, tmp_path: Path):
    """Nothing of a method is rebuilt: with any options, what is shown adds up."""
    trajectories = records()
    known = [f.name for f in dataclasses.fields(METHODS.get(name))]
    by = method(name, **{key: value for key, value in given.items() if key in known})
    try:
        page, _ = report_of(trajectories, tmp_path / "report.html", by={name: by})
    except MethodError:
        pytest.skip("needs what this set does not hold")
    twin = json.loads(page.with_suffix(".json").read_text())
    (about,) = [each for each in twin["methods"] if each["name"] == name]
    checked = 0
    for member in twin["members"]:
        lengths = spread(member["runs"]["length"], member, [1] * member["runs"]["count"])
        for term in about["terms"]:
            shown = member["methods"][name]["terms"][term["name"]]
            made = member["compared"][shown["compared"]]
            columns = {key: spread(piece, member, lengths) for key, piece in made.items()}
            for n, part in enumerate(spread(shown["part"], member, lengths)):
                row = {key: column[n] for key, column in columns.items()}
                expected = remade(term, row)
                if expected is None:  # not carried: 0; not scored: nothing
                    assert part in (None, 0)
                    continue
                checked += 1
                assert part == pytest.approx(expected, rel=1e-4, abs=2e-5)
    assert checked


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


def test_what_lies_between_two_trajectories_is_not_read_with_them(tmp_path: Path, monkeypatch):
    texts = ["a", "b" * 90, "cc", "d", "e" * 7, "f" * 200]
    records = [
        Trajectory(id=str(k), task="t", group="g", steps=(ModelStep(text=text),), outcome=1.0)
        for k, text in enumerate(texts)
    ]
    batch = Batch.of(records)
    shapes = Report(tmp_path / "report.html", batch, gate(batch))
    monkeypatch.setattr(shape, "_MOST", 10)
    assert stretches(shapes, [0, 2, 3, 4, 5]) == [[0], [2, 3, 4], [5]]
    assert stretches(shapes, []) == []
    monkeypatch.setattr(shape, "_MOST", 10_000)
    monkeypatch.setattr(shape, "_AT_ONCE", 2)
    assert stretches(shapes, [0, 2, 3]) == [[0, 2], [3]]
    shapes.close()


def stretches(shapes: Report, ks: list[int]) -> list[list[int]]:
    return [each.tolist() for each in shapes._at_once(np.array(ks, np.int64))]


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


def test_a_secret_in_what_the_audit_says_is_hidden_too(tmp_path: Path):
    from tests.report.test_redact import SECRETS

    def refuse(result: dict[str, Any]) -> None:  # as a method is that needs more attempts
        result["refused"] = {"pass_at_k": f"group 'team {SECRETS['aws_key']}' has one attempt"}

    for redact in (True, False):
        page, _ = report_of(mixed_set(), tmp_path / "report.html", change=refuse, redact=redact)
        told = index_of(page)["audit"]["refused"]["pass_at_k"]
        assert (SECRETS["aws_key"] in told) != redact
        assert told.endswith("' has one attempt")
        assert (SECRETS["aws_key"] in page.with_suffix(".json").read_text()) != redact


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
