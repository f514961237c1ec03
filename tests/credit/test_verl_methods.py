"""Methods that verl has too, by hand; `tests/conventions/test_verl.py` holds them to verl's own."""

import numpy as np
import pytest
from hypothesis import given as given_
from hypothesis import settings
from hypothesis import strategies as st

from assay.credit import method
from assay.errors import MethodError
from assay.records import ModelStep
from tests.credit.worlds import NAN, answer, batch_of, one, per_trajectory


def long(outcome, tokens, *, masked=0, group="g", **fields):
    """A trajectory that sampled so many tokens, and some more that are not to be trained."""
    steps = [ModelStep(text="x", token_ids=tuple(range(tokens))), answer()]
    if masked:
        step = ModelStep(text="y", token_ids=tuple(range(masked)), untrainable="masked")
        steps.append(step)
    return one(outcome, group=group, steps=steps, **fields)


def given(records, name, **options):
    batch = batch_of(records)
    found = method(name, **options)(batch).advantage_N
    first_K = [int(np.flatnonzero(np.repeat(batch.traj_R, batch.length_R) == k)[0])
               for k in range(len(batch.ids))]  # fmt: skip
    return [float(found[n]) for n in first_K]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


# 1 by 1 token, 0 by 2 and by 5: the mean by length is 1/8
OPO = [long(1.0, 1), long(0.0, 2), long(0.0, 5)]


def test_opo_by_hand():
    close(given(OPO, "opo"), [0.875, -0.125, -0.125])
    # 0.5 by 4, 1 by 1, 0 by 3: (2 + 1)/8 = 0.375, apart from the other group
    other = [long(o, n, group="h") for o, n in ((0.5, 4), (1.0, 1), (0.0, 3))]
    close(given([*OPO, *other], "opo"), [0.875, -0.125, -0.125, 0.125, 0.625, -0.375])


def test_opo_counts_what_was_written_and_is_scored():
    records = [long(1.0, 1), long(0.0, 1, masked=1), long(0.0, 2, masked=3), long(None, 7)]
    close(given(records, "opo"), [0.875, -0.125, -0.125, NAN])
    # a dropped one is in no mean; one that a lot passed over is
    batch = batch_of([*OPO, long(1.0, 8)])
    by = method("opo")
    dropped = batch.weighted(np.array([1.0, 1.0, 1.0, 0.0]))
    close(per_trajectory(batch_of(OPO), by(batch_of(OPO))), [0.875, -0.125, -0.125])
    close(by(dropped).made[0].scaled_U, [0.875, -0.125, -0.125, NAN])
    undrawn = batch.weighted(np.array([1.0, 1.0, 1.0, 0.0]), np.arange(4) == 3)
    close(by(undrawn).made[0].scaled_U, [7 / 16, -9 / 16, -9 / 16, 7 / 16])


def test_opo_gives_a_rollout_of_several_outputs_one_vote_of_all_their_tokens():
    # 1 by 1 + 2 tokens, 0 by 5: 3/8
    records = [long(1.0, 1, session="A"), long(1.0, 2, session="A"), long(0.0, 5)]
    close(given(records, "opo"), [0.625, 0.625, -0.375])
    # without the first output, which a gate dropped: 1 by 2, 0 by 5, so 2/7
    batch = batch_of(records).weighted(np.array([0.0, 1.0, 1.0]))
    close(method("opo")(batch).made[0].scaled_U, [NAN, 5 / 7, -2 / 7])


# [1, 0, 0, 0] less 1/4, and a dead group of two passes: four of six rollouts are alive
GPG = [*(one(o) for o in (1.0, 0.0, 0.0, 0.0)), one(1.0, group="h"), one(1.0, group="h")]


@pytest.mark.parametrize(
    ("options", "alpha"),
    [({}, 6 / 4), ({"variant": "verl"}, 6 / 3)],  # three outcomes are not 0
)
def test_gpg_by_hand(options, alpha):
    expected = [0.75 * alpha, *[-0.25 * alpha] * 3, 0.0, 0.0]
    close(given(GPG, "gpg", **options), expected)
    # what nobody scored is no part of the batch, and outputs of one rollout are one of it
    more = [*GPG, one(None), one(1.0, group="h", session="s"), one(1.0, group="h", session="s")]
    alpha = {6 / 4: 7 / 4, 6 / 3: 7 / 4}[alpha]
    got = given(more, "gpg", **options)
    close(got, [0.75 * alpha, *[-0.25 * alpha] * 3, 0.0, 0.0, NAN, 0.0, 0.0])


