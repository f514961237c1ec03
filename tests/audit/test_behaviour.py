"""What is said of a log without outcomes, counted by hand."""

from assay.audit.behaviour import behaviour, repeats
from assay.batch import Batch
from assay.records import Call, CallEvidence, ModelStep, Step, ToolStep, Trajectory


def did(name: str, *turns: tuple[str, str | None] | str, **fields) -> Trajectory:
    """A trajectory of (call, answer) turns, an answer None where there is none, and of texts."""
    steps: list[Step] = []
    for turn in turns:
        if isinstance(turn, str):
            steps.append(ModelStep(text=turn))
            continue
        called, answered = turn
        evidence = CallEvidence(state=False) if called == "off" else CallEvidence()
        steps.append(ModelStep(calls=(Call(name=called, arguments="{}", evidence=evidence),)))
        if answered is not None:
            steps.append(ToolStep(text=answered, call=(len(steps) - 1, 0)))
    return Trajectory(id=name, task=name, group=name, steps=tuple(steps), **fields)


ERROR = "Error: no such file"
LOG = [
    # the second look is a repeat, the third is answered differently
    did("a", ("look", "x"), ("look", "x"), ("look", "y"), "Done.", claim="claimed"),
    # three in a row: error, error, repeat of the first look; then one alone, and no more
    did("b", ("look", "x"), ("go", ERROR), ("go", "Error: other"), ("look", "x"), ("go", "z"),
        ("look", "x"), claim="claimed"),
    # four errors in a row, of which three repeat the first
    did("c", *[("go", ERROR)] * 4, claim="claimed"),
    did("d", ("off", "fine"), ("wait", None), claim="admitted"),
    did("e", "All done.", claim="claimed"),
    did("f", ("wait", None), ("wait", None), claim="claimed"),
    did("g", ("off", "fine"), claim="claimed"),
]  # fmt: skip


def test_a_repeat_is_the_same_call_answered_the_same_in_its_trajectory():
    found = repeats(Batch.of(LOG)).tolist()
    assert found == [
        *(False, True, False),
        *(False, False, False, True, False, True),
        *(False, True, True, True),
        *(False, False),  # an unanswered call repeats nothing
        *(False, False),
        False,
    ]


def test_every_call_is_counted_once_by_its_evidence():
    found = behaviour(Batch.of(LOG))
    assert found["calls"] == {
        "error": 6,
        "state": 0,
        "expert": 0,
        "sibling": 0,
        "ran": 9,  # 3 of a, 4 of b, d's and g's first
        "unknown": 3,
    }
    assert found["errors"] == {"calls": 6, "trajectories": 2}
    assert found["repeats"] == {"calls": 6, "trajectories": 3}


def test_stalls_are_the_longest_stretches_of_each_trajectory():
    found = behaviour(Batch.of(LOG))["stalls"]
    assert found == {
        "trajectories": 2,
        "calls": 7,
        "longest": [
            {"id": "c", "trajectory": 2, "step": 0, "length": 4, "errors": 4},
            {"id": "b", "trajectory": 1, "step": 2, "length": 3, "errors": 2},
        ],
    }


def test_a_stretch_ends_with_its_trajectory():
    two = [did("a", *[("go", ERROR)] * 2), did("b", *[("go", ERROR)] * 2)]
    assert behaviour(Batch.of(two))["stalls"] == {"trajectories": 0, "calls": 0, "longest": []}


def test_claims_against_what_the_last_call_came_to():
    assert behaviour(Batch.of(LOG))["claims"] == {
        "none": 0,
        "claimed": 6,
        "admitted": 1,
        "claimed_without_call": 1,  # e
        "claimed_after_error": 1,  # c
        "claimed_after_repeat": 1,  # b
        "claimed_off_path": 1,  # g
        "claimed_unanswered": 1,  # f
    }


def test_what_it_took():
    # steps 4, 6, 4, 2, 1, 2, 1; calls 3, 6, 4, 2, 0, 2, 1; characters: "Done." 5 and 3 calls of
    # "look{}" 18; 3 of 6 and 3 of 4; 4 of 4; 5 and 6; "All done." 9; 2 of 6; 5
    assert behaviour(Batch.of(LOG))["cost"] == {
        "steps": {"total": 20, "median": 2.0, "most": 6},
        "calls": {"total": 18, "median": 2.0, "most": 6},
        "characters": {"total": 23 + 30 + 16 + 11 + 9 + 12 + 5, "median": 12.0, "most": 30},
    }


def test_nothing_at_all():
    found = behaviour(Batch.of([]))
    assert found["cost"]["steps"] == {"total": 0, "median": 0.0, "most": 0}
    assert found["stalls"]["longest"] == []
