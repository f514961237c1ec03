"""A method on a batch of any size: block by block where it can be, and the same numbers."""

from collections.abc import Iterator
from dataclasses import replace

from assay.batch.blocks import Block, Blocks
from assay.credit.base import Method
from assay.errors import MethodError
from assay.kernels.advantages import Advantages, advantages
from assay.kernels.votes import Reach, reach


def in_blocks(by: Method, blocks: Blocks) -> Iterator[tuple[Block, Advantages]]:
    """Yields the advantages of `by` on each block, which are those of the whole batch there.

    A method that cannot be computed so, see `Method.reads`, gets the batch as one block; and so
    does one that refuses a block, for the whole batch is to say why.

    Raises:
        MethodError: the method cannot run on the batch.
    """
    by.check(blocks.batch)
    reached: list[Reach | None] = []
    alone = by.reads == "groups"
    try:
        whole = by.reads == "set" or len(blocks) == 1
        if alone and not whole:
            reached = _reached(by, blocks)
    except MethodError:
        whole = True
    if whole:
        yield blocks.whole(), by(blocks.batch)
        return
    for block in blocks:
        terms = by.terms(block.alone if alone else block.batch)
        if alone:
            terms = [
                replace(term, reach=each or (0.0, 0.0))
                for term, each in zip(terms, reached, strict=True)
            ]
        yield block, advantages(terms, block.batch.length_R, by.combine)
        del block, terms  # or two blocks' lie in memory at once


def _reached(by: Method, blocks: Blocks) -> list[Reach | None]:
    """Returns the least and the greatest value of each term over all blocks."""
    reached: list[Reach | None] = []
    for block in blocks:
        of = [reach(term) for term in by.terms(block.alone)]
        reached = [_both(*each) for each in zip(reached or of, of, strict=True)]
        del block
    return reached


def _both(one: Reach | None, other: Reach | None) -> Reach | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
