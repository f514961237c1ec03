"""A scripted policy whose distribution is known, so that its log-probabilities are exact.

At every turn it draws one of a few utterances. Tokens are bytes, so the probability of the next
byte is the share of the utterances that go on with it, among those that agree so far.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

Kind = Literal["right", "malformed", "slip", "claim", "admit", "silent"]


@final
@dataclass(frozen=True, slots=True)
class Utterance:
    """One thing that the policy may say."""

    weight: float
    kind: Kind
    thought: str
    tool: str = ""
    """Empty: it ends the trajectory."""
    arguments: str = ""

    @property
    def text(self) -> str:
        """What is written: thought, tool and arguments."""
        return f"{self.thought} {self.tool} {self.arguments}" if self.tool else self.thought


def draw(options: Sequence[Utterance], rng: random.Random) -> Utterance:
    """Returns one option with probability proportional to its weight."""
    at = rng.random() * sum(option.weight for option in options)
    for option in options:
        at -= option.weight
        if at < 0:
            return option
    return options[-1]


def log_probabilities(options: Sequence[Utterance], said: Utterance) -> tuple[float, ...]:
    """Returns log p(byte | bytes before it) for each byte of what was said, nats, to 4 decimals.

    p(byte_i | bytes before i) = sum of weights that agree up to i / sum that agree up to i - 1
    """
    alive = [(option.text.encode(), option.weight) for option in options]
    out: list[float] = []
    for at, byte in enumerate(said.text.encode()):
        agree = [(text, weight) for text, weight in alive if text[at : at + 1] == bytes([byte])]
        share = math.fsum(w for _, w in agree) / math.fsum(w for _, w in alive)
        out.append(round(math.log(share), 4) if len(agree) < len(alive) else 0.0)
        alive = agree
    return tuple(out)
