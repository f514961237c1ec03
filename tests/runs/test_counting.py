"""Methods counted block by block on several processes, as one process counts each by itself."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from assay.audit import Audit, audit
from assay.batch import Batch, blocks
from assay.credit.base import Method, outcome_term, require
from assay.gate import passed
from assay.kernels.term import Term
from assay.pipeline import credits
from assay.recipes import Part, Recipe
from assay.runs.counting import counted, looked
from tests.credit.test_blocks import world


class Picky(Method):
    """Refuses a block without a fail, and not the whole."""

    name, source, reads = "picky", "none", "groups"

    def terms(self, batch: Batch) -> list[Term]:
        require(bool((batch.outcome_K == 0).sum() > 3), "picky needs more than three fails")
        return [outcome_term(batch)]


class Broken(Method):
    """Fails on some blocks, in its own way."""

    name, source, reads = "broken", "none", "outcomes"

    def terms(self, batch: Batch) -> list[Term]:
        if batch.traj_S.max(initial=0) > 20:
            raise ValueError(f"more than {len(batch.ids)}")
        return [outcome_term(batch)]


class Unread(Broken):
    """Sees the set as a whole."""

    name, reads = "unread", "set"

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, scale="none")]


@pytest.fixture(params=[False, True])
def batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.setattr(blocks, "AT_ONCE", 60)
    monkeypatch.setattr(blocks, "ROWS", 0)
    return world(5, mixed=request.param)


@pytest.mark.parametrize("count", [1, 3])
def test_the_audit_is_that_of_each_method_by_itself(batch: Batch, count: int):
    recipe = Recipe.compared(pass_at=0.25)
    own = tuple(Part(each.name, each) for each in (Unread(), Picky(), Broken()))
    recipe = replace(recipe, parts=(*own, *recipe.parts))
    decisions = passed(batch, ())[1]
    found = Audit(batch, decisions, pass_at=0.25)
    assert len(found.blocks) > 5
    refused = counted(found, recipe, count, print)
    made = found.result(refused=refused)
    why: dict[str, str] = {}
    expected = audit(batch, decisions, credits(batch, recipe, why), pass_at=0.25, refused=why)
    assert msgspec.json.encode(made) == msgspec.json.encode(expected)
    assert [*made["recovered"]][:3] == ["unread", "picky", "grpo"]
    assert refused == why
    assert refused["broken"] == f"broken failed, ValueError: more than {len(batch.ids)}"


def test_blocks_are_looked_at_once(batch: Batch):
    decisions = passed(batch, ())[1]
    found, alone = (Audit(batch, decisions) for _ in range(2))
    looked(found, 2, print)
    assert len(found.taken().seen) == len(found.blocks) > 5
    found.add("grpo", Recipe().parts[0].method(batch))
    counted(alone, Recipe(), 1, print)
    assert found.result() == alone.result()


def test_a_killed_process_is_said_and_its_part_counted_again(batch: Batch, tmp_path: Path):
    class Killed(Unread):
        name = "killed"

        def terms(self, batch: Batch) -> list[Term]:
            if not (mark := tmp_path / "killed").exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return [outcome_term(batch)]

    recipe = Recipe((*Recipe().parts, Part("killed", Killed())))
    said: list[str] = []
    found = Audit(batch, passed(batch, ())[1])
    assert counted(found, recipe, 2, said.append) == {}
    assert said == ["killed: a process of ours was killed; begun again, try 2 of 3"]
    assert [*found.result()["recovered"]] == ["grpo", "killed"]
