"""The section [skills]: when skills are shown, and which runs are refused."""

from typing import Any

import pytest

from assay.errors import UsageError
from assay.skills.settings import Skills


def free(**more: Any) -> dict[str, Any]:
    return {"alone": True, "corrected": False, "others": (), **more}


def test_exposure_is_whole_to_fade_and_falls_to_nothing_at_gone() -> None:
    """.8 to half of the training, then a line: .4 at .65, 0 from .8 on."""
    fading = Skills(bank="b", show=0.8, fade=0.5, gone=0.8)
    shown = [fading.shown(done) for done in (0.0, 0.5, 0.65, 0.8, 1.0)]
    assert shown == pytest.approx([0.8, 0.8, 0.4, 0.0, 0.0])
    assert [Skills().shown(done) for done in (0.0, 1.0)] == [0.8, 0.8], "never withdrawn"
    at_once = Skills(fade=0.5, gone=0.5)
    assert [at_once.shown(done) for done in (0.49, 0.5)] == [0.8, 0.0]


def test_a_bank_is_on_where_one_is_given_or_grows() -> None:
    assert [Skills().on, Skills(bank="b").on, Skills(every=1).on] == [False, True, True]
    assert Skills(most=3, budget=50, retrieval="embedding").shelf == {
        "most": 3, "budget": 50, "retrieval": "embedding"
    }  # fmt: skip


def test_tasks_that_candidates_are_tried_on_are_of_nobody_else() -> None:
    own = Skills(every=1, first_task=100, tasks=10)
    for other in (range(110, 120), range(90, 100)):
        own.check(**free(others=(other,)))
    for other in (range(109, 120), range(90, 101), range(1000)):
        with pytest.raises(UsageError, match=r"tried on tasks 100 to 109.*move skills\.first_task"):
            own.check(**free(others=(other,)))
    Skills(every=1, admit=False, first_task=100).check(**free(others=(range(200),)))
    Skills(bank="b", first_task=100).check(**free(others=(range(200),)))


def test_what_takes_rollouts_apart_or_trains_them_uncorrected_is_refused() -> None:
    with pytest.raises(UsageError, match="whole trajectories"):
        Skills(bank="b").check(**free(alone=False))
    Skills().check(**free(alone=False))
    bare = Skills(bank="b", train="bare")
    with pytest.raises(UsageError, match="importance=truncated"):
        bare.check(**free())
    bare.check(**free(corrected=True))
    with pytest.raises(UsageError, match="fade <= gone"):
        Skills(fade=0.5, gone=0.4).check(**free())
