"""What few batches have, and a method must still get right; by hand, to 1e-5."""

import math
from dataclasses import replace

import numpy as np
import pytest

from assay.credit import method
from assay.credit.groups import unaided_fates
from assay.errors import MethodError, UsageError
from assay.kernels.groups import FATES
from assay.records import CallEvidence, ModelStep, Rescue
from tests.credit.worlds import answer, batch_of, group, groups, one, per_trajectory, turn

NAN = float("nan")


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-5)


def found(name, outcomes, **options):
    batch = group(outcomes)
    return per_trajectory(batch, method(name, **options)(batch))


def parts(name, records, **options):
    return method(name, **options)(batch_of(records)).parts


def dropping(batch, *dropped):
    """The batch with these trajectories dropped by a gate."""
    kept = [float(k not in dropped) for k in range(len(batch.ids))]
    return batch.weighted(np.array(kept))


# ---- who is compared


SAME_TASK = [(1.0, "a"), (0.0, "a"), (1.0, "b"), (1.0, "b")]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("dr_grpo", {}, [0.5, -0.5, 0, 0]),
        # two groups of one tree each: both terms are +-.707106
        ("tree_grpo", {}, [1.414212, -1.414212, 0, 0]),
        ("gigpo", {"anchor": "seen", "gamma": 1.0}, [1, -1, 0, 0]),
        ("hgpo", {"anchor": "seen", "gamma": 1.0}, [1, -1, 0, 0]),
    ],
)
def test_two_groups_of_one_task_are_two(name, options, expected):
    batch = batch_of(one(o, group=g, task="same", tree="x") for o, g in SAME_TASK)
    close(per_trajectory(batch, method(name, **options)(batch)), expected)


def test_steps_of_two_groups_of_one_task_are_paid_apart():
    # rewards 1 0 | 1 1: +-.5 / (.707107 + 1e-4) in the first group, 0 in the second
    batch = batch_of(
        one(0.0, group=g, task="same", steps=[turn(reward=reward)]) for reward, g in SAME_TASK
    )
    close(method("mt_grpo", turns="every")(batch).parts["turn"], [0.707007, -0.707007, 0, 0])


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo", "grpo_positive", "grpo_negative"])
@pytest.mark.parametrize("outcome", [1.0, -2.0])
def test_a_lone_trajectory_gets_0_or_its_raw_outcome(name, outcome):
    kept = {"grpo_positive": outcome > 0, "grpo_negative": outcome < 0}.get(name, True)
    close(found(name, [outcome]), [0.0])
    close(found(name, [outcome], singleton="raw"), [outcome if kept else 0.0])


def test_a_step_in_an_unknown_state_is_like_no_other():
    records = [one(o, steps=[turn(state_key=s)]) for o, s in ((1, None), (0, None), (1, "s"))]
    close(parts("gigpo", records)["step"], [0, 0, 0])


# ---- who passed


def test_a_pass_is_what_pass_at_says():
    close(found("psr", [0.4, 0.5, None, 1.0], pass_at=0.5), [0, 1, NAN, 1])
    close(found("nsr", [0.4, 0.5, None, 1.0], pass_at=0.5), [-1, 0, NAN, 0])
    # n 4, c 1, k 2, as below
    close(found("pass_at_k", [0.5, 0.4, 0.4, 0.4], pass_at=0.5), [1, *[-1 / 3] * 3])
    for outcome in (0.4, 1.5, -1.0):
        with pytest.raises(MethodError, match="psr needs outcomes of 0 or 1; trajectory 'k1' has"):
            found("psr", [1.0, outcome])
    # what was dropped did not pass, and its outcome asks for no pass_at
    batch = dropping(group([1.0, 0.0, 0.0, 0.0, 0.5]), 4)
    close(per_trajectory(batch, method("pass_at_k")(batch))[:4], [1, *[-1 / 3] * 3])


