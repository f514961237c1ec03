import numpy as np
import pytest
from msgspec import structs

from assay.errors import DataError
from assay.records import Ledger, Trajectory
from assay.runs.ledger import Order, check, row


def test_every_task_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    order = Order(seed=3, pool=10, first=100)
    epochs = [[order.task(place) for place in range(e * 10, e * 10 + 10)] for e in range(3)]
    assert all(sorted(epoch) == list(range(100, 110)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_is_a_function_of_the_seed_and_not_of_where_one_asks_first() -> None:
    forward = [Order(seed=3, pool=7).task(place) for place in range(21)]
    order = Order(seed=3, pool=7)
    assert [order.task(place) for place in reversed(range(21))] == forward[::-1]
    assert forward[:7] == np.random.default_rng([3, 0]).permutation(7).tolist()
    assert [Order(seed=4, pool=7).task(place) for place in range(21)] != forward


def attempt(place: int, tokens: int, calls: int = 1) -> Trajectory:
    ledger = Ledger(prompts=1, tokens=tokens, calls=calls, env_steps=2, scoring_forwards=1)
    return Trajectory(id=f"{place}/{tokens}", task=f"t{place}", group=f"{place}/t", ledger=ledger)


def test_a_batch_is_counted_and_added_up() -> None:
    first = row(1, 0, [attempt(0, 5), attempt(0, 7), attempt(1, 1), attempt(1, 2)], {})
    assert first["tasks"] == ["t0", "t1"]
    assert (first["prompts"], first["trajectories"], first["tokens"]) == (2, 4, 15)
    second = row(2, 2, [attempt(2, 5, 3), attempt(3, 5, 0)], first["total"])
    assert second["total"] == {
        "prompts": 4, "trajectories": 6, "tokens": 25, "calls": 7, "env_steps": 12,
        "scoring_forwards": 6,
    }  # fmt: skip
    assert check([first, second]) == second["total"]


def test_a_lost_or_repeated_prompt_is_noticed() -> None:
    rows = [row(1, 0, [attempt(0, 5)], {})]
    rows.append(row(2, 1, [attempt(1, 5)], rows[0]["total"]))
    with pytest.raises(DataError, match="begins at prompt 1; expected 0"):
        check(rows[1:])
    with pytest.raises(DataError, match="begins at prompt 0; expected 1"):
        check([rows[0], rows[0]])
    with pytest.raises(DataError, match="totals do not add up"):
        check([rows[0], {**rows[1], "total": rows[0]["total"]}])
    with pytest.raises(DataError, match=r"holds prompts \[0, 2\]; expected \[0, 1\]"):
        row(1, 0, [attempt(0, 5), attempt(2, 5)], {})


def test_a_ledger_from_before_scoring_forwards_were_counted_adds_up() -> None:
    bare = Ledger(prompts=1, tokens=5, calls=1, env_steps=2)
    first = row(1, 0, [structs.replace(attempt(0, 5), ledger=bare)], {})
    old = {name: each for name, each in first.items() if name != "scoring_forwards"}
    old["total"] = {n: v for n, v in first["total"].items() if n != "scoring_forwards"}
    second = row(2, 1, [attempt(1, 5)], old["total"])
    assert check([old, second])["scoring_forwards"] == 1
