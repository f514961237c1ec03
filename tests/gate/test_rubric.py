"""Gates that veto and rewards that rank: by hand, and what holds whatever is given."""

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit.statistics import updated
from assay.errors import MethodError, UnknownNameError, UsageError
from assay.gate import Composition
from assay.gate.rewards import verdicts
from assay.gate.rubric import PERSISTENT, SCORE, SEEN
from assay.gate.watching import EXPLOITED, MEMORY
from assay.judges.rubric import Item
from assay.pipeline import gated, run
from assay.recipes import Recipe
from assay.records import ModelStep, ToolStep
from assay.signal import signal
from tests.credit.worlds import batch_of, one, per_trajectory

NAN = float("nan")
A = {"id": "a", "text": "Is it so", "essential": True}
B = {"id": "b", "text": "Is it short", "essential": True}


def close(got, expected):
    np.testing.assert_allclose(got, expected, atol=1e-5)


def some(dense, *verdicts, group="g", outcome=None, **fields):
    """Trajectories of a group with a dense reward "r3" each, and verdicts on items a, b, ..."""
    made = []
    for k, r in enumerate(dense):
        rewards = {f"rubric:{'abcd'[j]}": each[k] for j, each in enumerate(verdicts)}
        made.append(one(outcome, group=group, id=f"{group}{k}", rewards={"r3": r, **rewards},
                        **fields))  # fmt: skip
    return made


def recipe(method="grpo", ddof=0, **rubric):
    rubric = {"dense": "r3", "items": [A], **rubric}
    return Recipe.of({"method": {"name": method, "ddof": ddof}, "rubric": rubric})


def result(records, **rubric):
    batch = batch_of(records)
    made = run(batch, recipe(**rubric))
    return (
        made.batch.value_K.tolist(),
        per_trajectory(batch, made.advantages["grpo"]),
        [d.reason for d in made.decisions],
    )


FIRST = some([0.9, 0.4, 0.5, 0.6], [0.0, 1.0, 1.0, 1.0])


def test_a_veto_turns_the_most_reinforced_into_the_least():
    # kernels: r = -.6 .4 .5 .6
    value, a, why = result(FIRST)
    close(value, [-0.6, 0.4, 0.5, 0.6])
    close(a, [-1.713271, 0.363421, 0.571090, 0.778760])
    assert why == ["ok"] * 4
    # without: (.9 .4 .5 .6) - .6 over sqrt(.035) = .187083
    close(result(FIRST, margin=0.5)[0], [-0.1, 0.4, 0.5, 0.6])
    close(result(FIRST, mode="none")[1], [1.603559, -1.069039, -0.534520, 0])


def test_drop_and_sum():
    # what is left: .4 .5 .6, mean .5, deviation .081650
    value, a, why = result(FIRST, mode="drop")
    close(a, [0, -1.224732, 0, 1.224732])
    assert (math.isnan(value[0]), why) == (True, ["failed", "ok", "ok", "ok"])
    # .9 + 0, and 2 more where it passes: .9 2.4 2.5 2.6; of two items the share of them
    close(result(FIRST, mode="sum", lam=2.0)[0], [0.9, 2.4, 2.5, 2.6])
    both = some([0.9, 0.4], [0.0, 1.0], [1.0, 1.0])
    close(result(both, mode="sum", items=[A, B])[0], [1.4, 1.4])


def test_what_no_judge_answered_is_taken_out_and_is_no_failure():
    # of the three that are known: .4 and .6 pass, -.6 fails
    value, a, why = result(some([0.9, 0.4, 0.5, 0.6], [0.0, 1.0, None, 1.0]))
    close(np.array(value)[[0, 1, 3]], [-0.6, 0.4, 0.6])
    assert why == ["ok", "ok", "unjudged", "ok"]
    assert a[2] == 0
    # the least of the group is of who was judged
    close(result(some([0.9, -7.0, 0.5], [0.0, None, 1.0]))[0][0], -0.5)
    # another item decides
    records = some([0.9, 0.4], [0.0, 1.0], [None, 1.0])
    close(result(records, items=[A, B])[0], [-0.6, 0.4])
    assert result(records, items=[A, B], mode="sum")[2] == ["unjudged", "ok"]
    # a judge that is down says nothing of anybody
    assert result(some([0.9, 0.4], [None, None]))[2] == ["unjudged"] * 2
    bare = [one(None, id=f"{k}", rewards={"r3": k / 2}) for k in range(2)]
    assert result(bare)[2] == ["unjudged"] * 2


