"""A step of AssayTrainer against one of stock GRPOTrainer, on one thread.

    python benchmarks/train_step.py              # given rollouts: what we add is the largest share
    python benchmarks/train_step.py --generate   # with generation, as a run has it
    python benchmarks/train_step.py --long       # one completion ten times as long, 32 rows a pass
    python benchmarks/train_step.py --dead       # fifteen groups of sixteen fail as a whole
    python benchmarks/train_step.py --trees      # leaves of trees, against the same rows repeated

Same model (a Llama of 0.8 M parameters with random weights), same rollouts, same batch: 256
completions of 32 tokens in groups of 8; with --trees 96 leaves in groups of 6, two trees each with
two expansions of a node drawn uniformly, root included, of a chain of 6 steps of 7 sampled and 5
read tokens, and a model twice as wide: both trainers are ours then, and one passes whole rows. Both
trainers make their steps in turn, and CPU seconds of this process are counted, so that a busy
machine hurts neither.
"""

import contextlib
import io
import os
import statistics
import tempfile
import time
import warnings
from typing import Any

os.environ.update(TRL_EXPERIMENTAL_SILENCE="1", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

from assay.trainers.trl import shared_prefixes  # noqa: E402
from assay.trainers.trl.trainer import AssayTrainer  # noqa: E402
from measure import Ratio, parser, publish  # noqa: E402

WAYS = ("generate", "long", "dead", "trees")
OPTIONS = parser(__doc__)
for _way in WAYS:
    OPTIONS.add_argument(f"--{_way}", action="store_true")
ASKED = OPTIONS.parse_args()
GENERATE, LONG, DEAD, TREES = (getattr(ASKED, way) for way in WAYS)
CHAIN, SAMPLED, READ = 6, 7, 5
"""Steps of a chain, tokens that the policy samples in each, and tokens that it reads after it."""
ROWS, TOKENS, GROUP = (96, CHAIN * (SAMPLED + READ), 6) if TREES else (256, 32, 8)
WIDTH = 256 if TREES else 128
VOCABULARY, PROMPT, REPEAT = 96, 12 if TREES else 16, 15
LONGEST = 10 * TOKENS if LONG else TOKENS
PASSES = 8 if LONG else 1
"""Micro-batches of a step."""
BUDGET = 0.75 if TREES else 0.3 if DEAD else 1.0 if GENERATE else 0.9


def tokenizer() -> Any:
    words = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *map(str, range(93))])}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def model() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=1,
            tie_word_embeddings=True,
        )
    )


