"""Each reason in words, on a set small enough to give them by hand."""

from typing import Any

import numpy as np
import pytest

from assay.audit import step_credit
from assay.batch import Batch
from assay.credit import METHODS, credit, method
from assay.gate import gate
from assay.records import Decision
from assay.report.reasons import CODES, About, Evidence, codes, options, sentence
from tests.credit.test_contract import WORLD
from tests.report.samples import WRONG, attempt, mixed_set


def about(**changes: Any) -> About:
    given = {
        "outcome": 0.0,
        "passed": False,
        "scored": 4,
        "passes": 1,
        "mean": 0.25,
        "fate": "mixed",
        "decision": Decision(trajectory="a", verdict="keep", gate="none", reason="ok"),
    }
    return About(**{**given, **changes})


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
    [
        ("up", {"passed": True, "outcome": 1.0},
         "Pushed up: this attempt passed, and 3 attempts of its group did not."),
        ("up", {"passed": True, "outcome": 1.0, "passes": 4}, "Pushed up: this attempt passed."),
        ("down", {}, "Pushed down: this attempt failed, and 1 attempt of its group passed."),
        ("down", {"passes": 0, "outcome": 0.1, "mean": 0.2},
         "Pushed down: its outcome 0.1 is below the group's mean 0.2."),
        ("down", {"passes": 0, "outcome": 0.0, "mean": 0.0}, "Pushed down: this attempt failed."),
        ("up_failed", {"outcome": 0.5, "mean": 0.25},
         "Pushed up: its outcome 0.5 is above the group's mean 0.25."),
        ("up_failed", {}, "Pushed up although the attempt failed: the terms say why."),
        ("down_correct", {},
         "Pushed down with its failed attempt, although its call is correct by evidence."),
        ("down_passed", {}, "Pushed down although the attempt passed: the terms say why."),
        ("dead", {"fate": "all_fail"}, "Nobody compared: the group is dead (all 4 attempts fail)."),
        ("dead", {"fate": "all_pass"}, "Nobody compared: the group is dead (all 4 attempts pass)."),
        ("dead", {"fate": "constant_partial", "outcome": 0.5},
         "Nobody compared: the group is dead (all 4 attempts have the same outcome, 0.5)."),
        ("dead", {"fate": "single"},
         "Nobody compared: the group is dead (it has one scored attempt)."),
        ("uncarried", {}, "This method credits nothing to this step."),
        ("unscored", {}, "Nobody scored this attempt, so nothing is credited."),
        ("dropped", {"decision": Decision(trajectory="a", verdict="drop", gate="duplicates",
                                          reason="duplicate", detail="same as b")},
         "Left out by the gate duplicates (duplicate, same as b)."),
        ("untrainable_drifted", {},
         "No gradient may flow here: its tokens are not the ones that were sampled."),
    ],
)  # fmt: skip
def test_sentences(code: str, changes: dict[str, Any], expected: str):
    assert sentence(code, about(**changes)) == expected


def test_every_code_has_a_sentence():
    assert all(sentence(code, about()).endswith(".") for code in CODES)


def test_codes_of_the_mixed_set():
    batch = Batch.of(mixed_set())
    batch = batch.gated(gate(batch))
    advantages = credit(batch, method("grpo"))
    step_S = step_credit(batch, advantages).advantage_S
    # groups in order of appearance: mixed, fails, passes, lost; all but the first are dead
    found = codes(batch, step_S, batch.outcome_K >= 1.0, np.array([False, True, True, True]))
    assert [CODES[code] for code in found] == [
        *("up", "up", "up"),  # mixed/0
        *("down_correct", "down", "down"),  # mixed/1: look is right, the wrong booking is not
        *("down_correct", "down"),  # mixed/2
        *("dead", "dead"),  # fails/0
        *("dead", "dead"),  # fails/1
        *("dead", "dead"),  # passes/0
        *("dead", "dead"),  # passes/1
        *("unscored", "unscored"),  # lost/0: stopped by infrastructure
    ]


def test_evidence_names_the_sibling_and_the_step():
    batch = Batch.of(mixed_set())
    evidence = Evidence(batch, batch.outcome_K >= 1.0)
    # model steps: mixed/0 has S 0..2, mixed/1 has S 3..5
    assert evidence.of(0, 0) == [
        {"code": "unconfirmed", "call": 0, "text": "it ran, and no expert makes this call"}
    ]
    assert evidence.of(1, 0) == [
        {"code": "expert", "call": 0, "text": "an expert action of this task"}
    ]
    assert evidence.of(3, 1) == [
        {
            "code": "sibling",
            "call": 0,
            "text": "same call occurs in sibling mixed/0 (passed), step 2",
            "trajectory": 0,
            "step": 2,
        }
    ]
    assert evidence.of(4, 1) == [
        {"code": "error", "call": 0, "text": "its observation is an error"}
    ]
    assert evidence.of(5, 1) == []


def test_evidence_never_points_at_the_call_itself():
    batch = Batch.of(mixed_set())
    evidence = Evidence(batch, batch.outcome_K >= 1.0)
    # passes/0 (K 5, S 12..13) and passes/1 (K 6, S 14..15) make the same call, and both pass
    assert evidence.of(12, 5)[0]["trajectory"] == 6
    assert evidence.of(14, 6)[0]["trajectory"] == 5


def test_a_call_that_did_not_run_is_not_correct_whoever_makes_it_too():
    # the same call, answered by an error in the attempt that passed and in the one that failed
    batch = Batch.of([attempt(n, "g", 1.0 - n, [WRONG], "Done.") for n in range(2)])
    assert batch.sibling_C.tolist() == [-1, 1]
    assert batch.correct_C.tolist() == [0, 0]


@pytest.mark.parametrize("name", METHODS.names())
def test_how_a_term_makes_its_part_has_words_for_every_method(name: str):
    for term in method(name).terms(WORLD):
        said = options(term)
        assert (said["baseline"] == "") == (term.baseline == "none")
        assert (said["scale"] == "") == (term.scale == "none")


def test_a_mean_by_length_and_the_root_of_a_variance_are_said():
    (term,) = method("reinforce_plus_plus").terms(WORLD)
    said = options(term)
    assert said["baseline"] == "the mean of its peers, each by its length"
    assert said["scale"] == "the root of its peers' variance (ddof 1) plus 1e-08"