def test_groups_without_a_pass_or_a_difference_are_skipped():
    assert result(some([0.9, 0.4], [0.0, 0.0]))[2] == ["no_pass"] * 2
    # deviation of .50 .50 .50 .51 is .00433; of the three that pass, .5 .5 .51, .00471
    flat = some([0.5, 0.5, 0.5, 0.51], [0.0, 1.0, 1.0, 1.0])
    assert result(flat, floor=0.0048)[2] == ["flat"] * 4
    assert result(flat, floor=0.0047)[2] == ["ok"] * 4
    # one that passes alone has no dispersion
    assert result(some([0.5, 0.9], [1.0, 0.0]), floor=0.1)[2] == ["ok"] * 2
    assert result(flat, floor=0.0044, mode="none")[2] == ["flat"] * 4
    assert result(some([0.9, 0.4], [0.0, 0.0]), mode="sum")[2] == ["ok"] * 2


def test_dro_accepts_or_rejects_a_group():
    c, d = ({"id": name, "text": name, "essential": True} for name in "cd")
    items = [A, B, c, d]
    columns = ([1.0, 1, 0, 1], [1.0, 0, 1, 1], [0.0, 0, 1, 1], [1.0, 1, 1, 1])
    for dense, why in (([0.9, 0.4, 0.5, 0.6], "ok"), ([0.4, 0.9, 0.5, 0.6], "consistency")):
        got = result(some(dense, *columns), items=items, mode="none", dro=True)
        assert got[2] == [why] * 4
    flat = some([0.1, 0.2, 0.3, 0.4], [1.0] * 4, [0.0] * 4)
    assert result(flat, items=[A, B], mode="none", dro=True)[2] == ["coverage"] * 4
    # behind a veto the best pass everything, and an item that nobody is asked is not covered
    lost = some([0.4, 0.9, 0.5, 0.6], *columns)
    assert result(lost, items=items, dro=True)[2] == ["ok"] * 4
    world = [{**A, "checked_by": "world"}, {"id": "z", "checked_by": "world", "essential": True}]
    assert result(FIRST, items=world, dro=True)[2] == ["ok"] * 4


def test_rewards_add_up_as_they_are_or_by_their_spread():
    def both(j, k):
        return [one(None, id=f"{i}", rewards={"j": float(a), "k": float(b), "rubric:a": 1.0})
                for i, (a, b) in enumerate(zip(j, k, strict=True))]  # fmt: skip

    records = both([0, 1.0, 0, 1], [0, 0, 100.0, 100])
    dense = {"j": 1.0, "k": 1.0}
    close(result(records, dense=dense)[0], [0, 1, 100, 101])
    # deviations .5 and 50: -1 or 1 each
    close(result(records, dense=dense, aggregate="normalised")[0], [-2, 0, 0, 2])
    close(result(records, dense={"j": 1.0, "k": -0.25}, aggregate="normalised")[0],
          [-0.75, 1.25, -1.25, 0.75])  # fmt: skip


def test_graded_items_rank():
    graded = [A, {"id": "b", "text": "b", "weight": 5}, {"id": "c", "text": "c", "weight": 3},
              {"id": "d", "text": "d", "weight": -6}]  # fmt: skip
    records = some([0.0] * 3, [1.0, 1, 1], [1.0, 1, 0], [1.0, 0, 0], [0.0, 1, 1])
    got = result(records, items=graded, dense="rubric", score="absolute")
    close(got[0], [1.0, 0.357143, 0])
    close(result(records, items=graded, dense="rubric", score="positive")[0], [1, -0.125, -0.75])


