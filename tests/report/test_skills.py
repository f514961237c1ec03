"""The page of skills: what each did, as the audit of a bank says it, and where it is from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from assay.records import ModelStep, Trajectory, write
from assay.report.skills import skills
from assay.runs.audit import audit_log
from assay.runs.exposed import Exposed
from assay.skills import store
from assay.skills.bank import Bank
from assay.skills.building import digest_of
from assay.skills.shelf import Shown
from assay.skills.skill import Evidence, Skill, Trial
from tests.report.conftest import Visit
from tests.report.samples import index_of
from tests.skills.made import LOST, WON
from tests.skills.test_bank import skill

Start = Callable[..., Visit]
MINUS = "\N{MINUS SIGN}"


def rests(name: str, *steps: int, of: Trajectory | None = WON) -> tuple[Evidence, ...]:
    digest, task = "" if of is None else digest_of(of), "lookup[hops=2]/7"
    return (Evidence(trajectory=name, task=task, steps=steps, level="E3", digest=digest),)


TRIAL = Trial(pairs=64, told=30.0, bare=18.0, lower=0.05, admitted=True)
GOOD = skill(
    "first smallest then capital", category="lookup", when="city of least", status="active",
    evidence=rests("a/1", 1, 3) + rests("gone", 2), trial=TRIAL,
)  # fmt: skip
BAD = skill("first home", category="lookup", status="retired", why="harm")
WORSE = skill("</script><b>obey</b> and print sk-ant-api03-" + "x" * 60, category="lookup")


def bank(path: Path, *made: Skill) -> Bank:
    return store.save(path, Bank().next(made or (GOOD, BAD, WORSE)))


def saw(name: str, shown: tuple[Skill, ...], held: tuple[Skill, ...]) -> list[Trajectory]:
    """Nine attempts that passed where GOOD was shown, and failed where it was not."""
    won = GOOD in shown
    return [
        Shown(name, shown, held, "!x" * bool(shown)).stamped(
            structs.replace(WON if won else LOST, id=f"{'a' if won else 'b'}/{n}", group=f"g/{n}")
        )
        for n in range(9)
    ]


def log(path: Path, known: Bank) -> Path:
    """18 of the bank's first version, one of another bank, one of none."""
    other = Shown("feedfacefeed", (), (GOOD,), "").stamped(structs.replace(LOST, id="c"))
    bare = structs.replace(LOST, id="d")
    unscored = Shown(known.name, (GOOD,), ()).stamped(structs.replace(LOST, id="e", outcome=None))
    write(path, [*saw(known.name, (GOOD,), ()), *saw(known.name, (), (GOOD, BAD)), other, bare,
                 structs.replace(unscored, grades=())])  # fmt: skip
    return path


def test_secrets_in_a_skill_are_hidden_and_rows_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank(tmp_path / "bank")
    told = Exposed(tmp_path / "bank")
    counted = told.counting()
    for record in saw("x", (GOOD,), (WORSE,)):
        counted.add(record)
    said = told.said(counted)
    assert said
    monkeypatch.setattr("assay.report.skills._MOST", 2)
    monkeypatch.setattr("assay.report.skills._NAMED", 1)
    said |= {"trouble": ["obey"], "versions": {"x": 7}}
    found = skills(said, ["a/1", "a/1"], lambda text: text.replace("obey", "[hidden]"))
    assert (found["banks"], found["trouble"]) == ([["x", 9, 7]], ["[hidden]"])
    assert (len(found["rows"]), found["left"]) == (2, 1)
    assert {row["id"] for row in found["rows"]} == {GOOD.id, WORSE.id}, "what was read stays"
    assert not any("obey" in row["principle"] for row in found["rows"])
    good = next(row for row in found["rows"] if row["id"] == GOOD.id)
    assert (good["more"], good["from"][0]["k"]) == (1, 0)


def test_a_link_is_of_the_very_attempt_and_of_none_that_another_log_calls_the_same(
    tmp_path: Path,
) -> None:
    """a/1 of the log is what the first skill rests on. What a/2 was is not known; a/3 and a/4 were
    others: one failed, one said something else. The log has no b, and a/5 twice, with two ends."""
    another = structs.replace(WON, steps=(*WON.steps[:-1], ModelStep(text="=Roma")))
    evidence = (
        *rests("a/1", 1), *rests("a/2", 1, of=None),
        *rests("a/3", of=structs.replace(WON, outcome=0.0)), *rests("a/4", of=another),
        *rests("b"), *rests("a/5"),
    )  # fmt: skip
    bank(tmp_path / "bank", structs.replace(GOOD, evidence=evidence))
    told = Exposed(tmp_path / "bank")
    counted, other = told.counting(), told.counting()
    ids = [f"a/{n}" for n in range(1, 6)]
    for id in ids:
        counted.add(structs.replace(WON, id=id))
    other.add(structs.replace(LOST, id="a/5"))
    counted.absorb(other)
    said = told.said(counted)
    assert said
    (row,) = skills(said, ids, str)["rows"]
    assert [(one["k"], one.get("other")) for one in row["from"]] == [
        (0, None), (None, "unknown"), (None, "other"), (None, "other"), (None, None),
        (None, "other"),
    ]  # fmt: skip


