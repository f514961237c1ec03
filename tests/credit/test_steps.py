"""ToolPO, GiGPO, MT-GRPO, Tree-GRPO and MS-GRPO against values worked out by hand, to 1e-5."""

import numpy as np
import pytest

from assay.credit import method
from assay.credit.groups import called_S
from assay.errors import MethodError, UsageError
from assay.records import CallEvidence, ModelStep
from tests.credit.worlds import answer, batch_of, group, one, per_trajectory, turn

NAN = float("nan")


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def sampled(batch, advantages, k):
    """What the sampled runs of trajectory k get, in order."""
    kept_R = (batch.traj_R == k) & (batch.step_R >= 0)
    return np.repeat(advantages.total, 1)[kept_R].tolist()


# ---- ToolPO


def caller(outcome, correct, calls, **fields):
    """A trajectory with `calls` calls of which the expert would make the first `correct`."""
    expert = [i < correct for i in range(calls)]
    return one(outcome, steps=[turn(*[None] * calls, expert=expert), turn()], **fields)


def toolpo(trajectories, **options):
    batch = batch_of(trajectories)
    advantages = method("toolpo", **{"evidence": "expert", **options})(batch)
    found = []
    for k in range(len(batch.ids)):
        values = sampled(batch, advantages, k)
        found.append((values[0], values[1:-1], values[-1]))  # text, calls, text
    return found


P1 = [caller(1.0, 2, 2), caller(1.0, 0, 1), caller(0.0, 1, 3), caller(0.0, 3, 6)]


def test_toolpo_p1():
    # outcome 1 1 0 0, centred .5 .5 -.5 -.5; correct 2 0 1 3, mean 1.5, centred .5 -1.5 -.5 1.5
    expected = [(0.5, 1.0, 0.5), (0.5, -1.0, 0.5), (-0.5, -1.0, -0.5), (-0.5, 1.0, -0.5)]
    for (first, calls, last), (text, call, end) in zip(toolpo(P1), expected, strict=True):
        close([first, last], [text, end])
        close(calls, [call] * len(calls))


def test_toolpo_p2_all_fail_keeps_a_signal_on_calls_alone():
    found = toolpo([caller(0.0, c, 3) for c in (0, 1, 2)])
    for (first, calls, last), call in zip(found, (-1.0, 0.0, 1.0), strict=True):
        assert first == last == 0.0
        close(calls, [call] * 3)


def test_toolpo_p4_a_rate_does_not_pay_for_calling_often():
    # 2/2 0/1 1/3 3/6: mean (1 + 0 + 1/3 + 1/2)/4 = .4583333
    actions = [0.541667, -0.458333, -0.125, 0.041667]
    outcomes = [0.5, 0.5, -0.5, -0.5]
    found = toolpo(P1, action_reduce="rate")
    for (_, calls, _), outcome, action in zip(found, outcomes, actions, strict=True):
        close(calls, [outcome + action] * len(calls))
    found = toolpo(P1, action_reduce="rate", l1=2.0)
    close(found[3][1][0], -0.5 + 2 * 0.041667)


def test_toolpo_without_a_call():
    # it made no correct call: 0 of "sum" and in the mean; of "rate" it has none and stays out
    silent = one(0.0, steps=[turn(), turn()])
    batch = batch_of([caller(0.0, 2, 2), caller(0.0, 1, 2), silent])
    action = method("toolpo", evidence="expert")(batch).parts["action"]
    close(action[1], 1.0)
    action = method("toolpo", evidence="expert", action_reduce="rate")(batch).parts["action"]
    close(action[1], 0.25)  # 1 - (1 + .5)/2


def test_toolpo_of_one_trajectory_is_zero():
    found = toolpo([caller(1.0, 2, 3)])
    close([found[0][0], *found[0][1]], np.zeros(4))


def test_a_call_that_nobody_judged_counts_neither_way():
    mixed = one(0.0, steps=[turn(None, None, None, expert=[True, None, False])])
    unjudged = one(0.0, steps=[turn(None, None)])
    batch = batch_of([mixed, caller(0.0, 0, 1), unjudged])
    options = {"evidence": "expert", "action_reduce": "rate"}
    advantages = method("toolpo", **options)(batch)
    # 1 of 2 judged, 0 of 1; the third is unscored and moves no mean: .5 - .25, 0 - .25, missing
    close(advantages.parts["action"], [0, 0.25, 0.25, 0.25, 0, -0.25, 0, 0, NAN, NAN])
    # yet its tokens have an outcome, so they are scored: 0
    close(advantages.total[-3:], [0, 0, 0])


