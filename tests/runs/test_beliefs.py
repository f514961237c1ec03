"""A run may ask its policy how likely the right answer is, after each step."""

from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.records import ModelStep, read
from assay.runs.config import parsed
from tests.runs import tiny

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_elicited_beliefs_stand_at_the_steps_and_in_the_ledger(tmp_path: Path) -> None:
    from assay.runs.start import start

    policy = tiny.policy(tmp_path / "policy")
    more = {"rollout__belief": "elicited", "rollout__elicit": "=", "train__steps": 1}
    run = start(parsed(tiny.settings(policy, **more)), tmp_path / "run", seed=5).path
    made = list(read(run / "rollouts" / "step_000001.jsonl"))
    assert made
    assert all(record.reference for record in made)
    for record in made:
        beliefs = [step.belief for step in record.steps if type(step) is ModelStep]
        assert all(each is not None and each < 0 for each in beliefs)
    # equal histories are scored once: the prompts, at least, are
    forwards = sum(record.ledger.scoring_forwards or 0 for record in made)
    asked = sum(1 + sum(type(s) is ModelStep for s in record.steps) for record in made)
    assert 0 < forwards < asked
