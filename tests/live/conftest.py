"""Stores and turns that the tests of live use share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.live.store import Store
from assay.records.live import Opened, Turn, packed, packed_floats
from tests.cli.conftest import assay as assay


def turn(id: str, session: str = "s-1", **more: Any) -> Turn:
    """A trainable turn of three sampled tokens, unless it is told otherwise."""
    given: dict[str, Any] = {
        "at": 10.0,
        "index": 0,
        "messages": ({"role": "user", "content": "hello"},),
        "answer": {"role": "assistant", "content": f"answer of {id}"},
        "prompt_ids": packed([1, 2, 3]),
        "completion_ids": packed([4, 5, 6]),
        "logprobs": packed_floats([-0.5, -1.0, -0.25]),
        "trainable": True,
        **more,
    }
    return Turn(session=session, id=id, **given)


def opened(session: str = "s-1", **more: Any) -> Opened:
    return Opened(session=session, **{"at": 1.0, "run": "r", "consent": "train", **more})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "live") as made:
        yield made
