"""How long `import assay` and the command line's start take, in fresh processes.

python benchmarks/imports.py
"""

import subprocess
import sys

from measure import Ratio, best, parser, publish


def fresh(code: str) -> float:
    """Returns the best wall time of a fresh interpreter running `code`, less an empty one's."""

    def run(source: str) -> None:
        subprocess.run([sys.executable, "-c", source], check=True)

    return best(lambda: run(code), repeat=9) - best(lambda: run("pass"), repeat=9)


def main() -> None:
    parser(__doc__).parse_args()
    package = fresh("import assay")
    pipeline = fresh("import assay.pipeline")
    command = fresh("import assay.cli.verbs")
    clean = subprocess.run(
        [sys.executable, "-c", "import sys, assay.cli.verbs; print('torch' in sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    publish(
        "imports",
        [
            Ratio("import assay (s)", package, 0.3, "at most"),
            Ratio("import assay.pipeline (s)", pipeline, 0.3, "at most"),
            Ratio("import assay.cli (s)", command, 0.5, "at most"),
            Ratio("torch loaded by assay.cli", float(clean == "True"), 0.0, "at most"),
        ],
    )


if __name__ == "__main__":
    main()
