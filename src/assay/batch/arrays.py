"""Columns that are complete to the arrays of a `Batch`, one axis after the other.

Each takes its columns with it, so that few lie in memory twice; what no row has is one number.
"""

import numpy as np

from assay.batch.columns import (
    C_WIDTH,
    NODE_WIDTH,
    R_WIDTH,
    S_WIDTH,
    Codes,
    Columns,
    constant,
    filled,
    integers,
    rows,
    small_integers,
    spread,
)
from assay.kernels.codes import numbered
from assay.kernels.constancy import bar
from assay.kernels.evidence import sibling_evidence
from assay.kernels.groups import voters


def step_arrays(columns: Columns, task_K: np.ndarray, tree_K: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the arrays of steps; takes their columns, which those of calls need before."""
    traj, index, opening, shown = rows(columns.S, S_WIDTH).T
    states = Codes()
    state = {s: states[int(task_K[traj[s]]), name] for s, name in columns.state.items()}
    node_S, parent_S = _nodes(columns, traj, tree_K)
    columns.S, columns.node = integers(), integers()
    return {
        "node_S": node_S,
        "parent_S": parent_S,
        "confidence_S": spread(columns.confidence, traj.size, np.nan),
        "traj_S": traj.copy(),
        "index_S": index.copy(),
        "reward_S": spread(columns.reward, traj.size, np.nan),
        "belief_S": spread(columns.belief, traj.size, np.nan),
        "state_S": spread(state, traj.size, np.int64(-1)),
        "seen_S": numbered(task_K[traj], shown),
        "opening_S": opening.astype(bool),
        "untrainable_S": spread(columns.untrainable, traj.size, np.int8(-1)),
    }


def _nodes(columns: Columns, traj: np.ndarray, tree_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the node of each step, and its parent: numbers in order of appearance.

    A name means one node inside a tree, or inside a trajectory without one.
    """
    step, *_ = names = rows(columns.node, NODE_WIDTH).T
    if not step.size:
        none_S = constant(traj.size, np.int64(-1))
        return none_S, none_S
    owner_K = np.where(tree_K >= 0, tree_K, tree_K.size + np.arange(tree_K.size))
    name, owner = names[1:].T.reshape(-1), np.repeat(owner_K[traj[step]], 2)
    code, known = np.full(name.size, -1), name >= 0
    code[known] = numbered(owner[known], name[known])
    node_S, parent_S = np.full((2, traj.size), -1)
    node_S[step], parent_S[step] = code[::2], code[1::2]
    return node_S, parent_S


def call_arrays(
    columns: Columns,
    task_K: np.ndarray,
    session_K: np.ndarray,
    outcome_K: np.ndarray,
    pass_at: float,
) -> dict[str, np.ndarray]:
    """Returns the arrays of calls, with what siblings and experts say; takes their columns."""
    step, form, parsed, ran, expert, answer = rows(columns.C, C_WIDTH).T
    traj_C, key_C = rows(columns.S, S_WIDTH)[step, 0], numbered(form)
    vote_K = voters(session_K, ~np.isnan(outcome_K))  # outputs of one rollout are no siblings
    passed_K = (outcome_K >= bar(pass_at)) & (vote_K == np.arange(vote_K.size))
    sibling = sibling_evidence(key_C, vote_K[traj_C], task_K, passed_K)
    columns.C = integers()
    return {
        "step_C": step.copy(),
        "key_C": key_C,
        "answer_C": np.where(answer < 0, -1, numbered(answer)),
        "parsed_C": parsed.astype(np.int8),
        "ran_C": ran.astype(np.int8),
        "sibling_C": filled(columns.sibling, sibling),
        "expert_C": _expert(columns, traj_C, task_K, form, expert),
        "on_path_C": spread(columns.on_path, step.size, np.int8(-1)),
    }


def _expert(
    columns: Columns,
    traj_C: np.ndarray,
    task_K: np.ndarray,
    form_C: np.ndarray,
    recorded_C: np.ndarray,
) -> np.ndarray:
    """Returns what is recorded, else whether the task has such an expert action; -1: has it any?"""
    expert_C = recorded_C.astype(np.int8)
    code = {task: number for task, number in columns.task.items() if task in columns.experts}
    known = {number: columns.experts[task] for task, number in code.items()}
    task_C = task_K[traj_C]
    for c in np.flatnonzero((expert_C < 0) & np.isin(task_C, list(known))).tolist():
        expert_C[c] = int(form_C[c]) in known[int(task_C[c])]
    return expert_C


def span_arrays(columns: Columns) -> dict[str, np.ndarray]:
    """Returns the arrays of spans; takes their columns."""
    traj, step, call, role, length = rows(columns.R, R_WIDTH).T
    columns.R = small_integers()
    return {
        "traj_R": traj.astype(np.int64),
        "step_R": step.astype(np.int64),
        "call_R": call.astype(np.int64),
        "role_R": role.astype(np.int8),
        "length_R": length.astype(np.int64),
    }
