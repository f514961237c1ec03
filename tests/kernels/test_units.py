"""One advantage per unit, against values worked out by hand."""

import jaxtyping
import numpy as np
import pytest

from assay.errors import AlignmentError, MethodError
from assay.kernels.term import Term
from assay.kernels.units import credited

NAN = float("nan")
# Eight units in three peer sets; the last has no peers.
#   peers 0: 1, 0, 0.5   mean (1 + 0 + 0.5)/3 = 0.5    centred  0.5 -0.5  0
#                        squares 0.25 + 0.25 + 0 = 0.5   ddof 1: 0.5/2 = 0.25, std 0.5
#                                                        ddof 0: 0.5/3,        std sqrt(1/6)
#   peers 1: 2, nan, 4   mean (2 + 4)/2 = 3            centred -1   nan  1
#                        squares 1 + 1 = 2              ddof 1: 2, std sqrt(2); ddof 0: std 1
#   peers 2: 7           alone
#   none   : 9
# The last unit is not 0 on purpose: reading it by accident must show.
VALUE_U = [1.0, 0.0, 7.0, 2.0, 0.5, NAN, 4.0, 9.0]
PEER_U = [0, 0, 2, 1, 0, 1, 1, -1]
HALF_ROOT = 0.5**0.5


def units(**options):
    fields = {"value_U": VALUE_U, "peer_U": PEER_U, **options}
    arrays = {
        name: np.array(v, np.int64 if "peer" in name else float) if isinstance(v, list) else v
        for name, v in fields.items()
    }
    return credited(Term(name="t", **arrays)).advantage_U


def test_nobody_is_compared_and_nothing_taken_off():
    np.testing.assert_array_equal(units(), VALUE_U)


def test_mean():
    expected = [0.5, -0.5, 0.0, -1.0, 0.0, NAN, 1.0, 0.0]
    np.testing.assert_allclose(units(baseline="mean"), expected, atol=1e-12)


def test_leave_one_out():
    # peers 0: 1 - (0 + 0.5)/2 = 0.75, 0 - 1.5/2 = -0.75, 0.5 - 1/2 = 0; peers 1: 2 - 4, 4 - 2
    expected = [0.75, -0.75, 0.0, -2.0, 0.0, NAN, 2.0, 0.0]
    np.testing.assert_allclose(units(baseline="loo"), expected, atol=1e-12)


def test_sample_deviation():
    expected = [1.0, -1.0, 0.0, -HALF_ROOT, 0.0, NAN, HALF_ROOT, 0.0]
    actual = units(baseline="mean", scale="std", eps=0.0)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_population_deviation():
    # 0.5 / sqrt(1/6) = 0.5 * sqrt(6) = sqrt(1.5)
    expected = [1.5**0.5, -(1.5**0.5), 0.0, -1.0, 0.0, NAN, 1.0, 0.0]
    actual = units(baseline="mean", scale="std", ddof=0, eps=0.0)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_eps_is_added_to_the_deviation():
    # 0.5 / (0.5 + 0.5) and 1 / (sqrt(2) + 0.5)
    b = 1 / (2**0.5 + 0.5)
    actual = units(baseline="mean", scale="std", eps=0.5)
    np.testing.assert_allclose(actual, [0.5, -0.5, 0, -b, 0, NAN, b, 0], atol=1e-12)


def test_mean_as_scale():
    # peers 0: 0.5 / (0.5 + 0.5) = 0.5; peers 1: 1 / (3 + 0.5) = 2/7
    actual = units(baseline="mean", scale="mean", eps=0.5)
    np.testing.assert_allclose(actual, [0.5, -0.5, 0, -2 / 7, 0, NAN, 2 / 7, 0], atol=1e-12)


def test_a_lone_unit_keeps_its_raw_value_on_request():
    assert units(baseline="mean", singleton="raw")[2] == 7.0
    assert units(baseline="loo", singleton="raw")[2] == 7.0
    # "as if the mean were 0 and the deviation 1": 7 / (1 + 0.5)
    assert units(baseline="mean", scale="std", eps=0.5, singleton="raw")[2] == 7 / 1.5
    assert units(baseline="mean", scale="mean", eps=0.5, singleton="raw")[2] == 7.0
    # and one without peers is alone by itself, not among its peers
    assert units(baseline="mean", singleton="raw")[7] == 0.0


def test_only_lone_units_are_raw():
    actual = units(baseline="mean", singleton="raw")
    np.testing.assert_allclose(actual, [0.5, -0.5, 7, -1, 0, NAN, 1, 0], atol=1e-12)


def test_quantile_is_the_least_value_reached():
    # peers 0 sorted 0, 0.5, 1 with F = 1/3, 2/3, 1; peers 1 sorted 2, 4 with F = 1/2, 1
    third = units(baseline="quantile", quantile=1 / 3)
    np.testing.assert_allclose(third, [1, 0, 0, 0, 0.5, NAN, 2, 0])
    beyond = units(baseline="quantile", quantile=0.34)
    np.testing.assert_allclose(beyond, [0.5, -0.5, 0, 0, 0, NAN, 2, 0])
    high = units(baseline="quantile", quantile=0.7)
    np.testing.assert_allclose(high, [0, -1, 0, -2, -0.5, NAN, 0, 0])


