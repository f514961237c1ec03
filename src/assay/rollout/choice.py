"""Which nodes of a tree are gone on from: by chance, or where more is to be learnt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Final, Literal, final

import numpy as np

from assay.kernels.constancy import bar
from assay.records import ModelStep

Choice = Literal["uniform", "entropy", "value", "uncertainty"]
_Z: Final = 1.959964
"""Normal quantile of a 95 % interval."""


@final
@dataclass(slots=True)
class Node:
    """A node with something below it."""

    leaf: int
    """The first leaf below it, by place in the tree."""
    steps: int
    """Steps of that leaf's record up to and with the node."""
    surprise: dict[str, float] = field(default_factory=dict[str, float])
    """Of each child its mean entropy a sampled token, nats; where the backend gives none, its mean
    -log p, which estimates it."""
    outcomes: list[float] = field(default_factory=list[float])
    """Of the scored leaves below it."""

    def share(self) -> float | None:
        """Returns the share of passes below it. None: nothing is scored."""
        passed = [outcome >= bar(1.0) for outcome in self.outcomes]
        return sum(passed) / len(passed) if passed else None


def surprise(step: ModelStep) -> float:
    """Returns the mean entropy of a step's sampled tokens, nats, or their mean -log p; 0 where
    neither is known."""
    known = step.entropies
    if known is None or None in known:
        known = [None if value is None else -value for value in step.logprobs or ()]
    values = [value for value in known if value is not None]
    return sum(values) / len(values) if values else 0.0


def _entropy(node: Node, picked: int) -> tuple[float, ...]:
    mean = sum(node.surprise.values()) / max(len(node.surprise), 1)
    return (mean / (len(node.surprise) + picked or 1),)


def _value(node: Node, picked: int) -> tuple[float, ...]:
    share = node.share()
    return -float(picked), -0.5 if share is None else -abs(share - 0.5)


def _uncertainty(node: Node, picked: int) -> tuple[float, ...]:
    share = node.share()
    return (1.0 if share is None else wilson(share, len(node.outcomes) + picked),)


def wilson(share: float, n: int) -> float:
    """Returns the width of Wilson's 95 % interval of a share of `n`.

    2 z / (1 + z^2 / n) sqrt(p (1 - p) / n + z^2 / (4 n^2)).
    """
    spread = sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return 2 * _Z / (1 + _Z**2 / n) * spread


_Score = Callable[[Node, int], tuple[float, ...]]
CHOICES: Final[Mapping[Choice, _Score | None]] = {
    "uniform": None,
    "entropy": _entropy,
    "value": _value,
    "uncertainty": _uncertainty,
}
"""What a node is worth that was picked so often in this round; the most is picked next.

uniform        nothing: every node has the same chance, each time
entropy        mean entropy of the steps that follow, for each child there is or will be (CARL 2025,
               https://arxiv.org/abs/2512.04949)
value          how close the share of passes among its leaves is to 1/2; others first
uncertainty    the width of the interval of that share
"""


def choose(how: Choice, nodes: Sequence[Node], n: int, rng: np.random.Generator) -> list[Node]:
    """Returns `n` of the nodes, in the order of choice; one may come several times.

    Ties are broken by chance.
    """
    score = CHOICES[how]
    if score is None:
        return [nodes[at] for at in rng.integers(len(nodes), size=n)]
    order = rng.permutation(len(nodes)).tolist()
    picked = [0] * len(nodes)
    found: list[Node] = []
    for _ in range(n):
        best = max(order, key=lambda at: score(nodes[at], picked[at]))
        picked[best] += 1
        found.append(nodes[best])
    return found