def test_toolpo_evidence_levels():
    def judged(**evidence):
        step = turn(None)
        call = step.calls[0].__class__(
            name="f", arguments="{}", start=1, end=2, evidence=CallEvidence(**evidence)
        )
        return one(0.0, steps=[ModelStep(text="x", token_ids=(0, 1), calls=(call,))])

    worlds = {
        "ran": ({"ran": True}, {"ran": False}),
        "sibling": ({"sibling": True}, {"sibling": False}),
        "expert": ({"expert": True}, {"expert": False}),
        "state": ({"state": True}, {"state": False}),
    }
    for level, pair in worlds.items():
        batch = batch_of([judged(**pair[0]), judged(**pair[1])])
        action = method("toolpo", evidence=level)(batch).parts["action"]
        close(action, [0, 0.5, 0, -0.5])
    # "best": the expert's call that did not run is wrong, whatever the expert says
    batch = batch_of([judged(expert=True, ran=True), judged(expert=True, ran=False)])
    close(method("toolpo")(batch).parts["action"], [0, 0.5, 0, -0.5])


def test_toolpo_needs_calls():
    with pytest.raises(MethodError, match="toolpo needs calls, and no trajectory of the set"):
        method("toolpo")(group([1.0, 0.0]))


# ---- GiGPO


def walk(outcome, *states, rewards=None, **fields):
    """A trajectory of one-token steps from these states."""
    rewards = rewards or [None] * len(states)
    steps = [turn(state_key=s, reward=r) for s, r in zip(states, rewards, strict=True)]
    return one(outcome, steps=steps, **fields)


# gamma .9; returns 9/10 1 | .81 .9 1 | 0 0
# s0: .9 .81 0, mean .57 -> .33 .24 -.57; s1: 1 1 -> 0 0; s2: .9 0, mean .45 -> .45 -.45
WALKS = [walk(1.0, "s0", "s1"), walk(1.0, "s0", "s2", "s1"), walk(0.0, "s0", "s2")]
STEP = [0.33, 0.0, 0.24, 0.45, 0.0, -0.57, -0.45]


def gigpo(trajectories, **options):
    batch = batch_of(trajectories)
    return method("gigpo", **{"gamma": 0.9, **options})(batch)


def test_gigpo_paper():
    found = gigpo(WALKS)
    close(found.parts["step"], STEP)
    # outcomes 1 1 0, mean 2/3
    close(found.parts["outcome"], [1 / 3] * 5 + [-2 / 3] * 2)
    close(gigpo(WALKS, w=0.5).total, np.array([1 / 3] * 5 + [-2 / 3] * 2) + np.array(STEP) / 2)


def test_gigpo_repo_averages_outcomes_over_steps():
    # five of seven steps belong to a success: 2/7 and -5/7
    found = gigpo(WALKS, variant="repo")
    close(found.parts["outcome"], [2 / 7] * 5 + [-5 / 7] * 2)
    close(found.parts["step"], STEP)


def test_gigpo_divided_by_deviations():
    found = gigpo(WALKS, mode="mean_std_norm")
    # outcomes: squares 2/9 + 4/9 = 2/3, /2, std .577350: .577350, -1.154701
    close(found.parts["outcome"], [0.577349] * 5 + [-1.154699] * 2)
    # s0: squares .1089 + .0576 + .3249 = .4914, /2, std .495681; s2: +-1/sqrt(2)
    s0 = np.array([0.33, 0.24, -0.57]) / 0.2457**0.5
    r = 0.5**0.5
    np.testing.assert_allclose(found.parts["step"], [s0[0], 0, s0[1], r, 0, s0[2], -r], atol=1e-5)
    # over steps: mean 5/7, squares 5 * 4/49 + 2 * 25/49 = 70/49, /6, std .487950
    repo = gigpo(WALKS, mode="mean_std_norm", variant="repo")
    close(repo.parts["outcome"], [0.585540] * 5 + [-1.463849] * 2)


