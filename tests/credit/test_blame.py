"""Which tokens of a failure take the blame: by hand, bounded, the same offline and in training."""

import math

import msgspec
import numpy as np
import pytest

from assay import pipeline
from assay.credit import method
from assay.credit.blame import BLAMES, blame, blame_of, blamed
from assay.credit.low_logprob import least_likely
from assay.errors import AlignmentError, MethodError, UnknownNameError, UsageError
from assay.recipes import Recipe
from assay.records import Call, CallEvidence, Hint, ModelStep
from assay.signal import signal
from tests.credit.lawful import world
from tests.credit.worlds import answer, batch_of, one, turn


def step(values=(), kind="logprobs", **fields):
    return ModelStep(text="t", token_ids=(0,) * len(values), **{kind: tuple(values)}, **fields)


def given(records, name, **options):
    """What -1 a token of every failure becomes, in order."""
    batch = batch_of(records)
    return blamed(batch, method("nsr")(batch), blame(name, **options)).advantage_N.tolist()


def test_ntf_by_hand():
    first = step([-1.0, -3.0, -0.5, -2.0])
    assert given([one(0.0, steps=[first])], "ntf", share=0.25) == [0, -1, 0, 0]
    # over the whole trajectory, and one token at least
    steps = [first, answer(), step([-4.0, -4.0])]
    assert given([one(0.0, steps=steps)], "ntf", share=0.2) == [0, 0, 0, 0, 0, -1, -1]
    assert given([one(0.0, steps=steps)], "ntf", share=0.01) == [0, 0, 0, 0, 0, -1, 0]
    found = given([one(0.0, steps=[first])], "ntf", share=0.25, floor=0.1)
    np.testing.assert_allclose(found, [-0.1, -1, -0.1, -0.1], atol=1e-12)
    # passes get 0 of nsr, and what is above 0 is left alone
    assert given([one(1.0, steps=[first])], "ntf") == [0] * 4
    batch = batch_of([one(1.0, steps=[first]), one(0.0, steps=[first])])
    found = blamed(batch, method("grpo", eps=0.0)(batch), blame("ntf", share=0.5))
    root = math.sqrt(0.5)
    np.testing.assert_allclose(found.advantage_N, [root] * 4 + [0, -root, 0, -root], atol=1e-12)


def test_zvp_by_hand():
    records = [one(0.0, steps=[step([0.0, 1.0, 2.0, 4.0], "entropies")])]
    assert given(records, "zvp", floor=0.0) == [-1, -0.75, -0.5, 0]
    found = given(records, "zvp", floor=0.1)
    np.testing.assert_allclose(found, [-1, -0.775, -0.55, -0.1], atol=1e-12)
    apart = one(0.0, steps=[step([2.0], "entropies"), step([1.0], "entropies")])
    assert given([apart], "zvp", floor=0.0) == [0, -0.5]
    # the largest is of the trajectory: 2 of 2 in another one; a sure policy keeps all
    other = one(0.0, steps=[step([2.0, 1.0], "entropies"), step([2.0], "logprobs")])
    assert given([*records, other], "zvp", floor=0.0)[4:] == [0, -0.5, -1]
    sure = [one(0.0, steps=[step([0.0, 0.0], "entropies")])]
    assert given(sure, "zvp") == [-1, -1]


def test_fork_by_hand():
    records = [one(0.0, steps=[step([0.0, 1.0, 2.0, 4.0], "entropies")])]
    # the higher middle of four is 2
    np.testing.assert_allclose(given(records, "fork", quantile=0.5), [-0.1, -0.1, -1, -1])
    assert given(records, "fork", floor=0.0) == [0, 0, 0, -1]
    middle = [one(0.0, steps=[step([0.0, 1.0, 2.0], "entropies")])]
    assert given(middle, "fork", quantile=0.5, floor=0.0) == [0, -1, -1], "at the quantile"
    without = one(0.0, steps=[step([-1.0], "logprobs")])
    assert given([*records, without], "fork", floor=0.0) == [0, 0, 0, -1, -1]


def test_preserve_by_hand():
    def called(*right):
        calls = tuple(
            Call(name="f", arguments=f'{{"i":{i}}}', evidence=CallEvidence(ran=True, expert=r))
            for i, r in enumerate(right)
        )
        return ModelStep(text="t", token_ids=(0,), calls=calls)

    steps = [called(True), called(False), called(True, False), called(None), called()]
    assert given([one(0.0, steps=steps)], "preserve", floor=0.0) == [0, -1, -1, -1, -1]


def test_hinted_by_hand():
    hints = (Hint(text="look first", source="env"),)
    steps = [turn(), turn(hints=hints), turn()]
    records = [one(0.0, steps=steps), one(0.0, steps=[turn(), turn()])]
    assert given(records, "hinted", floor=0.0) == [0, -1, 0, -1, -1]
    assert batch_of(records).hinted_S.tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("name", BLAMES.names())
