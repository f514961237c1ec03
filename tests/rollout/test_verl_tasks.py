"""Tasks of an environment as verl's dataset. No verl needed."""

import pytest

pytest.importorskip("torch")

from assay.errors import UnknownNameError, UsageError
from assay.rollout.verl.tasks import Tasks, tasks_of
from assay.world.catalogue import load


def test_a_row_names_its_task() -> None:
    made = Tasks(["lookup/even@3:5", "countdown@7:8"], tokenizer=None, config=None)
    assert len(made) == 3
    row = made[2]
    assert row["extra_info"] == {"environment": "countdown", "seed": 7, "index": 7}
    assert row["raw_prompt"] == [{"role": "user", "content": load("countdown").reset(7)}]
    assert (row["agent_name"], row["index"], row["data_source"]) == ("assay", 7, "countdown")
    assert [made[at]["index"] for at in range(3)] == [3, 4, 7]


def test_so_many_and_no_more() -> None:
    assert len(Tasks("lookup/even@0:9", max_samples=4)) == 4
    assert len(Tasks("lookup/even@0:9", max_samples=-1)) == 9


def test_names_with_colons_are_environments() -> None:
    assert tasks_of("assay.world.lookup:Lookup@1:2") == [("assay.world.lookup:Lookup", 1)]


@pytest.mark.parametrize("named", ["lookup/even", "lookup@3", "lookup@5:5", "lookup@a:b", "@1:2"])
def test_anything_else_is_refused(named: str) -> None:
    with pytest.raises(UsageError, match=f"tasks '{named}': expected ENVIRONMENT@FIRST:END"):
        tasks_of(named)
    with pytest.raises(UnknownNameError, match="Did you mean"):
        tasks_of("lokup@0:3")