def test_gigpo_compares_inside_a_group_only():
    other = [walk(0.0, "s0", group="h", task="g"), walk(1.0, "s9", group="h", task="g")]
    close(gigpo([*WALKS, *other]).parts["step"], [*STEP, 0.0, 0.0])


def test_gigpo_returns_of_rewards():
    trajectories = [
        walk(1.0, "a", "b", rewards=[1.0, 2.0]),  # 1 + .9 * 2 = 2.8; 2
        walk(0.0, "a", "b", rewards=[None, 1.0]),  # .9; 1: a step without a reward earned 0
        walk(0.0, "a", "b"),  # nobody paid: unscored
    ]
    found = gigpo(trajectories, returns="rewards")
    close(found.parts["step"], [0.95, 0.5, -0.95, -0.5, NAN, NAN])
    with pytest.raises(MethodError, match="gigpo needs rewards per step, and no step has one"):
        gigpo(WALKS, returns="rewards")


def test_gigpo_returns_of_evidence_teach_an_all_fail_group():
    def called(*steps, outcome=0.0):
        turns = [turn(*[True] * len(e), expert=e, state_key=s) for s, e in steps]
        return one(outcome, steps=turns)

    trajectories = [
        called(("s0", [True]), ("s1", [True])),  # 1 + .9, 1
        called(("s0", [True]), ("s1", [True, False])),  # 1, 0: one of its calls is wrong
        called(("s0", [False]), ("s2", [])),  # 0, 0: a step without a call earns nothing
    ]
    batch = batch_of(trajectories)
    found = method("gigpo", returns="evidence", gamma=0.9)(batch)
    close(found.parts["outcome"], 0.0)
    # s0: 1.9 1 0, mean .966667; s1: 1 0, mean .5
    by_step = [found.parts["step"][batch.step_R == s] for s in range(6)]
    expected = [0.933333, 0.5, 0.033333, -0.5, -0.966667, 0.0]
    for values, value in zip(by_step, expected, strict=True):
        close(values, value)


def test_gigpo_evidence_comes_on_top_of_the_outcome():
    close(gigpo(WALKS, returns="evidence").parts["step"], STEP)  # no call, the outcome alone


def test_gigpo_calls_that_nobody_judged_earn_nothing():
    trajectories = [one(0.0, steps=[turn(None, state_key="s0")]) for _ in range(2)]
    close(gigpo(trajectories, returns="evidence").parts["step"], 0.0)
    # beside a right one they do not count: 1 and 0, mean .5
    trajectories = [
        one(0.0, steps=[turn(True, True, expert=[right, None], state_key="s0")])
        for right in (True, False)
    ]
    step = gigpo(trajectories, returns="evidence").parts["step"]
    close(np.unique(step), [-0.5, 0.5])


def test_gigpo_anchors():
    # states recorded for one trajectory only: its peers, and nobody else's
    plain = [
        one(1.0, steps=[turn(), answer("x"), turn()]),
        one(0.0, steps=[turn(), answer("y"), turn()]),
    ]
    # seen: both start from nothing shown; after that they saw different answers
    close(gigpo(plain).parts["step"], [0.45, 0, 0, -0.45, 0, 0])
    close(gigpo(plain, anchor="seen").parts["step"], [0.45, 0, 0, -0.45, 0, 0])
    with pytest.raises(MethodError, match="needs recorded states for anchor 'state'"):
        gigpo(plain, anchor="state")
    half = [walk(1.0, "s0"), one(0.0, steps=[turn()])]
    close(gigpo(half).parts["step"], [0.0, 0.0])
    close(gigpo(half, anchor="seen").parts["step"], [0.5, -0.5])


def looked(outcome, *names):
    """One call a turn, all alike, and what each answers; the last turn calls nothing."""
    asked = [(turn(None), answer(name, call=(2 * i, 0))) for i, name in enumerate(names)]
    return one(outcome, steps=[*(step for pair in asked for step in pair), turn()])


