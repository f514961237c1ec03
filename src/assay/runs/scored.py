"""Beliefs, hindsight and what a teacher says, of a log that lacks them, by a local model, opened
when it is needed."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, final

from assay.errors import AlignmentError, DataError, UsageError, told
from assay.policy.loading import check_installed, device, load
from assay.records import ModelStep, Trajectory
from assay.rollout.elicitation import ELICIT, HINDSIGHT

GIVEN: Final = ("beliefs", "hindsight", "told", "neutral")
"""Facts that a model can add to records."""
_TESTED: Final = 4
"""Trajectories on which a teacher is tested."""
_AT_ONCE: Final = 64
"""Trajectories that are looked at together: what they share at their beginnings is scored once."""


@final
class Scorer:
    """Records with what some methods need, where they lack it: what they have stays."""

    def __init__(self, model: str, needs: Iterable[str], *, elicit: str = ELICIT) -> None:
        """Takes a model, which is opened when the first record lacks something.

        Args:
            model: start, a folder, or a name that Hugging Face knows.
            needs: facts of methods (`Recipe.needs`).
            elicit: text between the history and the answer whose likelihood is a belief.

        Raises:
            UsageError: nothing that the methods need comes of a model.
            MissingExtraError: there is no torch to run it.
        """
        self.forwards = self.unanswered = 0
        """Texts that were scored, and trajectories that got no belief because no right answer is
        known."""
        self.apart: str | None = None
        """How the model differs from the one that sampled the log; empty: it does not; None: no
        teacher was asked."""
        self._needs, self._elicit = {*needs} & {*GIVEN}, elicit
        if not self._needs:
            raise UsageError(
                "--model: scores beliefs, hindsight and hints, which no method asked for needs "
                "(delta_belief, igpo, hcapo and those with a teacher do); leave it out"
            )
        check_installed("assay credit --model")
        self._name, self._opened = model, None

    def __call__(self, records: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """Yields the records, in order.

        Raises:
            DataError: one that lacks something has no token ids, or has ids that the model does
                not know.
            UsageError: the model cannot be opened.
        """
        left = iter(records)
        while some := list(islice(left, _AT_ONCE)):
            if "beliefs" in self._needs:
                lacks = [not _has(record, _believed) for record in some]
                unknown = [
                    one and not each.reference for one, each in zip(lacks, some, strict=True)
                ]
                self.unanswered += sum(unknown)
                asked = [one and not none for one, none in zip(lacks, unknown, strict=True)]
                some = self._with(some, asked, self._believing)
            if "hindsight" in self._needs:
                asked = [
                    record.outcome is not None and not _has(record, _hindsighted) for record in some
                ]
                some = self._with(some, asked, self._hindsight)
            if kinds := self._needs & {"told", "neutral"}:
                asked = [_unasked(record, kinds) for record in some]
                some = self._with(some, asked, self._taught)
            yield from some

    def _with(
        self,
        records: list[Trajectory],
        asked: Sequence[bool],
        score: Callable[[list[Trajectory]], Iterable[Trajectory]],
    ) -> list[Trajectory]:
        """Returns the records, those that are asked for scored."""
        wanted = [
            record for record, one in zip(records, asked, strict=True) if one and _own(record)
        ]
        if not wanted:
            return records
        try:
            made = list(score(wanted))
        except (IndexError, RuntimeError) as error:
            raise DataError(
                f"trajectories {wanted[0].id!r} to {wanted[-1].id!r}: the model {self._name!r} "
                f"cannot read their tokens ({told(error)}); give the model that sampled them"
            ) from None
        self.forwards += sum(map(_forwards, made)) - sum(map(_forwards, wanted))
        new = {id(old): record for old, record in zip(wanted, made, strict=True)}
        return [new.get(id(record), record) for record in records]

    def _model(self, records: list[Trajectory]) -> tuple[Any, Any]:
        """Returns model and tokenizer, after a look at the tokens that they are to read."""
        if self._opened is None:
            self._opened = load(self._name, device=device())
        model, tokenizer = self._opened
        embedding: Any = model.get_input_embeddings()
        known = int(embedding.num_embeddings)
        for record in records:
            for at, step in enumerate(record.steps):
                if step.token_ids and max(step.token_ids) >= known:
                    raise DataError(
                        f"trajectory {record.id!r} steps[{at}]: token id {max(step.token_ids)}; "
                        f"the model {self._name!r} knows {known}: give the model that sampled it"
                    )
        return model, tokenizer

    def _believing(self, records: list[Trajectory]) -> Iterable[Trajectory]:
        from assay.rollout.scoring import believing, elicited

        model, tokenizer = self._model(records)
        found = elicited(records, model, tokenizer, elicit=self._elicit)
        return map(believing, records, found)

    def _hindsight(self, records: list[Trajectory]) -> Iterable[Trajectory]:
        from assay.rollout.scoring import hindsight, told_ending

        model, tokenizer = self._model(records)
        return hindsight(records, model, told_ending(tokenizer))

    def _taught(self, records: list[Trajectory]) -> Iterable[Trajectory]:
        from assay.rollout.alignment import NEAR, check_alignment
        from assay.rollout.teaching import Blocks, taught

        model, tokenizer = self._model(records)
        blocks = Blocks.of(tokenizer)
        if self.apart is None:
            check_alignment(records[:_TESTED], model, blocks, near=None)
            try:
                check_alignment(records[:_TESTED], model, blocks, near=NEAR)
            except AlignmentError as error:
                self.apart = str(error)
            else:
                self.apart = ""
        return taught(records, model, blocks, neutral="neutral" in self._needs)


def _own(record: Trajectory) -> list[ModelStep]:
    return [step for step in record.steps if type(step) is ModelStep]


def _has(record: Trajectory, known: Callable[[ModelStep], bool]) -> bool:
    return any(map(known, _own(record)))


def _believed(step: ModelStep) -> bool:
    return step.belief is not None


def _hindsighted(step: ModelStep) -> bool:
    return step.scores.get(HINDSIGHT) is not None


def _forwards(record: Trajectory) -> int:
    return record.ledger.scoring_forwards or 0


def _unasked(record: Trajectory, kinds: Collection[str]) -> bool:
    """Returns whether a teacher has not been asked about some step with a hint."""
    from assay.rollout.teaching import hinted

    steps = [step for step in _own(record) if hinted(step)]
    return any(getattr(step, kind) is None for step in steps for kind in kinds)
