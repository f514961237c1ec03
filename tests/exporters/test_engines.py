"""Exports, read back by what the engines themselves read with, where their packages are there."""

import ast
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.exporters import hooks
from assay.exporters.export import export
from assay.signal.rows import LAYOUTS, padded_rows, ragged
from tests.exporters import table
from tests.exporters.logs import DOWN, IDS, SAMPLED, UP, log
from tests.trainers.trl.quiet import IGNORED


def test_verifiers_reads_its_traces_back(tmp_path: Path):
    reason = "verifiers 0.4 is not installed here: its environments need another set of packages"
    verifiers = pytest.importorskip("verifiers.v1", reason=reason)
    export(log(tmp_path), tmp_path / "out", to="verifiers", method="grpo")
    found: dict[str, list[float] | None] = {}
    for line in (tmp_path / "out" / "traces.jsonl").read_text().splitlines():
        episode = verifiers.WireEpisode.model_validate_json(line)
        (trace,) = episode.traces
        (branch,) = trace.branches
        found[trace.id] = branch.advantages
        if trace.id == "a":
            assert branch.token_ids == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
            assert [at for at, on in enumerate(branch.sampled_mask) if on] == SAMPLED["a"]
            assert branch.logprobs == [0, 0, 0, 0, -0.5, -0.25, 0, 0, -1.0, -2.0]
            assert episode.group is not None
            assert (episode.group.id, trace.rewards["outcome"].score) == ("g", 1.0)
            assert trace.nodes[2].message.tool_calls[0].name == "add"
            assert trace.nodes[3].message.tool_call_id == "x"
    a = found["a"]
    assert a is not None
    assert a == pytest.approx([0, 0, 0, 0, UP, UP, 0, 0, UP, UP], rel=1e-12)
    assert found["c"] is None  # never scored, which is not a credit of 0
    assert found["d"] == pytest.approx([0, 0, 0, DOWN, 0, 0, 0], rel=1e-12)


def validator() -> Any:
    """SkyRL's own check of a generator's output, without what else its file imports."""
    spec = find_spec("skyrl")
    if spec is None or spec.origin is None:
        pytest.skip("skyrl 0.4 is not installed here: it needs Python 3.12")
    path = Path(spec.origin).parent / "train" / "utils" / "trainer_utils.py"
    wanted = "validate_generator_output"
    tree = ast.parse(path.read_text())
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and "validate" in n.name]
    names: dict[str, Any] = {
        **{"np": np, "GeneratorOutput": dict, "logger": None},
        "SAMPLE_SUPPORT_FIELD": "rollout_sample_support",
    }
    exec(compile(tree, str(path), "exec"), names)
    return names[wanted]


def test_skyrl_accepts_its_rows(tmp_path: Path):
    check = validator()
    export(log(tmp_path), tmp_path / "out", to="skyrl", method="grpo")
    made = hooks.generator_output(tmp_path / "out")
    check(3, made)
    made["rewards"][0] = made["rewards"][0][:-1]
    with pytest.raises(AssertionError, match="same length"):
        check(3, made)


def test_datasets_reads_the_table_and_padding_keeps_each_value(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    export(log(tmp_path), tmp_path / "out", to="trl", method="mt_grpo")
    rows = datasets.Dataset.from_parquet(str(tmp_path / "out" / "rows.parquet"))
    assert [len(row["advantages"]) for row in rows] == [len(row["completion_ids"]) for row in rows]
    lengths = np.array([len(row["advantages"]) for row in rows])
    flat = np.concatenate([np.array(row["advantages"]) for row in rows])
    padded, _ = padded_rows(flat, lengths, side=LAYOUTS["trl"].side)
    assert padded.shape == (3, lengths.max())
    assert ragged(padded, lengths).tolist() == flat.tolist()
    assert flat.astype(np.float32).tolist() == torch.tensor(flat, dtype=torch.float32).tolist()


@pytest.mark.slow
@pytest.mark.filterwarnings(*IGNORED)
def test_the_table_trains_trl(tmp_path: Path):
    """The subclass of docs/export.md: its gradient is that of the advantages, worked out apart."""
    pytest.importorskip("trl")
    from tests.trainers.trl.tiny import config, model, tokenizer

    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    code = page.split("```python\n", 1)[1].split("```", 1)[0]
    names: dict[str, Any] = {}
    exec(compile(code, "docs/export.md", "exec"), names)
    export(log(tmp_path), tmp_path / "out", to="trl", method="grpo")
    trainer = names["Exported"](
        model=model(),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config(tmp_path, per_device_train_batch_size=3, num_generations=3, loss_type="dapo"),
        train_dataset=names["groups"](names["rows_of"](tmp_path / "out"), size=3),
        processing_class=tokenizer(),
    )
    trainer.rows = names["rows_of"](tmp_path / "out")
    made = trainer.batch_of([0, 1, 2])
    assert made["advantages"][0].tolist() == pytest.approx([UP, UP, 0, 0, UP, UP], rel=1e-6)
    assert made["completion_mask"].sum(dim=1).tolist() == [6, 2, 4]
    assert made["prompt_mask"].tolist() == [[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
    wanted = expected_gradient(trainer.model)
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, made).backward()
    for name, each in trainer.model.named_parameters():
        torch.testing.assert_close(each.grad, wanted[name], rtol=1e-4, atol=1e-6)
    before = {name: each.detach().clone() for name, each in trainer.model.named_parameters()}
    trainer.train()
    assert any(not torch.equal(before[n], each) for n, each in trainer.model.named_parameters())


def expected_gradient(policy: Any) -> dict[str, torch.Tensor]:
    """Of minus the mean of advantage times log-probability, over the seven tokens that count."""
    policy.zero_grad()
    total = torch.zeros(())
    for id, value in (("a", UP), ("b", DOWN), ("d", DOWN)):
        ids = torch.tensor([IDS[id]])
        logprobs = policy(input_ids=ids).logits[0].log_softmax(-1)
        for at in SAMPLED[id]:
            total = total - value * logprobs[at - 1, ids[0, at]]
    (total / 7).backward()
    return {name: each.grad.clone() for name, each in policy.named_parameters()}


def test_the_manifest_names_the_engine_and_the_check(tmp_path: Path):
    export(log(tmp_path), tmp_path / "out", to="skyrl", method="grpo")
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert made["engine"].startswith("SkyRL 0.4.0")
    assert made["source"] == "log.jsonl"


def test_the_table_of_the_page_is_what_the_exporters_say():
    assert table.PAGE.read_text() == table.page()
