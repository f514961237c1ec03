"""JSON in pieces is JSON at once, and the loudest values tell the quantile of all."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.report import stream
from assay.report.methods import Loudest
from assay.report.page import embedded
from assay.report.stream import Listed, pieces


def listed(values: list[Any]) -> Listed:
    return Listed(len(values), values.__getitem__)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7])
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_pieces_are_the_json_of_the_whole(monkeypatch, size, at_once):
    monkeypatch.setattr(stream, "_AT_ONCE", at_once)
    values = [{"b": n, "a": None, "ü</script>": f"\u2028{n}"} for n in range(size)]
    plain = {"z": values, "a": {"y": values, "x": {}}, "m": [1, {"d": 1, "c": 2}], "é": "text"}
    parted = {**plain, "z": listed(values), "a": {"y": listed(values), "x": {}}}
    whole = msgspec.json.encode(plain, order="sorted")
    assert b"".join(pieces(parted)) == whole
    assert b"<" not in b"".join(embedded(parted))
    assert msgspec.json.decode(b"".join(embedded(parted))) == plain


NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1.0, -1.0, float("nan")])


@settings(deadline=None)
@given(st.lists(st.lists(NUMBERS, max_size=40), max_size=8), st.sampled_from([0.0, 0.5, 0.9, 0.98]))
def test_the_loudest_tell_the_quantile_of_all(parts, level):
    values = np.array([each for part in parts for each in part], float)
    found = Loudest(level, values.size)
    for part in parts:
        found.add(np.array(part, float))
    loud = np.abs(values[np.nan_to_num(values) != 0])
    assert found.value() == (np.quantile(loud, level) if loud.size else 1.0)


def test_few_of_many_values_are_kept():
    found, rng = Loudest(0.98, 10_000), np.random.default_rng(0)
    values = rng.normal(size=10_000)
    for part in np.split(values, 20):
        found.add(part)
        assert found._top.size <= 203
    assert found.value() == np.quantile(np.abs(values), 0.98)
