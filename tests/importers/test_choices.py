"""What the reader says of a log: the outcome, the group, and what to do with torn records."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from assay.errors import DataError, TornError
from assay.importers import Choices, Losses, load
from assay.importers.base import Groups, Log
from assay.records import Trajectory
from assay.runs.audit import audit_log

MESSAGES = [{"role": "user", "content": "hi"}]


def test_what_was_not_measured_is_no_outcome_by_choice(tmp_path: Path) -> None:
    """NeMo Gym's masked sample, a table's evaluation that failed, an exception for a reward, and
    Inspect's sample that somebody made invalid: each holds a number all the same."""
    answer = {"type": "message", "role": "assistant", "content": "3"}
    gym = {"responses_create_params": {"input": "1+2?"}, "response": {"output": [answer]}}
    table = {"messages": [], "instance_id": "i", "run_id": "m_maxiter_1", "resolved": False}
    trace = {"conversations": [], "agent": "a", "model": "m", "task": "t", "episode": "e"}
    trace |= {"run_id": "r", "trial_name": "t", "result": "AgentTimeoutError"}
    judged = {"id": 1, "epoch": 1, "messages": [], "scores": {"a": {"value": "C"}}}
    inspect = {"version": 2, "status": "success", "eval": {"task": "t", "model": "m"}}
    cases = {
        "reward": {**gym, "reward": 0.0, "mask_sample": True},
        "resolved": {**table, "test_result": {"report": {"error_eval": True}}},
        "result": trace,
        "a": {**inspect, "samples": [{**judged, "invalidation": {"author": "b"}}]},
    }
    for outcome, row in cases.items():
        path = tmp_path / f"{outcome}.json"
        path.write_text(json.dumps(row))
        with pytest.raises(DataError, match=f"no number '{outcome}' for the outcome"):
            list(load(path, choices=Choices(outcome=outcome))[1])


def rows(*values: dict[str, Any]) -> str:
    whole = ({"task": "t", "messages": MESSAGES, **value} for value in values)
    return "".join(json.dumps(value) + "\n" for value in whole)


def read(path: Path, **choices: Any) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    found = list(load(path, losses=losses, choices=Choices(**choices))[1])
    return found, losses.counts


def test_the_outcome_is_a_key_of_the_record_with_dots_between_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(rows({"reward": 1, "x": {"acc": False}}, {"reward": 0.5, "x": {"acc": 1}}, {}))
    found, _ = read(path, outcome="x.acc")
    assert [t.outcome for t in found] == [0.0, 1.0, None]
    assert [t.rewards for t in found] == [{"x.acc": 0.0}, {"x.acc": 1.0}, {}]
    assert [(g.level, g.value, g.source) for t in found for g in t.grades] == [
        ("E3", 0.0, "x.acc"),
        ("E3", 1.0, "x.acc"),
    ]
    assert [t.outcome for t in read(path)[0]] == [1.0, 0.5, None]


def test_an_outcome_that_is_nowhere_is_refused_with_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    row = {"input": "p", "output": "o", "step": 1, "score": 0.5, "acc": 1, "fmt": 0}
    path.write_text(json.dumps(row) + "\n")
    assert [t.outcome for t in read(path, outcome="acc")[0]] == [1.0]
    message = r"1\.jsonl: no number 'solved' for the outcome; the parts are: acc, fmt"
    with pytest.raises(DataError, match=message):
        read(path, outcome="solved")


def test_an_outcome_is_chosen_of_a_reward_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(rows({"reward": {"a": 1, "b": 0.5}}, {"reward": {"a": False, "b": None}}))
    found, losses = read(path)
    assert [(t.outcome, t.rewards) for t in found] == [
        (None, {"a": 1.0, "b": 0.5}),
        (None, {"a": 0.0, "b": None}),
    ]
    assert losses == {}
    for name in ("a", "reward.a"):
        assert [t.outcome for t in read(path, outcome=name)[0]] == [1.0, 0.0]
    with pytest.raises(DataError, match="no number 'c' for the outcome; the parts are: a, b"):
        read(path, outcome="c")
    assert sum("parts of a reward (a, b)" in each for each in _warned(path)) == 1


def _warned(path: Path) -> list[str]:
    return audit_log(path, report=False).audit["trust"]["warnings"]


