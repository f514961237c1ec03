"""The bank of a run by hand: who reads what, what it grows by, and what a killed run goes on with.

No model is trained here, and rollouts are played by a policy that does as it is told.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from assay.errors import DataError, UsageError
from assay.records import ModelStep, Trajectory, write
from assay.rollout import Sampling
from assay.rollout.chain import Planned, collect
from assay.rollout.protocols.line import Line
from assay.runs import skilled
from assay.runs.config import parsed
from assay.runs.folder import Folder
from assay.runs.sampling import Prepared
from assay.runs.skilled import Skilling
from assay.skills import store
from assay.skills.bank import Bank
from assay.skills.skill import Skill
from assay.world import Reply
from tests.rollout.fakes import Characters, Obeys
from tests.runs import tiny
from tests.skills.made import LOST, WON, attempt
from tests.skills.test_credit import A, B, saw
from tests.skills.test_trial import Kinds, lesson

DRAWS = 0x736B696C6C73


class Half(Kinds):
    """Half an outcome for what is right, which passes at .5."""

    def step(self, text: str) -> Reply:
        reply = super().step(text)
        return replace(reply, score=(reply.score or 0.0) / 2)


def prepared(**more: Any) -> Prepared:
    made = Prepared.__new__(Prepared)
    fixed = {"recipe__pass_at": 0.5, "train__max_tokens": 8, "train__turn_tokens": 8}
    tokenizer = Characters()
    for name, value in {
        "config": parsed(tiny.settings(Path("start"), steps=10, **{**fixed, **more})),
        "seed": 7, "make": Half, "model": None, "tokenizer": tokenizer,
        "protocol": Line(tokenizer), "probe": (),
    }.items():  # fmt: skip
        object.__setattr__(made, name, value)
    return made


def skilling(at: Path, last: dict[str, Any] | None = None, **more: Any) -> Skilling:
    (at / "rollouts").mkdir(parents=True, exist_ok=True)
    return Skilling(prepared(**more), Folder(at), last or {})


def on_disk(path: Path, *skills: Skill, **more: Any) -> Bank:
    return store.save(path, Bank(**more).merged(skills, status="active"))


def group(seed: int, size: int = 8) -> list[Planned]:
    return [Planned(environment=Half(), seed=seed, trial=n, id=f"5/k/{n}") for n in range(size)]


def played(planned: Sequence[Planned]) -> list[Trajectory]:
    return [*collect(Obeys(-1), planned, sampling=Sampling(max_tokens=8), seed=(0,), clock=None,
                     protocol=Line(Characters()))]  # fmt: skip


def extra(record: Trajectory) -> dict[str, str]:
    return record.origin.extra if record.origin else {}


def test_without_a_section_nothing_happens(tmp_path: Path) -> None:
    off, rows = skilling(tmp_path), group(0)
    assert off.planned(rows, (7, 1), 5, 1) == rows
    assert off.restored([LOST], rows[:1]) == [LOST]
    assert off.settled([LOST], None) == [LOST]
    assert (off.grown(1, Obeys(), (7, 1), 4), off.facts) == ([], {})
    assert not (tmp_path / "bank").exists()


def test_a_run_begins_with_the_bank_it_is_given_or_an_empty_one(tmp_path: Path) -> None:
    known = on_disk(tmp_path / "given", lesson(1, 1))
    assert skilling(tmp_path / "a", skills__bank=str(tmp_path / "given")).bank == known
    empty = skilling(tmp_path / "b", skills__every=1, skills__cap=3, skills__evidence=2).bank
    assert empty == Bank(cap=3, evidence=2)


def test_a_run_that_was_killed_goes_on_with_the_bank_of_its_last_batch(tmp_path: Path) -> None:
    first = on_disk(tmp_path / "bank", lesson(1, 1))
    store.save(tmp_path / "bank", first.merged([lesson(2, 2)], status="active"))
    given = on_disk(tmp_path / "given", lesson(3, 3))
    section = {"skills__bank": str(tmp_path / "given")}
    row = {"bank": first.name, "version": 1, "active": 1}
    again = skilling(tmp_path, {"skills": row}, **section)
    assert (again.bank, again.row()) == (first, row)
    assert given.name != first.name
    with pytest.raises(DataError, match=r"version 2 is .*, and batches read .* put it back"):
        skilling(tmp_path, {"skills": {**row, "version": 2}}, **section)


def test_each_rollout_reads_what_its_own_chance_shows(tmp_path: Path) -> None:
    """Two skills fit; rollout n draws from (seed, DRAWS, place, n), and is shown what is below .5.
    Task 0 is of kind 1."""
    one, other = lesson(1, 1), lesson(1, 2)
    known = on_disk(tmp_path / "given", one, other, lesson(2, 3))
    run = skilling(tmp_path, skills__bank=str(tmp_path / "given"), skills__show=0.5)
    rows = group(0)
    made = run.planned(rows, (7, 3), 5, 1)
    fit = sorted((one, other), key=lambda each: each.id)
    texts, ids = list[str](), list[tuple[str, str]]()
    for n in range(8):
        on = np.random.default_rng((7, 3, DRAWS, 5, n)).random(2) < 0.5
        shown, held = ([each for each, yes in zip(fit, on, strict=True) if yes == want]
                       for want in (True, False))  # fmt: skip
        texts.append("\n".join(f"!{each.principle}" for each in shown))
        ids.append((" ".join(each.id for each in shown), " ".join(each.id for each in held)))
    assert [each.notes for each in made] == [(text,) if text else () for text in texts]
    assert {len(text) for text in texts} >= {0, len(f"!{one.principle}")}
    records = run.restored(played(made), made)
    for record, text, names in zip(records, texts, ids, strict=True):
        said = extra(record)
        assert said["skills_bank"] == known.name
        assert (said.get("skills_shown", ""), said.get("skills_held", "")) == names
        assert said["skills_chance"] == "0.5"
        assert said.get("skills_block", "") == text
        assert (text in record.steps[0].text, record.rescue) == (True, None)


def test_skills_fade_with_the_share_of_training_that_is_done(tmp_path: Path) -> None:
    """Ten steps, two of them a start: step 3 is the first of eight. Whole to .25 of these, gone at
    .75: at step 3 and 4 all are shown, at step 9, six of eight done, none."""
    on_disk(tmp_path / "given", lesson(1, 1))
    run = skilling(
        tmp_path, skills__bank=str(tmp_path / "given"), skills__show=1.0, skills__fade=0.25,
        skills__gone=0.75,
    )  # fmt: skip
    run._begun = 2  # pyright: ignore[reportPrivateUsage]
    shares = []
    for step in (3, 4, 7, 8, 9, 10):
        made = run.planned(group(0, 200), (7, step), 5, step)
        shares.append(np.mean([bool(each.notes) for each in made]))
    # four of eight done: half way, .5; five: a quarter
    assert shares == [1.0, 1.0, pytest.approx(0.5, abs=0.12), pytest.approx(0.25, abs=0.1), 0, 0]


def test_what_is_trained_bare_has_the_block_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = lesson(1, 1)
    on_disk(tmp_path / "given", one)
    section: dict[str, Any] = {"skills__bank": str(tmp_path / "given"), "skills__show": 0.5}
    heard = list[Any]()

    def reread(records: Any, model: Any, heat: float) -> Any:
        heard.append(heat)
        return list(records)

    monkeypatch.setattr(skilled, "reread_bare", reread)
    for train, more in (("bare", {"recipe__importance": "truncated"}), ("read", {})):
        options: dict[str, Any] = {
            **section,
            **more,
            "skills__train": train,
            "train__temperature": 0.7,
        }
        run = skilling(tmp_path / train, **options)
        made = run.planned(group(0), (7, 3), 5, 1)
        records = run.restored(played(made), made)
        for record, each in zip(records, made, strict=True):
            taken = train == "bare" and bool(each.notes)
            assert ("!" in record.steps[0].text) == (bool(each.notes) and not taken)
            assert (record.rescue is not None) == taken
            assert ("skills_block" in extra(record)) == (bool(each.notes) and not taken)
            if taken:
                assert record.rescue is not None
                assert record.rescue.given == f"!{one.principle}"
        assert run.settled(records, None) == records
        assert heard == ([0.7] if train == "bare" else [])
        heard.clear()


def test_a_step_s_row_says_what_was_shown_and_what_it_did(tmp_path: Path) -> None:
    """Told rollouts answer 1, which passes, and others 9: the difference is 1. The line of a skill
    has 12 characters and the line break one."""
    known = on_disk(tmp_path / "given", lesson(1, 1))
    store.save(tmp_path / "given", known.merged([lesson(2, 2)]))
    run = skilling(tmp_path, skills__bank=str(tmp_path / "given"), skills__show=0.5)
    made = run.planned(group(0), (7, 3), 5, 1)
    told = sum(bool(each.notes) for each in made)
    assert 0 < told < 8
    records = run.restored(played(made), made)
    run.settled(records, None)
    assert run.facts == {
        "skills/active": 1.0, "skills/shown": told / 8, "skills/tokens": 13 * told / 8,
        "skills/help": 1.0,
    }  # fmt: skip
    run.settled(records, None)
    assert run.facts["skills/shown"] == run.facts["skills/tokens"] == 0, "the batch is over"
    run.settled([LOST], None)
    assert run.facts["skills/help"] is None


def written(at: Path, **steps: Sequence[Trajectory]) -> None:
    for name, records in steps.items():
        write(at / "rollouts" / f"step_{int(name[1:]):06d}.jsonl", records)


def test_the_bank_grows_every_so_many_steps_by_the_rollouts_between(tmp_path: Path) -> None:
    """Every 2 steps: before step 3 by those of 1 and 2, before step 5 by those of 3 and 4."""
    run = skilling(
        tmp_path, skills__every=2, skills__admit=False, skills__cap=9, skills__evidence=4
    )
    grow = lambda step: run.grown(step, Obeys(), (7, step), 1)  # noqa: E731
    assert grow(1) == []
    assert (store.opened(tmp_path / "bank").version, run.bank.version) == (0, 0)
    lost = [structs.replace(LOST, id=f"l/{n}") for n in range(5)]
    written(tmp_path, s1=lost[:1], s2=lost[1:2], s3=lost[2:3], s4=[lost[3], WON], s5=lost[4:])
    assert grow(2) == []
    assert run.bank.version == 0
    grow(3)
    assert run.bank == store.opened(tmp_path / "bank")
    (only,) = run.bank.active
    assert [each.trajectory for each in only.evidence] == ["l/0", "l/1"]
    assert run.bank.version == 1
    grow(4)
    assert run.bank.version == 1
    grow(5)
    assert run.bank.version == 2
    rests = {each.kind: [e.trajectory for e in each.evidence] for each in run.bank.active}
    assert rests == {"lesson": ["l/0", "l/1", "l/2", "l/3"], "demonstration": ["a/1"]}
    assert run.bank.parent == store.opened(tmp_path / "bank", 1).sha256
    before = run.bank
    assert (before.cap, before.evidence) == (9, 4)
    written(tmp_path, s5=[], s6=[])
    grow(7)
    assert run.bank is before, "nothing new is no new version"


def test_what_was_shown_counts_and_harm_retires(tmp_path: Path) -> None:
    """A was shown 10 times and never passed (Wilson: at most .278); the 4 that it was held back
    from passed (.510 at least): help -1, its upper end -1 + sqrt(.278**2 + .490**2) = -.437. That
    those that were shown nothing lost too says nothing of it. B always passed."""
    a, b = (structs.replace(each, status="active") for each in (A, B))
    store.save(tmp_path / "given", Bank().next([a, b]))
    run = skilling(tmp_path, skills__bank=str(tmp_path / "given"), skills__every=1,
                   skills__admit=False, skills__below=0.0)  # fmt: skip
    run.grown(1, Obeys(), (7, 1), 1)
    some = [saw(LOST, "a") for _ in range(10)] + [saw(WON, "b")] * 3
    some += [saw(WON, held=("a",))] * 4 + [saw(LOST)] * 6
    written(tmp_path, s1=[structs.replace(each, id=f"{n}") for n, each in enumerate(some)])
    before = run.bank
    run.grown(2, Obeys(), (7, 2), 1)
    seen = {each.principle: each for each in run.bank.skills}
    found = seen["a"].exposure
    assert (found.shown, found.passed, found.held, found.held_passed) == (10, 0, 4, 4)
    assert found.help
    assert found.help[::2] == pytest.approx((-1.0, -0.437), abs=1e-3)
    assert (seen["a"].status, seen["a"].why) == ("retired", "harm")
    assert (seen["b"].status, seen["b"].exposure.passed) == ("active", 3)
    assert (run.bank.version, run.bank.parent) == (before.version + 1, before.sha256)
    assert run.bank.generation == before.generation + 1
    assert len(run.bank.skills) == 2, "no category passes less than 0"
    written(tmp_path, s2=[])
    run.grown(3, Obeys(), (7, 3), 1)
    assert run.bank.get(A.id).exposure.shown == 10, "a rollout counts once"


@pytest.mark.parametrize(("below", "kinds"), [(1.0, 4), (0.6, 3), (0.5, 1), (0.0, 0)])
def test_categories_that_pass_often_enough_teach_nothing(
    tmp_path: Path, below: float, kinds: int
) -> None:
    """lookup passes 1 of 2, other 0 of 1, third always: two drafts, and one each. Half an outcome
    passes, and what nobody scored is in no rate."""
    other = attempt("o", 0.0, ">smallest(San Marino)", "=Europe", task="other/1", origin=None)
    half = structs.replace(WON, outcome=0.5, grades=(structs.replace(WON.grades[0], value=0.5),))
    unscored = structs.replace(LOST, id="u", outcome=None, grades=())
    run = skilling(tmp_path, skills__every=1, skills__admit=False, skills__below=below)
    run.grown(1, Obeys(), (7, 1), 1)
    third = structs.replace(WON, id="t", task="third/1", origin=None)
    written(tmp_path, s1=[LOST, half, other, third, unscored])
    run.grown(2, Obeys(), (7, 2), 1)
    assert len(run.bank.active) == kinds


def test_candidates_are_tried_on_tasks_of_their_own_and_admitted(tmp_path: Path) -> None:
    """Of two that were never tried one is played a time, on tasks 300 to 359; one that was tried
    waits, however few its pairs."""
    right, wrong = lesson(1, 1), lesson(2, 7)
    first, second = sorted((right, wrong), key=lambda each: each.id)
    store.save(tmp_path / "given", Bank().merged([right, wrong]))
    backend = Obeys(which=-1)
    run = skilling(
        tmp_path, skills__bank=str(tmp_path / "given"), skills__every=1, skills__pairs=16,
        skills__candidates=1, skills__first_task=300, skills__tasks=60,
    )  # fmt: skip
    run.grown(1, backend, (7, 1), 1)
    written(tmp_path, s1=[], s2=[], s3=[])
    attempts = run.grown(2, backend, (7, 2), 1)
    assert len(attempts) == 32
    assert all(300 <= int(each.task.rpartition("/")[2]) < 360 for each in attempts)
    assert [each.id for each in run.bank.skills if each.trial] == [first.id]
    assert len(run.grown(3, backend, (7, 3), 1)) == 32
    assert run.bank.get(right.id).status == "active"
    assert run.bank.get(wrong.id).status == "candidate"
    assert second.id != first.id
    assert run.grown(4, backend, (7, 4), 1) == [], "each has had its turn"
    assert [seed[:2] for seed in backend.seeds] == [(7, 2), (7, 3)]


def test_candidates_are_written_as_such_and_several_processes_are_refused(tmp_path: Path) -> None:
    run = skilling(tmp_path, skills__every=1, skills__tasks=4)
    with pytest.raises(UsageError, match="got several processes"):
        run.grown(1, Obeys(), (7, 1), 2)
    run.grown(1, Obeys(), (7, 1), 1)
    written(tmp_path, s1=[LOST])
    run.grown(2, Obeys(), (7, 2), 1)
    assert [each.status for each in run.bank.skills] == ["candidate"]
    on_disk(tmp_path / "given", lesson(1, 1))
    store.save(tmp_path / "waits", Bank().merged([lesson(1, 1)]))
    at_once = skilling(tmp_path / "at_once", skills__bank=str(tmp_path / "waits"),
                       skills__every=1, skills__admit=False)  # fmt: skip
    at_once.grown(1, Obeys(), (7, 1), 1)
    written(tmp_path / "at_once", s1=[])
    assert at_once.grown(2, Obeys(), (7, 2), 1) == [], "nothing is tried where nothing need be"
    fixed = skilling(tmp_path / "fixed", skills__bank=str(tmp_path / "given"))
    assert fixed.grown(1, Obeys(), (7, 1), 2) == [], "a bank that does not grow has many readers"
    assert [type(each) for each in LOST.steps].count(ModelStep) == 3
