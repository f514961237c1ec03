"""Which columns are rewards. Advantages are worked out by hand from TRL's four ways to scale.

Rows are two groups of four. `a` and `b` are rewards, `x` is something logged beside them:

    a       1    0    1    0   |  1    1    0    0
    b       0.5  0.5  0    0   |  0    0    0    0
    a + b   1.5  0.5  1    0   |  1    1    0    0
    off      .75 -.25  .25 -.75 |  .5   .5  -.5  -.5      means 0.75 and 0.5

Group deviations: sqrt(1.25 / 3) = 0.645497 and sqrt(1 / 3) = 0.577350; of the batch (mean 0.625,
squares 2.375) sqrt(2.375 / 7) = 0.582482; each plus 1e-4. Each first: a gives +-0.5 / 0.57745 =
+-0.86588 in both groups, b +-0.25 / 0.288775 = +-0.86572 in the first; sums 1.7316, -0.00016,
0.00016, -1.7316 | +-0.86588, squares 8.99587, deviation 1.133633.
"""

from typing import Any

import pytest

from assay.importers.trl_columns import Evidence, Table, Told, Values

A = [1, 0, 1, 0, 1, 1, 0, 0]
B = [0.5, 0.5, 0, 0, 0, 0, 0, 0]
X = [3, 1, 4, 1, 2, 2, 9, 5]
GOLD = [42.5] * 4 + [7.0] * 4
SPANS = [(0, 4), (4, 8)]
NONE: Values = [0.75, -0.25, 0.25, -0.75, 0.5, 0.5, -0.5, -0.5]
SCALED = {
    "none": NONE,
    "group": [1.16172, -0.38724, 0.38724, -1.16172, 0.86588, 0.86588, -0.86588, -0.86588],
    "batch": [1.28737, -0.42912, 0.42912, -1.28737, 0.85825, 0.85825, -0.85825, -0.85825],
    "each first": [1.52734, -0.00014, 0.00014, -1.52734, 0.76374, 0.76374, -0.76374, -0.76374],
}


def told(*tables: Table) -> Told:
    evidence = Evidence()
    for each in tables:
        evidence.add(each)
    return evidence.told()


def table(advantage: Values, **columns: list[Any]) -> Table:
    spans = SPANS if len(advantage) == 8 else [(0, len(advantage))]
    doubles = {name: [v if v is None else float(v) for v in c] for name, c in columns.items()}
    return Table(doubles, advantage, spans)


@pytest.mark.parametrize("advantage", SCALED.values(), ids=SCALED.keys())
def test_each_way_to_scale_tells_rewards_from_extras(advantage: Values) -> None:
    found = told(table(advantage, a=A, b=B, x=X))
    assert found == Told(frozenset("ab"), by_sum=True)


def test_what_never_differs_within_a_group_is_left_out() -> None:
    found = told(table([0.5, -0.5, 0.5, -0.5] * 2, a=[1, 0] * 4, gold=GOLD, x=X))
    assert found == Told(frozenset("a"), idle=frozenset({"gold"}), by_sum=True)


def test_another_file_may_decide() -> None:
    """b never differs in the first file; in the second it takes part."""
    first = table([0.5, -0.5], a=[1, 0], b=[1, 1])
    second = table([0.25, -0.25], a=[1, 0], b=[0, 0.5])
    assert told(first) == Told(frozenset("a"), idle=frozenset("b"), by_sum=True)
    assert told(first, second) == Told(frozenset("ab"), by_sum=True)


def test_where_two_readings_hold_all_columns_count_and_it_is_said() -> None:
    """Two rows a group, scaled: every column that goes the same way gives +-0.70701."""
    found = told(table([0.70701, -0.70701], a=[1, 0], b=[0.5, 0]))
    assert found == Told(frozenset("ab"), frozenset("ab"), by_sum=True)


def test_where_nothing_differs_all_columns_count_and_it_is_said() -> None:
    dead: Values = [0.0, 0.0]
    assert told(table(dead, a=[1, 1], b=[2, 2])) == Told(frozenset("ab"), frozenset("ab"))
    assert told(table(dead, a=[1, 1])) == Told(frozenset("a"))


def test_what_differs_without_an_advantage_is_no_reward() -> None:
    found = told(table([0.0, 0.0], a=[1, 1], x=[3, 4]))
    assert found == Told(frozenset("a"), by_sum=True)


@pytest.mark.parametrize(
    "advantage",
    [
        [0.0] * 8,
        # weights 1 and 2: sums 2 1 1 0, mean 1
        [1.0, 0.0, 0.0, -1.0, 0.5, 0.5, -0.5, -0.5],
    ],
)
def test_advantages_that_follow_from_no_sum_contradict_it(advantage: Values) -> None:
    assert told(table(advantage, a=A, b=B)) == Told(frozenset("ab"), contradicted=8)


def test_most_files_decide_and_the_others_are_counted() -> None:
    good, other = table([0.5, -0.5], a=[1, 0], x=[1, 3]), table([0.9, -0.5, 0.1], a=[1, 0, 1])
    found = told(good, good, other)
    assert found == Told(frozenset("a"), contradicted=3, by_sum=True)


def test_a_row_without_rewards_moves_no_mean() -> None:
    """Means of 1 and 0, without the third row: +-0.5."""
    advantage: Values = [0.5, -0.5, 0.0]
    found = told(table(advantage, a=[1, 0, None], b=[None, 0, None], x=[1, 2, 3]))
    assert found.rewards == frozenset("a")
    assert found.contradicted == 0


def test_numbers_beyond_squares_are_no_error() -> None:
    huge = [1e308, -1e308, 1e308, 5.0]
    assert told(table([1.0, 2.0, 3.0, None], a=huge, b=huge)).contradicted == 4
