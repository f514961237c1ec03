"""The names that `from assay import ...` promises, in fresh processes and whichever came first."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay.batch import Batch
from assay.demo import RECORDED
from assay.errors import DataError, UnknownNameError
from assay.records import ModelStep, Trajectory


def printed(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "before",
    [
        "",
        "import assay.audit, assay.credit",
        "from assay.credit import credit as stage; from assay.audit import audit as stage",
        "import assay.cli.verbs",
        "import assay.pipeline as pipeline",
        "import assay.api",
    ],
)
def test_packages_are_functions_whatever_was_imported_before(before: str):
    program = f"""
{before}
from assay import audit, credit
from assay.demo import RECORDED
print(audit(RECORDED)["groups"]["dead"], credit(RECORDED, "grpo").advantage_N.size)
from assay.credit import credit as stage
from assay.audit.fates import FATE_KINDS
import assay
print(stage is not credit, assay.audit is audit, len(FATE_KINDS))
"""
    first, second = printed(program).splitlines()
    assert first.split()[0] == "5"
    assert second == "True True 10"


def test_importing_loads_nothing_until_asked():
    program = (
        "import sys, assay; print('numpy' in sys.modules, 'msgspec' in sys.modules); assay.load;"
        "print('numpy' in sys.modules)"
    )
    assert printed(program).split() == ["False", "False", "True"]


def test_every_public_name_is_there_and_documented():
    for name in assay.__all__:
        assert name in dir(assay)
        value: Any = getattr(assay, name)
        assert value.__doc__
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        assay.rum  # noqa: B018  # pyright: ignore


def tiny() -> list[Trajectory]:
    return [
        Trajectory(
            id=f"a{i}",
            task="t",
            group="t",
            outcome=float(i),
            steps=(ModelStep(text="x" * (i + 1)),),
        )
        for i in range(2)
    ]


def test_a_log_is_a_list_that_knows_its_format_and_losses(tmp_path: Path):
    log = assay.load(RECORDED)
    assert (len(log), log.format, log.losses.counts) == (72, "assay", {})
    assert isinstance(log[0], Trajectory)
    rows = [{"task": "t", "messages": [{"role": "user", "content": "hi"}], "x": 1}]
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    chat = assay.load(str(tmp_path / "log.jsonl"))
    assert chat.format == "chat"
    assert sum(chat.losses.counts.values()) == 1
    with pytest.raises(DataError):
        assay.load(tmp_path / "none.jsonl")
    with pytest.raises(UnknownNameError):
        assay.load(RECORDED, format="asay")


def test_a_path_trajectories_and_a_batch_get_one_answer(tmp_path: Path):
    log = assay.load(RECORDED)
    of_path = assay.audit(str(RECORDED), out=tmp_path / "run")
    assert of_path == assay.audit(log) == assay.audit(Batch.of(log))
    assert json.loads((tmp_path / "run" / "audit.json").read_bytes()) == of_path
    by_path = assay.credit(RECORDED, "toolpo").advantage_N
    np.testing.assert_array_equal(by_path, assay.credit(log, assay.method("toolpo")).advantage_N)
    of_path = assay.credit(RECORDED, "srl").advantage_N  # reads similarity off records
    np.testing.assert_array_equal(of_path, assay.credit(log, "srl").advantage_N)
    gated = assay.run(log).batch
    np.testing.assert_array_equal(by_path, assay.credit(gated, "toolpo").advantage_N)


def test_credit_by_hand():
    """Outcomes 0 and 1, one and two characters: minus and plus 1/2 under dr_grpo."""
    assert assay.credit(tiny(), "dr_grpo").advantage_N.tolist() == [-0.5, 0.5, 0.5]
    assert assay.credit(tiny(), "nsr", pass_at=2.0).advantage_N.tolist() == [-1.0, -1.0, -1.0]
    loose = assay.credit(tiny(), "grpo", eps=0.5).advantage_N
    assert loose[0] == pytest.approx(-0.5 / (0.5**0.5 + 0.5))
