"""What prime-rl, as of autumn 2026, hands to an algorithm, and what it does with advantages:
verifiers' episodes, traces and nodes; `Algorithm`, its table, `assign_advantages`. Written from its
documented contract; none of its code is here.
"""

import copy
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any


@dataclass
class Node:
    """A message and the tokens that it adds."""

    token_ids: list[int]
    mask: list[bool]
    advantages: list[float] | None = None


@dataclass
class Branch:
    """A path from a root to a leaf."""

    nodes: list[Node]
    trainable: bool = True


@dataclass
class Trace:
    """One agent's rollout, a graph of nodes."""

    id: str
    nodes: list[Node]
    parents: list[int | None]
    cut: frozenset[int] = field(default_factory=frozenset)
    """Leaves whose branch trains nothing."""

    @property
    def branches(self) -> list[Branch]:
        found: list[Branch] = []
        for leaf in range(len(self.nodes)):
            if leaf in self.parents:
                continue
            path, at = [self.nodes[leaf]], self.parents[leaf]
            while at is not None:
                path.insert(0, self.nodes[at])
                at = self.parents[at]
            found.append(Branch(path, leaf not in self.cut))
        return found


class Episode:
    """What verifiers' `Episode` is to an algorithm: traces, and itself as plain data."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.traces = [
            Trace(
                trace["id"],
                [Node(node["token_ids"], node["mask"]) for node in trace["nodes"]],
                [node["parent"] for node in trace["nodes"]],
            )
            for trace in raw["traces"]
        ]

    def model_dump(self, mode: str) -> dict[str, Any]:
        assert mode == "json"
        return copy.deepcopy(self.raw)


def assign_advantages(trace: Any, values: float | list[float]) -> None:
    """Compact values, one a sampled token of the nodes on trainable branches, in node order."""
    on = {id(node) for branch in trace.branches if branch.trainable for node in branch.nodes}
    nodes = [node for node in trace.nodes if id(node) in on and any(node.mask)]
    total = sum(sum(node.mask) for node in nodes)
    given = [float(values)] * total if isinstance(values, int | float) else list(values)
    if len(given) != total:
        raise ValueError(f"trace {trace.id!r}: got {len(given)}, expected {total}")
    for node in nodes:
        node.advantages, given = given[: sum(node.mask)], given[sum(node.mask) :]


class Algorithm:
    """Base of prime-rl's algorithms."""

    def __init__(self, config: Any, clients: Any) -> None:
        self.action_loss_type = config.action_loss_type
        self.clients = clients

    async def score_group(self, episodes: list[Any]) -> None:
        """Nothing, unless an algorithm has it."""


def modules(package: str) -> dict[str, ModuleType]:
    """The package with its parents, for `sys.modules`."""
    found: dict[str, ModuleType] = {}
    parts = package.split(".")
    for n in range(1, len(parts) + 1):
        name = ".".join(parts[:n])
        found[name] = ModuleType(name)
        found[name].__path__ = []
    found[package].__dict__.update(ALGORITHM_CLASSES={"grpo": Algorithm}, Algorithm=Algorithm)
    routing = found[f"{package}.routing"] = ModuleType(f"{package}.routing")
    routing.__dict__.update(assign_advantages=assign_advantages)
    assert not set(found) & set(sys.modules)
    return found
