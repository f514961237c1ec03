"""The state is read back, compared and watched; and what is drawn to be looked at."""

from collections import Counter

import pytest

from assay.records import Grade, Mark, Trajectory
from assay.verify import resolve
from assay.verify.drawing import drawn
from assay.verify.state import Asked, changed, checked

BEFORE = {"a.txt": "1", "b.txt": "2", "tests/t.py": "x", "logs/1": "l"}
ASKED = Asked({"a.txt": "9", "b.txt": None}, free=("logs/*",), forbidden=("tests/*",))
DONE = {"a.txt": "9", "tests/t.py": "x", "logs/1": "l", "logs/2": "m"}


def said(value, level="E1", by="j", more=(), **fields):
    fields = {"id": "a", "task": "t", "group": "t", "claim": "claimed", **fields}
    return Trajectory(grades=(Grade(level=level, value=value, source=by), *more), **fields)


def test_what_changed():
    assert changed(BEFORE, BEFORE) == []
    assert changed(BEFORE, DONE) == ["a.txt", "b.txt", "logs/2"]
    assert changed({}, {"x": ""}) == ["x"]


@pytest.mark.parametrize(
    ("after", "value", "reason"),
    [
        (DONE, 1.0, ""),
        ({**DONE, "a.txt": "1"}, 0.0, "a.txt is not what was asked for"),
        ({k: v for k, v in DONE.items() if k != "a.txt"}, 0.0, "a.txt is not there"),
        ({**DONE, "b.txt": "2"}, 0.0, "b.txt is still there"),
        ({**DONE, "c.txt": ""}, 0.0, "c.txt was added, and nobody asked for it"),
        ({**DONE, "tests/t.py": "y"}, 0.0, "tests/t.py was changed, and nobody asked for it"),
        ({**DONE, "logs/1": "changed"}, 1.0, ""),
        ({k: v for k, v in DONE.items() if k != "logs/1"}, 1.0, ""),
    ],
)
def test_the_state_decides_before_any_judge(after, value, reason):
    found = checked(said(1.0 - value), BEFORE, after, ASKED)
    assert found.grades[0] == Grade(level="E1", value=1.0 - value, source="j")
    assert found.grades[1] == Grade(level="E3", value=value, source="state", reason=reason)
    resolved = resolve(found, "claimed")
    if "tests" in reason:
        assert found.marks == (
            Mark(kind="tampered", text="tests/t.py was changed", source="state"),
        )
        assert (resolved.value, resolved.category) == (None, "tampered")
    else:
        assert found.marks == ()
        category = "true_success" if value else "false_success"
        assert (resolved.value, resolved.category, resolved.level) == (value, category, "E3")


def test_what_is_removed_and_forbidden_although_wanted():
    found = checked(said(1.0), {"x": "1", "y": "2"}, {"x": "1"}, Asked({"x": "1"}), "who")
    assert found.grades[1].reason == "y was removed, and nobody asked for it"
    assert found.grades[1].source == "who"
    asked = Asked({"tests/t.py": "y"}, forbidden=("tests/*",))
    found = checked(said(1.0), BEFORE, {**BEFORE, "tests/t.py": "y"}, asked)
    assert found.grades[1].value == 1.0
    assert resolve(found, "none").category == "tampered"


LOG = [
    *(said(1.0, id=f"yes{k}") for k in range(12)),
    *(said(1.0, id=f"claims{k}", claim="none") for k in range(3)),
    *(said(0.0, id=f"no{k}", by="i") for k in range(8)),
    said(1.0, level="E3", id="checked"),
    Trajectory(id="bare", task="t", group="t"),
    said(None, id="abstained"),
    said(1.0, id="crash", end="infra"),
    said(1.0, id="logged", outcome=0.0),
    said(1.0, id="both", outcome=1.0, more=(Grade(level="E3", value=1.0, source="s"),)),
]


def test_audits_are_drawn_apart_and_evenly():
    found = drawn(LOG, 10, seed=0)
    ids = Counter(LOG[k].id.rstrip("0123456789") for k in found)
    # five of the accepted, the strata in turn; five of the rejected
    assert ids == {"yes": 3, "claims": 2, "no": 5} or ids == {
        "yes": 3, "claims": 2, "no": 4, "logged": 1,
    }  # fmt: skip
    assert drawn(LOG, 10, seed=0) == found
    assert len({frozenset(drawn(LOG, 10, seed=s)) for s in range(5)}) > 1


def test_where_there_are_few_the_other_half_gets_the_rest():
    assert len(drawn(LOG, 100, seed=0)) == 15 + 9  # all that a judge decided, `logged` as well
    assert len(drawn(LOG, 20, seed=0)) == 20
    few = [*LOG[:2], *LOG[15:23]]
    assert len(drawn(few, 6, seed=0)) == 6
    assert drawn([], 3, seed=0) == drawn(LOG[23:26], 3, seed=0) == set()


def test_each_of_a_stratum_has_the_same_chance():
    times = Counter(k for seed in range(600) for k in drawn(LOG[:12], 3, seed=seed))
    # three of twelve, 600 times: 150 each, deviation sqrt(600*.25*.75) = 10.6
    assert len(times) == 12
    assert min(times.values()) > 150 - 5 * 10.6
    assert max(times.values()) < 150 + 5 * 10.6
