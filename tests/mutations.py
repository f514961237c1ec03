"""Breaks the code one line at a time and reports whether its tests notice.

    python tests/mutations.py               # every file of mutations.toml
    python tests/mutations.py credit units  # a package, a file

Works on a copy, so the tree is never touched. Tests whose expected values are worked out by hand
run first, the whole folder of the package only where those did not notice; types and shapes are
not checked, so that values must tell. Exits 1 if a mutation survives, or if a line of the table
is no longer there.
"""

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script: its package `signal` is not Python's

import os
import re
import resource
import shutil
import signal
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import beartype  # noqa: F401 - imported here so that no fork has to
import hypothesis.strategies  # noqa: F401
import jaxtyping  # noqa: F401
import msgspec  # noqa: F401
import numpy as np  # noqa: F401
import pytest

ROOT = Path(__file__).parents[1]
TABLE: dict[str, Any] = tomllib.loads((ROOT / "tests" / "mutations.toml").read_text("utf-8"))
LONGEST = 900
"""Seconds of a core after which tests are taken for endless."""
COPIED = ("src", "tests", "docs", "examples", "pyproject.toml")


def broken(name: str) -> Iterator[tuple[str, str]]:
    """Yields, per mutation of a file, what it says in words and the broken text of the file."""
    whole = (ROOT / "src" / "assay" / f"{name}.py").read_text("utf-8")
    for *where, old, new in TABLE[name]["lines"]:
        start, end = 0, len(whole)
        if where:  # inside one class or function: up to the next one
            block = rf"^(?:class|def) {where[0]}\b.*?(?=^(?:@|class|def)|\Z)"
            found = re.search(block, whole, re.DOTALL | re.MULTILINE)
            start, end = found.span() if found else (0, 0)
        if (count := whole.count(old, start, end)) != 1:
            sys.exit(f"{name}: {old!r} occurs {count} times in {where or 'it'}; expected once")
        text = whole[:start] + whole[start:end].replace(old, new) + whole[end:]
        compile(text, name, "exec")
        yield " ".join([*where, *old.split(), "  -> ", *new.split()]), text


def noticed(copy: Path, tests: tuple[str, ...]) -> bool:
    """Returns whether a test of these files fails on the copy.

    In a fork of this process, which has imported what tests need and nothing of assay. Code that
    makes it compute for ever is noticed too: a property test would go on after its time is over.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST + 5))
            code = _run(copy, tests)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1, -signal.SIGXCPU):
        sys.exit(f"pytest ended with {code} on {' '.join(tests)}")
    return code != 0


def _run(copy: Path, tests: tuple[str, ...]) -> int:
    """Runs the tests on the copy, in silence; returns pytest's exit code."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(copy)
    sys.path[:0] = [str(copy / "src"), str(copy)]
    sys.dont_write_bytecode = True
    options = ["-xq", "--assert=plain", "-p", "no:cacheprovider", "-o", "addopts="]
    return pytest.main([*options, "-m", "not slow and not shared_data", *tests])


def tests_of(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the tests that must notice: those by hand, and all of the package."""
    folder, row = f"tests/{name.split('/')[0]}", TABLE[name]
    by_hand = tuple(f"{folder}/{each}.py" for each in row["tests"])
    return by_hand, (folder,) if row.get("folder", True) else ()


def main(asked: list[str]) -> int:
    """Prints one line per mutation and a count per file; returns how many survived."""
    names = [name for name in TABLE if not asked or {name, *name.split("/")} & {*asked}]
    mutations = {name: list(broken(name)) for name in names}
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for each in COPIED:
            if (ROOT / each).is_dir():
                skipped = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / each, copy / each, ignore=skipped)
            else:
                shutil.copy(ROOT / each, copy)
        for tests in dict.fromkeys(each for name in names for each in tests_of(name) if each):
            if noticed(copy, tests):
                sys.exit(f"{' '.join(tests)} fails before anything is broken")
        for name in names:
            alive = 0
            for said, text in mutations[name]:
                fate = mutate(copy, name, text)
                alive += fate == "SURVIVED"
                print(f"{fate:9} {name:18} {said}", flush=True)
            survived += alive
            total = len(mutations[name])
            print(f"{name}: {total - alive}/{total} red", flush=True)
    total = sum(map(len, mutations.values()))
    print(f"{total - survived}/{total} red in all")
    return survived


def mutate(copy: Path, name: str, text: str) -> str:
    """Returns "by hand", "by law" or "SURVIVED" for one broken text of a file."""
    path = copy / "src" / "assay" / f"{name}.py"
    whole = path.read_text("utf-8")
    path.write_text(text, "utf-8")
    by_hand, all_of_them = tests_of(name)
    try:
        if noticed(copy, by_hand):
            return "by hand"
        return "by law" if all_of_them and noticed(copy, all_of_them) else "SURVIVED"
    finally:
        path.write_text(whole, "utf-8")


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