def test_of_graded_items_those_count_that_tell_a_group_apart():
    graded = [A, *({"id": name, "text": name} for name in "bcd")]
    # b is passed by all; deviations of c and d .5 and .433; in the other group none differs
    records = [*some([0.0] * 4, [1.0] * 4, [1.0] * 4, [0.0, 1, 0, 1], [0.0, 0, 0, 1]),
               *some([0.0] * 2, [1.0] * 2, [1.0] * 2, [1.0] * 2, [0.0] * 2, group="h")]  # fmt: skip
    one_item = result(records, items=graded, dense="rubric", most=1)[0]
    close(one_item, [0, 1, 0, 1, 2 / 3, 2 / 3])
    close(result(records, items=graded, dense="rubric", most=2)[0][:4], [0, 0.5, 0, 1])
    close(result(records, items=graded, dense="rubric")[0][:4], [1 / 3, 2 / 3, 1 / 3, 1])


def test_dropout_leaves_out_what_earns_something():
    names = [f"i{j}" for j in range(5)]
    items = [A, *({"id": name, "text": name, "weight": 1 + j} for j, name in enumerate(names)),
             {"id": "bad", "text": "bad", "weight": -1}]  # fmt: skip
    records = [
        one(None, id=f"{k}", task="q2", rewards={f"rubric:{name}": float(j == k) for j, name in
            enumerate([*names, "bad"])} | {"rubric:a": 1.0})
        for k in range(6)
    ]  # fmt: skip
    made = Recipe.of({"method": "grpo", "rubric": {"items": items, "dense": "rubric",
                      "score": "positive", "dropout": 0.5}})  # fmt: skip
    # kernels: of ("q2", 3) items 0, 2 and 4 stay, weights 1, 3 and 5, and the pitfall always
    batch, _ = gated(batch_of(records), made, step=3)
    close(batch.value_K, [1 / 9, 0, 3 / 9, 0, 5 / 9, -1 / 9])
    # the batch's number comes with the seed
    again = signal(records, made, seed=(7, 3)).batch
    close(again.value_K, batch.value_K)


def test_items_of_one_task_and_of_a_world_are_asked_where_they_belong():
    own = {**A, "task": "t1"}
    records = [*some([1.0, 2.0], [0.0, 1.0], task="t1", group="x"),
               *some([1.0, 2.0], task="t2", group="y")]  # fmt: skip
    value, _, why = result(records, items=[own])
    close(value, [0, 2, 1, 2])
    assert why == ["ok"] * 4
    # a judge's item is asked of all, a world's where it is known
    assert result(records)[2] == ["ok", "ok", "unjudged", "unjudged"]
    assert result(records, items=[{**A, "checked_by": "world"}])[2] == ["ok"] * 4
    # whoever used up its budget before the world looked has failed; but what no one was asked
    late = [*some([1.0, 2.0], [1.0, 1.0]), one(None, id="l", end="budget", rewards={"r3": 9.0})]
    found = result(late, items=[{**A, "checked_by": "world"}])
    assert found[0] == [1.0, 2.0, 0.0]
    assert result(late)[2][2] == "unjudged"  # a judge can look at what is there
    alone = [one(None, id=f"{k}", end="budget", rewards={"r3": 1.0 * k}) for k in range(2)]
    assert result(alone, items=[{**A, "checked_by": "world"}])[0] == [0.0, 1.0]
    records[0] = msgspec.structs.replace(records[0], rewards={"r3": 1.0})
    assert result(records, items=[{**A, "checked_by": "world"}])[2] == ["unjudged", *["ok"] * 3]


def test_infrastructure_moves_no_minimum_and_the_verified_outcome_stays():
    records = some([0.9, 0.4, 0.5], [0.0, 1.0, 1.0], outcome=1.0)
    records.append(one(0.0, id="x", end="infra", rewards={"r3": -9.0, "rubric:a": 1.0}))
    batch = batch_of(records)
    made = run(batch, recipe(items=[A]))
    close(made.batch.value_K[:3], [-0.6, 0.4, 0.5])
    assert made.decisions[3].reason == "infra"
    # without a gate that says so too
    bare = run(batch, Recipe.of({"method": "grpo", "gates": [], "rubric": {"dense": "r3"}}))
    assert np.isnan(bare.batch.value_K).tolist() == [False] * 3 + [True]
    assert made.batch.outcome_K.tolist()[:3] == [1.0] * 3
    facts = signal(records, recipe()).facts()
    assert facts["reward"] == 1.0
    assert facts["dead_share"] == 0.0
    # who has no such reward is unscored, whatever its outcome
    bare = one(1.0, id="y", rewards={"rubric:a": 1.0})
    assert run(batch_of([*records, bare]), recipe()).decisions[4].reason == "unscored"


