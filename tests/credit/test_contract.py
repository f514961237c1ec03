"""The edge cases that every method must get right, and the laws they promise."""

import dataclasses
from dataclasses import replace
from itertools import count

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit import METHODS, method
from assay.errors import AssayError, MethodError
from assay.records import ModelStep, Span
from tests.credit.worlds import answer, batch_of, group, groups, one, per_trajectory, turn

BINARY = ["psr", "nsr", "w_reinforce", "pass_at_k", "avspo", "rl_zvp", "lens"]
CENTRED = ["grpo", "dr_grpo", "rloo", "max_rl", "pass_at_k", "lens", "ms_grpo", "toolpo", "gigpo"]
EVIDENCE = ["toolpo", "mt_grpo", "srl", "score_delta", "gae"]
WORDS = (
    *(("gigpo", "anchor"), ("g2po", "anchor"), ("hgpo", "anchor"), ("hgpo", "skip")),
    *(("reasonflux", "level"), ("reasonflux", "bound")),
)
"""Options that are a number elsewhere."""
GROUP_BASED = [
    *("grpo", "dr_grpo", "rloo", "max_rl", "pass_at_k", "quantile", "grpo_positive"),
    *("grpo_negative", "gigpo", "mt_grpo", "tree_grpo", "ms_grpo", "toolpo"),
    *("carl", "tree_rl", "tree_po", "delta_belief", "srl"),
]


NODES = count()
"""No two trajectories share a node."""


def rich(outcome, *, group="g", length=2, **fields):
    """A trajectory that every method can read: calls, states, rewards, log-probs, entropies."""
    steps = []
    for i in range(length):
        step = turn(
            True,
            expert=[i % 2 == 0],
            state_key=f"s{i % 2}",
            node=f"n{next(NODES)}",
            belief=-2.0 / (i + 1),
            confidence=0.25 + i / 4,
            spans=(Span(role="confidence", start=0, end=1),),
            scores={
                "srl": 0.5 + (outcome or 0.0) / 2,
                "srl_step": float(i),
                "hindsight": -1.0 - i,
                "state": i / 4,
                "next_state": 1.0 - 2 * (i % 2),
                "answer": outcome or 0.0,
                "align": 0.5 - i / 4,
                "quality": 0.25 + i / 4,
                "coherence": -0.5 * i,
            },
        )
        n = len(step.token_ids)
        steps += [
            msgspec.structs.replace(
                step,
                logprobs=(-0.5 - i,) * n,
                entropies=tuple(0.1 * j for j in range(n)),
                told=(-0.2,) * n,
                neutral=(-0.3 - i,) * n,
            ),
            answer(f"{i}"),
        ]
    fields = {"rewards": {"style": length / 4, "exact": outcome}, **fields}
    return one(
        outcome, group=group, tree=f"{group}-{fields.pop('tree', 't')}", steps=steps, **fields
    )


def made(name, **options):
    return method(name, **options)


def world(**outcomes):
    return batch_of(
        rich(o, group=name, length=1 + i % 3)
        for name, values in outcomes.items()
        for i, o in enumerate(values)
    )


WORLD = world(mixed=[1, 0, 0, 1], fails=[0, 0, 0], passes=[1, 1], rest=[1, None, 0])


@pytest.mark.parametrize("name", METHODS.names())
def test_unscored_trajectories_change_nothing(name):
    with_it = batch_of([*(rich(o) for o in (1.0, 0.0, 0.0)), rich(None)])
    without = batch_of(rich(o) for o in (1.0, 0.0, 0.0))
    by = made(name)
    ours, theirs = by(with_it).advantage_N, by(without).advantage_N
    if name in EVIDENCE:  # an unscored trajectory's calls are still evidence
        return
    np.testing.assert_allclose(ours[: theirs.size], theirs, atol=1e-12)


@pytest.mark.parametrize("name", METHODS.names())
def test_dropped_trajectories_change_nothing_and_get_nothing(name):
    trajectories = [rich(o) for o in (1.0, 0.0, 0.0, 1.0, 1.0)]
    whole = batch_of(trajectories)
    gated = replace(whole, weight_K=np.array([1.0, 1.0, 1.0, 0.0, 0.0]))
    by = made(name)
    ours, theirs = by(gated).advantage_N, by(batch_of(trajectories[:3])).advantage_N
    if name != "toolpo":  # there, what a dropped success called is still evidence
        np.testing.assert_allclose(ours[: theirs.size], theirs, atol=1e-12)
    np.testing.assert_array_equal(ours[theirs.size :], 0.0)


