"""What srl and delta_belief read stands at its step: likeness to the expert's, belief, scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.records import ModelStep, Trajectory, UserStep
from tests.report.conftest import Visit
from tests.report.samples import report_of

Start = Callable[..., Visit]
STEPS: list[dict[str, Any]] = [
    {"belief": -2.0, "scores": {"srl": 0.75, "srl_step": 1.0, "style <b>": 2.0}},
    {"belief": -0.5, "scores": {"srl": 0.0}, "reward": -0.25},
    {"scores": {"srl": -1.0}},
    {"belief": -0.75},
    {},
]
SAID = [
    "like step 2 of the expert's: 0.75 · belief in the right answer 0.135, +1.00 nats by this step"
    " · style <b> 2",
    # e^-.5 is .607; +1.5 over the step before
    "stands for no step of the expert's · belief in the right answer 0.607, +1.50 nats by this step"
    " · reward \u22120.25",
    "in a wrong format, so like no step of the expert's",
    # the step before has none: over the last known one
    "belief in the right answer 0.472, \u22120.25 nats by this step",
]


@pytest.mark.chromium
def test_what_was_measured_of_a_step_stands_at_it(tmp_path: Path, visit: Start):
    steps = (UserStep(text="Go."), *(ModelStep(text=f"x{n}", **s) for n, s in enumerate(STEPS)))
    records = [
        Trajectory(id=f"g/{n}", task="g", group="g", steps=steps, outcome=float(n), prior=-3.0)
        for n in (0, 1)
    ]
    page, _ = report_of(records, tmp_path / "a.html", methods=("grpo", "delta_belief"))
    seen = visit().open(page, "#/trajectory/0")
    assert seen.page.locator(".measured").all_inner_texts() == SAID
    assert seen.page.locator("#step-5 .measured").count() == 0
    assert seen.errors == []
