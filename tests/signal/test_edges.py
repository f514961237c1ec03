"""What few batches have: shared nodes, drops, masks, rows that sampled nothing."""

import numpy as np
import pytest
from msgspec import structs

from assay.batch import Batch
from assay.errors import AlignmentError, UsageError
from assay.kernels.advantages import advantages
from assay.records import ModelStep, ToolStep, Trajectory, UserStep
from assay.signal import BackOffSettings, Recipe, RegimeSettings, padded_rows, signal
from assay.signal.controllers import BackOff, EntropyRegime, Scales, flat_term
from assay.signal.losses import TopK
from assay.signal.origins import OriginRow, row_of

from .test_controllers import NONE_OF_FOUR, ONE_OF_FOUR, records
from .test_signal import trajectory


def leaf(name: str, outcome: float | None, *path: str, group: str = "g") -> Trajectory:
    """A trajectory along these nodes, of one token a step."""
    steps = tuple(
        ModelStep(text=node, token_ids=(0,), node=node, parent=path[i - 1] if i else None)
        for i, node in enumerate(path)
    )
    return Trajectory(id=name, task=group, group=group, tree="t", outcome=outcome, steps=steps)


# ---- the mix


def test_parts_are_weighted() -> None:
    got = signal(
        records(ONE_OF_FOUR), Recipe.of({"methods": [{"name": "psr", "weight": 0.1}, "nsr"]})
    )
    assert got.parts["psr/pass"].tolist() == pytest.approx([0.1, 0, 0, 0])
    assert got.parts["nsr/fail"].tolist() == [0, -1, -1, -1]
    facts = got.facts()
    assert facts["mass/psr/pass/positive"] == pytest.approx(0.1)
    assert (facts["mass/psr/pass/negative"], facts["mass/nsr/fail/negative"]) == (0.0, 3.0)


def test_what_nobody_scored_is_missing_and_not_0() -> None:
    group = [(1.0, "a"), (0.0, "b"), (None, "c")]
    got = signal(records(group), Recipe.of({"method": "dr_grpo", "gates": []}))
    assert got.advantage_N.tolist() == pytest.approx([0.5, -0.5, np.nan], nan_ok=True)
    assert got.rows()[1].tolist() == [[1], [1], [0]]


def test_a_method_that_does_not_carry_a_token_does_not_score_it() -> None:
    # leaves 1 and 0 and an unscored copy of the first one's node: dr_grpo misses its outcome, and
    # tree_grpo carries a node once, elsewhere
    leaves = [leaf("1", 1.0, "a"), leaf("2", 0.0, "b"), leaf("3", None, "a")]
    tree = {"name": "tree_grpo", "prefix_mode": "dedup_sum"}
    got = signal(leaves, Recipe.of({"methods": ["dr_grpo", tree], "gates": []}))
    assert np.isnan(got.advantage_N).tolist() == [False, False, True]


# ---- safety


def test_a_node_that_a_method_carries_once_is_carried_by_all_that_failed() -> None:
    tree = {"name": "tree_grpo", "prefix_mode": "dedup_sum"}
    recipe = Recipe.of({"method": tree, "safety": {"all_fail": "flat"}})
    got = signal([leaf("1", 0.0, "a"), leaf("2", 0.0, "a")], recipe)
    assert got.advantage_N.tolist() == [-1, -1]
    assert got.rows()[1].tolist() == [[1], [1]]


def test_what_is_taken_off_all_fail_groups_is_off_their_parts_too() -> None:
    recipe = Recipe.of({"method": "nsr", "safety": {"all_fail": "zero"}})
    facts = signal(records(ONE_OF_FOUR, NONE_OF_FOUR), recipe).facts()
    assert facts["mass/fail/negative"] == facts["mass/negative"] == 3.0


