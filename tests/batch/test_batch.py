"""Records to arrays. One trajectory is worked out by hand; an oracle does others token by token."""

import dataclasses
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import CATEGORIES, CLAIMS, ENDS, ROLES, UNTRAINABLE, Batch
from assay.errors import AlignmentError, MixedTokensError
from assay.records import (
    Call,
    CallEvidence,
    Decision,
    ExpertCall,
    Mark,
    ModelStep,
    Span,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)
from tests.records.strategies import trajectories

NAN = float("nan")
TEXT, THINK, CALL, ANSWER, CONFIDENCE = range(5)


def ids(n: int) -> tuple[int, ...]:
    return tuple(range(100, 100 + n))


def made(*steps: Step, identity: str = "a", **fields) -> Trajectory:
    fields = {"task": "t", "group": "t", **fields}
    return Trajectory(id=identity, steps=steps, **fields)


def call(name: str = "f", arguments: str = "{}", start=None, end=None, **evidence) -> Call:
    known = CallEvidence(**evidence)
    return Call(name=name, arguments=arguments, start=start, end=end, evidence=known)


def runs(batch: Batch) -> list[tuple[int, int, int, int, int]]:
    """(trajectory, step, call, role, length) of each run."""
    columns = (batch.traj_R, batch.step_R, batch.call_R, batch.role_R, batch.length_R)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_the_codes_are_the_roles_of_this_file():
    assert ROLES == ("text", "think", "call", "answer", "confidence")


# --- tokens


HAND = made(
    SystemStep(text="prompt", token_ids=ids(3)),
    # 10 tokens: 2 scaffold, 7 sampled (2 thought, 1 text, 3 call, 1 text), 1 closing scaffold
    ModelStep(
        text="...",
        token_ids=ids(10),
        sampled=((2, 9),),
        spans=(Span(role="think", start=0, end=4),),
        calls=(call(start=5, end=8),),
        logprobs=(-0.1, -0.2, None, -0.4, -0.5, -0.6, -0.7),
    ),
    ToolStep(text="one", call=(1, 0), token_ids=ids(4)),
    ToolStep(text="two", token_ids=ids(2)),
    # nobody said where the calls are: the whole step carries the first of them
    ModelStep(text="..", token_ids=ids(3), calls=(call("g"), call("h"))),
    ModelStep(
        text="....",
        token_ids=ids(4),
        spans=(Span(role="answer", start=1, end=4), Span(role="confidence", start=3, end=4)),
        untrainable="masked",
        entropies=(0.5, 0.25, None, 0.125),
    ),
    UserStep(text="no ids"),
    ModelStep(text="", token_ids=()),
    # sampled in two pieces around tokens that were put there; the call lies across both
    ModelStep(
        text="......",
        token_ids=ids(6),
        sampled=((0, 2), (4, 6)),
        calls=(call("f", '{"a": 1}', start=1, end=5), call("g", start=5, end=6)),
        logprobs=(-1.0, -2.0, -3.0, -4.0),
    ),
)


def test_a_trajectory_by_hand():
    batch = Batch.of([HAND])
    assert batch.measure == "tokens"
    assert runs(batch) == [
        (0, -1, -1, TEXT, 3),  # system prompt
        (0, -1, -1, TEXT, 2),  # scaffold
        (0, 0, -1, THINK, 2),
        (0, 0, -1, TEXT, 1),
        (0, 0, 0, CALL, 3),
        (0, 0, -1, TEXT, 1),
        (0, -1, -1, TEXT, 1),  # scaffold
        (0, -1, -1, TEXT, 4),  # two tool results
        (0, -1, -1, TEXT, 2),
        (0, 1, 1, CALL, 3),
        (0, 2, -1, TEXT, 1),
        (0, 2, -1, ANSWER, 2),
        (0, 2, -1, CONFIDENCE, 1),  # the later span wins
        (0, 4, -1, TEXT, 1),
        (0, 4, 3, CALL, 1),
        (0, -1, -1, TEXT, 2),  # put there, so not the policy's, call or not
        (0, 4, 3, CALL, 1),
        (0, 4, 4, CALL, 1),
    ]
    assert batch.traj_S.tolist() == [0, 0, 0, 0, 0]
    assert batch.index_S.tolist() == [1, 4, 5, 7, 8]
    assert batch.opening_S.tolist() == [True, False, False, False, False]
    assert batch.untrainable_S.tolist() == [-1, -1, UNTRAINABLE.index("masked"), -1, -1]
    assert batch.step_C.tolist() == [0, 1, 1, 4, 4]
    # f({}) g({}) h({}) f({"a": 1}) g({})
    assert batch.key_C.tolist() == [0, 1, 2, 3, 1]
    assert batch.logprob_N is not None
    assert batch.entropy_N is not None
    x = NAN
    np.testing.assert_array_equal(
        batch.logprob_N,
        [
            *(x, x, x),
            *(x, x, -0.1, -0.2, x, -0.4, -0.5, -0.6, -0.7, x),
            *(x, x, x, x, x, x),
            *(x, x, x),
            *(x, x, x, x),
            *(-1.0, -2.0, x, x, -3.0, -4.0),
        ],
    )
    np.testing.assert_array_equal(batch.entropy_N, [*[x] * 22, 0.5, 0.25, x, 0.125, *[x] * 6])


