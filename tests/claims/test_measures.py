"""What predictions are read from, by hand; and what a verdict takes."""

from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
import pytest
from claims.dead_start import PREDICTIONS as DEAD_START
from claims.sign_by_difficulty import PREDICTIONS
from claims.squeezing import intervals, pushed_down

from assay.claims import Prediction, Row, Rows, measures
from assay.claims.cells import Cell
from assay.claims.measures import Seen
from assay.evaluate.intervals import Estimate

ONE = ("lookup",)


def row(arm: str, passed: list[int], seed: int = 0, **more: Any) -> Row:
    """A row on lookup from a weak start, four attempts a task unless told otherwise."""
    cell = Cell(env="lookup", start="weak", arm=arm, seed=seed, **more.pop("cell", {}))
    return Row(cell.data(), more.pop("steps", {"10": passed}), more.pop("samples", 4), **more)


def base(passed: list[int], arm: str = "base") -> Row:
    return row(arm, passed, steps={"0": passed})


def value(seen: Seen | None) -> Estimate:
    """What was seen, where something was."""
    assert seen is not None
    assert seen.estimate is not None
    return seen.estimate


def test_difference_of_pass_at_1():
    # (3/4 + 1/4)/2 - (1/4 + 1/4)/2 = .25
    rows = Rows([row("grpo", [1, 1]), row("nsr", [3, 1])])
    seen = value(measures.difference(rows, "grpo", "nsr", "weak"))
    assert (seen.value, seen.low, seen.high) == (0.25, 0.0, 0.5)


def test_pass_at_k_is_the_unbiased_one():
    # n = 4, c = 1: pass@2 = 1 - C(3, 2)/C(4, 2) = .5
    assert measures.pass_at(Rows([row("nsr", [1])]), "nsr", "lookup", "weak", 2) == 0.5
    assert 1 - comb(3, 2) / comb(4, 2) == 0.5


def test_rows_of_a_base_are_one_base():
    # 4 + 4 attempts, 1 + 3 passes: pass@1 = .5, pass@2 = 1 - C(4, 2)/C(8, 2) = 11/14
    rows = Rows([base([1]), row("base", [3], 1, steps={"0": [3]})])
    assert rows.base("lookup", "weak") == pytest.approx([0.5])
    assert rows.base("lookup", "weak", 2) == pytest.approx([11 / 14])


def test_newly_solved_counts_tasks_that_no_attempt_at_the_start_solved():
    # never solved: the first three tasks. Runs solve 5 of 6, copies 1 of 6: one-sided Fisher
    # p = (C(6, 5) C(6, 1) + C(6, 6) C(6, 0)) / C(12, 6) = 37 / 924
    bases = [base([0, 0, 0, 1]), row("base", [0, 0, 0, 0], 1)]
    copies = [base([0, 0, 0, 0], "null"), row("null", [0, 2, 0, 4], 1)]
    runs = [row("nsr", [1, 4, 1, 0]), row("nsr", [1, 1, 0, 0], 1)]
    seen = measures.newly_solved(Rows([*bases, *copies, *runs]), "nsr", "lookup", "weak")
    assert value(seen).value == pytest.approx(37 / 924)
    assert measures.newly_solved(Rows([*bases, *runs]), "nsr", "lookup", "weak") is None
    deeper = [row("nsr", [9, 9, 9, 9], samples=16)]
    assert measures.newly_solved(Rows([*bases, *copies, *deeper]), "nsr", "lookup", "weak") is None


def test_elsewhere_is_read_from_the_other_family():
    def told(arm: str, passed: list[int]) -> Row:
        other = {"level": "countdown/even", "passed": passed, "samples": 4}
        return row(arm, [0, 0], about={"other": other})

    rows = Rows([told("base", [2, 4]), told("nsr", [1, 3])])
    assert value(measures.elsewhere(rows, "nsr", "lookup", "weak")).value == -0.25
    # pass@2 of 4 attempts: 1 - C(2, 2)/C(4, 2) = 5/6 and 1; 1 - C(3, 2)/C(4, 2) = .5 and 1
    seen = measures.elsewhere(rows, "nsr", "lookup", "weak", 2)
    assert value(seen).value == pytest.approx((0.5 + 1) / 2 - (5 / 6 + 1) / 2)
    assert measures.elsewhere(Rows([told("nsr", [1, 3])]), "nsr", "lookup", "weak") is None


def test_gain_over_the_base():
    rows = Rows([base([1, 2]), row("nsr", [2, 3]), row("nsr", [4, 4], cell={"length": 3})])
    assert measures.over_base(rows, "nsr", "weak", 1, envs=ONE) == Seen(
        Estimate(0.25, 0.25, 0.25), 1
    )
    long = value(measures.over_base(rows, "nsr", "weak", 1, envs=ONE, length=3))
    assert (long.value, long.low, long.high) == (0.625, 0.5, 0.75)
    assert measures.over_base(rows, "nsr", "strong", 1, envs=ONE) is None
    assert measures.over_base(Rows([row("nsr", [2])]), "nsr", "weak", 1, envs=ONE) is None


