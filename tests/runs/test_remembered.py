"""A bank outside a run: candidates tried by a run's policy, and the bank beside its controls."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.runs.config import parsed
from assay.runs.remembered import arena_of, compared
from assay.runs.start import start
from assay.skills import store
from assay.skills.bank import Bank
from tests.runs import tiny
from tests.runs.conftest import Assay
from tests.skills.test_bank import skill

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def run(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = tiny.settings(policy, steps=1, skills__tasks=16)
    return start(parsed(tables), tmp_path_factory.mktemp("runs") / "run", seed=5).path


def made(path: Path, **more: Any) -> Path:
    some = [skill(f"={letter}=", when=letter, category="letter") for letter in "abcd"]
    store.save(path, Bank().merged(some, **more))
    return path


def test_candidates_are_tried_by_a_run_s_last_policy(
    assay: Assay, run: Path, tmp_path: Path
) -> None:
    bank = made(tmp_path / "bank")
    said = assay("skills", "gate", bank, run, "--pairs", 16, "--most", 2, "--probe")
    assert said.code == 0, said.err
    assert "version 2" in said.out
    assert "defects admitted: shuffled" in said.out
    tried = [each for each in store.opened(bank).skills if each.trial]
    assert [each.trial.pairs for each in tried if each.trial] == [16, 16]


def test_a_bank_is_played_beside_nothing_and_its_controls(run: Path, tmp_path: Path) -> None:
    from assay.cli.hints import configured

    bank = store.opened(made(tmp_path / "bank", status="active"))
    config, checkpoint = configured(str(run), {"skills.tasks": 12}, "skills")
    arms = compared(bank, arena_of(config, checkpoint), 3)
    assert [*arms] == ["nothing", "bank", "shuffled", "corrupted"]
    assert {each["attempts"] for each in arms.values()} == {12}
    # "!", "=", a letter, "=" and a line break
    assert arms["bank"]["tokens"] == arms["shuffled"]["tokens"] == 5
    assert arms["nothing"]["tokens"] == 0
    assert arms["corrupted"]["tokens"] == 0, "no word of these is long enough to move"
    low, high = arms["nothing"]["over_nothing"][1:]
    assert low < 0 < high


def test_an_audit_plays_them_too(assay: Assay, run: Path, tmp_path: Path) -> None:
    bank = made(tmp_path / "bank", status="active")
    said = assay("skills", "audit", bank, "--on", run, "--set", "skills.tasks=4")
    assert said.code == 0, said.err
    assert [line.split()[0] for line in said.out.splitlines()] == [
        "nothing", "bank", "shuffled", "corrupted"
    ]  # fmt: skip


def test_tasks_of_training_are_none_to_try_on(assay: Assay, run: Path, tmp_path: Path) -> None:
    bank = made(tmp_path / "bank")
    said = assay("skills", "gate", bank, run, "--set", "skills.first_task=5")
    assert said.code == 2
    assert "overlap with those of [train]" in said.err
    said = assay("skills", "gate", bank, run, "--set", "train.steps=5")
    assert "expected skills.KEY alone" in said.err