def test_who_is_credited():
    batch = Batch.of([HAND])
    # the masked step 2 and everything that was not sampled carry nothing
    assert batch.steps_R.tolist() == [-1, -1, 0, 0, 0, 0, -1, -1, -1, 1, -1, -1, -1, 4, 4, -1, 4, 4]
    assert batch.all_sampled_R.tolist() == [0 if s >= 0 else -1 for s in batch.steps_R]
    assert batch.call_tokens_R.tolist() == [
        *(-1, -1, -1, -1, 0, -1, -1, -1, -1, 0, -1, -1, -1, -1, 0, -1, 0, 0)
    ]
    assert batch.span_N.tolist() == [r for r, run in enumerate(runs(batch)) for _ in range(run[4])]
    dropped = batch.weighted(np.zeros(1))
    assert (dropped.steps_R == -1).all()
    assert (dropped.all_sampled_R == -1).all()
    assert not dropped.kept_K.any()


def test_calls_that_nobody_may_train_on_carry_nothing():
    steps = [ModelStep(token_ids=ids(2), calls=(call(start=0, end=1),), untrainable="masked")]
    batch = Batch.of([made(*steps), made(ModelStep(token_ids=ids(1), calls=(call(),)))])
    assert batch.call_R.tolist() == [0, -1, 1]
    assert batch.call_tokens_R.tolist() == [-1, -1, 1]


def test_decisions_are_of_the_batchs_trajectories_in_its_order():
    step = ModelStep(token_ids=ids(1))
    batch = Batch.of([made(step, identity=name, outcome=1.0) for name in "ab"])
    drop, keep = (
        Decision(trajectory=name, verdict=verdict, gate="g", reason="r", weight=weight)
        for name, verdict, weight in (("a", "drop", 0.0), ("b", "keep", 1.0))
    )
    gated = batch.gated([drop, keep])
    assert (gated.weight_K.tolist(), gated.kept_K.tolist()) == ([0.0, 1.0], [False, True])
    np.testing.assert_array_equal(gated.value_K, [NAN, 1.0])  # moves no baseline
    np.testing.assert_array_equal(gated.outcome_K, [1.0, 1.0])
    for wrong in ([keep, drop], [drop], []):
        with pytest.raises(AlignmentError, match=f"got {len(wrong)} decisions; expected one for"):
            batch.gated(wrong)


def test_a_call_placed_and_one_not():
    step = ModelStep(token_ids=ids(4), calls=(call("f"), call("g", start=1, end=3)))
    assert runs(Batch.of([made(step)])) == [
        (0, 0, -1, TEXT, 1),
        (0, 0, 1, CALL, 2),  # only what has a place carries
        (0, 0, -1, TEXT, 1),
    ]


def test_a_call_wins_over_a_span():
    spans = (Span(role="think", start=0, end=4), Span(role="answer", start=2, end=4))
    step = ModelStep(token_ids=ids(4), calls=(call(start=1, end=3),), spans=spans)
    assert runs(Batch.of([made(step)])) == [
        (0, 0, -1, THINK, 1),
        (0, 0, 0, CALL, 1),
        (0, 0, 0, CALL, 1),  # a span ends inside the call: two runs of one kind
        (0, 0, -1, ANSWER, 1),
    ]


