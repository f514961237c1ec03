"""The text of skills that rest on a trajectory that is forgotten leaves every version of a bank.

A version that holds such a skill is written anew without its text, and has another hash and name
then: `renamed.json` keeps which version the old name was of, so that rollouts that read it are
still known. In a new version, which counts from then on, those skills are retired; their ids stay,
which are hashes of what they said, so that they are not written again.
"""

from collections.abc import Callable, Container
from pathlib import Path

from msgspec import structs

from assay.files.folders import locked
from assay.skills.bank import Bank, name_of
from assay.skills.skill import Skill
from assay.skills.store import is_bank, names, opened, point, put, swept, write_renamed

WHY = "forgotten"
"""What retired such a skill."""


def forget(path: Path, of: Callable[[str], bool], name: str) -> None:
    """Takes the text of skills out of all versions of a bank.

    A kill at any moment leaves a bank that opens, and to do it again goes on with it.

    Of a bank of which there is no version that counts all versions go.

    Args:
        path: folder of the bank.
        of: which trajectories are forgotten, by id.
        name: what stands for them as evidence from then on.

    Raises:
        UsageError: another process writes the bank.
        DataError: a version of it is damaged.
    """
    with locked(path / "LOCK", f"{path}: another process writes this bank"):
        swept(path)
        if not is_bank(path):  # its first version was never made the one that counts
            for file in (path / "versions").glob("[0-9]*.json"):
                file.unlink()
            return
        now, versions = opened(path), dict[int, Bank]()
        for file in sorted((path / "versions").glob("[0-9]*.json")):
            versions[int(file.stem)] = opened(path, int(file.stem))
        gone = {
            each.id
            for bank in versions.values()
            for each in bank.skills  # of what is only counted none says that it is not this
            if each.why == WHY or each.rest or any(of(it.trajectory) for it in each.evidence)
        }
        known, changed = names(path), dict[int, Bank]()
        for number, bank in versions.items():
            at = known.get(name_of(bank.parent), -1)  # also by its name before a kill in here
            before = changed.get(at, versions.get(at))
            parent = bank.parent if before is None else before.sha256
            made = structs.replace(_without(bank, of, name, gone), parent=parent)
            if made != bank:
                changed[number] = made
        if not changed:
            return
        write_renamed(path, known)
        last = changed.get(now.version, now)
        _count(path, now, last, max(versions) + 1)
        for bank in changed.values():
            put(path, bank)


def _without(bank: Bank, of: Callable[[str], bool], name: str, gone: Container[str]) -> Bank:
    """Returns a version without the text of some skills."""
    skills = (_emptied(s, of, name) if s.id in gone else s for s in bank.skills)
    return structs.replace(bank, skills=tuple(skills))


def _emptied(skill: Skill, of: Callable[[str], bool], name: str) -> Skill:
    evidence = tuple(
        structs.replace(each, trajectory=name, task="", digest="") if of(each.trajectory) else each
        for each in skill.evidence
    )
    empty = dict.fromkeys(("title", "principle", "when", "avoid"), "")
    return structs.replace(skill, **empty, evidence=evidence, rest=(), status="retired", why=WHY)


def _count(path: Path, before: Bank, after: Bank, number: int) -> None:
    """Makes a new version the one that counts, before any is written anew: the pointer names a hash
    of which there is a file at every moment. Its number is behind that of a version that a kill
    left, which never counted."""
    active = {each.id for each in before.active} != {each.id for each in after.active}
    made = structs.replace(
        after,
        version=number,
        generation=before.generation + active,
        parent=after.sha256,
    )
    put(path, made)
    point(path, made)