def rollouts(prompts: list[str], trainer: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    completions = rng.integers(3, VOCABULARY, (len(prompts), TOKENS)).tolist()
    completions[0] += rng.integers(3, VOCABULARY, LONGEST - TOKENS).tolist()
    ids = trainer.processing_class(text=prompts)["input_ids"]
    return {"prompt_ids": ids, "completion_ids": completions, "logprobs": None}


def leaves(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Returns the leaves of trees, M = 2, N = 2, L = 1: three of each root chain."""
    rng = np.random.default_rng(0)
    step, mask = SAMPLED + READ, ([1] * SAMPLED + [0] * READ) * CHAIN
    completions: list[list[int]] = []
    for at in range(len(prompts)):
        own = rng.integers(3, VOCABULARY, TOKENS).tolist()
        root = completions[at // 3 * 3] if at % 3 else own
        shared = step * int(rng.integers(0, CHAIN))
        completions.append(root[:shared] + own[shared:])
    ids = trainer.processing_class(text=prompts)["input_ids"]
    masks = [mask for _ in prompts]
    return {"prompt_ids": ids, "completion_ids": completions, "logprobs": None, "env_mask": masks}


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """Returns 1 for about four in ten, decided by the tokens: both trainers see the same."""
    alive = [not DEAD or at // GROUP % 16 == 0 for at in range(len(completion_ids))]
    return [float(a and sum(ids) % 10 < 4) for a, ids in zip(alive, completion_ids, strict=True)]


def trainer(cls: Any, **given: Any) -> Any:
    rng = np.random.default_rng(1)
    prompts = [" ".join(map(str, rng.integers(0, 93, PROMPT))) for _ in range(64)]
    config = GRPOConfig(
        tempfile.mkdtemp(),
        per_device_train_batch_size=ROWS // PASSES,
        gradient_accumulation_steps=PASSES,
        num_generations=GROUP,
        max_completion_length=LONGEST,
        max_steps=1000,
        learning_rate=5e-5,
        logging_steps=1,
        report_to="none",
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=False,
        seed=0,
        dataloader_num_workers=0,
    )
    made = cls(
        model(),
        reward,
        config,
        Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        processing_class=tokenizer(),
        rollout_func=None if GENERATE else leaves if TREES else rollouts,
        **given,
    )
    made.create_optimizer_and_scheduler(1000)
    made.optimizer = made.accelerator.prepare(made.optimizer)
    made.current_gradient_accumulation_steps = PASSES
    return made


class Steps:
    """Steps of one trainer, one at a time, as the Trainer's loop makes them, log line included."""

    def __init__(self, made: Any, *, whole: bool = False) -> None:
        """Takes a trainer, and whether what rows share is passed with each of them."""
        self.made = made
        self.share = (lambda _: False) if whole else shared_prefixes.shareable
        self.batches = iter(made.get_train_dataloader())

    def _next(self) -> Any:
        try:
            return next(self.batches)
        except StopIteration:
            self.batches = iter(self.made.get_train_dataloader())
            return next(self.batches)

    def __call__(self) -> tuple[float, float]:
        """Makes a step; returns its CPU and its wall seconds."""
        made, shared_prefixes.shareable = self.made, self.share
        batches = [self._next() for _ in range(PASSES)]
        start, wall = time.process_time(), time.perf_counter()
        for inputs in batches:
            made.training_step(made.model, inputs, None)
        torch.nn.utils.clip_grad_norm_(made.model.parameters(), 1.0)
        handler = made.callback_handler
        for event in ("on_pre_optimizer_step", "on_optimizer_step"):
            getattr(handler, event)(made.args, made.state, made.control)
            if event == "on_pre_optimizer_step":
                made.optimizer.step()
        made.lr_scheduler.step()
        made.model.zero_grad()
        made.state.global_step += 1
        handler.on_step_end(made.args, made.state, made.control)
        with contextlib.redirect_stdout(io.StringIO()):
            made.log({"loss": 0.0})
        return time.process_time() - start, time.perf_counter() - wall


def main() -> None:
    torch.set_num_threads(1)
    theirs = trainer(AssayTrainer, recipe="grpo") if TREES else trainer(GRPOTrainer)
    stock, ours = Steps(theirs, whole=TREES), Steps(trainer(AssayTrainer, recipe="grpo"))
    stock(), ours()
    others, mine, share, signal = [], [], [], []
    for turn in range(REPEAT):
        for steps in (stock, ours) if turn % 2 else (ours, stock):
            cpu, wall = steps()
            (mine if steps is ours else others).append(cpu)
            if steps is ours:
                signal.append(ours.made.session.batch.seconds)
                share.append(signal[-1] / wall)
    ratio = statistics.median(m / t for m, t in zip(mine, others, strict=True))
    note = f"{min(mine):.3f} s / {min(others):.3f} s CPU, best of {REPEAT}"
    name = (
        "train_step" + "_generate" * GENERATE + "_long" * LONG + "_dead" * DEAD + "_trees" * TREES
    )
    what = "shared once / repeated" if TREES else "AssayTrainer / GRPOTrainer"
    publish(
        name,
        [
            Ratio(f"{what}, one step", ratio, BUDGET, "at most", note),
            Ratio(
                "signal pipeline / step",
                statistics.median(share),
                0.01,
                "at most",
                f"{min(signal) * 1e3:.1f} ms",
            ),
        ],
        parameters=sum(p.numel() for p in ours.made.model.parameters()),
        best_ratio=min(mine) / min(others),
        rows=ROWS,
        tokens=TOKENS,
    )


if __name__ == "__main__":
    main()
