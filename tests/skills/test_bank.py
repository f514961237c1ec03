"""Banks: what merges, what is bounded, what retires; and a kill in the middle of a write."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from assay.errors import DataError
from assay.skills import store
from assay.skills.bank import SPARE, Bank, became
from assay.skills.skill import Evidence, Exposure, Skill, Status, Trial, named

STATUS: list[Status] = ["candidate", "active"]


def skill(principle: str, **more: Any) -> Skill:
    made: dict[str, Any] = {"kind": "lesson", "category": "c", "when": "w", **more}
    id = named(made["kind"], made["category"], made["when"], principle)
    return Skill(id=id, principle=principle, **made)


def rested(on: str) -> tuple[Evidence, ...]:
    return (Evidence(trajectory=on, task="t", steps=(1,), level="E3"),)


def test_equal_skills_are_one_with_the_evidence_of_both():
    first = skill("first a then b", evidence=rested("x"))
    again = skill(" First  A then b", evidence=rested("y"))
    other = skill("first b then a", evidence=rested("z"))
    bank = Bank().merged([first]).merged([again, again, other])
    assert {each.principle for each in bank.skills} == {"first a then b", "first b then a"}
    assert [each.trajectory for each in bank.get(first.id).evidence] == ["x", "y"]
    assert (bank.version, bank.generation) == (2, 0), "a candidate is shown to nobody"


def test_a_retired_skill_that_is_written_again_stays_retired():
    one = skill("a", status="retired", why="harm", evidence=rested("x"))
    bank = Bank(skills=(one,)).merged([skill("a", evidence=rested("y"))])
    assert bank.get(one.id).status == "retired"
    assert len(bank.get(one.id).evidence) == 2


def test_nothing_new_is_the_same_version():
    bank = Bank().merged([skill("a", evidence=rested("x"))])
    assert bank.merged([skill("a", evidence=rested("x"))]) is bank
    assert bank.retired() is bank


def test_the_cap_takes_what_surely_helps_least():
    """Upper ends of 8/10, 1/8 and 0/0 are .943, .471 and 1: the second goes."""
    seen = {"a": (8, 10), "b": (1, 8), "c": (0, 0)}
    on = [
        skill(name, status="active", exposure=Exposure(shown=n, passed=p))
        for name, (p, n) in seen.items()
    ]
    bank = Bank(cap=2).next(on)
    assert {each.principle for each in bank.active} == {"a", "c"}
    assert bank.get(on[1].id).why == "cap"
    assert bank.generation == 1


def test_of_drafts_each_is_counted_once_and_what_went_for_them_too():
    """Before: a active, b retired. a again and b again, c twice, d: 2 new of 5, 2 said already, one
    retired before. The cap is 2, so that of a, c and d, all untried, the least id goes."""
    bank = Bank(cap=2).next([skill("a", status="active"), skill("b", status="retired", why="harm")])
    drafts = [skill(name) for name in "abccd"]
    after = bank.merged(drafts, status="active")
    assert became(bank, drafts, after) == {
        "new": 2, "merged": 2, "retired before": 1, "capped": 1, "dropped": 0
    }  # fmt: skip
    again = after.merged(drafts, status="active")
    assert became(after, drafts, again) == {
        "merged": 3, "retired before": 2, "capped": 0, "dropped": 0
    }  # fmt: skip
    many = [skill(str(n)) for n in range(2 * SPARE + 3)]
    assert became(Bank(cap=2), many, Bank(cap=2).merged(many))["dropped"] == 3


@given(st.lists(st.sampled_from("abcdefgh")), st.integers(1, 3), st.sampled_from(STATUS))
def test_fates_of_drafts_add_up(names: list[str], cap: int, status: Status):
    old = [skill("a", status="active"), skill("b", status="retired", why="cap"), skill("c")]
    before, drafts = Bank(cap=cap).next(old), [skill(name) for name in names]
    after = before.merged(drafts, status=status)
    made = became(before, drafts, after)
    assert made["new"] + made["merged"] + made["retired before"] == len(drafts)
    assert len(before.skills) + made["new"] - made["dropped"] == len(after.skills)
    gone = len(before.active) + made["new"] * (status == "active") - len(after.active)
    assert made["capped"] <= gone <= made["capped"] + made["dropped"]


def test_harm_retires_and_doubt_does_not():
    """Shown 1/8, Wilson .0224 to .4709. Held back 4/6 (.3000 to .9032): help -.5417, its upper end
    -.5417 + sqrt(.3459**2 + .3667**2) = -.0376. 3/5 (.2307 to .8824): -.475 + .5060 = .0310."""
    harm, doubt, untold = (
        skill(name, status="active", exposure=Exposure(shown=8, passed=1, held=held, held_passed=p))
        for name, held, p in (("a", 6, 4), ("b", 5, 3), ("c", 0, 0))
    )
    after = Bank().next([harm, doubt, untold]).retired()
    assert [after.get(each.id).why for each in (harm, doubt, untold)] == ["harm", "", ""]
    assert after.get(harm.id).status == "retired"


def test_what_nobody_retrieves_is_retired():
    one = skill("a", status="active", used=3)
    assert Bank(generation=22, skills=(one,)).retired().get(one.id).status == "active"
    assert Bank(generation=23, skills=(one,)).retired().get(one.id).why == "unused"


def test_trials_admit_candidates_alone():
    on, off = skill("a"), skill("b", status="retired", why="harm")
    yes = Trial(pairs=64, told=40, bare=20, lower=0.2, admitted=True)
    no = structs.replace(yes, admitted=False)
    bank = Bank().next([on, off]).decided({on.id: yes, off.id: yes})
    assert bank.get(on.id).status == "active"
    assert bank.get(off.id).status == "retired"
    assert Bank().next([on]).decided({on.id: no}).get(on.id).status == "candidate"


def test_exposures_add_up_and_count_as_use():
    one = skill("a", status="active", exposure=Exposure(shown=1, passed=1))
    bank = Bank(generation=4, skills=(one,))
    found = bank.counted({one.id: Exposure(shown=2, passed=1, held=3, held_passed=1)}).get(one.id)
    assert found.exposure == Exposure(shown=3, passed=2, held=3, held_passed=1)
    assert found.used == 4
    again = bank.counted({one.id: Exposure(shown=2)}, afresh=True).get(one.id)
    assert again.exposure == Exposure(shown=2)


def test_help_is_shown_less_held_back():
    """56 of 70 shown, 48 of 80 not: .2, from .0524 to .3339 (Newcombe 1998)."""
    seen = Exposure(shown=70, passed=56, held=80, held_passed=48)
    assert seen.help == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert Exposure(shown=3, passed=1).help is None


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["candidate", "active", "retired"]))))
def test_a_bank_is_bounded_and_in_order(rows: list[tuple[int, str]]):
    made = {n: skill(str(n), status=status) for n, status in rows}
    bank = Bank(cap=2).next(made.values())
    assert len(bank.active) <= 2
    assert max(len(bank.of("candidate")), len(bank.of("retired"))) <= 2 * SPARE
    assert [*bank.skills] == sorted(bank.skills, key=lambda each: each.id)


def test_of_candidates_the_newest_are_kept():
    made = [skill(str(n), used=n) for n in range(2 * SPARE + 1)]
    kept = Bank(cap=2).next(made).of("candidate")
    assert {each.used for each in kept} == set(range(1, 2 * SPARE + 1))


def test_what_is_no_bank_is_refused():
    one = skill("a")
    with pytest.raises(DataError, match="repeat"):
        Bank(skills=(one, one))
    with pytest.raises(DataError, match="longer"):
        Bank(skills=(skill("a" * 1201),))


def test_a_bank_on_disk_is_what_was_written(tmp_path: Path):
    bank = store.save(tmp_path / "bank", Bank().merged([skill("a")]))
    more = store.save(tmp_path / "bank", bank.merged([skill("b")]))
    assert store.opened(tmp_path / "bank") == more
    assert store.opened(tmp_path / "bank", 1) == bank
    assert more.parent == bank.sha256
    where = tmp_path / "bank" / "versions" / "000002.json"
    where.write_bytes(where.read_bytes().replace(b'"a"', b'"z"'))
    with pytest.raises(DataError, match="hash"):
        store.opened(tmp_path / "bank")
    with pytest.raises(DataError, match="no skill bank"):
        store.opened(tmp_path)
    (tmp_path / "bank" / "bank.json").write_text('{"schema": "assay.bank/2", "version": 1}')
    with pytest.raises(DataError, match=r"expected .assay\.bank/1"):
        store.opened(tmp_path / "bank")


KILLED = """
import os, signal, sys
from pathlib import Path
from assay.files import atomic
from assay.skills import store
from tests.skills.test_bank import skill
path, at = Path(sys.argv[1]), int(sys.argv[2])
count, replace = 0, Path.replace
def counted(self, target):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = counted
bank = store.opened(path)
store.save(path, bank.merged([skill("new")]))
"""


@pytest.mark.parametrize("at", [1, 2])
def test_a_bank_that_is_killed_while_it_is_written_opens_as_before(tmp_path: Path, at: int):
    bank = store.save(tmp_path / "bank", Bank().merged([skill("old")]))
    script = [sys.executable, "-c", KILLED, str(tmp_path / "bank"), str(at)]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([f"{root}/src", root])
    killed = subprocess.run(script, env={**os.environ, "PYTHONPATH": path}, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert store.opened(tmp_path / "bank") == bank
    more = store.save(tmp_path / "bank", bank.merged([skill("other")]))
    assert store.opened(tmp_path / "bank") == more, "and is written again"
    left = [each.name for each in (tmp_path / "bank").rglob(".*")]
    assert left == [], "what the kill left half is gone"


def test_what_another_process_wrote_meanwhile_is_not_lost(tmp_path: Path) -> None:
    before = store.save(tmp_path, Bank().merged([skill("a")]))
    other = store.save(tmp_path, before.merged([skill("b")]), since=before)
    with pytest.raises(DataError, match="changed it meanwhile"):
        store.save(tmp_path, before.merged([skill("c")]), since=before)
    assert store.opened(tmp_path) == other


def test_versions_are_known_by_what_records_call_them(tmp_path: Path) -> None:
    first = store.save(tmp_path, Bank().merged([skill("a")]))
    second = store.save(tmp_path, first.merged([skill("b")]))
    assert store.names(tmp_path) == {first.name: 1, second.name: 2}
