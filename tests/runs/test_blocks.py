"""A log audited block by block leaves the bytes that it leaves as one block."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from assay.batch import blocks, mapped
from assay.records import ModelStep, Step, Trajectory, write
from assay.records.checks import PER_TOKEN
from assay.report import shape
from assay.runs.audit import audit_log
from tests.credit.test_blocks import trajectories


def written(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def in_characters(record: Trajectory) -> Trajectory:
    """The same as a log without tokens has it."""
    steps: list[Step] = []
    for step in record.steps:
        bare = msgspec.structs.replace(step, token_ids=None)
        if isinstance(bare, ModelStep):
            calls = [msgspec.structs.replace(call, start=None, end=None) for call in bare.calls]
            none = dict.fromkeys(PER_TOKEN)
            bare = msgspec.structs.replace(bare, calls=tuple(calls), spans=(), **none)
        steps.append(bare)
    return msgspec.structs.replace(record, steps=tuple(steps))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("tokens", [False, True])
def test_an_audit_leaves_the_same_bytes_in_blocks(tmp_path, monkeypatch, mixed, tokens):
    records = [
        msgspec.structs.replace(each if tokens else in_characters(each), id=f"t{k}")
        for k, each in enumerate(trajectories(3))
    ]
    if mixed:
        records = [records[n] for n in np.random.default_rng(0).permutation(len(records))]
    log = tmp_path / "log.jsonl"
    write(log, records)

    def left(name: str) -> dict[str, bytes]:
        audit_log(log, out=tmp_path / name, pass_at=0.25)
        return written(tmp_path / name)

    whole = left("whole")
    monkeypatch.setattr(blocks, "AT_ONCE", 50)
    monkeypatch.setattr(blocks, "ROWS", 0)
    monkeypatch.setattr(mapped, "AT_ONCE", 11)
    monkeypatch.setattr(mapped, "LARGE", 64)
    monkeypatch.setattr(shape, "_AT_ONCE", 5)
    cut = left("cut")
    assert len(whole) > 20
    assert cut.keys() == whole.keys()
    for name, content in whole.items():
        assert cut[name] == content, name