def test_gigpo_anchor_calls_is_the_set_of_what_was_called_and_answered():
    batch = batch_of([looked(1.0, "x", "y", "x"), looked(0.0, "y", "x"), looked(0.0, "z", "x")])
    x, y, z = {"x"}, {"y"}, {"z"}
    sets = [set(), x, x | y, x | y, set(), y, x | y, set(), z, x | z]
    found = called_S(batch)
    for a, first in enumerate(sets):
        for b, second in enumerate(sets):
            assert (found[a] == found[b]) == (first == second), (a, b)
    # gamma 1: both reached {x, y}, the first twice, and so 1 1 0 have the mean 2/3
    step = method("gigpo", anchor="calls", gamma=1.0)(batch).parts["step"]
    at = np.flatnonzero(np.isin(found, found[2]))
    first = [int(np.flatnonzero(batch.step_R == s)[0]) for s in at]
    close(step[first], [1 / 3, 1 / 3, -2 / 3])
    with pytest.raises(MethodError, match="needs calls"):
        gigpo([one(1.0, steps=[turn()])], anchor="calls")


def test_gigpo_copied_steps_are_no_units():
    copied = turn(state_key="s0", untrainable="copied")
    twice = one(1.0, steps=[copied, *walk(1.0, "s0", "s1").steps])
    found = gigpo([twice, *WALKS[1:]])
    close(found.parts["step"], [0.0, *STEP])
    found = gigpo([twice, *WALKS[1:]], variant="repo")
    close(found.parts["outcome"], [0.0, *[2 / 7] * 5, *[-5 / 7] * 2])
    # and copied steps at the end do not shift the outcome back
    late = one(1.0, steps=[*walk(1.0, "s0", "s1").steps, turn(state_key="z", untrainable="copied")])
    close(gigpo([late, *WALKS[1:]]).parts["step"], [0.33, 0.0, 0.0, *STEP[2:]])


def test_gigpo_masked_steps_are_compared_and_not_trained():
    masked = one(
        0.0,
        steps=[turn(state_key="s0", untrainable="masked"), turn(state_key="s2")],
    )
    close(gigpo([*WALKS[:2], masked]).parts["step"], [*STEP[:5], 0.0, -0.45])


# ---- MT-GRPO


def two_turns(outcome, ran, **fields):
    return one(outcome, steps=[turn(ran), answer(), turn()], **fields)


# outcome 1 0 0 1: mean .5, squares 1, /3, std .577350; .5/(.577350 + 1e-4) = .865875
Z = 0.865875
MT = [two_turns(o, bool(t)) for o, t in zip((1, 0, 0, 1), (1, 1, 0, 0), strict=True)]


def test_mt_grpo_by_hand():
    batch = batch_of(MT)
    found = method("mt_grpo")(batch)
    before = [1.731751, 0.0, -1.731751, 0.0]
    after = [Z, -Z, -Z, Z]
    for k in range(4):
        values = sampled(batch, found, k)
        close(values, [before[k], before[k], after[k]])
    half = method("mt_grpo", w=0.5)(batch)
    close(sampled(batch, half, 1)[0], -Z + 0.5 * Z)


def test_mt_grpo_repo_is_the_same_where_a_result_occurs():
    batch = batch_of(MT)
    paper, repo = (method("mt_grpo", variant=v)(batch) for v in ("paper", "repo"))
    close(repo.advantage_N, paper.advantage_N)


def test_mt_grpo_without_a_result():
    # the third never sees a result: paper both terms everywhere, repo z of the sum
    batch = batch_of([*MT[:2], one(0.0, steps=[turn(False), turn()]), MT[3]])
    paper = sampled(batch, method("mt_grpo")(batch), 2)
    close(paper, [-2 * Z] * 3)
    # sums 2 1 0 1: mean 1, squares 2, /3, std .816497: -1/(.816497 + 1e-4)
    repo = sampled(batch, method("mt_grpo", variant="repo")(batch), 2)
    close(repo, [-1.224595] * 3)
    # the others are as before
    close(sampled(batch, method("mt_grpo", variant="repo")(batch), 0), [2 * Z, 2 * Z, Z])


