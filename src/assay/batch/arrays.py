"""Columns that are complete to the arrays of a `Batch`, some rows of them at a time.

Large arrays are in files, and what is worked out on the way as well; what no row has is one number.
"""

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from assay.batch.columns import COPIED, Columns, by_name
from assay.batch.mapped import let_go, room, stretches
from assay.batch.numbering import Later, numbered_apart, taken
from assay.batch.parts import add_rows, place, starts, together
from assay.batch.table import Table
from assay.kernels.constancy import bar
from assay.kernels.evidence import sibling_evidence
from assay.kernels.groups import voters

Arrays = dict[str, np.ndarray]


def arrays(columns: Columns, pass_at: float) -> dict[str, Any]:
    """Returns the fields of a `Batch`; evidence that needs other trajectories is added here."""
    of_K = {**columns.K.arrays(), **columns.outcome.arrays()}
    later, calls = Later(), columns.C.arrays()
    of_K["content_K"] = later.numbered(of_K["content_K"])
    spans, steps = columns.R.arrays(), _steps(columns, of_K, later)
    answer = calls["answer_C"]
    calls["answer_C"] = later.numbered(answer, known=answer)
    later.begin()
    calls = _calls(columns, calls, steps, of_K, pass_at)
    names, reward_KJ = by_name(columns.rewards, columns.reward_names, len(columns.ids))
    score_names, score_SJ = by_name(columns.scores, columns.score_names, len(columns.S))
    made = {
        "ids": tuple(columns.ids),
        "groups": tuple(columns.group),
        "tasks": tuple(columns.task),
        "judges": tuple(columns.judge),
        **of_K,
        **_written(spans, steps["untrainable_S"] != COPIED, len(columns.ids)),
        "prior_K": columns.prior.spread(len(columns.ids), np.nan),
        "verdict_K": columns.verdict.spread(len(columns.ids), np.nan),
        "rescued_K": columns.rescued.spread(len(columns.ids), False),
        "reward_names": names,
        "reward_KJ": reward_KJ,
        "score_names": score_names,
        "score_SJ": score_SJ,
        "weight_K": np.ones(len(columns.ids)),
        **spans,
        **calls,
        **steps,
        **_tokens(columns),
        "statistics": {},
    }
    later.end()
    let_go()
    return made


def _tokens(columns: Columns) -> dict[str, np.ndarray | None]:
    """Returns what is kept per token; None: no trajectory has any."""
    tokens: dict[str, np.ndarray | None] = {
        name: table.arrays()[name] if there else None
        for name, table, there in (
            ("logprob_N", columns.logprob, columns.has_logprob),
            ("entropy_N", columns.entropy, columns.has_entropy),
        )
    }
    for name in ("told", "neutral", "helped"):
        table: Table = getattr(columns, name)
        tokens[f"{name}_N"] = table.spread(len(columns.logprob), np.nan) if len(table) else None
    return tokens


def _written(spans: Arrays, own_S: Bool[np.ndarray, " S"], n: int) -> Arrays:
    """Returns how many spans each trajectory's policy wrote, and how much in them."""
    spans_K, wrote_K = room(n, np.int64), room(n, np.int64)
    own_S = np.append(own_S, False)
    for at in stretches(spans["traj_R"].size):
        own = own_S[spans["step_R"][at]]
        traj = spans["traj_R"][at][own]
        add_rows(spans_K, traj)
        add_rows(wrote_K, traj, spans["length_R"][at][own])
    return {"spans_K": spans_K, "wrote_K": wrote_K}


def _steps(columns: Columns, of_K: Arrays, later: Later) -> Arrays:
    """Returns the arrays of steps."""
    made = columns.S.arrays()
    shown, n = made.pop("shown_S"), len(columns.S)
    task_S = taken(of_K["task_K"], made["traj_S"])
    node_S, parent_S = _nodes(columns.node, made["traj_S"], of_K["tree_K"])
    return {
        **made,
        "seen_S": later.numbered(task_S, shown),
        "state_S": _states(columns.state, task_S),
        "node_S": node_S,
        "parent_S": parent_S,
        "confidence_S": columns.confidence.spread(n, np.nan),
        "reward_S": columns.reward.spread(n, np.nan),
        "belief_S": columns.belief.spread(n, np.nan),
        "untrainable_S": columns.untrainable.spread(n, np.int8(-1)),
        "hinted_S": columns.hinted.spread(n, np.int64(0)),
    }


