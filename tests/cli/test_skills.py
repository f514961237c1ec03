"""`assay skills`: a log in, a bank out, and what is said of it."""

import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from assay.cli.skills_told import UNKNOWN_SPLIT
from assay.files.folders import locked
from assay.records import Origin, write
from assay.skills import store
from assay.skills.bank import Bank
from assay.skills.building import digest_of
from tests.cli.conftest import Assay
from tests.judges import server
from tests.report import test_skills as pages
from tests.report.samples import index_of
from tests.skills.made import LOST, WON
from tests.skills.test_bank import skill
from tests.skills.test_credit import A, B, saw


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    write(path, [LOST, WON, structs.replace(LOST, id="x", outcome=None, grades=())])
    return path


def test_a_bank_is_built_listed_shown_and_grows(assay: Assay, log: Path, tmp_path: Path) -> None:
    bank = tmp_path / "bank"
    ended = assay("skills", "build", log, "-o", bank)
    assert ended.code == 0, ended.err
    assert ended.text.splitlines() == [
        f"{bank}  version 1: 0 active, 2 candidates, 0 retired",
        "drafts 2: 2 new, 0 merged with one that says the same",
        "trajectories without a draft: no evidence 1",
        UNKNOWN_SPLIT,
    ]
    assay("skills", "build", log, "-o", bank, "--active")
    assert store.opened(bank).version == 1, "nothing new is no new version"
    listed = assay("skills", "list", bank, "--json", "-").json
    lesson = next(each for each in listed["skills"] if each["kind"] == "lesson")
    assert lesson["evidence"][0] == {
        "trajectory": "a/0", "task": "lookup[hops=2]/7", "steps": [3], "level": "E3",
        "digest": digest_of(LOST),
    }  # fmt: skip
    shown = assay("skills", "show", bank, lesson["id"]).text
    assert "first smallest then capital" in shown
    assert "a/0  step 3  E3" in shown
    assert "no skill 'z'" in assay("skills", "show", bank, "z").error


def test_held_out_tasks_teach_nothing(assay: Assay, log: Path, tmp_path: Path) -> None:
    (tmp_path / "held").write_text("lookup[hops=2]/7\n")
    ended = assay("skills", "build", log, "-o", tmp_path / "b", "--held-out", tmp_path / "held")
    assert "drafts 0: 0 new" in ended.text
    assert "trajectories without a draft: held out 3" in ended.text
    assert UNKNOWN_SPLIT not in ended.text
    (tmp_path / "held").write_text("lookup[hops=2]/8\nlookup[hops=2]/9\n\n")
    ended = assay("skills", "build", log, "-o", tmp_path / "b", "--held-out", tmp_path / "held")
    assert f"held: none of the 2 tasks that it names is in {log}" in ended.text


