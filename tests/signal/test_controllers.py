"""Caps, shares and the two state machines, by hand."""

import math

import msgspec
import numpy as np
import pytest

from assay.batch import Batch
from assay.records import ModelStep, Trajectory
from assay.signal import BackOffSettings, Recipe, RegimeSettings, signal
from assay.signal.controllers import (
    BackOff,
    EntropyRegime,
    Scales,
    restore,
    share_factor,
    state_of,
)


def records(*groups: list[tuple[float | None, str]], tokens: int = 1) -> list[Trajectory]:
    return [
        Trajectory(
            id=f"{g}-{i}",
            task=str(g),
            group=str(g),
            outcome=outcome,
            steps=(ModelStep(text=text, token_ids=tuple(range(tokens))),),
        )
        for g, group in enumerate(groups)
        for i, (outcome, text) in enumerate(group)
    ]


ONE_OF_FOUR = [(1.0, "a"), (0.0, "b"), (0.0, "c"), (0.0, "d")]
NONE_OF_FOUR = [(0.0, "e"), (0.0, "f"), (0.0, "g"), (0.0, "h")]


def made(*groups: list[tuple[float | None, str]], **safety: object) -> list[float]:
    recipe = Recipe.of({"method": "dr_grpo", "safety": safety})
    return signal(records(*groups), recipe).advantage_N.tolist()


def test_bounded_all_fail_term_holds_a_quarter_of_the_batch() -> None:
    # Mixed group: 0.75 and three times -0.25, |A| 1.5. All-fail: -1/sqrt(5) = -0.4472 each, |A|
    # 1.7889. At most a quarter of the batch: f * 1.7889 = 1.5 / 3 = 0.5, so each is -0.125.
    got = made(ONE_OF_FOUR, NONE_OF_FOUR, all_fail="bounded")
    assert got == pytest.approx([0.75, -0.25, -0.25, -0.25, *[-0.125] * 4])


def test_bounded_all_fail_term_is_whole_where_it_is_small() -> None:
    # Seven mixed groups, |A| 10.5: a third of it is 3.5, above 1.7889, so nothing is scaled.
    got = made(*[ONE_OF_FOUR] * 7, NONE_OF_FOUR, all_fail="bounded")
    assert got[-4:] == pytest.approx([-1 / math.sqrt(5)] * 4)


def test_failures_of_one_partial_score_failed_alike_too() -> None:
    # nsr with pass_at 1 gives each -1; all_fail = "zero" takes it off where no score differs
    alike, graded = [(0.5, "e"), (0.5, "f")], [(0.5, "g"), (0.2, "h")]
    nsr = {"name": "nsr", "pass_at": 1.0}
    for all_fail, given in (("zero", 0.0), ("method", -1.0)):
        recipe = Recipe.of({"method": nsr, "safety": {"all_fail": all_fail}})
        got = signal(records(ONE_OF_FOUR, alike, graded), recipe).advantage_N.tolist()
        assert got == [0.0, -1.0, -1.0, -1.0, given, given, -1.0, -1.0]
    got = made(*[ONE_OF_FOUR] * 7, alike, all_fail="bounded")
    assert got[-2:] == pytest.approx([-1 / math.sqrt(3)] * 2)


def test_a_failure_that_nobody_else_was_scored_beside_failed_too() -> None:
    # nsr gives the lone one -1: within the bound it is -1/sqrt(2), where the others leave room
    nsr = {"method": "nsr", "gates": [], "safety": {"all_fail": "bounded"}}
    alone, passed = [(0.0, "e"), (None, "f")], [(1.0, "g"), (None, "h")]
    got = signal(records(*[ONE_OF_FOUR] * 7, alone, passed), Recipe.of(nsr))
    assert got.advantage_N.tolist()[28] == pytest.approx(-1 / math.sqrt(2))
    assert got.failed_K.tolist()[28:] == [True, False, False, False]


def test_the_share_is_of_rows_where_the_loss_takes_their_means() -> None:
    # A pair of 100 tokens, +-0.5: 1 of rows' means, 100 of tokens. Two failures of 10 tokens at
    # -1/sqrt(3): 1.1547 of rows' means, 11.5 of tokens. A third of 1 in two rows: -1/6 each; by
    # tokens they hold a tenth, and stay.
    long = [
        msgspec.structs.replace(each, steps=(ModelStep(text=str(k), token_ids=tuple(range(100))),))
        for k, each in enumerate(records([(1.0, ""), (0.0, "")]))
    ]
    short = [
        msgspec.structs.replace(each, id=f"s{k}", task="s", group="s")
        for k, each in enumerate(records([(0.0, "e"), (0.0, "f")], tokens=10))
    ]
    recipe = Recipe.of({"method": "dr_grpo", "safety": {"all_fail": "bounded"}})
    for by_row, expected in ((True, -1 / 6), (False, -1 / math.sqrt(3))):
        got = signal([*long, *short], recipe, by_row=by_row).advantage_N
        assert got[:200].tolist() == [0.5] * 100 + [-0.5] * 100
        assert got[200:] == pytest.approx(expected)


