"""A run may ask its policy how likely the right answer is, after each step."""

import json
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.records import ModelStep, read
from assay.runs.config import parsed
from tests.runs import tiny


class Sure(tiny.Letter):
    """Knows what to believe."""

    name = "sure"

    def belief(self) -> float:
        return -1.0


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
        assert record.prior is not None
    total = json.loads((run / "ledger.jsonl").read_text().splitlines()[-1])["total"]
    # equal histories are scored once: the prompts, at least, are
    forwards = sum(record.ledger.scoring_forwards or 0 for record in made)
    asked = sum(1 + sum(type(s) is ModelStep for s in record.steps) for record in made)
    assert 0 < forwards < asked
    assert total["scoring_forwards"] == forwards


def test_hindsight_stands_at_the_steps_and_hcapo_learns_from_it(tmp_path: Path) -> None:
    from assay.runs.start import start

    policy = tiny.policy(tmp_path / "policy")
    more = {"rollout__hindsight": True, "train__steps": 1, "recipe__method": "hcapo"}
    run = start(parsed(tiny.settings(policy, **more)), tmp_path / "run", seed=5).path
    made = list(read(run / "rollouts" / "step_000001.jsonl"))
    assert made
    for record in made:
        assert record.ledger.scoring_forwards == 1
        scores = [step.scores["hindsight"] for step in record.steps if type(step) is ModelStep]
        assert all(each is not None and each < 0 for each in scores)


def test_no_beliefs_are_kept_where_none_are_wanted(tmp_path: Path) -> None:
    from assay.runs.start import start

    policy = tiny.policy(tmp_path / "policy")
    for wanted in ("exact", "none"):
        changes = {"env__name": "tests.runs.test_beliefs:Sure", "rollout__belief": wanted}
        settings = parsed(tiny.settings(policy, train__steps=1, **changes))
        run = start(settings, tmp_path / wanted, seed=5).path
        for record in read(run / "rollouts" / "step_000001.jsonl"):
            beliefs = [record.prior, *(s.belief for s in record.steps if type(s) is ModelStep)]
            assert {*beliefs} == ({-1.0} if wanted == "exact" else {None})
