"""A bank as folders that coding agents read: NAME/SKILL.md, with its name and when to use it."""

import re
from json import dumps
from pathlib import Path
from typing import Final

from assay.errors import UsageError
from assay.files.folders import whole
from assay.skills.bank import Bank
from assay.skills.block import plain
from assay.skills.skill import Skill
from assay.skills.store import is_bank

_NAME: Final = 64
_DESCRIPTION: Final = 1024
_NAMED: Final = 4
"""Trajectories that a page names."""
_PAGE: Final = """---
name: {name}
description: {description}
---

{principle}
{more}
From: {evidence}
"""


def export(bank: Bank, out: Path) -> list[str]:
    """Writes a folder for each active skill; returns their names.

    Folders of the bank's other skills, which an earlier export left, go; all else in `out` stays,
    such as skills of the agent's own.

    Raises:
        UsageError: the current folder is in what would be replaced; `out` is a bank, or a file.
        DataError: it cannot be written.
    """
    if is_bank(out) or (out.exists() and not out.is_dir()):
        what = "is a bank" if is_bank(out) else "is no folder"
        raise UsageError(f"{out}: {what}, which an export must not replace; choose another --out")
    names = [name_of(each) for each in bank.active]
    ids = {each.id for each in bank.skills}
    there = [each.name for each in out.iterdir()] if out.is_dir() else []
    made = {*names, *(name for name in there if name.rpartition("-")[2] in ids)}
    with whole(out, made=made) as fresh:
        for name, each in zip(names, bank.active, strict=True):
            (fresh / name).mkdir()
            (fresh / name / "SKILL.md").write_text(page(each), encoding="utf-8")
    return names


def name_of(skill: Skill) -> str:
    """Returns a name of small letters, digits and hyphens, its id at the end."""
    words = re.sub(r"[^a-z0-9]+", "-", (skill.title or skill.kind).casefold()).strip("-")
    return f"{words[: _NAME - len(skill.id) - 1].rstrip('-')}-{skill.id}".strip("-")


def page(skill: Skill) -> str:
    """Returns SKILL.md: texts of skills stand in it on a line each, and open no front matter."""
    use = f"Tasks like: {plain(skill.when)}" if skill.when else "All tasks."
    more = f"\nNot: {plain(skill.avoid)}\n" if skill.avoid else ""
    return _PAGE.format(
        name=name_of(skill),
        description=dumps(f"{plain(skill.title) or skill.kind}. {use}"[:_DESCRIPTION]),
        principle=plain(skill.principle),
        more=more,
        evidence=_evidence(skill),
    )


def _evidence(skill: Skill) -> str:
    said = [plain(each.trajectory) for each in skill.evidence[:_NAMED]]
    more = skill.support - len(said)
    return ", ".join([*said, *([f"and {more:,} more"] if more else [])]) or "nobody"
