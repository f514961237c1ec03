"""The simulation behind docs/hint_errors.md: its world by hand, and that the page is its word."""

import numpy as np
import pytest
from tools.hint_errors import (
    ARMS,
    PAGE,
    ROUTED,
    SEEDS,
    UPDATES,
    World,
    learned,
    mean,
    play,
    softmax,
)

from assay.credit import method


def played(world, seeds=400):
    logits = np.zeros((seeds, 5, 4))
    logits[..., 0] = np.log(world.right * 3 / (1 - world.right))
    return play(world, softmax(logits), np.random.default_rng(0))


def test_the_start_passes_as_often_as_it_says():
    found = played(World(0.5))
    assert World(0.5).start == 1 / 32
    assert abs(found.outcome.mean() - 1 / 32) < 0.01
    assert ((found.action == 0).all(-1) == found.outcome).all()


def test_a_right_hint_names_a_step_that_went_wrong_and_a_wrong_one_any():
    found = played(World(0.5))
    hinted = found.at >= 0
    assert (hinted == (found.outcome == 0)).all(), "every failure has one, no pass"
    taken = np.take_along_axis(found.action, np.maximum(found.at, 0)[..., None], -1)[..., 0]
    assert (taken[hinted] != 0).all()
    assert (found.target[hinted] == 0).all()
    errs = played(World(0.5, wrong_hints=1.0))
    taken = np.take_along_axis(errs.action, np.maximum(errs.at, 0)[..., None], -1)[..., 0]
    assert (errs.target[errs.at >= 0] == 1).all()
    assert abs((taken[errs.at >= 0] == 0).mean() - 0.48) < 0.05, "half of the actions were right"


def test_a_verifier_errs_as_often_as_it_says():
    found = played(World(0.5, missed=0.25, invented=0.1), seeds=4000)
    passed = (found.action == 0).all(-1)
    assert abs(found.outcome[passed].mean() - 0.75) < 0.05
    assert abs(found.outcome[~passed].mean() - 0.1) < 0.01


def test_one_update_is_the_policy_gradient():
    """The same update, trajectory by trajectory, with A of GRPO worked out here."""
    world, rate = World(0.5), 0.5
    seeds = 3
    got = learned(method("grpo"), world, seeds=seeds, updates=1)
    logits = np.zeros((seeds, 5, 4))
    logits[..., 0] = np.log(3.0)
    p = softmax(logits)
    found = play(world, p, np.random.default_rng(0))
    for b in range(seeds):
        r = found.outcome[b]
        spread = r.std(ddof=1)
        a = (r - r.mean()) / (spread + 1e-6) if spread else np.zeros(8)
        for g in range(8):
            for h in range(5):
                score = -p[b, h]
                score[found.action[b, g, h]] += 1
                logits[b, h] += rate / 8 * a[g] * score
    np.testing.assert_allclose(got, softmax(logits)[..., 0].prod(-1), rtol=1e-9)


@pytest.mark.slow
def test_the_page_says_what_the_command_finds():
    of, options = ARMS[ROUTED]
    found = mean(learned(method(of, **options), World(0.3, 0.3), seeds=SEEDS, updates=UPDATES))
    line = next(each for each in PAGE.read_text().splitlines() if each.startswith(f"| {ROUTED} |"))
    said = f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    assert line.split(" | ")[2] == said, "run python tools/hint_errors.py"