def test_mt_grpo_turn_rewards():
    def paid(outcome, *rewards):
        return one(outcome, steps=[turn(True, reward=r) for r in rewards] + [answer(), turn()])

    # opening rewards .5 + .5, 0, and nobody paid: 1 and 0 of two; +-.5/(.707107 + 1e-4)
    batch = batch_of([paid(1.0, 0.5, 0.5), paid(1.0, 0.0), two_turns(1.0, True)])
    found = method("mt_grpo")(batch).parts["turn"]
    close(found[:4], [0.707007] * 4)
    assert np.isnan(found[-4]), "nobody paid, so nothing is known"
    # "ran" reads calls instead: all ran, so all are equal
    ran = method("mt_grpo", turn="ran")(batch).parts["turn"]
    close(ran, np.zeros(ran.size))
    with pytest.raises(MethodError, match="needs rewards of opening steps, and none has one"):
        method("mt_grpo", turn="rewards")(batch_of(MT))


def test_mt_grpo_share_of_calls_that_ran():
    # 1 of 2, none called, 1 of 1 known, nothing known: .5 0 1 missing; mean .5, std .5
    steps = [[turn(True, False)], [turn()], [turn(True, None)], [turn(None)]]
    batch = batch_of(one(0.0, steps=[*s, answer(), turn()]) for s in steps)
    found = method("mt_grpo", eps=0.0)(batch)
    firsts = [found.parts["turn"][batch.traj_R == k][0] for k in range(4)]
    close(firsts, [0, -1, 1, NAN])
    with pytest.raises(MethodError, match="mt_grpo needs a turn reward"):
        method("mt_grpo")(group([1.0, 0.0]))


# ---- Tree-GRPO


def tree(leaves, **options):
    batch = batch_of(one(o, tree=t) for t, o in leaves)
    return per_trajectory(batch, method("tree_grpo", **options)(batch))


T1 = [("a", 1.0), ("a", 0.0), ("a", 0.0), ("b", 0.0), ("b", 0.0), ("b", 0.0)]


@pytest.mark.parametrize(
    ("leaves", "options", "expected"),
    [
        # T1 tree: 1 0 0, std ddof 1 .577350: 1.154701 -.577350; task: mean 1/6, squares 5/6,
        # /5, std .408248: 2.041241 -.408248
        (T1, {}, [3.195935, -0.985597, -0.985597, *[-0.408247] * 3]),
        (T1, {"ddof": 0}, [3.650273, -1.154318, -1.154318, *[-0.447212] * 3]),
        # T2
        ([(t, 0.0) for t, _ in T1], {}, [0.0] * 6),
        # T3: two trees of one leaf; task +-.707107
        ([("a", 1.0), ("b", 0.0)], {}, [0.707106, -0.707106]),
        ([("a", 1.0), ("b", 0.0)], {"variant": "repo"}, [1.707105, -0.707106]),
        # T4: the trees differ and nothing inside them does
        ([(t, float(t == "a")) for t, _ in T1], {}, [0.912869] * 3 + [-0.912869] * 3),
    ],
)
def test_tree_grpo(leaves, options, expected):
    close(tree(leaves, **options), expected)


def test_tree_grpo_t5_a_shared_prefix_gets_the_sum_over_its_leaves():
    found = np.array(tree([("a", 1.0), ("a", 0.0), ("a", 0.0)])) / 2  # one tree: A doubles
    close(found.sum(), 0.0)  # averaged over tokens
    close((found / np.array([10, 20, 20])).sum(), 0.057735)  # over sequences of 10, 20, 20


def test_tree_grpo_t6_format_rewards_of_paper_and_code():
    by = method("tree_grpo")
    for rewards, expected in (
        ([1.0, 0.8, 0.0, -0.2], [1.019048, 0.679365, -0.679365, -1.019048]),
        ([1.0, 0.8, 0.2, 0.1], [1.073370, 0.621425, -0.734411, -0.960383]),
    ):
        batch = batch_of(one(r, tree=str(i)) for i, r in enumerate(rewards))
        close(per_trajectory(batch, by(batch)), expected)


def test_tree_grpo_needs_trees_and_leaves_without_one_compare_with_the_task():
    with pytest.raises(MethodError, match="tree_grpo needs trees"):
        method("tree_grpo")(group([1.0, 0.0]))
    batch = batch_of([one(1.0, tree="a"), one(0.0)])
    close(per_trajectory(batch, method("tree_grpo")(batch)), [0.707106, -0.707106])


