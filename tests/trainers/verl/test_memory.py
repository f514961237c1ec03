"""What a run under verl remembers between steps. No verl needed."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from assay.errors import DataError
from assay.recipes import BackOffSettings, Recipe, RegimeSettings, Safety
from assay.signal import bare, signal
from assay.trainers.verl.memory import STATE, Memory

BOTH = Safety(entropy=RegimeSettings(), back_off=BackOffSettings())


def test_what_is_saved_is_what_is_put_back(tmp_path: Path) -> None:
    memory = Memory(BOTH)
    memory.credited(
        signal(bare(np.array([1.0, np.nan]), ["a", "a"], np.array([4, 4])), Recipe.of("grpo"))
    )
    assert memory.length == 4.0  # two rows of four sampled tokens
    memory.trained(entropy=1.0, ratio=50.0)
    assert memory.controllers.scales[1].negative < 1.0
    memory.save(tmp_path / "global_step_2")
    again = Memory(BOTH)
    again.load(tmp_path / "global_step_2")
    assert again.controllers.state() == memory.controllers.state()
    assert again.statistics == memory.statistics != {}


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    Memory(BOTH).save(tmp_path)
    with pytest.raises(DataError, match="regime is on in one of checkpoint and recipe only"):
        Memory(Safety()).load(tmp_path)
    with pytest.raises(DataError, match="expected what the trainer saved there"):
        Memory(BOTH).load(tmp_path / "nowhere")
    (tmp_path / STATE).write_text(json.dumps({"schema": "other/1"}))
    with pytest.raises(DataError, match="schema 'other/1'"):
        Memory(BOTH).load(tmp_path)


def test_an_entropy_that_nobody_measured_moves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(BOTH)
    with caplog.at_level(logging.WARNING, logger="assay.verl"):
        memory.trained(entropy=None, ratio=1.0)
        memory.trained(entropy=None, ratio=1.0)
    assert [record.message for record in caplog.records] == [
        "safety.entropy: verl measured no entropy; nothing is watched"
    ]
    assert memory.controllers.state() == Memory(BOTH).controllers.state()