def test_no_logprobs_is_none_and_one_makes_an_array():
    bare = made(ModelStep(token_ids=ids(2)))
    assert Batch.of([bare]).logprob_N is None
    some = Batch.of([bare, made(ModelStep(token_ids=ids(2), logprobs=(-1.0, None)))])
    np.testing.assert_array_equal(some.logprob_N, [NAN, NAN, -1.0, NAN])  # pyright: ignore
    assert some.entropy_N is None


@pytest.mark.parametrize("values", [(-1.0,), (-1.0, -1.0, -1.0), ()])
def test_logprobs_that_do_not_fit_are_refused(values: tuple[float, ...]):
    fits = made(ModelStep(token_ids=ids(2), logprobs=(-1.0, -1.0)))
    for name in ("logprobs", "entropies", "told", "neutral"):
        wrong = made(ModelStep(token_ids=ids(2), **{name: values}))
        with pytest.raises(AlignmentError, match=f"trajectory number 1: got {len(values)} log"):
            Batch.of([fits, wrong])


# --- characters


def test_characters_by_hand():
    spoken = ModelStep(
        text="think! say",  # 10 characters, 6 of them thought
        spans=(Span(role="think", start=0, end=6),),
        calls=(call("find", '{"q":1}'), call("go", "{}")),
    )
    batch = Batch.of(
        [made(UserStep(text="question"), spoken, ModelStep(text=""), ModelStep(text="ok"))]
    )
    assert batch.measure == "characters"
    assert runs(batch) == [
        (0, 0, -1, THINK, 6),
        (0, 0, -1, TEXT, 4),
        (0, 0, 0, CALL, 11),
        (0, 0, 1, CALL, 4),
        (0, 2, -1, TEXT, 2),
    ]
    assert batch.logprob_N is None


def test_mixed_sets_are_refused_and_measured_in_characters_on_demand():
    has, lacks = made(ModelStep(text="abc", token_ids=ids(2))), made(ModelStep(text="defg"))
    for order in ([has, lacks], [lacks, has]):
        with pytest.raises(MixedTokensError, match="characters"):
            Batch.of(order)
    inside = made(ModelStep(text="abc", token_ids=ids(2)), ModelStep(text="d"))
    with pytest.raises(MixedTokensError):
        Batch.of([inside])
    with pytest.raises(MixedTokensError):
        Batch.of([lacks], measure="tokens")
    batch = Batch.of([has, lacks], measure="characters")
    assert runs(batch) == [(0, 0, -1, TEXT, 3), (1, 1, -1, TEXT, 4)]


def test_token_spans_say_nothing_about_characters():
    spans = (Span(role="think", start=0, end=2),)
    step = ModelStep(text="abc", token_ids=ids(2), spans=spans, calls=(call(start=1, end=2),))
    prompt = SystemStep(text="p", token_ids=ids(5))
    batch = Batch.of([made(prompt, step)], measure="characters")
    assert runs(batch) == [(0, 0, -1, TEXT, 3), (0, 0, 0, CALL, 3)]


def test_a_tokenised_prompt_before_a_step_without_ids_is_a_mixed_set():
    odd = made(SystemStep(text="p", token_ids=ids(5)), ModelStep(text="abc"))
    with pytest.raises(MixedTokensError):
        Batch.of([odd])
    assert runs(Batch.of([odd], measure="characters")) == [(0, 0, -1, TEXT, 3)]


# --- evidence


def codes(batch: Batch) -> list[tuple[int, ...]]:
    """(parsed, ran, sibling, expert, state) of each call."""
    columns = (batch.parsed_C, batch.ran_C, batch.sibling_C, batch.expert_C, batch.on_path_C)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_evidence_is_read_off_a_record_that_carries_none():
    calls = (
        call("f", '{"a": 1}'),  # answered, ran, expert
        call("f", "not json"),  # answered with an error
        call("g", "{}"),  # never answered
        call("g", "[]"),  # JSON, but no object; the source says that it ran
        call("f", '{"a":2}'),  # the source says that it failed
    )
    one = made(
        ModelStep(text="x", calls=calls),
        ToolStep(text="fine", call=(0, 0)),
        ToolStep(text="Error: no", call=(0, 1)),
        ToolStep(text="Error: only a word", call=(0, 3), error=False),
        ToolStep(text="fine", call=(0, 4), error=True),
        ToolStep(text="Error: nobody asked"),
        expert=(ExpertCall(name="f", arguments=' { "a" : 1.0 } '),),
    )
    assert codes(Batch.of([one])) == [
        (1, 1, -1, 1, -1),
        (0, 0, -1, 0, -1),
        (1, -1, -1, 0, -1),
        (0, 1, -1, 0, -1),
        (1, 0, -1, 0, -1),
    ]