def test_what_an_evaluation_left_teaches_nothing_unless_its_tasks_are_named(
    assay: Assay, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An importer that knows its splits says so: nobody is asked, and nothing is written."""
    from assay import importers

    def load(path: Path, *, format: Any, losses: Any) -> Any:
        def read() -> Any:
            losses.counts["of_evaluation:test"] = 2
            yield from (LOST, WON)

        return None, read()

    monkeypatch.setattr(importers, "load", load)
    with server.serving(lambda body: pytest.fail("it was asked")) as url:
        ended = assay("skills", "build", log, "-o", tmp_path / "b", "--writer", url)
    assert ended.code == 3
    assert "holds trajectories of an evaluation (test 2)" in ended.error
    assert not (tmp_path / "b").exists()
    (tmp_path / "held").write_text("lookup[hops=2]/8\n")
    ended = assay("skills", "build", log, "-o", tmp_path / "b", "--held-out", tmp_path / "held")
    assert ended.code == 0, ended.err


def test_of_a_run_the_tasks_are_known(assay: Assay, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "rollouts").mkdir(parents=True)
    (run / "run.json").write_text('{"schema": "assay.run/1", "kind": "train"}')
    write(run / "rollouts" / "step_000001.jsonl", [LOST, WON])
    ended = assay("skills", "build", run, "-o", tmp_path / "b")
    assert (ended.code, "2 new" in ended.text, UNKNOWN_SPLIT in ended.text) == (0, True, False)


def test_bounds_of_a_bank_are_said_when_it_begins(assay: Assay, tmp_path: Path) -> None:
    path, log = tmp_path / "b", tmp_path / "log.jsonl"
    write(log, [structs.replace(LOST, id=f"a/{n}", task=f"lookup[hops=2]/{n}") for n in range(5)])
    assay("skills", "build", log, "-o", path, "--evidence", 2, "--cap", 3)
    bank = store.opened(path)
    assert (bank.evidence, bank.cap) == (2, 3)
    (only,) = bank.skills
    shown = assay("skills", "show", path, only.id).text
    assert (
        "from       a/4  step 3  E3\nand from   3 more attempts, at lookup[hops=2], 0 to 2" in shown
    )
    assay("skills", "build", log, "-o", path, "--cap", 3)
    assert store.opened(path).name == bank.name, "the same log again"
    ended = assay("skills", "build", log, "-o", path, "--evidence", 4)
    assert ended.code == 2
    assert "--evidence 4: " in ended.error
    assert "has 2, and a bank keeps its bounds" in ended.error


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("--writer", "nobody"), "expected template, an address"),
        (("--how", "all"), "expected asymmetric"),
    ],
)
def test_what_build_refuses(
    assay: Assay, log: Path, tmp_path: Path, options: tuple[str, str], wrong: str
) -> None:
    ended = assay("skills", "build", log, "-o", tmp_path / "b", *options)
    assert ended.code == 2
    assert wrong in ended.error
    assert not (tmp_path / "b").exists()


def test_a_model_that_answers_otherwise_writes_nothing(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    with server.serving(server.prosaic) as url:
        ended = assay("skills", "build", log, "-o", tmp_path / "b", "--writer", url)
    assert ended.code == 0, ended.err
    assert "trajectories without a draft: no evidence 1, nothing said 2" in ended.text


def test_an_audit_says_what_each_skill_did_and_retire_acts_on_it(
    assay: Assay, tmp_path: Path
) -> None:
    path, log = tmp_path / "bank", tmp_path / "log.jsonl"
    made = [structs.replace(each, status="active") for each in (A, B)]
    store.save(path, Bank().next(made))
    shown = [saw(LOST, "a") for _ in range(40)]
    held = [saw(WON if n % 2 else LOST, held=("a",)) for n in range(40)]
    write(log, [structs.replace(each, id=f"{n}") for n, each in enumerate([*shown, *held])])
    ended = assay("skills", "audit", path, "--log", log)
    assert "attempts by bank: bank0 80" in ended.text
    # 0 of 40, at most .0876, against 20 of 40, .3520 to .6480: -.5 - .1480 and
    # -.5 + sqrt(.0876^2 + .1480^2)
    assert "where shown less where held back: -50.0% [-64.8%, -32.8%]: harms" in ended.text
    assert "pass 0 of 40 shown, 20 of 40 held back" in ended.text
    row = assay("skills", "audit", path, "--log", log, "--json", "-").json["skills"]
    assert {each["id"] for each in row} == {A.id, B.id}
    for _ in range(2):  # again says the same: the log's exposures take the place of the bank's
        assay("skills", "retire", path, "--log", log)
        after = store.opened(path)
        assert (after.get(A.id).status, after.get(A.id).why) == ("retired", "harm")
        assert after.get(A.id).exposure.shown == 40
        assert after.get(B.id).status == "active"
    assert "expected --log, --on, or both" in assay("skills", "audit", path).error


def test_active_skills_are_folders_that_agents_read(assay: Assay, tmp_path: Path) -> None:
    path, out = tmp_path / "bank", tmp_path / "out"
    one = skill("do this", title="City of: Least!")
    store.save(path, Bank().merged([one], status="active").merged([skill("not yet")]))
    assert "1 skills" in assay("skills", "export", path, "-o", out).text
    (file,) = out.rglob("SKILL.md")
    assert file.parent.name == f"city-of-least-{one.id}"


def test_a_log_of_no_bank_is_untold(assay: Assay, log: Path, tmp_path: Path) -> None:
    store.save(tmp_path / "bank", Bank())
    ended = assay("skills", "audit", tmp_path / "bank", "--log", log)
    assert "not known: untold, chance showed nothing" in ended.text


def test_words_that_are_none_and_lists_that_are_no_text_are_one_line(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "held").write_bytes(b"\xff\xfe")
    ended = assay("skills", "build", log, "-o", tmp_path / "b", "--held-out", tmp_path / "held")
    assert ended.code == 3
    assert "expected UTF-8" in ended.error
    store.save(tmp_path / "bank", Bank().merged([skill("a")]))
    assert "expected candidate" in assay("skills", "list", tmp_path / "bank", "--status", "x").error


def test_the_page_says_what_the_audit_of_the_bank_says(assay: Assay, tmp_path: Path) -> None:
    known = pages.bank(tmp_path / "bank")
    records = pages.log(tmp_path / "log.jsonl", known)
    audit = assay("skills", "audit", tmp_path / "bank", "--log", records, "--json", "-").json
    ended = assay("skills", "audit", tmp_path / "bank", "--log", records, "-o", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert f"report  {tmp_path / 'out' / 'report.html'}" in ended.text
    said = index_of(tmp_path / "out" / "report.html")["skills"]
    for name in ("used", "help", "read", "unscored"):
        assert said[name] == audit[name]
    by = {each["id"]: each for each in audit["skills"]}
    assert {row["id"] for row in said["rows"]} == set(by)
    for row in said["rows"]:
        for name in ("shown", "passed", "held", "held_passed", "help", "harm", "trial", "status"):
            assert row[name] == by[row["id"]][name]
    # 9 of 9 against 0 of 10; one that nobody scored is in neither
    assert (by[pages.GOOD.id]["shown"], by[pages.GOOD.id]["held"]) == (9, 10)
    assert by[pages.GOOD.id]["help"][0] == 1.0
    assert said["banks"] == [["", 1, None], [known.name, 19, 1], ["feedfacefeed", 1, None]]
    assert (said["read"], said["unscored"], said["version"]) == (10, 1, 1)
    first = said["rows"][0]
    # GOOD rests on the second record of the log, and on one that is not in it
    assert [(each["k"], each["steps"]) for each in first["from"]] == [(1, [1, 3]), (None, [2])]


def test_a_log_without_evidence_makes_an_empty_bank_and_a_torn_line_is_said(
    assay: Assay, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    write(log, [structs.replace(each, outcome=None, grades=()) for each in (WON, LOST)])
    log.write_bytes(log.read_bytes() + b'{"id": "x", "ta')
    ended = assay("skills", "build", log, "-o", tmp_path / "b")
    assert "without a draft: no evidence 2, not read (torn_record) 1" in ended.text
    assert store.opened(tmp_path / "b").skills == ()
    for verb in (("retire", tmp_path / "b"), ("export", tmp_path / "b", "-o", tmp_path / "out")):
        assert assay("skills", *verb).code == 0
    gated = assay("skills", "gate", tmp_path / "b", "grpo", "--json", "-")
    assert (gated.code, gated.json["found"]) == (0, {})
    assert "no candidate to try" in assay("skills", "gate", tmp_path / "b", "grpo").text


def test_a_record_that_cannot_be_read_leaves_the_bank_as_it_was(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    before = store.save(tmp_path / "b", Bank().merged([skill("a")]))
    log.write_bytes(log.read_bytes() + b'{"id": 3}\n')
    ended = assay("skills", "build", log, "-o", tmp_path / "b")
    assert ended.code == 3
    assert "log.jsonl line 4" in ended.error
    assert store.opened(tmp_path / "b") == before


def test_of_two_builds_at_once_one_is_told_and_nothing_is_lost(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    """The second build ends while the first one's writer is still being asked."""
    one_at_a_time = threading.Lock()

    def answer(body: dict[str, Any]) -> str:
        del body
        with one_at_a_time:  # the first build asks of several cases at once
            if not store.is_bank(tmp_path / "b"):
                store.save(tmp_path / "b", Bank().merged([skill("the other's")]))
        return "nothing"

    with server.serving(answer) as url:
        ended = assay("skills", "build", log, "-o", tmp_path / "b", "--writer", url)
    assert ended.code == 3
    assert "another process changed it meanwhile; run this again" in ended.error
    assert [each.principle for each in store.opened(tmp_path / "b").skills] == ["the other's"]


def test_a_bank_that_is_being_written_is_not_written_too(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    store.save(tmp_path / "b", Bank())
    with locked(tmp_path / "b" / "LOCK", "held"):
        ended = assay("skills", "build", log, "-o", tmp_path / "b")
    assert ended.code == 2
    assert "another process writes this bank" in ended.error


def test_a_hostile_log_is_shown_on_one_line_each(assay: Assay, tmp_path: Path) -> None:
    bank, log = tmp_path / "bank", tmp_path / "log.jsonl"
    store.save(bank, Bank())
    extra = {"skills_bank": "\x1b[2Jx", "skills_shown": "\x1b]0;a", "family": "\x1b[31m\nred"}
    write(log, [structs.replace(WON, origin=Origin(format="f", extra=extra))])
    ended = assay("skills", "audit", bank, "--log", log)
    assert ended.code == 0
    assert "\x1b" not in ended.text
    assert "no version of this bank" in ended.text
    assert len(ended.text.splitlines()) == 4
