"""A full temporary folder is named, also by what is written again as the file is closed."""

import importlib
import tempfile
from functools import partial
from pathlib import Path

import pytest

from assay.errors import DataError

credit = importlib.import_module("assay.cli.credit")


def test_a_full_folder_of_spooled_credit_is_named(monkeypatch):
    full = partial(Path("/dev/full").open, "wb")
    monkeypatch.setattr(credit, "TemporaryFile", lambda prefix: full())
    expected = f"{tempfile.gettempdir()}: cannot be written: No space left on device"
    with pytest.raises(DataError, match=expected), credit._spooled([{"a": 1}] * 10):
        pass
