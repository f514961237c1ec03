"""Steps like an expert's, against values worked out by hand and a slow loop, to 1e-5."""

import statistics

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import pipeline
from assay.credit import METHODS, method
from assay.errors import MethodError
from assay.recipes import Recipe
from assay.records import Call, ExpertCall, ModelStep
from tests.credit.worlds import batch_of, group, one, turn

NAN = float("nan")


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-5)


def scored(*pairs, outcome=0.0, **fields):
    """A trajectory of one-token steps, each (r, number of the expert's step)."""
    steps = []
    for r, place in pairs:
        scores = {} if r is None else {"srl": r}
        scores |= {} if place is None else {"srl_step": float(place)}
        steps.append(turn(scores=scores))
    return one(outcome, steps=steps, **fields)


# r of search[capital of France]: itself 1, without "of " 44/47, "search[France]" 28/39, format -1
S1 = (1.0, 44 / 47, 28 / 39, -1.0)


@pytest.mark.parametrize(
    ("ddof", "expected"),
    [
        (1, [0.617298, 0.550113, 0.320421, -1.487832]),
        (0, [0.712794, 0.635216, 0.36999, -1.718]),
    ],
)
def test_s1(ddof, expected):
    batch = batch_of(scored((r, 0)) for r in S1)
    close(method("srl", ddof=ddof)(batch).total, expected)
    # outcomes are not read: all-fail, mixed and unscored are the same
    mixed = batch_of(scored((r, 0), outcome=o) for r, o in zip(S1, (1, 0, None, 0), strict=True))
    close(method("srl", ddof=ddof)(mixed).total, expected)


def test_s3_peers_that_hardly_differ_get_nothing():
    batch = batch_of(scored((0.4, 0)) for _ in range(4))
    assert method("srl")(batch).total.tolist() == [0.0] * 4
    near = batch_of(scored((r, 0)) for r in (0.5, 0.51))  # population deviation .005
    assert method("srl")(near).total.tolist() == [0.0, 0.0]
    close(method("srl", filter=0.001)(near).total, np.array([-1, 1]) * 0.707007)


def test_only_steps_that_stand_for_one_step_of_the_expert_are_compared():
    batch = batch_of(
        [
            scored((1.0, 0), (0.5, 1), (0.0, None)),
            scored((0.0, 0), (0.9, 2)),
            scored((0.5, 0), group="h"),
        ]
    )
    got = method("srl")(batch)
    close(got.total, [0.707106, 0, 0, -0.707106, 0, 0])
    assert got.carried.all()


def test_steps_that_do_nothing_are_not_carried_and_trajectories_without_an_expert_unscored():
    batch = batch_of([scored((1.0, 0), (None, None)), scored((0.0, 0)), scored((None, None))])
    got = method("srl")(batch)
    close(got.total, [0.707106, 0.0, -0.707106, NAN])
    assert got.carried.tolist() == [True, False, True, True]


def test_dropped_and_weighted_trajectories_and_copied_steps():
    batch = batch_of(scored((r, 0)) for r in (1.0, 0.0, 0.7))
    gone = batch.weighted(np.array([0.5, 1.0, 0.0]))
    close(method("srl")(gone).total, [0.353553, -0.707106, 0.0])
    copied = turn(scores={"srl": 9.0, "srl_step": 0.0}, untrainable="copied")
    batch = batch_of([one(0.0, steps=[copied]), scored((1.0, 0)), scored((0.0, 0))])
    close(method("srl")(batch).total[1:], [0.707106, -0.707106])


def test_srl_says_who_could_compare():
    with pytest.raises(MethodError, match="srl needs similarity to an expert, and no step has one"):
        method("srl")(group([1.0, 0.0]))


def test_a_set_in_which_no_step_stands_for_the_expert_s():
    batch = batch_of([scored((0.0, None)), scored((0.0, None))])
    assert method("srl")(batch).total.tolist() == [0.0, 0.0]


rows = st.lists(
    st.lists(
        st.tuples(st.sampled_from([-1.0, 0.0, 0.3, 0.6, 1.0]), st.sampled_from([None, 0, 1])),
        max_size=3,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=50, deadline=None)
@given(rows=rows)
def test_against_a_slow_loop(rows):
    batch = batch_of(scored(*row) for row in rows)
    if not any(rows):
        return
    flat = [pair for row in rows for pair in row]
    expected = []
    for r, place in flat:
        peers = [other for other, at in flat if at == place]
        alone = place is None or len(peers) < 2 or statistics.pstdev(peers) <= 0.01
        expected.append(
            0.0 if alone else (r - statistics.mean(peers)) / (statistics.stdev(peers) + 1e-6)
        )
    close(method("srl")(batch).total, expected)
    for place in (0, 1):
        at = [n for n, pair in enumerate(flat) if pair[1] == place]
        assert abs(sum(method("srl")(batch).total[at])) < 1e-9


def test_records_are_compared_with_their_expert_on_the_way_to_the_batch():
    def calls(*arguments):
        steps = [ModelStep(calls=(Call(name="f", arguments=a),)) for a in arguments]
        return one(0.0, steps=steps, expert=(ExpertCall("f", '{"a":1}'),))

    records = [
        msgspec.structs.replace(r, id=str(k))
        for k, r in enumerate((calls('{"a":1}'), calls('{"a":22}'), calls('{"b":1}')))
    ]
    recipe = Recipe.of("srl")
    assert recipe.prepares
    assert not Recipe.of("grpo").prepares
    got = pipeline.run(records, recipe).advantages["srl"]
    # f{"a":1} is of 8 characters; f{"a":22} shares 7 of 9: 14/17; f{"b":1} 7 of 8: 14/16
    values = np.array([1.0, 14 / 17, 14 / 16])
    close(got.total, (values - values.mean()) / (values.std(ddof=1) + 1e-6))
    # a finer bar leaves them out
    options = {"name": "srl", "filter": 0.5}
    none = pipeline.run(records, Recipe.of({"method": options})).advantages["srl"]
    assert none.total.tolist() == [0.0, 0.0, 0.0]
    assert METHODS.get("srl").needs == ("similarity to an expert",)
