"""What steps have: nodes of a tree, stated confidence, named scores; and who judged a whole."""

import numpy as np

from assay.batch import UNTRAINABLE, Batch
from assay.batch.build import Builder
from assay.records import Call, Grade, ModelStep, SystemStep, ToolStep, Trajectory, UserStep
from tests.batch.test_batch import made

NAN = float("nan")


def test_nodes_confidence_and_scores_by_hand():
    def leaf(name, tree, *steps, group="g"):
        return Trajectory(id=name, task="t", group=group, tree=tree, steps=steps)

    shared = ModelStep(text="a", node="n0", scores={"judge": 0.5, "rule": None})
    batch = Batch.of(
        [
            leaf("0", "one", shared, ModelStep(text="b", node="n1", parent="n0", confidence=0.25)),
            leaf("1", "one", shared, ModelStep(text="c", node="n2", parent="n0")),
            # the same names in another tree, in another group's, and without a tree
            leaf("2", "two", shared, ModelStep(text="d", scores={"rule": -1.0})),
            leaf("3", "one", shared, group="h"),
            leaf("4", None, shared),
            leaf("5", None, shared),
        ]
    )
    a, b, _, c, d, none, *others = batch.node_S.tolist()
    assert batch.node_S[2] == a
    assert none == -1
    assert len({a, b, c, d, *others}) == 7
    assert batch.parent_S.tolist() == [-1, a, -1, a, -1, -1, -1, -1, -1]
    assert batch.score_names == ("judge", "rule")
    np.testing.assert_array_equal(batch.score_SJ[:2], [[0.5, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(batch.score_SJ[5], [NAN, -1.0])
    np.testing.assert_array_equal(batch.confidence_S[:3], [NAN, 0.25, NAN])
    assert batch.statistics == {}


def test_steps_by_hand():
    def say(text: str = "s", **fields) -> ModelStep:
        return ModelStep(text=text, **fields)

    first = made(
        SystemStep(text="rules"),
        UserStep(text="hi"),
        say(state_key="A", reward=0.5),
        say(belief=-0.25, state_key="B"),
        ToolStep(text="found"),
        say(state_key="A", untrainable="drifted"),
        UserStep(text="hi"),
        say(),
    )
    second = made(UserStep(text="hi"), say(state_key="A"), identity="b")
    other = made(UserStep(text="hi"), say(state_key="A"), identity="c", task="u")
    silent = made(say(), identity="d")
    batch = Batch.of([first, second, other, silent])
    assert batch.traj_S.tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert batch.index_S.tolist() == [2, 3, 5, 7, 1, 1, 0]
    np.testing.assert_array_equal(batch.reward_S, [0.5, *[NAN] * 6])
    np.testing.assert_array_equal(batch.belief_S, [NAN, -0.25, *[NAN] * 5])
    assert batch.state_S.tolist() == [0, 1, 0, -1, 0, 2, -1]  # the same name, another task: another
    # last shown: hi, hi, found, hi | hi | hi of another task | nothing
    assert batch.seen_S.tolist() == [0, 0, 1, 0, 0, 2, 3]
    assert batch.opening_S.tolist() == [True, True, False, False, True, True, True]
    assert batch.untrainable_S.tolist() == [-1, -1, UNTRAINABLE.index("drifted"), -1, -1, -1, -1]


def test_equal_answers_are_one_number_and_no_answer_is_none():
    call = Call(name="f", arguments="{}")
    steps = []
    for text in ("x", "y", "x", None):
        steps.append(ModelStep(text="t", calls=(call,)))
        if text is not None:
            steps.append(ToolStep(text=text, call=(len(steps) - 1, 0), error=False))
    batch = Batch.of([Trajectory(id="a", task="t", group="g", steps=tuple(steps))])
    assert batch.answer_C.tolist() == [0, 1, 0, -1]
    assert batch.ran_C.tolist() == [1, 1, 1, -1]


def test_a_copied_step_opens_nothing_and_its_call_is_nobodys():
    call = (Call(name="f", arguments="{}"),)
    steps = (
        ModelStep(text="example", calls=call, untrainable="copied"),
        ToolStep(text="Error: no", call=(0, 0)),
        ModelStep(text="own", calls=call),
        ToolStep(text="ok", call=(2, 0)),
        ModelStep(text="end"),
    )
    batch = Batch.of([Trajectory(id="a", task="t", group="g", steps=steps)], measure="characters")
    assert batch.opening_S.tolist() == [False, True, False]
    assert (batch.step_C.tolist(), batch.ran_C.tolist()) == ([1], [1])
    assert batch.own_S.tolist() == [False, True, True]
    assert batch.wrote_K.tolist() == [3 + 3 + 3]  # "own", f{} and "end"
    assert batch.call_R.tolist() == [-1, -1, -1, 0, -1]


def test_what_is_believed_before_the_first_step_is_of_the_trajectory():
    known = [
        Trajectory(id="0", task="t", group="g", prior=-2.0, steps=(ModelStep(belief=-1.0),)),
        Trajectory(id="1", task="t", group="g"),
        Trajectory(id="2", task="t", group="h", prior=0.0),
    ]
    np.testing.assert_array_equal(Batch.of(known).prior_K, [-2.0, NAN, 0.0])
    assert Batch.of(known[1:2]).prior_K.strides == (0,), "what nobody has takes no memory"


def test_what_a_teacher_says_stands_at_its_tokens():
    # three sampled of five; a step without; the second record one token further on
    step = ModelStep(
        token_ids=tuple(range(5)),
        sampled=((1, 3), (4, 5)),
        told=(-1.0, None, -3.0),
        neutral=(-0.5, -0.6, -0.7),
        helped=(None, -0.25, -0.75),
    )
    bare = ModelStep(token_ids=(0, 1), told=(None, None))
    batch = Batch.of([made(bare, step), made(ModelStep(token_ids=(0,), told=(-9.0,)))])
    gap = [NAN] * 2
    np.testing.assert_array_equal(batch.told_N, [*gap, NAN, -1, NAN, NAN, -3, -9])  # pyright: ignore
    np.testing.assert_array_equal(batch.neutral_N, [*gap, NAN, -0.5, -0.6, NAN, -0.7, NAN])  # pyright: ignore
    np.testing.assert_array_equal(batch.helped_N, [*gap, NAN, NAN, -0.25, NAN, -0.75, NAN])  # pyright: ignore
    none = Batch.of([made(bare)])
    assert none.told_N is None, "nothing that it was asked has an answer"
    assert none.neutral_N is none.helped_N is None


def test_what_a_teacher_or_helper_says_moves_with_the_tokens_when_parts_are_joined():
    hinted = made(ModelStep(token_ids=(0, 1), told=(-1.0, -2.0), helped=(-0.5, None)))
    first, second = Builder(), Builder()
    first.add(made(ModelStep(token_ids=(0, 1, 2))))
    second.extend([hinted, hinted])
    first.absorb(second)
    batch = Batch(**first.arrays())
    np.testing.assert_array_equal(batch.told_N, [NAN, NAN, NAN, -1, -2, -1, -2])  # pyright: ignore
    np.testing.assert_array_equal(batch.helped_N, [NAN, NAN, NAN, -0.5, NAN, -0.5, NAN])  # pyright: ignore


def test_scores_of_one_name_are_one_column_when_parts_are_joined():
    first, second = Builder(), Builder()
    first.add(made(ModelStep(scores={"a": 1.0, "b": 2.0})))
    second.add(made(ModelStep(scores={"b": 3.0})))
    first.absorb(second)
    batch = Batch(**first.arrays())
    assert batch.score_names == ("a", "b")
    np.testing.assert_array_equal(batch.score_SJ, [[1, 2], [NAN, 3]])


def test_who_judged_and_what_they_said():
    def judged(identity, *grades, **fields):
        given = [Grade(level=level, source=by, value=v) for level, by, v in grades]
        return made(identity=identity, grades=tuple(given), **fields)

    batch = Batch.of(
        [
            judged("a", ("E1", "j", 1.0), ("E3", "state", 0.0)),
            judged("b"),
            judged("c", ("E1", "i", 0.0), ("E2", "k", 0.5)),
            judged("d", ("E1", "j", None)),
        ]
    )
    assert batch.judges == ("j", "k")
    assert batch.judge_K.tolist() == [0, -1, 1, -1]
    np.testing.assert_array_equal(batch.verdict_K, [1.0, NAN, 0.5, NAN])
    assert Batch.of([made()]).verdict_K.strides == (0,), "what nobody said takes no memory"
