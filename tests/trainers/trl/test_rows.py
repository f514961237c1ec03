"""Rows beside the generated ones: a step trains on each kind of loss, and on nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")

from assay.signal.losses import LossTerm, Reference, TopK
from assay.signal.origins import OriginRow
from assay.trainers.trl.replay import counted, padded, row_losses

from .quiet import MARKS
from .tiny import ours, torch

pytestmark = MARKS

PROMPT, COMPLETION = (4, 5), (6, 7, 1)
ONES = np.ones(3)
NAMED = np.array([[6, 3], [7, 3], [1, 3]])
TEACHER = np.log(np.tile([0.9, 0.05], (3, 1)))
TERMS: dict[str, LossTerm] = {
    "rl": LossTerm("x", "rl", ONES),
    "ce": LossTerm("x", "ce", ONES),
    "ref_kl": LossTerm("x", "ref_kl", ONES, Reference(logprob_N=-0.1 * ONES, estimator="k2")),
    "topk_kl": LossTerm("x", "topk_kl", ONES, TopK(token_NV=NAMED, logprob_NV=TEACHER)),
    "topk_kl clipped": LossTerm(
        "x",
        "topk_kl",
        ONES,
        TopK(token_NV=NAMED, logprob_NV=TEACHER, old_NV=np.full((3, 2), -2.8)),
    ),
}


def likelihood(trainer: Any) -> float:
    row = padded([OriginRow(PROMPT, COMPLETION, (1, 1, 1))], pad_id=0, device=torch.device("cpu"))
    with torch.no_grad():
        return float(trainer._scored(trainer.model, row).sum())


@pytest.mark.parametrize("ratio", ["clipped", "truncated", "one"])
@pytest.mark.parametrize("kind", TERMS)
def test_a_step_on_each_kind_makes_the_row_likelier(tmp_path: Path, kind: str, ratio: Any) -> None:
    known = (-2.7, -2.7, -2.7)
    row = OriginRow(
        PROMPT, COMPLETION, (1, 1, 1), known, "t/0", "rescued", ratio, 2.0, (TERMS[kind],)
    )
    # every generated group fails alike: the row alone teaches
    trainer = ours(tmp_path, rewards=[0.0], given={"rows": lambda step: [row] if step == 0 else []})
    before = likelihood(trainer)
    trainer.train()
    assert likelihood(trainer) > before + 0.01


def test_a_row_without_losses_teaches_nothing_and_skips_the_step(tmp_path: Path) -> None:
    row = OriginRow(PROMPT, COMPLETION, (1, 1, 1))
    trainer = ours(tmp_path, rewards=[0.0], given={"rows": lambda _: [row], "say": lambda _: None})
    before = likelihood(trainer)
    trainer.train()
    assert (likelihood(trainer), trainer.session.spent.steps_skipped) == (before, 1)


def test_terms_of_one_name_share_a_count_and_others_have_their_own() -> None:
    short = OriginRow((4,), (5,), (1,), losses=(LossTerm("a", "ce", np.ones(1)),), ratio="one")
    terms = (LossTerm("a", "ce", np.array([0.0, 2.0])), LossTerm("b", "ce", np.array([1.0, 0.0])))
    long = OriginRow((4,), (5, 6), (1, 1), losses=terms, ratio="one")
    rows = [short, long]
    chosen = padded(rows, pad_id=0, device=torch.device("cpu"))
    new = torch.tensor([[-1.0, -50.0], [-2.0, -3.0]])
    # a: (1 * 1 + 2 * 3) / 2 tokens; b: 2 / 1; the padding's 50 is nobody's
    assert (
        row_losses(rows, chosen, new, None, counts=counted(rows), low=0.2, high=0.2).item()
        == 3.5 + 2.0
    )


def test_how_far_the_policy_moved_counts_as_the_row_says() -> None:
    new, chosen = torch.tensor([[-1.0]]), None
    found = {}
    for ratio in ("truncated", "one", "clipped"):
        term = LossTerm("a", "rl", np.array([-1.0]))
        row = OriginRow((4,), (5,), (1,), (-3.0,), ratio=ratio, cap=4.0, losses=(term,))
        chosen = padded([row], pad_id=0, device=torch.device("cpu"))
        found[ratio] = row_losses(
            [row], chosen, new, None, counts=counted([row]), low=0.2, high=0.2
        ).item()
    # A = -1, log pi = -1, ratio e^2 = 7.39: 4 * -1; 1 * -1; the clip leaves negatives alone above
    assert found == pytest.approx({"truncated": -4.0, "one": -1.0, "clipped": 7.389056})
