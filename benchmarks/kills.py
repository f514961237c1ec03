"""Kills a short training run at random moments; every resumed run must end with the same bytes.

    python benchmarks/kills.py --publish        100 kills (nine minutes), results/kills.json
    python benchmarks/kills.py --kills 10       what the tests run

A run is killed with SIGKILL, resumed, perhaps killed again, resumed to its end, and compared file
by file with a run that was left alone. timing.jsonl and LOCK are not compared: they hold clocks and
nothing. Children are forked from a process that has imported everything, so that kills fall into
training and not into imports; the moment is drawn from the time that a batch, its optimiser steps
and its checkpoint take, counted from the batch's first record, or from the start of the process.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
sys.path.insert(0, str(REPO))
FREE = ("timing.jsonl", "LOCK")
BATCH = 2
"""Optimiser steps between two batches, and between two checkpoints."""
SEED = 7


def digests(run: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file that must be the same."""
    files = sorted(path for path in run.rglob("*") if path.is_file())
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in FREE
    }


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after a batch's records are there, or after the start."""

    batch: Path | None
    seconds: float

    def has_begun(self) -> bool:
        return self.batch is None or self.batch.exists()


def in_child(work: Callable[[], object], *, kill: Moment | None = None) -> bool:
    """Runs `work` in a fork; returns whether it was killed before it ended."""
    child = os.fork()
    if child == 0:
        _only(work)
    began: float | None = None
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise SystemExit(f"kills: a run failed by itself, wait status {status}")
            return False
        if began is None and kill is not None and kill.has_begun():
            began = time.monotonic()
        if kill is not None and began is not None and time.monotonic() - began >= kill.seconds:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):  # it ended while the signal was on its way
                if status:
                    raise SystemExit(f"kills: a run failed by itself, wait status {status}")
                return False
            return True
        time.sleep(0.001)


def _only(work: Callable[[], object]) -> None:
    """Does the work, without its output, and leaves."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class Kills:
    """Runs under one configuration, killed and compared with one that was not."""

    def __init__(self, work: Path, steps: int, seed: int) -> None:
        from tests.runs import tiny

        from assay.runs.config import parsed

        self.work, self.steps, self.chance = work, steps, random.Random(seed)
        in_child(partial(tiny.policy, work / "policy"))
        tables = tiny.settings(work / "policy", steps=steps)
        tables["train"]["minibatches"] = BATCH
        tables["train"]["save_every"] = BATCH
        tables["recipe"]["safety"] = {
            "replay": {}, "entropy": {}, "back_off": {}, "preserve": 0.2, "all_fail": "bounded",
        }  # fmt: skip
        self.config = parsed(tables)
        self.kills = 0
        self.resumed: Counter[int] = Counter()

    def whole(self) -> Path:
        """Returns a run that was left alone, and notes how long its parts took."""
        from assay.runs.folder import Folder

        out = self.work / "whole"
        in_child(partial(self._start, out))
        spent = [row["seconds"] for row in Folder.open(out).rows("timing.jsonl")]
        self.begin_seconds, self.step_seconds = spent[0], sum(spent[1:]) / len(spent[1:])
        return out

    def _start(self, out: Path) -> None:
        from assay.runs import start as run

        run.start(self.config, out, seed=SEED)

    def killed(self, out: Path, most: int) -> Path:
        """Returns a run that was killed at least once, or that was quicker than the signal."""
        from assay.runs import checkpoint
        from assay.runs import start as run

        unfinished = True
        while unfinished:
            at, work = 0, self._start
            if out.exists():
                at, work = max(checkpoint.committed(out / "checkpoints"), default=0), run.resume
                self.resumed[at] += 1
            again = self.kills < most and (work == self._start or self.chance.random() < 0.6)
            unfinished = in_child(partial(work, out), kill=self._moment(out, at) if again else None)
            self.kills += unfinished
        return out

    def _moment(self, out: Path, at: int) -> Moment:
        batch = self.chance.choice([None, *range(at + 1, self.steps + 1, BATCH)])
        if batch is None:
            return Moment(None, self.chance.uniform(0.0, self.begin_seconds))
        longest = (BATCH + 0.5) * self.step_seconds
        return Moment(
            out / "rollouts" / f"step_{batch:06d}.jsonl", self.chance.uniform(0.0, longest)
        )


def measure(work: Path, kills: int, steps: int, seed: int) -> dict[str, Any]:
    """Returns how many runs were killed and how many of them ended otherwise."""
    from assay.runs.folder import Folder
    from assay.runs.ledger import check

    those = Kills(work, steps, seed)
    whole = those.whole()
    expected, totals = digests(whole), check(Folder.open(whole).rows("ledger.jsonl"))
    runs = different = prompts_wrong = 0
    files: Counter[str] = Counter()
    while those.kills < kills:
        out = those.killed(work / f"run-{runs}", kills)
        runs += 1
        found = digests(out)
        files.update(name for name, _ in found.items() ^ expected.items())
        different += found != expected
        prompts_wrong += check(Folder.open(out).rows("ledger.jsonl")) != totals
        shutil.rmtree(out)
    return {
        "schema": "assay.kills/1",
        "kills": those.kills,
        "runs": runs,
        "steps": steps,
        "files": len(expected),
        "different": different,
        "different_files": sorted(files),
        "prompts_lost_or_repeated": prompts_wrong,
        "resumed_from_step": {str(at): n for at, n in sorted(those.resumed.items())},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--publish", action="store_true", help="write results/kills.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    from tests.runs import tiny

    from assay.runs import loop
    from measure import Ratio, publish

    del loop, tiny  # imported for the children
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.chdir(work)  # in no git repository: a commit meanwhile would be another code.diff
        os.environ["PYTHONPATH"] = str(REPO)
        result = measure(work, options.kills, options.steps, options.seed)
        os.chdir(REPO)
    print(json.dumps(result))
    wrong = [Ratio(name, result[name], 0, "at most")
             for name in ("different", "prompts_lost_or_repeated")]  # fmt: skip
    if options.publish:
        publish("kills", wrong, **result, seconds=round(time.monotonic() - began, 1))
    raise SystemExit(0 if all(each.kept for each in wrong) else 1)


if __name__ == "__main__":
    main()
