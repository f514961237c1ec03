"""A policy of a few thousand parameters that knows single characters, and a task it can learn."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from assay.world import Environment, Reply
from assay.world.environment import HintKind

REPO = Path(__file__).parents[2]
PATHS = os.pathsep.join((str(REPO / "src"), str(REPO)))
"""Where processes that tests begin find this checkout, and its tests."""
LETTERS = "abcd=?\n"


class Letter(Environment):
    """`?b` wants `=b`; one turn, so that two steps of training take a second."""

    name = "letter"

    def reset(self, seed: int) -> str:
        self.wanted = "abcd"[seed % 4]
        return f"?{self.wanted}"

    def step(self, text: str) -> Reply:
        right = text.strip() == f"={self.wanted}"
        return Reply(done=True, score=float(right or self.wanted in text) * (1.0 if right else 0.5))

    def answer(self) -> str | None:
        return self.wanted


class Twice(Letter):
    """`?b` is asked twice: four turns at most, the first right one ends it."""

    name = "twice"

    def reset(self, seed: int) -> str:
        self.left = 4
        return super().reset(seed)

    def step(self, text: str) -> Reply:
        self.left -= 1
        right = text.strip() == f"={self.wanted}"
        if right or not self.left:
            return Reply(done=True, score=float(right), end="answered" if right else "budget")
        return Reply(text=f"?{self.wanted}", ran=True)


class Solved(Letter):
    """Knows its own solution."""

    name = "solved"

    def best(self) -> str:
        return f"={self.wanted}"


class Asked(Letter):
    """Has four options, and a line that tells which of them is right, but of `lies` another."""

    name = "asked"

    def __init__(self, lies: str = "") -> None:
        self.lies = lies

    def options(self) -> tuple[str, ...]:
        return tuple(f"={letter}" for letter in "abcd")

    def context(self) -> str:
        return "abcd"["abcd".index(self.wanted) - 1] if self.wanted in self.lies else self.wanted

    def best(self) -> str:
        return f"={self.wanted}"


class Led(Twice):
    """Its expert says `=a` first, whatever is asked, and then what is right."""

    name = "led"

    def best(self) -> str:
        return "=a" if self.left == 4 else f"={self.wanted}"


class Hinted(Letter):
    """Anything with its letter in it will do, and its hint is the letter."""

    name = "hinted"

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=float(self.wanted in text))

    def answer(self) -> str | None:
        return None

    def hint(self, kind: HintKind) -> str | None:
        return self.wanted if kind == "right" else None


class Broken(Letter):
    """Raises at the third step of its life."""

    name = "broken"
    lived = 0

    def step(self, text: str) -> Reply:
        Broken.lived += 1
        if Broken.lived == 3:
            raise RuntimeError("the database went away")
        return super().step(text)


class Nothing(Letter):
    """Pays NaN."""

    name = "nothing"

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=float("nan"))


class Undescribed(Letter):
    """Its settings are nothing that a record could hold."""

    name = "undescribed"

    def dials(self) -> dict[str, Any]:
        return {"letters": {"abcd"}}


class Apart(Letter):
    """Names no parts, and says so wrongly."""

    name = "apart"

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=0.0, parts=None)  # type: ignore[arg-type]


class Always(Letter):
    """Everybody passes: no group has anything to compare."""

    name = "always"

    def step(self, text: str) -> Reply:
        return Reply(done=True, score=1.0)


def policy(folder: Path, *, pad: bool = True) -> Path:
    """Writes a random Llama with a tokenizer of characters; returns its folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocab = {name: i for i, name in enumerate(["<pad>", "<end>", *LETTERS])}
    bare = Tokenizer(models.WordLevel(vocab, unk_token="<pad>"))
    bare.pre_tokenizer = pre_tokenizers.Split("", behavior="isolated")
    bare.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token="<end>", **({"pad_token": "<pad>"} if pad else {})
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocab),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
    model.save_pretrained(folder)
    return folder


def settings(model: Path, *, steps: int = 4, **more: Any) -> dict[str, Any]:
    """Returns the tables of a recipe that takes a second or two."""
    train = {
        "steps": steps, "prompts": 4, "group": 4, "pool": 10, "threads": 1, "save_every": 1,
        "max_tokens": 6, "turn_tokens": 6, "max_length": 32, "learning_rate": 1e-2,
    }  # fmt: skip
    tables: dict[str, Any] = {
        "env": {"name": "tests.runs.tiny:Letter"},
        "model": {"name": str(model)},
        "train": train,
        "eval": {"prompts": 4, "samples": 8},
        "recipe": {"method": "grpo"},
    }
    for name, value in more.items():
        section, _, key = name.partition("__")
        if key:
            tables.setdefault(section, {})[key] = value
        else:
            tables[section] = value
    return tables


def assay(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "assay", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": PATHS}, **options,
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def resumed(begin: Callable[[Path], object], out: Path, at: int = 1) -> Path:
    """Begins a run in a folder, kills it after `at` steps, and returns what is left of going on."""
    from assay.runs import rollouts
    from assay.runs.start import resume

    play = rollouts.Rollouts.__call__

    def killed(self: Any, prompts: Any, trainer: Any) -> Any:
        if trainer.state.global_step == at:
            raise KeyboardInterrupt
        return play(self, prompts, trainer)

    with mock.patch.object(rollouts.Rollouts, "__call__", killed), suppress(KeyboardInterrupt):
        begin(out)
        raise AssertionError("it was not killed")
    return resume(out).path
