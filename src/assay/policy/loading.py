"""Opens a policy by name: the one that ships, a folder, or any Hugging Face causal LM."""

import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import MissingExtraError, UsageError, told

if TYPE_CHECKING:
    from transformers import PreTrainedModel

START: Final = "start"
"""Name of the policy that ships."""
_ON_HUB: Final = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_NEEDED: Final = ("torch", "transformers", "trl", "datasets", "safetensors")


def folder() -> Path:
    """Returns where the policy that ships lies."""
    return Path(str(files("assay.policy") / "start"))


def check_installed(to: str, otherwise: str = "") -> None:
    """Raises MissingExtraError where what is needed `to` run a policy is not installed; `otherwise`
    ends its message."""
    for name in _NEEDED:
        if find_spec(name) is None:
            raise MissingExtraError(
                f"{MissingExtraError.of(name, extra='train', to=to)}{otherwise}"
            )


def device() -> str:
    """Returns where policies are measured: the GPU that torch sees, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load(name: str = START, *, device: str = "cpu") -> "tuple[PreTrainedModel, Any]":
    """Returns a causal language model in 32-bit floats, ready to sample from, and its tokenizer.

    Args:
        name: "start", a folder, or a name that Hugging Face knows.
        device: where the model goes.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        UsageError: there is no such model, its files are broken, or it has no end token.
    """
    if why := _not_there(name):
        raise UsageError(f"model {name!r} cannot be opened: {why}")
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError.of(
            error.name or "torch", extra="train", to="a policy"
        ) from None  # fmt: skip
    logging.disable_progress_bar()  # ours say more
    where = str(folder()) if name == START else name
    if name == START and not (folder() / "model.safetensors").is_file():
        raise UsageError("the starting policy is not there; install Assay anew")
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
        model: Any = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32)
    except Exception as error:  # whatever a broken file, or a package that it asks for, comes to
        asked = "" if name == START or Path(name).is_dir() else "no such folder, and of the name: "
        raise UsageError(f"model {name!r} cannot be opened: {asked}{told(error)}") from None
    if tokenizer.eos_token_id is None:
        raise UsageError(f"model {name!r}: its tokenizer has no end token; set eos_token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device).eval(), tokenizer


def speaks(name: str = START) -> tuple[Any, Any]:
    """Returns what says how a policy ends its turns (`generation_config`, None where its folder has
    none), and its tokenizer; no weights are read.

    Raises:
        UsageError: there is no such model, or its files are broken.
    """
    if why := _not_there(name):
        raise UsageError(f"model {name!r} cannot be opened: {why}")
    from transformers import AutoTokenizer, GenerationConfig

    where = str(folder()) if name == START else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
    except Exception as error:  # whatever a broken file comes to
        raise UsageError(f"model {name!r} cannot be opened: {told(error)}") from None
    try:
        ends = GenerationConfig.from_pretrained(where)
    except OSError:
        ends = None
    return SimpleNamespace(generation_config=ends), tokenizer


def _not_there(name: str) -> str:
    """Returns why a name is no folder to open, and none that Hugging Face can have; else ""."""
    place = Path(name)
    if name == START or (_ON_HUB.fullmatch(name) and not place.exists()):
        return ""
    if not place.exists():
        return "no such folder; give a folder, a name on Hugging Face as owner/name, or start"
    if not (place / "config.json").is_file():
        return (
            "no config.json in it; give a folder that transformers saved, or a checkpoint of a "
            "run, RUN/checkpoints/step_N"
        )
    return ""