def test_outputs_of_one_rollout_have_one_vote():
    records = some([0.9, 0.4, 0.5, 0.6], [0.0, 1.0, 1.0, 1.0])
    twin = msgspec.structs.replace(records[1], id="twin", session="s")
    records[1] = msgspec.structs.replace(records[1], session="s", rewards={"r3": -5.0})
    # the last of the session votes: .4, passed; the other goes with it
    value, a, why = result([*records, twin])
    close(value, [-0.6, 0.4, 0.5, 0.6, 0.4])
    close(a, [-1.713271, 0.363421, 0.571090, 0.778760, 0.363421])
    assert why == ["ok"] * 5
    lost = msgspec.structs.replace(twin, rewards={"r3": 0.4, "rubric:a": 0.0})
    assert result([*records, lost], mode="drop")[2] == ["failed", "failed", "ok", "ok", "failed"]


# --- the quantile of dispersions, over a run


def test_groups_of_little_dispersion_are_skipped_once_enough_were_seen():
    made = recipe(quantile=0.5, window=4, warmup=3)

    def seen(known, *spreads):
        records = [each for g, s in enumerate(spreads)
                   for each in some([0.0, 2 * s], [1.0, 1.0], group=f"g{g}")]  # fmt: skip
        batch = msgspec.json.decode(json.dumps(known))  # as a checkpoint has it
        batch, decisions = gated(_with(batch_of(records), batch), made)
        return dict(updated(batch)), [decisions[2 * g].reason for g in range(len(spreads))]

    known, why = seen({}, 0.1, 0.2)
    assert (known[SEEN], why) == (2.0, ["ok", "ok"])
    known, why = seen(known, 0.01)  # two were seen, of three
    assert why == ["ok"]
    # the median of .1 .2 .01 is .1
    known, why = seen(known, 0.09, 0.11, 0.3)
    assert why == ["narrow", "ok", "ok"]
    # the last four are .01 .09 .11 .3: the median is .1; what was skipped counts as well
    assert sorted(v for k, v in known.items() if k.startswith("dispersion ")) == pytest.approx(
        [0.01, 0.09, 0.11, 0.3]
    )
    assert seen(known, 0.099, 0.101)[1] == ["narrow", "ok"]


def test_a_panel_says_how_much_of_what_is_new_is_hacked():
    def seen(known, verdicts, panel):
        records = [
            one(None, id=f"{k}", rewards={"r3": k / 10, "rubric:a": v, "panel:a": p})
            for k, (v, p) in enumerate(zip(verdicts, panel, strict=True))
        ]
        return gated(_with(batch_of(records), known), recipe())[0].statistics

    # three credited of the four that are judged, and of these the panel rejects one
    first = seen({}, [1.0, 1.0, 1.0, 0.0, None], [1.0, 1.0, 0.0, 0.0, 1.0])
    assert (first[EXPLOITED], first["credited a"]) == (pytest.approx(1 / 3), 0.75)
    # all were credited before: nothing is new
    again = seen({"credited a": 1.0}, [1.0, 1.0], [0.0, 0.0])
    assert EXPLOITED not in again


def credited(task, verdicts, **truth):
    (name, values), *_ = truth.items()
    name = {"panel": "panel:a", "world": "a"}[name]
    return [
        one(None, id=f"{task}{k}", task=task, group=task,
            rewards={"r3": k / 10, "rubric:a": v, name: t})
        for k, (v, t) in enumerate(zip(verdicts, values, strict=True))
    ]  # fmt: skip


def watched_of(known, *groups, **rubric):
    records = [each for group in groups for each in group]
    return dict(gated(_with(batch_of(records), known), recipe(**rubric))[0].statistics)


