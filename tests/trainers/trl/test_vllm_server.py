"""`use_vllm=True, vllm_mode="server"`: what a server sampled is credited and trained on.

TRL moves weights to the server by NCCL, from a GPU to GPUs: that alone is taken away here.
"""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
pytest.importorskip("requests")
from trl.generation import vllm_client, vllm_generation

from assay.recipes import Recipe
from assay.records import read
from assay.signal import signal

from .quiet import IGNORED
from .tiny import MIXED, ROWS, batch_of, config, dataset, model, paid, tokenizer
from .vllm_server import serving

pytestmark = pytest.mark.filterwarnings(*IGNORED)
SAID = [(row, [-0.5 - 0.1 * at for at in range(len(row))]) for row in ROWS]


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tensors each move of weights had."""
    found: list[int] = []
    for module in (vllm_client, vllm_generation):
        monkeypatch.setattr(module, "is_vllm_available", lambda: True)
    client = vllm_client.VLLMClient
    monkeypatch.setattr(client, "init_communicator", lambda self, device=0: None)
    monkeypatch.setattr(
        client,
        "update_named_params",
        lambda self, metadata, parameters: found.append(len(list(parameters))),
    )
    return found


def trainer(folder: Path, address: str, **given: Any) -> Any:
    from assay.trainers.trl.trainer import AssayTrainer

    settings = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": address}
    return AssayTrainer(
        model(),
        paid(MIXED),
        config(folder, **settings, vllm_importance_sampling_mode="token_truncate", **given),
        dataset(),
        processing_class=tokenizer(),
        recipe="grpo",
        log=folder / "log",
    )


def test_a_batch_of_the_server_is_credited(tmp_path: Path, moved: list[int]):
    with serving(SAID) as (address, asked):
        made = trainer(tmp_path, address)
        batch = batch_of(made)
    assert moved == [len(list(made.model.parameters()))]
    paths = [path for path, _ in asked]
    assert paths == ["/reset_prefix_cache", "/v1/completions"]
    assert (asked[1][1]["n"], asked[1][1]["logprobs"]) == (4, 0)
    assert len(asked[1][1]["prompt"]) == 2  # two groups: a prompt is sent once
    mask = batch["completion_mask"].bool()
    for k, (ids, logprobs) in enumerate(SAID):
        assert batch["completion_ids"][k][mask[k]].tolist() == list(ids)
        assert batch["sampling_per_token_logps"][k][mask[k]].tolist() == pytest.approx(logprobs)
    records = [each for file in sorted((tmp_path / "log").rglob("*.jsonl")) for each in read(file)]
    value_KT, _ = signal(records, Recipe.of("grpo")).rows()
    tokens = [[t for step in each.steps for t in step.token_ids or ()] for each in records]
    for k, row in enumerate(batch["advantages"].tolist()):
        own = value_KT[k, len(tokens[k]) - len(ROWS[k]) : len(tokens[k])]
        assert row[: len(ROWS[k])] == pytest.approx(own.tolist(), rel=1e-6)
    assert batch["advantages"].abs().max() > 0.5


def test_it_trains_and_each_step_reads_newer_weights(tmp_path: Path, moved: list[int]):
    with serving(SAID) as (address, asked):
        made = trainer(tmp_path, address, max_steps=2, learning_rate=0.1)
        before = [each.detach().clone() for each in made.model.parameters()]
        made.train()
    assert len(moved) == 2
    assert [path for path, _ in asked].count("/v1/completions") == 2
    after = made.model.parameters()
    assert any((a - b).abs().max() > 0 for a, b in zip(before, after, strict=True))
