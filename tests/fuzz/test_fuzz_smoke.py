"""Changed logs for every importer, for seconds; `benchmarks/fuzz_importers.py` takes minutes."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.importers import IMPORTERS
from tests.fuzz.mutate import changed, mutated
from tests.fuzz.reading import check, slots

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("format", IMPORTERS.names())
def test_changed_logs_are_one_line_or_records(format: str, tmp_path: Path):
    found = slots(format, tmp_path)
    outcomes = {True: 0, False: 0}

    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, len(found) - 1), st.integers(0, 2**32))
    def run(index: int, seed: int):
        slot = found[index]
        slot.file.write_bytes(mutated(slot.content, random.Random(seed)))
        outcomes[check(slot.log, format)] += 1
        slot.file.write_bytes(slot.content)

    run()
    # Both must happen, or the changes do not reach what is behind the parser. ART's reader counts
    # nearly all that is damaged: whether a few changes hold what it refuses is chance.
    assert outcomes[True] >= 1, outcomes
    assert outcomes[False] >= 1 or format == "art", outcomes


def test_changes_reach_every_kind_of_place():
    log = [{"a": [1, "x", None], "b": {"c": True}}]
    seen = [changed(log, random.Random(seed)) for seed in range(500)]
    assert log == [{"a": [1, "x", None], "b": {"c": True}}]
    flat = [value[0] for value in seen if len(value) == 1 and isinstance(value[0], dict)]
    lists = [value["a"] for value in flat if isinstance(value.get("a"), list)]
    objects = [value["b"] for value in flat if isinstance(value.get("b"), dict)]
    assert any("a" not in value for value in flat)
    assert any(isinstance(value.get("b"), list) for value in flat)
    assert any(value.get("c") is False for value in objects)
    assert any("c" not in value for value in objects)
    assert any(len(value) > 100 for value in lists)
    assert any(value[:1] == [2] for value in lists)