def test_gpg_where_nothing_is_alive_and_alone():
    for variant in ("paper", "verl"):
        close(given([one(0.0), one(0.0)], "gpg", variant=variant), [0.0, 0.0])
    # a lone 0.5 beside four: B 5, of which 2 are not 0
    options = {"variant": "verl", "singleton": "raw"}
    close(given([*GPG[:4], one(0.5, group="h")], "gpg", **options)[-1:], [5 / 2 * 0.5])


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((0.2, 1.0, 0.5), (0.0, 0.5, 0.0)),
        ((1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)),
        ((1.0, 1.0, 0.0), (0.0, 0.0, 0.0)),
        ((-1.0, -3.0), (2.0, 0.0)),
        ((None, 0.25, 0.0), (NAN, 0.25, 0.0)),
        ((0.7,), (0.0,)),
        ((0.0, 0.0), (0.0, 0.0)),
    ],
)
def test_grpo_passk_by_hand(outcomes, expected):
    close(given([one(o) for o in outcomes], "grpo_passk"), expected)


def test_grpo_passk_over_the_deviation():
    # mean 17/30, squares 0.1344 + 0.1878 + 0.0044 = 0.32667, over 2: 0.404145
    records = [one(o) for o in (0.2, 1.0, 0.5)]
    got = given(records, "grpo_passk", scale="std")
    close(got, [0.0, 0.5 / ((0.49 / 1.5 / 2) ** 0.5 + 1e-6), 0.0])
    got = given(records, "grpo_passk", scale="std", ddof=0, eps=0.5)
    close(got, [0.0, 0.5 / ((0.49 / 1.5 / 3) ** 0.5 + 0.5), 0.0])


def test_grpo_passk_of_groups_and_of_rollouts():
    # two outputs of the best lead the other rollouts by 0.75, and not each other
    records = [one(1.0, session="A"), one(0.25), one(1.0, session="A"), one(0.0, group="h"),
               one(0.5, group="h")]  # fmt: skip
    close(given(records, "grpo_passk"), [0.75, 0.0, 0.75, 0.0, 0.5])
    # round-off is no lead
    close(given([one(1.0), one(0.0), one(0.7, group="h"), one(0.1 * 7, group="h")], "grpo_passk"),
          [1.0, 0.0, 0.0, 0.0])  # fmt: skip


def test_reinforce_plus_plus_by_hand():
    # 1 by 1 token, 0 by 3: mean 1/4, squares 9/16 + 3/16, over 3: 1/4
    records = [long(1.0, 1), long(0.0, 3, group="h")]
    close(given(records, "reinforce_plus_plus", eps=0.0), [1.5, -0.5])
    close(given(records, "reinforce_plus_plus", eps=0.75), [0.75, -0.25])
    scored = [long(1.0, 1), long(0.0, 1, masked=2), long(None, 9)]
    close(given(scored, "reinforce_plus_plus", eps=0.0), [1.5, -0.5, NAN])
    # what a gate dropped moves nothing
    batch = batch_of([*scored[:2], long(9.0, 1)]).weighted(np.array([1.0, 1.0, 0.0]))
    close(method("reinforce_plus_plus", eps=0.0)(batch).made[0].scaled_U, [1.5, -0.5, NAN])
    # two outputs of one rollout are its tokens
    parts = [long(1.0, 1), *(long(0.0, n, group="h", session="s") for n in (1, 2))]
    close(given(parts, "reinforce_plus_plus", eps=0.0), [1.5, -0.5, -0.5])


def test_reinforce_plus_plus_baseline_by_hand():
    # less their groups' means: 0.5 by 3 tokens, -0.5 by 1; a dead group 0 by 4. Mean 1/8; squares
    # 3 * 9/64 + 25/64 + 4/64 = 7/8, over 7: 1/8
    records = [long(1.0, 3), long(0.0, 1), long(1.0, 2, group="h"), long(1.0, 2, group="h")]
    root = 8**0.5
    name = "reinforce_plus_plus_baseline"
    expected = [0.375 * root, -0.625 * root, -0.125 * root, -0.125 * root]
    close(given(records, name, eps=0.0), expected)
    close(given(records, name, eps=0.375), [a / 2 for a in expected])
    # a lone 0.5 enters as 0: 0.5, -0.5, 0 by one token, squares 1/2 over 2: 1/4; or as it is: 0.5,
    # -0.5, 0.5, mean 1/6, squares 2/3 over 2: 1/3
    lone = [long(1.0, 1), long(0.0, 1), long(0.5, 1, group="h")]
    close(given(lone, name, eps=0.0), [1.0, -1.0, 0.0])
    third = (1 / 3) ** 0.5
    raw = given(lone, name, eps=0.0, singleton="raw")
    close(raw, [(1 / 3) / third, (-2 / 3) / third, (1 / 3) / third])


