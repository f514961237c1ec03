"""One index of each row, by its chances."""

import pytest

pytest.importorskip("torch")

import torch

from assay.policy.sampling import one_of_each


def drawn(u: float, chances: list[float]) -> int:
    return int(one_of_each(torch.tensor([chances]), torch.tensor([[u]], dtype=torch.float64)))


def uniform(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(rows, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("u", "index"),
    [(0.0, 1), (0.249, 1), (0.25, 3), (0.749, 3), (0.75, 4), (1 - 2**-53, 4)],
)
def test_by_hand(u: float, index: int) -> None:
    assert drawn(u, [0.0, 0.25, 0.0, 0.5, 0.25, 0.0]) == index


def test_chances_need_not_add_up_to_one() -> None:
    assert drawn(0.75, [2.0, 2.0]) == 1
    assert drawn(0.4, [0.1, 0.1]) == 0


def test_the_largest_number_does_not_fall_off_the_end() -> None:
    """u times the sum may round up to the sum: the last possible index it is."""
    for number in range(200):
        chances = [0.0, 1.0 + number / 7.0, 0.0]
        assert drawn(1 - 2**-53, chances) == 1


def test_frequencies_are_the_chances() -> None:
    chances = torch.softmax(torch.randn(8, generator=torch.Generator().manual_seed(1)), -1)
    many = 200_000
    found = torch.bincount(
        one_of_each(chances.expand(many, -1), uniform(many))[:, 0], minlength=8
    ).double()
    spread = (many * chances.double() * (1 - chances.double())).sqrt()
    assert ((found - many * chances.double()).abs() / spread).max() < 4


def test_rows_have_chance_of_their_own() -> None:
    chances = torch.tensor([[0.5, 0.5]]).expand(64, -1)
    first = one_of_each(chances, uniform(64))
    assert first.shape == (64, 1)
    assert torch.equal(first, one_of_each(chances, uniform(64)))
    assert 16 < int(first.sum()) < 48