def test_the_group_is_a_key_of_the_record(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(rows({"n": {"p": 3}}, {"n": {"p": "b"}}, {}))
    assert [t.group for t in read(path, group="n.p")[0]] == ["3", "b", "t@no-n.p"]
    path.write_text(rows({"n": 3.0}, {"n": "3"}, {"n": ""}, {"n": '{"p": ["b"]}'}))
    assert [t.group for t in read(path, group="n")[0][:3]] == ["3", "3", "t@no-n"]
    assert [t.group for t in read(path, group="n.p.0")[0]] == [*["t@no-n.p.0"] * 3, "b"]
    path.write_text(rows({"n": {"p": 3}}, {"n": 0.5}))
    with pytest.raises(DataError, match=r"line 1\.n: got an object of 1 keys; expected a name"):
        read(path, group="n")


def test_records_of_our_own_are_grouped_by_one_of_their_names(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"schema": "assay.trajectory/1", "id": "a", "task": "t", "group": "g", "tree": "w"}
    path.write_text(json.dumps(row) + "\n")
    assert [read(path, group=key)[0][0].group for key in ("task", "tree")] == ["t", "w"]
    with pytest.raises(DataError, match=r"no key 'trial' to group by, as in trajectory 'a'"):
        read(path, group="trial")


def test_a_group_that_no_record_has_is_refused_and_one_that_some_lack_is_said(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(rows({"p": "a", "trial": 0}, {"p": "b", "trial": 1}, {"trial": 2}))
    found, losses = read(path, group="p")
    assert ([t.group for t in found], losses) == (
        ["a", "b", "t@no-p"],
        {"key:p": 2, "no_group_key": 1},
    )
    message = r"no key 'q' to group by, as in .*line 1, whose keys are task, messages, p, trial"
    with pytest.raises(DataError, match=message):
        read(path, group="q")


TORN = rows({"trial": 0}, {"trial": 1})[:-9]


@pytest.mark.parametrize("text", [TORN, '{"task": "t", "mess\n' + rows({"trial": 0})])
def test_what_is_whole_is_read_and_what_is_torn_is_counted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    found, losses = read(path)
    assert [t.trial for t in found] == [0]
    assert losses == {"torn_record": 1}
    with pytest.raises(DataError, match=r"leave --strict out|not JSON"):
        read(path, strict=True)


def test_a_list_that_breaks_off_is_read_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    lines = rows({"trial": 0}, {"trial": 1}, {"trial": 2}).splitlines()
    path.write_text(f"[{lines[0]}, {lines[1]}, {lines[2][:30]}")
    found, losses = read(path)
    assert ([t.trial for t in found], losses) == ([0, 1], {"torn_record": 1})


def test_a_log_without_one_whole_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"task": "t", "messages": [')
    with pytest.raises(DataError, match=r"a\.jsonl line 1: not JSON at character 27"):
        read(path)


def test_a_record_with_a_wrong_type_is_no_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(rows({"trial": 0}, {"trial": "one"}))
    with pytest.raises(DataError, match=r"line 2\.trial: got str"):
        read(path)


def test_nan_is_missing_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        rows({"reward": 1.0}, {"reward": float("nan")}, {"reward": -float("inf"), "id": "NaN"})
    )
    found, losses = read(path)
    assert [t.outcome for t in found] == [1.0, None, None]
    assert (found[2].id, losses) == ("NaN", {"not_a_number": 2})
    with pytest.raises(DataError, match=r"line 2: NaN is not JSON"):
        read(path, strict=True)


def test_own_records_that_a_kill_cut_short_are_read_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = json.dumps({"schema": "assay.trajectory/1", "id": "a", "task": "t", "group": "g"})
    path.write_text(f"{row}\n{row[:40]}")
    found, losses = read(path)
    assert ([t.id for t in found], losses) == (["a"], {"torn_record": 1})


def squeezed(name: str, data: bytes) -> bytes:
    return gzip.compress(data) if name == "gz" else zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("form", ["a.jsonl", "a.json"])
def test_a_packed_file_is_read_as_the_plain_one(tmp_path: Path, kind: str, form: str) -> None:
    text = rows({"trial": 0}, {"trial": 1})
    if form == "a.json":
        text = json.dumps([json.loads(line) for line in text.splitlines()])
    (tmp_path / f"{form}.{kind}").write_bytes(squeezed(kind, text.encode()))
    found, losses = read(tmp_path)
    assert ([t.trial for t in found], losses) == ([0, 1], {})


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_packed_file_that_is_cut_short_is_read_to_there(tmp_path: Path, kind: str) -> None:
    text = "".join(rows({"trial": i, "id": str(i)}) for i in range(20_000)).encode()
    packed = squeezed(kind, text)
    (tmp_path / f"a.jsonl.{kind}").write_bytes(packed[: len(packed) // 2])
    found, losses = read(tmp_path)
    assert 0 < len(found) < 20_000
    assert [t.trial for t in found] == list(range(len(found)))
    assert losses["torn_record"] >= 1


def test_a_torn_record_is_refused_with_one_way_out(tmp_path: Path) -> None:
    log = Log(tmp_path, (), Losses(), Groups(), Choices(strict=True))

    def torn():
        log.torn(TornError("line 3: cut short"))
        yield

    with pytest.raises(TornError) as refused:
        list(log.whole(torn()))
    assert str(refused.value) == "line 3: cut short; leave --strict out to read what is whole"