def test_evidence_on_record_stands():
    calls = (
        call("f", "nonsense", parsed=True, ran=True, sibling=True, expert=True, state=True),
        call("f", "{}", parsed=False, ran=False, sibling=False, expert=False, state=False),
    )
    passing = made(ModelStep(text="y", calls=(call("f", "{}"),)), identity="b", outcome=1.0)
    one = made(
        ModelStep(text="x", calls=calls),
        ToolStep(text="Error: no", call=(0, 0), error=True),
        ToolStep(text="fine", call=(0, 1), error=False),
        expert=(ExpertCall(name="f", arguments="{}"),),
        outcome=0.0,
    )
    assert codes(Batch.of([one, passing])) == [
        (1, 1, 1, 1, 1),
        (0, 0, 0, 0, 0),
        (1, -1, -1, 1, -1),  # the only pass: nobody else to look at; experts are the task's
    ]


def test_no_expert_known_is_not_no_expert_action():
    step = ModelStep(text="x", calls=(call("f"),))
    assert Batch.of([made(step)]).expert_C.tolist() == [-1]
    assert Batch.of([made(step, expert=())]).expert_C.tolist() == [0]


def test_siblings_are_other_passes_of_the_same_task():
    def attempt(identity: str, outcome: float | None, *names: str, **fields) -> Trajectory:
        step = ModelStep(text="x", calls=tuple(call(name) for name in names))
        return made(step, identity=identity, outcome=outcome, **fields)

    batch = Batch.of(
        [
            attempt("a", 1.0, "f", "g"),
            attempt("b", 0.0, "f", "h"),
            attempt("c", 1.0, "g"),
            attempt("d", None, "f", "h"),  # unscored ones are told too
            attempt("e", 0.5, "f", task="u"),  # nobody passed this task
            attempt("f", 0.0, "f", group="another group of the task"),
        ]
    )
    sibling: dict[str, list[int]] = {name: [] for name in "abcdef"}
    for c, traj in enumerate(batch.traj_S[batch.step_C].tolist()):
        sibling[batch.ids[traj]].append(int(batch.sibling_C[c]))
    assert sibling == {"a": [0, 1], "b": [1, 0], "c": [1], "d": [1, 0], "e": [-1], "f": [1]}
    # at 0.5 the lone attempt at u passes, and still has nobody else to look at
    half = Batch.of([attempt("e", 0.5, "f"), attempt("g", 0.0, "f")], pass_at=0.5)
    assert half.sibling_C.tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [  # parsed, ran, sibling, expert, state
        ((1, 1, 1, 0, -1), 1.0),
        ((1, 1, 0, 1, -1), 1.0),
        ((1, 1, 0, 0, 1), 1.0),
        ((1, 1, 0, -1, -1), 0.0),
        ((1, 1, -1, -1, -1), NAN),
        ((1, -1, -1, -1, -1), NAN),
        ((1, -1, 1, -1, -1), NAN),  # right if it ran, and nobody knows whether it did
        ((1, -1, 0, -1, -1), 0.0),
        ((1, 0, 1, 1, 1), 0.0),  # it did not run, so it cannot have been right
        ((0, 1, 1, 1, 1), 0.0),
        ((1, 0, -1, -1, -1), 0.0),
    ],
)
def test_what_a_correct_call_is(evidence: tuple[int, ...], expected: float):
    words = [None if code < 0 else bool(code) for code in evidence]
    fields = dict(zip(("parsed", "ran", "sibling", "expert", "state"), words, strict=True))
    batch = Batch.of([made(ModelStep(text="x", calls=(call(**fields),)))])
    np.testing.assert_array_equal(batch.correct_C, [expected])


# --- the other axes


