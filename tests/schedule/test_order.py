"""Orders by hand: shares, stages, what a pause does, and how many prompts a share is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.schedule.named import order_of
from assay.schedule.order import Mix, Stages, among, drawn
from assay.schedule.settings import Schedule

OPEN = np.ones(3, bool)
few = settings(max_examples=60, deadline=None)
shares = st.lists(st.integers(0, 9), min_size=2, max_size=6).filter(any)


def no(*paused):
    return np.array([at not in paused for at in range(3)])


def test_shares_of_paused_domains_go_to_the_others():
    share_D = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(among(share_D, OPEN), share_D)
    # without the first .3 and .2 are left: 3/5 and 2/5
    np.testing.assert_allclose(among(share_D, no(0)), [0.0, 0.6, 0.4])
    np.testing.assert_allclose(among(share_D, no(0, 1, 2)), share_D)
    # of those that are open none has a share: as without a pause
    np.testing.assert_allclose(among(np.array([1.0, 0.0, 0.0]), no(0)), [1.0, 0.0, 0.0])


def test_stages_are_equally_long():
    order = Stages((2, 0, 1))
    seen = [int(order.weights(step / 9, OPEN).argmax()) for step in range(9)]
    assert seen == [2, 2, 2, 0, 0, 0, 1, 1, 1]
    assert int(order.weights(1.2, OPEN).argmax()) == 1, "a budget may be passed"
    np.testing.assert_array_equal(order.weights(0.99, OPEN), [0.0, 1.0, 0.0])


def test_a_stage_ends_where_the_next_domain_is_paused():
    # the second stage's domain is paused in the first: it begins at once, and lasts to its end
    order = Stages((2, 0, 1))
    seen = [
        int(order.weights(step / 9, no(0) if step == 1 else OPEN).argmax()) for step in range(9)
    ]
    assert seen == [2, 0, 0, 0, 0, 0, 1, 1, 1]
    # whoever is paused, the last one stays
    order = Stages((2, 0, 1))
    assert [int(order.weights(0.0, no(0, 1)).argmax()) for _ in range(4)] == [0, 1, 1, 1]
    # one that is through does not count
    order = Stages((2, 0, 1))
    assert [int(order.weights(0.4, no(2)).argmax()) for _ in range(2)] == [0, 0]


def test_a_stage_is_remembered():
    order, other = Stages((0, 1, 2)), Stages((0, 1, 2))
    order.weights(0.0, no(1))
    other.restore(order.state())
    assert other == order
    assert int(other.weights(0.0, OPEN).argmax()) == 1


def test_what_forgets_has_nothing_to_say():
    mix = Mix(np.array([0.5, 0.5]))
    assert (mix.state(), dict(mix.facts())) == ({}, {})
    mix.restore({})


def test_the_order_that_settings_ask_for():
    names = ("a", "b", "c")
    np.testing.assert_allclose(order_of(Schedule(), names).weights(0.0, OPEN), np.full(3, 1 / 3))
    staged = order_of(Schedule(mode="fixed", order=("c", "a")), names)
    assert [int(staged.weights(d, OPEN).argmax()) for d in (0.0, 0.5)] == [2, 0]
    mixed = order_of(Schedule(mode="fixed", weights={"b": 3.0, "c": 1.0}), names)
    np.testing.assert_allclose(mixed.weights(0.0, OPEN), [0.0, 0.75, 0.25])
    assert (staged.whole, mixed.whole) == (True, False)
    assert order_of(Schedule(mode="fixed", weights={"b": 1.0}, whole=True), names).whole


@few
@given(weights=shares, prompts=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_share_is_its_prompts_rounded(weights, prompts, seed):
    share_D = np.array(weights, float) / sum(weights)
    found = drawn(share_D, prompts, whole=False, rng=np.random.default_rng(seed))
    count_D = np.bincount(found, minlength=share_D.size)
    assert count_D.sum() == prompts
    assert (np.abs(count_D - prompts * share_D) < 1 + 1e-9).all()
    assert (count_D[share_D == 0] == 0).all()


@few
@given(weights=shares, seed=st.integers(0, 99))
def test_a_whole_batch_is_of_one(weights, seed):
    share_D = np.array(weights, float) / sum(weights)
    found = drawn(share_D, 5, whole=True, rng=np.random.default_rng(seed))
    assert len(found) == 5
    assert len({*found}) == 1
    assert share_D[found[0]] > 0


def test_shares_hold_on_average():
    # .2 of 4 prompts is 0 or 1: .8 on average; and whole batches fall to it one time in five
    rng, share_D = np.random.default_rng(1), np.array([0.8, 0.2])
    mixed = np.mean([sum(drawn(share_D, 4, whole=False, rng=rng)) for _ in range(4000)])
    whole = np.mean([drawn(share_D, 4, whole=True, rng=rng)[0] for _ in range(4000)])
    assert mixed == pytest.approx(0.8, abs=0.03)
    assert whole == pytest.approx(0.2, abs=0.03)
