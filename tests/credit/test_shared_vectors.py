"""Every vector of shared/vectors/structure_vectors.json that a method of ours computes, to 1e-5,
and the names of those that none does: a new entry is in neither, and seen."""

import json
from math import log
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from assay.credit import method
from assay.credit.beliefs import gains
from assay.credit.nodes import Places
from assay.gate import Roc, gate
from assay.gate.roc import penalty_K
from assay.records import ModelStep
from assay.rollout.tree import Shape
from assay.verify.similarity import WRONG, similarity
from tests.credit.test_beliefs import D3, believer, gaining, rewards
from tests.credit.test_hcapo import told
from tests.credit.test_srl import scored
from tests.credit.test_steps import MT, P1, WALKS, caller, toolpo, walk
from tests.credit.test_structure import TREE
from tests.credit.test_structure import WALKS as NESTED
from tests.credit.worlds import batch_of, group, one, per_trajectory
from tests.gate.test_selection import r1, weights

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "structure_vectors.json"
COST = "what a rollout costs is measured, never taken from a formula"
INPUT = "an input"
OTHERS = {
    **{f"tree_grpo/budget/{tree}/{each}": COST
       for tree in ("1,2,1", "2,2,1", "4,2,1", "2,6,1", "8,2,1", "6,3,1", "4,5,1", "2,11,1")
       for each in ("cost_in_B", "eq4_as_printed")},
    **{f"tree_grpo/{name}/T={depth}": COST
       for name in ("expected_remaining_fraction", "true_cost_M2N2L1") for depth in (3, 4, 6)},
    "srl/S5_autojunk_260_chars/default": "with the heuristic that we turn off",
    "srl/S6_empty/both_empty": "an empty action of the expert's is refused",
    **{f"toolpo/P1/mask/{at}": INPUT for at in range(4)},
    "toolpo/P2_all_fail/note": "words",
    **{f"toolpo/P3_fold/S_pref(direct={a},fold={b})": "folding needs paired runs: left out"
       for a, b in ((1000, 600), (600, 1000))},
    "ms_grpo/G2_all_equal/aaw_prob": "words: the group is dropped, as tests/gate has it",
    **{f"grpo_roc/R1_paper_first_draw_prob(delta=0.01)/p{i}": "a chance: tests/gate draws by it"
       for i in range(5)},
    **{f"grpo_roc/R2_odd_half_rounding/{each}": "one too many: ours keeps 7 and 8, see tests/gate"
       for each in ("G=15 of 30, 15/15/0", "G=15 of 30, 15/15/1", "sum", "wanted")},
    "delta_belief/D5_win_turn_zeroed/episode_won_on_turn": INPUT,
    "peers/hgpo/note": "words",
}  # fmt: skip
"""What no method of ours computes, and why."""


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    """Every number, word and null of a nested value, by its path."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        inner = [leaves(each, f"{at}/{key}" if at else str(key)) for key, each in pairs]
        return {path: leaf for found in inner for path, leaf in found.items()}
    return {at: value}


# ---- trees


def trees(*outcomes: list[float], **options: Any) -> list[list[Any]]:
    """Both terms and their sum of the leaves of each tree."""
    batch = batch_of(one(o, tree=f"{t}") for t, each in enumerate(outcomes) for o in each)
    found = method("tree_grpo", **options)(batch)
    values = zip(found.parts["tree"], found.parts["task"], found.total, strict=True)
    rows = iter([dict(zip(("intra", "inter", "adv"), each, strict=True)) for each in values])
    return [[next(rows) for _ in each] for each in outcomes]


def shared_prefix(**options: Any) -> float:
    """What a step gets that leaves of 10, 20 and 20 tokens share: 1 0 0."""
    batch = batch_of(
        one(
            outcome,
            tree="t",
            steps=[
                ModelStep(text="p", token_ids=(0,) * 5, node="p"),
                ModelStep(text="x", token_ids=(0,) * (size - 5), node=f"{k}", parent="p"),
            ],
        )
        for k, (outcome, size) in enumerate(((1.0, 10), (0.0, 20), (0.0, 20)))
    )
    by = method("tree_grpo", compare="intra", prefix_mode="dedup_sum", **options)
    return by(batch).total[0]


def tree_grpo() -> dict[str, Any]:
    wins, formats = [1.0, 0.0, 0.0], {"paper": [1.0, 0.8, 0.0, -0.2], "code": [1.0, 0.8, 0.2, 0.1]}
    inter = method("tree_grpo", compare="inter")
    return {
        "T1_one_win": trees(wins, [0.0] * 3),
        "T1_one_win_ddof0": trees(wins, [0.0] * 3, ddof=0),
        "T2_all_fail": trees([0.0] * 3, [0.0] * 3),
        "T3_singleton_trees_spec": trees([1.0], [0.0]),
        "T3_singleton_trees_repo_quirk": trees([1.0], [0.0], variant="repo"),
        "T4_tree_level_split": trees([1.0] * 3, [0.0] * 3),
        "T5_prefix_all_leaves": {
            "sum_adv_token_mean": shared_prefix(),
            "sum_adv_over_len_seq_mean": shared_prefix(aggregation="sequence_mean"),
        },
        "T6_format_rewards_paper_vs_code": {
            name: inter(group(each, tree="t")).total for name, each in formats.items()
        },
        "budget": {
            f"{m},{n},{rounds}": {"leaves": Shape(chains=m, expansions=n, rounds=rounds).leaves}
            for m, n, rounds in (
                *((1, 2, 1), (2, 2, 1), (4, 2, 1), (2, 6, 1)),
                *((8, 2, 1), (6, 3, 1), (4, 5, 1), (2, 11, 1)),
            )
        },
    }


def one_tree() -> dict[str, Any]:
    batch = batch_of(TREE)  # a1 a2 | a1 b2 | c1 c2
    once, leaf = {"a1": 0, "a2": 1, "b2": 3, "c1": 4, "c2": 5}, {"a2": 1, "b2": 3, "c2": 5}

    def by(name: str, at: dict[str, int] = once, **options: Any) -> dict[str, float | None]:
        found = method(name, **options)(batch)
        return {n: found.total[i] if found.carried[i] else None for n, i in at.items()}

    places = Places.of(batch, "t")
    at = {"root": 0, "a1": places.place_S[0], "c1": places.place_S[4]}
    child_P, leaf_P = places.child_mean(batch.value_K)[0], places.leaf_mean(batch.value_K)
    return {
        "treegrpo_node_sum": by("tree_grpo", compare="intra", prefix_mode="dedup_sum"),
        "treegrpo_node_mean": by("tree_grpo", compare="intra", prefix_mode="dedup_mean"),
        "sibling_childmean(CARL)": by("carl"),
        "treerl_global+local_sqrt": by("tree_rl"),
        "treepo_average_before_whitening": by("tree_po", leaf),
        "treepo_groupsize_before_whitening": by("tree_po", leaf, over="size"),
        "values": {
            "childmean": {name: child_P[p] for name, p in at.items()},
            "leafmean": {name: leaf_P[p] for name, p in at.items()},
        },
    }


# ---- similarity, calls, episodes


def least_filter(similarities: list[float]) -> float:
    """The deviation at which `filter` begins to drop an instance, to 1e-7."""
    batch, low, high = batch_of(scored((r, 0)) for r in similarities), 0.0, 2.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        dropped = not method("srl", filter=middle)(batch).total.any()
        low, high = (low, middle) if dropped else (middle, high)
    return low


def srl() -> dict[str, Any]:
    gold = "search[capital of France]"
    said = {"exact": gold, "drop_of": "search[capital France]", "only_France": "search[France]"}
    r = {name: similarity(each, gold) for name, each in said.items()} | {"bad_format": WRONG}
    batch, equal = batch_of(scored((each, 0)) for each in r.values()), [0.4] * 4
    rng = Random(0)
    long = "".join(rng.choice("abcdefgh ") for _ in range(260))
    dull = method("srl", filter=0.01)(batch_of(scored((each, 0)) for each in equal)).total
    return {
        "S1_rewards_char": r,
        "S1_adv_ddof1": method("srl")(batch).total,
        "S1_adv_ddof0": method("srl", ddof=0)(batch).total,
        "S1_pop_std": least_filter([*r.values()]),
        "S2_token_level": similarity(
            ("click", "buy", "now"), ("click", "add", "to", "cart", "then", "buy", "now")
        ),
        "S3_equal": {"pop_std": least_filter(equal), "keep_if_eps_0.01": bool(dull.any())},
        "S4_asymmetry": {
            "ratio(tide,diet)": similarity("tide", "diet"),
            "ratio(diet,tide)": similarity("diet", "tide"),
        },
        "S5_autojunk_260_chars": {"autojunk_off": similarity(f"{long[:130]}X{long[130:]}", long)},
        "S6_empty": {"pred_empty": similarity("", gold)},
    }


def called(trajectories: list[Any], **options: Any) -> tuple[list[float], list[float]]:
    """The outcome's part and the calls' part of each trajectory."""
    found = toolpo(trajectories, **options)
    return [text for text, *_ in found], [calls[0] - text for text, calls, _ in found]


def toolpo_() -> dict[str, Any]:
    succ, action = called(P1)
    fails = called([caller(0.0, correct, 3) for correct in (0, 1, 2)])
    return {
        "P1": {
            "A_succ": succ,
            "A_action": action,
            "token_adv": [[text, *calls[:1] * 2, end] for text, calls, end in toolpo(P1)],
        },
        "P2_all_fail": {"A_succ": fails[0], "A_action": fails[1]},
        "P4_rate_instead_of_count": {"count": action, "rate": called(P1, action_reduce="rate")[1]},
    }


def chances(returns: list[float]) -> list[float]:
    """The chance of each to be drawn: 1 / (n p) is how the correction weighs what was drawn."""
    drawn, corrected = weights(tuple(returns)), weights(tuple(returns), correct=True)
    each = np.divide(corrected, drawn, out=np.zeros(drawn.shape), where=drawn > 0).max(axis=0)
    return [1.0 / (len(returns) * w) if w else 0.0 for w in each]


def ms_grpo() -> dict[str, Any]:
    def by(returns: list[float]) -> list[float]:
        batch = group(returns)
        return per_trajectory(batch, method("ms_grpo")(batch))

    paid = [[1.0, 2.0], [1.0], [0.5, 0.5], [0.0, 0.0, 0.0, -1.0]]
    episodes = batch_of(walk(0.0, *"abcd"[: len(each)], rewards=each) for each in paid)
    got = method("ms_grpo", returns="rewards")(episodes)
    rare, few = [10.0, *[0.0] * 7], [5.0, 1.0, 0.0, 0.0]
    p_rare, p_few = np.array(chances(rare)), np.array(chances(few))
    return {
        "G1_returns": got.made[0].term.value_U,
        "G1_adv_ddof0": per_trajectory(episodes, got),
        "G1_step_adv": {"len2": got.total[:2], "len4": got.total[5:]},
        "G1_aaw_prob": chances([3.0, 1.0, 1.0, -1.0]),
        "G2_all_equal": {"adv": by([1.0] * 4)},
        "G3_one_win_of_8": {
            "adv": by(rare)[:2],
            "aaw_prob_win": p_rare[0],
            "aaw_prob_each_loss": p_rare[1],
            "expected_sum_of_sampled_adv_per_draw": p_rare @ by(rare),
        },
        "G4_sampling_bias": {
            "adv": by(few),
            "aaw_prob": p_few,
            "E[A]_uniform": np.mean(by(few)),
            "E[A]_aaw": p_few @ by(few),
            "importance_weight_1/(n p)": 1 / (4 * p_few),
        },
    }


def roc() -> dict[str, Any]:
    batch, code, last = r1(), Roc(variant="repo"), Roc(variant="repo", keep=16)
    kept = {"paper": Roc().counts(3, 5), "code": code.counts(3, 5)}
    rare = Roc(variant="repo", keep=16, quota=0).counts(31, 1), last.counts(31, 1)
    picked = [d.verdict != "drop" for d in gate(batch, [code])]

    def after(losses: int, wins: int) -> np.ndarray:
        return method("grpo", eps=1e-6)(group([1.0] * wins + [0.0] * losses)).total

    return {
        "R1_penalties": {f"p{i}": p for i, p in enumerate(penalty_K(batch)[:5])},
        **{f"R1_counts_{of}": {"neg": few, "pos": many} for of, (few, many) in kept.items()},
        "R1_code_pick": [f"p{i}" for i in range(5) if picked[i]],
        "R1_adv_after_paper_counts_ddof1": after(*kept["paper"]),
        "R1_adv_after_code_counts_ddof1": after(*kept["code"]),
        "R1_adv_without_roc_ddof1(8)": after(3, 5)[[0, -1]],
        "R3_rare_win_min_quota": {
            "1 pos, 31 neg, G=16, min 2": {
                "raw": rare[0][::-1],
                "after_quota": {"pos": rare[1][1], "neg": rare[1][0]},
            }
        },
    }


# ---- beliefs and peers


def delta_belief() -> dict[str, Any]:
    def by(batch: Any, **options: Any) -> list[np.ndarray]:
        total = method("delta_belief", **{"variant": "paper", **options})(batch).total
        return [total[batch.traj_S == k] for k in range(len(batch.ids))]

    walks = (-6, -4, -4.5, -1), (-4, -2, -4, -2, -4)
    walked, circle = (batch_of([believer(0.0, *walk)]) for walk in walks)
    delta, bare = gains(walked, -20.0), {"turn_cost": 0.0}
    relu = rewards(walked, lam=1.0, **bare)
    d3, paid = batch_of(D3), rewards(batch_of(D3))
    fails = batch_of([gaining(0.0, first, 0.0, 0.0) for first in (1.5, 0.0, 0.3)])
    won = batch_of([gaining(1.0, 1.0, 2.0), gaining(0.0, 0.0)])
    return {
        "D1": {
            "delta": delta,
            "relu": relu,
            "lambda_relu": rewards(walked, **bare),
            "sum_delta": delta.sum(),
            "sum_relu": sum(relu),
        },
        "D2_oscillation": {
            "sum_delta": gains(circle, -20.0).sum(),
            "sum_relu": sum(rewards(circle, lam=1.0, **bare)),
        },
        "D3_rewards": [paid[:2], paid[2:4], paid[4:]],
        "D3_adv_zero_padded(repo)": by(d3, variant="repo"),
        "D3_adv_masked(recommended)": by(d3),
        "D4_all_fail_signal": {
            "rewards_t0": rewards(fails)[::3],
            "adv_t0": [each[0] for each in by(fails)],
        },
        "D5_win_turn_zeroed": {
            "delta": gains(won, -20.0)[:2],
            "credited(repo)": rewards(won, variant="repo", win=0.0, **bare)[:2],
        },
    }


def gigpo() -> dict[str, Any]:
    batch = batch_of(WALKS)  # s0 s1 | s0 s2 s1 | s0 s2
    got, code = (method("gigpo", gamma=0.9, variant=v)(batch) for v in ("paper", "repo"))
    returns, step = got.made[1].term.value_U, got.parts["step"]
    return {
        "step_returns": {"t1": returns[:2], "t2": returns[2:5], "t3": returns[5:]},
        "A_S(mean_norm)": {"s0": step[[0, 2, 5]], "s1": step[[1, 4]], "s2": step[[3, 6]]},
        "A_E per-trajectory mean": got.parts["outcome"][[0, 2, 5]],
        "A_E cross-steps mean (code default)": code.parts["outcome"][[0, 2, 5]],
    }


def peers() -> dict[str, Any]:
    igpo = method("igpo")(
        batch_of([believer(o, -5, *b) for o, b in ((1, (-4.5, -3.5, 0)), (0, (-5.5, -5.5, 0)))])
    )
    told_ = batch_of([told(1.0, 5 * log(0.9), 5 * log(0.6)), told(0.0, -1.0, -2.0)])
    hcapo = method("hcapo")(told_)
    mt = batch_of(MT)
    turns = method("mt_grpo")(mt)
    after = [method("mt_grpo", w=0.0)(mt).total, turns.parts["turn"], turns.total]
    after = [each[mt.step_R >= 0].reshape(4, -1) for each in after]
    skip, whole = (method("hgpo", levels=1, gamma=1.0, skip=s) for s in (True, False))
    nested, carried = batch_of(NESTED), {k: np.array([True]) for k in ("k0", "k1")}
    share = [whole.combine({"k0": 1.0 - x, "k1": x}, carried)[0] for x in np.eye(2)[:, 1:]]
    return {
        "gigpo": gigpo(),
        "igpo": {
            "r_tilde_ddof1": np.nansum([m.scaled_U for m in igpo.made], axis=0).reshape(2, 3),
            "returns_gamma1": igpo.total.reshape(2, 3),
        },
        "hcapo": {
            "rho": method("hcapo", gamma=1.0)(told_).made[1].term.value_U[:2],
            "Q": hcapo.made[1].term.value_U,
            "micro_ddof0": hcapo.parts["hindsight"],
            "adv_before_mask": method("hcapo", pass_at=9.0)(told_).total,
            "adv_after_do_no_harm": hcapo.total,
        },
        "mt_grpo": {
            "A_outcome": after[0][:, 0],
            "A_turn": after[1][:, 0],
            "tokens_before_first_result": after[2][:, 0],
            "tokens_after": after[2][:, -1],
        },
        "hgpo": {
            "k0_group_ddof0": skip(nested).parts["k0"][1::2],
            "k1_group_ddof0": skip(nested).parts["k1"][1:4:2],
            "w(alpha=1,K=1)": share,
            "combined_no_skip": whole(nested).total[1::2],
            "combined_skip_zero_levels": skip(nested).total[1::2],
        },
    }


OURS = {
    "tree_grpo": tree_grpo,
    "one_tree_many_estimators": one_tree,
    "srl": srl,
    "toolpo": toolpo_,
    "ms_grpo": ms_grpo,
    "grpo_roc": roc,
    "delta_belief": delta_belief,
    "peers": peers,
}


@pytest.mark.shared_data
@pytest.mark.skipif(not VECTORS.is_file(), reason="needs shared/vectors beside the repository")
def test_every_entry_is_computed_or_named():
    expected = leaves(json.loads(VECTORS.read_bytes()))
    found = leaves({name: made() for name, made in OURS.items()})
    assert not set(found) & set(OTHERS)
    assert set(found) | set(OTHERS) == set(expected)
    for path, value in found.items():
        if isinstance(expected[path], bool | str | None):
            assert value == expected[path], path
        else:
            assert value == pytest.approx(expected[path], abs=1e-5, rel=0), path
