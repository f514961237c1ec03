"""The examples of docs/world.md are run as they stand, and its tables say what the code says."""

import re
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli import world as verbs
from assay.rollout.recording import solve
from assay.world import BUILT_IN, LEVELS, load

DOC = (Path(__file__).parents[2] / "docs" / "world.md").read_text("utf-8")
FIND, BLACKJACK = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)


@pytest.fixture
def find(tmp_path, monkeypatch):
    """The example as a module `find`, saved and imported as the document says."""
    (tmp_path / "find.py").write_text(FIND)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("find")
    del sys.modules["find"]


def test_the_example_is_fit_to_train_on_and_the_check_prints_what_the_document_says(find):
    (said,) = re.findall(r"\$ assay world check find:Find\n(.*?)\n\$", DOC, re.DOTALL)
    done = CliRunner().invoke(verbs.app, ["check", "find:Find"])
    assert done.exit_code == 0
    assert done.output.strip().splitlines() == said.splitlines()


def test_the_expert_of_the_example_halves(find):
    # 100 numbers: 6 halvings leave 2 at most (100, 50, 25, 13, 7, 4, 2), a seventh one, then "="
    lengths = [len(solve(load("find:Find"), seed) or ()) for seed in range(50)]
    assert max(lengths) == 8
    assert min(lengths) >= 7


def test_the_two_methods_that_are_required_take_under_thirty_lines():
    body = FIND[FIND.index("    def reset") : FIND.index("    def best")]
    assert len([line for line in body.splitlines() if line.strip()]) < 30


def test_the_adapted_environment_of_the_document_plays():
    pytest.importorskip("gymnasium", reason="needs the extra assay[train]")
    names: dict = {}
    exec(compile(textwrap.dedent(BLACKJACK), "docs/world.md", "exec"), names)
    environment = names["Blackjack"]()
    for seed in range(20):
        assert environment.reset(seed).startswith("mine ")
        reply = environment.step("stick\n")
        assert (reply.done, reply.score in (0.0, 1.0)) == (True, True)


def test_every_level_stands_in_the_document_with_its_dials():
    table = DOC[DOC.index("| family | more dials") : DOC.index("## Protocol")]
    for name in BUILT_IN:
        cells = next(row for row in table.splitlines() if row.startswith(f"| `{name}`")).split("|")
        for level, cell in zip(("even", "hard", "dead"), cells[3:6], strict=True):
            dials = LEVELS[name][level]
            expected = " ".join(f"{dial}={str(value).lower()}" for dial, value in dials.items())
            assert cell.strip() == f"`{expected}`"