def test_a_log_of_no_bank_has_no_such_page(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", [WON, LOST])
    made = audit_log(tmp_path / "log.jsonl", out=tmp_path / "out")
    assert made.report
    assert "skills" not in index_of(made.report)


def test_a_bank_that_cannot_be_read_is_said_and_spoils_no_report(tmp_path: Path) -> None:
    known = bank(tmp_path / "bank")
    records = log(tmp_path / "log.jsonl", known)
    (tmp_path / "bank" / "versions" / "000001.json").write_bytes(b'{"skills":[')
    made = audit_log(records, out=tmp_path / "out", bank=tmp_path / "bank")
    assert made.report
    said = index_of(made.report)["skills"]
    assert said["trouble"][0].startswith("bank/versions/000001.json")
    assert said["version"] is None
    assert {row["status"] for row in said["rows"]} == {"unknown"}
    assert [row["shown"] for row in said["rows"] if row["id"] == GOOD.id] == [9]


def test_a_run_s_own_bank_is_beside_its_records(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "rollouts").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"schema": "assay.run/1", "kind": "train"}))
    known = bank(run / "bank")
    log(run / "rollouts" / "step_000001.jsonl", known)
    out = tmp_path / "out"
    made = audit_log(run, out=out, reuse=True)
    assert made.report
    assert index_of(made.report)["skills"]["bank"] == known.name
    assert audit_log(run, out=out, reuse=True).again == (0, 0), "nothing has changed"
    store.save(run / "bank", known.next([*known.skills, skill("new")]))
    made = audit_log(run, out=out, reuse=True)
    assert made.report
    assert index_of(made.report)["skills"]["version"] == 2, "the bank has"


@pytest.mark.chromium
def test_a_reader_sees_who_was_helped_and_follows_a_skill_to_its_steps(
    visit: Start, tmp_path: Path
) -> None:
    known = bank(tmp_path / "bank")
    records = log(tmp_path / "log.jsonl", known)
    page = audit_log(records, out=tmp_path / "out", bank=tmp_path / "bank").report
    assert page
    shown = visit().open(page, "#/skills")
    rows = shown.page.locator("table.skills tbody tr").all_inner_texts()
    cells = [[" ".join(cell.split()) for cell in row.split("\t")] for row in rows]
    assert cells[0][0].startswith(f"{GOOD.principle} for: city of least")
    assert cells[0][1] == "active admitted by 64 pairs: 30 pass with it, 18 without"
    assert [cell[1].split()[0] for cell in cells] == ["active", "candidate", "retired"]
    # 9 of 9, Wilson .7009 to 1, less 0 of 10, 0 to .2775: 1 - hypot(.2991, .2775) and 1
    assert cells[0][2:] == ["9 of 19", "9 of 9 held back 0 of 10",
                            "+100.0 points +59.2 to +100.0 points", "0 % 0 % to 30 %"]  # fmt: skip
    assert cells[-1][1].startswith("retired harm: where it was shown, surely less passes")
    assert cells[-1][4] == "not known: never shown"
    assert "<b>obey</b>" in " ".join(cells[1]), "as text"
    assert "sk-ant-api03" not in " ".join(cells[1])
    lede = shown.page.locator(".lede").inner_text()
    assert lede.startswith("20 of 21 attempts name a bank, 10 read at least one skill.")
    shown.page.locator("table.skills a", has_text="3").click()
    shown.settle()
    assert shown.page.evaluate("location.hash") == "#/trajectory/1?step=3"
    shown.page.keyboard.press("s")
    shown.settle()
    assert shown.page.evaluate("location.hash") == "#/skills"
    assert shown.errors == []


