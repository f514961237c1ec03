"""An expert's trajectory as the policy would have written it, to be gone on from by one turn."""

from dataclasses import dataclass
from typing import final

from msgspec import structs

from assay.errors import UsageError
from assay.records import ModelStep, Step, Trajectory
from assay.rollout.protocols.base import Protocol
from assay.rollout.recording import Recorder, led
from assay.rollout.start import Start, points
from assay.verify.similarity import PLACE, SCORE, WRONG, action_text, similarity
from assay.world.environment import Environment


def followed(environment: Environment, seed: int, protocol: Protocol) -> Trajectory:
    """Returns what the environment's own expert does in a task, whatever that scores.

    Its turns have the tokens with which the policy would write them, and are copied: the policy
    reads them, and nothing of them is sampled.

    Raises:
        UsageError: the environment has no expert.
    """
    turns, _ = led(environment, seed)
    if not turns:
        raise UsageError(
            f"environment {environment.title()}: no expert of task {seed}, so there is nothing to "
            "imitate; override `best`, or begin without one (start.kind = none)"
        )
    recorder = Recorder(environment, seed, expert=turns, protocol=protocol)
    read, before = protocol.prompt_ids(recorder.unread, environment), list[int]()
    for turn in turns:
        if read:
            recorder.read_as(*read)
        before += (token for each in read for token in each)
        _, ids = protocol.written(turn, environment)
        sampled = protocol.sampled(ids, [0.0] * len(ids))
        if recorder.act("".join(sampled.pieces), sampled).done:
            break
        read = protocol.read_ids(recorder.unread, environment, before=before, turn=ids)
        before += ids
    record = recorder.trajectory()
    return structs.replace(record, steps=tuple(map(_copied, record.steps)))


def _copied(step: Step) -> Step:
    if type(step) is not ModelStep:
        return step
    return structs.replace(step, logprobs=None, sampled=(), untrainable="copied")


def action(text: str, protocol: Protocol, environment: Environment) -> str | None:
    """Returns what a turn does: its calls as `verify.similarity` compares them, or its answer.
    None: nothing that could be read."""
    turn = protocol.turn(text, environment)
    if turn.calls:
        if any(call.values is None for call in turn.calls):
            return None
        return action_text(*((call.name, call.arguments) for call in turn.calls))
    said = (text[span.start : span.end] for span in turn.spans if span.role == "answer")
    return "".join(said).strip() or None


@final
@dataclass(frozen=True, slots=True)
class Instance:
    """An expert's first steps, and which one comes next."""

    start: Start
    place: int
    """Number of the step to be written among the expert's, from 0."""
    judge: int
    """Number of the step that it is compared with: the same one, but in a control."""

    @staticmethod
    def of(record: Trajectory, place: int, judge: int | None = None) -> "Instance":
        """Returns the instance of a step of an expert's record."""
        start = Start(record, points(record)[place])
        return Instance(start, place, place if judge is None else judge)

    def judged(
        self, record: Trajectory, protocol: Protocol, environment: Environment
    ) -> Trajectory:
        """Returns a continuation by one turn with its similarity to the expert's as its outcome.

        That is 2 M / T in [0, 1] (`verify.similarity`), -1 for a turn that was cut short or is in a
        wrong format; nobody scores one for which there was no room. What the world paid is left
        out.
        """
        expert, at = self.start.record, self.start.steps
        gold = expert.steps[points(expert)[self.judge]]
        score, steps = None, list(record.steps)
        if at < len(steps) and type(step := steps[at]) is ModelStep and type(gold) is ModelStep:
            whole = bool(step.token_ids) and protocol.is_over(step.token_ids or ())
            pred = action(step.text, protocol, environment) if whole else None
            wanted = action(gold.text, protocol, environment) or gold.text
            score = WRONG if pred is None else similarity(pred, wanted)
            known = {SCORE: score, PLACE: float(self.place)}
            steps[at] = structs.replace(step, reward=score, scores={**step.scores, **known})
        return structs.replace(
            record,
            steps=tuple(steps),
            outcome=score,
            rewards={SCORE: score},
            grades=(),
            claim="none",
            end="unknown" if record.end == "infra" else record.end,
        )
