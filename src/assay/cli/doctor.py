"""`assay doctor`: what is installed, what works, and what to do about the rest."""

import platform
import sqlite3
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from assay.cli.options import Json, emit_one
from assay.errors import UsageError, imported

_EXTRAS = {
    "core": ("numpy", "msgspec", "typer", "rich", "jaxtyping", "zstandard"),
    "train": ("torch", "transformers", "trl", "accelerate", "peft", "datasets"),
    "verl": ("verl", "ray"),
    "live": ("starlette", "uvicorn", "aiohttp"),
    "parquet": ("pyarrow",),
    "skills": ("bm25s",),
    "embeddings": ("wordllama",),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
}
_TESTED = {"trl": "1.16.0", "transformers": "5.23.0", "torch": "2.13.0", "verl": "0.9.1"}
_SAFE_SQLITE = (3, 51, 3)


def doctor(
    what: Annotated[
        str | None, typer.Argument(help="verl: is the plug-in in every Ray process?")
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", help="With verl: a cluster; left out, one here.")
    ] = None,
    json: Json = None,
) -> None:
    """Checks the installation.

    Says what is there, which versions were tested, and what to install.
    """
    if what == "verl":
        _verl(ray, json)
        return
    if what is not None or ray is not None:
        raise UsageError(f"doctor {what or '--ray'}: expected verl, or nothing")
    found = {extra: {name: _version(name) for name in names} for extra, names in _EXTRAS.items()}
    advice = _advice(found)
    if json is not None:
        emit_one({"schema": "assay.doctor/1", "packages": found, "advice": advice}, json)
    else:
        typer.echo(f"python {platform.python_version()} on {platform.machine()}")
        for extra, packages in found.items():
            line = ", ".join(f"{name} {number or '-'}" for name, number in packages.items())
            typer.echo(f"{extra:<10} {line}")
        for sentence in advice:
            typer.echo(f"! {sentence}")
    if any(number is None for number in found["core"].values()) or sys.version_info < (3, 11):
        raise typer.Exit(3)


def _verl(address: str | None, json: str | None) -> None:
    """Asks a fresh process of each node whether verl loads the plug-in there."""
    processes: Any = imported("assay.trainers.verl.processes", extra="verl", to="doctor verl")
    found = processes.of_cluster(address)
    if json is not None:
        nodes = [
            {"node": each.node, "pid": each.pid, "loaded": each.loaded, "missing": each.missing,
             "why": each.why}
            for each in found
        ]  # fmt: skip
        emit_one({"schema": "assay.doctor.verl/1", "nodes": nodes}, json)
    else:
        for each in found:
            said = f"missing {', '.join(each.missing)}: {each.why}" if each.missing else "all parts"
            typer.echo(f"node {each.node[:12]}  process {each.pid}  {said}")
        broken = sum(bool(each.missing) for each in found)
        typer.echo(
            f"! verl trains without Assay on {broken} of {len(found)} nodes: install assay[verl] "
            "there, and leave VERL_USE_EXTERNAL_PLUGINS unset"
            if broken
            else f"the plug-in loads on {len(found)} of {len(found)} nodes"
        )
    if any(each.missing for each in found):
        raise typer.Exit(3)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _advice(found: dict[str, dict[str, str | None]]) -> list[str]:
    said: list[str] = []
    for extra, packages in found.items():
        missing = [name for name, number in packages.items() if number is None]
        if missing and len(missing) < len(packages):
            said.append(f"{extra}: {', '.join(missing)} missing; pip install 'assay[{extra}]'")
        for name, number in packages.items():
            if number and name in _TESTED and number.split("+")[0] != _TESTED[name]:
                said.append(f"{name} {number} is not the version tested here, {_TESTED[name]}")
    if sqlite3.sqlite_version_info < _SAFE_SQLITE:
        said.append(
            f"sqlite {sqlite3.sqlite_version} is older than 3.51.3, which fixed a WAL corruption; "
            "keep one writer per database"
        )
    return said
