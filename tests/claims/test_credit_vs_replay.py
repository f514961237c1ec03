"""Credit against replay: cells in small, what is read of rows, and the page."""

import pytest

from assay.claims import Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.page import page, summary
from claims import credit_vs_replay as experiment

TINY = Scale(name="quick", steps=3, prompts=3, held_out=3, samples=4, seeds=1)


def row(env: str, seed: int, gap: float | None, arm: str = "chains") -> Row:
    """A log in which one method is `gap` over its shuffled control in both metrics."""
    numbers = {"value": 0.5, "shuffled": 0.5, "random": 0.5, "over_shuffled": gap}
    metrics = dict.fromkeys(("auroc_matters", "auroc_sign", "rank", "sign"), numbers)
    truth = {
        "decisions": 9,
        "tasks": 3,
        "matters": 0.5,
        "verdicts": {"good": 3, "bad": 1, "open": 5, "unscored": 0},
        "methods": {"hgpo": {"decisions": 9, **metrics, "bias": 0.1}},
        "evidence": {},
    }
    cell = Cell(env=env, start="strong", arm=arm, seed=seed)
    about = {"scale": "full", "truth": truth, "refused": {}}
    return Row(cell.data(), {"0": [1, 2, 4]}, 4, seconds=60.0, about=about)


def seen(rows, envs=("lookup",)):
    return experiment.over(Rows(rows), "methods", "hgpo", "auroc_sign", envs, "chains")


def test_gaps_are_means_over_environments_and_then_over_logs():
    rows = [row("lookup", 1, 0.1), row("lookup", 2, 0.3), row("lake", 1, 0.3), row("lake", 2, None)]
    found = seen(rows)
    assert found is not None
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.2)
    # seed 1: (.1 + .3) / 2; seed 2 knows lookup alone: .3
    found = seen(rows, ("lookup", "lake"))
    assert found is not None
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.25)
    assert seen(rows, ("twenty",)) is None


def test_the_first_line_names_what_stands_above_its_control():
    above = Rows([row("lookup", n, 0.1 + n / 1000) for n in (1, 2, 3)])
    text = page(experiment.EXPERIMENT, above, {})
    assert "- hgpo: lookup, steps that matter +0.10; lookup, good against bad +0.10" in text
    assert "2 intervals were looked at" in text
    below = Rows([row("lookup", n, -0.1 - n / 1000) for n in (1, 2, 3)])
    assert "No method stands above its own credit" in page(experiment.EXPERIMENT, below, {})
    verdicts = {each["id"]: each["verdict"] for each in summary(experiment.EXPERIMENT, above)[
        "predictions"]}  # fmt: skip
    assert verdicts["R3"] == "not run"  # it asks for all four environments


@pytest.mark.slow
def test_a_cell_is_a_log_its_decisions_and_what_every_method_says_of_them(tmp_path):
    cell = Cell(env="lookup", start="strong", arm="trees", seed=1)
    made = experiment.work(cell, TINY, tmp_path)
    truth = made.about["truth"]
    assert truth["decisions"] == 3
    assert {"tree_grpo", "srl", "hcapo", "igpo", *experiment.OPTIONS} <= set(truth["methods"])
    assert len(made.passed["0"]) == 3
    before = (tmp_path / cell.key / "decisions.jsonl").read_bytes()
    again = experiment.work(cell, TINY, tmp_path)
    assert again.about == made.about
    assert (tmp_path / cell.key / "decisions.jsonl").read_bytes() == before
