"""Simulated orders: their arithmetic by hand, and the page that is committed."""

import numpy as np

from assay.claims import committed
from assay.claims.page import page, summary
from claims import order as experiment
from tests.claims.test_structure import CLAIMS


def test_scores_of_orders_by_hand():
    gain = np.array([[0.0, 0.03, 0.01], [-0.06, 0.0, 0.02], [-0.02, -0.08, 0.0]])
    # C B A: A and B are followed by what helps them: .03 and .03 over three tasks
    np.testing.assert_allclose(experiment.score((2, 1, 0), gain), 0.02, atol=1e-12)
    np.testing.assert_allclose(experiment.score((0, 1, 2), gain), -0.16 / 3, atol=1e-12)


def test_without_error_the_chosen_order_is_the_best():
    rng = np.random.default_rng(0)
    for _ in range(5):
        chosen, best, worst, told = experiment.gained(rng, 4, 0.0)
        np.testing.assert_allclose([chosen, told], best, atol=1e-12)
        np.testing.assert_allclose(worst, -best, atol=1e-12)  # the other way round


def test_the_page_is_that_of_the_rows():
    rows = committed(CLAIMS, "order")
    assert (CLAIMS.parent / "docs" / "claims" / "order.md").read_text() == page(
        experiment.EXPERIMENT, rows, {}
    )
    verdicts = {each["id"]: each["verdict"] for each in summary(experiment.EXPERIMENT, rows)
                ["predictions"]}  # fmt: skip
    assert set(verdicts.values()) == {"held"}
