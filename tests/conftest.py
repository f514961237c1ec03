"""What must hold before any test imports transformers or assay, here and in its processes."""

import os

import jaxtyping
import pytest
import tqdm
from hypothesis import HealthCheck, settings

from tests import checked

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a tokenizer writes down whether it was offline
jaxtyping.jaxtyped = checked.jaxtyped
tqdm.tqdm.monitor_interval = 0  # its thread stays, and beside a thread nothing is forked
# how busy a machine is decides no test
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first: at the end no core waits for a long file of another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
