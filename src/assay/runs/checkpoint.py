"""Checkpoints that a kill cannot spoil: safetensors and JSON, whole or not there. Needs torch.

    step_N/model.safetensors      weights (of LoRA: the adapters alone)
    step_N/optimizer.safetensors  optimizer.json     moments; groups, learning rates
    step_N/random.safetensors     random.json        states of the generators
    step_N/trainer_state.json  assay_state.json      where TRL and Assay stand
    step_N/COMMITTED              schema, step, sha256 of every file; written last

Temporary folder, fsync of every file, rename, fsync of the parent, then COMMITTED. A folder without
it does not exist for any reader; one that is called otherwise is somebody else's, and stays.
"""

import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assay.errors import DataError
from assay.files.atomic import publish
from assay.files.folders import whole

SCHEMA: Final = "assay.checkpoint/1"
COMMITTED: Final = "COMMITTED"
_STEP: Final = re.compile(r"step_(0|[1-9][0-9]*)")
_TEMPORARY: Final = re.compile(r"\.step_[0-9]+\.(tmp|old)-[0-9]+")


def commit(parent: Path, step: int, fill: Callable[[Path], None]) -> Path:
    """Returns the folder of a new checkpoint, after `fill` wrote its files.

    Raises:
        DataError: there is no room for it; nothing is left behind.
    """
    target = parent / f"step_{step}"
    try:
        with whole(target, synced=True) as fresh:
            fill(fresh)  # a tokenizer with several chat templates has a folder
            inside = sorted(path for path in fresh.rglob("*") if path.is_file())
            sums = {path.relative_to(fresh).as_posix(): _digest(path) for path in inside}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{target}: cannot be written: {error}") from None
    publish(target / COMMITTED, _json({"schema": SCHEMA, "step": step, "sha256": sums}))
    return target


def committed(parent: Path) -> list[int]:
    """Returns the steps of the checkpoints that are whole, ascending."""
    found = (_STEP.fullmatch(path.parent.name) for path in parent.glob(f"step_*/{COMMITTED}"))
    return sorted(int(name[1]) for name in found if name)


def sweep(parent: Path, *, upto: int | None, keep: int | None = None) -> None:
    """Removes what a kill left behind, checkpoints without COMMITTED and temporary folders, and
    checkpoints that are not to stay. What is not called like one of ours is left alone.

    Args:
        parent: folder of the checkpoints.
        upto: remove checkpoints of later steps too. None: none.
        keep: leave only so many. None: all.
    """
    whole = [step for step in committed(parent) if upto is None or step <= upto]
    kept = {f"step_{step}" for step in (whole if keep is None else whole[-keep:])}
    for path in sorted(parent.iterdir()) if parent.is_dir() else ():
        ours = _STEP.fullmatch(path.name) or _TEMPORARY.fullmatch(path.name)
        if ours and path.name not in kept and path.is_dir() and not path.is_symlink():
            (path / COMMITTED).unlink(missing_ok=True)  # first, so that no reader takes the rest
            shutil.rmtree(path)


def intact(folder: Path) -> Path:
    """Returns the folder, if every file is there with the bytes that were committed.

    Raises:
        DataError: a file is missing, changed, or not one of ours.
    """
    try:
        about = json.loads((folder / COMMITTED).read_bytes())
        sums: Mapping[str, str] = about["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{folder}: no whole checkpoint ({COMMITTED}: {why})") from None
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file() or _digest(path) != digest:
            raise DataError(
                f"{path}: its bytes are not those that were committed; remove {folder} to go on "
                "from the checkpoint before it"
            )
    return folder


def save_model(model: Any, folder: Path, tokenizer: Any | None) -> None:
    """Writes weights; of a whole model also what transformers needs to open the folder."""
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    whole = len(trained) == len(list(model.named_parameters()))
    tensors = {
        name: p.detach().cpu().contiguous()
        for name, p in model.named_parameters()
        if whole or p.requires_grad
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if whole and tokenizer is not None:
        (folder / "config.json").write_text(model.config.to_json_string(), encoding="utf-8")
        tokenizer.save_pretrained(folder)


def load_model(model: Any, folder: Path) -> None:
    """Puts saved weights into a model of the same shape.

    Raises:
        DataError: they are another model's.
    """
    tensors = load_file(folder / "model.safetensors")
    own = dict(model.named_parameters())
    wanted = {name for name, p in own.items() if p.requires_grad}
    if set(tensors) not in (wanted, set(own)):
        raise DataError(f"{folder}: the weights of another model; expected {len(wanted)} tensors")
    with torch.no_grad():
        for name, tensor in tensors.items():
            if own[name].shape != tensor.shape:
                raise DataError(f"{folder}: {name} has shape {tuple(tensor.shape)}; expected "
                                f"{tuple(own[name].shape)}")  # fmt: skip
            own[name].copy_(tensor)


def save_optimizer(optimizer: Any, scheduler: Any, folder: Path) -> None:
    """Writes moments as tensors, everything else as JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                plain.setdefault(str(index), {})[name] = value
    save_file(tensors, folder / "optimizer.safetensors")
    rest = {"groups": state["param_groups"], "plain": plain, "scheduler": scheduler.state_dict()}
    (folder / "optimizer.json").write_bytes(_json(rest))


def load_optimizer(optimizer: Any, scheduler: Any, folder: Path) -> None:
    """Puts back what `save_optimizer` wrote."""
    rest = json.loads((folder / "optimizer.json").read_bytes())
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in load_file(folder / "optimizer.safetensors").items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    for index, values in rest["plain"].items():
        state.setdefault(int(index), {}).update(values)
    optimizer.load_state_dict({"state": state, "param_groups": rest["groups"]})
    scheduler.load_state_dict(rest["scheduler"])


def save_random(folder: Path) -> None:
    """Writes the states of torch's, numpy's and Python's generators."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        for index, each in enumerate(torch.cuda.get_rng_state_all()):
            states[f"cuda.{index}"] = each
    name, keys, *rest = np.random.get_state(legacy=True)
    states["numpy"] = torch.from_numpy(np.asarray(keys, np.int64))
    save_file(states, folder / "random.safetensors")
    about = {"python": random.getstate(), "numpy": [name, *rest]}
    (folder / "random.json").write_bytes(_json(about))


def load_random(folder: Path) -> None:
    """Puts back what `save_random` wrote."""
    states = load_file(folder / "random.safetensors")
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available():
        devices = [key for key in states if key.startswith("cuda.")]
        torch.cuda.set_rng_state_all([states[f"cuda.{i}"] for i in range(len(devices))])
    about = json.loads((folder / "random.json").read_bytes())
    version, words, gauss = about["python"]
    random.setstate((version, tuple(words), gauss))
    name, position, has_gauss, cached = about["numpy"]
    keys = states["numpy"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, cached))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
