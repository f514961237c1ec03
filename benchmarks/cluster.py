"""What 1,000 workers would come to, from what was measured here, and how far to believe it.

    python benchmarks/cluster.py --measure    # parameters and real runs, then the page: 5 minutes
    python benchmarks/cluster.py --cost       # what a million tokens cost, by part
    python benchmarks/cluster.py --again      # real runs of two processes once more
    python benchmarks/cluster.py              # the page alone, of results/cluster.json

Writes results/cluster.json, docs/cluster.md and docs/cluster.svg; exits 1 where a prediction is
further from a real run than TOLERANCES says. Parameters are measured one by one (cluster_measure);
real runs are of two and of four processes (cluster_run), one of which trains. Nothing is fitted to
a real run. What others took of the machine's cores meanwhile is written down beside each run.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from assay.cluster import History, Measured, Plan, simulate
from assay.files.atomic import publish as put
from cluster_page import page, picture

ROOT: Final = Path(__file__).parents[1]
RESULT: Final = ROOT / "benchmarks" / "results" / "cluster.json"
UPDATES, SKIP, SEEDS = 24, 4, 40
"""Of a real run and its predictions; the first updates do not count."""
GROUPS, SIZE, PIECE = 4, 8, 4
LOSSES: Final = ((2.0, 1), (9.0, 0))
"""Seconds, worker: killed then."""
CASES: Final[Mapping[str, dict[str, Any]]] = {
    "2, synchronous": {"workers": 1},
    "2, one version late": {"workers": 1, "staleness": 1},
    "4, synchronous": {"workers": 3},
    "4, one version late": {"workers": 3, "staleness": 1},
    "4, one version late, in order": {"workers": 3, "staleness": 1, "in_order": True},
    "4, two groups more": {"workers": 3, "extra": 2},
    "4, two workers killed": {"workers": 3},
}
"""Processes of a real run, one of which trains, and its plan."""
TOLERANCES: Final[Mapping[str, tuple[str, float]]] = {
    "tokens_per_second": ("share", 0.10),
    "worker_idle": ("difference", 0.08),
    "trainer_idle": ("difference", 0.08),
    "staleness_mean": ("difference", 0.20),
    "groups_dropped": ("difference", 0.08),
    "group_wait": ("share", 0.25),
    "trainer_wait": ("share", 0.25),
}
"""How far a prediction may be from a real run: as a share of what was measured, or as it is. Set
before the first run. Waits of less than `SHORT` seconds count as that much."""
SHORT: Final = 0.1


def plan_of(case: str) -> Plan:
    """Returns the plan of a case, on the cores of this machine."""
    given = {"groups": GROUPS, "size": SIZE, "piece": PIECE, "cores": len(os.sched_getaffinity(0))}
    return Plan(**{**given, **CASES[case]})


def losses_of(case: str) -> Sequence[tuple[float, int]]:
    """Returns which workers are killed, and when."""
    return LOSSES if case.endswith("killed") else ()


def real(case: str) -> tuple[History, float, float]:
    """Returns what happened, the share of the cores that others took, and the share of their busy
    time that our processes waited for a core."""
    from cluster_run import Cluster

    with tempfile.TemporaryDirectory() as name:
        cluster = Cluster(plan_of(case), Path(name))
        try:
            busy, own, began = _busy(), cluster.cpu_seconds(), time.perf_counter()
            queued = cluster.queued_seconds()
            history = cluster.run(UPDATES, losses_of(case))
            span = time.perf_counter() - began
            ours = cluster.cpu_seconds() - own
            foreign = (_busy() - busy - ours) / (span * (os.cpu_count() or 1))
            queued = cluster.queued_seconds() - queued
        finally:
            cluster.end()
    at_work = sum(e.ended - e.begun for e in (*history.pieces, *history.updates))
    return history, max(0.0, foreign), queued / at_work


def _busy() -> float:
    """Returns the seconds that the machine's cores were busy since it started."""
    fields = [*map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def predicted(case: str, measured: Measured) -> dict[str, list[float]]:
    """Returns mean and the interval in which 95 % of runs would lie, by quantity."""
    losses = losses_of(case)
    seen = [
        asdict(simulate(plan_of(case), measured, updates=UPDATES, seed=seed, losses=losses or None)
               .outcome(SKIP))
        for seed in range(SEEDS)
    ]  # fmt: skip
    found: dict[str, list[float]] = {}
    for name in TOLERANCES:
        values = np.array([each[name] for each in seen])
        low, high = np.quantile(values, [0.025, 0.975]).tolist()
        found[name] = [float(values.mean()), low, high]
    return found


def error(name: str, guess: float, seen: float) -> float:
    """Returns how far a prediction is off, in the tolerance's terms."""
    kind, _ = TOLERANCES[name]
    off = abs(guess - seen)
    if kind == "difference":
        return off
    return off / max(seen, SHORT if name.endswith("wait") else 1e-9)


def checked(measured: Measured) -> list[dict[str, Any]]:
    """Runs every case for real, and returns it beside its prediction."""
    rows: list[dict[str, Any]] = []
    for case in CASES:
        history, foreign, waited = real(case)
        outcome = asdict(history.outcome(SKIP))
        row = {"case": case, "foreign": foreign, "waited": waited, "seconds": outcome["seconds"]}
        row["measured"] = {name: outcome[name] for name in TOLERANCES}
        row["all"] = outcome
        rows.append(row)
        print(f"{case}: {outcome['seconds']:.1f} s, others {foreign:.0%}", flush=True)
    return rows


def again() -> list[dict[str, Any]]:
    """Runs the cases of two processes once more."""
    rows: list[dict[str, Any]] = []
    for case in (case for case in CASES if case.startswith("2,")):
        history, foreign, waited = real(case)
        speed = history.outcome(SKIP).tokens_per_second
        rows.append(
            {"case": case, "foreign": foreign, "waited": waited, "tokens_per_second": speed}
        )
    return rows


def verdicts(rows: Sequence[Mapping[str, Any]], measured: Measured) -> list[dict[str, Any]]:
    """Returns case, quantity, measured, predicted, error and whether it is kept."""
    found: list[dict[str, Any]] = []
    for row in rows:
        guesses = predicted(row["case"], measured)
        for name, (kind, most) in TOLERANCES.items():
            seen, (guess, low, high) = row["measured"][name], guesses[name]
            off = error(name, guess, seen)
            found.append(
                {"case": row["case"], "what": name, "measured": seen, "predicted": guess,
                 "low": low, "high": high, "error": off, "kind": kind, "most": most,
                 "kept": off <= most}
            )  # fmt: skip
    return found


def told(each: Mapping[str, Any]) -> str:
    """Returns one line of the check."""
    off = f"{each['error']:.1%}" if each["kind"] == "share" else f"{each['error']:.3f}"
    verdict = "kept" if each["kept"] else "MISSED"
    return (
        f"{each['case']:<32}{each['what']:<20}{each['measured']:10.3f}{each['predicted']:10.3f}"
        f" ({each['low']:.3f} to {each['high']:.3f})  off {off}  {verdict}"
    )


def cost_lines(cost: Mapping[str, float]) -> Iterator[str]:
    """Yields seconds per million tokens and share of each part."""
    whole = sum(cost.values())
    for name, seconds in cost.items():
        yield f"{name:<28}{seconds:10.2f} s{seconds / whole:10.2%}"
    yield f"{'all':<28}{whole:10.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    if args.measure or args.cost:
        from cluster_measure import all_of_it

        with tempfile.TemporaryDirectory() as name:
            measured, facts = all_of_it(Path(name))
        print("\n".join(cost_lines(facts["cost"])), flush=True)
        if args.cost:
            return
        rows = checked(measured)
        document = {"updates": UPDATES, "skip": SKIP, "measured": asdict(measured)}
        document |= {"facts": facts, "runs": rows}
        put(RESULT, json.dumps(document, indent=1).encode() + b"\n")
    document = json.loads(RESULT.read_text())
    if args.again:
        document["again"] = again()
        put(RESULT, json.dumps(document, indent=1).encode() + b"\n")
    measured = Measured(**document["measured"])
    found = verdicts(document["runs"], measured)
    print("\n".join(map(told, found)))
    put(ROOT / "docs" / "cluster.svg", picture(measured))
    put(ROOT / "docs" / "cluster.md", page(document, found, measured).encode())
    sys.exit(0 if all(each["kept"] for each in found) else 1)


if __name__ == "__main__":
    main()
