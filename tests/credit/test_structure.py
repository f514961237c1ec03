"""What the general form is for: nodes, nested groups, chains, scores, confidence, needs."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from assay.batch import Batch
from assay.credit import method
from assay.credit.base import Method
from assay.credit.statistics import measured, updated
from assay.errors import MethodError, UsageError
from assay.kernels.term import Term
from assay.records import ModelStep
from tests.credit.worlds import batch_of, group, groups, one, per_trajectory, turn

NAN = float("nan")


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-5)


# ---- HGPO

# Three steps in state x, returns 1, 0.5, 0: mean 0.5, population deviation sqrt(1/6) = .408248:
# 1.224745 0 -1.224745. The first two came from y: 1, 0.5: mean 0.75, deviation 0.25: 1 -1; the
# third came from z alone. alpha 1: weights 1 and 2 thirds. First: (1.224745 + 2 * 1)/3 = 1.074915.
# Second: its 0 skipped: -1, else -2/3. Third: level 0 alone, -1.224745.
# The steps before, in y and z: y has returns 1 and 0.5 too (gamma 1), 1 -1 at level 0, and nothing
# came before them; z is seen once, 0.
WALKS = [
    one(outcome, steps=[turn(state_key=before), turn(state_key="x")])
    for outcome, before in ((1.0, "y"), (0.5, "y"), (0.0, "z"))
]


@pytest.mark.parametrize(("skip", "second"), [(True, -1.0), (False, -2 / 3)])
def test_hgpo(skip, second):
    batch = batch_of(WALKS)
    got = method("hgpo", levels=1, skip=skip, gamma=1.0)(batch)
    close(got.parts["k0"], [1.0, 1.224745, -1.0, 0.0, 0.0, -1.224745])
    close(got.parts["k1"], [0.0, 1.0, 0.0, -1.0, 0.0, 0.0])
    close(got.total, [1.0, 1.074915, -1.0, second, 0.0, -1.224745])
    assert got.carried.all()


def test_hgpo_alpha_and_levels():
    batch = batch_of(WALKS)
    # alpha 2: weights 1 and 4: (1.224745 + 4)/5; alpha 0: the mean of both
    for alpha, first in ((2.0, 1.044949), (0.0, 1.112372)):
        close(method("hgpo", levels=1, alpha=alpha, gamma=1.0)(batch).total[1], first)
    # nobody has two steps before: a level without a peer changes nothing
    close(method("hgpo", levels=4, gamma=1.0)(batch).total[1], 1.074915)
    close(method("hgpo", levels=0, gamma=1.0)(batch).total[1], 1.224745)


def test_hgpo_what_nobody_scored_stays_so():
    batch = batch_of([*WALKS, one(None, steps=[turn(state_key="y"), turn(state_key="x")])])
    got = method("hgpo", levels=1, gamma=1.0)(batch)
    close(got.total, [1.0, 1.074915, -1.0, -1.0, 0.0, -1.224745, NAN, NAN])


# ---- Tree-GRPO on nodes


def leaf(outcome, *path, lengths=None, **fields):
    """A trajectory along these nodes, of one token a step."""
    steps = [
        ModelStep(text=name, token_ids=(0,), node=name, parent=path[i - 1] if i else None)
        for i, name in enumerate(path)
    ]
    return one(outcome, tree=fields.pop("tree", "t"), steps=steps, **fields)


# root -> a1 -> {a2: 1, b2: 0}; root -> c1 -> c2: 0. z over the leaves 1 0 0, ddof 1: mean 1/3,
# deviation .577350: 1.154701 -.577350 -.577350; a1 has the first two below it: sum .577350
TREE = [leaf(1.0, "a1", "a2"), leaf(0.0, "a1", "b2"), leaf(0.0, "c1", "c2")]


@pytest.mark.parametrize(("mode", "a1"), [("dedup_sum", 0.577349), ("dedup_mean", 0.288675)])
def test_tree_grpo_credits_a_node_once(mode, a1):
    got = method("tree_grpo", prefix_mode=mode)(batch_of(TREE))
    assert got.carried.tolist() == [True, True, False, True, True, True]
    for term in ("tree", "task"):  # one tree: both are the same
        close(got.parts[term], [a1, 1.154699, 0.0, -0.577349, -0.577349, -0.577349])


def test_tree_grpo_repeated_or_once_is_the_same_sum_over_a_node():
    repeat = method("tree_grpo")(batch_of(TREE)).total
    once = method("tree_grpo", prefix_mode="dedup_sum")(batch_of(TREE)).total
    close(repeat, 2 * np.array([1.154699, 1.154699, *[-0.577349] * 4]))
    close([repeat[0] + repeat[2], *repeat[[1, 3, 4, 5]]], once[[0, 1, 3, 4, 5]])
    # a prefix of all leaves: their advantages add up to 0
    whole = [leaf(r, "root", name) for r, name in ((1.0, "a"), (0.0, "b"), (0.0, "c"))]
    close(method("tree_grpo", prefix_mode="dedup_sum")(batch_of(whole)).total[0], 0.0)


def test_tree_grpo_carries_the_first_copy_that_may_be_trained():
    shut = ModelStep(text="a1", token_ids=(0,), node="a1", untrainable="drifted")
    first = one(1.0, tree="t", steps=[shut, leaf(1.0, "a1", "a2").steps[1]])
    batch = batch_of([first, *TREE[1:]])
    got = method("tree_grpo", prefix_mode="dedup_sum")(batch)
    close(got.parts["tree"], [0.0, 1.154699, 0.577349, -0.577349, -0.577349, -0.577349])
    assert got.carried.tolist() == [False, True, True, True, True, True]


def test_tree_grpo_leaves_that_count_less():
    # leaf 1 is unscored: z over 1 and 0 is +-.707106; a1 has one scored leaf below it, b2 none
    batch = batch_of([TREE[0], leaf(None, "a1", "b2"), TREE[2]])
    for mode in ("dedup_sum", "dedup_mean"):
        got = method("tree_grpo", prefix_mode=mode)(batch).parts["tree"]
        close(got, [0.707106, 0.707106, 0.0, NAN, -0.707106, -0.707106])
    # leaf 1 has half a weight: a1 gets 1.154699 - .577349 / 2
    half = batch_of(TREE).weighted(np.array([1.0, 0.5, 1.0]))
    got = method("tree_grpo", prefix_mode="dedup_sum")(half).parts["tree"]
    close(got[[0, 3]], [0.866024, -0.288675])


def test_tree_grpo_single_trees_and_steps_without_a_name():
    # T3: two trees of one leaf
    batch = batch_of([leaf(1.0, "a", tree="a"), leaf(0.0, "a", tree="b")])
    mode = {"prefix_mode": "dedup_sum"}
    close(method("tree_grpo", **mode)(batch).total, [0.707106, -0.707106])
    close(method("tree_grpo", variant="repo", **mode)(batch).total, [1.707105, -0.707106])
    bare = [leaf(1.0, "a"), one(0.0, tree="t", steps=[turn(), turn()])]
    close(method("tree_grpo", **mode)(batch_of(bare)).parts["tree"], [0.707106, *[-0.707106] * 2])


def test_tree_grpo_refuses_a_node_of_two_parents_and_a_set_without_nodes():
    twice = batch_of([leaf(1.0, "a", "c"), leaf(0.0, "b", "c")])
    by = method("tree_grpo", prefix_mode="dedup_sum")
    with pytest.raises(MethodError, match="a node of trajectory 'k0' has two parents"):
        by(twice)
    with pytest.raises(MethodError, match="needs nodes, and no step has one: the importer verif"):
        by(group([1.0, 0.0], tree="t"))


# ---- chains of steps, named scores

# Information gains .5 1 and -.5 0: mean .25, squares .0625 + .5625 + .5625 + .0625 = 1.25, ddof 1:
# sqrt(1.25/3) = .645497: .387298 1.161893 -1.161893 -.387298; outcomes 1 0: +-.707106.
# With gamma 1 each turn carries what follows: .387298 + 1.161893 + .707106 = 2.256297 ...
GAINS = [(0.5, 1.0, None), (-0.5, 0.0, None)]


def gains(**fields):
    return batch_of(
        one(outcome, steps=[turn(**{k: v(g) for k, v in fields.items()}) for g in row])
        for outcome, row in zip((1.0, 0.0), GAINS, strict=True)
    )


IGPO = [2.256297, 1.868999, 0.707106, -2.256297, -1.094404, -0.707106]


def test_mt_grpo_every_turn_is_igpo_on_information_gains():
    got = method("mt_grpo", turns="every", eps=1e-6)(gains(reward=lambda g: g))
    close(got.total, IGPO)
    close(got.made[1].scaled_U, [0.387298, 1.161893, NAN, -1.161893, -0.387298, NAN])


def test_scores_stand_for_rewards():
    batch = gains(scores=lambda g: {"gain": g, "other": 7.0})
    close(method("mt_grpo", turns="every", eps=1e-6, score="gain")(batch).total, IGPO)
    rewarded = gains(reward=lambda g: g)
    for name in ("ms_grpo", "gigpo"):
        options = {"returns": "rewards", **({"anchor": "seen"} if name == "gigpo" else {})}
        theirs = method(name, **options)(rewarded).total
        np.testing.assert_array_equal(method(name, score="gain", **options)(batch).total, theirs)
    with pytest.raises(MethodError, match=r"no step has a score 'gains'. Did you mean 'gain'\?"):
        method("mt_grpo", score="gains")(batch)
    with pytest.raises(MethodError, match="mt_grpo needs scores, and no step has one: judges"):
        method("mt_grpo", score="gain")(rewarded)


def test_mt_grpo_gamma_is_the_share_that_goes_back():
    got = method("mt_grpo", turns="every", eps=1e-6, gamma=0.5)(gains(reward=lambda g: g))
    # .387298 + 1.161893/2 = .968245; 1.161893; the last step has no reward of its own
    close(got.parts["turn"], [0.968245, 1.161893, NAN, -1.355542, -0.387298, NAN])


@pytest.mark.parametrize(
    "options",
    [{"gamma": 0.5}, {"turns": "every", "turn": "ran"}, {"turns": "every", "variant": "repo"}],
)
def test_mt_grpo_refuses_what_it_would_not_read(options):
    with pytest.raises(UsageError, match=r"turns=|knows the first turn"):
        method("mt_grpo", **options)


# ---- stated confidence


def test_lens_takes_the_confidence_that_was_stated():
    # the vector of the likelihoods .5 (pass), .5 .25 (fails), said instead of sampled: D =
    # max(1/mean(R/pi), 2 max pi) = max(3/2, 1) = 1.5; penalties 1/3 * .5/1 = .166667 and
    # 1/3 * .25/1.25 = .066667
    def said(outcome, *confidence):
        return one(outcome, steps=[turn(confidence=each) for each in confidence])

    batch = batch_of([said(1.0, 0.9, 0.5), said(0.0, 0.5), said(0.0, 0.25, None)])
    got = method("lens", sure="stated")(batch)
    close(got.made[0].term.value_U, [1.0, -0.166667, -0.066667])
    with pytest.raises(MethodError, match="stated confidence of every scored trajectory; 'k1' has"):
        method("lens", sure="stated")(batch_of([said(1.0, 0.5), said(0.0, None)]))
    with pytest.raises(MethodError, match="needs stated confidence, and no step has one: a proto"):
        method("lens", sure="stated")(group([1.0, 0.0]))


def test_lens_of_who_is_sure_of_nothing_is_finite():
    steps = [turn(confidence=0.0)]
    batch = batch_of(one(o, steps=steps) for o in (1.0, 0.0, 0.0))
    close(method("lens", sure="stated")(batch).made[0].term.value_U, [1.0, 0.0, 0.0])


# ---- running statistics


def test_what_a_batch_measures():
    # groups 1 0 (mean 1/2, squares 1/2) and 1 1 1 0 (mean 3/4, squares 3/4): within 1.25/4;
    # variance of the means 1/32, less within * mean(1/2, 1/4) = 15/128 > 1/32: 0
    batch = groups(a=[1.0, 0.0], b=[1.0, 1.0, 1.0, 0.0, None])
    assert measured(batch) == {
        "outcome mean": 0.625,
        "outcome within": 0.3125,
        "outcome between": 0.0,
    }
    assert measured(group([None])) == {}
    assert measured(group([1.0])) == {"outcome mean": 1.0}


def test_statistics_move_towards_what_is_measured():
    batch = replace(groups(a=[1.0, 1.0], b=[0.0, 0.0]), statistics={"outcome mean": 0.1, "x": 3.0})
    # 0.75 * 0.1 + 0.25 * 0.5 = 0.2; the others are new
    got = updated(batch, keep=0.75)
    spread = {"outcome mean": 0.2, "x": 3.0, "outcome within": 0.0, "outcome between": 0.5}
    assert got == pytest.approx({**spread, "unscored share": 0.0, "unscored share, least": 0.0})
    with pytest.raises(MethodError, match="keep must lie in"):
        updated(batch, keep=1.5)


def test_ebpo_takes_what_the_run_knows_before_what_the_batch_says():
    # n 4: noise .2/4 = .05; S = .05/(.05 + .15) = .25; fails get -(.25 * .6) = -.15
    known = {"outcome mean": 0.6, "outcome within": 0.2, "outcome between": 0.15}
    batch = replace(group([0.0] * 4), statistics=known)
    close(per_trajectory(batch, method("ebpo")(batch)), [-0.15] * 4)
    close(per_trajectory(batch, method("ebpo", mu=0.4)(batch)), [-0.1] * 4)


# ---- what a method needs


class Odd(Method):
    """Needs what nobody has."""

    name: ClassVar[str] = "odd"
    needs: ClassVar[tuple[str, ...]] = ("entropy",)

    def terms(self, batch: Batch) -> list[Term]:
        return []


def test_an_unknown_need_is_an_error_of_the_method():
    with pytest.raises(MethodError, match=r"odd needs 'entropy', which no .* mean 'entropies'\?"):
        Odd()(group([1.0]))