def test_failures_are_counted_among_what_the_gates_left() -> None:
    # e twice, the copy dropped: three failures, each -1/sqrt(4), and none is a copy any more
    twice = [(0.0, "e"), (0.0, "e"), (0.0, "g"), (0.0, "h")]
    recipe = {"method": "dr_grpo", "gates": ["integrity", "duplicates"]}
    made = Recipe.of({**recipe, "safety": {"all_fail": "bounded"}})
    got = signal(records(*[ONE_OF_FOUR] * 7, twice), made)
    assert got.advantage_N[-4:].tolist() == pytest.approx([-0.5, 0.0, -0.5, -0.5])


def test_a_failure_is_punished_where_the_policy_wrote_and_by_its_weight() -> None:
    failed = [trajectory(0, 0.0), trajectory(1, 0.0)]
    got = signal(failed, Recipe.of({"method": "dr_grpo", "safety": {"all_fail": "flat"}}))
    # two of a prompt; sampled, shown, sampled; a tool's; two sampled
    assert got.advantage_N.tolist() == [0, 0, -1, 0, -1, 0, -1, -1] * 2
    batch = Batch.of(records(NONE_OF_FOUR)).weighted(np.array([0.5, 1.0, 1.0, 1.0]))
    term = flat_term(batch, np.array([True, True, False, False]))
    assert advantages([term], batch.length_R).advantage_N.tolist() == [-0.5, -1, 0, 0]


def test_a_row_that_sampled_nothing_has_a_mean_too() -> None:
    told = Trajectory(
        id="told", task="0", group="0", outcome=0.0, steps=(ToolStep(text="x", token_ids=(1, 2)),)
    )
    recipe = {"method": "dr_grpo", "gates": [], "safety": {"all_fail": "bounded"}}
    got = signal([*records(ONE_OF_FOUR), told], Recipe.of(recipe), by_row=True)
    # one pass of five: .8 and -.2, and nothing on what a tool said
    assert got.advantage_N.tolist() == pytest.approx([0.8, -0.2, -0.2, -0.2, 0, 0])


# ---- facts


def test_facts_of_what_is_unscored_and_of_what_is_dropped() -> None:
    group = [(0.5, "a"), (0.0, "b"), (None, "c"), (0.5, "a")]
    recipe = {"method": "dr_grpo", "gates": ["integrity", "duplicates"], "pass_at": 0.5}
    facts = signal(records(group), Recipe.of(recipe)).facts()
    # outcomes .5 0 .5, of which the last is dropped as a copy; the third is dropped, unscored
    assert facts["reward"] == pytest.approx(1 / 3)
    assert facts["pass_rate"] == pytest.approx(2 / 3)
    assert (facts["unscored_share"], facts["dropped_share"]) == (0.25, 0.5)


def test_failures_that_are_told_apart_are_not_dead() -> None:
    facts = signal(records([(0.5, "a"), (0.2, "b")]), Recipe.of("dr_grpo")).facts()
    assert (facts["dead_share"], facts["dead/all_fail"]) == (0.0, 0.0)


# ---- rows


def test_what_a_gate_or_a_mask_closes_was_sampled_and_is_no_action() -> None:
    first = trajectory(0, 1.0)
    step = first.steps[3]
    assert isinstance(step, ModelStep)
    steps = (*first.steps[:3], structs.replace(step, untrainable="masked"))
    got = signal([structs.replace(first, steps=steps), trajectory(1, 0.0)], Recipe.of("dr_grpo"))
    skip = np.array([2, 2])
    assert got.sampled(skip_K=skip, width=7)[0].tolist() == [1, 0, 1, 0, 1, 1, 1]
    assert (got.spans(skip_K=skip, width=8)[0] >= 0).tolist() == [True, False, True] + [False] * 5


def test_an_advantage_of_0_counts() -> None:
    advantage, weight = padded_rows(np.array([0.0, np.nan]), np.array([2]))
    assert (advantage.tolist(), weight.tolist()) == ([[0, 0]], [[1, 0]])


# ---- back-off