def _states(states: Table, task_S: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
    """Returns the recorded state before each step, as a number that is its own within a task."""
    state_S = states.spread(task_S.size, np.int64(-1))
    if len(states):
        of = states.arrays()
        code = numbered_apart(taken(task_S, of["step"]), of["hash"])
        for at in stretches(code.size):
            state_S[of["step"][at]] = code[at]
    return state_S


def _nodes(
    nodes: Table, traj_S: Int64[np.ndarray, " S"], tree_K: Int64[np.ndarray, " K"]
) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """Returns the node of each step, and its parent: numbers in order of appearance.

    A name means one node inside a tree, or inside a trajectory without one.
    """
    if not len(nodes):
        none_S = np.broadcast_to(np.int64(-1), traj_S.size)
        return none_S, none_S
    of, n = nodes.arrays(), len(nodes)
    owner_K = np.where(tree_K >= 0, tree_K, tree_K.size + np.arange(tree_K.size))
    name, owner, end = room(2 * n, np.int64), room(2 * n, np.int64), 0
    for at in stretches(n):
        both = np.stack([of["name"][at], of["parent"][at]], 1)
        named = both >= 0
        begin, end = end, end + int(named.sum())
        name[begin:end] = both[named]
        owner[begin:end] = np.repeat(owner_K[traj_S[of["step"][at]]], 2)[named.reshape(-1)]
    code, end = numbered_apart(owner[:end], name[:end]), 0
    node_S, parent_S = (room(traj_S.size, np.int64) for _ in range(2))
    for at in stretches(traj_S.size):
        node_S[at] = parent_S[at] = -1
    for at in stretches(n):
        both = np.stack([of["name"][at], of["parent"][at]], 1)
        named = both >= 0
        begin, end = end, end + int(named.sum())
        both[named] = code[begin:end]
        node_S[of["step"][at]], parent_S[of["step"][at]] = both.T
    return node_S, parent_S


def _calls(columns: Columns, made: Arrays, steps: Arrays, of_K: Arrays, pass_at: float) -> Arrays:
    """Returns the arrays of calls, with what siblings and experts say."""
    form, n = made.pop("form_C"), len(columns.C)
    made["key_C"] = numbered_apart(form)
    made["on_path_C"] = columns.on_path.spread(n, np.int8(-1))
    made["sibling_C"] = sibling_C = room(n, np.int8)
    expert_C, made["expert_C"] = made["expert_C"], room(n, np.int8)
    outcome_K, task_K = of_K["outcome_K"], of_K["task_K"]
    # outputs of one rollout are no siblings
    vote_K = voters(of_K["session_K"], ~np.isnan(outcome_K))
    passed_K = (outcome_K >= bar(pass_at)) & (vote_K == np.arange(vote_K.size))
    start_K = starts(steps["traj_S"], made["step_C"], vote_K.size)["C"]
    forms = {
        task: columns.experts[name]
        for name, task in columns.task.items()
        if name in columns.experts
    }
    named_T = np.zeros(len(columns.task), bool)
    named_T[[*forms]] = True
    for ks in together(task_K, np.diff(start_K)):
        at = place(start_K, ks)
        traj_C = steps["traj_S"][made["step_C"][at]]
        within = ks if np.isin(vote_K[ks], ks).all() else np.arange(vote_K.size)
        sibling_C[at] = sibling_evidence(
            made["key_C"][at],
            np.searchsorted(within, vote_K[traj_C]),
            task_K[within],
            passed_K[within],
        )
        task_C = task_K[traj_C]
        asked = named_T[task_C] & (expert_C[at] < 0)
        made["expert_C"][at] = _expert(forms, asked, task_C, form[at], expert_C[at])
        let_go()
    columns.sibling.over(sibling_C)
    return made


def _expert(
    forms: Mapping[int, Container[int]],
    asked_C: Bool[np.ndarray, " C"],
    task_C: Int64[np.ndarray, " C"],
    form_C: Int64[np.ndarray, " C"],
    recorded_C: np.ndarray,
) -> np.ndarray:
    """Returns what is recorded; of calls that are asked for, whether the task has such an expert
    action among its forms."""
    expert_C = recorded_C.copy()
    of = zip(task_C[asked_C].tolist(), form_C[asked_C].tolist(), strict=True)
    expert_C[asked_C] = [form in forms[task] for task, form in of]
    return expert_C