@pytest.mark.parametrize(
    ("name", "expected"), [("pass_at_k", [0.5, -1 / 3]), ("ebpo", [0.25, -0.5]), ("nsr", [0, -1])]
)
def test_half_a_weight_is_half_an_advantage(name, expected):
    outcomes = [1.0, 0.0, 0.0, 0.0] if name == "pass_at_k" else [1.0, 0.0]
    weight = np.array([0.5, *[1.0] * (len(outcomes) - 1)])
    batch = group(outcomes).weighted(weight)
    close(per_trajectory(batch, method(name)(batch))[:2], expected)


# ---- baselines


MANY = {"fails": [0.0] * 4, "passes": [1.0] * 4}


@pytest.mark.parametrize(
    ("options", "statistics", "fails", "passes"),
    [
        # S = (.15/4) / (.15/4 + .05) = .428571: baselines .428571 mu and .571429 + .428571 mu
        ({"mu": 0.3, "within": 0.15, "between": 0.05}, {}, -0.1285714, 0.3),
        # a mu of 0 is a mu
        ({"mu": 0.0, "within": 0.15, "between": 0.05}, {}, 0.0, 0.4285714),
        # no variance inside: no noise, so nothing is pulled
        ({"mu": 0.3, "within": 0.0, "between": 0.05}, {}, 0.0, 0.0),
        ({"mu": 0.3, "within": 0.0, "between": 0.0}, {}, 0.0, 0.0),
        ({"mu": 0.3, "within": 0.0, "between": 0.05}, {"outcome within": 0.15}, 0.0, 0.0),
        # none between: all is noise, S is .5, its bound
        ({"mu": 0.3, "within": 0.15, "between": 0.0}, {}, -0.15, 0.35),
        # between estimated: the variance of 0 and 1 is .5, of it noise .15/4; S = .0375/.5 = .075
        ({"mu": 0.3, "within": 0.15}, {}, -0.0225, 0.0525),
        ({"mu": 0.3}, {"outcome within": 0.15}, -0.0225, 0.0525),
        # an option goes before what the run knows: S = .05/(.05 + .5 - .05)
        ({"mu": 0.3, "within": 0.2}, {"outcome within": 0.15}, -0.03, 0.07),
    ],
)
def test_ebpo_of_what_is_given_and_what_is_not(options, statistics, fails, passes):
    batch = replace(groups(**MANY), statistics=statistics)
    close(per_trajectory(batch, method("ebpo", **options)(batch)), [fails] * 4 + [passes] * 4)


def test_ebpo_counts_those_that_a_gate_kept():
    # n 4, as above, and a dropped one
    batch = dropping(group([0.0] * 5), 4)
    made = method("ebpo", mu=0.3, within=0.15, between=0.05)(batch)
    close(per_trajectory(batch, made)[:4], [-0.1285714] * 4)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        *(("quantile", "level", 1.0), ("ebpo", "max_shrink", 1.5), ("ebpo", "within", -1.0)),
        *(("gigpo", "gamma", 1.5), ("reinforce", "scale", 0.0)),
    ],
)
def test_options_out_of_their_range_are_refused(name, option, value):
    with pytest.raises(UsageError, match=f"{name}: {option} must "):
        method(name, **{option: value})


def test_ebpo_of_one_group_knows_nothing_of_what_is_between_groups():
    # all is noise then: S is .5, its bound; baseline .5 * .25 + .5 * .45
    close(found("ebpo", [1, 0, 0, 0], mu=0.45), [0.65, *[-0.35] * 3])


def test_a_baseline_of_0_is_a_baseline():
    close(found("asym_re", [1, 0, 0, 0], v=0.0), [1.1, 0.1, 0.1, 0.1])


def test_a_virtual_success_is_worth_best():
    # 1 0 and a success of 2: mean 1, deviation 1
    close(found("ngrpo", [1.0, 0.0], best=2.0), [0.0, -1.0])
    # a dropped outcome is above nothing: two fails are left, -1/sqrt(3)
    batch = dropping(group([0.0, 0.0, 2.0]), 2)
    close(per_trajectory(batch, method("ngrpo")(batch))[:2], [-(3**-0.5)] * 2)


