"""Rows that begin alike are passed as a tree, and nothing but the time changes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl")

utils = pytest.importorskip("trl.trainer.utils")
if not hasattr(utils, "add_fused_lm_head"):
    pytest.skip("TRL before 1.16 scores whole rows of logits", allow_module_level=True)

from assay.records import ModelStep, ToolStep, Trajectory, encode  # noqa: E402
from assay.trainers.trl import shared_prefixes  # noqa: E402
from assay.trainers.trl.padding import by_length  # noqa: E402
from assay.trainers.trl.shared_prefixes import SharedPrefixes, trees_together  # noqa: E402

from .quiet import MARKS  # noqa: E402
from .tiny import model, ours, rollouts, torch  # noqa: E402

pytestmark = MARKS

PROMPT, OTHER = [4, 5, 6], [7, 8, 9, 10, 11]
CHAIN = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
LEAVES = [
    CHAIN,
    [*CHAIN[:7], 3, 3, 3, 1],  # leaves the chain late
    [*CHAIN[:7], 3, 3, 4, 5, 6, 1],  # and its own branch again: a prefix inside a prefix
    [*CHAIN[:3], 4, 1],  # early
    CHAIN[:6],  # ends where others go on
    CHAIN,  # the same leaf twice
    [12, 13],  # shares the prompt alone
]
BATCHES: dict[str, list[tuple[list[int], list[int]]]] = {
    "tree": [(PROMPT, leaf) for leaf in LEAVES],
    "one leaf": [(PROMPT, CHAIN)],
    "single child": [(PROMPT, CHAIN), (PROMPT, [*CHAIN, 1])],
    "chain group": [(PROMPT, [token, *CHAIN[1:]]) for token in (5, 6, 7, 8)],
    "two trees": [(PROMPT, leaf) for leaf in LEAVES] + [(OTHER, leaf) for leaf in LEAVES[::-1]],
    "truncated": [(PROMPT, CHAIN), (PROMPT, CHAIN), (PROMPT, [])],
}
SHARED = ("tree", "single child", "two trees", "truncated")


def made(attention: str = "sdpa") -> Any:
    whole = model(layers=2, hidden=64)
    whole = whole.double() if attention == "sdpa" else whole  # eager's softmax is of 32 bits
    whole.config._attn_implementation = attention
    utils.add_fused_lm_head(whole, outputs=("log_probs", "entropy"))
    return whole


def padded(rows: list[tuple[list[int], list[int]]]) -> tuple[Any, Any, int]:
    left, right = max(len(p) for p, _ in rows), max(len(c) for _, c in rows)
    ids = [[0] * (left - len(p)) + p + c + [0] * (right - len(c)) for p, c in rows]
    seen = [[0] * (left - len(p)) + [1] * len(p + c) + [0] * (right - len(c)) for p, c in rows]
    return torch.tensor(ids), torch.tensor(seen), right


def scored(called: Any, ids: Any, seen: Any, width: int) -> tuple[Any, Any]:
    labels = ids.masked_fill(seen == 0, -100)
    labels[:, :-width] = -100
    given = {"input_ids": ids, "attention_mask": seen, "labels": labels, "fused_lm_head": True}
    out = called(**given)
    return out.log_probs[:, -width:], out.entropy[:, -width:]


def passes(whole: Any) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    whole.base_model.register_forward_pre_hook(
        lambda _, args, given: found.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    return found


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", [*BATCHES])
def test_values_and_gradients_are_those_of_whole_rows(name: str, attention: str) -> None:
    ids, seen, width = padded(BATCHES[name])
    mask, found, passed = seen[:, -width:], [], []
    for share in (False, True):
        whole = made(attention)
        passed.append(passes(whole))
        new, entropy = scored(
            SharedPrefixes(whole, whole, width) if share else whole, ids, seen, width
        )
        # each row with its own advantage, as leaves that repeat what they share train it
        weight = torch.linspace(0.5, 2.0, mask.numel(), dtype=new.dtype).view(mask.shape) * mask
        (new.exp() * weight).sum().backward()
        found.append([new.detach() * mask, entropy * mask, *(p.grad for p in whole.parameters())])
    for plain, shared in zip(*found, strict=True):
        assert plain.abs().max() > 0
        assert (plain - shared).abs().max().item() <= 1e-5 * max(plain.abs().max().item(), 1.0)
    counts = [sum(rows * tokens for rows, tokens in each) for each in passed]
    assert (counts[1] < counts[0]) == (name in (*SHARED, "chain group"))


def test_each_token_of_a_tree_is_passed_once_and_a_branching_one_once_a_branch() -> None:
    whole = made()
    found = passes(whole)
    ids, seen, width = padded(BATCHES["tree"])
    scored(SharedPrefixes(whole, whole, width), ids, seen, width)
    # in dictionary order: 3 + 5 6 7 4 1 | 7 8 9 10 is a prefix of both that follow |
    # 10 11 3 3 3 1 | 3 4 5 6 1 | 11 12 13 14 | its copy: nothing | 6 12 13
    assert found == [(1, 8 + 4 + 6 + 5 + 4 + 0 + 3)]
    assert sum(map(len, LEAVES)) + 3 * len(LEAVES) == 78


def test_first_copy_alone_trained_is_what_whole_rows_give() -> None:
    """Shared steps carry credit in one row, as prefix_mode dedup has it: 0 in the others."""
    ids, seen, width = padded(BATCHES["tree"][:3])
    weight = torch.ones(3, width, dtype=torch.float64) * seen[:, -width:]
    weight[1:, :7] = 0
    weight[2, 7:9] = 0
    found = []
    for share in (False, True):
        whole = made()
        called = SharedPrefixes(whole, whole, width) if share else whole
        (scored(called, ids, seen, width)[0] * weight).sum().backward()
        found.append([p.grad for p in whole.parameters()])
    for plain, shared in zip(*found, strict=True):
        assert (plain - shared).abs().max().item() <= 1e-6 * plain.abs().max().item()


def test_rows_with_a_gap_and_losses_of_a_router_are_in_no_pack() -> None:
    ids, seen, width = padded(BATCHES["tree"])
    whole = made()
    found = passes(whole)
    gap = seen.clone()
    gap[0, 4] = 0
    called = SharedPrefixes(whole, whole, width)
    apart = scored(called, ids, gap, width)[0] - scored(whole, ids, gap, width)[0]
    assert (apart * gap[:, -width:]).abs().max() <= 1e-9
    assert found == [(1, 2), (7, 14), (7, 16)]  # their prompt, the rest; and whole
    routed = SimpleNamespace(config=SimpleNamespace(output_router_logits=True), base_model=None)
    given = SharedPrefixes(lambda **given: given, routed, width)(
        input_ids=ids, attention_mask=seen, labels=ids, fused_lm_head=True
    )
    assert given["input_ids"] is ids


A, B, SAW = (4, 5, 6), (5, 6, 7), (7,)
PATHS: tuple[tuple[tuple[str, str, tuple[int, ...]], ...], ...] = (
    # of each leaf (node, parent, tokens), the world's word between them
    (("a", "", A), ("b", "a", B), ("c", "b", (8, 1))),
    (("a", "", A), ("b", "a", B), ("d", "b", (9, 9, 1))),
    (("a", "", A), ("e", "a", (10, 1))),
    (("f", "", (11, 12, 1)),),
)


def leaf(k: int) -> Trajectory:
    """Returns row k of two groups, each one tree of four leaves."""
    group, steps = str(k // 4), list[Any]()
    for node, parent, ids in PATHS[k % 4]:
        steps += [ToolStep("", token_ids=SAW)] if steps else []
        name = f"{group}{parent}" if parent else None
        steps.append(ModelStep("", token_ids=ids, node=f"{group}{node}", parent=name))
    return Trajectory(f"{k}", group, group, tree=group, steps=tuple(steps), end="answered")


def trained(
    folder: Path, recipe: dict[str, Any], found: list[tuple[int, ...]], loss_type: str = "dapo"
) -> Any:
    leaves = [leaf(k) for k in range(8)]
    rows = [[token for step in each.steps for token in step.token_ids or ()] for each in leaves]
    trainer = ours(
        folder,
        recipe=recipe,
        roll=rollouts(rows, trajectory=[encode(each) for each in leaves]),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        max_completion_length=12,
        max_steps=2,
        optim="sgd",
        learning_rate=0.5,
        loss_type=loss_type,
    )
    inner = trainer.accelerator.unwrap_model(trainer.model).base_model
    inner.register_forward_pre_hook(
        lambda _, args, given: found.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    trainer.train()
    return trainer.model


@pytest.mark.parametrize("mode", ["repeat", "dedup_sum", "dedup_mean"])
def test_training_on_trees_is_training_on_whole_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    recipe = {"method": {"name": "tree_grpo", "prefix_mode": mode}}
    counts, models = [], []
    for share in (True, False):
        with monkeypatch.context() as patched:
            if not share:
                patched.setattr(shared_prefixes, "shareable", lambda _: False)
            found: list[tuple[int, ...]] = []
            models.append(trained(tmp_path / str(share), recipe, found))
            counts.append(sum(rows * tokens for rows, tokens in found))
    assert counts[0] < 0.8 * counts[1]
    moved = [a - b for a, b in zip(models[0].parameters(), model().parameters(), strict=True)]
    assert max(each.abs().max().item() for each in moved) > 1e-3
    for a, b in zip(*(each.parameters() for each in models), strict=True):
        assert (a - b).abs().max().item() <= 1e-6


@pytest.mark.parametrize("loss_type", ["dapo", "grpo"])
def test_a_shared_step_repeated_or_once_with_the_sum(tmp_path: Path, loss_type: str) -> None:
    """The same training where the loss adds up tokens; not where it takes the mean of each row."""
    models = [
        trained(
            tmp_path / mode,
            {"method": {"name": "tree_grpo", "prefix_mode": mode}},
            [],
            loss_type,
        )
        for mode in ("repeat", "dedup_sum")
    ]
    apart = max(
        (a - b).abs().max().item()
        for a, b in zip(*(each.parameters() for each in models), strict=True)
    )
    assert apart <= 1e-6 if loss_type == "dapo" else apart > 1e-4


def test_rows_of_a_tree_come_into_one_micro_batch() -> None:
    """By length the trees are torn: the longest of both first."""
    whole = made()
    rows = [row for leaf in LEAVES[:4] for row in (leaf, [9, *leaf])]
    ids, seen, _ = padded([(PROMPT, row) for row in rows])
    names = {"prompt_ids": ids[:, :3], "prompt_mask": seen[:, :3]}
    names |= {"completion_ids": ids[:, 3:], "completion_mask": seen[:, 3:], "row": torch.arange(8)}
    micro = [{key: value[at : at + 4] for key, value in names.items()} for at in (0, 4)]
    torn = by_length(micro, 2)
    assert [sorted(each["row"].tolist()) for each in torn] == [[1, 3, 4, 5], [0, 2, 6, 7]]
    kept = by_length(micro, 2, trees_together(whole))
    assert {tuple(sorted(each["row"].tolist())) for each in kept} == {(0, 2, 4, 6), (1, 3, 5, 7)}
    whole.config.sliding_window = 8
    again = by_length(micro, 2, trees_together(whole))
    assert [each["row"].tolist() for each in again] == [each["row"].tolist() for each in torn]
