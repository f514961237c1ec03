"""Leaves of a tree in every form: what they share is trained in each row, or in one.

Root to a1, a1 to a2 (1) and b2 (0), root to c1 to c2 (0). z over the leaves, ddof 1: mean 1/3,
deviation .577350, so 1.154699 -.577349 -.577349; the first two are below a1: sum .577349.
"""

from pathlib import Path
from typing import Any

import pytest

from assay.exporters import EXPORTERS
from assay.exporters.export import export
from assay.records import ModelStep, Origin, ToolStep, Trajectory, UserStep, write

from .test_export import lines, nemo_lines, of_nodes, table_rows

UP, DOWN = 1.154699, -0.577349
PATHS = (("a1", "a2", 1.0), ("a1", "b2", 0.0), ("c1", "c2", 0.0))
IDS = {"a1": (10, 11), "a2": (12,), "b2": (13,), "c1": (14,), "c2": (15,)}
EXPECTED = {  # per leaf: its first step, its second; None: another leaf carries the first
    "repeat": ((UP, UP), (DOWN, DOWN), (DOWN, DOWN)),
    "dedup_sum": ((-DOWN, UP), (None, DOWN), (DOWN, DOWN)),
    "dedup_mean": ((-DOWN / 2, UP), (None, DOWN), (DOWN, DOWN)),
}
LAST = ((None, UP), (DOWN, DOWN), (DOWN, DOWN))  # a form of one credit a node, under repeat


def log(folder: Path) -> Path:
    """Writes the leaves: a prompt, a step, the world's word, a step."""
    leaves = [
        Trajectory(
            id=f"tree/{k}",
            tree="tree",
            task="t",
            group="g",
            outcome=outcome,
            origin=Origin(format="verifiers"),
            steps=(
                UserStep(text="u", token_ids=(1, 2)),
                ModelStep(text=first, token_ids=IDS[first], node=first),
                ToolStep(text="w", token_ids=(3,)),
                ModelStep(text=last, token_ids=IDS[last], node=last, parent=first),
            ),
        )
        for k, (first, last, outcome) in enumerate(PATHS)
    ]
    write(folder / "log.jsonl", leaves)
    return folder / "log.jsonl"


def held(to: str, out: Path) -> list[tuple[list[Any], list[int] | None]]:
    """Returns, per leaf, the advantages of its tokens, and the mask where the form has one."""
    match to:
        case "slime":
            return [(row["advantages"], None) for row in lines(out / "advantages.jsonl")]
        case "prime-rl":
            (update,) = lines(out / "annotations" / "zz-assay" / "00000.jsonl")
            return [(branch["advantages"], None) for branch in update["branches"]]
        case "verifiers":
            return [(of_nodes(row["traces"][0]), None) for row in lines(out / "traces.jsonl")]
        case "nemo":
            return [(row["advantages"][0], row["token_loss_mask"][0]) for row in nemo_lines(out)]
        case "skyrl":
            kind, rows = ("prompt_token_ids", "rewards", "loss_masks"), "generator_output.jsonl"
            found = lines(out / rows)
        case _:
            kind, found = ("prompt_ids", "advantages", "tool_mask"), table_rows(out)
    return [
        ([0.0] * len(row[kind[0]]) + row[kind[1]], [0] * len(row[kind[0]]) + row[kind[2]])
        for row in found
    ]


@pytest.mark.parametrize("mode", [*EXPECTED])
@pytest.mark.parametrize("to", EXPORTERS.names())
def test_a_shared_step_is_in_each_row_or_in_the_first(tmp_path: Path, to: str, mode: str) -> None:
    options = {"prefix_mode": mode, "compare": "intra"}
    made = export(log(tmp_path), tmp_path / "out", to=to, method="tree_grpo", options=options)
    assert made["options"]["prefix_mode"] == mode
    last_wins = to == "prime-rl" and mode == "repeat"
    expected = LAST if last_wins else EXPECTED[mode]
    found = held(to, tmp_path / "out")
    for (first, last), (node, _, _), (values, mask) in zip(expected, PATHS, found, strict=True):
        size = len(IDS[node])
        copied = None if to == "prime-rl" else 0.0
        own = [*[copied if first is None else first] * size, last]
        at = [*range(2, 2 + size), 3 + size]
        assert [values[n] for n in at] == pytest.approx(own, abs=1e-5)
        if mask is not None:
            assert [mask[n] for n in at] == [*[int(first is not None)] * size, 1]
            assert [mask[n] for n in (0, 1, 2 + size)] == [0, 0, 0]
    assert ("node_of_several_credits" in made["lost"]) == last_wins
    # a1 has two tokens in each of two rows, or in one
    assert made["tokens"] == 8 - 2 * (mode != "repeat" or last_wins)
