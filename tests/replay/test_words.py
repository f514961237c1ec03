"""What a replay says of itself: in which order, how many digits, and what is in the page alone."""

from typing import Any

import pytest

from assay.replay.words import (
    above,
    differing,
    headline,
    left_out,
    page,
    sentences,
    signed,
    table,
)
from assay.report.replay import rounded

NAMES = ("auroc_matters", "auroc_sign", "rank", "sign", "bias")


def number(value: float | None, low: float | None = None, high: float | None = None):
    return {"value": value, "low": low, "high": high}


def judged(value: float, low: float, high: float) -> dict[str, Any]:
    cells = {"value": number(0.9, 0.8, 1.0), "shuffled": number(0.5), "random": number(0.5)}
    cells["over_shuffled"] = number(value, low, high)
    return {"decisions": 10, "matter": 4, **dict.fromkeys(NAMES, cells)}


def result(**methods: dict[str, Any]) -> dict[str, Any]:
    return {
        "methods": methods,
        "evidence": {"ran": judged(0.2, -0.1, 0.5)},
        "refused": {"carl": "carl needs nodes, and no step has one: trees have them"},
        "matters": number(0.25),
        "verdicts": {"good": 2, "bad": 2, "open": 6, "unscored": 0},
        "half_width": 0.25,
        "scored": 10,
        "tasks": 12,
        "asked": {"samples": 8},
    }


FOUND = result(
    grpo=judged(0.0, 0.0, 0.0), low=judged(-0.3, -0.5, -0.1), high=judged(0.0094, 0.00047, 0.0183)
)


def test_the_best_come_first_and_what_no_order_changes_last():
    assert [row[0] for row in table(FOUND, "rank")] == ["evidence ran", "high", "low", "grpo"]
    assert [row[0] for row in differing(FOUND, "rank")] == ["evidence ran", "high", "low"]
    assert table(FOUND, "rank")[-1][-1] == "constant in time"


def test_n_is_of_those_that_the_metric_is_of():
    assert {row[1] for row in table(FOUND, "auroc_matters")} == {"10"}
    assert {row[1] for row in table(FOUND, "auroc_sign")} == {"4"}


def test_what_stands_above_zero_does_not_look_like_it():
    assert [name for name, _, _ in above(FOUND)] == ["high", "high"]
    assert "high in good against bad (+0.0094 [+0.0005, +0.0183])" in headline(FOUND)
    assert table(FOUND, "rank")[1][-1] == ".0094 [.0005 .0183]"
    assert signed(-0.001, -0.25, 0.25) == "+0.00 [-0.25, +0.25]"
    assert signed(0.25, None, None) == "+0.25"


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_a_tree_method_that_is_constant_in_time_is_said_to_be_so(gap: float):
    said = " ".join(sentences(result(tree_grpo=judged(gap, gap, gap))))
    assert ("-m tree_grpo:prefix_mode=dedup_sum" in said) == (gap == 0.0)


def test_an_interval_without_width_is_none():
    still = judged(0.5, 0.5, 0.5)
    assert table(result(a=still), "rank")[0][-1] == ".50"


@pytest.mark.parametrize("value", [0.054985, 0.0549999, 0.125, 0.375, -0.004996])
def test_the_pages_round_once_and_as_the_command_line_does(value: float):
    shown = rounded(number(value, -0.5, 0.5))["value"]
    assert f"{shown:+.2f}" == signed(value, -0.5, 0.5).partition(" ")[0]


def test_the_page_holds_all_and_names_a_method_once():
    text = page(FOUND)
    assert text.startswith("# Credit against replay\n\nAbove their own credit")
    assert text.count("\n| grpo | ") == len(NAMES)
    assert "AUROC of \\|credit\\|\n" in text
    assert text.endswith("## Not compared\n\n- carl: needs nodes, and no step has one: trees have "
                         "them\n")  # fmt: skip
    assert left_out(FOUND) == "1 methods are constant in time and 1 are not compared"
    assert left_out({**FOUND, "methods": {}, "refused": {}}) == ""
