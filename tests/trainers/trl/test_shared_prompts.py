"""A prompt that rows share is passed once, and nothing but the time changes."""

from typing import Any

import pytest

pytest.importorskip("trl")

utils = pytest.importorskip("trl.trainer.utils")
if not hasattr(utils, "add_fused_lm_head"):
    pytest.skip("TRL before 1.16 scores whole rows of logits", allow_module_level=True)

from assay.trainers.trl.shared_prompts import SharedPrompts, shareable  # noqa: E402

from .quiet import MARKS  # noqa: E402
from .tiny import model, torch  # noqa: E402

pytestmark = MARKS

PROMPTS = [[0, 0, 4, 5, 6], [7, 8, 9, 10, 11]]
ROWS = [(0, [4, 5, 1]), (1, [5, 6, 7]), (0, [6, 1, 0]), (1, [7, 8, 9]), (0, [4, 4, 1])]


def made() -> Any:
    whole = model(layers=2).double()
    utils.add_fused_lm_head(whole, outputs=("log_probs", "entropy"))
    return whole


def batch() -> tuple[Any, Any]:
    ids = torch.tensor([PROMPTS[p] + row for p, row in ROWS])
    return ids, (ids > 0).long()


def scored(called: Any, ids: Any, seen: Any) -> Any:
    labels = ids.masked_fill(seen == 0, -100)
    labels[:, :-3] = -100
    given = {"input_ids": ids, "attention_mask": seen, "labels": labels, "fused_lm_head": True}
    return called(**given).log_probs[:, -3:]


def test_values_and_gradients_are_those_of_whole_rows() -> None:
    ids, seen = batch()
    found = []
    for share in (False, True):
        whole = made()
        new = scored(SharedPrompts(whole, whole, 3) if share else whole, ids, seen)
        weight = torch.arange(15.0, dtype=torch.float64).view(5, 3) * seen[:, -3:]
        (new * weight).sum().backward()
        found.append([new.detach() * seen[:, -3:], *(p.grad for p in whole.parameters())])
    for plain, shared in zip(*found, strict=True):
        assert plain.abs().max() > 0
        assert (plain - shared).abs().max().item() <= 1e-6 * max(plain.abs().max().item(), 1.0)


def test_two_prompts_of_five_rows_are_passed_once_each() -> None:
    whole, tokens = made(), []
    whole.base_model.register_forward_pre_hook(
        lambda _, args, given: tokens.append(given["input_ids"].numel()), with_kwargs=True
    )
    ids, seen = batch()
    scored(SharedPrompts(whole, whole, 3), ids, seen)
    assert tokens == [2 * 4, 5 * 4]  # and not 5 * 8
    tokens.clear()
    different = ids.clone()
    different[:, 4] = torch.arange(4, 9)  # nothing to share
    scored(SharedPrompts(whole, whole, 3), different, seen)
    assert tokens == [5 * 8]


def test_masked_tokens_of_equal_id_are_not_the_same_prompt() -> None:
    whole, tokens = made(), []
    whole.base_model.register_forward_pre_hook(
        lambda _, args, given: tokens.append(given["input_ids"].numel()), with_kwargs=True
    )
    ids, seen = batch()
    seen[0, 2] = 0
    scored(SharedPrompts(whole, whole, 3), ids, seen)
    assert tokens == [3 * 4, 5 * 4]


@pytest.mark.parametrize(
    "change",
    [
        {"attention_dropout": 0.1},
        {"sliding_window": 8},
        {"layer_types": ["sliding_attention", "full_attention"]},
        {"_attn_implementation": "flash_attention_2"},
        {"rope_parameters": {"rope_type": "dynamic"}},
    ],
)
def test_models_that_would_notice_are_left_alone(change: dict[str, Any]) -> None:
    whole = model(layers=2)
    assert shareable(whole)
    for name, value in change.items():
        object.__setattr__(whole.config, name, value)
    assert not shareable(whole)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers renamed it
def test_a_layer_that_drops_or_is_passed_again_is_left_alone() -> None:
    whole = model()
    whole.model.layers[0].extra = torch.nn.Dropout(0.5)
    assert not shareable(whole)
    again = model()
    again.gradient_checkpointing_enable()
    assert not shareable(again)
