"""Cases whose answer is known in closed form, reproduced within their Monte Carlo error."""

import math

import numpy as np
import pytest

from assay.cluster import Measured, Plan, simulate

pytest.importorskip("simpy")

MANY = 4000
EXPONENTIAL = [[-math.log1p(-(at + 0.5) / MANY)] for at in range(MANY)]
"""Quantiles of the exponential distribution of mean 1: drawn from, nearly exponential times."""


def within(values, expected, errors=4.0):
    """The mean over seeds lies within so many standard errors."""
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - expected) < errors * error
    assert error < 0.05 * expected  # or it would say nothing


@pytest.mark.slow
def test_the_longest_of_n_exponential_times():
    # E max of n = H_n = 1 + 1/2 + ... + 1/n; 8 workers, 8 groups a round: 2.717857.
    measured = Measured(length=EXPONENTIAL, tokens=EXPONENTIAL)
    plan = Plan(workers=8, groups=8, size=1)
    seconds = [
        simulate(plan, measured, updates=100, seed=seed).updates[-1].ended / 100
        for seed in range(8)
    ]
    within(seconds, sum(1 / k for k in range(1, 9)))


@pytest.mark.slow
def test_a_trainer_as_a_queue():
    # One worker that never waits: groups come as a Poisson process of rate 1. An update takes 0.5:
    # M/D/1, Pollaczek 1930: mean wait = rho D / (2 (1 - rho)) = 0.5 * 0.5 / (2 * 0.5) = 0.25.
    measured = Measured(length=EXPONENTIAL, tokens=EXPONENTIAL, update=0.5)
    plan = Plan(workers=1, groups=1, size=1, staleness=None)
    seen = [simulate(plan, measured, updates=3000, seed=s).outcome() for s in range(8)]
    within([each.trainer_wait for each in seen], 0.25)
    within([1 - each.trainer_idle for each in seen], 0.5)


def test_pieces_that_are_lost_begin_again():
    # Losses at rate l an hour, work of D, R to start again, preempt and repeat:
    # E time = (exp(l D) - 1) (1 / l + R), and what is lost during a start begins that again:
    # R becomes (exp(l R) - 1) / l, so E time = (exp(l D) - 1) / l * exp(l R).
    # l = 0.5 a second, D = 2, R = 1: (e - 1) / 0.5 * exp(0.5) = 5.666.
    measured = Measured(length=[[2.0]], tokens=[[1.0]], restart=1.0)
    plan = Plan(workers=1, groups=1, size=1, lost=0.5 * 3600)
    seconds = [
        simulate(plan, measured, updates=400, seed=seed).updates[-1].ended / 400
        for seed in range(8)
    ]
    within(seconds, (math.e - 1) / 0.5 * math.exp(0.5))


def test_a_shared_core_is_processor_sharing():
    # n equal jobs on one core, all at once, end together after n times the work, whatever n.
    measured = Measured(length=[[2.0]], tokens=[[1.0]])
    for n in (1, 3, 7):
        history = simulate(Plan(workers=n, groups=n, size=1, cores=1), measured, updates=1)
        assert history.updates[0].ended == pytest.approx(2.0 * n)