def test_trajectories_and_groups_by_hand():
    batch = Batch.of(
        [
            made(ModelStep(text="I give up."), outcome=0.0, end="budget", rewards={"x": 1.0}),
            made(identity="b", outcome=1.0, group="h", tree="r", rewards={"y": None, "x": 0.5}),
            made(ModelStep(text="All done."), identity="c", end="infra", outcome=1.0, task="u"),
            made(identity="d", group="h", tree="s", claim="claimed", outcome=0.0, end="answered"),
            made(identity="a", tree="r", marks=(Mark(kind="tampered"),), outcome=1.0),
        ]
    )
    assert batch.ids == ("a", "b", "c", "d", "a")
    assert batch.groups == ("t", "h")
    assert batch.n_groups == 2
    assert batch.group_K.tolist() == [0, 1, 0, 1, 0]
    assert batch.task_K.tolist() == [0, 0, 1, 0, 0]
    assert batch.tree_K.tolist() == [-1, 0, -1, 1, 2]  # a tree's name counts inside its group
    np.testing.assert_array_equal(batch.outcome_K, [0.0, 1.0, NAN, 0.0, NAN])
    assert [CATEGORIES[c] for c in batch.category_K] == [
        *("honest_failure", "true_success", "infra", "false_success", "tampered")
    ]
    assert [CLAIMS[c] for c in batch.claim_K] == ["admitted", "none", "claimed", "claimed", "none"]
    assert [ENDS[c] for c in batch.end_K] == ["budget", "unknown", "infra", "answered", "unknown"]
    assert batch.reward_names == ("x", "y")
    np.testing.assert_array_equal(
        batch.reward_KJ, [[1.0, NAN], [0.5, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN]]
    )
    assert batch.weight_K.tolist() == [1.0] * 5


def test_content_is_what_the_policy_wrote():
    def wrote(*steps: Step) -> int:
        batch = Batch.of([made(*steps), made(*BASE, identity="b")])
        return int(batch.content_K[0] == batch.content_K[1])

    BASE = (
        ModelStep(text="ab", calls=(call("f", '{"a":1}'),)),
        ToolStep(text="x"),
        ModelStep(text="c"),
    )
    assert wrote(*BASE)
    assert wrote(UserStep(text="asked"), BASE[0], ToolStep(text="another world"), BASE[2])
    assert wrote(ModelStep(text="ab", calls=(call("f", '{ "a": 1.0 }'),)), BASE[2])
    assert not wrote(BASE[0])
    assert not wrote(BASE[2], BASE[0])
    assert not wrote(ModelStep(text="ab", calls=(call("f", '{"a":2}'),)), BASE[2])
    assert not wrote(ModelStep(text="ab"), BASE[2])
    assert not wrote(ModelStep(text="a", calls=BASE[0].calls), ModelStep(text="bc"))


def test_an_empty_set():
    batch = Batch.of([])
    assert batch.ids == batch.groups == ()
    for field in dataclasses.fields(batch):
        values = getattr(batch, field.name)
        if isinstance(values, np.ndarray):
            assert values.size == 0
    assert batch.span_N.size == batch.steps_R.size == batch.correct_C.size == 0


# --- laws


def with_ids(trajectory: Trajectory) -> Trajectory:
    """The same, with token ids on every model step."""
    steps = [
        msgspec.structs.replace(s, token_ids=ids(len(s.text)), spans=())
        if isinstance(s, ModelStep) and s.token_ids is None
        else s
        for s in trajectory.steps
    ]
    return msgspec.structs.replace(trajectory, steps=tuple(steps))


SETS = st.lists(trajectories().map(with_ids), max_size=4)
LAWS = settings(deadline=None, max_examples=25)


def oracle(trajectory: Trajectory) -> Iterator[tuple[int | None, int | None, str]]:
    """Per token: (number of its model step, number of its call in that step, role)."""
    number = -1
    for step in trajectory.steps:
        number += isinstance(step, ModelStep)
        for n in range(len(step.token_ids or ())):
            if not isinstance(step, ModelStep):
                yield None, None, "text"
                continue
            if step.sampled is not None and not any(a <= n < b for a, b in step.sampled):
                yield None, None, "text"
                continue
            inside = [s.role for s in step.spans if s.start <= n < s.end]
            placed = [c.start is not None for c in step.calls]
            here = [
                i
                for i, c in enumerate(step.calls)
                if (c.start is not None and c.end is not None and c.start <= n < c.end)
                or (not any(placed) and i == 0)
            ]
            if here:  # a copied call was made elsewhere
                yield number, None if step.untrainable == "copied" else here[-1], "call"
            else:
                yield number, None, inside[-1] if inside else "text"


