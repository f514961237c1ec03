"""A version of a skill bank: bounded, never changed, named by its hash.

candidate   written, not admitted: never shown but in a trial
active      shown; at most `cap` of them
retired     shown no more; kept, so that it is not written again and taken for new
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Final, final

import msgspec
from msgspec import Meta, structs

from assay.errors import DataError
from assay.kernels.wilson import wilson
from assay.records.base import Record
from assay.skills.resting import EVIDENCE, bounded, joined
from assay.skills.skill import LONGEST, Evidence, Exposure, Skill, Status, Trial

CAP: Final = 64
"""Active skills, at most."""
SPARE: Final = 4
"""Candidates, and retired ones that are remembered: at most so many times the active ones."""
UNUSED: Final = 20
"""Generations without being retrieved after which a skill is retired."""


@final
class Bank(Record, frozen=True, dict=True, gc=True):
    """One version."""

    version: int = 0
    generation: int = 0
    """Goes up when the active skills change: what a policy reads is then another input."""
    parent: str = ""
    """Hash of the version before. Empty: the first."""
    cap: Annotated[int, Meta(ge=1)] = CAP
    evidence: Annotated[int, Meta(ge=1)] = EVIDENCE
    """Pieces of evidence that a skill keeps, at most; the others are counted."""
    skills: tuple[Skill, ...] = ()
    """By id."""

    def __post_init__(self) -> None:
        """Raises DataError for what is no bank."""
        ids = [each.id for each in self.skills]
        if len(set(ids)) < len(ids) or ids != sorted(ids):
            raise DataError("bank: ids of its skills repeat or are out of order")
        if len(self.active) > self.cap:
            raise DataError(f"bank: {len(self.active)} active skills; expected at most {self.cap}")
        for each in self.skills:
            if max(len(each.principle), len(each.when), len(each.title)) > LONGEST:
                raise DataError(f"bank: skill {each.id}: a text is longer than {LONGEST}")

    @cached_property
    def sha256(self) -> str:
        """Hash of all of it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    @property
    def name(self) -> str:
        """What records call it: how its hash begins."""
        return name_of(self.sha256)

    @property
    def active(self) -> tuple[Skill, ...]:
        """Skills that are shown."""
        return self.of("active")

    def of(self, status: Status) -> tuple[Skill, ...]:
        """Returns the skills of a status."""
        return tuple(each for each in self.skills if each.status == status)

    def get(self, id: str) -> Skill:
        """Returns a skill.

        Raises:
            DataError: there is none.
        """
        for each in self.skills:
            if each.id == id:
                return each
        raise DataError(f"bank: no skill {id!r}; assay skills list names them")

    def next(self, skills: Iterable[Skill]) -> "Bank":
        """Returns the version after this one, within its bounds; this one, where nothing changed.

        Of more active skills than `cap` those are retired that surely help least: by the upper end
        of their passes where shown, then the longest unused. Of candidates and retired ones the
        newest `SPARE * cap` are kept, and of the evidence of each the best `evidence` pieces.
        """
        kept = {each.id: bounded(each, self.evidence) for each in skills}
        on = sorted((s for s in kept.values() if s.status == "active"), key=_worth, reverse=True)
        for each in on[self.cap :]:
            kept[each.id] = structs.replace(each, status="retired", why="cap")
        for status in ("candidate", "retired"):
            some = sorted((s for s in kept.values() if s.status == status), key=_age, reverse=True)
            for each in some[SPARE * self.cap :]:
                del kept[each.id]
        made = tuple(kept[id] for id in sorted(kept))
        if made == self.skills:
            return self
        old, new = ({s.id for s in each if s.status == "active"} for each in (self.skills, made))
        return Bank(
            version=self.version + 1,
            generation=self.generation + (old != new),
            parent=self.sha256,
            cap=self.cap,
            evidence=self.evidence,
            skills=made,
        )

    def merged(self, drafts: Iterable[Skill], *, status: Status = "candidate") -> "Bank":
        """Returns the bank with new skills.

        One that says what another says, case and spaces aside, adds its evidence to that one; one
        that was retired stays so. Their generation is the bank's.
        """
        kept, now = {each.id: each for each in self.skills}, self.generation
        fresh = dict[str, list[Evidence]]()
        for draft in drafts:
            if draft.id not in kept:
                new = {"evidence": (), "created": now, "used": now, "status": status}
                kept[draft.id] = structs.replace(draft, **new)
            fresh.setdefault(draft.id, []).extend(draft.evidence)
        for id, evidence in fresh.items():
            kept[id] = joined(kept[id], evidence, self.evidence)
        return self.next(kept.values())

    def counted(self, exposures: Mapping[str, Exposure], *, afresh: bool = False) -> "Bank":
        """Returns the bank with exposures added, or put in the place of what was known; those
        skills were used in its generation."""
        return self.next(
            structs.replace(
                each,
                exposure=(Exposure() if afresh else each.exposure).plus(exposures[each.id]),
                used=self.generation,
            )
            if each.id in exposures
            else each
            for each in self.skills
        )

    def decided(self, found: Mapping[str, Trial]) -> "Bank":
        """Returns the bank after trials: admitted candidates are active, the others stay."""
        return self.next(
            structs.replace(each, trial=found[each.id], **_verdict(each, found[each.id]))
            if each.id in found
            else each
            for each in self.skills
        )

    def retired(self, *, unused: int = UNUSED) -> "Bank":
        """Returns the bank without active skills that surely harm, or that no task asks for.

        `harm`: the upper end of the 95 % interval of its help (`Exposure.help`) lies below 0.
        `unused`: not retrieved for so many generations.

        Instead of a category's passes where nothing was shown, which is other tasks than those
        that find the skill, attempts are compared that found it, by the chance that showed it.
        """
        since = self.generation - unused
        return self.next(_judged(each, each.used <= since) for each in self.skills)


