"""Runs the command line inside the test process, through the same door as the real one."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay.cli.ending import ended
from assay.cli.verbs import app

CHAT: list[dict[str, Any]] = [
    {
        "task": task,
        "trial": trial,
        "reward": reward,
        "claimed": True,
        "messages": [
            {"role": "user", "content": "please"},
            {
                "role": "assistant",
                "content": f"I look. {task}{trial}",
                "tool_calls": [
                    {"id": "1", "function": {"name": "look", "arguments": '{"at": "it"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "fine"},
            {"role": "assistant", "content": "Done."},
        ],
    }
    for task, rewards in {"a": (1.0, 0.0), "b": (0.0, 0.0), "c": (1.0, None)}.items()
    for trial, reward in enumerate(rewards)
]
"""a is mixed, b all-fail, c has one scored member. Every trajectory has two model steps."""


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def error(self) -> str:
        """The one line on standard error, without "assay: "."""
        (line,) = self.err.splitlines()
        assert line.startswith("assay: ")
        return line.removeprefix("assay: ")


Assay = Callable[..., Ended]


@pytest.fixture
def assay(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Assay:
    """Runs `assay ARGUMENTS` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["assay", *map(str, arguments)])
        capfdbinary.readouterr()
        code = ended(app)
        out, err = capfdbinary.readouterr()
        return Ended(code, out, err.decode())

    return run


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A chat log of three tasks."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in CHAT))
    return path
