"""When a step is empty, with other processes beside it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from assay.trainers.trl.step_stats import SUMS, Window


class Ring:
    """Adds up what every process gives, as a collective does: it waits for all of them."""

    def __init__(self, processes: int) -> None:
        self.num_processes = processes
        self.barrier, self.given = Barrier(processes), list[Any]()

    def reduce(self, tensor: Any, reduction: str) -> Any:
        assert reduction == "sum"
        self.given.append(tensor)
        self.barrier.wait(timeout=5)
        return torch.stack(self.given).sum(0)


def window(mass: float = 0.0, *, other_loss: bool = False) -> Window:
    sums = torch.zeros(len(SUMS), dtype=torch.float64)
    sums[SUMS.index("mass")] = mass
    return Window(sums=sums, other_loss=other_loss)


@pytest.mark.parametrize(
    ("first", "second", "empty"),
    [
        (window(), window(), True),
        (window(), window(0.5), False),
        # a term that only one process has: both ask, and both make the step
        (window(other_loss=True), window(), False),
        (window(float("nan")), window(), False),
    ],
)
def test_processes_agree_on_what_is_empty(first: Window, second: Window, empty: bool) -> None:
    ring = Ring(2)
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda each: each.empty(ring), (first, second)))
    assert said == [empty, empty]


def test_the_entropy_of_no_token_is_none() -> None:
    seen = window()
    seen.maxima, seen.loss = torch.zeros(3, dtype=torch.float64), torch.zeros(())
    assert torch.isnan(torch.tensor(seen.reduced(Ring(1))["entropy"]))
    assert seen.sums is not None
    seen.sums[SUMS.index("tokens")], seen.sums[SUMS.index("entropy")] = 4, 2
    assert seen.reduced(Ring(1))["entropy"] == 0.5


def test_one_process_asks_nobody() -> None:
    alone = Ring(1)
    alone.barrier.abort()
    assert window().empty(alone)
    assert not window(other_loss=True).empty(alone)
    assert not Window().empty(alone)  # no micro-batch was ours