@pytest.mark.parametrize("name", METHODS.names())
def test_weights_of_the_gates_multiply(name):
    half = replace(WORLD, weight_K=np.full(len(WORLD.ids), 0.5))
    by = made(name)
    np.testing.assert_allclose(by(half).advantage_N, by(WORLD).advantage_N / 2, atol=1e-12)


@pytest.mark.parametrize("name", METHODS.names())
def test_unsampled_and_masked_tokens_get_exactly_zero(name):
    masked = replace(WORLD, untrainable_S=np.where(WORLD.index_S == 0, 0, -1).astype(np.int8))
    for batch in (WORLD, masked):
        advantages = made(name)(batch)
        closed_N = np.repeat(batch.steps_R < 0, batch.length_R)
        np.testing.assert_array_equal(advantages.advantage_N[closed_N], 0.0)
        assert advantages.advantage_N.size == batch.length_R.sum()


@pytest.mark.parametrize("name", METHODS.names())
def test_garbage_on_unsampled_tokens_changes_nothing(name):
    rng = np.random.default_rng(0)
    open_N = np.repeat(WORLD.step_R >= 0, WORLD.length_R)
    noise_N = -rng.random(open_N.size) * 9
    noisy = replace(
        WORLD,
        logprob_N=np.where(open_N, WORLD.logprob_N, noise_N),
        told_N=np.where(open_N, WORLD.told_N, -noise_N),
        neutral_N=np.where(open_N, WORLD.neutral_N, noise_N),
        entropy_N=np.where(open_N, WORLD.entropy_N, -noise_N),
    )
    by = made(name)
    np.testing.assert_array_equal(by(noisy).advantage_N, by(WORLD).advantage_N)


