"""verl's rows as records, and advantages back onto rows. No verl needed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from assay.errors import AlignmentError, DataError
from assay.recipes import Recipe
from assay.records import ModelStep, ToolStep, Trajectory, UserStep, encode
from assay.signal import signal
from assay.trainers.verl.rows import Row, records_of


def decode(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


def row(
    key: str, mask: Sequence[int], score: float = 0.0, extra: Mapping[str, Any] | None = None
) -> Row:
    return Row(
        key=key,
        prompt=[7, 8],
        response=[20 + t for t in range(len(mask))],
        mask=list(mask),
        score=score,
        extra=extra or {},
        task="t",
        values={"logprobs": [-float(t) for t in range(len(mask))], "entropies": [0.5] * len(mask)},
    )


def made(rows: Sequence[Row], padding: Sequence[bool] = (), **given: Any) -> Any:
    return records_of(rows, padding or [False] * len(rows), step=3, decode=decode, **given)


def test_runs_of_the_mask_are_steps() -> None:
    record = made([row("u_0_0", [1, 1, 0, 1], 0.5)]).records[0]
    assert record.steps == (
        UserStep(text="7 8", token_ids=(7, 8)),
        ModelStep(text="20 21", token_ids=(20, 21)),
        ToolStep(text="22", token_ids=(22,)),
        ModelStep(text="23", token_ids=(23,)),
    )
    assert (record.outcome, record.task) == (0.5, "t")
    assert [each.level for each in record.grades] == ["E3"]


def test_names_hold_nothing_random() -> None:
    rows = [row("x9_0_0", [1]), row("x9_1_0", [1]), row("x9_1_1", [1]), row("b_4_0", [1])]
    records = made(rows).records
    assert [each.id for each in records] == ["3/0/0", "3/0/1.0", "3/0/1.1", "3/1/4"]
    assert [each.group for each in records] == ["3/0", "3/0", "3/0", "3/1"]
    assert [each.session for each in records] == [None, "3/0/1", "3/0/1", None]


def test_advantages_by_hand() -> None:
    # dr_grpo: outcome less the mean of the group, a rollout of two outputs counted once.
    # group a: sessions 0 (1.0), 1 (0.0 in two outputs), 2 (0.5): mean 0.5: +0.5, -0.5, -0.5, 0.0
    # group b, ragged: sessions 0 (1.0) and 1 (0.0): +0.5, -0.5. The padding row gets zeros.
    rows = [
        row("a_0_0", [1, 0, 1], 1.0),
        row("a_1_0", [1], 0.0),
        row("pad_0_0", [0], 0.0),
        row("a_1_1", [1, 1, 0, 0, 1], 0.0),
        row("a_2_0", [0, 1], 0.5),
        row("b_0_0", [1, 1], 1.0),
        row("b_1_0", [1, 0], 0.0),
    ]
    found = made(rows, [each.key.startswith("pad") for each in rows])
    assert found.at == [0, 1, 3, 4, 5, 6]
    credit = signal(found.records, Recipe.of("dr_grpo"))
    masks = [each.mask for each in rows]
    expected = [
        [0.5, 0, 0.5],
        [-0.5],
        [0],
        [-0.5, -0.5, 0, 0, -0.5],
        [0, 0],
        [0.5, 0.5],
        [-0.5, 0],
    ]
    values = found.advantages(credit, masks)
    assert [each.tolist() for each in values] == expected
    assert {each.dtype for each in values} == {np.dtype(np.float32)}
    assert [each.tolist() for each in found.weights(credit, masks)] == masks


def test_a_mask_that_verl_made_smaller_is_obeyed() -> None:
    rows = [row("a_0_0", [1, 1, 1], 1.0), row("a_1_0", [1, 1], 0.0)]
    found = made(rows)
    credit = signal(found.records, Recipe.of("dr_grpo"))
    values = found.advantages(credit, [[1, 0, 1], [0, 0]])
    assert [each.tolist() for each in values] == [[0.5, 0, 0.5], [0, 0]]


def test_what_a_gate_dropped_leaves_the_mask_of_kept() -> None:
    broken = Trajectory(
        id="x",
        task="t",
        group="g",
        steps=(UserStep(text="q", token_ids=(7, 8)), ModelStep(text="z", token_ids=(20, 21))),
        end="infra",
    )
    rows = [
        row("a_0_0", [1, 1], 1.0),
        row("a_1_0", [1, 1], 0.0),
        row("a_2_0", [1, 1], 0.0, {"trajectory": encode(broken).decode()}),
    ]
    found = made(rows)
    credit = signal(found.records, Recipe.of("dr_grpo"))
    masks = [each.mask for each in rows]
    assert [each.tolist() for each in found.weights(credit, masks)] == [[1, 1], [1, 1], [0, 0]]
    assert [each.tolist() for each in found.advantages(credit, masks)] == [
        [0.5, 0.5],
        [-0.5, -0.5],
        [0, 0],
    ]


def given(ids: Sequence[int], outcome: float | None = 0.25) -> dict[str, str]:
    record = Trajectory(
        id="own",
        task="task",
        group="own",
        steps=(
            UserStep(text="q", token_ids=(7, 8)),
            ModelStep(text="z", token_ids=tuple(ids)),
        ),
        outcome=outcome,
        end="answered",
    )
    return {"trajectory": encode(record).decode()}


def test_a_record_that_came_with_the_row_stands() -> None:
    record = made([row("a_5_0", [1, 1], 1.0, given((20, 21)))]).records[0]
    assert (record.outcome, record.task, record.end) == (0.25, "task", "answered")
    assert (record.id, record.group, record.trial) == ("3/0/5", "3/0", 5)


def test_what_a_record_leaves_unscored_the_row_scores() -> None:
    record = made([row("a_5_0", [1, 1], 0.75, given((20, 21), None))]).records[0]
    assert record.outcome == 0.75


def test_a_record_of_other_tokens_is_refused() -> None:
    with pytest.raises(AlignmentError, match="they part at token 1"):
        made([row("a_0_0", [1, 1], 1.0, given((20, 22)))])
    with pytest.raises(AlignmentError, match=r"row 'a_0_0', token 1: response_mask says 0"):
        made([row("a_0_0", [1, 0], 1.0, given((20, 21)))])


def test_likelihoods_are_filled_where_a_method_reads_them() -> None:
    rows = [row("a_0_0", [1, 1], 1.0, given((20, 21)))]
    step = made(rows, needs=frozenset({"logprobs", "entropies"})).records[0].steps[1]
    assert (step.logprobs, step.entropies) == ((0.0, -1.0), (0.5, 0.5))
    assert made(rows).records[0].steps[1].logprobs is None


@pytest.mark.parametrize("key", ["a", "a_0", "a_b_0", "a_0_c", "a_-1_0"])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(DataError, match="expected a key uid_session_output"):
        made([row(key, [1])])


@pytest.mark.parametrize("score", [float("inf"), 1e300])
def test_a_score_that_no_actor_can_be_handed_is_refused(score: float) -> None:
    found = made([row("a_0_0", [1], score), row("a_1_0", [1]), row("b_0_0", [1], 1.0)])
    said = r"trajectory '3/0/0'\.outcome: got .*; expected a finite number within 1e\+30 of 0"
    with pytest.raises(DataError, match=said):
        signal(found.records, Recipe.of("dr_grpo"))


def test_a_row_without_tokens_gets_no_advantage_and_moves_no_mean() -> None:
    # the mean of a is 1/2, of the two that wrote something
    rows = [row("a_0_0", [], 1.0), row("a_1_0", [1], 1.0), row("a_2_0", [1, 1], 0.0)]
    found = made(rows)
    credit = signal(found.records, Recipe.of("dr_grpo"))
    values = found.advantages(credit, [each.mask for each in rows])
    assert [each.tolist() for each in values] == [[], [0.5], [-0.5, -0.5]]
