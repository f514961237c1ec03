"""Log-probabilities of a record as it stands, against one plain pass over all of its text."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from assay.records import Ledger, ModelStep, ToolStep, Trajectory, UserStep  # noqa: E402
from assay.rollout.unaided import reread  # noqa: E402
from tests.rollout.plain import logp  # noqa: E402

RECORD = Trajectory(
    "a",
    "t",
    "t",
    steps=(
        UserStep("", token_ids=(3, 4)),
        ModelStep("", token_ids=(5, 6, 7), sampled=((0, 1), (2, 3)), logprobs=(-0.1, -0.2)),
        ToolStep("", token_ids=(8,)),
        ModelStep("", token_ids=(2, 2), sampled=(), untrainable="copied"),
        ModelStep("", token_ids=(9, 1), logprobs=(-0.3, -0.4)),
    ),
    ledger=Ledger(tokens=5, scoring_forwards=2),
)


def test_each_sampled_token_is_scored_behind_all_that_stands_before_it(policy: Any) -> None:
    made, _ = reread([RECORD, RECORD], policy)
    own = [step for step in made.steps if type(step) is ModelStep]
    after = logp(policy, [3, 4], [5, 6, 7, 8, 2, 2, 9, 1])
    assert own[0].logprobs == pytest.approx([after[0], after[2]], abs=1e-6)
    assert own[2].logprobs == pytest.approx(after[6:], abs=1e-6)
    assert own[0].helped == (-0.1, -0.2)
    assert own[2].helped == (-0.3, -0.4)
    assert own[1] == RECORD.steps[3]
    assert made.ledger == Ledger(tokens=5, scoring_forwards=3)


def test_the_distribution_is_the_one_that_was_drawn_from(policy: Any) -> None:
    (made,) = reread([RECORD], policy, temperature=2.0)
    with torch.no_grad():
        logits = policy(torch.tensor([[3, 4, 5]])).logits[0, 1] / 2.0
    expected = float(logits.log_softmax(-1)[5])
    step = made.steps[1]
    assert type(step) is ModelStep
    assert step.logprobs
    assert step.logprobs[0] == pytest.approx(expected, abs=1e-6)