def test_what_was_credited_before_is_of_the_task_itself_where_it_was_met():
    first = watched_of(
        {}, credited("p", [1.0, 1.0], panel=[1.0, 1.0]), credited("q", [0.0, 0.0], panel=[0.0, 0.0])
    )
    alone = watched_of({}, credited("p", [1.0, 1.0, 0.0, None], panel=[1.0] * 4))
    assert alone["credited a|p"] == pytest.approx(2 / 3)
    assert (first["credited a|p"], first["credited a|q"], first["credited a"]) == (1.0, 0.0, 0.5)
    # p was credited as a whole: nothing there is new. q was not: two are, of which one is rejected
    again = watched_of(
        first,
        credited("p", [1.0, 1.0], panel=[0.0, 0.0]),
        credited("q", [1.0, 1.0], panel=[0.0, 1.0]),
    )
    assert again[EXPLOITED] == 0.5
    # a task that nobody met goes by the batch before, in which all were: nothing new either
    assert watched_of(again, credited("r", [1.0], panel=[0.0]))[EXPLOITED] == 0.5
    # and by a batch in which half were: .5 of each, of one and one
    half = {"credited a": 0.5, "credited a|q": 1.0}
    found = watched_of(
        half, credited("q", [1.0], panel=[0.0]), credited("r", [1.0, 1.0], panel=[0.0, 1.0])
    )
    assert found[EXPLOITED] == 0.5


def test_the_world_s_own_part_is_a_known_answer():
    # of three that a judge credits the world fails one, at .5 of what it asks
    found = watched_of({}, credited("p", [1.0, 1.0, 1.0, None], world=[1.0, 0.5, None, 0.0]))
    assert found[EXPLOITED] == 0.5
    # an item that the world checks is no judge's
    world = [{"id": "a", "checked_by": "world", "essential": True}]
    assert EXPLOITED not in watched_of({}, credited("p", [1.0], world=[0.0]), items=world)
    weak = [{**A, "essential": False, "weight": -3}, {**B, "id": "b"}]
    both = credited("p", [1.0, 1.0], panel=[0.0, 1.0])
    more = [
        msgspec.structs.replace(each, rewards={**each.rewards, "rubric:b": 1.0, "panel:b": 1.0})
        for each in both
    ]
    # 3 of item a is hacked, of 3 + 3 and of 1 + 1 of item b
    assert watched_of({}, more, items=weak)[EXPLOITED] == pytest.approx(3 / 8)


def test_of_tasks_that_are_remembered_those_met_last_stay():
    known = {f"credited a|{n}": 1.0 for n in range(MEMORY)}
    found = watched_of(known, credited("0", [1.0], panel=[1.0]), credited("x", [1.0], panel=[1.0]))
    kept = [name for name in found if "|" in name]
    assert len(kept) == MEMORY
    assert kept[-2:] == ["credited a|0", "credited a|x"]
    assert "credited a|1" not in found


def test_a_judge_s_rating_ranks():
    records = some([0.0] * 4, group="g")
    rated = [
        msgspec.structs.replace(each, rewards={"rubric:a": 1.0, "rating:rubric": value})
        for each, value in zip(records, [1.0, 5.5, 10.0, None], strict=True)
    ]
    # (rating - 1) / 9; what nobody rated leaves the group, and is no 0
    rubric = {"dense": "rubric", "score": "implicit", "items": [A, {**B, "essential": False}]}
    value, a, why = result(rated, **rubric)
    close(value, [0, 0.5, 1, NAN])
    close(a, [-1.224742, 0, 1.224742, 0])
    assert why[:3] == ["ok"] * 3
    wrong = msgspec.structs.replace(rated[0], rewards={"rubric:a": 1.0, "rating:rubric": 0.5})
    with pytest.raises(MethodError, match=r"rewards\['rating:rubric'\] is 0.5; expected 1 to 10"):
        result([wrong, *rated[1:]], **rubric)
    with pytest.raises(UsageError, match="score: implicit is one rating of all graded items"):
        result(rated, **{**rubric, "most": 1})


