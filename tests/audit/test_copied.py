"""What was copied into a trajectory is nobody's there: neither its calls nor its words count."""

from typing import Any

import numpy as np
import pytest

from assay import pipeline
from assay.audit import audit
from assay.recipes import Recipe
from assay.records import Call, ModelStep, Step, ToolStep, Trajectory, UserStep

EXAMPLE: tuple[Step, ...] = (
    UserStep(text="an example"),
    ModelStep(text="", calls=(Call(name="f", arguments='{"x": 0}'),), untrainable="copied"),
    ToolStep(text="Error: no", call=(1, 0)),
    ModelStep(text="I have fixed it.", untrainable="copied"),
)


def trajectories(*before: Step) -> list[Trajectory]:
    """Four of a group: the first calls of all but the second ran; two pass."""
    at = len(before)
    return [
        Trajectory(
            id=f"t{n}",
            task="a",
            group="g",
            outcome=float(n < 2),
            steps=(
                *before,
                UserStep(text="go"),
                ModelStep(text="", calls=(Call(name="f", arguments=f'{{"x": {n}}}'),)),
                ToolStep(text="Error: no" if n == 1 else "ok", call=(at + 1, 0)),
                ModelStep(text="so"),
            ),
        )
        for n in range(4)
    ]


def audited(records: list[Trajectory]) -> dict[str, Any]:
    recipe = Recipe.of({"method": "grpo", "gates": ["integrity"]})
    batch, decisions = pipeline.gated(records, recipe)
    found = audit(batch, decisions, pipeline.credits(batch, recipe))
    assert found["trust"]["untrainable_steps"].pop("copied") in (0, 8)
    return found


def test_an_example_in_the_prompt_changes_nothing_in_the_audit():
    plain = audited(trajectories())
    assert audited(trajectories(*EXAMPLE)) == plain
    assert (plain["calls"]["total"], plain["calls"]["error"]) == (4, 1)
    assert plain["steps"]["total"] == 8
    assert plain["behaviour"]["claims"]["claimed"] == 0


@pytest.mark.parametrize("before", [(), EXAMPLE])
def test_the_opening_step_is_the_policys_own(before: tuple[Step, ...]):
    """Shares of opening calls that ran: 1, 0, 1, 1; mean .75, deviation .5 (ddof 1)."""
    recipe = Recipe.of({"method": "mt_grpo", "gates": []})
    batch, _ = pipeline.gated(trajectories(*before), recipe)
    ((_, given),) = pipeline.credits(batch, recipe)
    first = [
        int(np.flatnonzero(batch.own_S[batch.step_R] & (batch.traj_R == k))[0]) for k in range(4)
    ]
    assert given.parts["turn"][first] == pytest.approx([0.5, -1.5, 0.5, 0.5], abs=1e-3)
