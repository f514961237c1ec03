"""Who may import whom: packages in an order, and no loop between packages or between files.

Imports inside functions and those for type checking count like any other.
"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
FILES = sorted((SOURCE / "assay").rglob("*.py"))
ORDER = """
    errors
    files registry
    records
    kernels
    importers verify
    batch judges
    gate credit
    recipes
    pipeline
    audit signal
    report
    world policy
    rollout
    rescue feedback schedule cluster
    skills
    trainers
    runs
    exporters
    live
    api
    evaluate
    replay
    claims demo
    cli
"""
"""A package imports what stands on lines above its own, and itself. A package that is to come has
its place already."""
RANK = {name: rank for rank, line in enumerate(ORDER.split("\n")) for name in line.split()}
OUTSIDE = ("tools", "claims", "benchmarks", "tests", "examples")
NEVER = {
    "kernels": {"files", "registry", "records"},
    "trainers": {"world", "policy", "rollout"},
    "rescue": {"credit", "trainers"},
    "policy": {"evaluate", "rollout", "records", "world"},
    "world": {"policy", "rollout", "evaluate"},
    "rollout": {"evaluate", "trainers", "credit"},
}
"""Beside the order."""
KNOWN: set[tuple[str, str]] = set()
"""Imports of one file by another that are still against the order: they go, none is added."""


def name_of(path: Path) -> str:
    """assay.kernels.term for src/assay/kernels/term.py."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


VERSION = "assay.__version__"
"""The one thing that may be taken from the front door, which itself leads everywhere."""
MODULES = {name_of(path): path for path in FILES}


def package_of(module: str) -> str:
    """kernels for assay.kernels.term; '' for what is in none, as `python -m assay`."""
    below = module.removeprefix("assay").removeprefix(".").partition(".")[0]
    return "" if below == "__main__" else below


@cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of ours, or names of OUTSIDE, that a module imports by itself, at any depth."""
    found = set[str]()
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names} - {VERSION}
            found |= {name if name in MODULES else node.module for name in whole}
    return frozenset(name for name in found if name.split(".")[0] in ("assay", *OUTSIDE))


def edges() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        yield from ((module, other) for other in imports_of(module))


def allowed(module: str, other: str) -> bool:
    if other.split(".")[0] in OUTSIDE:
        return False
    here, there = package_of(module), package_of(other)
    if module.startswith("assay.trainers.verl") and not other.startswith("assay.trainers.verl"):
        return there in ("errors", "files", "records", "credit", "recipes", "signal")
    if here in ("", there):
        return True
    if not there:
        return False
    return RANK[there] < RANK[here] and there not in NEVER.get(here, ())


def test_every_package_has_a_place_in_the_order():
    assert {package_of(module) for module in MODULES} - {""} <= set(RANK)


def test_packages_import_what_stands_above_them():
    wrong = {(module, other) for module, other in edges() if not allowed(module, other)}
    assert wrong == KNOWN


def loop_in(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_files_import_each_other_in_a_loop():
    graph = {module: {o for o in imports_of(module) if o in MODULES} for module in MODULES}
    assert loop_in(graph) == []


def test_no_packages_import_each_other_in_a_loop():
    graph = {package_of(module): set[str]() for module in MODULES}
    for module, other in edges():
        if (module, other) not in KNOWN and package_of(other):
            graph[package_of(module)].add(package_of(other))
    assert loop_in({name: others - {name} for name, others in graph.items()}) == []


@pytest.mark.parametrize(
    ("module", "other", "may"),
    [
        ("assay.cli.train", "assay.runs.start", True),
        ("assay.kernels.term", "assay.batch", False),
        ("assay.gate", "assay.credit", False),  # neither stands above the other
        ("assay.rollout.chain", "assay.evaluate.curves", False),
        ("assay.rollout.chain", "assay.world", True),
        ("assay.demo.run", "tools.record", False),
        ("assay.trainers.trl.adapter", "assay.batch", True),
        ("assay.trainers.verl", "assay.batch", False),
        ("assay.__main__", "assay.cli", True),
        ("assay.runs.start", "assay", False),
    ],
)
def test_the_order_is_read_as_it_is_written(module: str, other: str, may: bool):
    assert allowed(module, other) == may
    assert loop_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