@pytest.mark.parametrize("name", ["reinforce_plus_plus", "reinforce_plus_plus_baseline"])
def test_a_batch_of_one_outcome_teaches_nothing(name):
    records = [long(0.7, n, group=str(n % 3)) for n in range(1, 13)]
    assert given(records, name) == [0.0] * 12


def rewarded(tokens, *, outcome=1.0, group="g", **rewards):
    return long(outcome, tokens, group=group, rewards=rewards)


# exact 1 0 0: 2, -1, -1 by sqrt(1/3); style 1 1 0: 1, 1, -2 by it; together 3, 0, -3 by it
GDPO = [rewarded(1, exact=1.0, style=1.0), rewarded(2, exact=0.0, style=1.0),
        rewarded(1, exact=0.0, style=0.0)]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # of three: mean 0, squares 3 + 3, over 2: 3
        ({}, [1.0, 0.0, -1.0]),
        # of four tokens: over 3: 2
        ({"over": "tokens"}, [1.5**0.5, 0.0, -(1.5**0.5)]),
        # by 2 and 1: 5, -1, -4 by sqrt(1/3), squares 42/3, over 2: 7
        ({"weights": {"exact": 2.0, "style": 1.0}}, [x / 21**0.5 for x in (5, -1, -4)]),
        ({"weights": {"style": 1.0}}, [x / 3**0.5 for x in (1, 1, -2)]),
        # less their means alone: 2/3 + 1/3, -1/3 + 1/3, -1/3 - 2/3
        ({"scale": "none"}, [1.0, 0.0, -1.0]),
        # the style by a population deviation, sqrt(2/9), plus 1: another factor for it alone
        ({"ddof": 0, "eps": 1.0}, [1.0, 0.0, -1.0]),
    ],
)
def test_gdpo_by_hand(options, expected):
    got = given(GDPO, "gdpo", **{"eps": 0.0, **options})
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_gdpo_divides_each_reward_by_its_own_deviation():
    # exact 4 0: +-2 by sqrt(8); style 0 1 by sqrt(1/2). eps 1: 2/(1 + sqrt 8), 0.5/(1 + sqrt .5)
    records = [rewarded(1, exact=4.0, style=0.0), rewarded(1, exact=0.0, style=1.0)]
    other = [rewarded(1, group="h", exact=1.0, style=1.0)] * 2
    lead = 2 / (1 + 8**0.5) - 0.5 / (1 + 0.5**0.5)
    got = given([*records, *other], "gdpo", eps=1.0)
    # lead, -lead, 0, 0: squares 2 lead^2 over 3
    scale = (2 * lead**2 / 3 + 1e-8) ** 0.5
    close(got, [lead / scale, -lead / scale, 0.0, 0.0])
    # ddof 0: 2/(1 + 2), 0.5/(1 + 0.5)
    lead = 2 / 3 - 1 / 3
    got = given([*records, *other], "gdpo", eps=1.0, ddof=0)
    close(
        got, [lead / (2 * lead**2 / 3 + 1e-8) ** 0.5, -lead / (2 * lead**2 / 3 + 1e-8) ** 0.5, 0, 0]
    )


def test_gdpo_as_it_is_unless_told():
    # exact 4 0 0 has the deviation 4/sqrt(3), style 1 1 0 has 1/sqrt(3): centred 8 -4 -4 and 1 1 -2
    # thirds; a lone one enters as 0, so squares over 3
    records = [rewarded(1, exact=4.0, style=1.0), rewarded(2, exact=0.0, style=1.0),
               rewarded(1, exact=0.0, style=0.0),
               rewarded(1, group="h", exact=5.0, style=1.0)]  # fmt: skip
    first, second = 3 * (4 / 3**0.5 + 1e-6), 3 * (1 / 3**0.5 + 1e-6)
    d = [8 / first + 1 / second, -4 / first + 1 / second, -4 / first - 2 / second, 0.0]
    scale = (sum(x * x for x in d) / 3 + 1e-8) ** 0.5
    close(given(records, "gdpo"), [x / scale for x in d])


def test_gdpo_where_something_is_missing():
    # the second has no style, the last has nothing, the third nobody scored
    records = [rewarded(1, exact=1.0, style=1.0), rewarded(1, exact=0.0),
               rewarded(1, outcome=None, exact=1.0, style=0.0), rewarded(1)]  # fmt: skip
    # exact 1, 0: +-sqrt(1/2); the style of one is no comparison
    got = given(records, "gdpo", eps=0.0)
    np.testing.assert_allclose(got, [0.5**0.5, -(0.5**0.5), NAN, NAN], atol=1e-8)
    # raw, a lone style enters as it is: sqrt(1/2) + 1, -sqrt(1/2)
    high, low = 0.5**0.5 + 1, -(0.5**0.5)
    half = (high - low) / 2
    got = given(records, "gdpo", eps=0.0, singleton="raw")
    np.testing.assert_allclose(got[:2], [half / (2 * half**2) ** 0.5, -half / (2 * half**2) ** 0.5])