def test_flat_all_fail_term_has_no_bound() -> None:
    twice = [(0.0, "e"), (0.0, "e"), (0.0, "g"), (0.0, "h")]
    got = made(ONE_OF_FOUR, twice, all_fail="flat")
    assert got == pytest.approx([0.75, -0.25, -0.25, -0.25, *[-1.0] * 4])


def test_copies_of_a_failure_count_once() -> None:
    # e twice: each copy gets half of -1/sqrt(5).
    twice = [(0.0, "e"), (0.0, "e"), (0.0, "g"), (0.0, "h")]
    got = made(*[ONE_OF_FOUR] * 7, twice, all_fail="bounded")
    a0 = 1 / math.sqrt(5)
    assert got[-4:] == pytest.approx([-a0 / 2, -a0 / 2, -a0, -a0])


def test_a_batch_of_nothing_but_failures_is_empty() -> None:
    assert made(NONE_OF_FOUR, NONE_OF_FOUR, all_fail="bounded") == [0.0] * 8


def test_zero_takes_a_method_off_all_fail_groups_only() -> None:
    recipe = {"method": "nsr", "safety": {"all_fail": "zero"}}
    got = signal(records(ONE_OF_FOUR, NONE_OF_FOUR), Recipe.of(recipe)).advantage_N.tolist()
    assert got == [0.0, -1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0]


def test_unscored_members_are_in_no_group_and_get_nothing() -> None:
    # The unscored one is dropped by the integrity gate: G is 3, so a0 = 1/sqrt(4) = 0.5.
    group = [(0.0, "e"), (0.0, "f"), (0.0, "g"), (None, "h")]
    got = made(*[ONE_OF_FOUR] * 7, group, all_fail="bounded")
    assert got[-4:] == pytest.approx([-0.5, -0.5, -0.5, 0.0], nan_ok=True)


def test_cap_bounds_both_signs() -> None:
    assert made(ONE_OF_FOUR, cap=0.5) == [0.5, -0.25, -0.25, -0.25]
    assert made([(0.0, "a"), (1.0, "b"), (1.0, "c"), (1.0, "d")], cap=0.5) == [
        -0.5,
        0.25,
        0.25,
        0.25,
    ]


def test_share_factor_edges() -> None:
    advantage = np.array([1.0, -1.0, np.nan, -2.0])
    assert share_factor(advantage, np.zeros(4, bool), 0.25) == 1.0
    # inside 2, outside 2: f 2 / (f 2 + 2) = 1/4  ->  f = 1/3
    assert share_factor(advantage, np.array([False, False, True, True]), 0.25) == pytest.approx(
        1 / 3
    )
    assert share_factor(advantage, np.ones(4, bool), 0.25) == 0.0


def test_scales_by_sign_leave_nan_alone() -> None:
    got = Scales(positive=0.5, negative=0.0).applied(np.array([2.0, -2.0, np.nan, 0.0]))
    assert got[[0, 1, 3]].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(got[2])


def test_the_share_holds_of_what_trains_after_the_scales() -> None:
    # Positives halved: mixed group |A| = 0.375 + 0.75 = 1.125, of which a third is 0.375, in four.
    recipe = Recipe.of({"method": "dr_grpo", "safety": {"all_fail": "bounded"}})
    got = signal(records(ONE_OF_FOUR, NONE_OF_FOUR), recipe, scales=[Scales(positive=0.5)])
    assert got.advantage_N.tolist() == pytest.approx([0.375, -0.25, -0.25, -0.25, *[-0.09375] * 4])


def regime(*entropies: float) -> tuple[EntropyRegime, list[str | None]]:
    machine = EntropyRegime(RegimeSettings(warmup=2, patience=2))
    return machine, [machine.observe(h) for h in entropies]


def test_entropy_collapse_damps_positives_and_needs_more_to_return() -> None:
    # start (0.9 + 1.1) / 2 = 1; low 0.5; back above 0.6, twice
    machine, said = regime(0.9, 1.1, 0.4, 0.4)
    assert machine.state == "collapse"
    assert machine.scales == Scales(positive=0.5)
    assert said[:3] == [None, None, None]
    assert said[3] == "entropy 0.4 is 0.40 of its start 1, below 0.5: positive advantages times 0.5"
    assert [machine.observe(h) for h in (0.55, 0.55, 0.65)] == [None] * 3
    assert machine.state == "collapse"
    assert machine.observe(0.65) is not None
    assert machine.state == "normal"


