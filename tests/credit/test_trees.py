"""Credit from trees, by hand, and the laws it promises on trees of any shape."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Batch
from assay.credit import method
from assay.errors import MethodError, UsageError
from assay.recipes import Recipe
from assay.records import ModelStep
from tests.credit.test_structure import TREE, leaf
from tests.credit.worlds import NAN, answer, batch_of, group, one

TREES = ("carl", "tree_rl", "tree_po")
ALL = [
    *((name, {}) for name in TREES),
    ("tree_po", {"over": "size"}),
    ("tree_rl", {"variant": "repo"}),
    ("tree_grpo", {}),
    ("tree_grpo", {"prefix_mode": "dedup_sum"}),
    ("tree_grpo", {"compare": "intra", "aggregation": "sequence_mean"}),
]


def total(batch: Batch, name: str, **options):
    return method(name, **options)(batch).total


def close(got, expected):
    np.testing.assert_allclose(got, expected, atol=1e-5)


# root -> a1 -> {a2: 1, b2: 0}; root -> c1 -> c2: 0; spans are a1 a2 | a1 b2 | c1 c2.
# carl: V(a1) = 1/2, V(c1) = 0, V(root) = 1/4. tree_rl: V(root) = 1/3, V(a1) = 1/2, V(c1) = 0:
# a1 (1/6 + 1/6) / sqrt 2, a2 2/3 + 1/2, b2 -1/3 - 1/2, c1 -1/3 - 1/3, c2 -1/3 + 0; repo: n / (n-1)
# = 3/2 of it. tree_po: a2 (2/3 + 1/2) / 2, b2 (-1/3 - 1/2) / 2, c2 -1/3; by size a2
# (3 * 2/3 + 2 * 1/2) / 5, b2 (3 * -1/3 + 2 * -1/2) / 5. tree_grpo's own term alone: test_structure
SHARED = 2**0.5 / 6
VECTORS = [
    ("carl", {}, [0.25, 0.5, 0.0, -0.5, -0.25, 0.0]),
    ("tree_rl", {}, [SHARED, 7 / 6, SHARED, -5 / 6, -2 / 3, -1 / 3]),
    ("tree_rl", {"variant": "repo"}, [0.353553, 1.75, 0.353553, -1.25, -1.0, -0.5]),
    ("tree_po", {}, [*[0.583333] * 2, *[-0.416667] * 2, *[-1 / 3] * 2]),
    ("tree_po", {"over": "size"}, [*[0.6] * 2, *[-0.4] * 2, *[-1 / 3] * 2]),
]


@pytest.mark.parametrize(("name", "options", "expected"), VECTORS)
def test_the_same_tree_under_many_estimators(name, options, expected):
    got = method(name, **options)(batch_of(TREE))
    close(got.total, expected)
    once = [True, True, False, True, True, False]
    assert got.carried.tolist() == (once if name == "carl" else [True] * 6)


def test_tree_po_whitens_over_tokens():
    # .583333 -.416667 -.333333, twice each: mean -1/18, squares 2 * (.408179 + .130401 + .077160)
    # = 1.231481 over 5: deviation .496283
    mean, deviation = -1 / 18, (1.2314814814 / 5) ** 0.5
    left = np.repeat([0.583333, -0.416667, -0.333333], 2)
    close(total(batch_of(TREE), "tree_po", whiten="scale"), left / deviation)
    close(total(batch_of(TREE), "tree_po", whiten="full"), (left - mean) / deviation)
    close(total(batch_of([TREE[1], TREE[2]]), "tree_po", whiten="full"), 0.0)


def test_roots_of_one_task_are_one_state():
    # two chains of two trees: carl compares their first steps, V(root) = 1/2, and drops the others
    chains = batch_of([leaf(1.0, "a", "b", tree="t"), leaf(0.0, "a", "b", tree="u")])
    got = method("carl")(chains)
    close(got.total, [0.5, 0.0, -0.5, 0.0])
    assert got.carried.tolist() == [True, False, True, False]
    # tree_rl: both terms on the first step, the second has no more to say than its global term
    close(total(chains, "tree_rl"), [1.0, 0.5, -1.0, -0.5])
    close(total(chains, "tree_po"), [0.5, 0.5, -0.5, -0.5])


def test_a_trajectory_may_end_where_another_goes_on():
    # a ends one trajectory (1), and goes on to b (0): carl V(a) = 1/2, b -1/2; the root has one
    # child. tree_rl V(root) = V(a) = 1/2: a 0, b -1/2 - 1/2. tree_po: at the root and at a +-1/2
    batch = batch_of([leaf(1.0, "a"), leaf(0.0, "a", "b")])
    got = method("carl")(batch)
    close(got.total, [0.0, 0.0, -0.5])
    assert got.carried.tolist() == [False, False, True]
    close(total(batch, "tree_rl"), [0.0, 0.0, -1.0])
    close(total(batch, "tree_po"), [0.5, -0.5, -0.5])


@pytest.mark.parametrize(("name", "options"), ALL)
@pytest.mark.parametrize("outcome", [0.0, 1.0, 0.7])
def test_a_tree_of_equal_leaves_gives_exactly_zero(name, options, outcome):
    paths = [("a", "b"), ("a", "c"), ("d", "e"), ("d", "f"), ("d", "g"), ("h",), ("h", "i")]
    got = total(batch_of(leaf(outcome, *path) for path in paths), name, **options)
    np.testing.assert_array_equal(got, 0.0)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_a_tree_of_one_leaf_alone_gives_zero(name, options):
    np.testing.assert_array_equal(total(batch_of([leaf(1.0, "a", "b")]), name, **options), 0.0)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_a_truncated_leaf_and_a_step_whose_tool_failed_are_like_others(name, options):
    def made(error, end):
        batch = []
        for outcome, *path in ((1.0, "a", "b"), (0.0, "a", "c"), (0.0, "d", "e")):
            first, *rest = leaf(outcome, *path).steps
            steps = [first, answer("no", error=error), *rest]
            batch.append(
                one(outcome, tree="t", steps=steps, end=end if path[-1] == "c" else "answered")
            )
        return total(batch_of(batch), name, **options)

    np.testing.assert_array_equal(made(True, "budget"), made(False, "answered"))


def test_unscored_leaves_count_nowhere():
    # b2 unscored: V(a1) = 1, V(c1) = 0, V(root) = 1/2; a2 has no scored sibling
    batch = batch_of([TREE[0], leaf(None, "a1", "b2"), TREE[2]])
    got = method("carl")(batch)
    close(got.total, [0.5, 0.0, 0.0, 0.0, -0.5, 0.0])
    assert got.carried.tolist() == [True, False, False, False, True, False]
    close(total(batch, "tree_rl"), [1.0, 0.5, 1.0, NAN, -1.0, -0.5])
    close(total(batch, "tree_po"), [0.5, 0.5, NAN, NAN, -0.5, -0.5])


def test_a_session_votes_once():
    # a2 and b2 are outputs of one rollout, worth what the last says, 0; c2 1: V(a1) = 0, b2 the
    # voter, a2 has nobody's vote below it and no sibling that has: V(root) = 1/2
    shared = [leaf(0.0, "a1", "a2", session="A"), leaf(0.0, "a1", "b2", session="A")]
    batch = batch_of([*shared, leaf(1.0, "c1", "c2")])
    close(total(batch, "carl"), [-0.5, 0.0, 0.0, 0.0, 0.5, 0.0])
    # a1 -1/2 - 1/2, a2 and b2 -1/2 + 0
    close(total(batch, "tree_rl"), [-1.0, -0.5, -1.0, -0.5, 1.0, 0.5])
    close(total(batch, "tree_po"), [*[-0.5] * 4, *[0.5] * 2])
    # a is compared with the votes of b and c, 0 and 1, and has none itself
    flat = [leaf(0.0, "a", session="A"), leaf(0.0, "b", session="A"), leaf(1.0, "c")]
    close(total(batch_of(flat), "carl"), [-0.5, -0.5, 0.5])


def test_a_copied_step_without_a_name_is_in_no_tree():
    shown = ModelStep(text="x", token_ids=(0,), untrainable="copied")
    with_it = [one(t.outcome, tree="t", steps=[shown, *t.steps]) for t in TREE]
    for name, options in ALL:
        got = total(batch_of(with_it), name, **options).reshape(3, 3)
        np.testing.assert_array_equal(got[:, 0], 0.0)
        np.testing.assert_allclose(got[:, 1:].ravel(), total(batch_of(TREE), name, **options))


def test_the_first_copy_that_may_be_trained_carries():
    shut = ModelStep(text="a1", token_ids=(0,), node="a1", untrainable="drifted")
    batch = batch_of([one(1.0, tree="t", steps=[shut, TREE[0].steps[1]]), *TREE[1:]])
    close(total(batch, "carl"), [0.0, 0.5, 0.25, -0.5, -0.25, 0.0])
    assert not method("carl")(batch).carried[0]


def test_what_is_refused():
    for name in TREES:
        with pytest.raises(MethodError, match=f"{name} needs nodes.*assay train tree"):
            method(name)(group([1.0, 0.0], tree="t"))
        with pytest.raises(MethodError, match=f"{name}: a node of trajectory 'k0' has two parents"):
            method(name)(batch_of([leaf(1.0, "a", "c"), leaf(0.0, "b", "c")]))
        # the name of its parent is the same, the step before it is not
        bare = [ModelStep(text=n, token_ids=(0,), node=n) for n in "abc"]
        batch = batch_of(one(1.0, tree="t", steps=[bare[i], bare[2]]) for i in (0, 1))
        with pytest.raises(MethodError, match="has two parents"):
            method(name)(batch)


def test_a_node_that_a_trajectory_comes_to_twice_is_refused():
    # no step says its parent, so that nothing else about the name is wrong
    bare = [ModelStep(text=n, token_ids=(0,), node=n) for n in "aba"]
    batch = batch_of([one(1.0, tree="t", steps=bare[:2]), one(0.0, tree="t", steps=bare)])
    for name, options in (("tree_grpo", {"prefix_mode": "dedup_sum"}), ("carl", {})):
        with pytest.raises(MethodError, match=f"{name}: two steps of trajectory 'k1' name one nod"):
            method(name, **options)(batch)


# ---- Tree-GRPO: terms apart, and what a loss divides by


def test_tree_grpo_terms_apart():
    # T1: 1 0 0 | 0 0 0
    leaves = [leaf(r, f"n{i}", tree="ab"[i // 3]) for i, r in enumerate([1.0, 0, 0, 0, 0, 0])]
    batch = batch_of(leaves)
    intra, inter = [1.154699, -0.577349, -0.577349, 0, 0, 0], [2.041236, *[-0.408247] * 5]
    for compare, expected in (("intra", intra), ("inter", inter)):
        got = method("tree_grpo", compare=compare)(batch)
        close(got.total, expected)
        assert len(got.parts) == 1
    close(total(batch, "tree_grpo"), np.add(intra, inter))
    # ddof 0: mean 1/3, deviation sqrt(2)/3: 1.414211; mean 1/6, deviation sqrt(5)/6: 2.236062
    expected = [3.650273, -1.154318, -1.154318, *[-0.447212] * 3]
    close(total(batch, "tree_grpo", ddof=0), expected)


def test_tree_grpo_t5_what_a_mean_over_rows_gives_a_shared_beginning():
    # leaves 1 0 0 of 10, 20, 20 tokens, one of which all share: 1.154699/10 - 2 * .577349/20
    def grown(outcome, name, length):
        steps = (
            ModelStep(text="r", token_ids=(0,), node="r"),
            ModelStep(text=name, token_ids=(0,) * (length - 1), node=name, parent="r"),
        )
        return one(outcome, tree="t", steps=steps)

    batch = batch_of([grown(1.0, "a", 10), grown(0.0, "b", 20), grown(0.0, "c", 20)])
    once = {"prefix_mode": "dedup_sum", "compare": "intra"}
    close(total(batch, "tree_grpo", **once)[0], 0.0)
    got = total(batch, "tree_grpo", aggregation="sequence_mean", **once)
    close(got[[0, 1, 3, 5]], [0.057735, 0.11547, -0.028867, -0.028867])
    repeat = total(batch, "tree_grpo", aggregation="sequence_mean", compare="intra")
    close(repeat[[0, 2, 4]].sum(), 0.057735)
    mean = {**once, "prefix_mode": "dedup_mean", "aggregation": "sequence_mean"}
    close(total(batch, "tree_grpo", **mean)[0], 0.057735 / 3)


def test_a_loss_that_divides_by_rows_itself_is_refused():
    recipe = Recipe.of({"method": {"name": "tree_grpo", "aggregation": "sequence_mean"}})
    recipe.check_loss("dapo")
    with pytest.raises(UsageError, match=r"tree_grpo: aggregation .sequence_mean. divides by"):
        recipe.check_loss("grpo")
    Recipe.of("tree_grpo").check_loss("grpo")


# ---- MS-GRPO


def test_ms_grpo_g1_on_every_step_or_divided_by_them():
    # returns 3 1 1 -1: mean 1, deviation sqrt 2; episodes of 2, 1, 1 and 4 steps
    made = [
        leaf(r, *(f"{i}.{n}" for n in range(size)))
        for i, (r, size) in enumerate(((3.0, 2), (1.0, 1), (1.0, 1), (-1.0, 4)))
    ]
    close(total(batch_of(made), "ms_grpo"), [*[1.414214] * 2, 0, 0, *[-1.414214] * 4])
    got = total(batch_of(made), "ms_grpo", per_step=True)
    close(got, [*[0.707107] * 2, 0, 0, *[-0.353553] * 4])


# ---- laws, on trees of any shape

shapes = st.lists(
    st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.sampled_from([0.0, 0.5, 1])),
    min_size=1,
    max_size=9,
)


def grown(shape) -> list:
    """Trajectories along paths of digits: a node is the digits so far."""
    return [
        leaf(float(o), *("n" + "".join(map(str, path[: i + 1])) for i in range(len(path))))
        for path, o in shape
    ]


def by_hand(shape):
    """carl and tree_rl by node, tree_po by trajectory: recursive, in dictionaries."""
    ends, kids = defaultdict(list), defaultdict(set)
    for path, o in shape:
        ends[tuple(path)].append(o)
        for i in range(len(path)):
            kids[tuple(path[:i])].add(tuple(path[: i + 1]))

    def leaves(u):
        return [o for path, o in shape if tuple(path[: len(u)]) == u]

    def children(u):
        return [value(v) for v in sorted(kids[u])] + ends[u]

    def value(u):
        return sum(children(u)) / len(children(u))

    def mean(u):
        return sum(leaves(u)) / len(leaves(u))

    nodes = [v for u in list(kids) for v in kids[u]]
    several = {v for v in nodes if len(children(v[:-1])) > 1}
    carl = {v: value(v) - value(v[:-1]) if v in several else 0.0 for v in nodes}
    rl = {v: (2 * mean(v) - mean(()) - mean(v[:-1])) / len(leaves(v)) ** 0.5 for v in nodes}
    po = []
    for path, o in shape:
        above = [tuple(path[:i]) for i in range(len(path) + 1)]
        gaps = [o - mean(u) for u in above if len(leaves(u)) > 1]
        po.append(sum(gaps) / max(len(gaps), 1))
    return carl, rl, po


@settings(max_examples=60, deadline=None)
@given(shape=shapes)
def test_any_tree_is_as_by_hand(shape):
    carl, rl, po = by_hand(shape)
    batch, seen = batch_of(grown(shape)), set()
    expected = {"carl": [], "tree_rl": [], "tree_po": []}
    for (path, _), of_leaf in zip(shape, po, strict=True):
        for i in range(len(path)):
            node = tuple(path[: i + 1])
            expected["carl"].append(0.0 if node in seen else carl[node])
            expected["tree_rl"].append(rl[node])
            expected["tree_po"].append(of_leaf)
            seen.add(node)
    for name, values in expected.items():
        np.testing.assert_allclose(total(batch, name), values, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(shape=shapes, shift=st.sampled_from([-3.0, 0.25]), seed=st.integers(0, 9))
def test_a_constant_and_the_order_change_nothing(shape, shift, seed):
    order = np.random.default_rng(seed).permutation(len(shape))
    made = grown(shape)
    moved = grown([(path, o + shift) for path, o in shape])
    ends = np.cumsum([len(path) for path, _ in shape])
    for name, options in (*ALL, ("tree_po", {"whiten": "full"})):
        got = total(batch_of(made), name, **options)
        np.testing.assert_allclose(total(batch_of(moved), name, **options), got, atol=1e-6)
        if name == "carl" or "prefix_mode" in options:  # which copy carries is a matter of order
            continue
        rows = np.split(got, ends[:-1])
        mixed = total(batch_of(made[i] for i in order), name, **options)
        np.testing.assert_allclose(mixed, np.concatenate([rows[i] for i in order]), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_what_adds_up_to_zero(shape):
    batch = batch_of(grown(shape))
    first = np.cumsum([0, *(len(path) for path, _ in shape[:-1])])
    # leaves of the task, and of each tree
    for compare in ("both", "inter", "intra"):
        assert abs(total(batch, "tree_grpo", compare=compare)[first].sum()) < 1e-9
    assert abs(total(batch, "tree_po", whiten="full").sum()) < 1e-6
    # repeated or once: the same sum over all copies
    repeat, once = (
        total(batch, "tree_grpo", prefix_mode=mode).sum() for mode in ("repeat", "dedup_sum")
    )
    assert repeat == pytest.approx(once, abs=1e-9)


# ---- large ones, without recursion


def test_ten_thousand_nodes_and_a_chain_of_five_thousand():
    wide = [leaf(float(i % 3 == 0), "r", f"a{i % 100}", f"b{i}") for i in range(9_899)]
    names = [f"n{i}" for i in range(5_000)]
    deep = [leaf(1.0, *names, group="deep"), leaf(0.0, *names[:-1], "end", group="deep")]
    batch = batch_of([*wide, *deep])
    assert np.unique(batch.node_S).size >= 15_000
    for name, options in (*ALL, ("tree_po", {"whiten": "full"})):
        assert not np.isnan(total(batch, name, **options)).any()
    carl = method("carl")(batch)
    close(carl.total[[-5_001, -1]], [0.5, -0.5])  # 5,000 and 5,000 steps, one span each
    assert carl.carried[-10_000:].sum() == 2
    # an inner node of many leaves: V(a_j) = mean over its b, V(r) = mean over the 100 a
    outcomes = np.array([t.outcome for t in wide])
    value = np.array([outcomes[j::100].mean() for j in range(100)])
    close(carl.total[1], value[0] - value.mean())