def test_virtual_strata_are_each_groups_own():
    # as in test_outcome, twice: 4 members below 1, mean .75, deviation sqrt(.0875)
    batch = groups(a=[1.0] * 4, b=[1.0] * 4)
    close(per_trajectory(batch, method("avspo", acr=1.0)(batch)), [0.25 / 0.0875**0.5] * 8)


def test_the_number_of_virtual_members_does_not_round_up_by_round_off():
    # 35 * sqrt(9/49) = 15, in floats a little more: K is 15, -sqrt(K/G)
    close(found("avspo", [0.0] * 35, acr=9 / 49, trigger=0.0), [-((15 / 35) ** 0.5)] * 35)


def test_pass_at_k_of_pairs():
    # n 4, c 1, k 2: rho = 1 - 3/6, s = .5; with a fail 1 - 2/3: (1/3 - 1/2)/.5
    close(found("pass_at_k", [1, 0, 0, 0]), [1.0, *[-1 / 3] * 3])


# ---- likelihoods and entropies


def test_lens_of_a_pass_that_nobody_believed_in():
    # passes at 0 and .25, a fail at .125: R/pi has no mean, so D = 2 * .25; penalty 1/3 * .125/.375
    batch = batch_of(
        one(o, steps=[turn(confidence=c)]) for o, c in ((1.0, 0.0), (1.0, 0.25), (0.0, 0.125))
    )
    made = method("lens", sure="stated")(batch).made
    close(made[0].term.value_U, [1.0, 1.0, -1 / 9])


def test_lens_asks_no_confidence_of_what_nobody_scored():
    # pi .5 (pass), .25 (fail): D = max(2 / 2, 2 * .5) = 1; penalty 1/2 * .25/.75
    batch = batch_of(
        one(o, steps=[turn(confidence=c)]) for o, c in ((1.0, 0.5), (0.0, 0.25), (None, None))
    )
    made = method("lens", sure="stated")(batch).made
    close(made[0].term.value_U, [1.0, -1 / 6, NAN])


def test_what_nobody_scored_is_not_shaped_by_its_entropy():
    step = ModelStep(text="x", token_ids=(1, 2), entropies=(0.5, 1.0))
    batch = batch_of([one(0.0, steps=[step]), one(None, steps=[step])])
    close(method("rl_zvp")(batch).advantage_N, [-0.05, 0.0, NAN, NAN])
    half = batch.weighted(np.array([0.5, 1.0]))
    close(method("rl_zvp")(half).advantage_N, [-0.025, 0.0, NAN, NAN])


def test_an_unscored_trajectory_has_no_rank_and_takes_none():
    def likely(outcome, p, **fields):
        step = ModelStep(text="x", token_ids=(1,), logprobs=(math.log(p),))
        return one(outcome, steps=[step], **fields)

    # three scored, ranks 1 0 and (unscored) and a dropped one: R' = 1 - .25/2, 1: +-.707
    batch = batch_of([likely(1.0, 0.5), likely(1.0, 0.2), likely(None, 0.3), likely(1.0, 0.4)])
    made = method("unlikeliness")(dropping(batch, 3)).made
    close(made[0].term.value_U, [0.875, 1.0, NAN, NAN])


def test_equally_likely_members_share_their_rank():
    # ranks of .3 .3 .2: 1.5 1.5 0 of 3
    steps = [
        [ModelStep(text="x", token_ids=(1,), logprobs=(math.log(p),))] for p in (0.3, 0.3, 0.2)
    ]
    made = method("unlikeliness")(batch_of(one(1.0, steps=each) for each in steps)).made
    close(made[0].term.value_U, [0.875, 0.875, 1.0])


# ---- gigpo: copies, drops, nothing at all


