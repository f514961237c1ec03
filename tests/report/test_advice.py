"""Why groups teach nothing and what to do: counts as an audit has them, sentences by hand."""

from typing import Any

from assay.report.advice import advice

TASKS = "Take several trajectories of each task, or say with --group what those of one task share."
KINDS = ("unscored", "infrastructure", "punished_correct")


def audit(scored: int = 8, lost: int = 0, infra: int = 0, **groups: int) -> dict[str, Any]:
    """Groups by fate as named, what is not named 0; `lost` trajectories have no outcome."""
    fates = ("mixed", "all_fail", "all_pass", "constant_partial", "single", "unscored", "graded")
    counts = {fate: groups.get(fate, 0) for fate in fates}
    return {
        "groups": {**counts, "total": groups["total"], "dead": groups["dead"]},
        "trajectories": {"total": scored + lost, "scored": scored, "unscored": lost},
        "trust": {"infra_share": infra / (scored + lost)},
        "measure": "tokens",
        "fate": {
            **{fate: {"tokens": groups.get(fate, 0)} for fate in KINDS},
            "truncated": {"trajectories": groups.get("cut", 0), "tokens": groups.get("long", 0)},
            "dead": {"tokens": 100},
        },
        "calls": {"punished_systematic": groups.get("wrong", 0)},
        "recovered": {"grpo": {}, "reinforce": {}, "ebpo": {}},
    }


def test_each_reason_is_said_with_its_groups_the_most_first():
    # 10 groups: 1 mixed, 4 fail of which 1 is ranked, 2 pass (both dead), 2 single, 1 unscored
    found = advice(
        audit(total=10, dead=8, mixed=1, all_fail=4, graded=1, all_pass=2, single=2, unscored=1)
    )
    assert found["verdict"] == (
        "8 of 10 groups teach GRPO nothing: it compares the trajectories of a group, and their "
        "outcomes do not differ."
    )
    assert [(why, fate) for why, _, fate in found["rows"]] == [
        ("In 3 of 10 groups every trajectory fails.", "all_fail"),
        ("In 2 of 10 groups every trajectory passes.", "all_pass"),
        ("In 2 of 10 groups one trajectory alone has an outcome.", "single"),
        ("In 1 of 10 groups no trajectory has an outcome.", "unscored"),
    ]
    assert found["rows"][2][1] == f"{TASKS} Or take a method that needs none: reinforce or ebpo."


def test_groups_that_were_rescued_are_not_told_to_be_rescued():
    failed = audit(total=3, dead=2, mixed=1, all_fail=2)
    failed["trajectories"]["rescued"] = 2
    assert advice(failed)["rows"] == [
        (
            "In 2 of 3 groups every trajectory fails.",
            "2 trajectories were rescued there; the report's pages Dead groups and Over the run "
            "say what came of it.",
            "all_fail",
        )
    ]


def test_a_log_that_teaches_nothing_at_all():
    found = advice(audit(total=1, dead=1, constant_partial=1))
    assert found["verdict"].startswith("GRPO learns nothing from this log: ")
    assert found["verdict"].endswith("in its one group outcomes do not differ.")
    why, do, _ = found["rows"][0]
    assert why == "In the one group none passes, and all have the same outcome above 0."
    assert do == "Name an outcome that tells them apart with --outcome."


def test_what_infrastructure_stopped_needs_no_outcome_named():
    stopped = advice(audit(scored=2, lost=3, infra=3, total=2, dead=1, mixed=1, unscored=1))
    why = "In 1 of 2 groups no trajectory has an outcome."
    assert stopped["rows"][0][:2] == (why, "Infrastructure stopped them all.")
    assert stopped["rows"][1][:2] == (
        "3 of 5 trajectories were stopped by infrastructure.",
        "Mend the harness: they count nowhere.",
    )
    some = advice(audit(scored=2, lost=3, infra=2, total=2, dead=1, mixed=1, unscored=1))
    assert "--outcome" in some["rows"][0][1]


def test_budgets_and_right_calls_are_named_where_all_groups_teach():
    found = advice(audit(total=2, dead=0, mixed=2, cut=1, wrong=3))
    assert found["verdict"] == ""
    assert [row[0] for row in found["rows"]] == [
        "1 of 8 trajectories was pushed down and cut off by its own budget.",
        "3 calls are pushed down though evidence says that they are right, and nothing shows that "
        "this averages out.",
    ]


def test_what_costs_most_of_what_was_written_comes_first():
    # 100 tokens in dead groups, 101 in what the budget cut off; 2 right calls, of which 0 tokens
    found = advice(audit(total=2, dead=1, all_fail=1, mixed=1, cut=1, long=101, wrong=2))
    assert [row[0].split()[0] for row in found["rows"]] == ["1", "In", "2"]
    found = advice(audit(total=2, dead=1, all_fail=1, mixed=1, cut=1, long=99, wrong=2))
    assert [row[0].split()[0] for row in found["rows"]] == ["In", "1", "2"]


def test_nothing_is_advised_where_nothing_is_in_the_way_or_nobody_scored():
    assert advice(audit(total=2, dead=0, mixed=2))["rows"] == []
    assert advice(audit(scored=0, lost=3, total=1, dead=1))["rows"] == []