def test_entropy_explosion_damps_negatives() -> None:
    machine, _ = regime(1.0, 1.0, 1.6, 1.6)
    assert machine.state == "explosion"
    assert machine.scales == Scales(negative=0.5)
    machine.observe(1.45), machine.observe(1.45)
    assert machine.state == "explosion"
    machine.observe(1.35), machine.observe(1.35)
    assert machine.state == "normal"


def test_one_odd_step_changes_nothing() -> None:
    machine, said = regime(1.0, 1.0, 0.4, 1.0, 0.4, 1.0, float("nan"), 2.0, 1.0)
    assert machine.state == "normal"
    assert said == [None] * 9


def test_two_steps_that_ask_for_different_things_change_nothing() -> None:
    machine, said = regime(1.0, 1.0, 0.4, 1.6, 0.4)
    assert (machine.state, said) == ("normal", [None] * 5)
    assert machine.observe(0.4) is not None
    assert machine.state == "collapse"


def test_back_off_halves_on_a_ratio_and_recovers_in_quiet() -> None:
    machine = BackOff(BackOffSettings(hold=2))
    assert machine.observe(ratio=3.0, length=10.0) is None
    said = machine.observe(ratio=12.0, length=10.0)
    assert said == "largest ratio 12 is above 10: negative advantages times 0.5"
    said = [machine.observe(ratio=12.0, length=10.0) for _ in range(3)]
    assert machine.scale == 0.125  # the floor
    assert [each is None for each in said] == [False, False, True]  # it is said once
    assert machine.observe(ratio=1.0, length=10.0) is None
    assert (
        machine.observe(ratio=1.0, length=10.0) == "2 quiet steps: negative advantages times 0.25"
    )
    for _ in range(4):
        machine.observe(ratio=1.0, length=10.0)
    assert machine.scale == 1.0
    assert machine.observe(ratio=1.0, length=10.0) is None


def test_a_batch_trips_once_however_many_steps_it_takes() -> None:
    # four steps a batch, the third batch is long: one trip; the next four are quiet, and so on
    machine = BackOff(BackOffSettings(hold=5))
    scales = list[float]()
    for length in (100.0, 100.0, 250.0, 100.0, 100.0):
        for step in range(4):
            machine.observe(ratio=1.0, length=None if step else length)
            scales.append(machine.scale)
    assert scales == [1.0] * 8 + [0.5] * 4 + [0.5] + [1.0] * 7
    assert machine.length == pytest.approx(100.0)
    # ratios of one batch: its second step trips, the others say nothing and are not quiet
    machine = BackOff(BackOffSettings(hold=2))
    said = [
        machine.observe(ratio=ratio, length=None if at else 9.0)
        for at, ratio in enumerate((1.0, 11.0, 12.0, 13.0))
    ]
    assert [each is not None for each in said] == [False, True, False, False]
    assert (machine.scale, machine.quiet) == (0.5, 0)
    machine.observe(ratio=11.0, length=9.0)
    assert machine.scale == 0.25


def test_a_probe_that_fell_is_remembered_until_the_next_look() -> None:
    # looked at every tenth step, always 2 nats below the best: down to the floor, and it stays
    machine = BackOff(BackOffSettings())
    scales = list[float]()
    for step in range(50):
        probe = None if step % 10 else (-1.0 if step == 0 else -3.0)
        machine.observe(ratio=1.0, length=9.0, probe=probe)
        scales.append(machine.scale)
    assert scales == [1.0] * 10 + [0.5] * 10 + [0.25] * 10 + [0.125] * 20
    machine.observe(ratio=1.0, length=9.0, probe=-1.2)
    for _ in range(4):
        machine.observe(ratio=1.0, length=9.0)
    assert machine.scale == 0.25


def test_back_off_says_every_reason() -> None:
    machine = BackOff(BackOffSettings())
    machine.observe(ratio=1.0, length=10.0, probe=-1.0)
    # running mean 0.9 * 10 + 0.1 * 12 = 10.2; the probe's best is -0.8
    machine.observe(ratio=1.0, length=12.0, probe=-0.8)
    said = machine.observe(ratio=float("nan"), length=25.0, probe=-1.4)
    assert said == (
        "largest ratio nan is above 10; mean length 25 is above 2 times its running mean 10.2; "
        "log-probability of known-good trajectories fell from -0.8 to -1.4 nats a token: "
        "negative advantages times 0.5"
    )
    assert machine.length == pytest.approx(10.2)  # a spike does not become the norm


def test_machines_resume_where_they_were() -> None:
    machine, _ = regime(1.0, 1.0, 0.4)
    other = EntropyRegime(machine.settings)
    restore(other, state_of(machine))
    assert other == machine
    other.observe(0.4)
    assert other.state == "collapse"


def test_batches_are_taken_as_they_are() -> None:
    batch = Batch.of(records(ONE_OF_FOUR))
    assert signal(batch, Recipe.of("dr_grpo")).advantage_N.tolist() == [0.75, -0.25, -0.25, -0.25]