def walk(outcome, *states, rewards=None, **fields):
    rewards = rewards or [None] * len(states)
    steps = [turn(state_key=s, reward=r) for s, r in zip(states, rewards, strict=True)]
    return one(outcome, steps=steps, **fields)


def copied(**fields):
    return turn(untrainable="copied", **fields)


def test_gigpo_reads_through_a_copied_step_as_if_it_were_not_there():
    # s0 earns .9 of what s1 does, whatever lies between; the other fails: +-.45 and 0
    between = one(1.0, steps=[turn(state_key="s0"), copied(state_key="z"), turn(state_key="s1")])
    for first in (walk(1.0, "s0", "s1"), between):
        step = parts("gigpo", [first, walk(0.0, "s0")], gamma=0.9)["step"]
        close(step[[0, -1]], [0.45, -0.45])
    # nor does it earn: 1 + .9 * 2 = 2.8 against 0
    paid = [turn(state_key="a", reward=1.0), copied(reward=5.0), turn(state_key="b", reward=2.0)]
    records = [one(0.0, steps=paid), walk(0.0, "a", rewards=[0.0])]
    step = parts("gigpo", records, gamma=0.9, returns="rewards")["step"]
    close(step[[0, -1]], [1.4, -1.4])
    right = [turn(state_key="a"), copied(), turn(state_key="b")]
    right[1] = turn(True, expert=[True], untrainable="copied")
    records = [one(0.0, steps=right), walk(0.0, "a")]
    step = parts("gigpo", records, gamma=0.9, returns="evidence")["step"]
    close(step, [0.0] * 5)


def test_half_a_weight_is_half_a_step():
    batch = batch_of([walk(1.0, "s"), walk(0.0, "s")]).weighted(np.array([0.5, 1.0]))
    for name, expected in (("gigpo", [0.25, -0.5]), ("hgpo", [0.5, -1.0])):
        part = {"gigpo": "step", "hgpo": "k0"}[name]
        close(method(name)(batch).parts[part], expected)


def test_gigpo_discounts_by_95_percent_a_step():
    close(parts("gigpo", [walk(1.0, "s", "t"), walk(0.0, "s")])["step"], [0.475, 0.0, -0.475])


def test_a_trajectory_without_a_step_pays_no_other_ones():
    # the last step of all is the second one's, which failed
    records = [walk(1.0, "s"), walk(0.0, "s"), one(1.0, steps=[])]
    close(parts("gigpo", records)["step"], [0.5, -0.5])


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("gigpo", {"returns": "rewards"}, "step"),
        ("mt_grpo", {"turns": "every"}, "turn"),
        ("mt_grpo", {}, "turn"),
        ("ms_grpo", {"returns": "rewards"}, "outcome"),
    ],
)
def test_what_a_dropped_trajectory_earned_moves_nobody(name, options, part):
    batch = batch_of(walk(0.0, "s", rewards=[r]) for r in (3.0, 1.0, 9.0))
    dropped = method(name, **options)(dropping(batch, 2)).parts[part]
    alone = parts(name, [walk(0.0, "s", rewards=[r]) for r in (3.0, 1.0)], **options)[part]
    close(dropped[:2], alone)
    assert alone[0] > 0.5


def test_what_a_dropped_trajectory_called_moves_nobody():
    # shares 1 0 and a dropped 1: +-.5 / (.707107 + 1e-4)
    batch = batch_of(one(0.0, steps=[turn(ran)]) for ran in (True, False, True))
    made = method("mt_grpo", turn="ran")(dropping(batch, 2)).made[1]
    close(made.scaled_U, [0.707007, -0.707007, NAN])


def test_a_score_that_nothing_would_read_is_refused():
    for name in ("gigpo", "ms_grpo"):
        with pytest.raises(UsageError, match='score is read by returns="rewards" alone'):
            method(name, score="gain")
    with pytest.raises(UsageError, match='score is not read by turn="ran"'):
        method("mt_grpo", score="gain", turn="ran")


# ---- toolpo


