"""What a rubric did to a batch, in the log of a step: by hand."""

from dataclasses import replace

import pytest

from assay.credit.statistics import updated
from assay.recipes import Recipe
from assay.records import ModelStep, Rescue
from assay.signal import signal
from tests.credit.worlds import batch_of, one
from tests.gate.test_rubric import FIRST, recipe, some


def facts(records, **rubric):
    found = signal(records, recipe(**rubric)).facts()
    return {name: value for name, value in found.items() if name.startswith("rubric/")}


def test_groups_that_are_rejected_by_reason():
    records = [
        *some([0.9, 0.4], [0.0, 1.0], group="a"),
        *some([0.9, 0.4], [0.0, 0.0], group="b"),
        *some([0.5, 0.5], [1.0, 1.0], group="c"),
        *some([0.9, 0.4, 0.3], [None, 1.0, 0.0], group="d"),
        one(None, group="e", id="x", end="infra", rewards={"r3": 1.0}),
    ]
    # four groups have a trajectory left by the other gates, of nine one is not judged
    assert facts(records, floor=0.1) == {
        "rubric/rejected": 0.5,
        "rubric/rejected/no_pass": 0.25,
        "rubric/rejected/flat": 0.25,
        "rubric/unjudged": pytest.approx(1 / 9),
        "rubric/failed": 0.0,
    }
    # the first of the group is not judged, the other fails
    assert facts(some([0.9, 0.4], [None, 0.0]))["rubric/rejected"] == 1.0
    assert facts(FIRST, mode="drop")["rubric/failed"] == 0.25
    assert facts([]) == {"rubric/rejected": 0.0, "rubric/unjudged": 0.0, "rubric/failed": 0.0}
    plain = signal(FIRST, Recipe.of("grpo")).facts()
    assert not any(name.startswith("rubric/") for name in plain)


def test_what_is_newly_credited_and_rejected_by_a_panel():
    def batch(verdicts, panel, known):
        records = [
            one(None, id=f"{k}", rewards={"r3": k / 10, "rubric:a": v, "panel:a": p})
            for k, (v, p) in enumerate(zip(verdicts, panel, strict=True))
        ]
        made = signal(replace(batch_of(records), statistics=known), recipe())
        return made.facts().get("rubric/exploited"), dict(updated(made.batch))

    # two are credited, one of them the panel rejects
    rate, known = batch([1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0], {})
    assert (rate, known["credited a"]) == (0.5, 0.5)
    # half were credited before: of .5 + .5 + .5 the panel rejects .5; where it has no word nothing
    rate, known = batch([1.0, 1.0, 1.0, None, 1.0], [1.0, 0.0, 1.0, 1.0, None], known)
    assert (rate, known["credited a"]) == (pytest.approx(1 / 3), 1.0)
    # all were: nothing is new, and the last number stays
    assert batch([1.0, 1.0], [0.0, 0.0], known)[0] == pytest.approx(1 / 3)


def test_the_gap_of_what_was_sampled_with_help():
    step = ModelStep(text="ab", token_ids=(1, 2), logprobs=(-1.2, -0.9), helped=(-1.0, -0.8))
    helped = one(None, steps=[step], rewards={"r3": 0.5, "rubric:a": 1.0}, id="h",
                 rescue=Rescue(rung="self_hint", of="g0"))  # fmt: skip
    # -.2 and -.1
    assert facts([*FIRST, helped])["rubric/gap"] == pytest.approx(-0.15)
