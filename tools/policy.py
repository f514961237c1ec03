"""Trains the starting policy on demonstrations, from nothing: `python -m tools.policy --help`.

A run that was killed goes on.

Loss is taken on what the expert wrote and nowhere else. Everything that is drawn comes from the
seed and the number of the pool it is drawn for, so that a resumed run sees what an uninterrupted
one would have seen.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final, final

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from assay.files.atomic import publish, published
from assay.policy.loading import folder
from assay.world.facts import facts
from tools import tokenizer as tokens
from tools.demos import Piece, demonstrations, repetition

SHAPE: Final[dict[str, Any]] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
"""1.05 million parameters, embeddings shared with the output."""
LONGEST: Final = 400
"""Tokens of a demonstration; longer ones are left out."""
_SAVED: Final = 100
"""Batches between two states on disk."""
_POOL: Final = 1024
"""Demonstrations drawn at a time and sorted by length into batches."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast the policy learns."""

    seed: int = 0
    batches: int = 1800
    tokens: int = 2048
    """Tokens of a batch at most, padding included."""
    rate: float = 3e-3
    warmup: int = 100
    repeating: int = 6
    """Pools of demonstrations, from the first on, of which a part is exercises in copying."""
    decay: float = 0.4
    """Share of the batches, at the end, over which the rate falls to 0."""
    threads: int = 1

    def rate_at(self, batch: int) -> float:
        """Returns the learning rate of a batch, from 0."""
        left = (self.batches - batch) / (self.decay * self.batches)
        return self.rate * min(1.0, (batch + 1) / self.warmup, left)


def build(out: Path, schedule: Schedule, say: Callable[[str], None] | None = None) -> None:
    """Trains a policy and writes it to the folder `out`: float16 safetensors, config, tokenizer.

    `out/.training` holds the state while it runs; if it is there, training goes on from it.
    """
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    torch.set_num_threads(schedule.threads)
    torch.manual_seed(schedule.seed)
    torch.use_deterministic_algorithms(True)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = tokens.train(_corpus(schedule.seed))
    model = new_model(len(tokenizer))
    optimizer = torch.optim.AdamW(
        _groups(model), lr=schedule.rate, betas=(0.9, 0.98), weight_decay=0.05, fused=True
    )
    state = out / ".training"
    done = _resumed(state, model, optimizer, schedule)
    began, seen, loss = time.monotonic(), 0, 0.0
    for number, batch in _batches(tokenizer, schedule, done):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(number)
        last = _learn(model, optimizer, batch)
        loss = last if number == done else 0.95 * loss + 0.05 * last
        seen += batch["input_ids"].numel()
        if (number + 1) % 50 == 0 or number + 1 == schedule.batches:
            spent = time.monotonic() - began
            left = spent / (number + 1 - done) * (schedule.batches - number - 1)
            say(f"batch {number + 1}/{schedule.batches}  loss {loss:.3f}  "
                f"{seen / spent:,.0f} tokens/s  {left:,.0f} s left")  # fmt: skip
        if (number + 1) % _SAVED == 0:
            _save(state, model, optimizer, schedule, number + 1)
    _publish(out, model, tokenizer, schedule)
    for file in sorted(state.iterdir()) if state.is_dir() else ():
        file.unlink()
    if state.is_dir():
        state.rmdir()


def new_model(size: int) -> LlamaForCausalLM:
    """Returns the policy before it has learnt anything."""
    config = LlamaConfig(
        vocab_size=size,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
        initializer_range=0.04,
        **SHAPE,
    )
    return LlamaForCausalLM(config)


