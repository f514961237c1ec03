"""A policy that answers in single letters, and the command within this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.cli import main
from tests.runs import tiny

Assay = Callable[..., "Said"]


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def assay(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["assay", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run
