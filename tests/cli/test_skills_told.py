"""What `assay skills gate` and `audit` say: where a second run goes on, and what comes first."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from assay.cli import skills as verbs
from assay.cli import skills_told as told
from assay.records import write
from assay.rollout.backends.base import Backend
from assay.skills import store
from assay.skills.bank import Bank
from assay.skills.settings import Skills
from assay.skills.shelf import Shown
from assay.skills.skill import Trial
from tests.cli.conftest import Assay
from tests.rollout.fakes import Obeys
from tests.skills.made import LOST, WON
from tests.skills.test_bank import skill
from tests.skills.test_credit import A, B, saw
from tests.skills.test_trial import arena, lesson


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> list[Backend]:
    """The verb's trials are played by a policy that does as it is told, in a world of its own."""
    backends = [Obeys(which=-1)]

    def made(on: str, set_: Any, pairs: int, read: Any) -> Any:
        return arena(backend=backends[-1], pairs=pairs), Skills().shelf

    monkeypatch.setattr(verbs, "_arena", made)
    return backends  # type: ignore[return-value]


def test_a_second_gate_goes_on_with_the_untried(
    assay: Assay, tmp_path: Path, playing: list[Backend]
) -> None:
    """Of five lessons of a kind, of which none helps, and two of no kind at all, two are played."""
    bank = tmp_path / "bank"
    some = [lesson(2, n) for n in (4, 5, 6, 7, 8)]
    store.save(bank, Bank().merged([*some, lesson(6, 6), lesson(7, 7)]))
    names = list[set[str]]()
    for left in (3, 1, 0):
        said = assay("skills", "gate", bank, "grpo", "--pairs", 16, "--most", 2)
        assert said.code == 0, said.err
        after = store.opened(bank)
        names.append({each.id for each in after.skills if each.trial and each.trial.pairs})
        untried = sum(each.trial is None for each in after.of("candidate"))
        assert untried >= left
        last = said.text.splitlines()[-1]
        assert (f"{untried} of them untried: run this again" in last) == (untried > 0)
    assert [len(each) for each in names] == [2, 4, 5]
    assert "all tried; run this again and those with fewest pairs go on" in last
    again = assay("skills", "gate", bank, "grpo", "--pairs", 16, "--most", 2, "--json", "-").json
    assert {each["pairs"] for each in again["found"].values()} == {0, 32}
    assert (again["untried"], again["uninformative"]) == (0, "hard")
    assert playing


def test_a_gate_that_could_see_nothing_says_what_to_do(
    assay: Assay, tmp_path: Path, playing: list[Backend]
) -> None:
    bank = tmp_path / "bank"
    store.save(bank, Bank().merged([lesson(2, 7), lesson(2, 8)]))
    said = assay("skills", "gate", bank, "grpo", "--pairs", 16).text
    assert "uninformative: of 32 pairs 32 passed or failed alike; nearly all fail" in said
    store.save(bank, Bank().merged([lesson(6, 6)]))
    said = assay("skills", "gate", bank, "grpo").text
    assert (
        "candidates that no task of the trial is like: 1\nuninformative: no held-out task is like"
        in said
    )
    store.save(bank, Bank().merged([lesson(2, 2)]))
    said = assay("skills", "gate", bank, "grpo", "--probe").text
    assert "admitted: 64 of 64 pass with it, 0 without; uplift at least +100.0% by 90 %" in said
    assert "uninformative" not in said
    assert said.splitlines()[-1].endswith("version 2: 1 active, 0 candidates, all tried")
    assert "no candidate to try; 1 active" in assay("skills", "gate", bank, "grpo").text


def test_the_bound_that_is_said_is_the_one_that_decides() -> None:
    seen = Trial(pairs=32, told=2.0, bare=1.0, lower=-0.02, admitted=False, differ=3.0, looks=3)
    assert told.tried(seen).endswith("uplift at least -2.0% by 97.5 %")
    old = structs.replace(seen, differ=None, looks=1)
    assert told.tried(old).endswith("by 90 %")
    lines = [*told.gated({"a": old}, "alike", {"empty": (1, 3)}, fit=False)]
    assert lines[1] == "defects admitted: empty 1 of 3; not to be trusted"
    assert lines[2].startswith("uninformative: take more tasks")


def test_an_audit_has_active_skills_first_and_folds_retired_ones(
    assay: Assay, tmp_path: Path
) -> None:
    path, log = tmp_path / "bank", tmp_path / "log.jsonl"
    idle, gone, waits = skill("idle"), skill("gone"), skill("waits")
    store.save(path, Bank().next([
        structs.replace(A, status="retired", why="harm"), structs.replace(B, status="active"),
        structs.replace(idle, status="active"), structs.replace(gone, status="retired", why="cap"),
        waits,
    ]))  # fmt: skip
    write(log, [
        structs.replace(each, id=f"{n}")
        for n, each in enumerate([saw(LOST, "a"), saw(WON, "a", "b"), saw(WON, "a", held=("b",))])
    ])  # fmt: skip
    shown = assay("skills", "audit", path, "--log", log).text.splitlines()[3:]
    assert [line.split()[:2] for line in shown[:1]] == [[B.id, "active"]]
    assert shown[1:] == [
        "active, neither shown nor held back: 1",
        "candidate, neither shown nor held back: 1",
        "retired: 2 (cap 1, harm 1); --retired lists them",
    ]
    every = assay("skills", "audit", path, "--log", log, "--retired").text.splitlines()[3:]
    assert [line.split()[0] for line in every] == [
        B.id, A.id, gone.id, "active,", "candidate,"
    ]  # fmt: skip
    assert every[1].endswith(
        "retired (harm)  pass 2 of 3 shown, 0 of 0 held back, help not known  lookup: a"
    )
    first = assay("skills", "audit", path, "--log", log).text.splitlines()[0]
    assert first == "attempts by bank: bank0 3"
    listed = assay("skills", "list", path).text.splitlines()
    assert listed[0].endswith("version 1: 2 active, 1 candidates, 2 retired")
    states = ["active", "active", "candidate", "retired", "retired"]
    assert [line.split()[1] for line in listed[1:]] == states
    write(log, [Shown(store.opened(path).name, (B,)).stamped(WON), LOST])
    first = assay("skills", "audit", path, "--log", log).text.splitlines()[0]
    assert first == f"attempts by bank: none 1, {store.opened(path).name} (version 1) 1"


def test_a_log_that_showed_no_skill_says_nothing_of_what_fits(assay: Assay, tmp_path: Path) -> None:
    path, log = tmp_path / "bank", tmp_path / "log.jsonl"
    known = store.save(path, Bank().next([structs.replace(A, status="active"), B]))
    for records in ([LOST, WON], [Shown(known.name).stamped(LOST), WON]):
        write(log, records)
        assert assay("skills", "audit", path, "--log", log).text.splitlines()[-3:] == [
            "active, neither shown nor held back: 1",
            "candidate, neither shown nor held back: 1",
            "no scored attempt was shown a skill or had one held back: what fits is not known",
        ]