def caller(correct, calls, **fields):
    steps = [turn(*[None] * calls, expert=[i < correct for i in range(calls)])]
    return one(0.0, steps=steps, **fields)


def test_toolpo_of_calls_that_were_dropped_or_that_nobody_judged():
    unjudged = one(0.0, steps=[turn(None)])
    batch = dropping(batch_of([caller(2, 2), caller(0, 1), caller(5, 5), unjudged]), 2)
    action = method("toolpo", evidence="expert")(batch).parts["action"]
    # 2 and 0 are compared; the dropped one carries nothing, the last one is not known
    close(action[batch.call_R >= 0], [1, 1, -1, *[0] * 5, NAN])


def test_toolpo_counts_and_asks_all_evidence_unless_told_otherwise():
    # "best" is the siblings' word too: 2 and 1 of 2; "rate" would be 1 and .5
    def said(*siblings):
        step = turn(*[True] * len(siblings))
        calls = [
            call.__class__(
                name="f",
                arguments=call.arguments,
                start=call.start,
                end=call.end,
                evidence=CallEvidence(ran=True, sibling=each),
            )
            for call, each in zip(step.calls, siblings, strict=True)
        ]
        return one(0.0, steps=[ModelStep(text="x", token_ids=step.token_ids, calls=tuple(calls))])

    action = parts("toolpo", [said(True, True), said(True, False)])["action"]
    close(action, [0, 0.5, 0.5, 0, -0.5, -0.5])


# ---- mt_grpo


def test_mt_grpo_what_follows_the_first_result_is_no_opening():
    late = [answer(), turn(False, False, reward=7.0)]
    # shares 1 and 0 of opening calls: +-.5 / (.707107 + 1e-4)
    for options, opening in (
        ({"turn": "ran"}, [turn(True), turn(False)]),
        ({}, [turn(reward=1.0), turn(reward=0.0)]),
    ):
        records = [one(0.0, steps=[first, *late]) for first in opening]
        made = method("mt_grpo", **options)(batch_of(records)).made[1]
        close(made.scaled_U, [0.707007, -0.707007])


def test_mt_grpo_pays_the_first_turn_by_a_score():
    records = [
        one(0.0, steps=[turn(reward=r, scores={"other": 5.0, "gain": g}), answer(), turn()])
        for r, g in ((0.0, 1.0), (1.0, 0.0))
    ]
    made = method("mt_grpo", score="gain")(batch_of(records)).made[1]
    close(made.scaled_U, [0.707007, -0.707007])
    # where it stands on no opening step there is nothing to read, calls or not
    late = [one(0.0, steps=[turn(True), answer(), turn(scores={"gain": 1.0})])]
    with pytest.raises(MethodError, match="needs rewards of opening steps, and none has one"):
        method("mt_grpo", score="gain")(batch_of(late))


def test_mt_grpo_every_turn_leaves_copies_and_masks_alone_and_keeps_weights():
    def paid(*rewards):
        return one(0.0, steps=[turn(reward=r) for r in rewards])

    steps = [copied(reward=9.0), turn(reward=1.0)]
    batch = batch_of([one(0.0, steps=steps), paid(0.0)])
    # the copy is no unit; it carries nothing either: +-.5 / (.707107 + 1e-4)
    close(method("mt_grpo", turns="every")(batch).parts["turn"], [0, 0.707007, -0.707007])
    masked = [turn(reward=1.0, untrainable="masked")]
    batch = batch_of([one(0.0, steps=masked), paid(0.0)])
    close(method("mt_grpo", turns="every")(batch).parts["turn"], [0, -0.707007])
    half = batch_of([paid(1.0), paid(0.0)]).weighted(np.array([0.5, 1.0]))
    close(method("mt_grpo", turns="every")(half).parts["turn"], [0.3535035, -0.707007])
    double = batch_of([paid(1.0), paid(0.0)])
    close(method("mt_grpo", turns="every", w=2.0)(double).parts["turn"], [1.414014, -1.414014])


# ---- hgpo