def test_what_persists_is_scored_beside_what_a_model_proposed():
    graded = [
        {"id": "a", "text": "Is it so", "weight": 3},
        {"id": "b", "text": "Is it short"},
        {"id": "c", "text": "Is it new", "weight": -1, "born": 2},
    ]
    # rler: (3 - 1) / 4 and 1 / 4, so .375; without c 3/4 and 1/4, so .5
    records = some([0.1, 0.2], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0])
    found = watched_of({}, records, items=graded, score="rler")
    assert (found[SCORE], found[PERSISTENT]) == (pytest.approx(0.375), 0.5)
    # where nobody proposed any there is nothing to tell apart
    assert SCORE not in watched_of({}, records, items=graded[:2], score="rler")
    alone = watched_of({}, records, items=graded[2:], score="rler")
    assert (alone[SCORE], PERSISTENT in alone) == (-0.5, False)
    made = signal(batch_of(records), recipe(items=graded, score="rler")).facts()
    assert (made["rubric/score"], made["rubric/persistent"]) == (pytest.approx(0.375), 0.5)


def _with(batch, statistics):
    from dataclasses import replace

    return replace(batch, statistics=statistics)


def test_a_named_reward_can_hold_the_dispersion():
    records = [
        one(None, group=f"g{g}", id=f"{g}{k}", rewards={"r3": float(k), "s": s, "rubric:a": 1.0})
        for g, s in enumerate((0.2, 0.4, 0.6))
        for k in range(2)
    ]
    made = recipe(quantile=0.5, warmup=3, dispersion="s")
    batch, decisions = gated(batch_of(records), made)
    assert [batch.statistics[f"dispersion {i}"] for i in range(3)] == [0.2, 0.4, 0.6]
    again = gated(_with(batch_of(records), batch.statistics), made)[1]
    assert [d.reason for d in again][::2] == ["narrow", "ok", "ok"]
    assert [d.reason for d in decisions] == ["ok"] * 6


# --- laws


number = st.floats(-3, 3).map(lambda x: round(x, 2))
member = st.tuples(number, st.sampled_from([0.0, 1.0, None]), st.sampled_from([0.0, 1.0, None]))
some_groups = st.lists(st.lists(member, min_size=1, max_size=5), min_size=1, max_size=3)
modes = st.sampled_from(["veto", "drop", "sum", "none"])


def records_of(made, shift=0.0):
    return [
        one(None, group=f"g{g}", id=f"{g}-{k}",
            rewards={"r3": r + shift, "rubric:a": a, "rubric:b": b})
        for g, rows in enumerate(made)
        for k, (r, a, b) in enumerate(rows)
    ]  # fmt: skip


def advantages(records, **rubric):
    batch = batch_of(records)
    made = run(batch, recipe(items=[A, B], floor=0.02, **rubric))
    found = per_trajectory(batch, made.advantages["grpo"])
    return dict(zip(batch.ids, found, strict=True)), made


