"""The simulated chain whose failures are blamed: its attempts by hand, and the page."""

import numpy as np

from assay.claims.cells import Scale
from assay.recipes import Recipe
from claims import blame as experiment
from tests.claims.pages import checked

TINY = Scale(name="quick", steps=3, held_out=1, samples=8, seeds=1)


def test_an_attempt_says_what_was_likely_right_and_hinted_at():
    p = np.full((5, 4), 0.25)
    p[1] = (0.5, 0.5, 0.0, 0.0)
    record = experiment.attempt(p, np.array([0, 1, 0, 2, 0]), np.random.default_rng(0), 0.0, 7)
    assert record.outcome == 0.0
    assert [step.calls[0].evidence.expert for step in record.steps] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert [len(step.hints) for step in record.steps] == [0, 1, 0, 0, 0]
    np.testing.assert_allclose(record.steps[1].logprobs, [np.log(0.5)])
    np.testing.assert_allclose([s.entropies[0] for s in record.steps[:2]], np.log([4, 2]))
    right = experiment.attempt(p, np.zeros(5, int), np.random.default_rng(0), 1.0, 7)
    assert right.outcome == 1.0
    assert not any(step.hints for step in right.steps)


def test_the_start_passes_as_often_as_is_said():
    nothing = Scale(name="quick", steps=0, held_out=1, samples=8, seeds=1)
    start = experiment.trained(Recipe.of("grpo"), nothing, np.random.default_rng(0), 0.0)
    np.testing.assert_allclose(start, experiment.RIGHT**5, atol=1e-12)


def test_every_arm_trains_and_is_the_same_again():
    for blame in ("none", "ntf", "even"):
        recipe = experiment.EVEN["grpo"] if blame == "even" else {"method": "grpo"}
        if blame == "ntf":
            recipe = {**recipe, "blame": "ntf"}
        first, second = (
            experiment.trained(Recipe.of(recipe), TINY, np.random.default_rng(1), 0.0)
            for _ in range(2)
        )
        assert first == second != experiment.RIGHT**5


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("blame")
    assert len(rows.rows) == 5 * len(experiment.METHODS) * len(experiment.BLAMES)
    assert {id for id, verdict in verdicts.items() if verdict != "held"} == {"B4"}