@pytest.mark.chromium
def test_what_chance_did_not_choose_is_no_help(visit: Start, tmp_path: Path) -> None:
    """Shown for sure to two, held back for sure from three: passes are said, help is not."""
    known = bank(tmp_path / "bank", GOOD)
    told, bare = Shown(known.name, (GOOD,), (), "!x", 1.0), Shown(known.name, (), (GOOD,), "", 0.0)
    some = [told] * 2 + [bare] * 3
    records = [
        each.stamped(structs.replace(LOST, id=f"{n}", group=f"{n}")) for n, each in enumerate(some)
    ]
    write(tmp_path / "log.jsonl", records)
    page = audit_log(tmp_path / "log.jsonl", out=tmp_path / "out", bank=tmp_path / "bank").report
    assert page
    shown = visit().open(page, "#/skills")
    cells = shown.page.locator("table.skills tbody tr td").all_inner_texts()
    assert [" ".join(cell.split()) for cell in cells[1:4]] == [
        "2 of 5", "0 of 2 held back 0 of 3", "not known: chance did not choose",
    ]  # fmt: skip
    lede = shown.page.locator(".lede").inner_text()
    assert "not known: chance showed nothing or held nothing back" in lede


@pytest.mark.chromium
def test_much_evidence_is_a_line_that_opens(visit: Start, tmp_path: Path) -> None:
    """Twenty pieces, of which a bank keeps sixteen: eight behind a line, twelve are a number."""
    were = {4: None, 5: LOST}
    many = sum((rests(f"a/{n}", 1, of=were.get(n, WON)) for n in range(20)), ())
    known = bank(tmp_path / "bank", structs.replace(GOOD, evidence=many), BAD)
    page = audit_log(
        log(tmp_path / "log.jsonl", known), out=tmp_path / "out", bank=tmp_path / "bank"
    ).report
    assert page
    shown = visit().open(page, "#/skills")
    assert shown.page.locator("table.skills ul.from li:visible").count() == 0
    for _ in range(9):  # down the links: those that are folded are none to stand on
        shown.page.keyboard.press("j")
    assert shown.page.evaluate("document.activeElement.closest('details')") is None
    shown.page.locator("table.skills summary", has_text="rests on 20 attempts").click()
    lines = shown.page.locator("table.skills ul.from li:visible").all_inner_texts()
    assert lines[:3] == [
        "from a/4 step 1 E3: this log has an attempt of that name, perhaps another",
        "from a/5 step 1 E3: this log has another attempt of that name",
        "from a/6 step 1 E3",
    ]
    assert len(lines) == 8
    assert shown.page.locator("table.skills ul.from li:has(a)").count() == 3, "a/6 to a/8"
    assert "12 not listed here" in shown.page.locator("table.skills details").inner_text()
    assert shown.errors == []


@pytest.mark.chromium
def test_a_log_alone_names_the_verb_that_knows_more_and_help_over_a_run_is_drawn(
    visit: Start, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (run / "rollouts").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"schema": "assay.run/1", "kind": "train"}))
    rows = [
        {"step": n, "skills/shown": 0.5, "skills/help": help}
        for n, help in ((1, None), (2, -0.2571428))
    ]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    log(run / "rollouts" / "step_000001.jsonl", Bank())
    page = audit_log(run, out=tmp_path / "out").report
    assert page
    shown = visit().open(page, "#/skills")
    assert "assay skills audit BANK --log LOG -o FOLDER" in shown.text
    titles = shown.page.locator("g.line title").evaluate_all("all => all.map((x) => x.textContent)")
    assert titles == ["1: 0.5", "2: 0.5", f"2: {MINUS}25.7 points"]
    heights = shown.page.locator("svg.chart text.height").all_text_contents()
    assert max(map(len, heights)) <= 5, "what is higher is cut"
    assert shown.errors == []
    assert "not in this bank" in shown.text


def test_what_passes_is_what_the_audit_takes_for_a_pass(tmp_path: Path) -> None:
    """Half an outcome passes at .5. A bank that no attempt read is shown all the same."""
    known = bank(tmp_path / "bank")
    half = structs.replace(LOST, outcome=0.5)
    for pass_at, passed in ((1.0, 0), (0.5, 1)):
        told = Exposed(tmp_path / "bank", pass_at)
        counted = told.counting()
        counted.add(Shown(known.name, (GOOD,), ()).stamped(half))
        said = told.said(counted)
        assert said
        assert [row["passed"] for row in said["skills"] if row["id"] == GOOD.id] == [passed]
        assert said["versions"] == {known.name: 1}
    told = Exposed(tmp_path / "bank")
    said = told.said(told.counting())
    assert said
    assert len(said["skills"]) == 3
    nowhere = Exposed(None)
    assert nowhere.said(nowhere.counting()) is None
