"""The report of 10,000 generated trajectories in headless Chromium, against its budgets.

    python benchmarks/viewer.py

Measured as a person meets it: the file opened from disk, pages reached by their addresses. A page
counts as there when it has been drawn and the browser has had two more frames. Load, first table
and heat-map are the best of three fresh openings, what is opened later the slowest of all.
"""

import os
import random
import resource
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from assay.records import ModelStep, Trajectory, write
from assay.runs.audit import audit_log
from generate import write_set
from measure import Ratio, parser, publish

COUNT, OPENED, LONG, BEST_OF = 10_000, 40, 32_000, 3
LAYERS = ("rl_zvp", "grpo")
"""Methods that the heat-map is drawn by: one value per token, and one value for all of them."""
CHROMIUM = os.environ.get("ASSAY_CHROMIUM", "/usr/bin/chromium")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]

GO = """async ([hash, mark]) => {
  performance.clearMarks(mark);
  const start = performance.now();
  location.hash = hash;
  while (!performance.getEntriesByName(mark).length) await new Promise((r) => setTimeout(r, 1));
  await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
  return performance.now() - start;
}"""
DRAWN = """async () => {
  while (!performance.getEntriesByName("assay:drawn").length)
    await new Promise((done) => setTimeout(done, 1));
}"""


def go(page: Page, address: str, mark: str = "assay:drawn") -> float:
    """Returns the milliseconds from the click to the drawn page."""
    return page.evaluate(GO, [address, mark])


def opened(page: Page, path: Path) -> tuple[float, float]:
    """Returns seconds from the address to the loaded file, and to its first table."""
    start = time.perf_counter()
    page.goto(path.as_uri(), wait_until="load")
    page.evaluate(DRAWN)
    whole = time.perf_counter() - start
    return whole, page.evaluate("performance.getEntriesByName('assay:drawn')[0].startTime") / 1000


def heap(page: Page) -> float:
    """Returns the megabytes of JavaScript's heap after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize") / 2**20


def bush(leaves: int, depth: int) -> list[Trajectory]:
    """Returns leaves that part after one step, each of `depth` steps of its own."""
    first = ModelStep(text="so", node="a")
    own = [[ModelStep(text="so", node=f"{n}.{i}") for i in range(depth)] for n in range(leaves)]
    name = {"task": "b", "group": "b", "tree": "b"}
    return [
        Trajectory(id=f"b/{n}", **name, outcome=float(n % 2), steps=(first, *steps))
        for n, steps in enumerate(own)
    ]


def main() -> None:
    parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        logs = folder / "many.jsonl", folder / "tokens.jsonl"
        write_set(logs[0], COUNT)
        write_set(logs[1], 64, long=LONG)
        start = time.perf_counter()
        audit_log(logs[0], out=folder / "many")
        built = time.perf_counter() - start
        audit_log(logs[1], out=folder / "tokens")
        raw, page_file = logs[0].stat().st_size, folder / "many" / "report.html"
        page_bytes = page_file.stat().st_size
        twin_bytes = page_file.with_suffix(".json").stat().st_size
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        loads, tables = [], []
        for _ in range(BEST_OF):
            loads.append(opened(page, page_file))
            tables.append(go(page, "#/groups", "assay:groups"))
        (load, first), table = min(loads), min(tables)
        rng = random.Random(0)
        opens = [go(page, f"#/trajectory/{rng.randrange(COUNT)}") for _ in range(OPENED)]
        groups = [go(page, f"#/group/{rng.randrange(COUNT // 8)}") for _ in range(10)]
        used = heap(page)
        heat, elements = {}, {}
        for name in LAYERS * BEST_OF:
            opened(page, folder / "tokens" / "report.html")
            spent = go(page, f"#/trajectory/0?method={name}&step=2", "assay:heat")
            heat[name] = min(spent, heat.get(name, spent))
            elements[name] = page.locator(".strip.long .run").count()
        trees = {}
        for leaves, depth in ((1000, 10), (2, 5000)):
            write(folder / f"{leaves}.jsonl", bush(leaves, depth))
            audit_log(folder / f"{leaves}.jsonl", out=folder / f"{leaves}")
            opened(page, folder / f"{leaves}" / "report.html")
            trees[leaves] = go(page, "#/tree/0?beside=rloo")
        browser.close()
    share = page_bytes / raw
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    publish(
        "viewer",
        [
            Ratio("file / raw records", share, 0.4, "at most", f"{page_bytes / 1e6:.1f} MB"),
            Ratio("load / 2 s, first table included", load / 2.0, 1, "at most", f"{load:.2f} s"),
            Ratio("first table of groups / 100 ms", table / 100, 1, "at most", f"{table:.0f} ms"),
            Ratio(f"slowest of {OPENED} trajectories / 250 ms", max(opens) / 250, 1, "at most",
                  f"{max(opens):.0f} ms, median {statistics.median(opens):.0f}"),
            Ratio("slowest of 10 groups / 250 ms", max(groups) / 250, 1, "at most",
                  f"{max(groups):.0f} ms"),
            Ratio("heat-map of 32k tokens / 300 ms", max(heat.values()) / 300, 1, "at most",
                  ", ".join(f"{name} {spent:.0f} ms" for name, spent in heat.items())),
            Ratio("tree of 10,000 nodes / 2 s", max(trees.values()) / 2000, 1, "at most",
                  ", ".join(f"{leaves} leaves {spent:.0f} ms" for leaves, spent in trees.items())),
            Ratio("JavaScript heap / 100 MB", used / 100, 1, "at most", f"{used:.1f} MB"),
        ],
        trajectories=COUNT,
        raw_megabytes=raw / 1e6,
        file_megabytes=page_bytes / 1e6,
        twin_megabytes=twin_bytes / 1e6,
        seconds_to_first_paint_of_numbers=first,
        seconds_of_audit_and_report=built,
        peak_megabytes_of_audit_and_report=peak / 1024,
        elements_of_heat_map=elements,
        milliseconds_to_open=sorted(opens),
        milliseconds_of_heat_map=heat,
        milliseconds_of_trees=trees,
    )  # fmt: skip


if __name__ == "__main__":
    main()