def _groups(model: LlamaForCausalLM) -> list[dict[str, Any]]:
    """Returns parameters with weight decay (matrices) and without (the rest)."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    return [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]


def _learn(model: Any, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor]) -> float:
    """Takes one step and returns the mean loss of the tokens learnt, in nats."""
    hidden = model.model(input_ids=batch["input_ids"], use_cache=False).last_hidden_state
    target = batch["labels"][:, 1:]
    kept = target >= 0  # padding is on the right, where causal attention never looks
    logits = model.lm_head(hidden[:, :-1][kept])
    loss = torch.nn.functional.cross_entropy(logits, target[kept])
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _corpus(seed: int) -> Iterator[str]:
    """Yields what the tokenizer is made from: demonstrations, and every name many times."""
    for pieces in islice(demonstrations(Random(f"{seed}/tokenizer")), 4000):
        yield "".join(piece.text for piece in pieces)
    source = facts()
    for what in ("countries", "capitals", "currencies", "languages", "regions", "parts"):
        for name in source.ask(what, ""):
            yield from [name] * 20


def _batches(
    tokenizer: Any, schedule: Schedule, done: int
) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
    """Yields numbered batches from the one after `done` on; padded on the right."""
    number = pool = 0
    while True:
        rng = Random(f"{schedule.seed}/{pool}")
        copied = _POOL // 4 if pool < schedule.repeating else 0
        for rows in _pooled(tokenizer, schedule, rng, copied):
            if number >= done:
                yield number, _padded(rows)
            number += 1
            if number == schedule.batches:
                return
        pool += 1


def _pooled(tokenizer: Any, schedule: Schedule, rng: Random, copied: int) -> Iterator[list[Any]]:
    """Yields batches of rows of about equal length, in random order."""
    drawn = [*islice(demonstrations(rng), _POOL), *(repetition(rng) for _ in range(copied))]
    rows = [encoded(tokenizer, pieces) for pieces in drawn]
    rows = sorted((row for row in rows if len(row[0]) <= LONGEST), key=lambda row: len(row[0]))
    batches: list[list[Any]] = [[]]
    for row in rows:
        if (len(batches[-1]) + 1) * len(row[0]) > schedule.tokens:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    yield from batches


def encoded(tokenizer: Any, pieces: tuple[Piece, ...]) -> tuple[list[int], list[int]]:
    """Returns the ids of a demonstration and its labels: -100 where it is only read.

    Pieces are encoded one by one, as they are when the policy plays; an answer gets the end token.
    """
    ids: list[int] = []
    labels: list[int] = []
    for piece in pieces:
        part: list[int] = tokenizer(piece.text, add_special_tokens=False).input_ids
        if piece.written and not piece.text.endswith("\n"):
            part = [*part, tokenizer.eos_token_id]
        ids += part
        labels += part if piece.written or piece.follows else [-100] * len(part)
    return ids, labels


def _padded(rows: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    width = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows]),
    }


def _save(
    folder: Path, model: Any, optimizer: torch.optim.Optimizer, schedule: Schedule, done: int
) -> None:
    """Writes the state of training; the JSON file comes last and makes it valid."""
    folder.mkdir(exist_ok=True)
    moments = {
        f"{name}.{index}": value
        for index, slots in optimizer.state_dict()["state"].items()
        for name, value in slots.items()
    }
    parameters = dict(model.named_parameters())
    for name, tensors in (("model", parameters), ("moments", moments)):
        path = folder / f"{name}.{done}.safetensors"
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, path)
    state = {"done": done, "schedule": asdict(schedule)}
    publish(folder / "state.json", json.dumps(state).encode())
    for old in folder.glob("*.safetensors"):
        if f".{done}." not in old.name:
            old.unlink()


def _resumed(folder: Path, model: Any, optimizer: torch.optim.Optimizer, schedule: Schedule) -> int:
    """Restores the state of the same schedule and returns how many batches are done; 0: none."""
    path = folder / "state.json"
    saved = json.loads(path.read_text()) if path.is_file() else None
    if saved is None or saved["schedule"] != asdict(schedule):
        return 0
    done = int(saved["done"])
    with torch.no_grad():
        stored = load_file(folder / f"model.{done}.safetensors")
        for name, parameter in model.named_parameters():
            parameter.copy_(stored[name])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / f"moments.{done}.safetensors").items():
        name, _, index = key.rpartition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return done


def _publish(out: Path, model: LlamaForCausalLM, tokenizer: Any, schedule: Schedule) -> None:
    """Writes the finished policy: 16-bit floats, loadable by name with transformers."""
    half = {name: value.detach().half() for name, value in model.named_parameters()}
    model.config.dtype = torch.float16
    model.config.architectures = ["LlamaForCausalLM"]
    model.config.save_pretrained(out)
    tokenizer.save_pretrained(out)
    save_file(half, out / "model.safetensors", metadata={"format": "pt"})
    with published(out / "build.json") as stream:
        made = {"schedule": asdict(schedule), "torch": torch.__version__.split("+")[0]}
        stream.write(json.dumps(made, indent=1).encode() + b"\n")


def main() -> None:
    """Trains it, as the command line says."""
    parser = argparse.ArgumentParser(description="Trains the starting policy from nothing.")
    parser.add_argument("--out", type=Path, default=folder(), help="folder [default: the package]")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same policy")
    parser.add_argument("--batches", type=int, default=Schedule.batches, help="how long")
    asked = parser.parse_args()
    build(asked.out, Schedule(seed=asked.seed, batches=asked.batches))


if __name__ == "__main__":
    main()
