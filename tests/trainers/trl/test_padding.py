"""Padding is cut, and nothing that counts."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from assay.trainers.trl.padding import by_length, by_width, rotary, trimmed  # noqa: E402


def batch(
    prompts: list[int], completions: list[int], *, wide: tuple[int, int] = (4, 6)
) -> dict[str, Any]:
    """Rows with so many tokens; prompts on the right of their columns, completions on the left."""
    rows = len(prompts)
    made: dict[str, Any] = {
        "prompt_ids": torch.zeros(rows, wide[0], dtype=torch.long),
        "completion_ids": torch.zeros(rows, wide[1], dtype=torch.long),
        "num_items_in_batch": torch.tensor(99),
        "assay_row": torch.arange(rows) + 10,
        "names": [f"{p}+{c}" for p, c in zip(prompts, completions, strict=True)],
    }
    for row, (p, c) in enumerate(zip(prompts, completions, strict=True)):
        made["prompt_ids"][row, wide[0] - p :] = torch.arange(p) + 1
        made["completion_ids"][row, :c] = torch.arange(c) + 1
    made["prompt_mask"] = (made["prompt_ids"] > 0).long()
    made["completion_mask"] = (made["completion_ids"] > 0).long()
    made["advantages"] = made["completion_ids"].float()
    return made


def test_columns_of_padding_go_and_all_others_stay():
    cut = trimmed(batch([2, 3], [1, 4]))
    assert cut["prompt_ids"].tolist() == [[0, 1, 2], [1, 2, 3]]
    assert cut["prompt_mask"].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert cut["completion_ids"].tolist() == [[1, 0, 0, 0], [1, 2, 3, 4]]
    assert cut["advantages"].tolist() == [[1, 0, 0, 0], [1, 2, 3, 4]]
    assert cut["num_items_in_batch"] == 99
    assert cut["assay_row"].tolist() == [10, 11]


def test_prompts_as_wide_as_completions_are_told_apart():
    cut = trimmed(batch([1, 1], [3, 2], wide=(4, 4)))
    assert cut["prompt_ids"].tolist() == [[1], [1]]
    assert cut["completion_ids"].tolist() == [[1, 2, 3], [1, 2, 0]]


def test_a_batch_without_a_token_keeps_one_column_of_each():
    cut = trimmed(batch([0, 0], [0, 0]))
    assert cut["prompt_ids"].shape == cut["completion_ids"].shape == (2, 1)


def test_a_full_batch_stays_whole():
    cut = trimmed(batch([4, 1], [6, 2]))
    assert cut["prompt_ids"].shape == (2, 4)
    assert cut["completion_ids"].shape == (2, 6)


def test_batches_with_pictures_are_left_alone():
    given = {**batch([1, 1], [1, 1]), "pixel_values": torch.zeros(1)}
    assert trimmed(given)["completion_ids"].shape == (2, 6)


def test_rows_of_one_length_come_together_and_never_leave_their_step():
    micro = [
        batch([1, 4], [1, 6]),
        batch([4, 1], [5, 2]),
        batch([2, 2], [6, 1]),
        batch([1, 1], [1, 1]),
    ]
    made = by_length(micro, 2)
    # first step: 2 10 9 3, longest first; second: 8 3 2 2, equal ones in their old order
    assert [each["names"] for each in made] == [
        ["4+6", "4+5"], ["1+2", "1+1"], ["2+6", "2+1"], ["1+1", "1+1"],
    ]  # fmt: skip
    for each in made:
        assert each["completion_mask"].sum(1).tolist() == [int(n[-1]) for n in each["names"]]
        assert each["prompt_mask"].sum(1).tolist() == [int(n[0]) for n in each["names"]]
        assert each["num_items_in_batch"] == 99
    assert made[0]["assay_row"].tolist() == [11, 10]


def test_a_step_of_one_micro_batch_is_as_it_was():
    micro = [batch([1, 4], [1, 6]), batch([4, 1], [5, 2])]
    assert by_length(micro, 1)[1] is micro[1]


def test_a_model_that_numbers_columns_keeps_them():
    from transformers import GPT2Config, LlamaConfig

    assert rotary(LlamaConfig())
    assert not rotary(GPT2Config())
    assert not by_width(LlamaConfig())
    assert not by_width(GPT2Config())
    cut = trimmed(batch([2, 3], [1, 4]), left=False)
    assert cut["prompt_ids"].tolist() == [[0, 0, 1, 2], [0, 1, 2, 3]]
    assert cut["completion_ids"].shape == (2, 4)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_model_that_is_stretched_by_the_longest_row_keeps_all_columns(kind: str):
    from types import SimpleNamespace

    given = {"rope_type": kind, "rope_theta": 1e4}
    by_layer = {"full_attention": given, "sliding_attention": {"rope_type": "default"}}
    for parameters in (given, by_layer):
        config = SimpleNamespace(rope_parameters=parameters)
        assert by_width(config)
        assert not rotary(config)
    assert rotary(SimpleNamespace(rope_parameters={**given, "rope_type": "yarn"}))
