"""A method on a batch of any size: block by block where it can be, and the same numbers."""

from collections.abc import Iterator
from dataclasses import replace

from assay.batch.blocks import Block, Blocks
from assay.credit.base import Method
from assay.errors import MethodError
from assay.kernels.advantages import Advantages, advantages
from assay.kernels.votes import Reach, reach

Reaches = list[Reach | None]
"""How far the values of each term reach."""


def in_blocks(by: Method, blocks: Blocks) -> Iterator[tuple[Block, Advantages]]:
    """Yields the advantages of `by` on each block, which are those of the whole batch there.

    A method that cannot be computed so, see `Method.reads`, gets the batch as one block; and so
    does one that refuses a block, for the whole batch is to say why.

    Raises:
        MethodError: the method cannot run on the batch.
    """
    by.check(blocks.batch)
    reached: Reaches = []
    try:
        whole = not divides(by, blocks)
        if by.reads == "groups" and not whole:
            for block in blocks:
                reached = further(reached, reaches(by, block))
                del block
    except MethodError:
        whole = True
    if whole:
        yield blocks.whole(), by(blocks.batch)
        return
    for block in blocks:
        yield block, of_block(by, block, reached)
        del block  # or two blocks' lie in memory at once


def divides(by: Method, blocks: Blocks) -> bool:
    """Can it be computed block by block, of several?"""
    return by.reads != "set" and len(blocks) > 1


def of_block(by: Method, block: Block, reached: Reaches) -> Advantages:
    """Returns the advantages of a method on a block.

    Args:
        by: it can be computed so.
        block: of the batch.
        reached: how far each term reaches over all blocks; read where the method reads "groups".
    """
    terms = by.terms(block.alone if by.reads == "groups" else block.batch)
    if by.reads == "groups":
        terms = [
            replace(term, reach=each or (0.0, 0.0))
            for term, each in zip(terms, reached, strict=True)
        ]
    return advantages(terms, block.batch.length_R, by.combine)


def reaches(by: Method, block: Block) -> Reaches:
    """Returns the least and the greatest value of each term in a block."""
    return [reach(term) for term in by.terms(block.alone)]


def further(one: Reaches, other: Reaches) -> Reaches:
    """Returns how far terms reach in two parts together; nothing is known of no part."""
    return [_both(*each) for each in zip(one or other, other, strict=True)]


def _both(one: Reach | None, other: Reach | None) -> Reach | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
