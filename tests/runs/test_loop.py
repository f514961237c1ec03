"""What a configuration becomes in TRL's words, and what processes decide together."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl")

from assay.runs.config import parsed
from assay.trainers.trl import adapter as intake
from tests.trainers.trl.quiet import MARKS

pytestmark = MARKS


@pytest.mark.parametrize(
    ("train", "name"),
    [
        ({}, "constant"),
        ({"warmup": 3}, "constant_with_warmup"),
        ({"warmup": 3, "schedule": "linear"}, "linear"),
    ],
)
def test_a_warm_up_before_a_constant_rate_is_one(
    tmp_path: Path, train: dict[str, Any], name: str
) -> None:
    from assay.runs.loop import arguments

    made = arguments(parsed({"train": train}), 0, tmp_path)
    assert made.lr_scheduler_type == name
    assert made.warmup_steps == train.get("warmup", 0)


def test_dropout_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    from assay.runs.loop import arguments

    asked = {"disable_dropout": False}
    assert arguments(parsed({}), 0, tmp_path).disable_dropout
    assert not arguments(parsed({"trl": asked}), 0, tmp_path).disable_dropout


def test_what_holds_on_one_process_holds_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[list[bool]]()

    def gather(here: list[bool]) -> list[bool]:
        asked.append(here)
        return [*here, True]

    monkeypatch.setattr(intake, "gather_object", gather)
    many = SimpleNamespace(accelerator=SimpleNamespace(num_processes=2))
    alone = SimpleNamespace(accelerator=SimpleNamespace(num_processes=1))
    assert intake._anywhere(many, False)
    assert asked == [[False]]
    assert not intake._anywhere(alone, False)
    assert asked == [[False]]