def test_only_seeds_that_all_arms_have_are_compared():
    rows = Rows([row("grpo", [4, 4], seed=1), row("nsr", [2, 2], seed=1), row("nsr", [0, 0])])
    seen = measures.difference(rows, "grpo", "nsr", "weak")
    assert seen == Seen(Estimate(-0.5, -0.5, -0.5), 1)
    assert measures.difference(rows, "grpo", "psr", "weak") is None


def test_the_family_with_the_fewest_seeds_says_how_many_there_are():
    both = [row(arm, [2], seed=seed) for arm in ("grpo", "nsr") for seed in range(3)]
    other = [replace(each, cell={**each.cell, "env": "countdown"}) for each in both[::3]]
    seen = measures.difference(Rows(both + other), "grpo", "nsr", "weak")
    assert seen is not None
    assert seen.seeds == 1
    seen = measures.difference(Rows(both), "grpo", "nsr", "weak")
    assert seen == Seen(Estimate(0.0, 0.0, 0.0), 3)


def test_cells_that_differ_in_more_than_the_arm_are_kept_apart():
    rows = Rows([row("nsr", [4]), row("nsr", [0], cell={"length": 3})])
    assert measures.pass_at(rows, "nsr", "lookup", "weak", 1) == 1.0
    assert measures.pass_at(rows, "nsr", "lookup", "weak", 1, length=3) == 0.0


def test_what_a_share_of_the_tokens_reaches():
    # GRPO ends at 1/4 and 2/4 for 100 tokens. The other arm: 3/4 after 50 of them, and after 60
    # none; the checkpoint that takes 51 is too late for a half
    ended = row("grpo", [1, 2], steps={"5": [0, 0], "10": [1, 2]}, tokens=100)
    early = row("nsr", [], steps={"5": [3, 3], "10": [0, 0]}, spent={"5": 50, "10": 60})
    late = row("nsr", [], steps={"5": [3, 3], "10": [0, 0]}, spent={"5": 51, "10": 60})
    half = value(measures.for_tokens(Rows([ended, early]), "grpo", "nsr", "weak", 0.5))
    assert (half.value, half.low, half.high) == (0.375, 0.25, 0.5)
    by_seed = measures.by_tokens(Rows([ended, early]), "grpo", "nsr", "weak", 0.5)
    assert {seed: [each.tolist() for each in pair] for seed, pair in by_seed.items()} == {
        0: [[0.25, 0.5], [0.75, 0.75]]
    }
    whole = value(measures.for_tokens(Rows([ended, early]), "grpo", "nsr", "weak", 1.0))
    assert whole.value == -0.375
    assert measures.for_tokens(Rows([ended, late]), "grpo", "nsr", "weak", 0.5) == Seen(None, 1)
    assert measures.for_tokens(Rows([ended]), "grpo", "nsr", "weak", 0.5) is None
    # one seed that is early enough does not speak for one that is not
    again = [row("grpo", [1, 2], seed=1, tokens=100), replace(late, cell={**late.cell, "seed": 1})]
    seen = measures.for_tokens(Rows([ended, early, *again]), "grpo", "nsr", "weak", 0.5)
    assert seen == Seen(None, 2)


def test_share_of_a_gain():
    # base .25; grpo .75 gains .5; nsr .5 gains .25: a half, on every draw, both tasks being alike
    rows = Rows([base([1, 1]), row("grpo", [3, 3]), row("nsr", [2, 2])])
    seen = measures.share_of_gain(rows, "nsr", "grpo", "weak")
    assert seen == Seen(Estimate(0.5, 0.5, 0.5), 1)


def test_growth_of_a_share():
    # from the weak start a half, as above; from the strong one all of it: .5 more
    weak = [base([1, 1]), row("grpo", [3, 3]), row("nsr", [2, 2])]
    strong = [base([1]), row("grpo", [3]), row("nsr", [3])]
    rows = Rows([*weak, *(replace(r, cell={**r.cell, "start": "strong"}) for r in strong)])
    seen = measures.growth_of_share(rows, "nsr", "grpo", ("weak", "strong"))
    assert seen == Seen(Estimate(0.5, 0.5, 0.5), 1)
    assert measures.growth_of_share(Rows(weak), "nsr", "grpo", ("weak", "strong")) is None


def test_no_share_of_a_gain_that_is_none():
    rows = Rows([base([3, 3]), row("grpo", [1, 1]), row("nsr", [2, 2])])
    assert measures.share_of_gain(rows, "nsr", "grpo", "weak") == Seen(None, 1)
    assert measures.share_of_gain(Rows(rows.rows[:2]), "nsr", "grpo", "weak") is None


