"""The API reference is made of docstrings that render, and has what README says to import."""

from pathlib import Path

import pytest
from tools.reference import modules, write

import assay


def test_every_public_module_has_a_page():
    names = modules()
    assert {"assay", "assay.credit.gigpo", "assay.trainers.trl.trainer"} <= set(names)
    assert not [name for name in names if name.startswith(("assay.cli", "assay.demo"))]


@pytest.mark.slow
def test_public_names_are_on_the_first_page(tmp_path: Path):
    write(["assay", "assay.credit", "assay.trainers.trl"], tmp_path)
    first = (tmp_path / "assay.html").read_text(encoding="utf-8")
    assert not [name for name in assay.__all__ if f">{name}<" not in first]
    assert "AssayTrainer" in (tmp_path / "assay/trainers/trl.html").read_text(encoding="utf-8")
