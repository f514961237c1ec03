"""What verl loads in each of its processes, by the entry point `verl.plugins`. Needs verl.

    platform      cpu, where VERL_PLATFORM=cpu                     VERL_PLATFORM
    estimators    assay, and each method by its name               algorithm.adv_estimator
    loss          verl's own, with the largest ratio seen          actor.policy_loss.loss_mode
    trainer       the synchronous one, which reads the recipe      trainer.v1.trainer_mode=sync
    rollout       assay: transformers                              rollout.name
    agent loop    assay: a task of an environment                  agent.default_agent_loop
    presets       cpu, world                                       +assay=[cpu,world]
    start         looks at the command before Ray starts

verl says of a plug-in that fails no more than a line at DEBUG, and goes on without it; so we say it
ourselves, on stderr, and `LOADED` tells what is there (`assay doctor verl`).
"""
# pyright: reportMissingImports=false

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from assay.errors import told

LOADED: Final[list[str]] = []
"""Parts that are in verl's tables, in this process."""
SERVER: Final = "assay.rollout.verl.server"
LOOP: Final = "assay.rollout.verl.loop.WorldLoop"
PRESETS: Final = ("cpu", "world")


def _platform() -> None:
    if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
        from assay.trainers.verl import platform

        platform.install()


def _estimators() -> None:
    from assay.trainers.verl import estimators

    estimators.register()


def _loss() -> None:
    from assay.trainers.verl import loss

    loss.register()


def _trainer() -> None:
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    from assay.trainers.verl.trainer import AssayTrainer

    TRAINER_REGISTRY["sync"] = AssayTrainer


def _rollout() -> None:
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    base._ROLLOUT_REGISTRY[("assay", "async")] = f"{SERVER}.Adapter"
    RolloutReplicaRegistry.register("assay", _replica)


def _replica() -> Any:
    return importlib.import_module(SERVER).Replica


def _agent_loop() -> None:
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    _agent_loop_registry["assay"] = {"_target_": LOOP}


def _start() -> None:
    from assay.trainers.verl import start

    start.install()


def _presets() -> None:
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store = ConfigStore.instance()
    for name in PRESETS:
        made = OmegaConf.load(Path(__file__).with_name(f"{name}.yaml"))
        store.store(group="assay", name=name, node=made, package="_global_")


PARTS: Final[dict[str, Callable[[], None]]] = {
    "platform": _platform,
    "estimators": _estimators,
    "loss": _loss,
    "trainer": _trainer,
    "rollout": _rollout,
    "agent loop": _agent_loop,
    "presets": _presets,
    "start": _start,
}


def load() -> None:
    """Puts all parts into verl's tables, once a process.

    Raises:
        Exception: whatever a part raised; it is on stderr too, for verl swallows it.
    """
    for name, put in PARTS.items():
        if name in LOADED:
            continue
        try:
            put()
        except Exception as error:
            print(
                f"assay: its plug-in for verl did not load in process {os.getpid()}: {name}: "
                f"{told(error)}; verl goes on without it; see assay doctor verl",
                file=sys.stderr,
                flush=True,
            )
            raise
        LOADED.append(name)


load()