@settings(max_examples=30, deadline=None)
@given(some_groups, modes, st.booleans(), st.randoms(use_true_random=False))
def test_permuting_and_shifting_change_nothing(made, mode, dro, random):
    records = records_of(made)
    before, _ = advantages(records, mode=mode, dro=dro)
    random.shuffle(records)
    after, _ = advantages(records, mode=mode, dro=dro)
    shifted, _ = advantages(records_of(made, 17.0), mode=mode, dro=dro)
    for id, a in before.items():
        assert after[id] == pytest.approx(a, abs=1e-9)
        assert shifted[id] == pytest.approx(a, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(some_groups)
def test_what_is_vetoed_is_never_reinforced(made):
    records = records_of(made)
    a, result = advantages(records)
    for record in records:
        said = [record.rewards["rubric:a"], record.rewards["rubric:b"]]
        if 0.0 in said:
            assert a[record.id] <= 1e-12
        if 0.0 not in said and None in said:
            assert a[record.id] == 0
    # and where one passes and one fails, and the group is not flat, it is pushed down
    for g in range(len(made)):
        inside = [r for r in records if r.group == f"g{g}"]
        words = [[r.rewards["rubric:a"], r.rewards["rubric:b"]] for r in inside]
        kept = [d.reason for d in result.decisions if d.trajectory.startswith(f"{g}-")]
        if [1.0, 1.0] in words and "flat" not in kept:
            lost = [a[r.id] for r, said in zip(inside, words, strict=True) if 0.0 in said]
            assert all(each < 0 for each in lost)


@settings(max_examples=30, deadline=None)
@given(some_groups)
def test_an_answer_that_a_judge_owes_is_as_if_the_trajectory_were_not_there(made):
    records = records_of(made)
    told = [r for r in records if 0.0 in r.rewards.values() or None not in r.rewards.values()]
    before, _ = advantages(records)
    after, _ = advantages(told) if told else ({}, None)
    for id, a in after.items():
        assert before[id] == pytest.approx(a, abs=1e-9)


# --- what is refused


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"dense": {}}, "recipe.rubric: dense: expected a name"),
        ({"dense": {"r3": 0}}, "recipe.rubric: dense: expected a name"),
        ({"dense": "rubric"}, "score of graded items"),
        ({"margin": 0}, "recipe.rubric: margin: got 0; expected above 0"),
        ({"lam": math.inf}, "recipe.rubric: lam"),
        ({"floor": -1}, "recipe.rubric: floor: got -1; expected at least 0"),
        ({"mu": -1}, "mu"),
        ({"rho": 0}, "rho"),
        ({"nu": 2}, "nu"),
        ({"quantile": 1}, "quantile"),
        ({"window": 0}, "window"),
        ({"warmup": 0}, "warmup"),
        ({"dropout": 1}, "dropout"),
        ({"most": -1}, "most"),
        ({"mode": "gate"}, "recipe.rubric.mode"),
        ({"modes": "veto"}, "Did you mean 'mode'?"),
        ({"items": "a"}, "recipe.rubric.items: got str; expected a list"),
        ("veto", "recipe.rubric: got 'veto'; expected a table"),
    ],
)
def test_bad_tables_are_refused_on_one_line(table, says):
    with pytest.raises(UsageError, match=r"recipe.rubric") as caught:
        Recipe.of({"method": "grpo", "rubric": table})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rewards_that_nobody_has_and_verdicts_that_are_none_are_refused():
    with pytest.raises(MethodError, match=r"no trajectory has a reward 'r4'. Known: r3, rubric:a"):
        result(FIRST, dense="r4")
    records = some([0.9, 0.4], [0.5, 1.0])
    with pytest.raises(MethodError, match=r"'g0': rewards\['rubric:a'\] is 0.5; expected 1, 0"):
        result(records)
    with pytest.raises(UnknownNameError, match="Did you mean 'text'"):
        Recipe.of({"method": "grpo", "rubric": {"items": [{"id": "a", "txt": "x"}]}})


def test_a_recipe_prepares_records_for_its_rubric():
    code = {"id": "a", "checked_by": "code", "has": r"\blima\b", "essential": True}
    world = {"id": "short", "checked_by": "world", "essential": True}
    made = Recipe.of({"method": "grpo", "rubric": {"items": [code, world]}})
    assert made.prepares
    said = [ModelStep(text="?", token_ids=(1,)), ToolStep(text="Lima", token_ids=(2,)),
            ModelStep(text="It is Lima.", token_ids=(3,))]  # fmt: skip
    first = made.prepared(one(1.0, steps=said, rewards={"short": 1.0}))
    assert first.rewards == {"short": 1.0, "rubric:a": 1.0, "rubric:short": 1.0}
    assert made.prepared(first) is first
    records = [one(1.0, steps=said, rewards={"short": 1.0}), one(0.5, rewards={"short": 0.25})]
    batch, _ = gated(batch_of(map(made.prepared, records)), made)
    close(batch.value_K, [1.0, -0.5])
    assert verdicts(batch, made.rubric.items)[0].tolist() == [[1, 1], [0, 0]]


def test_items_may_be_given_as_they_are():
    assert isinstance(Recipe.of({"method": "grpo", "rubric": Composition()}).rubric, Composition)
    item = Item("a", "Is it so", essential=True)
    assert Recipe.of({"method": "grpo", "rubric": {"items": [item]}}).rubric.items == (item,)