def test_one_attempt_bears_k_of_one():
    cell = {"env": "lookup", "start": "weak", "arm": "grpo", "seed": 0}
    assert [measures.largest(Rows([Row(cell, {"0": [1]}, n)])) for n in (1, 2, 3, 4, 8)] == [
        1, 1, 1, 2, 4,
    ]  # fmt: skip


def test_over_the_base_at_the_largest_k():
    # four attempts bear k = 2: base c = 1 gives .5, nsr c = 3 gives 1 - 0 = 1
    rows = Rows([base([1, 1]), row("nsr", [3, 3])])
    assert measures.largest(rows) == 2
    assert measures.over_base(rows, "nsr", "weak") == Seen(Estimate(0.5, 0.5, 0.5), 1)


def test_what_an_erring_verifier_costs():
    # nsr loses 3/4, grpo 1/4: .75 - 1.2 * .25 = .45
    noisy = {"false_negatives": 0.2}
    rows = Rows([
        row("nsr", [4]), row("nsr", [1], cell=noisy), row("grpo", [4]), row("grpo", [3], cell=noisy)
    ])  # fmt: skip
    assert value(measures.hurt(rows, "nsr", "grpo", "weak", 1.2)).value == pytest.approx(0.45)


def test_what_errors_gain_one_arm_does_not_count_for_the_other():
    # nsr loses 1/4, grpo gains 2/4: .25, not .25 + 1.2 * .5
    noisy = {"false_negatives": 0.2}
    rows = Rows([
        row("nsr", [4]), row("nsr", [3], cell=noisy), row("grpo", [2]), row("grpo", [4], cell=noisy)
    ])  # fmt: skip
    assert value(measures.hurt(rows, "nsr", "grpo", "weak", 1.2)).value == 0.25


def test_gap_of_the_halves_by_batch():
    # |4 - 1|/4 = .75 with the small batch, |2 - 3|/4 = .25 with the large: -.5
    large = {"batch": 4}
    rows = Rows([
        row("psr", [4]), row("nsr", [1]), row("psr", [2], cell=large), row("nsr", [3], cell=large)
    ])  # fmt: skip
    assert measures.gap_by_batch(rows, "weak", 4) == Seen(Estimate(-0.5, -0.5, -0.5), 1)


def test_entropy_is_compared_seed_by_seed():
    rows = Rows([
        row("grpo", [1], entropy=0.5), row("nsr", [1], entropy=0.75),
        row("grpo", [1], seed=1, entropy=0.25), row("nsr", [1], seed=1, entropy=0.5),
    ])  # fmt: skip
    seen = measures.entropy_gap(rows, "grpo", "nsr", "weak")
    assert seen == Seen(Estimate(0.25, 0.25, 0.25), 2)


def test_entropy_counts_the_seeds_of_the_family_that_has_fewest():
    lookup = [row(arm, [1], seed=s, entropy=0.5) for arm in ("grpo", "nsr") for s in range(3)]
    rows = Rows([*lookup, *(replace(r, cell={**r.cell, "env": "countdown"}) for r in lookup[::3])])
    assert measures.entropy_gap(rows, "grpo", "nsr", "weak") == Seen(Estimate(0.0, 0.0, 0.0), 1)


def test_equal_height_compares_where_pass_at_1_is_equal():
    # Two tasks, four attempts, k = 2, where c = 0 1 2 3 4 gives pass@2 = 0 .5 5/6 1 1. Base [0 0].
    # psr [0 4]: pass@1 .5, pass@2 .5. nsr [2 2]: pass@1 .5, pass@2 5/6: a third more.
    rows = Rows([base([0, 0]), row("psr", [0, 4]), row("nsr", [2, 2])])
    assert value(measures.at_equal_height(rows, "psr", "nsr", "weak")).value == pytest.approx(1 / 3)


def test_equal_height_of_two_seeds_is_the_mean_of_theirs():
    # psr's seeds pass one task each, always: pass@2 .5 for either, whatever they do together. The
    # base passes one of four at each task, .5 too: measured once, it stands for both seeds.
    psr = [row("psr", [4, 0]), row("psr", [0, 4], seed=1)]
    nsr = [row("nsr", [2, 2]), row("nsr", [2, 2], seed=1)]
    rows = Rows([base([1, 1]), *psr, *nsr])
    seen = measures.at_equal_height(rows, "psr", "nsr", "weak")
    assert value(seen).value == pytest.approx(5 / 6 - 1 / 2)
    assert seen is not None
    assert seen.seeds == 2


