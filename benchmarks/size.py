"""How large the package is: lines of Python per package, and the wheel's size and files.

    python benchmarks/size.py                     of this checkout
    python benchmarks/size.py --old ../before     and of another one beside it
    python benchmarks/size.py --wheel             builds the wheels too: needs the registry once

Exit code 1: a package has more than `MOST` of the lines.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 0.15
"""Share of the lines that one package may have."""
NEW = (
    *(f"rollout/protocols/{name}.py" for name in ("chat", "known", "syntax", "template")),
    *(f"world/adapters/{name}.py" for name in ("episode", "masters", "scienceworld", "textarena")),
    *("trainers/losses.py", "trainers/trl/compatibility.py", "signal/losses.py"),
    *("api.py", "audit/punished.py", "credit/hgpo.py", "runs/sampling.py"),
)
"""Files that hold nothing but what the old build of 28 November had not: agents that talk by their
chat template, environments of other libraries, engines in `assay train`, loss terms, older releases
of TRL, public names, the split of punished calls, a method."""


def lines(checkout: Path) -> Counter[str]:
    """Lines of Python by package of src/assay; files beside the packages count as one."""
    source, found = checkout / "src" / "assay", Counter[str]()
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).parts
        found[parts[0] if len(parts) > 1 else "(no package)"] += len(path.read_bytes().splitlines())
    return found


def outside(checkout: Path) -> dict[str, int]:
    """Lines of Python in the folders that the wheel leaves out."""
    return {
        name: sum(len(p.read_bytes().splitlines()) for p in (checkout / name).rglob("*.py"))
        for name in ("claims", "tools", "benchmarks", "tests")
        if (checkout / name).is_dir()
    }


def wheel(checkout: Path) -> tuple[int, int, int]:
    """Bytes of the wheel, bytes of its files unpacked, how many files it has."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder]
        subprocess.run([*command, str(checkout)], check=True)
        (path,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            inside = archive.infolist()
            stray = [i.filename for i in inside if not i.filename.startswith(("assay/", "assay-"))]
            if stray:
                raise SystemExit(f"{path.name}: holds more than src/assay: {stray[:5]}")
            return path.stat().st_size, sum(i.file_size for i in inside), len(inside)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--old", type=Path, help="another checkout, shown beside this one")
    parser.add_argument("--wheel", action="store_true", help="build the wheels and measure them")
    asked = parser.parse_args()
    checkouts = [ROOT, *([asked.old] if asked.old else [])]
    counts = [lines(each) for each in checkouts]
    print(
        f"{'lines in src/assay':<22}" + "".join(f"{c:>10}" for c in ("now", "old")[: len(counts)])
    )
    for name in sorted(set().union(*counts), key=lambda name: -counts[0][name]):
        print(f"  {name:<20}" + "".join(f"{count[name]:>10,}" for count in counts))
    totals = [count.total() for count in counts]
    print(f"  {'all':<20}" + "".join(f"{total:>10,}" for total in totals))
    if asked.old:
        print(f"  {totals[0] / totals[1] - 1:+.1%} against the old one")
        source = ROOT / "src" / "assay"
        new = sum(len((source / name).read_bytes().splitlines()) for name in NEW)
        print(f"  {(totals[0] - new) / totals[1] - 1:+.1%} without {new:,} lines of new features")
    for name in ("claims", "tools", "benchmarks", "tests"):
        print(f"{name:<22}" + "".join(f"{outside(each).get(name, 0):>10,}" for each in checkouts))
    if asked.wheel:
        for name, each in zip(("now", "old"), checkouts, strict=False):
            packed, whole, files = wheel(each)
            print(f"wheel, {name}: {packed:,} bytes, {whole:,} unpacked, {files} files")
    largest, most = counts[0].most_common(1)[0]
    print(f"largest: {largest}, {most / totals[0]:.1%}; budget {MOST:.0%}")
    return int(most / totals[0] > MOST)


if __name__ == "__main__":
    sys.exit(main())
