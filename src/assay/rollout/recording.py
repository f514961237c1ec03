"""Plays a task and writes down everything that happened, as a `Trajectory` record."""

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, cast, final

from msgspec import structs

from assay.errors import AlignmentError, DataError
from assay.records import (
    Call,
    CallEvidence,
    Claim,
    ExpertCall,
    Grade,
    Ledger,
    ModelStep,
    Origin,
    Step,
    ToolStep,
    Trajectory,
)
from assay.rollout.protocols.base import Asked, Protocol, Read, Sampled
from assay.rollout.protocols.line import LINE
from assay.rollout.start import Start
from assay.verify.canonical import CallForm, call_form
from assay.world.environment import Environment, Reply

FORMAT = "assay.world"
MAX_EXPERT_TURNS = 200
STATE: Final = "state"
"""Name of the score of a step that says how good the state is after it."""


@final
class Recorder:
    """One trajectory of one task: feed it turns until a reply is done, then take the record."""

    def __init__(
        self,
        environment: Environment,
        seed: int,
        *,
        notes: Sequence[str] = (),
        expert: Sequence[str] | None = None,
        protocol: Protocol = LINE,
        start: Start | None = None,
    ) -> None:
        """Starts the task, or goes on with it.

        Args:
            environment: it is reset here, unless it stands at a start, and belongs to this
                trajectory until that is over.
            seed: names the task.
            notes: lines of advice to put under the task.
            expert: turns of a known solution, see `solve`. None: none is known.
            protocol: how turns are taken apart.
            start: where the environment stands (`start.stand`); the steps before are shared, and
                advice, solution, reference, prior and group are its record's. None: it is reset.
        """
        self.environment, self.seed = environment, seed
        self.protocol, self._start = protocol, start
        if start is None:
            opening = protocol.opening(environment, environment.reset(seed), notes)
            self._reference, self._prior = environment.answer(), environment.belief()
            self._expert = None if expert is None else _known(protocol, environment, expert)
        else:
            opening, record = start.shared, start.record
            self._reference, self._prior = record.reference, record.prior
            self._expert = record.expert
        self._shared = 0 if start is None else len(opening)
        told = takewhile(lambda step: type(step) is not ModelStep, opening)
        self.prompt = "\n\n".join(step.text for step in told)
        self.last = Reply()
        self._forms = {call_form(call.name, call.arguments) for call in self._expert or ()}
        self._steps: list[Step] = [*opening]
        self._claim: Claim = "none"
        self._tokens: int | None = None if start is None else 0

    @property
    def unread(self) -> tuple[Read, ...]:
        """What the policy has not answered yet: the prompt, or what came after its last turn."""
        last: list[Read] = []
        for step in reversed(self._steps):
            if type(step) is ModelStep:
                break
            last.append(cast("Read", step))
        return tuple(reversed(last))

    @property
    def n_steps(self) -> int:
        """How many steps there are so far, shared ones included."""
        return len(self._steps)

    @property
    def observation(self) -> str:
        """What the policy reads after its last turn; empty at the end."""
        if not any(type(step) is ModelStep for step in self._steps):
            return ""
        return "\n".join(step.text for step in self.unread)

    def read_as(self, *ids: Sequence[int]) -> None:
        """Says how the prompt, or what came last, was tokenised: the ids of each step of it.

        Raises:
            DataError: the policy wrote last.
        """
        if not self.unread:
            raise DataError("recorder: nothing was read since the policy wrote last")
        for place, each in enumerate(reversed(ids), 1):
            self._steps[-place] = structs.replace(self._steps[-place], token_ids=tuple(each))

    def act(self, text: str, sampled: Sampled | None = None) -> Reply:
        """Plays one turn and returns the world's reply, to its last call where it makes several.

        Raises:
            UsageError: the task is over.
            AlignmentError: the pieces of the sampled tokens do not add up to the text.
        """
        if sampled and "".join(sampled.pieces) != text:
            got = "".join(sampled.pieces)
            raise AlignmentError(f"recorder: tokens read {got!r}; expected the turn {text!r}")
        environment, protocol = self.environment, self.protocol
        turn = protocol.turn(text, environment, sampled.ids if sampled else ())
        state = environment.state_key()
        replies = list(protocol.played(environment, turn))
        reply = replies[-1][1]
        of_call = {number: each for number, each in replies if number is not None}
        at = len(self._steps)
        self._steps.append(
            ModelStep(
                text=text,
                # badly written and unplayed ones included
                calls=tuple(
                    self._call(asked, of_call.get(at, Reply()), sampled)
                    for at, asked in enumerate(turn.calls)
                ),
                token_ids=sampled.ids if sampled else None,
                logprobs=sampled.logprobs if sampled else None,
                spans=sampled.placed(turn.spans) if sampled else turn.spans,
                reward=reply.score if reply.done else None,
                belief=environment.belief(),
                confidence=turn.confidence,
                state_key=state,
                scores=self._scored(reply),
            )
        )
        for number, each in replies:
            asked = None if number is None else turn.calls[number]
            step = protocol.heard(text, asked, each)
            if step is not None and number is not None and type(step) is ToolStep:
                step = structs.replace(step, call=(at, number))
            self._steps += [] if step is None else [step]
        if reply.done and reply.end == "answered":
            self._claim = turn.claim
        if sampled:
            self._tokens = (self._tokens or 0) + len(sampled.ids)
        self.last = reply
        return reply

    def cut_off(self, text: str = "", sampled: Sampled | None = None) -> None:
        """Ends the attempt as a failure by budget; `text` is what the policy did not finish."""
        if text or sampled:
            self._steps.append(
                ModelStep(
                    text=text,
                    token_ids=sampled.ids if sampled else None,
                    logprobs=sampled.logprobs if sampled else None,
                    reward=0.0,
                    state_key=self.environment.state_key(),
                    scores=self._scored(Reply(done=True, score=0.0)),
                )
            )
            self._tokens = (self._tokens or 0) + len(sampled.ids) if sampled else self._tokens
        self.last = Reply(done=True, score=0.0, end="budget")

    def _scored(self, reply: Reply) -> dict[str, float | None]:
        """Returns how good the state is after a turn, where the environment says it of any."""
        known = self.environment.progress()
        return {} if known is None else {STATE: reply.score if reply.done else known}

    def broken(self) -> None:
        """Ends the attempt unscored: the environment failed, which is no fault of the policy."""
        self.last = Reply(done=True, end="infra")

    def _call(self, asked: Asked, reply: Reply, sampled: Sampled | None) -> Call:
        form = call_form(asked.name, asked.arguments)
        start, end = sampled.tokens(asked.start, asked.end) if sampled else (None, None)
        evidence = CallEvidence(
            parsed=asked.values is not None,
            ran=reply.ran,
            expert=None if self._expert is None else form in self._forms,
            state=reply.on_path,
        )
        return Call(
            name=asked.name, arguments=asked.arguments, start=start, end=end, evidence=evidence
        )

    def trajectory(
        self,
        *,
        id: str | None = None,
        group: str | None = None,
        trial: int | None = None,
        policy_version: str | None = None,
        wall_seconds: float | None = None,
    ) -> Trajectory:
        """Returns the record of the attempt, also of one that was broken off (end "unknown")."""
        environment, done, start = self.environment, self.last.done, self._start
        task = task_name(environment, self.seed) if start is None else start.record.task
        score = self.last.score if done else None
        grade = Grade(level="E3", value=score, source=f"world/{environment.title()}")
        name, shared_group = f"{task}/{trial or 0}", task
        if start is not None:
            name = f"{start.record.id}@{self._shared}/{trial or 0}"
            shared_group = start.record.group
        return Trajectory(
            id=name if id is None else id,
            task=task,
            group=shared_group if group is None else group,
            trial=trial,
            steps=tuple(self._steps),
            outcome=score,
            rewards=dict(self.last.parts),
            grades=(grade,) if score is not None else (),
            claim=self._claim,
            expert=self._expert,
            reference=self._reference,
            prior=self._prior,
            end=self.last.end if done else "unknown",
            policy_version=policy_version,
            ledger=self._ledger(wall_seconds),
            origin=self._origin(),
        )

    def _ledger(self, wall_seconds: float | None) -> Ledger:
        turns = [step for step in self._steps[self._shared :] if type(step) is ModelStep]
        return Ledger(
            prompts=0 if self._shared else 1,
            tokens=self._tokens,
            calls=sum(len(step.calls) for step in turns),
            env_steps=len(turns),
            wall_seconds=wall_seconds,
        )

    def _origin(self) -> Origin:
        environment, start = self.environment, self._start
        dials = json.dumps(dict(environment.dials()), sort_keys=True)
        extra = {"family": environment.title(), "seed": str(self.seed), "dials": dials}
        if start is not None:
            extra |= {"from": start.record.id, "shared": str(self._shared)}
        return Origin(format=FORMAT, extra=extra)


