"""All methods of a recipe counted for an audit, block by block, by several processes.

A block is cut out once, and every method is computed on it. What is counted is added up in the
order of the blocks, so that the audit does not depend on how many processes there were.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final, final

from assay.audit import Audit
from assay.audit.counts import Found
from assay.batch.blocks import Block
from assay.batch.mapped import give_back
from assay.batch.parallel import in_order
from assay.credit.blocks import Reaches, divides, further, of_block, reaches
from assay.credit.facts import held
from assay.errors import MethodError
from assay.pipeline import FAILS, reason_of
from assay.recipes import Part, Recipe

Say = Callable[[str], None]
_EACH: Final = 4
"""Jobs that each process gets, of a few blocks in a row."""


@final
@dataclass(slots=True)
class _Counted:
    """What a job came to, beside what it counted."""

    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Why methods do not run, by name; the first block that refuses says it."""
    reached: dict[str, Reaches] = field(default_factory=dict[str, Reaches])
    """How far the terms of methods reach, by name."""
    whole: set[str] = field(default_factory=set[str])
    """Names of methods that refuse a block: of the whole batch they are to say why."""

    def absorb(self, later: "_Counted") -> None:
        """Adds what a job on later blocks came to."""
        self.refused = later.refused | self.refused
        for name, more in later.reached.items():
            self.reached[name] = further(self.reached.get(name, []), more)
        self.whole |= later.whole


_Job = Callable[[Audit, _Counted, Block], None]


def counted(found: Audit, recipe: Recipe, count: int, say: Say) -> dict[str, str]:
    """Adds all methods of a recipe to an audit; returns why those do not run that do not.

    Args:
        found: nothing is counted in it yet.
        recipe: its parts are read.
        count: processes.
        say: is told what is done again since a process was killed.
    """
    blocks, made = found.blocks, _Counted()
    blocks.facts = held(blocks.batch)
    found.begin([part.name for part in recipe.parts])
    for part in recipe.parts:
        try:
            part.method.check(blocks.batch)
        except FAILS as error:
            made.refused[part.name] = reason_of(part.name, error)
        else:
            made.whole |= set() if divides(part.method, blocks) else {part.name}

    def left(*, whole: bool) -> list[Part]:
        """Those that run, on the whole batch or on its blocks."""
        return [
            part
            for part in recipe.parts
            if part.name not in made.refused and (part.name in made.whole) == whole
        ]

    alone = [part for part in left(whole=False) if part.method.reads == "groups"]
    _do(_jobs(found, count, partial(_look, alone)), found, made, count, say)
    jobs = {part.name: partial(_whole, found, part) for part in left(whole=True)}
    if parts := left(whole=False):
        jobs |= _jobs(found, count, partial(_count, parts, made.reached))
    _do(jobs, found, made, count, say)
    for name in made.refused:
        found.drop(name)
    return made.refused


def looked(found: Audit, count: int, say: Say) -> None:
    """Counts in an audit what no method is needed for."""
    _do(_jobs(found, count, partial(_look, ())), found, _Counted(), count, say)


def _do(
    jobs: Mapping[str, Callable[[], tuple[Found, _Counted]]],
    found: Audit,
    made: _Counted,
    count: int,
    say: Say,
) -> None:
    """Does jobs, and adds up what they count in their order."""
    alone = ((name, job()) for name, job in jobs.items())
    for _, (taken, more) in in_order(jobs, count, say) if count > 1 else alone:
        found.absorb(taken)
        made.absorb(more)


def _jobs(found: Audit, count: int, job: _Job) -> dict[str, Callable[[], tuple[Found, _Counted]]]:
    """Returns jobs of a few blocks in a row each, by what they are for people."""
    most = len(found.blocks)
    jobs = min(most, _EACH * count)
    ends = [most * number // jobs for number in range(jobs + 1)]
    return {
        f"part {number + 1} of {jobs}": partial(_in_turn, found, range(low, high), job)
        for number, (low, high) in enumerate(pairwise(ends))
    }


def _in_turn(found: Audit, numbers: Sequence[int], job: _Job) -> tuple[Found, _Counted]:
    part, made = found.part(), _Counted()
    for number in numbers:
        job(part, made, found.blocks[number])
        give_back()
    return part.taken(), made


def _look(alone: Sequence[Part], part: Audit, made: _Counted, block: Block) -> None:
    """Counts what no method is needed for, and finds how far some methods reach."""
    part.look(block)
    for each in alone:
        far = _Counted()
        try:
            far.reached[each.name] = reaches(each.method, block)
        except MethodError:
            far.whole.add(each.name)
        except FAILS as error:
            far.refused[each.name] = reason_of(each.name, error)
        made.absorb(far)


def _count(
    parts: Sequence[Part],
    reached: Mapping[str, Reaches],
    part: Audit,
    made: _Counted,
    block: Block,
) -> None:
    """Counts methods."""
    for each in parts:
        if each.name in made.refused:
            continue
        try:
            given = of_block(each.method, block, reached.get(each.name, []))
        except FAILS as error:
            made.refused[each.name] = reason_of(each.name, error)
        else:
            part.add(each.name, given, block=block.batch)
            del given  # or two methods' lie in memory at once


def _whole(found: Audit, by: Part) -> tuple[Found, _Counted]:
    """Counts a method that is not computed block by block."""
    part, made = found.part(), _Counted()
    try:
        given = by.method(found.blocks.batch)
    except FAILS as error:
        made.refused[by.name] = reason_of(by.name, error)
    else:
        part.add(by.name, given)
    give_back()
    return part.taken(), made
