"""The first mistake of a failure, and what an expert would have done there.

Critique-GRPO 2025, https://arxiv.org/abs/2506.03106: a critique of each failure, one refinement
under it, the best one joins the group. Here the critic is the environment: it is played again up to
the first turn that did not run, found nothing, left the shortest path or answered wrongly, and its
expert, where it has one, says what to do. A critique that names the answer is not given.
"""

from collections.abc import Sequence
from typing import ClassVar, Final, final

from assay.rescue.base import (
    Case,
    Rung,
    Table,
    Try,
    advice,
    advised,
    turns,
)
from assay.rollout.protocols.base import Protocol
from assay.rollout.start import seed_of
from assay.verify.leaks import leaks
from assay.world.environment import Environment

_SHOWN: Final = 80
"""Characters of a turn that are named."""


@final
class Critique(Rung):
    """The task again, told of the first mistake of a failure."""

    name: ClassVar[str] = "critique"
    gives: ClassVar[str] = "the first mistake of a failure, and an expert's turn in its place"

    def lacks(self, case: Case) -> str | None:
        """Returns what is missing: something that was written."""
        return None if any(map(turns, case.group)) else "a turn that a critique could be about"

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries under critiques of failures that are drawn with equal chance."""
        made: list[Try] = []
        for at in table.rng.permutation(len(case.group)).tolist():
            record = case.group[at]
            said = critique(
                table.make(), seed_of(record), [s.text for s in turns(record)], table.protocol
            )
            if said is not None and not leaks(said, record) and len(made) < count:
                text = advice(table.protocol, said)
                made += advised(case, table, text, of=record.id, n=1)
        return made


def critique(
    environment: Environment, seed: int, written: Sequence[str], protocol: Protocol
) -> str | None:
    """Returns a line on the first mistake of an attempt and what the expert would have done.

    `not >north(Peru) but >home(Lima)`. None: there is no mistake, or the expert knows no better.

    Args:
        environment: is reset, and belongs to this.
        seed: of the task.
        written: what was written, turn by turn.
        protocol: how turns are taken apart.
    """
    environment.reset(seed)
    for text in written:
        best = environment.best()
        turn = protocol.turn(text, environment)
        *_, (_, reply) = protocol.played(environment, turn)
        failed = reply.done and (reply.score is None or reply.score < 1)
        if failed or (not reply.done and False in (reply.ran, reply.found, reply.on_path)):
            said = text.strip().splitlines()[-1][:_SHOWN] if text.strip() else "silence"
            return None if best is None else f"not {said} but {best}"
        if reply.done:
            return None
    return None
