"""Inspect: expected values are those of tests/fixtures/make_inspect.py."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Choices, Losses, load
from assay.records import ModelStep, Span, ToolStep

FOLDER = Path(__file__).parent.parent / "fixtures" / "inspect"


def read(path: Path) -> tuple[dict[str, Any], Losses]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == "inspect"
    return {t.id: t for t in trajectories}, losses


@pytest.mark.parametrize("file", ["sums.eval", "sums.json"])
def test_scores_limits_and_errors(file: str) -> None:
    found, losses = read(FOLDER / file)
    assert {k: (t.group, t.trial, t.outcome, t.end) for k, t in found.items()} == {
        "uuid-add-1": ("sums/add", 1, 1.0, "answered"),  # C
        "uuid-add-2": ("sums/add", 2, 0.0, "answered"),  # I
        "uuid-2-1": ("sums/2", 1, 0.25, "budget"),
        "uuid-3-1": ("sums/3", 1, None, "infra"),
        "uuid-4-1": ("sums/4", 1, None, "answered"),  # NaN
        "uuid-5-1": ("sums/5", 1, None, "answered"),  # two parts, no whole
    }
    assert found["uuid-4-1"].rewards == {"match": None}
    assert found["uuid-5-1"].rewards == {"rubric/clear": 1.0, "rubric/short": 0.0}
    assert found["uuid-add-1"].reference == "3"
    assert losses.counts == {"no_outcome": 3}


@pytest.mark.parametrize("file", ["sums.eval", "sums.json"])
def test_messages_with_tools_reasoning_and_attachment(file: str) -> None:
    steps = read(FOLDER / file)[0]["uuid-add-1"].steps
    assert steps[1].text == "What is 1 + 2? " * 8
    model = steps[2]
    assert type(model) is ModelStep
    assert (model.text, model.spans) == ("Add them.Adding.", (Span(role="think", start=0, end=9),))
    assert [(c.name, c.arguments) for c in model.calls] == [
        ("add", '{"a": 1, "b": 2}'),
        ("add", '{"a": "x"}'),
    ]
    assert steps[3] == ToolStep(text="3", name="add", call=(2, 0), error=False)
    assert steps[4] == ToolStep(text="a is no number", name="add", call=(2, 1), error=True)


def test_a_folder_reads_a_log_that_is_there_in_both_forms_once() -> None:
    found, losses = read(FOLDER)
    assert (len(found), losses.counts["repeated_log"]) == (6, 1)
    assert "not_a_log" not in losses.counts


def test_a_folder_reads_logs_of_either_form(tmp_path: Path) -> None:
    """One log as `.json` alone; then a second one, of an evaluation of its own, as `.eval`."""
    shutil.copy(FOLDER / "sums.json", tmp_path / "2026-01-01T00-00-00+00-00_sums_k1.json")
    assert sorted(read(tmp_path)[0]) == sorted(read(FOLDER / "sums.json")[0])
    archive(tmp_path / "2026-01-02T00-00-00+00-00_t_k2.eval", {"samples/1_epoch_1.json": SAMPLE})
    found, losses = read(tmp_path)
    assert len(found) == 7
    assert "not_a_log" not in losses.counts
    # headers of logs in a list are none
    headers = [json.loads((FOLDER / "sums.json").read_text()) | {"samples": None}]
    (tmp_path / "logs.json").write_text(json.dumps(headers))
    found, losses = read(tmp_path)
    assert (len(found), losses.counts["other_name:inspect"]) == (7, 1)


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    header = {"version": 2, "status": "success", "eval": {"task": "t", "model": "m"}}
    with zipfile.ZipFile(path, "w", method) as target:
        target.writestr("header.json", json.dumps(header))
        for name, data in members.items():
            target.writestr(name, data)
    return path


SAMPLE = json.dumps({"id": 1, "epoch": 1, "messages": [], "scores": {}}).encode()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_members_are_read(tmp_path: Path, method: int) -> None:
    path = archive(tmp_path / "a.eval", {"samples/1_epoch_1.json": SAMPLE}, method)
    assert list(read(path)[0]) == ["t/1/1"]


@pytest.mark.parametrize("name", ["../x.json", "/x.json", "samples/../../x.json", "a\\..\\x"])
def test_member_names_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.eval", {name: b"{}"})
    with pytest.raises(DataError, match="points outside"):
        list(load(path, format="inspect")[1])


def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    # 30 MB of spaces deflate about 1,000 to 1.
    path = archive(tmp_path / "a.eval", {"samples/1_epoch_1.json": b" " * 30_000_000})
    with pytest.raises(DataError, match="unfolds to 30,000,000 bytes"):
        list(load(path)[1])


def test_a_member_that_lies_about_its_length_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.eval", {"samples/1_epoch_1.json": b" " * 3_000_000})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match="length or checksum differs"):
        list(load(path)[1])


def test_a_broken_archive_is_one_line(tmp_path: Path) -> None:
    whole = (FOLDER / "sums.eval").read_bytes()
    path = tmp_path / "a.eval"
    for data in (whole[:200], whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            list(load(path, format="inspect")[1])
        assert "\n" not in str(caught.value)


def test_attachments_may_not_unfold_without_end(tmp_path: Path) -> None:
    key = "0" * 32
    sample = {
        "id": 1,
        "epoch": 1,
        "attachments": {key: "x" * 100_000},
        "messages": [{"role": "user", "content": f"attachment://{key} " * 1000}],
    }
    path = archive(tmp_path / "a.eval", {"samples/1_epoch_1.json": json.dumps(sample).encode()})
    with pytest.raises(DataError, match="attachments unfold"):
        list(load(path)[1])


def test_an_invalidated_sample_is_unscored(tmp_path: Path) -> None:
    path = tmp_path / "sums.json"
    shutil.copy(FOLDER / "sums.json", path)
    log = json.loads(path.read_text())
    for sample in log["samples"]:
        sample["invalidation"] = {"author": "a"}
    path.write_text(json.dumps(log))
    found, losses = read(path)
    assert {t.outcome for t in found.values()} == {None}
    assert found["uuid-add-1"].rewards == {"match": 1.0}
    assert losses.counts["invalidated_sample"] == 6


def log_of(path: Path, *samples: dict[str, Any], **header: Any) -> Path:
    spec = {"task": "t", "model": "m", **header.pop("eval", {})}
    base = {"epoch": 1, "messages": []}
    whole = [{"id": i, **base, **sample} for i, sample in enumerate(samples)]
    log = {"version": 2, "status": "success", "eval": spec, **header, "samples": whole}
    path.write_text(json.dumps(log))
    return path


A, B = {"a": {"value": "I"}}, {"b": {"value": "C"}}
RESULTS = {"scores": [{"name": "a", "scorer": "a"}, {"name": "b", "scorer": "b"}]}


@pytest.mark.parametrize(
    ("header", "outcomes", "absent"),
    [
        ({"results": RESULTS}, [0.0, None], "a"),
        ({"results": {**RESULTS, "headline": {"scorer": "b"}}}, [1.0, 1.0], ""),
        ({"eval": {"scorers": [{"name": "pack/a"}, {"name": "b"}]}}, [0.0, None], "a"),
        ({}, [0.0, 1.0], ""),  # nothing says which is first, so each sample's own first counts
    ],
)
def test_a_scorer_that_returned_nothing_leaves_a_sample_unscored(
    tmp_path: Path, header: dict[str, Any], outcomes: list[float | None], absent: str
) -> None:
    path = log_of(tmp_path / "a.json", {"scores": A | B}, {"scores": B}, **header)
    found, losses = read(path)
    assert [t.outcome for t in found.values()] == outcomes
    name = "b" if "headline" in header.get("results", {}) else "a"
    assert losses.counts[f"outcome_is_scorer:{name}"] == 1
    assert losses.counts.get(f"scorer_absent:{absent}", 0) == bool(absent)
    losses = Losses()
    chosen = load(path, losses=losses, choices=Choices(outcome="b"))[1]
    assert [t.outcome for t in chosen] == [1.0, 1.0]
    assert not [kind for kind in losses.counts if "scorer" in kind]


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("max_tokens", "budget"),
        ("model_length", "budget"),
        ("stop", "answered"),
        (None, "answered"),
    ],
)
def test_a_sample_that_ran_out_of_tokens_ended_by_budget(
    tmp_path: Path, reason: str | None, end: str
) -> None:
    choices = [] if reason is None else [{"stop_reason": reason}]
    found, _ = read(log_of(tmp_path / "a.json", {"output": {"choices": choices}}))
    assert [t.end for t in found.values()] == [end]


def test_a_torn_log_is_no_log_and_a_torn_sample_is_counted(tmp_path: Path) -> None:
    parts = {"samples/1_epoch_1.json": SAMPLE, "samples/2_epoch_1.json": SAMPLE[:-4]}
    found, losses = read(archive(tmp_path / "a.eval", parts))
    assert (list(found), losses.counts["torn_record"]) == (["t/1/1"], 1)


def chunks(**changed: Any) -> dict[str, bytes]:
    """The members of one chunked sample: five messages in two chunks, of which three are said."""
    messages = [{"role": "user", "content": f"m{i} attachment://{i % 2}"} for i in range(5)]
    members: dict[str, Any] = {
        "sample": {"id": 1, "epoch": 1, "message_refs": [[4, 5], [0, 2]]},
        "skeleton": {},
        "messages/0": messages[:3],
        "messages/3": messages[3:],
        "events/stats": {},
        "events/0": [{}],
        "calls/0": [{}],
        "attachments/0": ["zero"],
        "attachments/1": ["one"],
        **changed,
    }
    return {f"samples/a/b_epoch_1/{k}.json": json.dumps(v).encode() for k, v in members.items()}


def test_a_sample_in_chunks_is_put_together(tmp_path: Path) -> None:
    parts = {"samples/a/c_epoch_1.json": SAMPLE, **chunks()}
    parts["samples/1_epoch_2.json"] = SAMPLE.replace(b'"epoch": 1', b'"epoch": 2')
    found, _ = read(archive(tmp_path / "a.eval", parts))
    assert list(found) == ["t/1/1", "t/1/1~2", "t/1/2"]
    assert [s.text for s in found["t/1/1~2"].steps] == ["m4 zero", "m0 zero", "m1 one"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"messages/3": {}}, "expected a list of its items"),
        ({"messages/4": []}, "begins at 4; expected the chunk that begins at 5"),
        ({"sample": {"id": 1, "message_refs": [[0, 6]]}}, "within the 5 messages"),
        ({"sample": {"id": 1, "message_refs": [[2, 1]]}}, "within the 5 messages"),
        ({"sample": {"id": 1, "message_refs": [[0, 5]] * 20_001}}, "over 100,000 messages"),
        ({"sample": []}, "expected a sample object"),
    ],
)
def test_chunks_that_do_not_fit_are_one_line(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    path = archive(tmp_path / "a.eval", chunks(**changed))
    with pytest.raises(DataError, match=said):
        list(load(path, format="inspect")[1])


def test_parts_of_a_sample_that_lie_apart_are_refused(tmp_path: Path) -> None:
    parts = list(chunks().items())
    other = ("samples/2_epoch_1.json", SAMPLE)
    path = archive(tmp_path / "a.eval", dict([*parts[:4], other, *parts[4:]]))
    with pytest.raises(DataError, match="inspect log convert"):
        list(load(path, format="inspect")[1])


def test_a_log_that_inspect_wrote_in_chunks_is_the_same_log() -> None:
    whole = read(FOLDER / "sums.eval")[0]
    apart = read(FOLDER.with_name("inspect_chunked"))[0]
    same = [(t.steps, t.outcome, t.rewards, t.end, t.reference, t.group) for t in whole.values()]
    assert same == [
        (t.steps, t.outcome, t.rewards, t.end, t.reference, t.group)
        for t in (apart[key] for key in whole)
    ]


def test_a_tool_of_the_provider_is_a_call_with_its_result(tmp_path: Path) -> None:
    used = {"type": "tool_use", "tool_type": "mcp_call", "id": "s", "name": "find"}
    used |= {"arguments": '{"q": "x"}', "result": "y"}
    failed = {**used, "id": "t", "result": "", "error": "no server"}
    told = [{"role": "assistant", "content": [used, failed, {"type": "text", "text": "ok"}]}]
    (found,) = read(log_of(tmp_path / "a.json", {"messages": told}))[0].values()
    model, first, second = found.steps
    assert [(call.name, call.arguments) for call in model.calls] == [("find", '{"q": "x"}')] * 2
    assert first == ToolStep(text="y", name="find", call=(0, 0), error=False)
    assert second == ToolStep(text="no server", name="find", call=(0, 1), error=True)


def test_an_example_that_the_dataset_gave_was_not_sampled(tmp_path: Path):
    messages = [
        {"role": "user", "content": "1+1", "source": "input"},
        {"role": "assistant", "content": "2", "source": "input"},
        {"role": "user", "content": "2+2", "source": "input"},
        {"role": "assistant", "content": "4", "source": "generate"},
    ]
    (found,) = load(log_of(tmp_path / "log.json", {"messages": messages}))[1]
    assert [s.untrainable for s in found.steps if type(s) is ModelStep] == ["copied", None]
