"""Runs that read a skill bank: what is shown, trained and counted, and how the bank grows."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.errors import DataError, UsageError
from assay.records import ModelStep, Trajectory, read
from assay.rollout.recording import task_name
from assay.runs.audit import audit_log
from assay.runs.config import parsed
from assay.runs.ledger import check
from assay.runs.start import resume, start
from assay.skills import store
from assay.skills.bank import Bank
from assay.skills.credit import exposures, overall
from assay.skills.settings import Skills
from assay.skills.skill import Evidence
from assay.world import load
from tests.report.samples import index_of
from tests.runs import tiny
from tests.runs.conftest import Assay
from tests.runs.tiny import rows
from tests.skills.test_bank import skill

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = [skill(f"={letter}", when=letter, category="letter") for letter in "abcd"]
    path = tmp_path_factory.mktemp("banks") / "bank"
    store.save(path, Bank().merged(made, status="active"))
    return path


def started(policy: Path, out: Path, **more: Any) -> Path:
    return start(parsed(tiny.settings(policy, **more)), out, seed=5).path


def records(run: Path, step: int = 1) -> list[Trajectory]:
    return list(read(run / "rollouts" / f"step_{step:06d}.jsonl"))


def seen(record: Trajectory) -> dict[str, str]:
    extra = record.origin.extra if record.origin else {}
    return {name: text for name, text in extra.items() if name.startswith("skills_")}


@pytest.fixture(scope="module")
def run(policy: Path, bank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    return started(
        policy, out, skills__bank=str(bank), skills__show=0.5, skills__fade=0.3, skills__gone=0.7
    )


def test_each_rollout_names_its_bank_and_reads_what_chance_shows(run: Path, bank: Path) -> None:
    name = store.opened(bank).name
    first = records(run)
    assert {seen(each)["skills_bank"] for each in first} == {name}
    shown = [each for each in first if "skills_shown" in seen(each)]
    assert 0 < len(shown) < len(first) == 16
    for each in first:
        letter = each.steps[0].text[1]
        text = f"?{letter}\n!={letter}\n" if each in shown else f"?{letter}\n"
        assert each.steps[0].text == text
        assert ("skills_held" in seen(each)) == (each not in shown), "one skill fits"
        assert each.rescue is None
    assert all("skills_shown" not in seen(each) for each in records(run, 4)), "withdrawn"
    assert all("skills_held" in seen(each) for each in records(run, 4))
    chances = [{seen(each)["skills_chance"] for each in records(run, step)} for step in (1, 2, 4)]
    assert chances == [{"0.5"}, {"0.5"}, {"0.0"}]


def test_a_row_says_what_was_shown_and_what_it_did(run: Path) -> None:
    first, *_, last = rows(run / "metrics.jsonl")
    some = records(run)
    share = sum("skills_shown" in seen(each) for each in some) / 16
    assert first["skills/shown"] == share
    # "!", "=", a letter and a line break are four tokens
    assert first["skills/tokens"] == pytest.approx(4 * share)
    assert first["skills/active"] == 4
    effect = overall(exposures(some).values()).help
    assert first["skills/help"] == pytest.approx(effect and effect[0])
    assert last["skills/shown"] == 0
    assert last["skills/help"] is None


def test_it_can_be_trained_without_what_was_read(policy: Path, bank: Path, tmp_path: Path) -> None:
    out = started(
        policy, tmp_path / "run", train__steps=1, skills__bank=str(bank), skills__train="bare"
    )
    shown = [each for each in records(out) if "skills_shown" in seen(each)]
    assert shown
    for each in shown:
        assert "!" not in each.steps[0].text
        assert each.rescue
        assert each.rescue.given.startswith("!=")
        assert "skills_block" not in seen(each)
        said = [step for step in each.steps if type(step) is ModelStep]
        assert all(step.helped and step.helped != step.logprobs for step in said)


GROWS: dict[str, Any] = {
    "skills__every": 1,
    "skills__admit": False,
    "skills__cap": 3,
    "recipe__pass_at": 0.5,
}


@pytest.fixture(scope="module")
def grown(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("grown") / "run", **GROWS)


def test_a_bank_grows_by_what_the_steps_before_teach(grown: Path) -> None:
    ledger = rows(grown / "ledger.jsonl")
    names = [row["skills"]["bank"] for row in ledger]
    assert names[0] == Bank(cap=3).name
    assert ledger[-1]["skills"]["version"] > 0
    for step, row in enumerate(ledger, 1):
        saw = {seen(each)["skills_bank"] for each in records(grown, step)}
        assert saw == {row["skills"]["bank"]}, "one version a batch"
        assert store.opened(grown / "bank", row["skills"]["version"]).name == row["skills"]["bank"]
    last = store.opened(grown / "bank")
    assert last.skills
    trained = {each.id for step in range(1, 5) for each in records(grown, step)}
    rests = {e.trajectory for each in last.skills for e in each.evidence}
    assert rests <= trained
    assert all(each.kind == "demonstration" for each in last.skills), "no call, no lesson"


def test_a_killed_run_grows_the_same_bank(
    grown: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.runs import rollouts

    kept = rollouts.Rollouts._keep  # pyright: ignore[reportPrivateUsage]

    def killed(self: Any, step: int, *more: Any) -> None:
        if step == 3:  # the bank is a version further, and the ledger does not know
            raise KeyboardInterrupt
        kept(self, step, *more)

    monkeypatch.setattr(rollouts.Rollouts, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        started(policy, tmp_path / "run", **GROWS)
    monkeypatch.setattr(rollouts.Rollouts, "_keep", kept)
    again = resume(tmp_path / "run").path
    same = ["ledger.jsonl", "metrics.jsonl", "bank/bank.json"]
    same += [f"bank/versions/{path.name}" for path in (grown / "bank" / "versions").iterdir()]
    for name in same:
        assert (again / name).read_bytes() == (grown / name).read_bytes()


def test_attempts_that_try_candidates_are_paid_for(policy: Path, tmp_path: Path) -> None:
    asked = skill("=b", when="b", category="letter")
    store.save(tmp_path / "bank", Bank().merged([asked]))
    out = started(
        policy, tmp_path / "run", train__steps=2, skills__every=1, skills__pairs=2,
        skills__tasks=8, skills__candidates=99, skills__bank=str(tmp_path / "bank"),
    )  # fmt: skip
    first, second = rows(out / "ledger.jsonl")
    assert "thrown" not in first
    tried = [each.trial for each in store.opened(out / "bank").skills if each.trial]
    assert second["thrown"]["trajectories"] == 2 * sum(each.pairs for each in tried) > 0
    found = store.opened(out / "bank").get(asked.id)
    assert found.trial
    assert (found.trial.pairs, found.status) == (2, "candidate"), "two pairs admit nothing"
    check([first, second])


def test_a_run_ends_with_its_skills_on_a_page(grown: Path, run: Path) -> None:
    for path in (grown, run):
        made = audit_log(path, out=path / "audit")
        assert made.report
        said = index_of(made.report)["skills"]
        ledger = rows(path / "ledger.jsonl")
        last = store.opened(path / "bank")
        assert (said["bank"], said["version"]) == (last.name, last.version)
        attempts = {name: count for name, count, _ in said["banks"]}
        assert attempts == {name: 16 * n for name, n in Counter(
            row["skills"]["bank"] for row in ledger).items()}  # fmt: skip
        assert all(version is not None for *_, version in said["banks"])
        if path == run:
            found = exposures([each for step in range(1, 5) for each in records(path, step)])
            assert {row["id"]: row["shown"] for row in said["rows"]} == {
                id: each.shown for (id, _), each in found.items()
            }
        rests = [one for row in said["rows"] for one in row["from"]]
        assert all(one["k"] is not None for one in rests), "the steps are in the log"
    assert rests == [], "of a bank that was given, nobody knows"


def test_the_verb_ends_with_that_page(
    assay: Assay, policy: Path, bank: Path, tmp_path: Path
) -> None:
    for name, more in (("read", {"skills__bank": str(bank)}), ("bare", {})):
        tables = tiny.settings(policy, steps=1, **more)
        (tmp_path / f"{name}.toml").write_text(parsed(tables).toml())
        said = assay("train", tmp_path / f"{name}.toml", "--out", tmp_path / name)
        assert said.code == 0, said.err
        page = tmp_path / name / "audit" / "report.html"
        assert page.is_file() == (name == "read")
        assert (f"its skills     {page}" in said.out) == (name == "read")
    index = index_of(tmp_path / "read" / "audit" / "report.html")
    assert index["skills"]["bank"] == store.opened(bank).name


def test_a_bank_that_is_not_there_or_rests_on_what_is_measured_leaves_no_run(
    policy: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no skill bank"):
        started(policy, tmp_path / "run", skills__bank=str(tmp_path / "nowhere"))
    tables = tiny.settings(policy)
    first = parsed(tables).eval.first_task
    task = task_name(load(tables["env"]["name"]), first)
    leak = skill("=b", when="b", category="letter",
                 evidence=(Evidence(trajectory="e/1", task=task, steps=(1,)),))  # fmt: skip
    store.save(tmp_path / "leak", Bank().merged([leak], status="active"))
    with pytest.raises(UsageError, match=r"rests on e/1, an attempt at .*which is measured on"):
        started(policy, tmp_path / "run", skills__bank=str(tmp_path / "leak"))
    (tmp_path / "leak" / "bank.json").write_text('{"schema": "assay.bank/9"}')
    with pytest.raises(DataError, match="newer version"):
        started(policy, tmp_path / "run", skills__bank=str(tmp_path / "leak"))
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_own_bank_whatever_became_of_the_one_it_began_with(
    policy: Path, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.runs import rollouts

    mine = tmp_path / "mine"
    shutil.copytree(bank, mine)
    kept = rollouts.Rollouts._keep  # pyright: ignore[reportPrivateUsage]

    def killed(self: Any, step: int, *more: Any) -> None:
        if step == 2:
            raise KeyboardInterrupt
        kept(self, step, *more)

    monkeypatch.setattr(rollouts.Rollouts, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        started(policy, tmp_path / "run", skills__bank=str(mine), train__steps=2)
    monkeypatch.setattr(rollouts.Rollouts, "_keep", kept)
    shutil.rmtree(mine)
    where = tmp_path / "run" / "bank" / "versions" / "000001.json"
    whole = where.read_bytes()
    where.write_bytes(whole.replace(b'"=a"', b'"=z"'))
    with pytest.raises(DataError, match="it was changed; put it back"):
        resume(tmp_path / "run")
    where.write_bytes(whole)
    again = resume(tmp_path / "run").path
    assert {row["skills"]["bank"] for row in rows(again / "ledger.jsonl")} == {
        store.opened(bank).name
    }


def test_exposure_falls_in_a_straight_line() -> None:
    """From .8 at .25 of the training to 0 at .75."""
    fading = Skills(every=1, show=0.8, fade=0.25, gone=0.75)
    assert [fading.shown(at) for at in (0.0, 0.2, 0.5, 0.75, 0.9)] == pytest.approx(
        [0.8, 0.8, 0.4, 0, 0]
    )
    assert Skills(every=1).shown(1.0) == 0.8


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"skills__fade": 0.5, "skills__gone": 0.2}, "fade <= gone"),
        ({"skills__every": 2, "skills__first_task": 4}, "move skills.first_task"),
        ({"skills__every": 2, "rollout__oversample": 2}, "group of whole trajectories"),
        ({"skills__evry": 2}, "Did you mean 'every'"),
    ],
)
def test_what_is_refused(policy: Path, more: dict[str, Any], wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        parsed(tiny.settings(policy, **more))