def test_ms_grpo_sums_rewards():
    # returns 3 1 1 -1, mean 1, population deviation sqrt(2)
    rewards = [(1.0, 2.0), (1.0, None), (0.5, 0.5), (0.0, -1.0), (None, None)]
    batch = batch_of(walk(0.0, "a", "b", rewards=list(r)) for r in rewards)
    found = per_trajectory(batch, method("ms_grpo", returns="rewards")(batch))
    close(found, [1.414213, 0, 0, -1.414213, NAN])
    with pytest.raises(MethodError, match="ms_grpo needs rewards per step"):
        method("ms_grpo", returns="rewards")(group([1.0]))


# ---- ToolPO, call by call

# P1: 2 of 2, 0 of 1, 1 of 3, 3 of 6 calls are right, 6 of 12 in all: right +.5, wrong -.5


def test_toolpo_per_call_credits_each_for_itself():
    expected = [[1.0, 1.0], [0.0], [0.0, -1.0, -1.0], [0.0, 0.0, 0.0, -1.0, -1.0, -1.0]]
    outcomes = [0.5, 0.5, -0.5, -0.5]
    for (first, calls, last), values, outcome in zip(
        toolpo(P1, per="call"), expected, outcomes, strict=True
    ):
        close([first, last], [outcome, outcome])
        close(calls, values)
    double = toolpo(P1, per="call", l1=2.0)
    close(double[2][1], [0.5, -1.5, -1.5])


def test_toolpo_per_call_where_all_fail_and_where_nobody_calls():
    # right 0 of 1 and 2 of 3: mean .5; who calls nothing gets nothing
    silent = one(0.0, steps=[turn(), turn()])
    batch = batch_of([caller(0.0, 0, 1), caller(0.0, 2, 3), silent])
    got = method("toolpo", evidence="expert", per="call")(batch)
    close(got.total, [0, -0.5, 0, 0, 0.5, 0.5, -0.5, 0, 0, 0])
    # the paper's sum pays all calls of the second alike
    paper = method("toolpo", evidence="expert")(batch)
    close(paper.total, [0, -2 / 3, 0, 0, 4 / 3, 4 / 3, 4 / 3, 0, 0, 0])
    with pytest.raises(MethodError, match="toolpo needs calls"):
        method("toolpo", per="call")(batch_of([silent]))


def test_toolpo_per_call_of_one_trajectory_of_unjudged_calls_and_of_dropped_ones():
    # alone, or the only one of its group that has judged calls: 0
    silent, other = one(0.0, steps=[turn(), turn(None)]), caller(0.0, 0, 1, group="other")
    for members in ([], [silent], [silent, other]):
        (first, calls, last), *_ = toolpo([caller(0.0, 1, 2), *members], per="call")
        assert first == last == 0.0
        assert calls == [0.0, 0.0]
    mixed = one(0.0, steps=[turn(None, None, None, expert=[True, None, False])])
    batch = batch_of([mixed, caller(0.0, 3, 3)])
    action = method("toolpo", evidence="expert", per="call")(batch).parts["action"]
    close(action[:4], [0.0, 0.2, NAN, -0.8])  # 4 of 5 judged calls are right
    total = method("toolpo", evidence="expert", per="call")(batch).total
    close(total[:4], [0.0, 0.2, 0.0, -0.8])
    gone = batch.weighted(np.array([0.5, 0.0]))
    action = method("toolpo", evidence="expert", per="call")(gone).parts["action"]
    close(action, [0.0, 0.0, NAN, 0.0, 0, 0, 0, 0, 0])
    # a third keeps it in company: 1 of 2 and 0 of 1, mean 1/3, and half a weight
    three = batch_of([mixed, caller(0.0, 3, 3), caller(0.0, 0, 1)])
    three = three.weighted(np.array([0.5, 0.0, 1.0]))
    action = method("toolpo", evidence="expert", per="call")(three).parts["action"]
    close(action, [0.0, 1 / 3, NAN, -1 / 6, *[0.0] * 6, -1 / 3, 0.0])


def test_toolpo_per_call_reads_no_way_to_reduce():
    with pytest.raises(UsageError, match='action_reduce is read by per="trajectory" alone'):
        method("toolpo", per="call", action_reduce="rate")
