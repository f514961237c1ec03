"""Is the expected gradient the exact one, where the policy itself decides when to stop?

Three states in a row. In state t the policy goes on with probability g_t = sigmoid(theta_t), or
stops and passes with probability q_t; going on from the last state fails. Seven trajectories are
possible, so every group of four can be enumerated: the expected gradient of a method is computed,
not sampled, by running the method once over all of them. A Monte-Carlo run over groups follows.
"""

import math
from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest

from assay.credit import method
from assay.kernels.advantages import advantages
from assay.kernels.term import Term
from tests.credit.worlds import answer, batch_of, one, turn

THETA = np.array([0.3, -0.4, 0.2])
GO = 1 / (1 + np.exp(-THETA))
PASS = (0.6, 0.3, 0.8)
SIZE = 4

# (how often it went on, outcome) and the chance of that trajectory
CHANCES = {
    (0, 1.0): (1 - GO[0]) * PASS[0],
    (0, 0.0): (1 - GO[0]) * (1 - PASS[0]),
    (1, 1.0): GO[0] * (1 - GO[1]) * PASS[1],
    (1, 0.0): GO[0] * (1 - GO[1]) * (1 - PASS[1]),
    (2, 1.0): GO[0] * GO[1] * (1 - GO[2]) * PASS[2],
    (2, 0.0): GO[0] * GO[1] * (1 - GO[2]) * (1 - PASS[2]),
    (3, 0.0): GO[0] * GO[1] * GO[2],
}
GROUPS = list(combinations_with_replacement(CHANCES, SIZE))


def score(went, t):
    """d log pi / d theta_t of a trajectory that went on `went` times: 1 - g on going, -g on not."""
    return (1 - GO[t]) if t < went else (-GO[t] if t == went else 0.0)


def weight(members):
    """Chance of this group, in any order."""
    ways = math.factorial(SIZE)
    for times in Counter(members).values():
        ways //= math.factorial(times)
    return ways * math.prod(CHANCES[m] for m in members)


WEIGHTS = np.array([weight(members) for members in GROUPS])
CHANCE_OF_PASS = sum(p for (_, outcome), p in CHANCES.items() if outcome)
REACHED = np.array([1.0, GO[0], GO[0] * GO[1]])


def exact(reward):
    """The gradient of the expected reward of a trajectory, over all seven."""
    return np.array(
        [
            sum(p * reward(*kind) * score(kind[0], t) for kind, p in CHANCES.items())
            for t in range(3)
        ]
    )


OUTCOME = exact(lambda went, outcome: outcome)


def trajectory(went, outcome, **fields):
    steps = []
    for t in range(min(went, 2) + 1):
        steps.append(turn(*([True] if t < went else []), state_key=f"s{t}", reward=1.0))
        if t < went:
            steps.append(answer())
    return one(outcome, steps=steps, **fields)


@pytest.fixture(scope="module")
def batch():
    return batch_of(
        trajectory(*member, group=f"{i}", task=f"{i}")
        for i, members in enumerate(GROUPS)
        for member in members
    )


# every step of every trajectory of every group: its state, and its score
STEPS = [(went, t) for members in GROUPS for went, _ in members for t in range(min(went, 2) + 1)]
STATE_S = np.array([t for _, t in STEPS])
SCORE_S = np.array([score(went, t) for went, t in STEPS])


def gradients(batch, made):
    """Per group: the mean over its trajectories of sum_t A_t * score_t, for each theta."""
    first_S = np.full(batch.traj_S.size, -1)
    sampled = np.flatnonzero(batch.step_R >= 0)[::-1]
    first_S[batch.step_R[sampled]] = sampled  # the first run of each step wins
    advantage_S = made.on_tokens(made.total)[np.cumsum(batch.length_R) - batch.length_R][first_S]
    found = np.zeros((len(GROUPS), 3))
    np.add.at(found, (batch.group_K[batch.traj_S], STATE_S), advantage_S * SCORE_S)
    return found / SIZE


