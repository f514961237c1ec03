"""What a recipe and TRL's settings cannot both have."""

from types import SimpleNamespace
from typing import Any

import pytest

from assay.errors import UsageError
from assay.recipes.recipe import Recipe
from assay.trainers.trl.compatibility import check_config, fit, means_of_micro_batches


def arguments(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(
        **{"fp16": False, "deepspeed": None, "delta": None}
        | {"fsdp": None, "device": SimpleNamespace(type="cpu")}
        | {"epsilon": 0.2, "epsilon_high": None, "beta": 0.0}
        | {"steps_per_generation": 4, "gradient_accumulation_steps": 2}
        | given
    )


def recipe(**safety: Any) -> Recipe:
    return Recipe.of({"method": "grpo", "safety": safety})


def test_who_cannot_leave_a_step_out_is_refused_until_none_is_left_out() -> None:
    with pytest.raises(UsageError, match="skip_empty = false"):
        fit(recipe(), arguments(fp16=True), "dapo")
    fit(recipe(skip_empty=False), arguments(fp16=True), "dapo")


@pytest.mark.parametrize(
    ("given", "variable", "said"),
    [
        ({"deepspeed": "zero2.json"}, "ACCELERATE_USE_DEEPSPEED", "DeepSpeed is not supported"),
        ({"fsdp": True}, "ACCELERATE_USE_FSDP", "FSDP on a CPU: accelerate keeps a whole model"),
    ],
)
def test_models_in_parts(
    given: dict[str, Any], variable: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=said):
        fit(recipe(skip_empty=False), arguments(**given), "dapo")
    monkeypatch.setenv(variable, "true")  # as `accelerate launch` says it
    with pytest.raises(UsageError, match=said):
        fit(recipe(), arguments(), "dapo")
    monkeypatch.setenv(variable, "false")
    fit(recipe(), arguments(), "dapo")


def test_fsdp_on_gpus_is_left_to_accelerate() -> None:
    fit(recipe(), arguments(fsdp=True, device=SimpleNamespace(type="cuda")), "dapo")


def test_the_asynchronous_trainer_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl")
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.async_grpo.async_grpo_config import AsyncGRPOConfig

    from assay.trainers.trl.trainer import AssayTrainer

    config: Any = object.__new__(AsyncGRPOConfig)  # its own checks ask for a GPU
    for given in ({"args": config}, {}):
        positional = ("model", None) if given else ("model", None, config)
        with pytest.raises(UsageError, match="AsyncGRPOConfig: TRL's asynchronous GRPO gives"):
            AssayTrainer(*positional, **given)
    check_config(None)


def test_the_two_sided_clip_is_handed_over_or_contradicted() -> None:
    given = arguments()
    fit(recipe(delta=3.0), given, "dapo")
    assert given.delta == 3.0
    with pytest.raises(UsageError, match="give one of them"):
        fit(recipe(delta=3.0), arguments(delta=4.0), "dapo")
    with pytest.raises(UsageError, match="above 1"):
        fit(recipe(delta=1.1), arguments(), "dapo")
    wide = arguments(epsilon_high=0.5)
    with pytest.raises(UsageError, match=r"above 1 \+ epsilon, 1\.5"):
        fit(recipe(delta=1.4), wide, "dapo")
    fit(recipe(delta=1.6), wide, "dapo")


def test_cispo_needs_a_bound_on_the_ratio_itself() -> None:
    for given in ({}, {"epsilon_high": 0.28}, {"epsilon_high": 1.0}):
        with pytest.raises(UsageError, match="expected above 1, usually 5"):
            fit(recipe(), arguments(**given), "cispo")
        fit(recipe(), arguments(**given), "dapo")
    fit(recipe(), arguments(epsilon_high=5.0), "cispo")


@pytest.mark.parametrize(("steps", "accumulation"), [(2, 4), (6, 4)])
def test_a_step_learns_from_one_generated_batch(steps: int, accumulation: int) -> None:
    given = {"steps_per_generation": steps, "gradient_accumulation_steps": accumulation}
    with pytest.raises(UsageError, match="would mix generated batches; expected a multiple"):
        fit(recipe(), arguments(**given), "dapo")


def test_rows_kept_do_not_divide_the_kl_term() -> None:
    kept = Recipe.of({"method": "grpo", "denominator": "kept"})
    with pytest.raises(UsageError, match="KL term of loss_type 'grpo'"):
        fit(kept, arguments(beta=0.04), "grpo")
    fit(kept, arguments(beta=0.04), "dapo")
    fit(kept, arguments(), "grpo")
    fit(recipe(), arguments(beta=0.04), "grpo")


@pytest.mark.parametrize(
    "given",
    [
        {"loss_type": "bnpo"},
        {"recipe": recipe(preserve=0.2)},
        {"_entropy_bonus_enabled": True},
        {"aux_loss_enabled": True},
        {"top_entropy_quantile": 0.2},
    ],
)
def test_who_is_beside_whom_matters_to_means_of_micro_batches(given: dict[str, Any]) -> None:
    plain: dict[str, Any] = {
        "loss_type": "dapo",
        "recipe": recipe(off_policy=0.5),
        "_entropy_bonus_enabled": False,
        "aux_loss_enabled": False,
        "top_entropy_quantile": 1.0,
    }
    assert not means_of_micro_batches(SimpleNamespace(**plain))
    assert means_of_micro_batches(SimpleNamespace(**{**plain, **given}))
