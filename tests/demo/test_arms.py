"""An arm is begun once, and once more if its process crashes."""

import sys
import time
from pathlib import Path

import pytest

from assay.demo.arms import Arm, train
from assay.errors import DataError

SCRIPT = """#!/bin/sh
echo "$@" >> "{folder}/asked"
[ $(wc -l < "{folder}/asked") -le {crashes} ] && kill -{signal} $$
exit 0
"""


def ended(folder: Path, monkeypatch: pytest.MonkeyPatch, crashes: int, signal: str) -> list[str]:
    """Lets an arm run with a stand-in for Python; returns what it was asked."""
    python = folder / "python"
    python.write_text(SCRIPT.format(folder=folder, crashes=crashes, signal=signal))
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    arm = Arm("grpo", folder, 0, 0, 1)
    late = time.monotonic() + 30
    while arm.going() and time.monotonic() < late:
        time.sleep(0.02)
    return (folder / "asked").read_text().splitlines()


def test_one_crash_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ended(tmp_path, monkeypatch, 1, "SEGV")
    arm = f"-X faulthandler -m assay.demo.arm {tmp_path}/grpo {tmp_path}/grpo.toml 0"
    assert asked == [arm, arm]


def test_a_second_crash_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="arm grpo ended with code -11"):
        ended(tmp_path, monkeypatch, 2, "SEGV")


def test_what_somebody_stopped_stays_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="arm grpo ended with code -15"):
        ended(tmp_path, monkeypatch, 1, "TERM")


def test_an_arm_that_ended_is_not_begun_again_while_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\ncase "$*" in *slow*) sleep 3;; esac\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    arms = [Arm(name, tmp_path, 0, 0, 1) for name in ("quick", "slow")]
    train(arms)
    assert len((tmp_path / "asked").read_text().splitlines()) == 2
    assert not any(arm.going() for arm in arms)
