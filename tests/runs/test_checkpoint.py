import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.errors import DataError
from assay.runs import checkpoint


def fill(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "state.json").write_bytes(b"{}")


def test_a_checkpoint_is_there_once_it_is_committed(tmp_path: Path) -> None:
    folder = checkpoint.commit(tmp_path, 3, fill)
    assert checkpoint.committed(tmp_path) == [3]
    assert checkpoint.intact(folder) == tmp_path / "step_3"
    (tmp_path / "step_9").mkdir()
    assert checkpoint.committed(tmp_path) == [3]
    with pytest.raises(DataError, match="no whole checkpoint"):
        checkpoint.intact(tmp_path / "step_9")


def test_one_changed_byte_is_named(tmp_path: Path) -> None:
    folder = checkpoint.commit(tmp_path, 3, fill)
    (folder / "model.safetensors").write_bytes(b"weightz")
    with pytest.raises(DataError, match=r"step_3/model\.safetensors: its bytes are not those"):
        checkpoint.intact(folder)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match="No space left"):
        checkpoint.commit(tmp_path, 3, full)
    assert list(tmp_path.iterdir()) == []


def test_the_broom_takes_what_is_torn_or_old(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        checkpoint.commit(tmp_path, step, fill)
    (tmp_path / "step_11").mkdir()
    (tmp_path / ".step_12.tmp-77").mkdir()
    checkpoint.sweep(tmp_path, upto=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step_1", "step_10", "step_2", "step_3",
    ]  # fmt: skip
    checkpoint.sweep(tmp_path, upto=3, keep=2)
    assert checkpoint.committed(tmp_path) == [2, 3]


def test_the_broom_leaves_what_is_not_ours(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.commit(tmp_path, step, fill)
    for name in ("best", "step_1_best", "step_01"):
        shutil.copytree(tmp_path / "step_1", tmp_path / name)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "step_9").write_text("a file, no folder")
    (tmp_path / "step_8").symlink_to(tmp_path / "best")
    theirs = {path.name for path in tmp_path.iterdir()} - {"step_1", "step_2"}
    assert checkpoint.committed(tmp_path) == [1, 2, 8]
    checkpoint.sweep(tmp_path, upto=2, keep=1)
    assert {path.name for path in tmp_path.iterdir()} == theirs | {"step_2"}
    assert checkpoint.intact(tmp_path / "best")


def test_files_in_folders_are_held_as_well(tmp_path: Path) -> None:
    def nested(folder: Path) -> None:
        fill(folder)
        (folder / "additional_chat_templates").mkdir()  # as transformers saves a second template
        (folder / "additional_chat_templates" / "tool.jinja").write_text("{{ messages }}")

    folder = checkpoint.commit(tmp_path, 3, nested)
    assert checkpoint.intact(folder) == folder
    (folder / "additional_chat_templates" / "tool.jinja").write_text("{{ message }}")
    with pytest.raises(DataError, match=r"additional_chat_templates/tool\.jinja: its bytes"):
        checkpoint.intact(folder)


def test_optimizer_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    def made():
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        return net, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1 / (n + 1))

    def steps(net, optimizer, scheduler, n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            net(torch.ones(3)).square().sum().backward()
            optimizer.step()
            scheduler.step()

    whole = made()
    steps(*whole, 5)
    first = made()
    steps(*first, 2)
    checkpoint.save_optimizer(first[1], first[2], tmp_path)
    checkpoint.save_model(first[0], tmp_path, None)
    second = made()
    checkpoint.load_model(second[0], tmp_path)
    checkpoint.load_optimizer(second[1], second[2], tmp_path)
    steps(*second, 3)
    assert torch.equal(second[0].weight, whole[0].weight)
    assert second[2].get_last_lr() == whole[2].get_last_lr()


def test_generators_go_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    def drawn() -> tuple[float, float, float]:
        return torch.rand(1).item(), float(np.random.rand()), random.random()

    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    np.random.standard_normal()  # leaves a second number in reserve
    checkpoint.save_random(tmp_path)
    expected = drawn(), np.random.standard_normal()
    drawn()
    checkpoint.load_random(tmp_path)
    assert (drawn(), np.random.standard_normal()) == expected
    torch.set_rng_state(kept[0])
    np.random.set_state(kept[1])
    random.setstate(kept[2])


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    checkpoint.save_model(torch.nn.Linear(3, 2), tmp_path, None)
    with pytest.raises(DataError, match=r"weight has shape \(2, 3\); expected \(2, 4\)"):
        checkpoint.load_model(torch.nn.Linear(4, 2), tmp_path)
    with pytest.raises(DataError, match="weights of another model"):
        checkpoint.load_model(torch.nn.Linear(3, 2, bias=False), tmp_path)