def _judged(skill: Skill, unused: bool) -> Skill:
    if skill.status != "active":
        return skill
    if (help := skill.exposure.help) is not None and help[2] < 0.0:
        return structs.replace(skill, status="retired", why="harm")
    return structs.replace(skill, status="retired", why="unused") if unused else skill


def became(before: Bank, drafts: Iterable[Skill], after: Bank) -> Counter[str]:
    """Returns what became of drafts, and of what had to go for them, by word.

    Each draft is one of "new"; "merged", another skill or draft says the same; "retired before",
    that one was retired, and stays so. Skills of either bank are besides "capped", retired for the
    cap, or "dropped", beyond the bound of candidates and of retired ones.

    Args:
        before: the bank.
        drafts: what it was merged with.
        after: what came of it.
    """
    made, seen = Counter[str](), {each.id: each.status for each in before.skills}
    for draft in drafts:
        was = seen.get(draft.id)
        made["new" if was is None else "retired before" if was == "retired" else "merged"] += 1
        seen.setdefault(draft.id, "candidate")
    left = {each.id for each in after.skills}
    made["capped"] = sum(
        each.why == "cap" and seen.get(each.id) != "retired" for each in after.of("retired")
    )
    made["dropped"] = len(seen.keys() - left)
    return made


def name_of(sha256: str) -> str:
    """Returns what records call the bank of a hash."""
    return sha256[:12]


def _verdict(skill: Skill, trial: Trial) -> dict[str, Any]:
    on = skill.status == "candidate" and trial.admitted
    return {"status": "active"} if on else {}


def _worth(skill: Skill) -> tuple[float, int, int, str]:
    seen = skill.exposure
    return wilson(seen.passed, seen.shown)[1], skill.used, skill.created, skill.id


def _age(skill: Skill) -> tuple[int, int, str]:
    return skill.used, skill.created, skill.id
