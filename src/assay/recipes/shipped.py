"""The recipes that ship, one TOML file each beside this one; `assay recipes` lists them."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from assay.errors import DataError, UnknownNameError, UsageError, hint
from assay.recipes.inlined import anchored


def shipped() -> list[str]:
    """Returns the names of the recipes that come with Assay."""
    folder = files("assay.recipes")
    found = (each.name for each in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml"))


def read(name: str) -> dict[str, Any]:
    """Returns the tables of a recipe: a TOML file, or one that ships, by its bare name. A rubric's
    file that it names is looked for beside it.

    Raises:
        UnknownNameError: neither exists; with the nearest name.
        UsageError: it is no TOML, or no UTF-8.
        DataError: it is the frozen configuration of a run, and was removed.
    """
    path = Path(name)
    bare = name.removesuffix(".toml")
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            where = f"byte {error.start}"
            raise UsageError(f"recipe {name}: not UTF-8 at {where}; save it as UTF-8") from None
    elif path.name == "config.toml" and (path.parent / "run.json").is_file():
        raise DataError(
            f"{path.parent}: the run has no config.toml, so nobody knows what it trained; "
            "restore it, or begin another run"
        )
    elif bare in shipped():
        text = (files("assay.recipes") / f"{bare}.toml").read_text(encoding="utf-8")
    else:
        known = shipped()
        file = ": no such file" if path.name != bare else ""
        raise UnknownNameError(
            f"no recipe {name!r}{file}.{hint(bare, known)} Shipped: {', '.join(known)}"
        )
    try:
        return anchored(tomllib.loads(text), path.parent)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {name}: {error}") from None
