"""A bank that rests on what is measured teaches nothing."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from assay.errors import DataError, MissingExtraError, UsageError
from assay.rollout.recording import task_name
from assay.runs.config import Config, parsed
from assay.runs.held_out import check, refuse
from assay.runs.sampling import Prepared
from assay.skills import store
from assay.skills.bank import Bank
from assay.skills.skill import Evidence, Rest, Skill
from tests.runs import tiny
from tests.skills.test_bank import skill


def rests(task: str, **more: Any) -> Skill:
    return skill("=b", evidence=(Evidence(trajectory="e/1", task=task, steps=(1,)),), **more)


def config(**more: Any) -> Config:
    # [eval] has tasks 100 to 103, candidates are tried on 200 to 215
    fixed = {"eval__first_task": 100, "skills__first_task": 200, "skills__tasks": 16}
    return parsed(tiny.settings(Path("start"), **{**fixed, **more}))


@pytest.mark.parametrize("seed", [100, 103, 200, 215])
def test_a_skill_of_a_task_that_is_measured_on_is_refused(seed: int) -> None:
    task = task_name(tiny.Letter(), seed)
    with pytest.raises(UsageError, match=r"rests on e/1, an attempt at letter\[\]/\d+, which is"):
        refuse([rests("other/100"), rests(task)], config(), tiny.Letter)
    refuse([rests(task, status="retired")], config(), tiny.Letter)


@pytest.mark.parametrize(
    "task",
    [
        *(task_name(tiny.Letter(), seed) for seed in (0, 99, 104, 199, 216)),
        "letter[dial=1]/100",
        "other[]/100",
        "letter[]/100x",
        "letter[]/",
        "",
        f"letter[]/{'9' * 40}",
        "letter[]/\N{SUPERSCRIPT TWO}",
        "letter[]/\N{ARABIC-INDIC DIGIT ONE}00",
    ],
)
def test_others_are_not(task: str) -> None:
    refuse([rests(task), skill("none")], config(), tiny.Letter)


@pytest.mark.parametrize(
    ("rest", "seed"),
    [
        (Rest(tasks="letter[]", count=9, first=0, last=100), 100),
        (Rest(tasks="letter[]", count=9, first=103, last=150), 103),
        (Rest(tasks="letter[]", count=9, first=0, last=10**17), 100),
        (Rest(tasks="letter[]", count=9, first=210, last=211), 210),
        (Rest(count=9, first=90, last=101), 100),
        (Rest(tasks="letter[]", count=9, first=0, last=99), None),
        (Rest(tasks="letter[]", count=9, first=104, last=199), None),
        (Rest(tasks="other[]", count=9, first=0, last=300), None),
        (Rest(tasks="letter[]", count=9), None),
        (Rest(count=9), None),
    ],
)
def test_evidence_that_is_only_counted_is_looked_at_too(rest: Rest, seed: int | None) -> None:
    """[eval] has tasks 100 to 103, candidates 200 to 215: where a count reaches into them it may
    hold one, and nobody knows that it does not."""
    one = skill("=b", rest=(rest,))
    if seed is None:
        refuse([one], config(), tiny.Letter)
        return
    with pytest.raises(UsageError, match=rf"rests on 9 attempts.* task {seed} is measured on"):
        refuse([one], config(), tiny.Letter)
    refuse([structs.replace(one, status="retired")], config(), tiny.Letter)


def test_a_run_looks_at_its_bank_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(**more: Any) -> Prepared:
        made = Prepared.__new__(Prepared)
        for name, value in (("config", config(**more)), ("make", tiny.Letter)):
            object.__setattr__(made, name, value)
        return made

    with pytest.raises(DataError, match="no skill bank"):
        check(run(skills__bank=str(tmp_path)))
    store.save(tmp_path, Bank().merged([rests(task_name(tiny.Letter(), 100))]))
    with pytest.raises(UsageError, match="measured on"):
        check(run(skills__bank=str(tmp_path)))
    check(run(skills__every=1))
    monkeypatch.setattr("assay.skills.meaning.find_spec", lambda name: None)
    from assay.skills.meaning import opened

    opened.cache_clear()
    with pytest.raises(MissingExtraError, match=r"assay\[embeddings\]"):
        check(run(skills__every=1, skills__retrieval="embedding"))
