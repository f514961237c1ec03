"""All methods of a recipe counted for an audit, block by block, by several processes.

A block is cut out once, and every method is computed on it. What is counted is added up in the
order of the blocks, so that the audit does not depend on how many processes there were.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple, final

from assay.audit import Audit
from assay.audit.counts import Found
from assay.batch.blocks import Block
from assay.batch.mapped import give_back
from assay.batch.parallel import Crew, in_order
from assay.credit.blocks import Reaches, divides, further, of_block, reaches
from assay.credit.facts import held
from assay.errors import MethodError
from assay.pipeline import FAILS, reason_of
from assay.recipes import Part, Recipe

Say = Callable[[str], None]
_EACH: Final = 16
"""Jobs that each process gets, of a few blocks in a row: at the end none waits long for another."""


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


class _Job(NamedTuple):
    """What is to be done of an audit."""

    blocks: Sequence[int] | None
    """Of these blocks; None: of the whole batch, by the one method that is named."""
    names: Sequence[str] = ()
    """Of methods."""
    reached: Mapping[str, Reaches] | None = None
    """How far their terms reach. None: that is to be found, and what no method is needed for."""


@final
class _Work:
    """An audit that is counted by several processes, which stay from job to job."""

    def __init__(self, found: Audit, parts: Sequence[Part], count: int, say: Say) -> None:
        """Begins it.

        Args:
            found: nothing is counted in it yet.
            parts: the methods.
            count: processes.
            say: is told what is done again since a process was killed.
        """
        self.made = _Counted()
        self._found, self._count, self._say = found, count, say
        self._job = partial(_done, found, {part.name: part for part in parts})
        self._crew = Crew(self._job)

    def do(self, jobs: Mapping[str, _Job]) -> None:
        """Does jobs, and adds up what they count in their order."""
        begins = {name: partial(self._crew.begin, job) for name, job in jobs.items()}
        alone = ((name, self._job(job)) for name, job in jobs.items())
        for _, (taken, more) in (
            in_order(begins, self._count, self._say) if self._count > 1 else alone
        ):
            self._found.absorb(taken)
            self.made.absorb(more)

    def jobs(
        self, names: Sequence[str] = (), reached: Mapping[str, Reaches] | None = None
    ) -> dict[str, _Job]:
        """Returns jobs of a few blocks in a row each, by what they are for people."""
        most = len(self._found.blocks)
        jobs = min(most, _EACH * self._count)
        ends = [most * number // jobs for number in range(jobs + 1)]
        return {
            f"part {number + 1} of {jobs}": _Job(range(low, high), names, reached)
            for number, (low, high) in enumerate(pairwise(ends))
        }

    def close(self) -> None:
        """Ends the processes."""
        self._crew.close()


def counted(found: Audit, recipe: Recipe, count: int, say: Say) -> dict[str, str]:
    """Adds all methods of a recipe to an audit; returns why those do not run that do not.

    Args:
        found: nothing is counted in it yet.
        recipe: its parts are read.
        count: processes.
        say: is told what is done again since a process was killed.
    """
    blocks = found.blocks
    blocks.facts = held(blocks.batch)
    found.begin([part.name for part in recipe.parts])
    with closing(_Work(found, recipe.parts, count, say)) as work:
        made = work.made
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

        alone = [part.name for part in left(whole=False) if part.method.reads == "groups"]
        work.do(work.jobs(alone))
        jobs = {part.name: _Job(None, (part.name,)) for part in left(whole=True)}
        if parts := left(whole=False):
            jobs |= work.jobs([part.name for part in parts], made.reached)
        work.do(jobs)
    for name in made.refused:
        found.drop(name)
    return made.refused


def looked(found: Audit, count: int, say: Say) -> None:
    """Counts in an audit what no method is needed for."""
    with closing(_Work(found, (), count, say)) as work:
        work.do(work.jobs())


def _done(found: Audit, parts: Mapping[str, Part], job: _Job) -> tuple[Found, _Counted]:
    """Does a job."""
    part, made = found.part(), _Counted()
    named = [parts[name] for name in job.names]
    if job.blocks is None:
        _whole(found, named[0], part, made)
    for number in job.blocks or ():
        if job.reached is None:
            _look(named, part, made, found.blocks[number])
        else:
            _count(named, job.reached, part, made, found.blocks[number])
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


def _whole(found: Audit, by: Part, part: Audit, made: _Counted) -> None:
    """Counts a method that is not computed block by block."""
    try:
        given = by.method(found.blocks.batch)
    except FAILS as error:
        made.refused[by.name] = reason_of(by.name, error)
    else:
        part.add(by.name, given)
    give_back()
