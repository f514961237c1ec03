"""Writes the API reference from the docstrings, as pages to open.

    python tools/reference.py [--out build/reference]

Every public module but the command line, the demo, the experiments' runner and verl's side, which
have pages of their own in docs/. An annotation or a docstring that cannot be rendered is an error.
"""

import argparse
import pkgutil
import warnings
from collections.abc import Iterable
from pathlib import Path

import pdoc
import pdoc.render

import assay
from assay.trainers import trl

LEFT_OUT = ("assay.cli", "assay.demo", "assay.claims", "assay.trainers.verl", "assay.rollout.verl")


def modules() -> list[str]:
    """Returns the names of the modules that have a page."""
    found = pkgutil.walk_packages(assay.__path__, "assay.")
    names = ["assay", *(each.name for each in found)]
    return [n for n in names if "._" not in n and not n.startswith(LEFT_OUT)]


def write(names: Iterable[str], out: Path) -> None:
    """Writes the pages of some modules."""
    vars(trl)["AssayTrainer"] = trl.AssayTrainer  # loaded when asked for, and pdoc does not ask
    pdoc.render.configure(docformat="google", include_undocumented=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="pdoc")
        # a package that is also a public name, as assay.audit, is found twice
        warnings.filterwarnings("ignore", ".*has already been added.*")
        # array.array takes a type from Python 3.12 on; before, its annotations stay text
        warnings.filterwarnings("ignore", ".*'array.array' is not subscriptable.*")
        pdoc.pdoc(*names, output_directory=out)


def main() -> None:
    """Writes the pages and prints the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/reference"))
    out = parser.parse_args().out
    write(modules(), out)
    print(out / "index.html")


if __name__ == "__main__":
    main()
