"""Plays a task and writes down everything that happened, as a `Trajectory` record."""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import final

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
    Span,
    Step,
    ToolStep,
    Trajectory,
    UserStep,
)
from assay.verify.canonical import CallForm, call_form
from assay.world import line as protocol
from assay.world.environment import Environment, Reply
from assay.world.line import Turn

FORMAT = "assay.world"
MAX_EXPERT_TURNS = 200


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The tokens of a turn as they were sampled."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Nats, one a token."""
    pieces: tuple[str, ...]
    """Text of each token: together they are the turn's text; a special token's piece is empty."""


@final
class Recorder:
    """One attempt at one task: feed it turns until a reply is done, then take the record."""

    def __init__(
        self,
        environment: Environment,
        seed: int,
        *,
        notes: Sequence[str] = (),
        expert: Sequence[str] | None = None,
    ) -> None:
        """Starts the task.

        Args:
            environment: it is reset here and belongs to this attempt until that is over.
            seed: names the task.
            notes: lines of advice to put under the task.
            expert: turns of a known solution, see `solve`. None: none is known.
        """
        self.environment, self.seed, self.notes = environment, seed, tuple(notes)
        self.prompt = protocol.prompt(environment.reset(seed), notes)
        self.last = Reply()
        self._reference = environment.answer()
        self._expert = None if expert is None else _expert_calls(expert)
        self._forms = {call_form(call.name, call.arguments) for call in self._expert or ()}
        self._steps: list[Step] = [UserStep(text=self.prompt)]
        self._claim: Claim = "none"
        self._tokens: int | None = None

    @property
    def observation(self) -> str:
        """What the policy reads after its last turn; empty at the end."""
        last = self._steps[-1]
        return last.text if type(last) is ToolStep else ""

    def read_as(self, ids: Sequence[int]) -> None:
        """Says how the prompt, or the last observation, was tokenised.

        Raises:
            DataError: the policy wrote last.
        """
        last = self._steps[-1]
        if type(last) is ModelStep:
            raise DataError("recorder: nothing was read since the policy wrote last")
        self._steps[-1] = structs.replace(last, token_ids=tuple(ids))

    def act(self, text: str, sampled: Sampled | None = None) -> Reply:
        """Plays one turn and returns the world's reply.

        Raises:
            UsageError: the task is over.
            AlignmentError: the pieces of the sampled tokens do not add up to the text.
        """
        if sampled and "".join(sampled.pieces) != text:
            got = "".join(sampled.pieces)
            raise AlignmentError(f"recorder: tokens read {got!r}; expected the turn {text!r}")
        turn, state = protocol.parse(text), self.environment.state_key()
        reply = self.environment.step(text)
        calls = self._calls(turn, reply, sampled)
        self._steps.append(
            ModelStep(
                text=text,
                calls=calls,
                token_ids=sampled.ids if sampled else None,
                logprobs=sampled.logprobs if sampled else None,
                spans=_in_tokens(turn.spans, sampled) if sampled else turn.spans,
                reward=reply.score if reply.done else None,
                belief=self.environment.belief(),
                confidence=turn.confidence,
                state_key=state,
            )
        )
        if reply.text:
            self._steps.append(
                ToolStep(
                    text=protocol.observation(text, reply.text),
                    name=turn.tool,
                    call=(len(self._steps) - 1, 0) if calls else None,
                    error=None if reply.ran is None else not reply.ran,
                )
            )
        if turn.kind == "answer":
            gave_up = turn.answer in ("", protocol.GIVE_UP)
            self._claim = "admitted" if gave_up else "claimed"
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
                )
            )
            self._tokens = (self._tokens or 0) + len(sampled.ids) if sampled else self._tokens
        self.last = Reply(done=True, score=0.0, end="budget")

    def broken(self) -> None:
        """Ends the attempt unscored: the environment failed, which is no fault of the policy."""
        self.last = Reply(done=True, end="infra")

    def _calls(self, turn: Turn, reply: Reply, sampled: Sampled | None) -> tuple[Call, ...]:
        """Returns the call of a turn, badly written ones included; a turn makes one at most."""
        parsed = turn.kind == "call"
        if not parsed and not (turn.kind == "malformed" and turn.argument.startswith(">")):
            return ()
        arguments = protocol.arguments(turn.argument) if parsed else turn.argument
        start, end = _tokens(*turn.action, sampled) if sampled else (None, None)
        known = self._expert is not None
        evidence = CallEvidence(
            parsed=parsed,
            ran=reply.ran,
            expert=call_form(turn.tool, arguments) in self._forms if known else None,
            state=reply.on_path,
        )
        return (Call(name=turn.tool, arguments=arguments, start=start, end=end, evidence=evidence),)

    def trajectory(
        self,
        *,
        id: str | None = None,
        group: str | None = None,
        trial: int | None = None,
        policy_version: str | None = None,
        wall_seconds: float | None = None,
        scoring_forwards: int | None = None,
    ) -> Trajectory:
        """Returns the record of the attempt, also of one that was broken off (end "unknown")."""
        environment, done = self.environment, self.last.done
        task = task_name(environment, self.seed)
        score = self.last.score if done else None
        grade = Grade(level="E3", value=score, source=f"world/{environment.title()}")
        turns = [step for step in self._steps if type(step) is ModelStep]
        dials = json.dumps(dict(environment.dials()), sort_keys=True)
        return Trajectory(
            id=f"{task}/{trial or 0}" if id is None else id,
            task=task,
            group=task if group is None else group,
            trial=trial,
            steps=tuple(self._steps),
            outcome=score,
            rewards=dict(self.last.parts),
            grades=(grade,) if score is not None else (),
            claim=self._claim,
            expert=self._expert,
            reference=self._reference,
            end=self.last.end if done else "unknown",
            policy_version=policy_version,
            ledger=Ledger(
                prompts=1,
                tokens=self._tokens,
                calls=sum(len(step.calls) for step in turns),
                env_steps=len(turns),
                scoring_forwards=scoring_forwards,
                wall_seconds=wall_seconds,
            ),
            origin=Origin(
                format=FORMAT,
                extra={"family": environment.title(), "seed": str(self.seed), "dials": dials},
            ),
        )