def test_recovery_takes_as_long_for_every_step_up_and_starts_anew_after_a_trip() -> None:
    machine = BackOff(BackOffSettings(hold=2))
    scales = list[float]()
    for ratio in (99.0, 1.0, 99.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        machine.observe(ratio=ratio, length=9.0)
        scales.append(machine.scale)
    assert scales == [0.5, 0.5, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0]


def test_recovery_ends_at_1() -> None:
    machine = BackOff(BackOffSettings(factor=0.6, floor=0.5, hold=1))
    machine.observe(ratio=99.0, length=9.0), machine.observe(ratio=99.0, length=9.0)
    assert machine.scale == 0.5  # the floor, not .36
    machine.observe(ratio=1.0, length=9.0), machine.observe(ratio=1.0, length=9.0)
    assert machine.scale == 1.0  # .5/.6 = .833, and then not 1.389


def test_a_length_trips_above_twice_its_mean() -> None:
    machine = BackOff(BackOffSettings())
    assert [machine.observe(ratio=1.0, length=length) for length in (10.0, 19.0)] == [None] * 2
    said = machine.observe(ratio=1.0, length=22.0)  # the mean is 10.9
    assert said is not None
    assert said.startswith("mean length 22 is above 2 times its running mean 10.9")


def test_an_entropy_that_is_no_number_is_no_start() -> None:
    machine = EntropyRegime(RegimeSettings(warmup=2, patience=2))
    for entropy in (float("nan"), 1.0, float("inf"), 1.0, 0.4, 0.4):
        machine.observe(entropy)
    assert (machine.reference, machine.state) == (1.0, "collapse")


def test_a_sign_that_is_damped_to_nothing_leaves_what_is_missing() -> None:
    got = Scales(positive=0.0).applied(np.array([2.0, -2.0, np.nan]))
    assert got.tolist() == pytest.approx([0.0, -2.0, np.nan], nan_ok=True)


def test_a_probe_that_is_no_number_fell() -> None:
    machine = BackOff(BackOffSettings())
    assert machine.observe(ratio=1.0, length=9.0, probe=-1.0) is None
    said = machine.observe(ratio=1.0, length=9.0, probe=float("nan"))
    assert said is not None
    assert "fell from -1 to nan" in said


# ---- rows of another origin


def test_a_row_is_what_follows_the_prompt() -> None:
    silent = ModelStep(text="", token_ids=())
    steps = (*trajectory(0, 1.0).steps[:3], UserStep(text="no ids"), silent)
    record = structs.replace(trajectory(7, 1.0), steps=(*steps, trajectory(0, 1.0).steps[3]))
    row = row_of(record, "replayed")
    assert (row.prompt_ids, row.completion_ids) == ((9, 9), (1, 2, 3, 4, 5, 6))
    assert row.sampled == (1, 0, 1, 0, 1, 1)
    assert (row.record, row.origin) == ("7", "replayed")


def test_a_record_without_ids_or_without_a_prompt_is_no_row() -> None:
    record = trajectory(7, 1.0)
    bare = structs.replace(record, steps=(record.steps[0], ModelStep(text="x")))
    with pytest.raises(AlignmentError, match=r"trajectory '7' steps\[1\]: no token ids"):
        row_of(bare)
    with pytest.raises(AlignmentError, match="trajectory '7': no prompt tokens"):
        row_of(structs.replace(record, steps=record.steps[1:]))


def test_a_row_and_a_target_refuse_what_they_cannot_mean() -> None:
    with pytest.raises(UsageError, match="expected a prompt, and cap above 0"):
        OriginRow((1,), (2,), (1,), cap=0.0)
    tokens, logprobs = np.zeros((2, 3), np.int64), -np.ones((2, 3))
    with pytest.raises(AlignmentError, match=r"got shapes \[\(2, 2\), \(2, 3\)\]"):
        TopK(token_NV=tokens, logprob_NV=logprobs, old_NV=-np.ones((2, 2)))