def test_quantile_is_not_fooled_by_round_off():
    # the 7th of 25 sorted values has F = 7/25 = 0.28 exactly, and is at 6
    assert 0.28 * 25 > 7, "the round-off that this test is about"
    value = [float(i) for i in range(25)]
    actual = units(value_U=value, peer_U=[0] * 25, baseline="quantile", quantile=0.28)
    assert actual[0] == -6.0


def test_shrunk():
    # peers 0: 0.75 * 0.5 + 0.25 * 2 = 0.875; peers 1: 0.75 * 3 + 0.5 = 2.75; alone: 0.75 * 7 + 0.5
    actual = units(baseline="shrunk", shrink=0.25, prior=2.0)
    expected = [0.125, -0.875, 7 - 5.75, -0.75, -0.375, NAN, 1.25, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_shrunk_by_unit():
    shrink = [0.0, 1.0, 1.0, 0.5, 0.0, 0.75, 0.25, 1.0]
    actual = units(baseline="shrunk", shrink=shrink, prior=2.0)
    # 1 - 0.5; 0 - 2; 7 - 2; 2 - (1.5 + 1); 0.5 - 0.5; ; 4 - (2.25 + 0.5)
    np.testing.assert_allclose(actual, [0.5, -2, 5, -0.5, 0, NAN, 1.25, 0], atol=1e-12)


def test_given():
    np.testing.assert_allclose(units(baseline="given", given_U=1.0), np.array(VALUE_U) - 1)
    given = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    actual = units(baseline="given", given_U=given)
    np.testing.assert_allclose(actual, [0, -2, 4, -2, -4.5, NAN, -3, 1])


def test_given_and_scaled():
    # peers 0, std 0.5: 0/0.5, -1/0.5, -0.5/0.5; peers 1: (2 - 1)/sqrt(2), 3/sqrt(2);
    # alone: constant, so not divided, 7 - 1; no peers: 0
    actual = units(baseline="given", given_U=1.0, scale="std", eps=0.0)
    expected = [0, -2, 6, HALF_ROOT, -1, NAN, 3 * HALF_ROOT, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_given_by_unit_and_scaled():
    # 1 - 1, 0 - 2, 0.5 - 5 over 0.5; 2 - 4, 4 - 7 over sqrt(2); 7 - 3 alone
    given = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    actual = units(baseline="given", given_U=given, scale="std", eps=0.0)
    expected = [0, -4, 4, -2 * HALF_ROOT, -9, NAN, -3 * HALF_ROOT, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_virtual_members_count_and_carry_nothing():
    # peers 0 with 2 more ones: mean (1 + 0 + 0.5 + 1 + 1)/5 = 0.7
    # squares .09 + .49 + .04 + .09 + .09 = 0.8, ddof 1: 0.2
    # peers 2 with a 5: mean 6, squares 1 + 1, ddof 1: 2
    actual = units(
        baseline="virtual",
        scale="std",
        eps=0.0,
        virtual_value_V=[1.0, 1.0, 5.0],
        virtual_peer_V=[0, 0, 2],
    )
    d = 0.2**0.5
    expected = [0.3 / d, -0.7 / d, HALF_ROOT, -HALF_ROOT, -0.2 / d, NAN, HALF_ROOT, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_virtual_members_of_a_set_that_has_no_other():
    actual = units(baseline="virtual", virtual_value_V=[1.0], virtual_peer_V=[5])
    assert actual[2] == 0.0
    np.testing.assert_allclose(actual[:2], [0.5, -0.5])


def test_without_peers_named_all_are_peers():
    # 1 + 0 + 7 + 2 + 0.5 + 4 + 9 = 23.5, seven scored
    actual = units(peer_U=None, baseline="mean")
    np.testing.assert_allclose(actual, np.array(VALUE_U) - 23.5 / 7, atol=1e-12)


def test_sign_cap_and_weights_in_that_order():
    scaled = {"baseline": "mean", "scale": "std", "eps": 0.0}
    positive = units(**scaled, sign="positive")
    np.testing.assert_allclose(positive, [1, 0, 0, 0, 0, NAN, HALF_ROOT, 0], atol=1e-12)
    negative = units(**scaled, sign="negative")
    np.testing.assert_allclose(negative, [0, -1, 0, -HALF_ROOT, 0, NAN, 0, 0], atol=1e-12)
    # capped at 0.9 first, then times 2 and the unit's own weight
    weight_U = [1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0]
    actual = units(**scaled, cap=0.9, weight=2.0, weight_U=weight_U)
    expected = [1.8, -0.9, 0, -2 * HALF_ROOT, 0, NAN, 6 * HALF_ROOT, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


TWELVE = [0.7] * 12  # 12 * 0.7 = 8.399999999999999; divided by 12 it is not 0.7


@pytest.mark.parametrize("baseline", ["mean", "loo", "quantile", "virtual"])
@pytest.mark.parametrize("scale", ["none", "std", "mean"])
def test_equal_values_are_exactly_zero(baseline, scale):
    assert sum(TWELVE) / 12 != 0.7, "the round-off that this test is about"
    actual = units(value_U=TWELVE, peer_U=[0] * 12, baseline=baseline, scale=scale)
    np.testing.assert_array_equal(actual, np.zeros(12))


def test_constant_means_by_range_not_by_magnitude():
    # beside a set that spreads over 1, a spread of 1e-7 is constant and one of 1e-5 is not
    value = [0.0, 1.0, 0.5, 0.5 + 1e-7, 0.5, 0.5 + 1e-5]
    actual = units(value_U=value, peer_U=[0, 0, 1, 1, 2, 2], baseline="mean", scale="std")
    assert actual[2] == actual[3] == 0.0
    assert actual[5] > 0.6
    # a declared range wins over what this batch happens to show
    small = units(value_U=[0.0, 1e-4], peer_U=[0, 0], baseline="mean", value_range=1000.0)
    np.testing.assert_array_equal(small, [0.0, 0.0])
    wide = units(value_U=[0.0, 1e-4], peer_U=[0, 0], baseline="mean", value_range=1.0)
    np.testing.assert_allclose(wide, [-5e-5, 5e-5])
    # and so does what the rest of the batch reaches
    part = units(value_U=[0.0, 1e-4], peer_U=[0, 0], baseline="mean", reach=(-500.0, 500.0))
    np.testing.assert_array_equal(part, [0.0, 0.0])


def test_large_equal_values_are_constant_for_all_their_round_off():
    value = [1e9, 1e9 + 1e-6]  # they differ by less than 1e-12 of their size
    actual = units(value_U=value, peer_U=[0, 0], baseline="mean", scale="std")
    np.testing.assert_array_equal(actual, [0.0, 0.0])
    below = Term(name="t", value_U=-np.array(value), peer_U=np.zeros(2, np.int64), baseline="mean")
    assert credited(below).constant_U.all()
    np.testing.assert_array_equal(credited(below).advantage_U, [0.0, 0.0])


@pytest.mark.parametrize(
    "value", [[-1.0, -2.0], [-1.0, 1.0], [-3.0, -3.0], [0.1, -0.1], [2.0, -3.0]]
)
def test_scale_mean_refuses_means_that_are_not_positive(value):
    with pytest.raises(MethodError, match="scale 'mean' needs means above 0"):
        units(value_U=value, peer_U=[0, 0], baseline="mean", scale="mean")


def test_scale_mean_allows_a_constant_zero():
    actual = units(value_U=[0.0, 0.0], peer_U=[0, 0], baseline="mean", scale="mean", eps=0.0)
    np.testing.assert_array_equal(actual, [0.0, 0.0])


@pytest.fixture
def unchecked():
    """Turns the test suite's shape checks off: the kernel must refuse on its own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("field", ["peer_U", "weight_U", "given_U", "shrink"])
def test_arrays_must_be_as_long_as_the_units(field):
    with pytest.raises(AlignmentError, match=f"{field} has 3 entries; expected 8"):
        units(**{field: [0.0, 0.0, 0.0]})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("virtual", "message"),
    [
        ({"virtual_value_V": [1.0]}, "each virtual value its peers"),
        ({"virtual_peer_V": [1]}, "each virtual value its peers"),
        ({"virtual_value_V": [1.0], "virtual_peer_V": [1, 1]}, "each virtual value its peers"),
        ({"virtual_value_V": [NAN], "virtual_peer_V": [1]}, "must have a value and peers"),
        ({"virtual_value_V": [1.0], "virtual_peer_V": [-1]}, "must have a value and peers"),
    ],
)
def test_virtual_members_are_checked(virtual, message):
    with pytest.raises(AlignmentError, match=message):
        units(baseline="virtual", **virtual)


def test_nothing_in_nothing_out():
    for baseline in ("none", "mean", "loo", "quantile", "shrunk", "virtual", "given"):
        for scale in ("none", "std", "mean"):
            assert units(value_U=[], peer_U=[], baseline=baseline, scale=scale).size == 0


def test_the_values_are_not_written():
    value = np.array(VALUE_U)
    out = credited(Term(name="t", value_U=value)).advantage_U
    out[0] = 99.0
    np.testing.assert_array_equal(value, VALUE_U)


def test_a_unit_at_its_baseline_is_exactly_zero_for_all_round_off():
    # thirds: the mean of 1 2 3 1 3 is 10/5 = 2, which floats reach only nearly
    thirds = [1 / 3, 2 / 3, 1.0, 1 / 3, 1.0]
    assert sum(thirds) / 5 != thirds[1]
    found = units(value_U=thirds, peer_U=[0] * 5, baseline="mean")
    assert found[1] == 0.0
    np.testing.assert_allclose(found, [-1 / 3, 0, 1 / 3, -1 / 3, 1 / 3], atol=1e-12)
    # a thousandth beside the mean is no round-off
    near = units(value_U=[0.0, 0.501, 1.0], peer_U=[0] * 3, baseline="mean")
    assert near[1] == pytest.approx(0.501 - 1.501 / 3)
    assert near[1] != 0
