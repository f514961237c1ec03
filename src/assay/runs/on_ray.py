"""Pieces of a log that are read by the nodes of a Ray cluster, as plain tasks.

Not Ray Data: a piece is begun with what is known of the groups before it, and read again where that
turns out to be otherwise, which a stream of blocks has no place for. Ray repeats nothing by itself
here (`max_retries=0`), so that what is lost is said. Every node must see the log under its path.
"""

import os
from collections.abc import Callable
from pathlib import Path
from socket import create_connection
from typing import Any, Final, final

from assay.batch.parallel import LostError
from assay.batch.pieces import SIZE, Workers
from assay.errors import DataError, UsageError, imported, one_line
from assay.runs.reading import By

_SECONDS: Final = 10
"""That the head of a cluster gets to answer."""
_CURRENT: Final = Path("/tmp/ray/ray_current_cluster")
"""Where Ray says which cluster this machine is of."""


def on_ray(address: str, say: Callable[[str], None]) -> By:
    """Returns who reads a log on a cluster: its cores, as many as there are pieces.

    Args:
        address: HOST:PORT of its head; auto: the cluster of this machine, or one that is started
            for this process, of its cores.
        say: is told what is read again since a worker or a node was lost.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "auto" and "RAY_ADDRESS" not in os.environ and not _CURRENT.exists():
        # what is started here listens on loopback; Ray reads this when it is imported
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = imported("ray", extra="ray", to="--ray")
    if not ray.is_initialized():
        _joined(ray, address)
    task = ray.remote(max_retries=0)(_done)

    def by(size: int) -> Workers:
        folder = os.getcwd()
        cores = int(ray.cluster_resources().get("CPU", 1))
        count = max(2, min(cores, -(-size // SIZE)))
        return Workers(
            count, lambda job: _Task(ray, task.remote(job, folder)), shared=False, say=say
        )

    return by


def _joined(ray: Any, address: str) -> None:
    # or it writes of a node that dies to standard output, log_to_driver or not
    ray._private.worker._worker_logs_enabled = False
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            with create_connection((host, int(port)), _SECONDS):  # Ray would ask for minutes
                ray.init(address=address, **quiet)
            return
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            ray.init(address="local", include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        said = one_line(" ".join(str(error).split()))[:200]
        raise UsageError(
            f"--ray {address}: no cluster answers there ({said}); expected HOST:PORT of a head "
            "that runs the same Ray and Python, or auto"
        ) from None


def _done(job: Callable[[], Any], folder: str) -> Any:
    """Runs on a node, where paths lead from the same folder."""
    os.chdir(folder)
    return job()


@final
class _Task:
    """A piece that a node reads."""

    def __init__(self, ray: Any, of: Any) -> None:
        self._ray, self._of, self._ended = ray, of, False

    def ready(self, seconds: float = 0.0) -> bool:
        return bool(self._ray.wait([self._of], timeout=seconds)[0])

    def answer(self) -> Any:
        errors, self._ended = self._ray.exceptions, True
        try:
            return self._ray.get(self._of)
        except errors.RayTaskError as error:
            said = one_line(f"{type(error.cause).__name__}: {error.cause}")
            raise DataError(f"--ray: a node cannot read the log as this one does: {said}") from None
        except (errors.NodeDiedError, errors.ObjectLostError, errors.OwnerDiedError):
            raise LostError("a node of the cluster was lost") from None
        except errors.RayError as error:
            kind = type(error).__name__
            raise LostError(f"a worker of the cluster was lost ({kind})") from None

    def close(self) -> None:
        if not self._ended:  # Ray ends this process where a task is cancelled that has ended
            self._ray.cancel(self._of, force=True)
