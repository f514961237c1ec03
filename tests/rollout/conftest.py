"""What tests of rollouts share."""

from typing import Any

import pytest

from tests.rollout.plain import small


@pytest.fixture(scope="package")
def policy() -> Any:
    pytest.importorskip("transformers")
    return small(0)
