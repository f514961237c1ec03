"""slime's dumps: refused, and converted by a script that users run where they were made."""

import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from examples import slime_to_assay

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import ModelStep, ToolStep, UserStep

SAMPLE: dict[str, Any] = {
    "group_index": 3,
    "index": 7,
    "rollout_id": 0,
    "prompt": "1+2?",
    "tokens": [1, 2, 3, 4, 5, 6],
    "response": "c d e f",
    "response_length": 4,
    "loss_mask": [1, 1, 0, 1],
    "reward": 1.0,
    "rollout_log_probs": [-0.5, -0.25, 0.0, -1.0],
    "weight_versions": ["8", "9"],
    "status": "completed",
    "remove_sample": False,
}
OTHERS = [
    {**SAMPLE, "loss_mask": None, "reward": {"acc": 0.0, "style": 0.5}, "status": "truncated"},
    {**SAMPLE, "reward": 0.0, "status": "aborted", "rollout_log_probs": None},
    {**SAMPLE, "reward": 0.0, "status": "completed", "remove_sample": True},
]


def decode(ids: list[int]) -> str:
    return " ".join("?abcdef"[one] for one in ids)


def test_a_dump_becomes_records_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    dump = tmp_path / "rollout_0.pt"
    torch.save({"rollout_id": 0, "samples": [SAMPLE, *OTHERS]}, dump)
    tokenizer = SimpleNamespace(from_pretrained=lambda _: SimpleNamespace(decode=decode))
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(AutoTokenizer=tokenizer))
    printed = io.StringIO()
    with redirect_stdout(printed):
        slime_to_assay.main("a-model", str(dump))
    log = tmp_path / "rollouts.jsonl"
    log.write_text(printed.getvalue())
    losses = Losses()
    name, trajectories = load(log, losses=losses)
    found = list(trajectories)
    assert name == "assay"
    assert losses.counts == {}
    # Tokens 1 and 2 are the prompt; of the response 3 and 4 were sampled, 5 was told, 6 sampled.
    assert found[0].steps == (
        UserStep(text="a b", token_ids=(1, 2)),
        ModelStep(text="c d", token_ids=(3, 4), logprobs=(-0.5, -0.25)),
        ToolStep(text="e", token_ids=(5,)),
        ModelStep(text="f", token_ids=(6,), logprobs=(-1.0,)),
    )
    assert {t.group for t in found} == {"rollout_0.pt/3"}
    assert [(t.outcome, t.end) for t in found] == [
        (1.0, "answered"),
        (None, "budget"),
        (None, "infra"),
        (0.0, "answered"),
    ]
    assert found[1].rewards == {"acc": 0.0, "style": 0.5}
    assert found[1].steps[1].token_ids == (3, 4, 5, 6)
    assert found[3].steps[1].untrainable == "masked"
    assert found[0].policy_version == "9"


@pytest.mark.parametrize("zipped", [True, False])
def test_the_refusal_names_the_script(zipped: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    dump = tmp_path / "rollout_0.pt"
    torch.save({"samples": []}, dump, _use_new_zipfile_serialization=zipped)
    for path in (dump, tmp_path):
        with pytest.raises(DataError, match=r"rollout_0\.pt: a pickle, .*slime_to_assay\.py"):
            load(path)


def test_a_record_is_one_line_of_json() -> None:
    line = json.dumps(slime_to_assay.record(SAMPLE, "d", 0, decode))
    assert json.loads(line)["id"] == "d/0"