def task_name(environment: Environment, seed: int) -> str:
    """Returns what the task is called in records: family, dials, seed."""
    dials = ",".join(f"{name}={value}" for name, value in environment.dials().items())
    return f"{environment.title()}[{dials}]/{seed}"


def solve(environment: Environment, seed: int) -> tuple[str, ...] | None:
    """Returns the turns with which the environment's own expert scores 1; None: it has none, or
    fails, as where tools are flaky and the steps run out."""
    environment.reset(seed)
    turns: list[str] = []
    for _ in range(MAX_EXPERT_TURNS):
        best = environment.best()
        if best is None:
            return None
        turns.append(best)
        reply = environment.step(f"{best}\n")
        if reply.done:
            return tuple(turns) if reply.score == 1 else None
    return None


def critique(environment: Environment, seed: int, turns: Sequence[str]) -> str | None:
    """Returns a line on the first mistake of an attempt and what the expert would have done.

    `!not >north(Peru) but >home(Lima)`. A mistake is a turn that did not run, found nothing, left
    the shortest path, or answered wrongly. None: there is none, or the expert knows no better.
    """
    environment.reset(seed)
    for turn in turns:
        best = environment.best()
        reply = environment.step(turn)
        failed = reply.done and (reply.score is None or reply.score < 1)
        if failed or (not reply.done and False in (reply.ran, reply.found, reply.on_path)):
            said = turn.strip().splitlines()[-1][:80] if turn.strip() else "silence"
            return None if best is None else f"!not {said} but {best}"
        if reply.done:
            return None
    return None


def _expert_calls(turns: Sequence[str]) -> tuple[ExpertCall, ...]:
    """Returns the calls of an expert's turns; one that was repeated because it failed, once."""
    calls: dict[CallForm, ExpertCall] = {}
    for turn in map(protocol.parse, turns):
        if turn.kind == "call":
            call = ExpertCall(name=turn.tool, arguments=protocol.arguments(turn.argument))
            calls.setdefault(call_form(call.name, call.arguments), call)
    return tuple(calls.values())


def _tokens(start: int, end: int, sampled: Sampled) -> tuple[int, int]:
    """Returns the tokens whose first character lies in [start, end); trailing specials included."""
    starts = [0, *accumulate(len(piece) for piece in sampled.pieces)]
    n, length = len(sampled.ids), starts[-1]
    begins = starts[:-1]
    last = n if end >= length else bisect_left(begins, end)
    return min(bisect_left(begins, start), last), last


def _in_tokens(spans: Sequence[Span], sampled: Sampled) -> tuple[Span, ...]:
    """Returns spans of characters as spans of tokens; a token belongs where it begins."""
    placed: list[Span] = []
    for span in spans:
        start, end = _tokens(span.start, span.end, sampled)
        if start < end:
            placed.append(Span(role=span.role, start=start, end=end))
    return tuple(placed)
