"""The text of skills that rest on a trajectory that is forgotten leaves every version of a bank.

A version that holds such a skill is written anew without its text, and has another hash and name
then: `renamed.json` keeps which version the old name was of, so that rollouts that read it are
still known. In a new version, which counts from then on, those skills are retired; their ids stay,
which are hashes of what they said, so that they are not written again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import structs

from assay.files.folders import locked
from assay.skills.bank import Bank
from assay.skills.skill import Skill
from assay.skills.store import is_bank, opened, point, put, renamed, unwritten, write_renamed

WHY = "forgotten"
"""What retired such a skill."""


def forget(path: Path, of: Callable[[str], bool], name: str) -> list[str]:
    """Takes the text of skills out of all versions of a bank; returns their ids.

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
        for left in unwritten(path):
            left.unlink()
        if not is_bank(path):  # its first version was never made the one that counts
            for file in (path / "versions").glob("[0-9]*.json"):
                file.unlink()
            return []
        now, versions = opened(path), dict[int, Bank]()
        for file in sorted((path / "versions").glob("[0-9]*.json")):
            versions[int(file.stem)] = opened(path, int(file.stem))
        hashes, gone = dict[str, str](), set[str]()
        changed = dict[int, Bank]()
        for number, bank in versions.items():
            made = _without(bank, of, name, hashes, gone)
            if made != bank:
                changed[number], hashes[bank.sha256] = made, made.sha256
        if not gone:
            return []
        names = {versions[number].name: number for number in changed}
        write_renamed(path, {**renamed(path), **names})
        last = changed.get(now.version, now)
        _count(path, now, last, max(versions) + 1)
        for bank in changed.values():
            put(path, bank)
    return sorted(gone)


def _without(
    bank: Bank, of: Callable[[str], bool], name: str, hashes: Mapping[str, str], gone: set[str]
) -> Bank:
    """Returns a version without the text of such skills, after the versions before it."""
    skills = list[Skill]()
    for each in bank.skills:
        counted = each.id in gone or each.rest  # what it rests on is not all kept: it may be this
        if counted or any(of(rests.trajectory) for rests in each.evidence):
            gone.add(each.id)
            each = _emptied(each, of, name)
        skills.append(each)
    parent = hashes.get(bank.parent, bank.parent)
    return structs.replace(bank, skills=tuple(skills), parent=parent)


def _emptied(skill: Skill, of: Callable[[str], bool], name: str) -> Skill:
    evidence = tuple(
        structs.replace(each, trajectory=name, task="") if of(each.trajectory) else each
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
