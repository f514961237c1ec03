"""What an engine must do: continue token ids, and say exactly which it sampled and how likely.

Transformers    assay.rollout.backends.local    any causal language model in this process
Vllm            assay.rollout.backends.vllm     vLLM in this process
Server          assay.rollout.backends.server   any OpenAI-compatible server that returns token ids
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, final, runtime_checkable

import numpy as np

from assay.errors import UsageError

Reader = Callable[[int, Sequence[int], Sequence[float]], Sequence[int] | None]
"""(row, ids sampled since it last read, their log-probs) -> ids to read next; empty: go on
sampling, where `SILENCE` says that a turn was played; None: done. A backend asks after every token,
or wherever a stop string stopped it."""
SILENCE: Final[Sequence[int]] = range(0)
"""What is read of a world that answered a turn with nothing: a new turn begins."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample, and how far."""

    temperature: float = 1.0
    """Logits are divided by it; recorded log-probs are those of the distribution drawn from. 0
    takes the likeliest token."""
    max_tokens: int = 400
    """Tokens that a trajectory may write; one that needs more has failed by its budget."""
    turn_tokens: int = 160
    """Tokens of one turn; a longer one is played as far as it got."""
    max_length: int = 1024
    """Tokens of a trajectory, whoever wrote them."""
    stop: tuple[str, ...] = ("\n",)
    """Texts at which an engine stops and asks; the protocol sets them."""
    ends: tuple[int, ...] = ()
    """Tokens at which it does, besides the model's own end; the protocol sets them."""
    spent: tuple[int, ...] = ()
    """Of `max_tokens`, what each row's trajectory has written before its prompt ends. Empty:
    nothing. An engine that does not look is held to it by the reader."""
    apart: bool = False
    """Each trajectory draws with chance of its own, which the seed and its id name: what is sampled
    beside it, and by which process, does not matter. Of an engine in this process."""
    names: tuple[str, ...] = ()
    """Of each row, what names its chance; empty: chance is dealt out among the rows."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        if self.temperature < 0 or min(self.max_tokens, self.turn_tokens, self.max_length) < 1:
            raise UsageError(
                f"sampling: got temperature {self.temperature:g}, max_tokens {self.max_tokens}, "
                f"turn_tokens {self.turn_tokens}, max_length {self.max_length}; expected a "
                "temperature of at least 0 and limits of at least 1"
            )


def number(seed: Sequence[int]) -> int:
    """Returns one seed of 63 bits for a sequence of them.

    Sequences of one length that differ are unrelated; of several lengths too, unless they are of
    four words at most and differ by zeros at the end alone: numpy fills up with such zeros.
    """
    words = np.random.SeedSequence(list(seed)).generate_state(2, np.uint32).tolist()
    return (words[0] << 31) ^ words[1]


@runtime_checkable
class Backend(Protocol):
    """An engine. Token ids in, token ids out: nothing is ever tokenised again."""

    @property
    def tokenizer(self) -> Any:
        """The model's own tokenizer, as transformers has it."""
        ...

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        """Continues every prompt until its reader says None, or a limit is reached.

        Args:
            prompts: ids, at least one in each.
            reader: see `Reader`; rows may be asked in any order.
            sampling: how, and how far.
            seed: names the source of chance: the same seed and prompts, the same tokens, as far as
                the engine can.
        """
        ...
