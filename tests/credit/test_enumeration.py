"""The page on expected updates is what its command writes, and says what it says for a reason."""

import numpy as np
import pytest
from tools.enumeration import (
    KINDS,
    PAGE,
    WORLDS,
    chains,
    groups,
    measured,
    names_of,
    of_belief,
    page,
    row,
    trees,
    updates,
)

WORLD = next(iter(WORLDS.values()))
GRADIENT = WORLD.gradient(lambda _, outcome: outcome)


@pytest.fixture(scope="module")
def of():
    return groups(WORLD, chains(WORLD))


def test_everything_that_can_happen_is_there_once(of):
    assert sum(WORLD.chance(kind) for kind in KINDS) == pytest.approx(1.0, abs=1e-12)
    assert of.chance_G.sum() == pytest.approx(1.0, abs=1e-12)
    alone = groups(WORLD, trees(WORLD, 1))
    assert alone.chance_G.sum() == pytest.approx(1.0, abs=1e-12)
    # a branch from a node of a chain of n steps, from 0 to n - 1 with equal chance, saves that many
    steps = sum(WORLD.chance(kind) * (min(kind[0], 2) + 1) for kind in KINDS)
    assert steps < alone.chance_G @ alone.steps_G < 2 * steps
    # finite differences of the chance to pass
    for t in range(3):
        up, down = (
            type(WORLD)(
                tuple(x + sign * 1e-5 * (i == t) for i, x in enumerate(WORLD.theta)), WORLD.passes
            )
            for sign in (1, -1)
        )
        assert (up.value(0) - down.value(0)) / 2e-5 == pytest.approx(GRADIENT[t], abs=1e-9)


@pytest.mark.parametrize("name", ["grpo", "rloo", "ms_grpo", "delta_belief"])
def test_a_row_of_the_page_is_what_comes_out(of, name):
    assert row(measured(of, updates(of, name, {}), GRADIENT, name)) in PAGE.read_text().splitlines()


def test_beliefs_compared_turn_by_turn_are_biased_and_ours_are_not(of):
    rows = of_belief(WORLD, of)
    lines = PAGE.read_text().splitlines()
    assert all(each in lines for each in rows)
    cosine = {each.split("|")[1].strip(): float(each.split("|")[4]) for each in rows}
    assert cosine["unbiased, lam 1"] == cosine["unbiased, lam 0.1"] == 1.0
    assert cosine["paper, lam 1"] < 0.9
    assert cosine["repo, lam 1"] < 0.98

    def gain(went, t):
        before = np.log(WORLD.value(0)) if t == 0 else WORLD.belief(went, t - 1)
        return max(WORLD.belief(went, t) - before, 0.0)

    exact = WORLD.gradient(
        lambda went, r: r + 0.1 * sum(gain(went, t) for t in range(min(went, 2) + 1))
    )
    options = {"turn_cost": 0.0, "lam": 0.1}
    update = of.chance_G @ updates(of, "delta_belief", options)
    np.testing.assert_allclose(update, 0.75 * exact, atol=1e-12)  # (G - 1) / G


def test_every_registered_method_is_looked_at():
    text = PAGE.read_text()
    for name in {*names_of(False), *names_of(True)}:
        again = "run python tools/enumeration.py"
        assert f"\n| {name} |" in text or f"Does not run here: {name}:" in text, again


@pytest.mark.slow
def test_the_page_is_what_the_command_writes():
    assert PAGE.read_text() == page()
