"""Which decisions are replayed."""

from collections import Counter
from itertools import chain

from msgspec import structs

from assay.records import ModelStep, ToolStep, Trajectory
from assay.replay.plan import allotted, chains, choose, decisions, next_point, strata


def one(name: str, group: str, outcome: float | None, turns: int = 3, **fields) -> Trajectory:
    steps = [each for _ in range(turns) for each in (ModelStep(text="x"), ToolStep(text="y"))]
    return Trajectory(
        id=name, task=group, group=group, outcome=outcome, steps=tuple(steps[:-1]), **fields
    )


LOG = [
    *(one(f"f{n}", "fail", 0.0) for n in range(4)),
    *(one(f"m{n}", "mixed", float(n % 2), turns=4) for n in range(4)),
    *(one(f"p{n}", "pass", 1.0, turns=1) for n in range(2)),
    one("u", "mixed", None),
]


def test_decisions_by_kind_of_group_and_place():
    found = {name: len(each) for name, each in strata(LOG).items()}
    assert found == {
        "all-fail/first": 4, "all-fail/middle": 4, "all-fail/last": 4,
        "mixed/first": 4, "mixed/middle": 8, "mixed/last": 4,
        "all-pass/last": 2,
    }  # fmt: skip
    assert set(strata(LOG, tasks=["pass"])) == {"all-pass/last"}
    assert set(strata(LOG, pass_at=0.0)) == {
        f"all-pass/{place}" for place in ("first", "middle", "last")
    }


def test_copies_and_shared_nodes_are_no_decisions_of_their_own():
    steps = (ModelStep(untrainable="copied"), ModelStep(node="a"), ModelStep(node="b"))
    first = Trajectory(id="1", task="t", group="t", tree="r", outcome=0.0, steps=steps)
    assert decisions(first) == (1, 2)
    other = structs.replace(first, id="2", steps=(*steps[:2], ModelStep(node="c")))
    found = strata([first, other])
    assert sorted(chain.from_iterable(found.values())) == [(0, 1), (0, 2), (1, 2)]


def test_shares_go_by_the_root_of_the_size():
    # roots 10, 5, 2; one each, then the largest root / (2 n + 1):
    # a 3.33, a 2, b 1.67, a 1.43, a 1.11, b 1, a .91, a .77, b .71
    assert allotted({"a": 100, "b": 25, "c": 4}, 12) == {"a": 7, "b": 4, "c": 1}
    assert allotted({"a": 100, "b": 2}, 50) == {"a": 48, "b": 2}
    assert allotted({"a": 3, "b": 2}, 50) == {"a": 3, "b": 2}
    assert allotted({"a": 3, "b": 2}, 1) == {"a": 1, "b": 0}


def test_each_stands_for_its_stratum_and_the_choice_is_the_seeds():
    chosen = choose(LOG, 14, seed=3)
    assert chosen == choose(LOG, 14, seed=3) != choose(LOG, 14, seed=4)
    assert len(chosen) == len({(each.trajectory, each.step) for each in chosen}) == 14
    total = Counter[str]()
    for each in chosen:
        total[each.stratum] += each.weight
    assert {name: round(sum_, 9) for name, sum_ in total.items()} == {
        name: len(each) for name, each in strata(LOG).items()
    }
    names = [each.id for each in LOG]
    order = [(names.index(each.trajectory), each.step) for each in chosen]
    assert order == sorted(order)


def test_neighbours_stay_together():
    # steps 0, 2, 4 (and 6) are the model's; replies stand between them
    records = {each.id: each for each in LOG}
    chosen = [each for each in choose(LOG, 99, seed=0) if (each.trajectory, each.step) != ("m0", 2)]
    found = [
        [(each.trajectory, each.step) for each in neighbours]
        for neighbours in chains(chosen, records)
    ]
    assert found[0] == [("f0", 0), ("f0", 2), ("f0", 4)]
    assert [("m0", 0)] in found
    assert [("m0", 4), ("m0", 6)] in found
    assert next_point(records["m0"], 6) is None
    assert list(chain.from_iterable(found)) == [(each.trajectory, each.step) for each in chosen]