def expected(batch, made):
    return WEIGHTS @ gradients(batch, made)


def test_the_world_adds_up():
    assert sum(CHANCES.values()) == pytest.approx(1.0, abs=1e-12)
    assert WEIGHTS.sum() == pytest.approx(1.0, abs=1e-12)

    # finite differences of the pass rate, computed forwards: shares no line with `exact`
    def rate(theta):
        g = [1 / (1 + math.exp(-x)) for x in theta]
        last = (1 - g[2]) * PASS[2]
        return (1 - g[0]) * PASS[0] + g[0] * ((1 - g[1]) * PASS[1] + g[1] * last)

    for t in range(3):
        up, down = THETA.copy(), THETA.copy()
        up[t] += 1e-5
        down[t] -= 1e-5
        assert (rate(up) - rate(down)) / 2e-5 == pytest.approx(OUTCOME[t], abs=1e-9)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("rloo", 1.0),
        # the mean holds the trajectory itself: (G - 1)/G
        ("dr_grpo", (SIZE - 1) / SIZE),
        ("reinforce", 2.0),
        ("psr", 1.0),
        ("nsr", 1.0),
    ],
)
def test_exact_up_to_a_known_factor(batch, name, factor):
    found = expected(batch, method(name)(batch))
    np.testing.assert_allclose(found, factor * OUTCOME, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        *("grpo", "max_rl", "quantile", "pass_at_k", "ngrpo", "grpo_positive", "grpo_negative"),
        *("gpg", "reinforce_plus_plus", "reinforce_plus_plus_baseline"),
    ],
)
def test_exact_in_direction(batch, name):
    # outcomes of 0 and 1 and a baseline of trajectories: A depends on the counts alone, and
    # E[score | pass] = dp/p, E[score | fail] = -dp/(1-p), so every theta gets the same factor
    found = expected(batch, method(name)(batch))
    ratio = found / OUTCOME
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    assert ratio[0] > 0.1


def test_grpo_passk_is_the_gradient_of_the_best_of_the_group(batch):
    # pass@4 = 1 - (1 - p)^4, so 4 (1 - p)^3 dp, and an update is the mean over four
    found = expected(batch, method("grpo_passk")(batch))
    np.testing.assert_allclose(found, (1 - CHANCE_OF_PASS) ** (SIZE - 1) * OUTCOME, atol=1e-12)


def factor_of_z(p, eps):
    """What z-scoring a 0/1 value of chance p does to its gradient.

    E[A score] = dp * E[(A+ - A-) c (G - c) / G] / (G p (1 - p)) with c ones among G, and what a one
    and a zero get differ by 1 / (std + eps).
    """
    factor = 0.0
    for c in range(1, SIZE):
        std = math.sqrt(c * (SIZE - c) / SIZE / (SIZE - 1))
        chance = math.comb(SIZE, c) * p**c * (1 - p) ** (SIZE - c)
        factor += chance * c * (SIZE - c) / SIZE / (std + eps) / (SIZE * p * (1 - p))
    return factor


def test_grpo_has_the_factor_of_a_z_score(batch):
    found = expected(batch, method("grpo")(batch))
    np.testing.assert_allclose(found, factor_of_z(CHANCE_OF_PASS, 1e-6) * OUTCOME, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "factor"),
    [("rloo", 1.0), ("dr_grpo", 0.75), ("grpo", factor_of_z(CHANCE_OF_PASS, 1e-6))],
)
def test_monte_carlo_within_three_standard_errors(batch, name, factor):
    rng = np.random.default_rng(20260401)
    by_group = gradients(batch, method(name)(batch))
    drawn = by_group[rng.choice(len(GROUPS), size=40_000, p=WEIGHTS / WEIGHTS.sum())]
    error = drawn.std(axis=0, ddof=1) / len(drawn) ** 0.5
    assert (error < 0.05 * np.abs(OUTCOME).max()).all(), "an error this large would hide a bias"
    assert (np.abs(drawn.mean(axis=0) - factor * OUTCOME) < 3 * error).all()


