from itertools import product
from math import comb

import numpy as np
import pytest

from assay.errors import DataError
from assay.evaluate.null import discoveries, expansion, fisher_greater


def test_fisher_by_counting() -> None:
    # the definition, in whole numbers: all tables with the same margins and at least as many passes
    for total, baseline_total in ((3, 4), (6, 2)):
        for c, b in product(range(total + 1), range(baseline_total + 1)):
            tables = {
                x: comb(total, x) * comb(baseline_total, c + b - x)
                for x in range(total + 1)
                if 0 <= c + b - x <= baseline_total
            }
            exact = sum(n for x, n in tables.items() if x >= c) / sum(tables.values())
            p = fisher_greater(np.array([c]), total, np.array([b]), baseline_total)
            assert p[0] == pytest.approx(exact)


def test_one_success_after_none_is_no_news() -> None:
    # 1 of 64 against 0 of 128: p = 64/192 = 1/3; 8 of 64 against 0 of 128:
    # C(64,8)/C(192,8) = .0001 or so
    p = fisher_greater(np.array([1, 8]), 64, np.array([0, 0]), 128)
    assert p[0] == pytest.approx(1 / 3)
    assert p[1] == pytest.approx(comb(64, 8) / comb(192, 8))


def test_counts_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match=r"passed must lie in \[0, 4\]"):
        fisher_greater(np.array([5]), 4, np.array([0]), 4)


def test_discoveries() -> None:
    # rate .05, five p: bounds .01 .02 .03 .04 .05. Sorted .005 .025 .029 .2 .9: the third lies
    # below its bound, so the second counts too although it is above its own
    found = discoveries(np.array([0.9, 0.029, 0.005, 0.2, 0.025]))
    assert found.tolist() == [False, True, True, False, True]
    assert not discoveries(np.array([0.5, 0.6])).any()
    assert discoveries(np.array([])).size == 0


def test_expansion() -> None:
    # four prompts, 64 samples; the base reached the last one only
    base, null = np.array([0, 0, 0, 30]), np.array([0, 1, 0, 31])
    trained = np.array([1, 2, 40, 30])
    found = expansion(trained, base, null, total=64)
    assert found.unreached == 3
    assert (found.once, found.twice) == (1.0, pytest.approx(2 / 3))
    assert found.solved_G is not None
    assert found.solved_G.tolist() == [False, False, True, False]
    assert found.solved == 1


def test_what_the_base_solved_already_is_not_newly_solved() -> None:
    # ten prompts rise from 8 to 16 of 16, two that the base missed are passed once
    base, trained = np.array([8] * 10 + [0] * 2), np.array([16] * 10 + [1] * 2)
    found = expansion(trained, base, base, total=16)
    assert (found.unreached, found.once, found.solved) == (2, 1.0, 0)
    # 16 of 16 against 0 of 16 there is new, whatever the others did
    sure = expansion(np.array([16] * 12), base, base, total=16)
    assert sure.solved_G is not None
    assert sure.solved_G.tolist() == [False] * 10 + [True] * 2


def test_what_an_untrained_copy_solves_as_well_is_not_newly_solved() -> None:
    # 12 of 64 against 8 of 64: p = .23. Against 0: C(64, 12)/C(128, 12) = .0001
    found = expansion(np.array([12]), np.array([0]), np.array([8]), total=64)
    assert (found.unreached, found.solved) == (1, 0)
    assert expansion(np.array([12]), np.array([0]), np.array([0]), total=64).solved == 1


def test_one_success_of_the_base_reaches_a_prompt() -> None:
    found = expansion(np.array([2, 0]), np.array([1, 0]), np.array([1, 0]), total=4)
    assert (found.unreached, found.once, found.twice) == (1, 0.0, 0.0)


def test_an_untrained_copy_solves_by_one_success_and_is_not_tested() -> None:
    # 400 prompts solved once in 200 tries: an honest copy "solves" about
    # 1 - (1 - 1/200)^64 = .27 of those that the base missed
    rng = np.random.default_rng(0)
    base, copy = rng.binomial(64, 1 / 200, (2, 400))
    found = expansion(copy, base, None, total=64)
    assert found.once == pytest.approx(0.27, abs=0.06)
    assert found.twice < found.once
    assert found.solved is None


@pytest.mark.parametrize(("total", "rate"), [(16, 3 / 16), (64, 5 / 64)])
def test_what_was_not_trained_solves_nothing_newly(total: int, rate: float) -> None:
    # 64 prompts of one rate, an "arm" that is the base: at most 5 % of 300 evaluations may call
    # any prompt newly solved. With the base's own zeros in the baseline it was 12 and 11 %.
    rng = np.random.default_rng(0)
    called = [
        expansion(*rng.binomial(total, rate, (3, 64)), total=total).solved for _ in range(300)
    ]
    assert np.mean([each != 0 for each in called]) <= 0.05
