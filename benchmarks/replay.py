"""`assay replay` of 200 decisions x 2 x 32 continuations on lookup, by the shipped policy.

    python benchmarks/replay.py            # two processes; results/replay.json
    python benchmarks/replay.py --seed 1   # another log, other decisions

The log is 256 rollouts of lookup/even (32 tasks, 8 trajectories each), sampled here with batches of
256: what a plain rollout costs. Continuations are shorter than rollouts, but 32 at a time and each
from a rebuilt state. CPU seconds are counted beside wall seconds: a busy machine can be seen.
"""

import argparse
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
warnings.simplefilter("ignore")

import torch  # noqa: E402

from assay.policy.loading import load as policy  # noqa: E402
from assay.records import encode  # noqa: E402
from assay.replay.run import Asked, Replay  # noqa: E402
from assay.replay.source import of  # noqa: E402
from assay.rollout import Sampling, collect, tasks  # noqa: E402
from assay.rollout.backends.local import Transformers  # noqa: E402
from assay.world import load  # noqa: E402
from measure import Ratio, publish  # noqa: E402

ENV, TASKS, TRIALS, FIRST = "lookup/even", 32, 8, 20_000
DECISIONS, SAMPLES, PROCESSES = 200, 32, 2


def cpu() -> float:
    """CPU seconds of this process and of forks that have ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    began, spent = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - began, cpu() - spent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log.jsonl"
        first = FIRST + 1_000 * seed
        made = tasks(lambda: load(ENV), range(first, first + TASKS), TRIALS, experts={})
        backend = Transformers(*policy())
        records: list[bytes] = []

        def roll() -> None:
            for each in collect(backend, made, sampling=Sampling(), seed=(seed,), clock=None):
                records.append(encode(each) + b"\n")

        rolled, rolled_cpu = timed(roll)
        log.write_bytes(b"".join(records))
        source = of(log, decisions=DECISIONS)
        asked = Asked(DECISIONS, SAMPLES, seed, about=source.about)
        player = source.player(samples=SAMPLES, seed=seed)
        work = Replay(source.records, folder / "out", asked)
        left = work.budget()
        load_before = os.getloadavg()[0]
        piloted, piloted_cpu = timed(partial(work.pilot, player, time.monotonic))
        played, played_cpu = timed(partial(work.play, player, processes=PROCESSES))
        played, played_cpu = played + piloted, played_cpu + piloted_cpu
        judged, _ = timed(work.truth)
        result = work.truth()
    plain, each = rolled_cpu / len(records), played_cpu / left.continuations
    publish(
        "replay",
        [
            Ratio("minutes, all of it", (played + judged) / 60, 5.0, "at most",
                  f"{left.continuations:,} continuations, {PROCESSES} processes"),
            Ratio("CPU of a continuation / of a plain rollout", each / plain, 2.0, "at most",
                  f"{each * 1000:.1f} ms and {plain * 1000:.1f} ms"),
        ],
        seed=seed,
        decisions=len(work.chosen),
        continuations=left.continuations,
        tokens=result["cost"]["tokens"],
        seconds=round(played, 1),
        seconds_to_judge=round(judged, 1),
        cpu_seconds=round(played_cpu, 1),
        rollout_seconds=round(rolled, 2),
        load_before=round(load_before, 2),
        headline=result["headline"],
        verdicts=result["verdicts"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
