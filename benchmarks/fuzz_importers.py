"""Coverage-guided fuzzing of the importers, with changes that get past the parser.

python benchmarks/fuzz_importers.py --format tau_bench --seconds 600
python benchmarks/fuzz_importers.py --format all --seconds 600 --jobs 2

Needs atheris (pip install atheris pyarrow). The seeds are tests/fixtures/FORMAT. A run fails on any
exception but `AssayError`, an error of several lines, a record that does not survive being written
and read, ten seconds for one file, or memory above ten times the file (and 48 MiB for what a
process takes anyway). What failed is kept beside the results, as fuzz-FORMAT.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "benchmarks")]

HANG = 10
SLACK = 48 << 20
RECOGNISE = 8
"""One file in so many is also given to all importers at once, to recognise."""


def fuzz(format: str, seconds: int, folder: Path, seed: int) -> None:
    """Runs in a process of its own, which atheris ends."""
    import atheris
    import pyarrow.parquet  # noqa: F401  # what it takes is not the file's

    with atheris.instrument_imports(include=["assay"]):
        from tests.fuzz.mutate import LONGEST, mutated
        from tests.fuzz.reading import check, slots

        from assay.importers import IMPORTERS
    for name in IMPORTERS.names():
        IMPORTERS.get(name)()
    found = slots(format, folder / "fixture")
    corpus = folder / "corpus"
    corpus.mkdir()
    for index, slot in enumerate(found):
        (corpus / f"seed-{index}").write_bytes(bytes([index]) + slot.content)
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        slot = found[data[0] % len(found)] if data else found[0]
        slot.file.write_bytes(data[1:])
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        check(slot.log, format)
        taken = memory("VmHWM") - before
        if taken > 10 * len(data) + SLACK:
            raise MemoryError(f"{taken:,} bytes for a file of {len(data):,}")
        if count % RECOGNISE == 0:
            check(slot.log, None)
        slot.file.write_bytes(slot.content)

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.25 or len(data) < 2:
            return atheris.Mutate(data, most)
        slot = rng.choice((data[0], rng.randrange(len(found))))
        content = data[1:] if slot == data[0] else found[slot].content
        return (bytes([slot]) + mutated(content, rng))[:most]

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST + 1}",
        f"-timeout={HANG}",
        "-rss_limit_mb=3072",
        f"-seed={seed}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=change)
    atheris.Fuzz()


def memory(field: str) -> int:
    """Returns bytes of this process: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


def run(format: str, seconds: int, seed: int, results: Path) -> dict[str, Any]:
    """Fuzzes one format in a fresh process and returns what came of it."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as name:
        command = [sys.executable, __file__, "--child", name, "--format", format]
        command += ["--seconds", str(seconds), "--seed", str(seed)]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=2 * seconds + 300,
            check=False,
        )
        said = done.stdout
        kept = None
        for broken in sorted(Path(name).iterdir()):
            if broken.name.startswith(("crash-", "timeout-", "oom-")):
                kept = results / f"fuzz-{format}"
                kept.write_bytes(broken.read_bytes())
    last = re.findall(r"^#\d+.*?cov: (\d+)", said, re.MULTILINE)
    ran = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    failure = None
    if done.returncode != 0 or kept is not None:
        shown = re.search(r"=== Uncaught Python exception: ===\n(.*)", said)
        failure = shown[1][:300] if shown else said.strip().splitlines()[-1][:300]
    return {
        "format": format,
        "seconds": seconds,
        "executions": int(ran[1]) if ran else 0,
        "edges": int(last[-1]) if last else 0,
        "failure": failure,
        "log": said[-3000:] if failure else "",
    }


def publish(rows: Iterable[dict[str, Any]], path: Path) -> bool:
    """Prints one line per format, adds them to the results, and returns whether all passed."""
    known = json.loads(path.read_text())["formats"] if path.is_file() else []
    merged = {row["format"]: row for row in known}
    passed = True
    for row in rows:
        verdict = "passed" if row["failure"] is None else f"FAILED: {row['failure']}"
        print(
            f"{row['format']:<16} {row['executions']:>9,} files  {row['edges']:>6,} edges  "
            f"{row['seconds']:>4} s  {verdict}",
            flush=True,
        )
        if row["log"]:
            print(row["log"], file=sys.stderr)
        passed &= row["failure"] is None
        merged[row["format"]] = {key: value for key, value in row.items() if key != "log"}
        document = {"benchmark": "fuzz", "formats": sorted(merged.values(), key=_name)}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return passed


def _name(row: dict[str, Any]) -> str:
    return row["format"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", required=True, help="a format, several with commas, or all")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        fuzz(asked.format, asked.seconds, asked.child, asked.seed)
        return
    from assay.importers import IMPORTERS

    formats = IMPORTERS.names() if asked.format == "all" else asked.format.split(",")
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    with ThreadPoolExecutor(asked.jobs) as pool:
        rows = pool.map(lambda name: run(name, asked.seconds, asked.seed, results), formats)
        passed = publish(rows, results / "fuzz.json")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    os.environ["PYTHONHASHSEED"] = "0"
    main()
