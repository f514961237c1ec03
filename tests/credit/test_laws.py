"""Laws that every registered method keeps, on random sets: a new method is held to them by being
registered. What is excepted is named, with why.
"""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Batch
from assay.credit import METHODS, method
from assay.credit.beliefs import gains
from assay.credit.controls import CONTROLS, controlled
from assay.records import ToolStep
from tests.credit.lawful import world

NAMES = METHODS.names()
OPTIONS = {"pass_at_k": {"k": 1}}
"""Options without which a method refuses groups of one."""
NO_BASELINE = "no baseline, or one that is given"
SHIFT = {
    **dict.fromkeys(("reinforce", "psr", "nsr", "w_reinforce", "ngrpo", "ebpo"), NO_BASELINE),
    "additive": NO_BASELINE,
    "max_rl": "divides by the mean",
    "unlikeliness": "multiplies the outcome by a rank",
    "gigpo": "discounts it",
    "hgpo": "discounts it",
    "hcapo": "multiplies it by what is likely in hindsight",
    "g2po": "discounts it",
    "gae": "takes the last score off it",
}
"""Methods whose advantages change where all outcomes grow by the same number."""
seeds = st.integers(0, 10**6)
few = settings(max_examples=3, deadline=None)


def made(name, **options):
    return method(name, **{**OPTIONS.get(name, {}), **options})


def by_node(batch, advantage_N):
    """Sum of the advantages of each step over its copies; NaN where a copy is unscored."""
    found = {}
    own_N = np.repeat(batch.step_R, batch.length_R)
    first_S = np.flatnonzero(np.diff(batch.traj_S, prepend=-1))
    for s, k in enumerate(batch.traj_S.tolist()):
        place = s - int(first_S[np.searchsorted(first_S, s, side="right") - 1])
        node = int(batch.node_S[s])
        key = (batch.ids[k], place) if node < 0 else ("node", NODES[batch.ids[k]][place])
        found[key] = found.get(key, 0.0) + advantage_N[own_N == s].sum()
    return found


NODES: dict[str, list[str]] = {}


def named(records):
    NODES.clear()
    for record in records:
        NODES[record.id] = [step.node for step in record.steps if hasattr(step, "node")]
    return Batch.of(records)


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=seeds)
def test_what_is_compared_adds_up_to_zero_and_alone_is_zero(name, seed):
    batch = Batch.of(world(seed))
    for each in made(name)(batch).made:
        term, n = each.term, each.scaled_U.size
        votes_U = np.arange(n) if term.vote_U is None else term.vote_U
        scored_U = ~np.isnan(term.value_U)
        assert not np.isnan(each.scaled_U[scored_U]).any(), term.name
        if term.baseline not in ("mean", "loo") or term.peer_U is None:
            continue
        assert (each.scaled_U[scored_U & (each.count_U == 1)] == 0.0).all(), term.name
        assert (each.scaled_U[scored_U & each.constant_U] == 0.0).all(), term.name
        if (votes_U[scored_U] != np.arange(n)[scored_U]).any():
            continue
        at = scored_U & (term.peer_U >= 0)
        mass_U = np.ones(n) if term.mass_U is None else term.mass_U
        sums_P = np.bincount(term.peer_U[at], (each.scaled_U * mass_U)[at])
        size = max(1.0, float(np.abs(each.scaled_U * mass_U)[at].sum()))
        assert (np.abs(sums_P) <= 1e-9 * size).all(), term.name


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=seeds)
def test_the_order_of_members_does_not_matter(name, seed):
    # which copy of a shared step carries it may; all of them together do not
    records = world(seed)
    first = by_node(batch := named(records), made(name)(batch).advantage_N)
    rng = np.random.default_rng(seed)
    turned = [records[i] for i in rng.permutation(len(records))]
    second = by_node(batch := named(turned), made(name)(batch).advantage_N)
    assert set(first) == set(second)
    for key, value in first.items():
        np.testing.assert_allclose(second[key], value, atol=1e-9, err_msg=f"{key}")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHIFT])
@few
@given(seed=seeds, shift=st.sampled_from([-2.0, 0.5, 3.0]))
def test_a_shift_of_all_outcomes_changes_nothing(name, seed, shift):
    records = world(seed)
    moved = [
        msgspec.structs.replace(r, outcome=None if r.outcome is None else r.outcome + shift)
        for r in records
    ]
    bar = {"pass_at": 1.0} if hasattr(METHODS.get(name), "pass_at") else {}
    up = {key: value + shift for key, value in bar.items()}
    first = made(name, **bar)(Batch.of(records, pass_at=1.0)).advantage_N
    second = made(name, **up)(Batch.of(moved, pass_at=1.0 + shift)).advantage_N
    np.testing.assert_allclose(second, first, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=seeds)
def test_masks_hold_and_nothing_scored_is_nan(name, seed):
    records = world(seed)
    batch = Batch.of(records)
    found = made(name)(batch).advantage_N
    closed_N = np.repeat(batch.steps_R < 0, batch.length_R)
    assert (found[closed_N] == 0.0).all(), "what the policy did not sample, or may not be trained"
    scored_N = np.repeat(~np.isnan(batch.value_K)[batch.traj_R], batch.length_R)
    assert np.isfinite(found[scored_N]).all()
    # a tool's error, or a trajectory that was cut off, changes no mask
    worse = [
        msgspec.structs.replace(
            record,
            steps=tuple(
                msgspec.structs.replace(step, error=True) if type(step) is ToolStep else step
                for step in record.steps
            ),
        )
        for record in records
    ]
    again = Batch.of(worse)
    np.testing.assert_array_equal(again.steps_R, batch.steps_R)
    found = made(name)(again).advantage_N
    assert (found[closed_N] == 0.0).all()
    assert np.isfinite(found[scored_N]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_groups_that_all_fail_and_attempts_that_are_alone_are_defined(name, outcome):
    for seed in range(3):
        records = [msgspec.structs.replace(r, outcome=outcome) for r in world(seed, gaps=False)]
        lone = [msgspec.structs.replace(r, group=r.id, task=r.id, tree=r.id) for r in records]
        for each in (records, lone, records[:1]):
            assert np.isfinite(made(name)(Batch.of(each)).advantage_N).all()


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=seeds)
def test_a_shuffle_in_time_keeps_what_a_trajectory_has(name, seed):
    batch = Batch.of(world(seed, tokens=2, gaps=False))
    plain = made(name)(batch)
    traj_N = np.repeat(batch.traj_R, batch.length_R)
    n = len(batch.ids)
    for control in CONTROLS:
        found = controlled(batch, plain, control, (seed, 1))
        assert not np.isinf(found.advantage_N).any()
        if control == "random":
            continue
        for of in (np.asarray, np.abs):
            first, second = (
                np.bincount(traj_N, np.nan_to_num(of(each.advantage_N)), n)
                for each in (plain, found)
            )
            np.testing.assert_allclose(second, first, atol=1e-9)


@few
@given(seed=seeds)
def test_gains_of_belief_add_up_to_last_less_first(seed):
    batch = Batch.of(world(seed, gaps=False))
    sum_K = np.bincount(batch.traj_S, gains(batch, -20.0), len(batch.ids))
    last_S = np.append(np.diff(batch.traj_S) != 0, True)
    np.testing.assert_allclose(sum_K, batch.belief_S[last_S] - batch.prior_K, atol=1e-12)
