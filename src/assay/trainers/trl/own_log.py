"""The trainer's own log: records of what was generated, for `assay audit`. No torch.

TRL's `log_completions` makes one table of a batch, and a table needs columns of one type: some
batches end the training there. Here every completion is a record of its own, and one that cannot be
told apart into messages is kept as plain text.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, final

import msgspec

from assay.errors import AssayError
from assay.files.atomic import publish
from assay.importers.base import graded, prompt_name
from assay.importers.fields import Losses
from assay.importers.messages import chat, copied
from assay.records import ModelStep, Step, ToolStep, Trajectory, UserStep, encode
from assay.trainers.trl.completions import text_of

_BROKEN: Final = (AssayError, ValueError, TypeError, AttributeError, RecursionError, OverflowError)
"""What messages that are no plain data end in."""


@final
class OwnLog:
    """One file of records for each generated batch: `step_000001.jsonl`, of each process its own.

    Writing cannot end the training: what goes wrong is said, once.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._told: set[str] = set()

    def write(self, trainer: Any, rows: "Sequence[Row]") -> None:
        """Writes this process's rows of the batch that was generated for the next step."""
        several = trainer.accelerator.num_processes > 1
        process = f"-{trainer.accelerator.process_index}" if several else ""
        name = f"step_{int(trainer.state.global_step) + 1:06d}{process}.jsonl"
        lines: list[bytes] = []
        for row in rows:
            try:
                lines.append(encode(row.record()))
            except _BROKEN as error:
                self._once("a completion is logged as plain text", error)
                lines.append(encode(row.plain()))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            publish(self._folder / name, b"".join(line + b"\n" for line in lines))
        except (AssayError, OSError) as error:
            self._once("a batch is not logged", error)

    def _once(self, what: str, error: BaseException) -> None:
        if what not in self._told:
            self._told.add(what)
            self._say(f"{what}: {str(error)[:200]}; training goes on, and this is said once")


@final
class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A completion, and what is known of it."""

    id: str
    group: str
    step: int
    """Optimiser steps that made its policy."""
    prompt: Any
    """Text or messages."""
    completion: Any
    """Text or messages."""
    ids: Sequence[int]
    sampled: Sequence[int] | None
    """1 where the policy sampled the token; None: all."""
    outcome: float | None
    rewards: dict[str, float | None]
    answered: bool
    given: Trajectory | None = None
    """The record that the rollout function gave for it, with its outcome."""

    def record(self) -> Trajectory:
        """Returns the record of the completion, a step for each message.

        Raises:
            DataError: a message is none; and whatever else data that is not plain leads to.
        """
        if self.given is not None:
            return self.given
        asked = _messages(self.prompt, "user")
        every = [*asked, *_messages(self.completion, "assistant")]
        steps = chat(every, "completion", Losses())
        first = len(asked)
        return self._trajectory((*map(copied, steps[:first]), *self._with_tokens(steps[first:])))

    def plain(self) -> Trajectory:
        """Returns the record of the completion as one text."""
        asked, said = _escaped(self.prompt), _escaped(self.completion)
        finite = self.outcome is not None and math.isfinite(self.outcome)
        return msgspec.structs.replace(
            self, outcome=self.outcome if finite else None, rewards={}
        )._trajectory((UserStep(text=asked), self._whole(said)))

    def _trajectory(self, steps: tuple[Step, ...]) -> Trajectory:
        """Returns the record with these steps."""
        return Trajectory(
            id=self.id,
            task=prompt_name(_escaped(self.prompt)),
            group=self.group,
            steps=steps,
            outcome=self.outcome,
            rewards=self.rewards,
            grades=graded(self.outcome, "reward functions"),
            end="answered" if self.answered else "budget",
            policy_version=str(self.step),
        )

    def _with_tokens(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Returns the steps with their tokens: a run of sampled ones is a turn of the policy, what
        lies between belongs to the tools. As one step where the runs are not the messages."""
        runs, own = _runs(self.sampled, len(self.ids)), list[Step]()
        if len(steps) == 1 and type(steps[0]) is ModelStep:
            return (self._own(steps[0]),)
        for step in steps:
            if type(step) is ToolStep and own and type(own[-1]) is ToolStep:
                own.append(msgspec.structs.replace(step, token_ids=()))
                continue
            start, end, sampled = runs.pop(0) if runs else (0, 0, True)
            if start == end or type(step) is not (ModelStep if sampled else ToolStep):
                return (self._whole(_escaped(self.completion)),)
            own.append(msgspec.structs.replace(step, token_ids=tuple(self.ids[start:end])))
        return (self._whole(_escaped(self.completion)),) if runs else tuple(own)

    def _whole(self, text: str) -> ModelStep:
        """Returns all that was generated as one turn."""
        return self._own(ModelStep(text=text))

    def _own(self, step: ModelStep) -> ModelStep:
        """Returns a step with all tokens of the completion."""
        runs = _runs(self.sampled, len(self.ids))
        sampled = tuple((start, end) for start, end, own in runs if own)
        return msgspec.structs.replace(
            step,
            token_ids=tuple(self.ids),
            sampled=None if all(own for *_, own in runs) else sampled,
        )


def _messages(said: Any, role: str) -> Sequence[Any]:
    """Returns messages; a text is one."""
    return [{"role": role, "content": said}] if isinstance(said, str) else said


def _escaped(said: Any) -> str:
    """Returns a text for anything, without halves of pairs."""
    try:
        text = text_of(said)
    except _BROKEN:
        text = json.dumps(repr(said))
    return text.encode("utf-8", "backslashreplace").decode()


def _runs(sampled: Sequence[int] | None, length: int) -> list[tuple[int, int, bool]]:
    """Returns (start, end, sampled?) of each run of tokens."""
    if sampled is None:
        return [(0, length, True)] if length else []
    found: list[tuple[int, int, bool]] = []
    for at, one in enumerate(sampled):
        if found and found[-1][2] == bool(one):
            found[-1] = (found[-1][0], at + 1, bool(one))
        else:
            found.append((at, at + 1, bool(one)))
    return found