@pytest.mark.parametrize("floor", [0.0, 0.3, 1.0])
def test_a_blame_is_bounded_and_adds_up(name, floor):
    hints, records = (Hint(text="h", source="env"),), []
    for record in world(3):
        first = msgspec.structs.replace(record.steps[0], hints=hints)
        records.append(msgspec.structs.replace(record, steps=(first, *record.steps[1:])))
    batch = batch_of(records)
    before = method("toolpo")(batch)
    after = blamed(batch, before, blame(name, floor=floor))
    old_N, new_N = before.advantage_N, after.advantage_N
    up_N = ~(old_N < 0)
    np.testing.assert_array_equal(new_N[up_N], old_N[up_N])
    assert (new_N[~up_N] >= old_N[~up_N] - 1e-12).all()
    assert (new_N[~up_N] <= floor * old_N[~up_N] + 1e-12).all()
    if floor == 1.0:
        np.testing.assert_allclose(new_N, old_N, atol=1e-12)
    else:
        assert (new_N[~up_N] > old_N[~up_N]).any(), "somebody is spared"
        assert (new_N[~up_N] < floor * old_N[~up_N] - 1e-6).any(), "somebody is blamed"
    total = sum(np.nan_to_num(part) for part in after.parts.values())
    np.testing.assert_allclose(total, np.nan_to_num(new_N), atol=1e-9)
    np.testing.assert_array_equal(after.on_tokens(after.carried.astype(float)),
                                  before.on_tokens(before.carried.astype(float)))  # fmt: skip


def test_training_and_assay_credit_blame_alike():
    steps = [step([-1.0, -3.0, -0.5, -2.0])]
    records = [one(0.0, steps=steps, id="a"), one(1.0, steps=steps, id="b")]
    recipe = Recipe.of({"method": "grpo", "blame": {"name": "ntf", "share": 0.25}})
    assert recipe.needs == {"logprobs"}
    assert recipe.label == "grpo-ntf"
    trained = signal(records, recipe).advantage_N
    offline = pipeline.run(records, recipe).advantages["grpo"].advantage_N
    np.testing.assert_array_equal(trained, offline)
    assert (trained[:4] < 0).tolist() == [False, True, False, False]
    # equal doses are equal sums
    dosed = signal(records, Recipe.of({"method": "grpo", "blame": "ntf", "dose": 0.5})).advantage_N
    assert np.abs(dosed).sum() == pytest.approx(0.5 * 8)
    # a mix is blamed as a whole: 2 - 1 of the second is no failure
    mix = {"methods": [{"name": "nsr"}, {"name": "psr"}], "blame": "ntf"}
    found = signal(records, Recipe.of(mix))
    assert sorted(found.parts) == ["nsr/fail", "psr/pass"]
    assert found.advantage_N.tolist() == [0, -1, 0, 0, 1, 1, 1, 1]


def test_where_nothing_is_known_all_take_the_blame():
    for name in ("preserve", "hinted"):
        assert given([one(0.0)], name) == [-1, -1]


def test_what_is_no_blame_is_refused():
    with pytest.raises(UnknownNameError, match=r"no blame 'nft'. Did you mean 'ntf'\?"):
        blame_of("nft")
    with pytest.raises(UnknownNameError, match="blame ntf has no option 'shape'"):
        Recipe.of({"method": "grpo", "blame": {"name": "ntf", "shape": 1}})
    for bad in (3, {"share": 0.1}, ["ntf"]):
        with pytest.raises(UsageError, match=r"recipe.blame: got"):
            blame_of(bad)
    for options in ({"share": 0.0}, {"share": 1.5}, {"floor": 2.0}, {"floor": "x"}):
        with pytest.raises(UsageError):
            blame("ntf", **options)
    with pytest.raises(UsageError):
        blame("fork", quantile=1.0)
    assert blame_of(None) is None
    assert blame_of(blame("ntf", share="0.2")).share == 0.2
    with pytest.raises(MethodError, match="ntf needs logprobs"):
        given([one(0.0)], "ntf")


def test_weights_out_of_bounds_are_refused(monkeypatch):
    batch = batch_of([one(0.0, steps=[step([-1.0, -2.0])])])
    for weights in (np.array([1.0, 2.0]), np.array([1.0]), np.array([np.nan, 1.0])):
        monkeypatch.setattr(type(blame("ntf")), "weights", lambda self, batch, w=weights: w)
        with pytest.raises(AlignmentError, match=r"got \d weights for 2 tokens"):
            blamed(batch, method("nsr")(batch), blame("ntf"))


def test_the_least_likely_are_of_what_may_be_trained():
    records = [one(0.0, steps=[step([-9.0, -9.0], untrainable="masked"), step([-1.0, -2.0])])]
    assert least_likely(batch_of(records), 0.5, "x").tolist() == [False, False, False, True]
