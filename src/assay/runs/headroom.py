"""The headroom of a run's start, measured as its configuration says."""

import json
from collections.abc import Callable
from typing import Any, Final

from assay.files.atomic import publish
from assay.rollout.backends.base import Backend
from assay.rollout.chain import Watch
from assay.rollout.headroom import Probe, headroom, play, sentences
from assay.rollout.protocols.base import Protocol
from assay.runs.config import Config
from assay.runs.folder import Folder
from assay.runs.sampling import Prepared
from assay.world.environment import Environment

FILE: Final = "headroom.json"


def measured(
    config: Config,
    asked: Probe,
    backend: Backend,
    make: Callable[[], Environment],
    *,
    protocol: Protocol,
    seed: int,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Returns what can help a configuration learn, on its first training tasks; schema
    "assay.headroom/1"."""
    train, pass_at = config.train, float(config.recipe.get("pass_at", 1.0))
    played = play(
        backend,
        make,
        range(train.first_task, train.first_task + min(asked.tasks, train.pool)),
        asked,
        sampling=train.sampling,
        seed=seed,
        protocol=protocol,
        pass_at=pass_at,
        watch=watch,
    )
    about = {"env": config.env.name, "model": config.model.name}
    shape = {"group": train.group, "prompts": train.prompts}
    return {**headroom(played, **shape, pass_at=pass_at, seed=seed), **about}


def probed(run: Prepared, folder: Folder, backend: Backend, say: Callable[[str], None]) -> None:
    """Measures the start of a run, once, where its [probe] asks for it; says and keeps what it
    found. Its tokens are in the file, and in no budget of the run."""
    asked, path = run.config.probe, folder.path / FILE
    if not asked.tasks or path.exists():
        return
    found = measured(run.config, asked, backend, run.make, protocol=run.protocol, seed=run.seed)
    publish(path, json.dumps(found, indent=1, allow_nan=False).encode() + b"\n")
    for line in sentences(found):
        say(f"probe: {line}")