def test_equal_height_of_families_that_are_not_run_alike():
    # a second seed of lookup alone is left out, not added to attempts of the base
    lookup = [base([0, 0]), row("psr", [0, 4]), row("nsr", [2, 2])]
    more = [row("psr", [4, 4], seed=1), row("nsr", [4, 4], seed=1)]
    countdown = [replace(each, cell={**each.cell, "env": "countdown"}) for each in lookup]
    seen = measures.at_equal_height(Rows([*lookup, *more, *countdown]), "psr", "nsr", "weak")
    assert value(seen).value == pytest.approx(1 / 3)
    assert seen is not None
    assert seen.seeds == 1


def test_squeezing_resamples_tasks_with_all_their_positions():
    # two tasks, 1 and 3 positions: mean (0 + 3)/4; draws are 0, 3/4 and 1
    assert intervals([[0.0], [1.0, 1.0, 1.0]]) == [0.75, 0.0, 1.0, 4.0]
    assert intervals([[], []]) == intervals([]) == [0.0, 0.0, 0.0, 0.0]
    nothing = replace(base([1]), about={"squeezing": {"rare": intervals([])}})
    assert measures.squeezed(Rows([nothing]), "rare") == Seen(None)


def test_a_frozen_copy_expands_by_chance():
    # of the three tasks that the base never solved, the copy solves one
    rows = Rows([base([0, 0, 0, 2]), base([0, 1, 0, 0], "null")])
    seen = measures.frozen_expansion(rows)
    assert value(seen).value == pytest.approx(1 / 3)
    assert measures.frozen_expansion(Rows([base([1, 1]), base([0, 0], "null")])) is None
    # none of 12 may be 24 %: it refutes nothing. None of 400 is below 1 %
    expands = next(each for each in PREDICTIONS if each.id == "P20")
    for tasks, says in ((12, "open"), (400, "refuted")):
        none = Rows([base([0] * tasks), base([0] * tasks, "null")])
        assert expands.verdict(measures.frozen_expansion(none)) == says


def test_pushing_down_a_likely_token_raises_entropy_and_a_rare_one_lowers_it():
    # logits (2, 1, 0, -1, -2), eta .5; changes worked out apart from this code
    logits = np.array([[2.0, 1.0, 0.0, -1.0, -2.0]] * 3)
    pi, change = pushed_down(logits, np.array([0, 3, 4]))
    assert pi == pytest.approx([0.636, 0.032, 0.012], abs=5e-4)
    assert change == pytest.approx([0.075, -0.123, -0.108], abs=5e-4)


def verdict(low: float, high: float, seeds: int | None = 3) -> str:
    given = Prediction(id="", says="", expected="", refuted_if="", measure=lambda _: None,
                       holds=(-1.0, 0.0), refutes=((0.01, 1.0), (-9.0, -2.0)))  # fmt: skip
    return given.verdict(Seen(Estimate((low + high) / 2, low, high), seeds))


def test_a_verdict_takes_the_whole_interval():
    assert verdict(-0.5, -0.1) == "held"
    assert verdict(0.02, 0.3) == "refuted"
    assert verdict(-4.0, -3.0) == "refuted"
    assert verdict(-0.1, 0.1) == "open"
    assert verdict(0.001, 0.005) == "open"  # between the zones
    assert verdict(0.005, 0.3) == "open"


def test_nothing_at_all_is_no_direction():
    assert verdict(-0.5, 0.0) == verdict(0.0, 0.0) == "open"
    for each in (*PREDICTIONS, *DEAD_START):
        nothing = each.verdict(Seen(Estimate(0.0, 0.0, 0.0), 5))
        inside = each.holds[0] < 0 < each.holds[1]
        assert (nothing == "held") == inside, each.id


def test_a_difference_both_ways_refutes_that_there_is_none():
    within = next(each for each in PREDICTIONS if each.id == "P8")
    for low, high, says in (
        (-0.06, -0.04, "refuted"), (-0.02, -0.016, "open"), (-0.01, 0.01, "held"),
        (0.016, 0.02, "open"), (0.04, 0.06, "refuted"),
    ):  # fmt: skip
        assert within.verdict(Seen(Estimate((low + high) / 2, low, high), 5)) == says


def test_a_verdict_takes_three_seeds_and_a_value():
    assert verdict(-0.5, -0.1, seeds=2) == "open"
    assert verdict(-0.5, -0.1, seeds=None) == "held"
    assert PREDICTIONS[0].verdict(Seen(None, 5)) == "open"


def test_predictions_can_be_refuted_and_have_names_of_their_own():
    all_of_them = (*PREDICTIONS, *DEAD_START)
    assert len({each.id for each in all_of_them}) == len(all_of_them)
    for each in all_of_them:
        assert each.verdict(None) == "not run"
        assert each.holds[0] < each.holds[1]
        assert each.refutes
        for low, high in each.refutes:
            assert low < high
            if each.id != "P20":  # a share of 0.5 % lies in both: neither sure to be there nor not
                assert each.holds[1] <= low or high <= each.holds[0]
