"""Whether the plug-in is in every process: of a run, and of a cluster. Needs verl's environment."""
# pyright: reportMissingImports=false

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, final

import msgspec
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from assay.errors import UsageError, told

PARTS = ("platform", "estimators", "loss", "trainer", "rollout", "agent loop", "presets", "start")

LOOP = "assay.rollout.verl.loop"


@final
class Seen(msgspec.Struct, frozen=True):
    """What a process says of itself."""

    pid: int
    node: str
    """Ray's name of the machine."""
    loaded: tuple[str, ...]
    """Parts of the plug-in that are in verl's tables there."""
    why: str = ""
    """What verl's import, or the plug-in, ended in."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts that are not."""
        return tuple(name for name in PARTS if name not in self.loaded)


def seen(_: Any = None) -> Seen:
    """Returns what this process has; verl is imported where it was not yet."""
    loaded, why = (), ""
    try:
        import verl as _verl

        plugin = sys.modules.get("assay.trainers.verl.plugin")
        loaded = tuple(plugin.LOADED) if plugin is not None else ()
        if not loaded:
            why = f"verl {_verl.__version__} did not load it"
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    return Seen(os.getpid(), ray.get_runtime_context().get_node_id(), loaded, why)


def checked(actors: Mapping[str, Sequence[Any]]) -> str:
    """Returns a line that says that all actors have the plug-in.

    Args:
        actors: handles, by what they do.

    Raises:
        UsageError: one has not; verl would have gone on without it.
    """
    asked = {name: [each.__ray_call__.remote(seen) for each in these]
             for name, these in actors.items()}  # fmt: skip
    found = {name: ray.get(these) for name, these in asked.items()}
    for name, these in found.items():
        for each in these:
            if each.missing:
                raise UsageError(
                    f"the plug-in is not in the process of the {name} ({each.pid}): missing "
                    f"{', '.join(each.missing)}; {each.why}; install assay[verl] on every node and "
                    "leave VERL_USE_EXTERNAL_PLUGINS unset"
                )
    count = sum(map(len, found.values()))
    parts = ", ".join(f"{len(these)} {name}" for name, these in found.items())
    return f"the plug-in is in all {count} processes that train: {parts}"


def lost(agent_loops: Sequence[Any]) -> str:
    """Returns what a trajectory of the agent loop `assay` ended in, or "": verl leaves it out of
    the batch, and says at the end only that a group has none.

    Args:
        agent_loops: handles of the actors that play.
    """
    found = ray.get([each.__ray_call__.remote(lost_here) for each in agent_loops])
    return next(filter(None, found), "")


def lost_here(_: Any = None) -> str:
    """Returns what the first one of this process ended in, or ""."""
    said = getattr(sys.modules.get(LOOP), "LOST", ())
    return said[0] if said else ""


def of_cluster(address: str | None = None) -> list[Seen]:
    """Returns what a fresh worker of each node says.

    Args:
        address: of a Ray cluster, or auto. None: one is started here, and ended.

    Raises:
        UsageError: there is no such cluster.
    """
    given: dict[str, Any] = {"num_cpus": 2, "include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, **({} if address else given))
    except ConnectionError as error:
        raise UsageError(f"ray {address}: {told(error)}; ray status says what runs") from None
    try:
        task = ray.remote(num_cpus=0)(seen)
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        near = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
        return ray.get([task.options(scheduling_strategy=each).remote() for each in near])
    finally:
        ray.shutdown()