def test_hgpo_knows_three_levels_and_a_discount_unless_told_otherwise():
    # two that came a b c, outcomes 1 and 0, and one that came x y c with 0. At c: returns 1 0 0,
    # mean 1/3, deviation .471405: 1.414214 -.707107; after b and after a b: +-1; weights 1 2 3:
    # (1.414214 + 2 + 3)/6, (-.707107 - 5)/6; the third has level 0 alone
    records = [walk(1.0, *"abc"), walk(0.0, *"abc"), walk(0.0, *"xyc")]
    total = method("hgpo")(batch_of(records)).total
    close(total[[2, 5, 8]], [1.069036, -0.951184, -0.707107])
    # b, one step earlier, has returns .95 and 0
    made = method("hgpo")(batch_of(records)).made[0]
    close(made.term.value_U[:3], [0.9025, 0.95, 1.0])


def test_hgpo_of_groups_of_one_task_and_of_first_steps():
    # nobody came to "s" from anywhere: level 1 has no peers, though the batch ends in state "s"
    records = [walk(1.0, "s"), walk(0.0, "s"), walk(1.0, "t", "s")]
    got = method("hgpo", levels=2, gamma=1.0)(batch_of(records))
    # returns 1 0 1 in s: mean 2/3, deviation .471405: .707107 -1.414214 .707107
    close(got.total, [0.707107, -1.414214, 0.0, 0.707107])
    assert not got.parts["k1"].any()
    assert not got.parts["k2"].any()


def test_hgpo_without_skipping_leaves_out_levels_without_peers():
    records = [walk(1.0, "y", "x"), walk(0.0, "y", "x"), walk(0.0, "z", "x")]
    records.append(walk(None, "z", "x"))  # nobody scored it, so it is no peer
    # x: returns 1 0 0: 1.414214 -.707107 -.707107; after y +-1: (1.414214 + 2)/3, (-.707107 - 2)/3
    total = method("hgpo", levels=1, gamma=1.0, skip=False)(batch_of(records)).total
    close(total[[1, 3, 5]], [1.138071, -0.902369, -0.707107])


def test_hgpo_knows_states_in_which_only_unscored_attempts_were():
    # s has returns 1 and 0: +-1; in x, y and z, the last of the batch, nobody scored is
    records = [walk(1.0, "s"), walk(0.0, "s"), walk(None, *"xyz")]
    close(method("hgpo", gamma=1.0)(batch_of(records)).total, [1, -1, NAN, NAN, NAN])


def test_hgpo_compares_where_they_came_from_only_where_they_are():
    # x and w after y: one of each, so 0; y itself has returns 1 and 0: +-1
    records = [walk(1.0, "y", "x"), walk(0.0, "y", "w")]
    close(method("hgpo", gamma=1.0)(batch_of(records)).total, [1, 0, -1, 0])


# ---- what was sampled with help


def test_a_rescued_trajectory_stands_for_the_least_of_its_group():
    told = {
        "all_fail": ([0.0, 0.0], 1.0),
        "all_fail ": ([0.0], 1.0),  # one is left beside it: two had failed
        "constant_partial": ([0.5], 1.0),
        "mixed": ([1.0, 0.0], 1.0),
        "all_pass": ([1.0, 1.0], 0.0),  # a handicap
        "unscored": ([None], 1.0),
        "single": ([0.0], None),  # not helped
    }
    records = []
    for name, (alone, helped) in told.items():
        records += [one(outcome, group=name) for outcome in alone]
        records += [] if helped is None else [one(helped, group=name, rescue=Rescue(rung="r"))]
    batch = batch_of(records)
    fate_G, dead_G = unaided_fates(batch, batch.voted_K, 1.0)
    assert [FATES[fate] for fate in fate_G] == [name.strip() for name in told]
    assert dead_G.tolist() == [name != "mixed" for name in told]
    # 2 + 1 + 1 + 2 + 2 + 1 + 1 without help
    assert batch.once_K.sum() == 10
