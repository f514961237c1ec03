"""[schedule]: what fits together, and what a plan says."""

import json

import pytest

from assay.errors import AssayError, DataError, UsageError
from assay.schedule.settings import Schedule

TWO = ("lookup/even", "lake/even")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"order": TWO}, "got mode=uniform with order; expected no order, weights or plan"),
        ({"mode": "fixed"}, "got mode=fixed with nothing else; expected order or weights or"),
        ({"mode": "fixed", "order": TWO, "weights": {"a": 1.0}}, "with order, weights; expected"),
        ({"mode": "fixed", "order": TWO, "whole": True}, "with order, whole; expected"),
        ({"mode": "exact"}, "got mode=exact with nothing else; expected plan or order and plan"),
        ({"mode": "exact", "order": TWO}, "mode=exact with order; expected plan"),
        ({"mode": "fixed", "weights": {"a": 0.0}}, "weights: all are 0"),
        ({"mode": "fixed", "weights": {"a": -1.0}}, "schedule.weights"),
        ({"guard": 1.0}, "schedule.guard: got 1"),
        ({"probe": 0}, "schedule.probe: got 0"),
    ],
)
def test_what_contradicts_itself_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        Schedule(**given)


@pytest.mark.parametrize(
    ("given", "domains", "said"),
    [
        ({"mode": "fixed", "order": TWO}, ("lake/even",), "got fixed, and one domain, lake/even"),
        ({"guard": 0.5}, ("lake/even",), "schedule.guard: got 0.5, and one domain"),
        ({"mode": "fixed", "order": ("lake/evn",)}, TWO, "Did you mean 'lake/even'"),
        ({"mode": "fixed", "weights": {"report": 1.0}}, TWO, "'report' is no domain of the run"),
        (
            {"mode": "exact", "plan": "x", "order": ("lake/even",)},
            TWO,
            "plan: orders lake/even; expected the domains of the run, lookup/even, lake/even",
        ),
    ],
)
def test_domains_that_are_not_there_are_refused(given, domains, said):
    with pytest.raises(AssayError, match=said):
        Schedule(**given).check(domains)


def test_a_run_of_one_domain_needs_nothing():
    Schedule().check(("lake/even",))
    Schedule(mode="fixed", order=TWO).check(TWO)


def test_the_order_of_a_plan_is_read_once(tmp_path):
    plan = tmp_path / "schedule.json"
    plan.write_text(json.dumps({"schema": "assay.schedule/1", "order": ["b", "a"]}))
    for path in (plan, tmp_path):
        asked = Schedule(mode="exact", plan=str(path))
        made = asked.resolved()
        assert made == Schedule(mode="exact", plan=str(path), order=("b", "a"))
        plan_gone = made.resolved()
        assert plan_gone == made
    assert Schedule().resolved() == Schedule()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"no plan \(No such file"),
        ("{", "no plan"),
        ("[1]", "no plan"),
        ('{"schema": "assay.schedule/1"}', "no plan .'order'"),
        ('{"schema": "assay.eval/1", "order": []}', "schema 'assay.eval/1'; expected"),
    ],
)
def test_what_is_no_plan_is_refused(content, said, tmp_path):
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=said):
        Schedule(mode="exact", plan=str(path)).resolved()
