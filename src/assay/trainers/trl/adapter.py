"""From TRL's dict and reward call to the facts of rows, and the checks on the way. Needs torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import numpy as np
import torch
from accelerate.utils import gather_object

from assay.batch import CATEGORIES, Batch
from assay.batch.build import Builder
from assay.batch.completions import Completions
from assay.credit.facts import held
from assay.errors import AlignmentError, DataError, UsageError
from assay.records import Trajectory
from assay.signal.given import FIELD, filled, given_record, lacking
from assay.signal.origins import OriginRow
from assay.signal.signal import Signal
from assay.trainers.trl.compatibility import TESTED, end_ids
from assay.trainers.trl.completions import calls_made, calls_of, lists_in, text_of, waits
from assay.trainers.trl.own_log import Row
from assay.trainers.trl.replay import Replay

REQUIRED: Final = (
    "prompt_ids",
    "prompt_mask",
    "completion_ids",
    "completion_mask",
    "advantages",
    "num_items_in_batch",
)
"""Keys of the dict that `_generate_and_score_completions` returns, that we read or replace."""
TOOL_MASK: Final = 2
"""Where TRL's `_generate` returns which tokens were sampled."""
LIKELIHOODS: Final = frozenset({"logprobs", "entropies"})
"""Needs of methods that the trainer can meet by a forward pass."""
LISTS: Final = (
    "a tool returned a list: TRL hands it to the chat template as parts of a message, and many "
    "templates show nothing of them; return text, json.dumps(...) for one"
)
VERIFIED: Final = ("true_success", "under_claim")


def check_keys(output: Mapping[str, Any]) -> int:
    """Returns T, the width of TRL's rows.

    Raises:
        UsageError: the dict is not the one of the TRL version that we are tested with.
    """
    missing = [key for key in REQUIRED if key not in output]
    if missing:
        raise UsageError(f"TRL's batch has no {', '.join(missing)}; {TESTED}: install that version")
    shape = tuple(output["completion_ids"].shape)
    if output["advantages"].shape != shape[:1] or output["completion_mask"].shape != shape:
        raise UsageError(
            f"TRL's batch has advantages of shape {tuple(output['advantages'].shape)} for "
            f"completions of shape {shape}; expected one per row; {TESTED}: install that version"
        )
    return shape[1]


@final
@dataclass(slots=True)
class Facts:
    """What credit needs of rows: counts, hashes and outcomes, and neither text nor tokens."""

    builder: Builder
    skip: list[int] = field(default_factory=list[int])
    """Leading tokens of each row's trajectory that are its prompt."""
    calls: int = 0
    """Tool calls that the rows made."""


