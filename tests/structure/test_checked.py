"""Every call within the tests is checked: what a value is, and whether its axes fit."""

from collections.abc import Iterator
from dataclasses import dataclass

import jaxtyping
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float64, Int64

from assay.kernels.codes import numbered
from assay.kernels.term import Term
from assay.kernels.units import credited
from assay.records import Trajectory
from assay.verify.outcome import resolve
from tests import checked

WRONG = TypeError


def typed(it):
    return jaxtyping.jaxtyped(typechecker=beartype)(it)


def test_functions_of_the_package_are_checked():
    assert jaxtyping.jaxtyped is checked.jaxtyped
    for it in (credited, resolve, numbered, Term.__init__):
        assert it.checked
    with pytest.raises(WRONG):
        resolve("no trajectory")
    with pytest.raises(WRONG):
        credited(None)
    with pytest.raises(WRONG):
        Term(name=1, value_U=np.zeros(2))
    with pytest.raises(WRONG):
        Term(name="t", value_U=np.zeros((2, 2)))
    with pytest.raises(WRONG):  # one axis, two lengths
        Term(name="t", value_U=np.zeros(3), peer_U=np.zeros(2, np.int64))


def test_axes_are_those_of_one_call_its_result_included():
    @typed
    def doubled(first_N: Float64[np.ndarray, " N"], n: int = 2) -> Float64[np.ndarray, " N"]:
        return first_N if n == 1 else np.repeat(first_N, n)

    @typed
    def outer(first_N: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
        assert doubled(np.zeros(5), 1).size == 5  # its N is another
        return first_N

    assert outer(np.zeros(3)).size == 3
    with pytest.raises(WRONG):
        doubled(np.zeros(2))
    with pytest.raises(WRONG):
        doubled(np.zeros(2, np.int64), 1)
    with pytest.raises(WRONG):
        doubled(np.zeros(2), "1")


def test_arrays_are_found_within_other_types_and_in_strings():
    @typed
    def inside(by: "dict[str, Int64[np.ndarray, ' N']]", n_N: Int64[np.ndarray, " N"]) -> None:
        pass

    @typed
    def pieces(of_N: Float64[np.ndarray, " N"]) -> Iterator[float]:
        yield from of_N.tolist()

    inside({"a": np.zeros(2, np.int64)}, np.zeros(2, np.int64))
    with pytest.raises(WRONG):
        inside({"a": np.zeros(3, np.int64)}, np.zeros(2, np.int64))
    assert list(pieces(np.zeros(2))) == [0.0, 0.0]
    with pytest.raises(WRONG):
        list(pieces([0.0]))


def test_what_only_a_type_checker_imports_is_any():
    @typed
    def called(it: "Unknown", name: str) -> "Unknown":  # noqa: F821
        return it

    assert called(3, "x") == 3
    with pytest.raises(WRONG):
        called(3, 4)


def test_dataclasses_are_checked_and_their_heirs():
    @typed
    @dataclass
    class First:
        a_N: Float64[np.ndarray, " N"]
        b_N: Float64[np.ndarray, " N"]

    @typed
    @dataclass
    class Second(First):
        c: Trajectory | None = None

    Second(np.zeros(2), np.zeros(2))
    with pytest.raises(WRONG):
        First(np.zeros(2), np.zeros(1))
    with pytest.raises(WRONG):
        Second(np.zeros(2), np.zeros(1))
    with pytest.raises(WRONG):
        Second(np.zeros(2), np.zeros(2), "none")