def test_gdpo_says_which_rewards_there_are():
    with pytest.raises(MethodError, match=r"no outcome has a part 'styl'\. Did you mean 'style'\?"):
        given(GDPO, "gdpo", weights={"styl": 1.0})
    with pytest.raises(MethodError, match="gdpo needs named rewards, and no trajectory of the set"):
        given([one(1.0), one(0.0)], "gdpo")


@pytest.mark.parametrize("over", ["tokens", "trajectories"])
def test_gdpo_of_a_rollout_of_several_outputs(over):
    # 1 by 1 + 1 tokens, 0 by 2: 0.7071 and its opposite; two of each, or one of each
    records = [
        *(long(1.0, 1, session="A", rewards={"exact": 1.0}) for _ in range(2)),
        long(0.0, 2, rewards={"exact": 0.0}),
    ]
    deviation = {"tokens": (4 * 0.5 / 3) ** 0.5, "trajectories": 1.0}[over]
    expected = [0.5**0.5 / deviation, 0.5**0.5 / deviation, -(0.5**0.5) / deviation]
    np.testing.assert_allclose(given(records, "gdpo", eps=0.0, over=over), expected, atol=1e-8)


def whitened(values_and_tokens, eps=1e-8):
    """A plain oracle: every token is written down, and centred and divided with all others."""
    tokens = [value for value, n in values_and_tokens for _ in range(n)]
    mean = sum(tokens) / len(tokens)
    variance = sum((t - mean) ** 2 for t in tokens) / (len(tokens) - 1)
    return [(value - mean) / (variance + eps) ** 0.5 for value, _ in values_and_tokens]


@settings(max_examples=40, deadline=None)
@given_(
    members=st.lists(
        st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(0, 2)), min_size=2, max_size=9
    )
)
def test_against_the_oracle_that_writes_every_token_down(members):
    records = [long(score / 4, n, group=str(g)) for score, n, g in members]
    group_of = {g: [s / 4 for s, _, h in members if h == g] for _, _, g in members}
    centred = [
        0.0 if len(set(group_of[g])) == 1 else s / 4 - sum(group_of[g]) / len(group_of[g])
        for s, _, g in members
    ]
    for name, values in (
        ("reinforce_plus_plus", [s / 4 for s, _, _ in members]),
        ("reinforce_plus_plus_baseline", centred),
    ):
        pairs = [(v, n) for v, (_, n, _) in zip(values, members, strict=True)]
        expected = [0.0] * len(members) if len(set(values)) == 1 else whitened(pairs)
        np.testing.assert_allclose(given(records, name), expected, atol=1e-9)
    alive = [g for g in group_of if len(set(group_of[g])) > 1]
    live = sum(len(group_of[g]) for g in alive)
    alpha = len(members) / live if live else 1.0
    np.testing.assert_allclose(given(records, "gpg"), [alpha * c for c in centred], atol=1e-9)
    weigh = lambda g: [(s / 4, n) for s, n, h in members if h == g]  # noqa: E731
    means = {g: sum(s * n for s, n in weigh(g)) / sum(n for _, n in weigh(g)) for g in group_of}
    expected = [s / 4 - means[g] if g in alive else 0.0 for s, _, g in members]
    np.testing.assert_allclose(given(records, "opo"), expected, atol=1e-9)
    for k, lead in enumerate(given(records, "grpo_passk")):
        others = [s / 4 for j, (s, _, g) in enumerate(members) if j != k and g == members[k][2]]
        mine = members[k][0] / 4
        assert lead == pytest.approx(max([mine, *others]) - max(others) if others else 0.0)


@pytest.mark.parametrize("name", ["opo", "gpg"])
def test_alone_and_constant(name):
    close(given([long(0.7, 3)], name), [0.0])
    close(given([long(0.7, 3)], name, singleton="raw"), [0.7])
    # 0.7 is no number of base two: round-off is no signal
    close(given([long(0.7, n) for n in range(1, 13)], name), [0.0] * 12)
    close(given([long(0.7, n) for n in range(1, 13)], name, singleton="raw"), [0.0] * 12)
    assert all(a == 0.0 for a in given([long(0.7, n) for n in range(1, 13)], name))


def test_opo_of_equal_lengths_is_dr_grpo():
    records = [long(o, 3) for o in (1.0, 0.25, 0.0, 0.5)]
    close(given(records, "opo"), given(records, "dr_grpo"))
