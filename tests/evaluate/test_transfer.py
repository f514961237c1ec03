"""Transfers from shares that pass, by hand; the plan's page and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.errors import UsageError
from assay.evaluate import transfer
from assay.report.transfer import page, sentences


def rates(*of: tuple[float, float]) -> np.ndarray:
    return np.array(of)


BASE = rates((0.2, 0.4), (0.5, 0.5))
AFTER_A = rates((0.6, 0.8), (0.3, 0.5))
AFTER_B = rates((0.2, 0.4), (0.9, 0.7))


def made() -> dict[str, Any]:
    told = transfer.planned(["a", "<b>"], BASE, [AFTER_A, AFTER_B])
    return {**told, "samples": 8, "prompts": 2, "seed": 0, "model": "start"}


def test_transfers_and_their_errors_by_hand() -> None:
    told = made()
    np.testing.assert_allclose(told["gain"], [[0.4, -0.1], [0.0, 0.3]], atol=1e-12)
    # a on b: changes -.2 and 0: deviation .141421 over root 2 is .1; b on b: .4 .2: the same
    np.testing.assert_allclose(told["error"], [[0.0, 0.1], [0.0, 0.1]], atol=1e-12)
    np.testing.assert_allclose(told["alone"], [0.7, 0.8], atol=1e-12)
    # a costs b a tenth: it goes first. At random half of that: -.1/4 over two tasks
    assert told["order"] == ["a", "<b>"]
    np.testing.assert_allclose(told["finals"], [0.7, 0.8], atol=1e-12)
    assert told["over_random"]["value"] == pytest.approx(0.025)
    # 1.959964 .1 / 4
    assert told["over_random"]["high"] == pytest.approx(0.025 + 0.048999, abs=1e-6)
    assert told["backward_transfer"] == 0.0


def test_the_page_shows_every_transfer_and_names_are_text() -> None:
    shown = page(made())
    assert "<b>" not in shown.replace("<body>", "")
    for value in ("+0.400", "-0.100", "+0.000", "+0.300"):
        assert value in shown
    assert shown.count("rgba(0,114,178,0.50)") == 1
    assert "<script" not in shown


def test_what_a_plan_says() -> None:
    told = made()
    first, second, third = sentences(told)
    assert first == "train in this order: a, <b>"
    assert second.startswith("predicted mean over an order drawn at random +0.025 [-0.024, +0.074]")
    assert third.startswith("that may be chance")
    flat = {**told, "over_random": {"value": 0.0, "low": 0.0, "high": 0.0}}
    assert "no transfer is further than its error" in sentences(flat)[2]
    assert len(sentences({**told, "over_random": {"value": 0.1, "low": 0.05, "high": 0.15}})) == 2


def test_one_run_has_no_order() -> None:
    with pytest.raises(UsageError, match="1 runs; expected 2 to 15"):
        transfer.measured_plan([Path("a")])
