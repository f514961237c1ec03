"""slime's two hooks: what a rank trains on is the recipe's credit of the whole group."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from assay.errors import AlignmentError, DataError, MethodError, UnknownNameError, UsageError
from assay.recipes import Recipe
from assay.records import ModelStep, encode
from assay.signal import signal
from assay.trainers import engine, slime
from tests.exporters.logs import DOWN, UP, A, B, D

from .slime_contract import Sample, Status, arguments, converted, rank


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    engine.engine_of.cache_clear()
    monkeypatch.setenv("ASSAY_RECIPE", "grpo")
    monkeypatch.setattr(slime, "_decoder", lambda _: lambda ids: " ".join(map(str, ids)))


def kinds(step: Any) -> Any:
    return SimpleNamespace(
        kind=step.__struct_config__.tag, text=step.text, token_ids=step.token_ids
    )


def group(**more: Any) -> list[Sample]:
    """Rewards 1, 0, 0 with a tool's tokens between the first one's: tests.exporters.logs."""
    return [
        Sample([1, 2, 3, 4, 5, 6, 7], 4, 1.0, loss_mask=[1, 1, 0, 1], **more),
        Sample([1, 2, 3, 8, 9], 2, 0.0, **more),
        Sample([1, 2, 3, 8], 1, 0.0, **more),
    ]


def trained(samples: list[Sample], *ranks: list[int], **given: Any) -> list[list[float]]:
    """What the hooks give each row, rank by rank."""
    args, found = arguments(**given), list[list[float]]()
    data = converted(args, samples, slime.credit)
    for rows in ranks or ([*range(len(samples))],):
        part = rank(data, rows)
        slime.advantages(args, part)
        assert all(map(torch.equal, part["advantages"], part["returns"]))
        assert part["advantages"][0].dtype == torch.float32
        found += [each.tolist() for each in part["advantages"]]
    return found


def test_a_rank_gets_the_credit_of_the_whole_group():
    # GRPO of 1, 0, 0: the mean is 1/3, and the deviation worked out in tests.exporters.logs
    expected = [[UP, UP, 0.0, UP], [DOWN, DOWN], [DOWN]]
    alone = trained(group(), [0], [2, 1])
    for got, wanted in zip(alone, [expected[0], expected[2], expected[1]], strict=True):
        assert got == pytest.approx(wanted, rel=1e-6)
    # two groups: the second one's outcomes are alike and teach nothing
    more = [*group(), *(Sample([1, 4], 1, 1.0, group_index=1) for _ in range(3))]
    assert trained(more)[3:] == [[0.0]] * 3


def test_rewards_are_handed_on_as_they_are():
    samples = group()
    samples[2].reward = None
    assert slime.credit(arguments(), samples) == ([1.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    # nobody scored the third: of the other two the mean is 1/2 and the deviation sqrt(1/2)
    assert samples[0].teacher_log_probs == pytest.approx(
        [0.5 / (0.5**0.5 + 1e-6)] * 2 + [0.0] + [0.5 / (0.5**0.5 + 1e-6)]
    )
    assert samples[2].teacher_log_probs == [0.0]
    parts = [Sample([1, 4], 1, {"right": float(k), "short": 0.0}) for k in range(2)]
    assert slime.credit(arguments(reward_key="right"), parts)[0] == [0.0, 1.0]
    parts = [Sample([1, 4], 1, {"right": float(k), "short": 0.0}) for k in range(2)]
    with pytest.raises(UsageError, match="parts right, short; name one by --reward-key"):
        slime.credit(arguments(), parts)


@pytest.mark.parametrize("recipe", ["grpo", "mt_grpo", "assay"])
def test_records_give_what_the_offline_path_gives_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, recipe: str
):
    monkeypatch.setenv("ASSAY_RECIPE", recipe)
    records, samples = [A, B, D], list[Sample]()
    for record in records:
        ids = [token for step in record.steps for token in step.token_ids or ()]
        text = encode(record).decode()
        outcome = record.outcome
        samples.append(Sample(ids, len(ids) - 3, outcome, metadata={"trajectory": text}))
        samples[-1].loss_mask = {"a": [0, 1, 1, 0, 0, 1, 1], "b": [1, 1], "d": [1, 0, 0, 0]}[
            record.id
        ]
    value_KT, _ = signal(records, Recipe.of(recipe)).rows()
    got = trained(samples)
    for k, row in enumerate(got):
        assert row == value_KT[k, 3 : 3 + len(row)].astype(np.float32).tolist()
    assert any(value for row in got for value in row)


def test_without_a_record_each_run_of_the_mask_is_a_step():
    rows = group()
    rows[0].rollout_log_probs = [-1.0, -2.0, 0.0, -3.0]
    record, skip = slime.record_of(arguments(), 0, rows[0])
    assert skip == 3
    assert [(each.kind, each.text, each.token_ids) for each in map(kinds, record.steps)] == [
        ("user", "1 2 3", (1, 2, 3)),
        ("model", "4 5", (4, 5)),
        ("tool", "6", (6,)),
        ("model", "7", (7,)),
    ]
    assert [each.logprobs for each in record.steps if isinstance(each, ModelStep)] == [
        (-1.0, -2.0),
        (-3.0,),
    ]
    assert (record.outcome, record.end, record.group) == (1.0, "answered", "group-0")


def test_the_mask_may_leave_out_more_than_the_record():
    rows = [Sample([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 7, 1.0, loss_mask=[0, 0, 1, 0, 0, 1, 1])]
    rows[0].metadata["trajectory"] = encode(A).decode()
    rows.append(Sample([1, 2, 3, 4], 1, 0.0))
    half = pytest.approx(0.5 / (0.5**0.5 + 1e-6))
    assert trained(rows)[0] == [0.0, 0.0, half, 0.0, 0.0, half, half]


def test_each_rollout_has_draws_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    (tmp_path / "r.toml").write_text('[recipe]\nmethod = "grpo"\ncontrol = "random"\n')
    monkeypatch.setenv("ASSAY_RECIPE", str(tmp_path / "r.toml"))
    first = trained(group())
    assert trained(group()) != first
    engine.engine_of.cache_clear()
    assert trained(group()) == first


def test_outputs_of_one_rollout_have_one_vote():
    rows = [Sample([1, 4], 1, reward, rollout_id=n) for reward, n in ((1, 0), (1, 0), (0, 1))]
    # two rollouts, 1 and 0: the mean is 1/2, not 2/3
    assert trained(rows)[0] == pytest.approx([0.5 / (0.5**0.5 + 1e-6)])


def test_what_was_aborted_is_no_failure():
    rows = group()
    rows[2].status = Status.ABORTED
    assert trained(rows)[1] == pytest.approx([-0.5 / (0.5**0.5 + 1e-6)] * 2)
    assert rows[2].teacher_log_probs == [0.0]


def test_denominator_kept_takes_what_nobody_scored_out_of_the_mask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    recipe = tmp_path / "kept.toml"
    recipe.write_text('[recipe]\nmethod = "grpo"\ndenominator = "kept"\n')
    monkeypatch.setenv("ASSAY_RECIPE", str(recipe))
    rows = group()
    rows[2].reward = None
    data = converted(arguments(), rows, slime.credit)
    assert data["loss_masks"] == [[1, 1, 0, 1], [1, 1], [0]]
    recipe.write_text("[train]\nsteps = 1\n")
    engine.engine_of.cache_clear()
    with pytest.raises(UsageError, match=r"no section \[recipe\]"):
        slime.credit(arguments(), group())


def test_a_sample_that_was_removed_stays_removed():
    rows = group()
    rows[1].remove_sample = True
    data = converted(arguments(), rows, slime.credit)
    assert data["loss_masks"][1] == [0, 0]
    assert rows[1].teacher_log_probs == [0.0, 0.0]


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("use_opd", "--use-opd reads the field"),
        ("normalize_advantages", "--normalize-advantages whitens"),
        ("use_critic", "--use-critic takes advantages"),
    ],
)
def test_options_that_would_change_advantages_are_refused(option: str, why: str):
    with pytest.raises(UsageError, match=why):
        slime.credit(arguments(**{option: True}), group())


def test_what_does_not_fit_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch):
    rows = group()
    rows[1].teacher_log_probs = [0.0, 0.0]
    with pytest.raises(UsageError, match="sample 1 has teacher_log_probs"):
        slime.credit(arguments(), rows)
    with pytest.raises(DataError, match="sample 0 has no group_index"):
        slime.credit(arguments(), group(group_index=None))
    rows = group()
    rows[1].loss_mask = [1]
    with pytest.raises(DataError, match="sample 1 has 5 tokens, a response of 2 and a mask of 1"):
        slime.credit(arguments(), rows)
    part = rank(converted(arguments(), group(), slime.credit), [0])
    part["kl"] = [torch.zeros(2)]  # a slice, as context parallelism leaves
    with pytest.raises(AlignmentError, match="credit for 4 tokens, and 2 are here"):
        slime.advantages(arguments(), part)
    del part["teacher_log_probs"]
    with pytest.raises(UsageError, match=r"add --custom-reward-post-process-path assay\.trainers"):
        slime.advantages(arguments(), part)
    rows = group()
    rows[0].metadata["trajectory"] = encode(A).decode()
    with pytest.raises(AlignmentError, match="its steps hold 7 tokens and the completion 4"):
        slime.credit(arguments(), rows)


@pytest.mark.parametrize(
    ("recipe", "error", "said"),
    [
        (None, UsageError, "ASSAY_RECIPE is not set; name a recipe"),
        ("grpoo", UnknownNameError, "grpo"),
        ('method = "grpo"\ndenominator = "batch"', UsageError, "slime cannot be given its divisor"),
    ],
)
def test_a_recipe_that_cannot_be_used(
    recipe: str | None, error: Any, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    if recipe is None:
        monkeypatch.delenv("ASSAY_RECIPE")
    elif "=" in recipe:
        (tmp_path / "r.toml").write_text(f"[recipe]\n{recipe}\n")
        monkeypatch.setenv("ASSAY_RECIPE", str(tmp_path / "r.toml"))
    else:
        monkeypatch.setenv("ASSAY_RECIPE", recipe)
    with pytest.raises(error, match=said):
        slime.credit(arguments(), group())


def test_a_mean_over_the_row_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    text = '[recipe]\nmethod = { name = "tree_grpo", aggregation = "sequence_mean" }\n'
    (tmp_path / "r.toml").write_text(text)
    monkeypatch.setenv("ASSAY_RECIPE", str(tmp_path / "r.toml"))
    with pytest.raises(UsageError, match="divides by the tokens of a row, and so does the loss"):
        slime.credit(arguments(), group())
    with pytest.raises(MethodError, match="tree"):  # a loss per token: what lacks now is a tree
        slime.credit(arguments(calculate_per_token_loss=True), group())


def test_settings_that_need_a_training_step_are_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("ASSAY_RECIPE", "assay")
    with caplog.at_level(logging.WARNING, "assay"):
        for _ in range(2):
            slime.credit(arguments(), group())
    assert [each.getMessage() for each in caplog.records] == [
        "slime: safety.replay, entropy, back_off: off, its hook sees no training step"
    ]
