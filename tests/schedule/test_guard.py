"""The guard by hand: who is paused, from when on, and what is said."""

import numpy as np

from assay.schedule.guard import Guard

NAN = float("nan")


def seen(*values):
    return np.array(values, float)


def test_below_its_share_of_the_start_a_domain_is_paused():
    guard = Guard(("a", "b"), 0.5)
    assert guard.open_D.tolist() == [True, True]
    assert guard.observe(seen(0.4, 0.2)) == []
    assert guard.observe(seen(0.2, 0.11)) == [], "half of it is not below"
    said = guard.observe(seen(0.19, 0.11))
    # .19 / .4 = 47.5 %
    assert said == [
        "a is paused: its mean token entropy on the probe is 0.190, 48% of its start; the guard "
        "is 50%"
    ]
    assert guard.open_D.tolist() == [False, True]
    assert guard.observe(seen(0.18, 0.5)) == [], "said once"
    (said,) = guard.observe(seen(0.2, 0.5))
    assert said.startswith("a goes on: its mean token entropy on the probe is 0.200, 50%")
    assert guard.open_D.all()


def test_what_cannot_be_seen_is_not_paused():
    guard = Guard(("a", "b"), 0.5)
    guard.observe(seen(NAN, 0.2))
    assert guard.observe(seen(NAN, 0.01))[0].startswith("b is paused")
    assert guard.open_D.tolist() == [True, False]


def test_what_is_off_pauses_nothing():
    guard = Guard(("a",), 0.0)
    guard.observe(seen(1.0))
    assert guard.observe(seen(0.0)) == []
    assert guard.open_D.all()


def test_start_and_last_look_are_remembered():
    guard, other = Guard(("a", "b"), 0.5), Guard(("a", "b"), 0.5)
    guard.observe(seen(1.0, NAN))
    guard.observe(seen(0.4, NAN))
    other.restore(guard.state())
    assert other == guard
    assert other.observe(seen(0.4, NAN)) == []
    assert other.open_D.tolist() == [False, True]
