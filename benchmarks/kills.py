"""Kills a short training run at random moments; every resumed run must end with the same bytes.

    python benchmarks/kills.py                  100 kills (about ten minutes)
    python benchmarks/kills.py --kills 10       what the tests run

A run is killed with SIGKILL, resumed, perhaps killed again, resumed to its end, and compared file
by file with a run that was left alone. timing.jsonl and LOCK are not compared: they hold clocks and
nothing. Children are forked from a process that has imported everything, so that kills fall into
training and not into imports.
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
from collections.abc import Callable
from functools import partial
from pathlib import Path

REPO = Path(__file__).parents[1]
sys.path.insert(0, str(REPO))
FREE = ("timing.jsonl", "LOCK")


def digests(run: Path) -> dict[str, str]:
    files = sorted(path for path in run.rglob("*") if path.is_file())
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in FREE
    }


def in_child(work: Callable[[], object], *, kill_after: float | None) -> bool:
    """Runs `work` in a fork; returns whether it was killed before it ended."""
    child = os.fork()
    if child == 0:
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
    began = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.WIFEXITED(status) and os.WEXITSTATUS(status):
                raise SystemExit("kills: a run failed by itself")
            return False
        if kill_after is not None and time.monotonic() - began >= kill_after:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True
        time.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    from tests.runs import tiny

    from assay.train import loop, run
    from assay.train.config import parsed
    from assay.train.folder import Folder
    from assay.train.ledger import check

    del loop
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.chdir(work)  # in no git repository: a commit meanwhile would be another code.diff
        os.environ["PYTHONPATH"] = str(REPO)
        in_child(partial(tiny.policy, work / "policy"), kill_after=None)
        tables = tiny.settings(work / "policy", steps=options.steps)
        tables["train"]["minibatches"] = 2
        tables["train"]["save_every"] = 2
        tables["recipe"]["safety"] = {
            "replay": {}, "entropy": {}, "back_off": {}, "preserve": 0.2, "all_fail": "bounded",
        }  # fmt: skip
        config = parsed(tables)

        def start(out: Path) -> None:
            run.start(config, out, seed=7)

        began = time.monotonic()
        in_child(partial(start, work / "whole"), kill_after=None)
        seconds = time.monotonic() - began
        expected = digests(work / "whole")
        totals = check(Folder.open(work / "whole").rows("ledger.jsonl"))
        kills = different = runs = prompts_wrong = 0
        while kills < options.kills:
            out = work / f"run-{runs}"
            runs += 1
            killed = True
            while killed:
                resuming = out.exists()
                again = kills < options.kills and (not resuming or chance.random() < 0.5)
                after = chance.uniform(0.0, seconds) if again else None
                killed = in_child(partial(run.resume if resuming else start, out), kill_after=after)
                kills += killed
            different += digests(out) != expected
            prompts_wrong += check(Folder.open(out).rows("ledger.jsonl")) != totals
            shutil.rmtree(out)
    result = {
        "schema": "assay.kills/1",
        "kills": kills,
        "runs": runs,
        "files": len(expected),
        "different": different,
        "prompts_lost_or_repeated": prompts_wrong,
        "seconds_uninterrupted": round(seconds, 2),
    }
    print(json.dumps(result))
    raise SystemExit(1 if different or prompts_wrong else 0)


if __name__ == "__main__":
    main()
