"""prime-rl: an algorithm whose advantages are our recipe's, one a sampled token.

    ASSAY_RECIPE=assay python -m assay.trainers.prime_rl @ orchestrator.toml

starts prime-rl's own orchestrator with the algorithm in its table as "grpo" (`[orchestrator.algo]
type = "grpo"`, the default): prime-rl has no setting that names user code, and only that process
computes advantages. Trainer and inference start as always. Read from prime-rl as of autumn 2026.

prime-rl trains a node of a trace once, and leaves tokens of advantage exactly 0 out of its policy
loss and its divisor; so a recipe's `denominator` changes nothing here. A trace of which nothing was
kept and scored stays without advantages.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from assay.errors import AssayError, MissingExtraError, UsageError
from assay.importers import Losses
from assay.importers.base import Groups, Log, Record
from assay.importers.verifiers import Verifiers
from assay.records import ModelStep, Trajectory
from assay.trainers.engine import Credited, Engine, engine_of

NAME: Final = "grpo"
"""The algorithm whose place ours takes."""
PACKAGES: Final = ("prime_rl.orchestrator.train.algo", "prime_rl.orchestrator.algo")
"""Where prime-rl has its algorithms: it moved them in autumn 2026."""
Values = dict[int, Float64[np.ndarray, " _"]]
"""Advantages of a node's sampled tokens, by the node's number."""


def install() -> type[Any]:
    """Puts the algorithm into prime-rl's table, and returns it. The recipe is read here, so that a
    wrong one ends the orchestrator before anything is sampled.

    Raises:
        MissingExtraError: prime-rl is not installed.
        UsageError: it has no table where we know one; or the recipe cannot be used.
    """
    engine = engine_of("prime-rl")
    for package in PACKAGES:
        try:
            found = import_module(package)
        except ModuleNotFoundError as error:
            if not package.startswith(error.name or "?"):
                raise
            continue
        assign = import_module(f"{package}.routing").assign_advantages
        if not isinstance(getattr(found, "ALGORITHM_CLASSES", None), dict):
            raise UsageError(
                f"{package} has no ALGORITHM_CLASSES; expected prime-rl as of autumn 2026"
            )
        made = algorithm(found.Algorithm, assign, engine)
        found.ALGORITHM_CLASSES[NAME] = made
        return made
    raise MissingExtraError(
        "prime-rl is not installed here; install it from its repository, and Assay beside it"
    )


def algorithm(base: type[Any], assign: Any, engine: Engine) -> type[Any]:
    """Returns a subclass of prime-rl's `Algorithm` that scores whole groups.

    Args:
        base: prime-rl's.
        assign: its `assign_advantages(trace, values)`.
        engine: the recipe.
    """

    class AssayAlgorithm(base):
        """Advantages of a group's episodes, by the recipe that ASSAY_RECIPE names."""

        async def score_group(self, episodes: Sequence[Any]) -> None:
            score(episodes, assign, engine)

    return AssayAlgorithm


def score(episodes: Sequence[Any], assign: Any, engine: Engine) -> None:
    """Assigns each trace of a group its advantages, in the order of its nodes' sampled tokens.

    A trace of which the policy wrote a step without token ids (a call to it failed) is left out: it
    cannot be trained on, and is compared with nothing.

    Args:
        episodes: verifiers' `Episode`s of one group.
        assign: prime-rl's `assign_advantages`.
        engine: the recipe.

    Raises:
        DataError: an episode is none that verifiers writes.
    """
    read = recorded([each.model_dump(mode="json") for each in episodes])
    records = [record for record in read if _has_ids(record)]
    found: dict[str, Values] = {}
    for record, made in zip(records, engine.credit(records), strict=True):
        owner = record.tree or record.id
        found.setdefault(owner, {}).update(_by_node(record, made))
    for episode in episodes:
        for trace in episode.traces:
            if values := found.get(trace.id):
                _assigned(trace, values, assign)


def recorded(episodes: Sequence[dict[str, Any]]) -> Iterator[Trajectory]:
    """Yields the trajectories of a group's episodes: one for each leaf of each trace."""
    reader, name = Verifiers(), Path("episodes")
    log = Log(name, (name,), Losses(), Groups())
    for number, raw in enumerate(episodes):
        record = Record(raw, f"episodes[{number}]", log, reader, 0, number)
        yield from reader.trajectories(record)


def _has_ids(record: Trajectory) -> bool:
    steps = [step for step in record.steps if type(step) is ModelStep]
    return bool(steps) and all(step.token_ids is not None for step in steps)


def _by_node(record: Trajectory, made: Credited) -> Values:
    """Returns what each node of a branch gets that the branch carries; of one that several branches
    share the last one's counts, as in an export."""
    found: Values = {}
    end = 0
    for step in record.steps:
        start, end = end, end + len(step.token_ids or ())
        if type(step) is not ModelStep or step.node is None or end == start:
            continue
        sampled = np.zeros(end - start, bool)
        for first, last in ((0, end - start),) if step.sampled is None else step.sampled:
            sampled[first:last] = True
        if made.weight_N[start:end][sampled].any():
            found[int(step.node.rpartition("/")[2])] = made.advantage_N[start:end][sampled]
    return found


def _assigned(trace: Any, values: Values, assign: Any) -> None:
    trainable = {id(node) for branch in trace.branches if branch.trainable for node in branch.nodes}
    row: list[float] = []
    for number, node in enumerate(trace.nodes):
        count = sum(node.mask)
        if count and id(node) in trainable:
            own = values.get(number)
            row += [0.0] * count if own is None else own.tolist()
    assign(trace, row)


def main() -> None:
    """Starts prime-rl's orchestrator with our algorithm; its arguments are passed on."""
    try:
        install()
    except AssayError as error:
        sys.exit(f"assay: {error}")
    (script,) = entry_points(group="console_scripts", name="orchestrator")
    script.load()()


if __name__ == "__main__":
    main()
