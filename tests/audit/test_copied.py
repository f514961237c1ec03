"""What was copied into a trajectory is nobody's there, and what branches share counts once."""

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


def test_what_the_branches_of_a_session_share_counts_once():
    """A: a failing call of 2 characters, then leaves of 3, 1 and 16: one session, whose last leaf
    says that it is done. B: a call of 3 that ran, then a leaf of 1."""

    def branch(tree: str, leaf: str, result: str, outcome: float, name: str) -> Trajectory:
        call = Call(name="f", arguments="{}" if tree == "B" else "0")
        return Trajectory(
            id=name,
            task="a",
            group="g",
            outcome=outcome,
            tree=tree,
            session=tree,
            steps=(
                UserStep(text="go"),
                ModelStep(text="", calls=(call,), node=f"{tree}0"),
                ToolStep(text=result, call=(1, 0)),
                ModelStep(text=leaf, node=f"{tree}/{name}", parent=f"{tree}0"),
            ),
        )

    leaves = [branch("A", leaf, "Error: no", 0.0, f"{n}") for n, leaf in enumerate(("abc", "d"))]
    last = branch("A", "I have fixed it.", "Error: no", 0.0, "2")
    found = audited([*leaves, last, branch("B", "e", "ok", 1.0, "3")])
    calls, cost = found["calls"], found["behaviour"]["cost"]
    assert (calls["total"], calls["error"], calls["in_failed_of_mixed"]) == (2, 1, 1)
    assert found["behaviour"]["calls"]["error"] == 1
    assert found["claims"]["claimed_failed"] == found["claims"]["silent_verified"] == 1
    assert found["claims"]["silent_failed"] == 0
    said = found["behaviour"]["claims"]
    assert (said["claimed"], said["none"]) == (1, 1)
    assert (cost["steps"]["total"], cost["calls"]["total"]) == (6, 2)
    assert cost["characters"]["total"] == 2 + 3 + 1 + 16 + 3 + 1