@LAWS
@given(SETS)
def test_runs_are_the_oracle_token_by_token(records: list[Trajectory]):
    batch = Batch.of(records, measure="tokens")
    expected = [(k, *token) for k, record in enumerate(records) for token in oracle(record)]
    first_S = np.searchsorted(batch.traj_S, np.arange(len(records) + 1))
    first_C = np.searchsorted(batch.step_C, np.arange(batch.traj_S.size + 1))
    got = []
    for r in batch.span_N:
        k, step, number = int(batch.traj_R[r]), int(batch.step_R[r]), int(batch.call_R[r])
        got.append(
            (
                k,
                None if step < 0 else step - int(first_S[k]),
                None if number < 0 else number - int(first_C[step]),
                ROLES[batch.role_R[r]],
            )
        )
    assert got == expected
    assert (batch.length_R > 0).all()
    sizes = [sum(len(s.token_ids or ()) for s in record.steps) for record in records]
    assert np.bincount(batch.traj_R, batch.length_R, len(records)).tolist() == sizes
    for column in (batch.logprob_N, batch.entropy_N):
        assert column is None or column.size == sum(sizes)


@LAWS
@given(SETS)
def test_an_iterator_and_a_list_are_the_same(records: list[Trajectory]):
    assert_equal(Batch.of(iter(records)), Batch.of(records))
    assert_equal(Batch.of(r for r in records), Batch.of(tuple(records)))


def assert_equal(one: Batch, other: Batch) -> None:
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


CODED = {"group_K", "task_K", "tree_K", "session_K", "judge_K", "content_K"}
CODED |= {"state_S", "node_S", "parent_S", "seen_S", "key_C", "answer_C"}
"""Numbers that mean only "the same as" and "other than"; they are given by order of appearance."""


def classes(codes: Sequence[int]) -> list[int]:
    """Equal codes get the position of the first of them; -1 stays."""
    first: dict[int, int] = {-1: -1}
    return [first.setdefault(code, at) for at, code in enumerate(codes)]


@LAWS
@given(SETS, st.randoms(use_true_random=False))
def test_permuting_trajectories_permutes_everything(records: list[Trajectory], rng):
    order = list(range(len(records)))
    rng.shuffle(order)
    here = Batch.of(records, measure="tokens")
    there = Batch.of([records[i] for i in order], measure="tokens")
    owner = {
        "K": np.arange(len(records)),
        "S": here.traj_S,
        "C": here.traj_S[here.step_C],
        "R": here.traj_R,
        "N": here.traj_R[here.span_N],
    }
    moved = {
        axis: np.concatenate([np.flatnonzero(of == i) for i in order] or [of])
        for axis, of in owner.items()
    }
    back = {axis: np.append(np.argsort(at), -1) for axis, at in moved.items()}
    points_at = {"traj_S": "K", "traj_R": "K", "step_C": "S", "step_R": "S", "call_R": "C"}
    for kind, rows in (("reward", np.array(order, int)), ("score", moved["S"])):
        names, table = f"{kind}_names", {"reward": "reward_KJ", "score": "score_SJ"}[kind]
        columns = [getattr(there, names).index(name) for name in getattr(here, names)]
        assert len(columns) == len(getattr(there, names))
        expected = getattr(here, table)[rows]
        np.testing.assert_array_equal(expected, getattr(there, table)[:, columns])
    for field in dataclasses.fields(here):
        a, b = getattr(here, field.name), getattr(there, field.name)
        if field.name in ("reward_KJ", "score_SJ") or not isinstance(a, np.ndarray):
            continue
        expected = a[moved[field.name[-1]]]
        if field.name in points_at:
            expected = back[points_at[field.name]][expected]
        if field.name in CODED:
            assert classes(expected.tolist()) == classes(b.tolist()), field.name
        else:
            np.testing.assert_array_equal(expected, b, err_msg=field.name)
    assert [here.ids[i] for i in order] == list(there.ids)
    assert sorted(here.groups) == sorted(there.groups)


@LAWS
@given(st.lists(trajectories(), max_size=3))
def test_characters_fit_any_set(records: list[Trajectory]):
    batch = Batch.of(records, measure="characters")
    sizes = [
        sum(
            len(s.text) + sum(len(c.name) + len(c.arguments) for c in s.calls)
            for s in record.steps
            if isinstance(s, ModelStep)
        )
        for record in records
    ]
    assert np.bincount(batch.traj_R, batch.length_R, len(records)).tolist() == sizes
    assert (batch.step_R >= 0).all()
