"""Files that a rubric names: read once, and from then on part of the recipe.

    [recipe.rubric]
    file = "rubric.toml"           # as `assay rubric check` reads it; relative to the recipe's file
    dense = "judge:grm"
    trust = { "judge:grm" = "judge.json" }     # as `assay judge test -o` writes it
    [[recipe.rubric.items]]        # beside it, and behind it
    ...

What a run writes down, hashes and resumes with are the items, and what a test found of a judge;
not the name of a file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import to_builtins

from assay.errors import UsageError
from assay.judges.rubric import failed, items_of, plain, read_rubric
from assay.judges.tested import trust_of

_KEY: Final = "file"
_TRUST: Final = "trust"


def anchored(tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the tables of a recipe whose files of items and of tests are looked for in `folder`,
    unless their names are absolute."""
    rubric = dict(_rubric(tables.get("recipe")))
    if isinstance(name := rubric.get(_KEY), str):
        rubric[_KEY] = str(folder / name)
    if isinstance(tests := rubric.get(_TRUST), Mapping):
        rubric[_TRUST] = {
            name: str(folder / path) if isinstance(path, str) else path
            for name, path in tests.items()
        }
    if rubric.keys().isdisjoint((_KEY, _TRUST)):
        return dict(tables)
    return {**tables, "recipe": {**tables["recipe"], "rubric": rubric}}


def with_file(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the table [recipe] with the items of `rubric.file` before its own, and with what the
    tests of `rubric.trust` found, in place of the names; as it is where no file is named.

    Raises:
        UsageError: no name, a file that is no rubric (`judges.rubric.read_rubric`), or a reference
            of it that fails an item beside it.
        DataError: what is no test of a judge.
    """
    rubric = _rubric(recipe)
    if isinstance(tests := rubric.get(_TRUST), Mapping):
        found = {
            name: to_builtins(trust_of(Path(path))) if isinstance(path, str) else path
            for name, path in tests.items()
        }
        rubric = {**rubric, _TRUST: found}
        recipe = {**recipe, "rubric": rubric}
    if _KEY not in rubric:
        return dict(recipe)
    name = rubric[_KEY]
    if not isinstance(name, str) or not name:
        raise UsageError(f"recipe.rubric.file: got {name!r}; expected the name of a file")
    found, reference = read_rubric(Path(name))
    own = items_of(rubric.get("items", ()), "recipe.rubric.items")
    both = items_of((*found, *own), "recipe.rubric.items")
    if reference is not None and (lost := failed(own, reference)):
        raise UsageError(
            f"recipe.rubric.items: the reference answer of {name} fails "
            f"{', '.join(map(repr, lost))}; an item that a right answer fails vetoes right "
            "answers: change the item"
        )
    rest = {key: value for key, value in rubric.items() if key != _KEY}
    return {**recipe, "rubric": {**rest, "items": [*map(plain, both)]}}


def _rubric(recipe: Any) -> Mapping[str, Any]:
    rubric = recipe.get("rubric") if isinstance(recipe, Mapping) else None
    return rubric if isinstance(rubric, Mapping) else {}