def test_gigpo_is_exact_per_state_with_a_factor_of_its_own(batch):
    # gamma 1: the n_t members that got to state t compare their outcomes, and keep (n_t - 1)/n_t of
    # the gradient, so E[(n_t - 1)+] / E[n_t]; the outcome term keeps (G - 1)/G everywhere
    factor = []
    for p in REACHED:
        chances = [math.comb(SIZE, n) * p**n * (1 - p) ** (SIZE - n) for n in range(SIZE + 1)]
        kept = sum(chance * max(n - 1, 0) for n, chance in enumerate(chances))
        factor.append(0.75 + kept / (SIZE * p))
    found = expected(batch, method("gigpo", gamma=1.0)(batch))
    np.testing.assert_allclose(found, np.array(factor) * OUTCOME, atol=1e-12)
    assert factor[0] == pytest.approx(1.5)
    assert factor[2] < 1.1, "states that are reached seldom are learned more slowly"


def test_gigpo_with_the_mean_over_steps_is_biased(batch):
    # the step term is left out: what is left is the outcome against a mean that depends on length
    found = expected(batch, method("gigpo", w=0.0, variant="repo")(batch))
    ratio = found / OUTCOME
    assert np.ptp(ratio) > 0.1, f"every theta should differ in its factor; got {ratio}"
    plain = expected(batch, method("gigpo", w=0.0)(batch))
    np.testing.assert_allclose(plain, 0.75 * OUTCOME, atol=1e-12)


def test_gigpo_with_a_discount_favours_stopping(batch):
    # every pass is worth gamma^steps in the step term, so going on from the first state loses
    exact_step = expected(batch, method("gigpo", gamma=1.0)(batch))
    discounted = expected(batch, method("gigpo", gamma=0.5)(batch))
    assert (discounted[:2] < exact_step[:2] - 0.005).all()


def test_mt_grpo_is_biased_towards_the_turn_reward(batch):
    # Going on from the first state calls a tool that runs and earns the turn reward; it also
    # lowers the pass rate, so the exact gradient of the first theta is below 0, and ours above.
    assert OUTCOME[0] < -0.01
    found = expected(batch, method("mt_grpo", turn="ran")(batch))
    assert found[0] > 0.1
    # with the turn term off it is grpo with eps 1e-4
    without = expected(batch, method("mt_grpo", turn="ran", w=0.0)(batch))
    grpo = expected(batch, method("grpo", eps=1e-4)(batch))
    np.testing.assert_allclose(without, grpo, atol=1e-12)
    # the bias is the gradient of the chance to call, in units of its deviation, and nothing else
    called = exact(lambda went, outcome: float(went > 0))
    np.testing.assert_allclose(found - without, factor_of_z(GO[0], 1e-4) * called, atol=1e-12)


def test_centring_every_turn_index_on_its_own_hides_what_later_turns_earn(batch):
    # Every step pays 1, so the exact gradient is that of the expected number of steps.
    steps = exact(lambda went, outcome: float(min(went, 2) + 1))
    assert (steps[:2] > 0.05).all()
    # Each turn's reward centred on the group's rewards of the same turn index: all equal, so
    # nothing is ever learned. The hidden term is minus what each extra turn was expected to earn.
    by_turn = Term(
        name="turn",
        value_U=batch.reward_S,
        peer_U=batch.group_K[batch.traj_S] * 3 + STATE_S,
        unit_R=batch.steps_R,
        baseline="mean",
    )
    found = expected(batch, advantages([by_turn], batch.length_R))
    np.testing.assert_array_equal(found, np.zeros(3))
    # The same rewards summed per trajectory and compared with the others' are exact.
    total_K = np.bincount(batch.traj_S, batch.reward_S)
    whole = Term(
        name="return",
        value_U=total_K,
        peer_U=batch.group_K,
        unit_R=batch.all_sampled_R,
        baseline="loo",
    )
    found = expected(batch, advantages([whole], batch.length_R))
    np.testing.assert_allclose(found, steps, atol=1e-12)