def task_name(environment: Environment, seed: int) -> str:
    """Returns what the task is called in records: family, dials, seed."""
    dials = ",".join(f"{name}={value}" for name, value in environment.dials().items())
    return f"{environment.title()}[{dials}]/{seed}"


def follow(environment: Environment, turn: str) -> Reply:
    """Plays an expert's turn: the call that it stands for, or its text."""
    call = environment.as_call(turn)
    if call is not None:
        return environment.call(*call)
    return environment.step(turn if environment.tools() else f"{turn}\n")


def solve(environment: Environment, seed: int) -> tuple[str, ...] | None:
    """Returns the turns with which the environment's own expert scores 1; None: it has none, or
    fails, as where tools are flaky and the steps run out."""
    turns, last = led(environment, seed)
    return tuple(turns) if last.done and last.score == 1 else None


def led(environment: Environment, seed: int) -> tuple[list[str], Reply]:
    """Returns what the expert does up to the end of the task, whatever that scores, and the last
    reply."""
    environment.reset(seed)
    turns, reply = list[str](), Reply()
    while len(turns) < MAX_EXPERT_TURNS and (best := environment.best()) is not None:
        turns.append(best)
        reply = follow(environment, best)
        if reply.done:
            break
    return turns, reply


def _known(
    protocol: Protocol, environment: Environment, turns: Sequence[str]
) -> tuple[ExpertCall, ...]:
    """Returns the calls of an expert's turns; one that was repeated because it failed, once."""
    calls: dict[CallForm, ExpertCall] = {}
    for call in protocol.expert(environment, turns):
        calls.setdefault(call_form(call.name, call.arguments), call)
    return tuple(calls.values())
