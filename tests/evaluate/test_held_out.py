"""Which tasks are held out, in which batches, and with whose chance."""

from typing import Any

import pytest

from assay.evaluate import run
from assay.runs.config import parsed
from tests.rollout.fakes import Scripted


def test_every_batch_has_chance_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[int, ...], list[int]]] = []

    def collect(backend: Any, attempts: Any, *, seed: tuple[int, ...], **_: Any) -> list[Any]:
        asked.append((seed, [attempt.seed for attempt in attempts]))
        return []

    monkeypatch.setattr(run, "collect", collect)
    config = parsed({"env": {"name": "lookup/even"}, "recipe": {"method": "grpo"}})
    played = run.held_out(config, Scripted([]), prompts=5, samples=run.ROWS // 2, seed=(3, 4))
    assert list(played) == []
    first = config.eval.first_task
    # two tasks fill a batch: places 0, 2, 4
    assert [seed for seed, _ in asked] == [(3, 4, 0), (3, 4, 2), (3, 4, 4)]
    tasks = [sorted(set(seeds)) for _, seeds in asked]
    assert tasks == [[first, first + 1], [first + 2, first + 3], [first + 4]]
    assert {len(seeds) for _, seeds in asked} == {run.ROWS, run.ROWS // 2}
