"""What the kernel promises for any input, and agreement with a slow oracle that shares no code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernels.advantages import advantages
from assay.kernels.term import Term
from tests.kernels.oracle import token_advantages

pytestmark = pytest.mark.slow

NAN = float("nan")
BASELINES = ["none", "mean", "loo", "quantile", "shrunk", "virtual", "given"]
SCALES = ["none", "std", "mean", "root"]

quarters = st.integers(0, 16).map(lambda i: i / 4)
scores = quarters | st.just(NAN)


@st.composite
def batches(draw, *, values=scores, finer=True):
    """Some units with peers, and some runs of tokens that carry them."""
    n = draw(st.integers(1, 9))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=8))
    unit = st.integers(-1, n - 1)
    fields = {
        "value_U": draw(st.lists(values, min_size=n, max_size=n)),
        "peer_U": draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n)),
        "unit_R": draw(st.lists(unit, min_size=len(lengths), max_size=len(lengths))),
    }
    if finer and draw(st.booleans()):
        fields["unit_N"] = draw(st.lists(unit, min_size=sum(lengths), max_size=sum(lengths)))
        fields["unit_R"] = None
    return fields, lengths


def term(fields, name="t", **options):
    made = {}
    for key, value in {**fields, **options}.items():
        if isinstance(value, list):
            integer = "peer" in key or "unit" in key
            value = np.array(value, np.int64 if integer else float)
        made[key] = value
    return Term(name=name, **made)


def on_tokens(fields, lengths, **options):
    return advantages([term(fields, **options)], np.array(lengths, np.int64)).advantage_N


@pytest.mark.parametrize("singleton", ["zero", "raw"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("baseline", BASELINES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_matches_the_slow_oracle(baseline, scale, singleton, data):
    # values above 0 where a mean divides: the refusal of others has its own test
    fields, lengths = data.draw(
        batches(values=st.integers(1, 16).map(lambda i: i / 4) | st.just(NAN))
    )
    n = len(fields["value_U"])
    options = {
        "baseline": baseline,
        "scale": scale,
        "singleton": singleton,
        "ddof": data.draw(st.sampled_from([0, 1])),
        "eps": data.draw(st.sampled_from([1e-6, 0.25])),
        "sign": data.draw(st.sampled_from(["both", "positive", "negative"])),
        "cap": data.draw(st.sampled_from([0.5, float("inf")])),
        "weight": data.draw(st.sampled_from([1.0, -0.5])),
        "quantile": data.draw(st.sampled_from([0.25, 0.4, 0.5, 0.75])),
        "prior": 0.5,
        "shrink": data.draw(st.sampled_from([0.25, [0.5] * n])),
        "given_U": data.draw(st.sampled_from([1.5, [float(i) for i in range(n)]])),
        "weight_U": data.draw(st.none() | st.just([i / 2 for i in range(n)])),
        "weight_N": data.draw(st.none() | st.just([i / 4 for i in range(sum(lengths))])),
    }
    if baseline == "mean" and data.draw(st.booleans()):
        mass = st.sampled_from([0.0, 1.0, 2.0, 5.0])
        options["mass_U"] = data.draw(st.lists(mass, min_size=n, max_size=n))
    elif data.draw(st.booleans()):
        options |= {"virtual_value_V": [1.0, 2.0, 0.5], "virtual_peer_V": [0, 0, 2]}
    expected = token_advantages([{**fields, **options}], lengths)
    np.testing.assert_allclose(on_tokens(fields, lengths, **options), expected, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(first=batches(), second=st.data())
def test_sums_match_the_slow_oracle(first, second):
    fields, lengths = first
    n, size = len(fields["value_U"]), sum(lengths)
    unit = st.integers(-1, n - 1)
    other = {
        "value_U": second.draw(st.lists(scores, min_size=n, max_size=n)),
        "unit_N": second.draw(st.lists(unit, min_size=size, max_size=size)),
    }
    pair = [{**fields, "baseline": "mean"}, other]
    made = advantages([term(pair[0], "a"), term(other, "b")], np.array(lengths, np.int64))
    np.testing.assert_allclose(made.advantage_N, token_advantages(pair, lengths), atol=1e-9)
    known = [np.nan_to_num(made.on_tokens(part)) for part in made.parts.values()]
    np.testing.assert_allclose(np.nan_to_num(made.advantage_N), sum(known), atol=1e-12)


@pytest.mark.parametrize("baseline", ["mean", "loo", "quantile"])
@settings(max_examples=50, deadline=None)
@given(batch=batches(), shift=st.integers(-3, 3))
def test_a_constant_added_to_every_value_changes_nothing(baseline, batch, shift):
    fields, lengths = batch
    moved = {**fields, "value_U": [v + shift for v in fields["value_U"]]}
    for scale in ("none", "std"):
        still_N = on_tokens(fields, lengths, baseline=baseline, scale=scale)
        moved_N = on_tokens(moved, lengths, baseline=baseline, scale=scale)
        np.testing.assert_allclose(moved_N, still_N, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(batch=batches(), factor=st.sampled_from([0.5, 2.0, 1024.0]))
def test_scaled_advantages_do_not_know_the_unit_of_measure(batch, factor):
    fields, lengths = batch
    grown = {**fields, "value_U": [v * factor for v in fields["value_U"]]}
    options = {"baseline": "mean", "eps": 0.0}
    for scale, power in (("std", 0), ("mean", 0), ("none", 1)):
        still_N = on_tokens(fields, lengths, scale=scale, **options)
        grown_N = on_tokens(grown, lengths, scale=scale, **options)
        np.testing.assert_allclose(grown_N, still_N * factor**power, atol=1e-9)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(batch=batches(finer=False), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_units_does_not_matter(batch, seed):
    fields, lengths = batch
    order = np.random.default_rng(seed).permutation(len(fields["value_U"]))
    place = np.append(np.argsort(order), -1)
    mixed = {
        "value_U": [fields["value_U"][i] for i in order],
        "peer_U": [fields["peer_U"][i] for i in order],
        "unit_R": place[fields["unit_R"]].tolist(),
    }
    for baseline in BASELINES:
        options = {"baseline": baseline, "scale": "std", "quantile": 0.4}
        np.testing.assert_allclose(
            on_tokens(mixed, lengths, **options), on_tokens(fields, lengths, **options), atol=1e-9
        )


@settings(max_examples=50, deadline=None)
@given(batch=batches())
def test_an_unscored_unit_changes_nothing_for_the_others(batch):
    fields, lengths = batch
    more = {
        **fields,
        "value_U": [*fields["value_U"], NAN],
        "peer_U": [*fields["peer_U"], 0],
    }
    for baseline in BASELINES:
        options = {"baseline": baseline, "scale": "std"}
        np.testing.assert_array_equal(
            on_tokens(more, lengths, **options), on_tokens(fields, lengths, **options)
        )


@pytest.mark.parametrize("baseline", ["mean", "loo"])
@settings(max_examples=50, deadline=None)
@given(batch=batches(finer=False))
def test_centred_peers_add_up_to_zero(baseline, batch):
    fields, _ = batch
    n = len(fields["value_U"])
    each = {**fields, "unit_R": list(range(n))}
    for scale in ("none", "std", "mean"):
        advantage_U = on_tokens(each, [1] * n, baseline=baseline, scale=scale)
        for peer in set(fields["peer_U"]):
            members = [a for a, p in zip(advantage_U, fields["peer_U"], strict=True) if p == peer]
            assert abs(np.nansum(members)) < 1e-9


@settings(max_examples=50, deadline=None)
@given(batch=batches(finer=False), data=st.data())
def test_peers_that_count_by_mass_add_up_to_zero_by_mass(batch, data):
    fields, _ = batch
    n = len(fields["value_U"])
    mass_U = data.draw(st.lists(st.integers(1, 7).map(float), min_size=n, max_size=n))
    each = {**fields, "unit_R": list(range(n)), "mass_U": mass_U}
    for scale in ("none", "std", "root"):
        advantage_U = on_tokens(each, [1] * n, baseline="mean", scale=scale)
        for peer in set(fields["peer_U"]):
            at = np.array(fields["peer_U"]) == peer
            assert abs(np.nansum((advantage_U * mass_U)[at])) < 1e-9


@settings(max_examples=50, deadline=None)
@given(batch=batches(), cap=st.sampled_from([0.25, 1.0]))
def test_the_halves_add_up_and_the_cap_holds(batch, cap):
    fields, lengths = batch
    options = {"baseline": "mean", "scale": "std"}
    whole_N = on_tokens(fields, lengths, **options)
    halves_N = sum(on_tokens(fields, lengths, sign=s, **options) for s in ("positive", "negative"))
    np.testing.assert_allclose(halves_N, whole_N, atol=1e-12)
    capped_N = on_tokens(fields, lengths, cap=cap, **options)
    assert (np.abs(capped_N[~np.isnan(capped_N)]) <= cap).all()


@settings(max_examples=50, deadline=None)
@given(batch=batches(finer=False))
def test_splitting_runs_changes_nothing(batch):
    fields, lengths = batch
    split = {
        **fields,
        "unit_R": [u for u, n in zip(fields["unit_R"], lengths, strict=True) for _ in range(n)],
    }
    options = {"baseline": "loo", "scale": "std"}
    np.testing.assert_array_equal(
        on_tokens(split, [1] * sum(lengths), **options), on_tokens(fields, lengths, **options)
    )


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(batch=batches(values=quarters))
def test_a_scored_unit_never_becomes_nan_or_infinite(batch):
    fields, lengths = batch
    for baseline in BASELINES:
        for scale in ("none", "std"):
            for singleton in ("zero", "raw"):
                options = {"baseline": baseline, "scale": scale, "singleton": singleton}
                assert np.isfinite(on_tokens(fields, lengths, eps=0.0, **options)).all()


@given(value=st.floats(-1e9, 1e9), n=st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_equal_values_are_exactly_zero_whatever_they_are(value, n):
    fields = {"value_U": [value] * n, "peer_U": [0] * n, "unit_R": list(range(n))}
    for baseline in ("mean", "loo", "quantile", "virtual"):
        for scale in ("none", "std"):
            advantage_N = on_tokens(fields, [1] * n, baseline=baseline, scale=scale)
            np.testing.assert_array_equal(advantage_N, np.zeros(n))
