"""From trajectories to drafts of skills: who may teach, and what becomes of it.

| trajectory | becomes |
|---|---|
| failed, by evidence E2 or better | a lesson |
| passed, by a check or a person (E3, E4) | a demonstration |
| held-out task, rescued, unscored, or known by a judge or the agent alone | nothing |

The other ways are controls: what SkillRL is compared with (its section 4.3), and no way to keep a
bank.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, final

from msgspec import structs

from assay.judges.texts import answer_of
from assay.kernels.constancy import bar
from assay.records import Trajectory
from assay.records.evidence import ResolvedLevel
from assay.skills.skill import Evidence, Kind, Skill, named
from assay.verify import Resolved, claim_of, resolve

How = Literal["asymmetric", "lessons", "demonstrations", "raw"]
"""asymmetric: lessons from failures, demonstrations from successes. The others take one kind from
both; raw: whole transcripts."""
GOOD: Final = ("E2", "E3", "E4")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trajectory that may teach."""

    record: Trajectory
    passed: bool
    level: Resolved
    successes: Sequence[Trajectory] = ()
    """Verified ones at the same task."""
    kind: Kind = "lesson"
    raw: bool = False
    """Its transcript is wanted, and nothing else."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a writer makes of a case."""

    principle: str
    when: str = ""
    title: str = ""
    avoid: str = ""
    steps: tuple[int, ...] = ()
    contrast: bool = False
    """Whether it rests on another attempt's success."""


Writer = Callable[[Sequence[Case]], list[Draft | None]]
"""Cases in, a draft or nothing for each."""


@final
@dataclass(frozen=True, slots=True)
class Built:
    """Drafts, and what was left out."""

    skills: tuple[Skill, ...]
    left: Counter[str]
    """Trajectories without a skill, by reason: "held out", "rescued", "no evidence" (unscored, or
    below E2), "unverified" (a success below E3), "nothing said" by the writer."""


def category_of(record: Trajectory) -> str:
    """Returns what kind of task it is: its family, else its name up to a bracket or a slash."""
    family = record.origin.extra.get("family", "") if record.origin else ""
    return family or record.task.partition("/")[0].partition("[")[0]


def digest_of(record: Trajectory) -> str:
    """Returns what tells an attempt from another of its name, of another log: a short hash of its
    outcome and of what was done in it."""
    said = f"{record.outcome}\n{answer_of(record)}"
    return sha256(said.encode(errors="backslashreplace")).hexdigest()[:16]


def built(
    records: Iterable[Trajectory],
    writer: Writer,
    *,
    name: str = "template",
    how: How = "asymmetric",
    held_out: Collection[str] = (),
    pass_at: float = 1.0,
) -> Built:
    """Returns the skills that trajectories teach.

    Args:
        records: of training.
        writer: who writes.
        name: what the skills call it.
        how: what becomes what.
        held_out: tasks that are measured on; nothing is learnt from them.
        pass_at: a trajectory passes at this outcome or above.
    """
    left = Counter[str]()
    cases = [*_cases(records, how, held_out, pass_at, left)]
    made = list[Skill]()
    for case, draft in zip(cases, writer(cases), strict=True):
        if draft is None or not draft.principle.strip():
            left["nothing said"] += 1
        else:
            made.append(_skill(case, draft, name))
    return Built(tuple(made), left)


def _cases(
    records: Iterable[Trajectory],
    how: How,
    held_out: Collection[str],
    pass_at: float,
    left: Counter[str],
) -> Iterator[Case]:
    """Yields what may teach; counts the rest by why it may not."""
    some = list[tuple[Trajectory, Resolved, bool]]()
    verified = dict[str, list[Trajectory]]()
    for record in records:
        found = resolve(record, record.claim or claim_of(record.steps), pass_at=pass_at)
        passed = found.value is not None and found.value >= bar(pass_at)
        if why := _refused(record, found, passed, held_out):
            left[why] += 1
            continue
        some.append((record, found, passed))
        if passed:
            verified.setdefault(record.task, []).append(record)
    for record, found, passed in some:
        kind: Kind = "demonstration" if passed else "lesson"
        if how != "asymmetric":
            kind = "lesson" if how == "lessons" else "demonstration"
        yield Case(
            record=record,
            passed=passed,
            level=found,
            successes=verified.get(record.task, ()),
            kind=kind,
            raw=how == "raw",
        )


def _refused(record: Trajectory, found: Resolved, passed: bool, held_out: Collection[str]) -> str:
    """Returns why a trajectory may not teach; empty: it may."""
    if record.task in held_out:
        return "held out"
    if record.rescue is not None:
        return "rescued"
    if found.value is None or found.level not in GOOD:
        return "no evidence"
    return "unverified" if passed and found.level == "E2" else ""


def _skill(case: Case, draft: Draft, writer: str) -> Skill:
    record, category = case.record, category_of(case.record)
    source = "success" if case.passed else "contrast" if draft.contrast else "failure"
    rests = [_evidence(record, case.level.level, draft.steps)]
    if draft.contrast:
        rests += [_evidence(each, "E3") for each in case.successes[:1]]
    made = Skill(
        id=named(case.kind, category, draft.when, draft.principle),
        kind=case.kind,
        category=category,
        source=source,
        writer=writer,
        evidence=tuple(rests),
    )
    said = {name: getattr(draft, name) for name in ("principle", "when", "title", "avoid")}
    return structs.replace(made, **said)


def _evidence(record: Trajectory, level: ResolvedLevel, steps: tuple[int, ...] = ()) -> Evidence:
    return Evidence(
        trajectory=record.id, task=record.task, steps=steps, level=level, digest=digest_of(record)
    )