@pytest.mark.parametrize("name", METHODS.names())
def test_the_order_of_trajectories_does_not_matter(name):
    trajectories = [
        rich(o, group=g, length=1 + i % 3, id=f"{g}{i}")
        for g, values in {"a": [1, 0, 0, 1], "b": [0, 0, 0], "c": [1, 1]}.items()
        for i, o in enumerate(values)
    ]
    mixed = [trajectories[i] for i in (8, 3, 0, 5, 7, 2, 6, 1, 4)]
    by = made(name)

    def found(these):
        batch = batch_of(these)
        tokens = by(batch).advantage_N
        owner_N = np.repeat(batch.traj_R, batch.length_R)
        return {batch.ids[k]: tokens[owner_N == k] for k in range(len(batch.ids))}

    first, second = found(trajectories), found(mixed)
    for key, values in first.items():
        np.testing.assert_allclose(second[key], values, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", METHODS.names())
def test_terms_add_up_to_the_total(name):
    advantages = made(name)(WORLD)
    parts = [advantages.on_tokens(part) for part in advantages.parts.values()]
    total = np.nansum(parts, axis=0)
    np.testing.assert_allclose(np.nan_to_num(advantages.advantage_N), total, atol=1e-12)


@pytest.mark.parametrize("name", METHODS.names())
def test_no_scored_token_is_nan_or_infinite_whatever_the_group(name):
    shapes = ([1], [0], [1, 1], [0, 0], [1, 0], [1, None], [None, 0], [None, None], [1, 0, 0, 0])
    for outcomes in shapes:
        batch = batch_of(rich(o) for o in outcomes)
        if name == "pass_at_k" and 0 < sum(o is not None for o in outcomes) < 2:
            with pytest.raises(MethodError, match="needs 2 scored members in every group, k"):
                made(name)(batch)
            continue
        advantage_N = made(name)(batch).advantage_N
        assert not np.isinf(advantage_N).any()
        scored_N = np.repeat(~np.isnan(batch.value_K)[batch.traj_R], batch.length_R)
        assert not np.isnan(advantage_N[scored_N]).any()


@pytest.mark.parametrize("name", GROUP_BASED)
@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_equal_trajectories_get_exactly_zero(name, outcome):
    batch = batch_of(rich(outcome) for _ in range(12))
    np.testing.assert_array_equal(made(name)(batch).advantage_N, 0.0)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo", "max_rl", "quantile", "ms_grpo"])
def test_twelve_times_seven_tenths_is_exactly_zero(name):
    batch = group([0.7] * 12)
    np.testing.assert_array_equal(made(name)(batch).advantage_N, 0.0)


@pytest.mark.parametrize("name", GROUP_BASED)
def test_a_lone_trajectory_gets_zero(name):
    options = {"k": 1} if name == "pass_at_k" else {}
    for outcome in (0.0, 1.0):
        batch = batch_of([rich(outcome)])
        by = made(name, **options)
        if name == "gigpo":  # it may meet its own states again
            by = made(name, w=0.0)
        np.testing.assert_array_equal(by(batch).advantage_N, 0.0)


def test_lone_trajectories_of_methods_that_need_no_group():
    batch = group([0.0])
    expected = {"nsr": -1.0, "w_reinforce": -1.0, "reinforce": -1.0, "psr": 0.0}
    for name, value in expected.items():
        assert per_trajectory(batch, made(name)(batch)) == [value]


# What every trajectory of an all-fail group of 4, 8, 16 gets, where methods are told apart most.
A0 = {
    "grpo": (0, 0, 0),
    "dr_grpo": (0, 0, 0),
    "rloo": (0, 0, 0),
    "max_rl": (0, 0, 0),
    "pass_at_k": (0, 0, 0),
    "quantile": (0, 0, 0),
    "unlikeliness": (0, 0, 0),
    "nsr": (-1, -1, -1),
    "w_reinforce": (-1, -1, -1),
    "reinforce": (-1, -1, -1),
    "ngrpo": (-1 / 5**0.5, -1 / 9**0.5, -1 / 17**0.5),  # .447 .333 .243
    "ebpo": (0, 0, 0),  # nobody passes anywhere, so mu is 0
    "asym_re": (0.1, 0.1, 0.1),
}


@pytest.mark.parametrize("name", A0)
def test_what_an_all_fail_group_receives(name):
    for n, expected in zip((4, 8, 16), A0[name], strict=True):
        batch = batch_of(rich(0.0) for _ in range(n))
        advantage_N = made(name)(batch).advantage_N
        sampled_N = np.repeat(batch.step_R >= 0, batch.length_R)
        np.testing.assert_allclose(advantage_N[sampled_N], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["quantile", "ngrpo", "avspo", "grpo"])
def test_all_pass_groups_are_left_alone(name):
    batch = groups(passes=[1, 1, 1], mixed=[1, 0])
    np.testing.assert_array_equal(made(name)(batch).advantage_N[:6], 0.0)


@pytest.mark.parametrize("name", BINARY)
def test_outcomes_between_pass_and_fail_must_be_decided(name):
    batch = batch_of([rich(0.4, id="half"), rich(1.0), rich(0.0)])
    with pytest.raises(MethodError, match=f"{name} needs outcomes of 0 or 1; trajectory 'half'"):
        made(name)(batch)
    decided = made(name, pass_at=0.4)(batch).advantage_N
    binary = batch_of([rich(1.0), rich(1.0), rich(0.0)])
    np.testing.assert_array_equal(decided, made(name)(binary).advantage_N)
    above = made(name, pass_at=0.5)(batch).advantage_N
    binary = batch_of([rich(0.0), rich(1.0), rich(0.0)])
    np.testing.assert_array_equal(above, made(name)(binary).advantage_N)


outcomes_of_a_group = st.lists(st.sampled_from([0.0, 1.0, None]), min_size=2, max_size=7)


@pytest.mark.parametrize("name", CENTRED)
@settings(max_examples=25, deadline=None)
@given(outcomes=outcomes_of_a_group)
def test_centred_methods_add_up_to_zero_over_a_group(name, outcomes):
    scored = sum(o is not None for o in outcomes)
    options = {"k": 1} if name == "pass_at_k" else {}
    if name == "gigpo":
        options = {"w": 0.0}
    batch = batch_of(rich(o, length=1) for o in outcomes)
    found = made(name, **options)(batch).advantage_N
    first = [found[(np.repeat(batch.traj_R, batch.length_R) == k)][0] for k in range(len(outcomes))]
    assert scored == 0 or abs(np.nansum(first)) < 1e-5


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(outcomes=outcomes_of_a_group, shift=st.sampled_from([-2.0, 0.5, 3.0]))
def test_a_shift_of_all_outcomes_changes_nothing(outcomes, shift):
    moved = [None if o is None else o + shift for o in outcomes]
    for name in ("grpo", "dr_grpo", "rloo", "quantile", "gigpo", "ms_grpo", "asym_re"):
        first, second = (
            made(name, **_plain(name))(group(o)).advantage_N for o in (outcomes, moved)
        )
        np.testing.assert_allclose(second, first, atol=1e-9, err_msg=name)


def _plain(name):
    return {"gamma": 1.0} if name == "gigpo" else {}


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(outcomes=outcomes_of_a_group, factor=st.sampled_from([0.25, 8.0]))
def test_scaled_methods_do_not_know_the_unit_of_the_outcome(outcomes, factor):
    grown = [None if o is None else o * factor for o in outcomes]
    for name in ("grpo", "max_rl", "quantile", "ms_grpo"):
        options = {"eps": 0.0}
        first, second = (made(name, **options)(group(o)).advantage_N for o in (outcomes, grown))
        np.testing.assert_allclose(second, first, atol=1e-9, err_msg=name)


@settings(max_examples=50, deadline=None)
@given(outcomes=outcomes_of_a_group)
def test_the_halves_of_grpo_add_up_to_grpo(outcomes):
    batch = group(outcomes)
    halves = (made(name)(batch).advantage_N for name in ("grpo_positive", "grpo_negative"))
    np.testing.assert_allclose(sum(halves), made("grpo")(batch).advantage_N, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(outcomes=outcomes_of_a_group)
def test_psr_and_nsr_add_up_to_reinforce(outcomes):
    batch = group(outcomes)
    halves = (made(name)(batch).advantage_N for name in ("psr", "nsr"))
    np.testing.assert_allclose(sum(halves), made("reinforce")(batch).advantage_N, atol=1e-12)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_whose_options_are_out_of_range_cannot_be_made(name):
    bad = {
        "ddof": 2,
        "eps": -1e-9,
        "cap": 0.0,
        "k": 0,
        "level": 1.0,
        "weight": 0.0,
        "lam": -0.1,
        "acr": 1.5,
        "trigger": 1.0,
        "anchor": 0.0,
        "power": 0.0,
        "within": -1.0,
        "between": -1.0,
        "max_shrink": 1.5,
        "alpha": -1.0,
        "beta": 1.5,
        "l1": -1.0,
        "w": -1.0,
        "gamma": 1.5,
        "turn_cost": -0.1,
        "mix": 1.5,
        "votes": 1.5,
        "win": -1.0,
        "floor": 1.0,
        "filter": -1.0,
        "skip": -1.0,
        "w_gain": -1.0,
        "invalid": -1.0,
        "temperature": 0.0,
        "low": 1.5,
        "high": 0.9,
        "bound": 0.0,
        "fail": -0.1,
        "least": -0.1,
        "share": 1.5,
        "eps_w": 1.5,
    }
    cls = METHODS.get(name)
    for field in dataclasses.fields(cls):
        if field.name in bad and (name, field.name) not in WORDS:
            with pytest.raises(AssayError, match=field.name):
                method(name, **{field.name: bad[field.name]})
            with pytest.raises(MethodError, match=field.name):
                cls(**{field.name: bad[field.name]})


@pytest.mark.parametrize("name", METHODS.names())
def test_an_empty_batch(name):
    batch = batch_of([])
    if METHODS.get(name).needs or name in ("mt_grpo", "gae"):
        with pytest.raises(MethodError, match=f"{name} needs"):
            made(name)(batch)
    else:
        assert made(name)(batch).advantage_N.size == 0


def test_a_trajectory_of_no_sampled_token_is_harmless():
    silent = one(0.0, steps=[ModelStep(text="", token_ids=())])
    batch = batch_of([one(1.0), silent])
    np.testing.assert_allclose(made("dr_grpo")(batch).advantage_N, [0.5, 0.5])
