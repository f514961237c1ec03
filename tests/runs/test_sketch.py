"""Projected gradients: sums by hand, and inner products that are those of the whole on average."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra assay[train]")

import torch

from assay.runs.sketch import SIZE, Sketch


class Weights(torch.nn.Module):
    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.parts = [torch.nn.Parameter(torch.zeros(size)) for size in sizes]
        for at, part in enumerate(self.parts):
            self.register_parameter(f"part{at}", part)

    def graded(self, seed: int) -> "Weights":
        chance = torch.Generator().manual_seed(seed)
        for part in self.parts:
            part.grad = torch.randn(part.shape, generator=chance)
        return self

    @property
    def flat(self) -> Any:
        return torch.cat([part.grad.flatten() for part in self.parts if part.grad is not None])


def sketched(sketch: Sketch, model: Weights) -> Any:
    found = sketch(model)
    assert found is not None
    return found


def test_a_model_without_gradients_has_no_sketch() -> None:
    assert Sketch(0)(Weights(5)) is None


def test_a_small_parameter_keeps_its_entries_up_to_signs() -> None:
    model = Weights(3).graded(1)
    found = sketched(Sketch(0), model)
    assert found.shape == (SIZE,)
    np.testing.assert_allclose(np.abs(found[:3]), model.flat.abs().numpy(), atol=1e-7)
    assert (found[3:] == 0).all()


def test_signs_stay_and_differ_between_seeds_and_parameters() -> None:
    first = Sketch(0)
    before = sketched(first, Weights(400, 400).graded(1))
    np.testing.assert_array_equal(sketched(first, Weights(400, 400).graded(1)), before)
    np.testing.assert_array_equal(sketched(Sketch(0), Weights(400, 400).graded(1)), before)
    assert (sketched(Sketch(1), Weights(400, 400).graded(1)) != before).any()
    # 1 of a parameter and 1 of another would cancel or double everywhere, were signs the same
    ones = Weights(400, 400)
    for part in ones.parts:
        part.grad = torch.ones(400)
    assert {*sketched(Sketch(0), ones)[:400].tolist()} == {-2.0, 0.0, 2.0}


def test_a_parameter_that_has_no_gradient_changes_no_other() -> None:
    model, other = Weights(7, 9).graded(1), Weights(7, 9).graded(1)
    model.parts[0].grad = None
    other.parts[0].grad = torch.zeros(7)
    np.testing.assert_array_equal(sketched(Sketch(0), model), sketched(Sketch(0), other))


def test_inner_products_are_those_of_the_gradients() -> None:
    """Each is off by about |x| |y| / sqrt(SIZE); forty of them, mean off by a sixth of that."""
    x, y = Weights(5000, 3000).graded(2), Weights(5000, 3000).graded(3)
    y.parts[0].grad = x.parts[0].grad  # so that the two are not nearly orthogonal
    found = [sketched(sketch, x) @ sketched(sketch, y) for sketch in map(Sketch, range(40))]
    wanted, size = float(x.flat @ y.flat), float(x.flat.norm() * y.flat.norm())
    assert np.mean(found) == pytest.approx(wanted, abs=0.7 * size / SIZE**0.5)
    assert np.std(found) < 1.6 * size / SIZE**0.5
