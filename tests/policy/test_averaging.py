"""The average of weights, by hand."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from assay.errors import DataError  # noqa: E402
from assay.policy.averaging import FILE, Average  # noqa: E402


def line(weight: float, bias: float) -> "torch.nn.Linear":
    made = torch.nn.Linear(1, 1)
    with torch.no_grad():
        made.weight.fill_(weight)
        made.bias.fill_(bias)
    return made


def test_it_follows_by_its_rate() -> None:
    # from 0: .25 * 4 = 1; then 1 + .25 (4 - 1) = 1.75; of the policy nothing changes
    model = line(0.0, 8.0)
    average = Average(model, 0.25)
    with torch.no_grad():
        model.weight.fill_(4.0)
    for expected in (1.0, 1.75):
        average.update(model)
        with average.worn(model):
            assert model.weight.item() == pytest.approx(expected)
            assert model.bias.item() == 8.0
        assert model.weight.item() == 4.0


def test_the_policys_own_weights_come_back_whatever_happens() -> None:
    model = line(1.0, 0.0)
    average = Average(model, 1.0)
    with torch.no_grad():
        model.weight.fill_(2.0)

    def broken() -> None:
        with average.worn(model):
            assert model.weight.item() == 1.0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert model.weight.item() == 2.0
    average.update(model)
    with average.worn(model):
        assert model.weight.item() == 2.0, "a rate of 1 is the policy"


def test_weights_that_are_not_trained_are_the_policys() -> None:
    model = line(1.0, 5.0)
    model.bias.requires_grad_(False)
    average = Average(model, 0.5)
    with torch.no_grad():
        model.bias.fill_(6.0)
    with average.worn(model):
        assert model.bias.item() == 6.0


def test_what_is_saved_is_put_back(tmp_path: Path) -> None:
    model = line(1.0, 0.0)
    average = Average(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(3.0)
    average.update(model)
    average.save(tmp_path)
    again = Average(line(9.0, 9.0), 0.5)
    again.load(tmp_path)
    other = line(0.0, 0.0)
    with again.worn(other):
        assert (other.weight.item(), other.bias.item()) == (2.0, 0.0)
    with pytest.raises(DataError, match="expected the average of the run"):
        again.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="weights of another model"):
        Average(torch.nn.Linear(2, 1), 0.5).load(tmp_path)
    (tmp_path / FILE).write_bytes(b"spoilt")
    with pytest.raises(DataError, match="expected the average of the run"):
        again.load(tmp_path)
