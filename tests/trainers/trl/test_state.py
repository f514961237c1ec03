"""What is said, and what is put back."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.signal import BackOffSettings, Safety
from assay.trainers.trl.trainer_state import STATE, Credited, Session


def test_a_guard_that_cannot_act_is_named_with_what_to_do() -> None:
    safety = Safety(off_policy=0.5, preserve=0.2)
    for sampled, named in (
        (False, "safety.off_policy, safety.preserve"),
        (True, "safety.preserve"),
    ):
        said: list[str] = []
        session = Session(safety, say=said.append)
        for _ in range(2):
            session.on_policy(sampled=sampled)
        (event,) = said
        assert event.startswith(f"every ratio is 1: {named} can do nothing")
        assert "take train.minibatches above 1" in event
    said.clear()
    Session(Safety(off_policy=0.5), say=said.append).on_policy(sampled=True)
    assert said == []


def test_one_long_batch_trips_the_back_off_once() -> None:
    session = Session(Safety(back_off=BackOffSettings()), say=[].append)
    seen = {"entropy": 1.0, "ratio/max": 1.0}
    scales = list[float]()
    for length in (100.0, 250.0):
        session.batch = Credited(length_mean=length)
        for number in range(4):
            row = session.step(number, seen, probe=None, skipped=False, write=False)
            scales.append(row["negative_scale"])
    assert scales == [1.0] * 4 + [0.5] * 4


def test_running_statistics_go_on_where_they_were(tmp_path: Path) -> None:
    first, second = Session(Safety()), Session(Safety())
    first.statistics = {"outcome mean": 0.25}
    first.save(tmp_path)
    second.load(tmp_path)
    assert second.statistics == {"outcome mean": 0.25}
    path = tmp_path / STATE
    state = json.loads(path.read_text())
    del state["statistics"]  # as older checkpoints have it
    path.write_text(json.dumps(state))
    second.load(tmp_path)
    assert second.statistics == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": "assay.train.state/2"}, "schema 'assay.train.state/2', not"),
        ({"spent": None}, "TypeError"),
        ({"spent": {}}, "KeyError: 'tokens_generated'"),
    ],
)
def test_a_state_that_is_not_ours_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    Session(Safety()).save(tmp_path)
    Session(Safety()).load(tmp_path)
    path = tmp_path / STATE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=says) as caught:
        Session(Safety()).load(tmp_path)
    assert "expected what AssayTrainer saved there" in str(caught.value)
    path.write_text("[]")
    with pytest.raises(DataError, match="schema None"):
        Session(Safety()).load(tmp_path)
