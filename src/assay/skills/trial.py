"""Admission: the same held-out tasks with a candidate in the prompt, and without.

A candidate is admitted where the one-sided 90 % lower bound of its uplift is above 0
(`kernels.uplift`). At 64 pairs that admits about one useless skill in ten, and finds ten points
six times in ten. One that is tried again adds its pairs to those before, on tasks that come after
theirs, and is held to a stricter bound (`kernels.uplift.again`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Literal, final

import numpy as np
from msgspec import structs

from assay.kernels.constancy import bar
from assay.kernels.uplift import Uplift, again, paired
from assay.kernels.wilson import wilson
from assay.records import Trajectory
from assay.rollout.backends.base import Backend, Sampling
from assay.rollout.chain import Planned, collect
from assay.rollout.protocols.base import Protocol
from assay.rollout.teaching import NOTHING
from assay.skills.bank import Bank
from assay.skills.shelf import Shelf
from assay.skills.skill import Skill, Trial, named
from assay.world.environment import Environment

PAIRS: Final = 64
WORST: Final = 0.135
"""Of useless skills, what the bound admits at most, whatever tasks pass at (`kernels.uplift`)."""
FEW: Final = 0.1
"""Share of pairs that differ, below which no skill that is worth ten points could be seen: an
uplift is at most that share."""
_ALIKE: Final = 0.9
"""Share of attempts that pass, or that fail, from which on tasks are too easy, or too hard."""
_CHANCE: Final = 0x736B696C6C
Silence = Literal["no task", "easy", "hard", "alike"]
"""Why a trial says nothing."""
Grade = Callable[[Trajectory], float | None]
"""Who says what an attempt is worth. None: nobody."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """Where candidates are tried: held-out tasks, and who plays them."""

    backend: Backend
    make: Callable[[], Environment]
    tasks: Sequence[int]
    """Seeds: of no training task, and of none that is measured on."""
    sampling: Sampling
    protocol: Protocol
    pass_at: float = 1.0
    pairs: int = PAIRS
    grade: Grade = lambda record: record.outcome


def waiting(bank: Bank) -> list[Skill]:
    """Returns the candidates in the order in which they are tried: those that never were, most
    evidence first; then those with fewest pairs."""

    def order(each: Skill) -> tuple[int, int, str]:
        return -1 if each.trial is None else each.trial.pairs, -each.support, each.id

    return sorted(bank.of("candidate"), key=order)


def tried(
    bank: Bank,
    candidates: Sequence[Skill],
    arena: Arena,
    seed: Sequence[int],
    *,
    limit: int | None = None,
    **shelf: Any,
) -> tuple[dict[str, Trial], list[Trajectory]]:
    """Returns what paired runs say of each candidate, and the attempts that they were.

    Both of a pair read the bank's active skills for the task, one of them the candidate too. Tasks
    are those that retrieval finds the candidate for; where there are fewer than pairs each is
    played several times, and the bound then says nothing of other tasks. What was tried before goes
    on where its pairs ended.

    Args:
        bank: as it is.
        candidates: each is tried alone.
        arena: where.
        seed: names the source of chance.
        limit: candidates that are played, the first ones; those that no task finds cost nothing and
            do not count. None: all.
        shelf: options of `Shelf`.
    """
    tokenizer = arena.backend.tokenizer
    before = Shelf.of(bank, arena.protocol.name, tokenizer, **shelf)
    asked, planned = _prompts(arena), list[Planned]()
    places, known = list[tuple[Skill, int]](), 0
    for each in candidates:
        if limit is not None and sum(count > 0 for _, count in places) == limit:
            break
        active = structs.replace(each, status="active")
        others = [old for old in bank.skills if old.id != each.id]
        with_it = Bank(cap=bank.cap + 1, skills=_sorted([*others, active]))
        after = Shelf.of(with_it, arena.protocol.name, tokenizer, **shelf)
        done = each.trial.pairs if each.trial else 0
        endless = _pairs(arena, asked, before, after, each, done + arena.pairs)
        pairs = [*islice(endless, done, done + arena.pairs)]
        known += done
        places.append((each, len(pairs)))
        planned += [one for pair in pairs for one in pair]
    played = [*collect(
        arena.backend, planned, sampling=arena.sampling, clock=None, protocol=arena.protocol,
        seed=(*seed, _CHANCE, *([known] if known else [])),
    )]  # fmt: skip
    found, rest = dict[str, Trial](), iter(played)
    for each, count in places:
        found[each.id] = _trial([*islice(rest, 2 * count)], arena, each.trial)
    return found, played


def _sorted(skills: Iterable[Skill]) -> tuple[Skill, ...]:
    return tuple(sorted(skills, key=lambda each: each.id))


def _prompts(arena: Arena) -> list[tuple[int, str, str]]:
    """Returns seed, text and category of each task."""
    world = arena.make()
    return [(task, world.reset(task), world.title()) for task in arena.tasks]


def _pairs(
    arena: Arena,
    asked: Sequence[tuple[int, str, str]],
    before: Shelf,
    after: Shelf,
    candidate: Skill,
    most: int,
) -> Iterable[tuple[Planned, Planned]]:
    """Yields pairs without end, with the candidate first; none where no task finds it. They are of
    at most so many tasks."""
    fit = list[tuple[int, str, str]]()
    for task, text, category in asked:
        told = after.found(text, category)
        if any(each.id == candidate.id for each in told):
            bare = before.found(text, category)
            fit.append((task, after.read(told).text, before.read(bare).text))
        if len(fit) == most:
            break
    trial = 0
    while fit:
        for task, told, bare in fit:
            one = Planned(environment=arena.make(), seed=task, trial=trial, notes=(told,))
            yield one, replace(one, environment=arena.make(), notes=(bare,) if bare else ())
        trial += 1


def _trial(played: Sequence[Trajectory], arena: Arena, before: Trial | None) -> Trial:
    graded = [arena.grade(each) for each in played]
    least = bar(arena.pass_at)
    seen = paired(
        (float(told >= least), float(bare >= least))
        for told, bare in zip(graded[::2], graded[1::2], strict=True)
        if told is not None and bare is not None
    )
    look = 1
    if before is not None and before.pairs:
        if not seen.pairs:
            return before
        old = Uplift(before.told, before.bare, before.pairs, before.differ)
        seen, look = old.after(seen, 1.0), before.looks + 1
    return Trial(
        pairs=int(seen.pairs),
        told=float(seen.told),
        bare=float(seen.neutral),
        lower=seen.bound(again(look)) if seen.pairs else None,
        admitted=seen.helps(again(look)),
        differ=None if seen.squares is None else float(seen.squares),
        looks=look,
    )


def silence(found: Collection[Trial]) -> Silence | None:
    """Returns why trials say nothing of their candidates; None: they do, or there were none.

    "no task": retrieval found none of them for any. Else nobody was admitted, and of the pairs less
    than `FEW` differ: "easy", nearly all attempts pass; "hard", nearly all fail; "alike" otherwise.
    """
    if not found or any(each.admitted for each in found):
        return None
    counted = [each for each in found if each.differ is not None]
    pairs = sum(each.pairs for each in counted)
    if not pairs:
        return None if any(each.pairs for each in found) else "no task"
    if sum(each.differ or 0.0 for each in counted) >= FEW * pairs:
        return None
    passed = sum(each.told + each.bare for each in counted) / (2 * pairs)
    return "easy" if passed >= _ALIKE else "hard" if 1 - passed >= _ALIKE else "alike"


def defects(skills: Sequence[Skill], rng: np.random.Generator) -> dict[str, list[Skill]]:
    """Returns broken copies of skills, by what was done: each applies to what its skill does.

    shuffled     says what another skill says
    corrupted    its own words, the longer ones in another order
    empty        words that say nothing
    """
    made = {"shuffled": list[Skill](), "corrupted": list[Skill](), "empty": list[Skill]()}
    for each in skills:
        others = [other.principle for other in skills if other.principle != each.principle]
        size = len(each.principle)
        said = {
            "shuffled": others[int(rng.integers(len(others)))] if others else "",
            "corrupted": _moved(each.principle, rng),
            "empty": (NOTHING * (size // len(NOTHING) + 1))[:size],
        }
        for kind, text in said.items():
            if text and text != each.principle:
                made[kind].append(_saying(each, text))
    return made


def _saying(skill: Skill, text: str) -> Skill:
    id = named(skill.kind, skill.category, skill.when, text)
    return structs.replace(skill, id=id, principle=text, status="candidate", trial=None)


def _moved(text: str, rng: np.random.Generator) -> str:
    """Returns a text with its words of more than four letters turned round by one place or more;
    the text, where there are no two that differ."""
    words = text.split()
    at = [n for n, word in enumerate(words) if len(word) > 4]
    if len({words[n] for n in at}) < 2:
        return text
    by = int(rng.integers(1, len(at)))
    for n, word in zip(at, [words[m] for m in (*at[by:], *at[:by])], strict=True):
        words[n] = word
    return " ".join(words)


def broken(bank: Bank, how: str, rng: np.random.Generator) -> Bank:
    """Returns a bank with its active skills broken in a way of `defects`: a control of the same
    size. A skill that cannot be broken so is left out."""
    made = defects(bank.active, rng)[how]
    kept = {each.id: structs.replace(each, status="active") for each in made}
    return Bank(version=bank.version, cap=bank.cap, skills=_sorted(kept.values()))


def injected(
    bank: Bank, skills: Sequence[Skill], arena: Arena, seed: Sequence[int], **shelf: Any
) -> dict[str, tuple[int, int]]:
    """Returns how many defects a trial admits, and of how many, by kind: is whoever judges it fit
    to admit, and to retire?"""
    made = defects(skills, np.random.default_rng([*seed, _CHANCE, 1]))
    found: dict[str, tuple[int, int]] = {}
    for n, (kind, some) in enumerate(made.items()):
        seen, _ = tried(bank, some, arena, (*seed, n + 1), **shelf)
        found[kind] = sum(each.admitted for each in seen.values()), len(seen)
    return found


def sound(found: Mapping[str, tuple[int, int]]) -> bool:
    """Returns whether a judge may be trusted: of all defects it does not surely admit more (lower
    end of Wilson's 95 % interval) than the bound does by chance at its worst."""
    admitted, of = (sum(each[at] for each in found.values()) for at in (0, 1))
    return wilson(admitted, of)[0] <= WORST
