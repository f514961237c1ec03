"""Similarity and alignment, against numbers worked out by hand and every alignment tried."""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import DataError
from assay.records import Call, CallEvidence, ExpertCall, ModelStep, ToolStep, Trajectory
from assay.verify.similarity import action_text, aligned, similarity, with_similarity

GOLD = "search[capital of France]"


def test_ratios():
    # 25 characters; without "of " 22: 2 * 22 / 47; "search[France]" 14: 2 * 14 / 39
    assert similarity(GOLD, GOLD) == 1.0
    assert similarity("search[capital France]", GOLD) == pytest.approx(44 / 47)
    assert similarity("search[France]", GOLD) == pytest.approx(28 / 39)
    assert similarity("", GOLD) == 0.0
    # by token: click, buy, now of 3 + 7
    gold = ("click", "add", "to", "cart", "then", "buy", "now")
    assert similarity(("click", "buy", "now"), gold) == pytest.approx(0.6)


def test_the_order_counts():
    assert similarity("tide", "diet") == 0.25
    assert similarity("diet", "tide") == 0.5


def test_popular_characters_of_long_texts_count():
    rng = random.Random(0)
    gold = "".join(rng.choice("abcdefgh ") for _ in range(260))
    assert similarity(gold[:130] + "X" + gold[130:], gold) == pytest.approx(520 / 521)


def test_an_empty_expert_s_action_is_refused():
    with pytest.raises(DataError, match="got an empty expert's action; expected a call"):
        similarity("x", "")


def test_an_expert_with_an_empty_call_is_named():
    known = Trajectory(
        id="t7",
        task="t",
        group="t",
        steps=(ModelStep(calls=(Call(name="f", arguments="{}"),)),),
        expert=(ExpertCall(name="f", arguments="{}"), ExpertCall(name="", arguments="")),
    )
    with pytest.raises(DataError, match=r"trajectory 't7': expert\[1\] has no name"):
        with_similarity(known)


def test_an_action_is_its_canonical_text():
    assert action_text(("f", '{ "b": 2.0, "a" : "x" }')) == 'f{"a":"x","b":2}'
    assert action_text(("f", "{}"), ("g", "plain ")) == "f{}\ngplain"
    assert action_text() == ""


def worth(ratio, places, n_expert, skip):
    pairs = [(i, j) for i, j in enumerate(places) if j is not None]
    total = sum(ratio[i][j] for i, j in pairs)
    return total - skip * (len(places) + n_expert - 2 * len(pairs))


def every_alignment(n, m):
    for size in range(min(n, m) + 1):
        for own in combinations(range(n), size):
            for expert in combinations(range(m), size):
                places = [None] * n
                for i, j in zip(own, expert, strict=True):
                    places[i] = j
                yield places


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 4),
    m=st.integers(0, 4),
    skip=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 999),
)
def test_no_monotone_alignment_is_better(n, m, skip, seed):
    rng = random.Random(seed)
    ratio = [[rng.choice([0.0, 0.25, 0.5, 1.0]) for _ in range(m)] for _ in range(n)]
    found = aligned(ratio, m, skip=skip)
    paired = [j for j in found if j is not None]
    assert paired == sorted(set(paired))
    best = max(worth(ratio, each, m, skip) for each in every_alignment(n, m))
    assert worth(ratio, found, m, skip) == pytest.approx(best)


def test_alignments_by_hand():
    # a b against a x b: each of its own; x has none
    assert aligned([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], 3) == [0, 2]
    # b a against a b: one of them alone, the later pair wins: or both, where skipping costs .6
    crossed = [[0.0, 1.0], [1.0, 0.0]]
    assert aligned(crossed, 2, skip=0.0) in ([None, 0], [1, None])
    assert aligned(crossed, 2, skip=0.6) == [0, 1]
    # of two equal steps the later one
    assert aligned([[1.0], [1.0]], 1) == [None, 0]
    assert aligned([], 3) == []
    assert aligned([[], []], 0) == [None, None]


def call(arguments, name="f", **evidence):
    return Call(name=name, arguments=arguments, evidence=CallEvidence(**evidence))


def record(*steps, expert=('{"a":1}', '{"b":2}')):
    known = None if expert is None else tuple(ExpertCall(name="f", arguments=e) for e in expert)
    return Trajectory(id="k", task="t", group="t", steps=steps, expert=known)


def scores(found):
    return [step.scores for step in found.steps if type(step) is ModelStep]


def test_steps_of_a_record():
    # f{"a":1} and f{"b":2}: 8 characters each, of which f{" ": } agree: 6 of 8
    found = with_similarity(
        record(
            ModelStep(text="let me see"),
            ModelStep(calls=(call('{ "a": 1.0 }'),), scores={"other": 3.0}),
            ToolStep(text="ok", call=(1, 0)),
            ModelStep(calls=(call('{"b":3}'),)),
            ModelStep(calls=(call('{"a":1}'),), untrainable="copied"),
        )
    )
    assert scores(found) == [
        {},
        {"other": 3.0, "srl": 1.0, "srl_step": 0.0},
        {"srl": 14 / 16, "srl_step": 1.0},
        {},
    ]
    assert with_similarity(found) is found


def test_what_stands_for_nothing_and_what_is_badly_written():
    found = with_similarity(
        record(
            ModelStep(calls=(call('{"a":1}'),)),
            ModelStep(calls=(call('{"zzzzzz":9}'),)),
            ModelStep(calls=(call('{"b":2'),)),
        )
    )
    first, detour, broken = scores(found)
    assert first == {"srl": 1.0, "srl_step": 0.0}
    assert detour == {"srl": 0.0}
    assert broken == {"srl": -1.0, "srl_step": 1.0}
    # the record's own word stands
    said = with_similarity(record(ModelStep(calls=(call('{"a":1}', parsed=False),))))
    assert scores(said)[0]["srl"] == -1.0
    # where the expert's arguments are no JSON either, that is the format
    plain = record(ModelStep(calls=(call("ls -l"),)), expert=("ls",))
    assert scores(with_similarity(plain)) == [{"srl": 2 * 3 / (3 + 6), "srl_step": 0.0}]


def test_calls_of_one_step_are_one_action():
    found = with_similarity(record(ModelStep(calls=(call('{"a":1}'), call('{"b":2}')))))
    assert scores(found) == [{"srl": 2 * 8 / (8 + 17), "srl_step": 1.0}]


def test_without_an_expert_or_an_action_nothing_changes():
    for each in (
        record(ModelStep(calls=(call("{}"),)), expert=None),
        record(ModelStep(calls=(call("{}"),)), expert=()),
        record(ModelStep(text="no call")),
        record(),
    ):
        assert with_similarity(each) is each


def test_the_cost_of_a_step_without_a_counterpart_decides():
    # of 29 characters each 3 + 3 + 2 agree: two pairs of 8/29, or one of 1 and two steps alone
    x, y = ('{"%s":"%s"}' % (key, key * 20) for key in "qk")  # noqa: UP031
    crossed = record(*(ModelStep(calls=(call(each),)) for each in (x, y)), expert=(y, x))
    free, usual, dear = (
        [each["srl"] for each in scores(with_similarity(crossed, **options))]
        for options in ({"skip": 0.0}, {}, {"skip": 1.0})
    )
    assert sorted(free) == sorted(usual) == [0.0, 1.0]
    assert dear == [8 / 29, 8 / 29]