@final
@dataclass(frozen=True, slots=True)
class RewardCall:
    """What TRL handed to the reward functions, and what they said; rows of this process."""

    inputs: Sequence[Mapping[str, Any]]
    completions: Sequence[Any]
    ids: Sequence[Sequence[int]]
    rewards: torch.Tensor
    """(rows of all processes, reward functions); NaN where a function returned None."""
    sampled: Sequence[list[int]] | None
    """1 per sampled token, 0 per token of a tool; None: all were sampled. TRL's mask, but for rows
    that it leaves out whole as truncated: they are scored and compared all the same."""

    def given(self, trainer: Any) -> bool:
        """Returns whether the rollout function returned records.

        Raises:
            DataError: for some rows only.
        """
        having = [FIELD in row for row in self.inputs]
        if trainer.rollout_func is None or not any(having):
            return False
        if not all(having):
            raise DataError(
                f"rollout row {having.index(False)}: no field {FIELD!r}, and other rows have one; "
                "return one record per completion, or none at all"
            )
        return True

    def facts(self, trainer: Any, output: Mapping[str, Any]) -> Facts:
        """Returns the facts of this process's rows, in TRL's order."""
        first = trainer.accelerator.process_index * len(self.inputs)
        outcomes, parts = self._scores(trainer, first)
        made = Facts(Builder(measure="tokens", pass_at=trainer.recipe.pass_at))
        if lists_in(self.completions):
            trainer.session.once(LISTS)
        if self.given(trainer):
            rows = [
                given_record(row[FIELD], ids, row=k, outcome=outcomes[k], rewards=parts[k])
                for k, (row, ids) in enumerate(zip(self.inputs, self.ids, strict=True))
            ]
            for record, skip in self._filled(trainer, output, rows):
                made.builder.add(trainer.recipe.prepared(record))
                made.skip.append(skip)
                made.calls += calls_made(record)
            return made
        made.builder.complete(self._bare(trainer, output, first, outcomes, parts))
        made.calls = sum(calls_of(said) for said in self.completions)
        made.skip = [0] * len(self.ids)
        return made

    def _bare(
        self,
        trainer: Any,
        output: Mapping[str, Any],
        first: int,
        outcomes: Sequence[float | None],
        parts: Sequence[dict[str, float | None]],
    ) -> Completions:
        """Returns this process's completions where there are no records."""
        known, ids = _likelihoods(trainer, output, self.ids), self.ids
        length_K = np.array([len(row) for row in ids], np.int64)
        real_KT = np.arange(output["completion_ids"].shape[1]) < length_K[:, None]
        numbers = range(first, first + len(ids))
        flat = None if self.sampled is None else [each for row in self.sampled for each in row]
        return Completions(
            ids=[f"{trainer.state.global_step}/{k}" for k in numbers],
            groups=[str(k // trainer.num_generations) for k in numbers],
            texts=[text_of(said) for said in self.completions],
            outcome_K=np.array([np.nan if each is None else each for each in outcomes], float),
            rewards=parts,
            answered_K=np.array(self._answered(trainer), bool),
            length_K=length_K,
            sampled_N=None if flat is None else np.array(flat, bool),
            logprob_N=None if known[0] is None else known[0][real_KT],
            entropy_N=None if known[1] is None else known[1][real_KT],
        )

    def _answered(self, trainer: Any) -> list[bool]:
        """Returns whether each row ended by itself: with a token that ends it, and not where a tool
        run was cut, whose last turn has such a token too."""
        ends = {*end_ids(trainer), trainer.processing_pad}
        return [
            len(row) > 0 and row[-1] in ends and not (trainer.tools and waits(said))
            for row, said in zip(self.ids, self.completions, strict=True)
        ]

    def rows(self, trainer: Any) -> list[Row]:
        """Returns this process's rows as the trainer's own log keeps them."""
        first, step = trainer.accelerator.process_index * len(self.ids), trainer.state.global_step
        outcomes, parts = self._scores(trainer, first)
        answered, given = self._answered(trainer), self.given(trainer)
        made: list[Row] = []
        for k, (row, ids) in enumerate(zip(self.inputs, self.ids, strict=True)):
            outcome, rewards = outcomes[k], parts[k]
            record = None
            if given:
                record, _ = given_record(row[FIELD], ids, row=k, outcome=outcome, rewards=rewards)
            each = Row(
                id=f"{step + 1}/{first + k}",
                group=f"{step + 1}/{(first + k) // trainer.num_generations}",
                step=step,
                prompt=row["prompt"],
                completion=self.completions[k],
                ids=list(ids),
                sampled=None if self.sampled is None else list(self.sampled[k]),
                answered=answered[k],
                outcome=outcome,
                rewards=rewards,
                given=record,
            )
            made.append(each)
        return made

    def _filled(
        self, trainer: Any, output: Mapping[str, Any], rows: list[tuple[Trajectory, int]]
    ) -> list[tuple[Trajectory, int]]:
        """Returns given records with the likelihoods that a method needs and they lack."""
        needs = trainer.recipe.needs & LIKELIHOODS
        lack = any(lacking(record, name) for name in needs for record, _ in rows)
        if not _anywhere(trainer, lack):  # all pass forward or none: some share a model in parts
            return rows
        logprobs, entropies = _likelihoods(trainer, output, self.ids)
        values = {"logprobs": logprobs, "entropies": entropies}
        return [
            (filled(record, skip, {name: values[name][k].tolist() for name in needs}), skip)
            for k, (record, skip) in enumerate(rows)
        ]

    def _scores(
        self, trainer: Any, first: int
    ) -> tuple[list[float | None], list[dict[str, float | None]]]:
        """Returns the outcome of each row and its parts; None where nobody scored it."""
        mine = self.rewards[first : first + len(self.inputs)].double().cpu()
        weights = trainer.reward_weights.double().cpu()
        total = (mine * weights).nansum(1)
        unscored = torch.isnan(mine).all(1).tolist()
        outcomes = [
            None if none else value for none, value in zip(unscored, total.tolist(), strict=True)
        ]
        names = trainer.reward_func_names
        parts = [
            {name: None if v != v else v for name, v in zip(names, row, strict=True)}
            for row in mine.tolist()
        ]
        return outcomes, parts


def _likelihoods(
    trainer: Any, output: Mapping[str, Any], ids: Sequence[Sequence[int]]
) -> tuple[Any, Any]:
    """Returns (log-probabilities, entropies), arrays (B, T), where a method needs them; else None.

    Of every token, also where `mask_truncated_completions` takes a row out of TRL's mask and
    of TRL's own log-probabilities: it is compared with the others all the same.
    """
    needs = trainer.recipe.needs
    if not needs & LIKELIHOODS:
        return None, None
    known = output.get("sampling_per_token_logps")
    if not trainer.mask_truncated_completions:
        known = output.get("old_per_token_logps", known)
    if known is not None and "entropies" not in needs:
        return known.double().cpu().numpy(), None
    completion = output["completion_ids"]
    length = torch.tensor([len(row) for row in ids], device=completion.device)
    real = torch.arange(completion.shape[1], device=completion.device) < length[:, None]
    with torch.no_grad():
        new, entropies, _ = trainer.forward_only(
            torch.cat([output["prompt_ids"], completion], dim=1),
            torch.cat([output["prompt_mask"], real.long()], dim=1),
            completion.shape[1],
        )
    if "entropies" not in needs:
        return new.double().cpu().numpy(), None
    sure = entropies.clamp(min=0)  # of a sure policy it rounds to below 0
    return new.double().cpu().numpy(), sure.double().cpu().numpy()


def _anywhere(trainer: Any, here: bool) -> bool:
    """Returns whether it holds on any process."""
    return any(gather_object([here])) if trainer.accelerator.num_processes > 1 else here


def together(trainer: Any, mine: Facts) -> Facts:
    """Returns the facts of all processes, in TRL's order, on every process: groups are complete.

    Each has read its own rows, and sends what it found: flat arrays.
    """
    if trainer.accelerator.num_processes == 1:
        return mine
    made = Facts(Builder(measure="tokens", pass_at=trainer.recipe.pass_at))
    for each in gather_object([mine]):
        made.builder.absorb(each.builder)
        made.skip += each.skip
        made.calls += each.calls
    return made


def batch_of(trainer: Any, facts: Facts) -> Batch:
    """Returns the batch of all rows, with the run's statistics and what the run promises to hold:
    a batch that happens to have none of it is no batch of a run without it."""
    batch, promised = Batch(**facts.builder.arrays()), trainer.promised
    known = held(batch) | promised if promised else None
    return replace(batch, statistics=trainer.session.statistics, facts=known)


def check_mask(sampled: torch.Tensor, given: torch.Tensor, real: torch.Tensor) -> None:
    """Raises AlignmentError where a record and `env_mask` differ on what was sampled.

    Args:
        sampled: (B, T), from the records.
        given: (B, T), TRL's tool_mask; a row of zeros is one that TRL left out whole.
        real: (B, T), 1 on tokens, 0 on padding.
    """
    differ = (sampled != given) & (real > 0) & given.any(1, keepdim=True)
    if bool(differ.any()):
        row, token = (int(i) for i in differ.nonzero()[0])
        raise AlignmentError(
            f"rollout row {row}, token {token}: env_mask says {int(given[row, token])} and the "
            f"record {int(sampled[row, token])}; expected the same: 1 where the policy sampled"
        )


def successes(
    output: Mapping[str, torch.Tensor], made: Signal, mine: slice
) -> dict[int, OriginRow]:
    """Returns this process's verified, kept successes by row; log-probabilities come later, but of
    one that was sampled with help: those of what sampled it are its own."""
    category = [CATEGORIES[code] for code in made.batch.category_K]
    found: dict[int, OriginRow] = {}
    mask = loss_mask(output)
    for k in range(mine.start, mine.stop):
        if category[k] not in VERIFIED or not made.batch.kept_K[k]:
            continue
        row = k - mine.start
        prompt = output["prompt_ids"][row][output["prompt_mask"][row] > 0].tolist()
        length = int(output["completion_mask"][row].sum())
        if length == 0:
            continue
        found[row] = OriginRow(
            tuple(prompt),
            tuple(output["completion_ids"][row, :length].tolist()),
            tuple(mask[row, :length].tolist()),
            record=made.batch.ids[k],
        )
        if (helped := _helped(made, k, length)) is not None:
            found[row] = replace(found[row], logprobs=helped, origin="rescued")
    return found


def _helped(made: Signal, k: int, length: int) -> tuple[float, ...] | None:
    """Returns what the last tokens of a trajectory were sampled with under help, 0 where they were
    not sampled. None: it is trained as it was sampled."""
    helped_N = made.batch.helped_N
    if helped_N is None:
        return None
    end = int(made.length_K[: k + 1].sum())
    helped = helped_N[end - length : end]
    return None if np.isnan(helped).all() else tuple(np.nan_to_num(helped).tolist())


def taken(
    pending: dict[int, OriginRow],
    inputs: Mapping[str, torch.Tensor],
    new: torch.Tensor,
    *,
    comparable: bool,
) -> dict[int, OriginRow]:
    """Takes the successes of this micro-batch out of the pending, and returns them, by row, with
    their log-probabilities if those are `comparable` with what the model says beside other rows."""
    old = inputs.get("old_per_token_logps", new)
    found: dict[int, OriginRow] = {}
    for at, row in enumerate(inputs["assay_row"].tolist()):
        sample = pending.pop(row, None)
        if sample is not None and sample.origin == "rescued":
            found[row] = sample
        elif sample is not None:
            logprobs = old[at, : len(sample.completion_ids)].detach().tolist()
            found[row] = replace(sample, logprobs=tuple(logprobs) if comparable else None)
    return found


def keep_successes(trainer: Any, replay: Replay, found: Mapping[int, OriginRow]) -> None:
    """Puts what each process found in a step into every process's replay, in TRL's order: they all
    replay the same, and the checkpoint of one is the checkpoint of all."""
    samples = [found[row] for row in sorted(found)]
    for sample in samples if trainer.accelerator.num_processes == 1 else gather_object(samples):
        replay.add(sample)


def loss_mask(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Returns 1 on the tokens that the loss counts."""
    mask = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask
