"""What `benchmarks/rollouts.py` counts, by hand; its page, from its committed numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import rollouts

from assay.records import Mark
from tests.credit.worlds import answer, batch_of, one, turn

ROOT = Path(__file__).parents[2]


def test_a_rank_breaks_ties_by_chance():
    # lowest first: 0 is the second of four; two below three are tied with it
    assert rollouts.ranked(np.array([1.0, 0.0, 2.0, 3.0]), 0) == (0.0, 1.0, 1 / 4)
    # of four equal ones it is first with 1/4, among three with 3/4; distances 0 1 2 3 of 4
    assert rollouts.ranked(np.zeros(4), 0) == (0.25, 0.75, 1.5 / 4)


def test_the_first_write_off_the_path_and_the_expert_s_steps():
    def wrote(name, right):
        step = turn(None, expert=[right])
        call = step.calls[0]
        return type(step)(
            text=step.text,
            token_ids=step.token_ids,
            calls=(type(call)(name=name, arguments="{}", start=call.start, end=call.end,
                              evidence=call.evidence),),
        )  # fmt: skip

    steps = [wrote("get_user", False), wrote("book_it", True), answer(), wrote("cancel_it", False),
             wrote("update_it", False), turn()]  # fmt: skip
    failed, passed = one(0.0, steps=steps), one(1.0, steps=steps)
    batch = batch_of([failed, passed])
    label = rollouts.leaving([failed, passed], batch)
    np.testing.assert_array_equal(label[:5], [1, 1, 0, 1, 1])
    assert np.isnan(label[5:]).all()  # it passed
    np.testing.assert_array_equal(rollouts.expert_steps(batch)[:4], [0, 1, 0, 0])
    assert np.isnan(rollouts.expert_steps(batch)[4])  # calls nothing


def test_the_mistake_is_found_by_the_step_that_it_marks():
    marked = one(0.0, steps=[turn(), answer(), turn()], marks=(Mark(kind="mistake", step=2),))
    assert list(rollouts.mistakes([marked], batch_of([marked]))) == [(slice(0, 2), 1)]


def test_the_page_is_what_its_numbers_say():
    seen = json.loads((ROOT / "benchmarks" / "results" / "rollouts.json").read_bytes())
    assert (ROOT / "docs" / "rollouts.md").read_text(encoding="utf-8") == rollouts.page(seen)


@pytest.mark.shared_data
@pytest.mark.slow
def test_the_numbers_are_those_of_the_logs():
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"{data} is not there: real rollouts are not part of the repository")
    seen = json.loads((ROOT / "benchmarks" / "results" / "rollouts.json").read_bytes())
    now = json.loads(json.dumps(rollouts.measured(data)))
    assert now["peers"] == pytest.approx(seen["peers"])
    assert now["all_fail"]["groups"] == seen["all_fail"]["groups"] == 14
