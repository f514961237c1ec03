"""docs/cli.md lists every verb, and every option of each, and no other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from assay.cli.verbs import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE))
SHARED = SECTIONS["Options that several verbs share"]


def verbs_of(command: Any, name: str = "") -> dict[str, Any]:
    """Every verb that does something, by its name: "audit", "world play"."""
    if not hasattr(command, "commands"):
        return {name: command}
    found: dict[str, Any] = {}
    for key, inner in command.commands.items():
        found |= verbs_of(inner, f"{name} {key}".strip())
    return found


VERBS = verbs_of(get_command(app))


def rows(text: str) -> list[list[str]]:
    """Cells of every row of the tables of a text."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`(--[a-z][a-z-]*)", cell))


def taken(verb: str) -> dict[str, set[str]]:
    """Options of a verb, each with all its names of two dashes."""
    found: dict[str, set[str]] = {}
    for each in VERBS[verb].params:
        spelled = {o for o in (*each.opts, *each.secondary_opts) if o.startswith("--")}
        if spelled and each.name != "help":
            found[each.name] = spelled
    return found


def listed(verb: str) -> set[str]:
    """Options that the page has of a verb: in its section, or among those that are shared."""
    head, _, tail = verb.partition(" ")
    found: set[str] = set()
    for cells in rows(SECTIONS[head]):
        if not tail:
            found |= names(cells[0])
        elif len(cells) > 1 and (cells[0] == "all" or tail in cells[0].split(", ")):
            found |= names(cells[1])
    for cells in rows(SHARED):
        if verb in cells[1].split(", "):
            found |= names(cells[0])
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_listed_and_no_other(verb: str):
    options = taken(verb)
    assert [name for name, spelled in options.items() if not spelled & listed(verb)] == []
    assert listed(verb) - {one for spelled in options.values() for one in spelled} == set()


def test_every_verb_is_in_the_first_table():
    first = PAGE[: PAGE.index("## ")]
    assert re.findall(r"^\| \[([a-z ]+)\]", first, re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize("cells", rows(SHARED)[1:], ids=lambda cells: cells[0])
def test_what_is_shared_is_of_verbs(cells: list[str]):
    assert set(cells[1].split(", ")) <= set(VERBS)


def test_every_extra_is_in_the_table():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = {name for cells in rows(SECTIONS["Extras"]) for name in re.findall(r"`(\w+)`", cells[0])}
    assert told == set(extras["optional-dependencies"])
