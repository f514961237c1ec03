"""Who&When: failed multi-agent conversations with a person's label of the decisive mistake.

Two forms. Algorithm-Generated messages name their agent (`name`); in Hand-Crafted ones `role` is
the agent, with what it did in brackets: "Orchestrator (thought)", "Orchestrator (-> WebSurfer)".
"""

import re
from collections.abc import Iterator
from typing import final

from assay.importers.base import Importer, Record, graded, keys
from assay.importers.fields import Fields, Losses
from assay.importers.messages import MESSAGE, content_of
from assay.records import (
    End,
    Mark,
    ModelStep,
    Span,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)

_KEYS = keys(
    "is_correct is_corrected question question_ID level ground_truth history mistake_agent"
    " mistake_step mistake_reason system_prompt"
)
_MESSAGE = keys("content role name")
_ROLE = re.compile(r"([^(]*?) *\((.*)\)", re.DOTALL)
_TERMINALS = keys("computer_terminal computerterminal")
_STEP = re.compile(r"[0-9]{1,9}")


@final
class WhoAndWhen(Importer):
    """One conversation a file. Lost: to whom an agent spoke (`addressee`)."""

    name = "who_and_when"
    title = "Who&When conversations"
    record = "a conversation object"
    needs = "history mistake_step mistake_agent ground_truth"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        task, question = record.name("question_ID"), record.need("question", str)
        trial = record.groups.trial(task)
        prompts = record.within("system_prompt")
        steps: list[Step] = [
            SystemStep(text=f"# {agent}\n{prompts.text(agent)}") for agent in prompts.raw
        ]
        record.need("history", list)
        if question.strip() not in _first_text(record):
            steps.append(UserStep(text=question))
        offset = len(steps)
        steps += [_step(message) for message in record.each("history", MESSAGE)]
        correct = record.maybe("is_correct", bool)
        correct = record.maybe("is_corrected", bool) if correct is None else correct
        outcome = None if correct is None else float(correct)
        agent, level = record.maybe("mistake_agent", str), record.maybe_name("level")
        answer = record.raw.get("ground_truth")
        if answer is not None:
            answer = str(record.need("ground_truth", (str, int, float)))
        yield record.trajectory(
            task,
            steps,
            trial=trial,
            outcome=outcome,
            grades=graded(outcome, "answer key"),
            reference=answer or None,
            end=_end(steps),
            marks=_marks(record, steps, offset, agent),
            origin=record.origin(mistake_agent=agent, level=level),
        )


def _first_text(record: Record) -> str:
    """Returns what was said first, without counting what it loses a second time."""
    first = next(record.each("history", MESSAGE), None)
    return "" if first is None else content_of(Fields(first.raw, first.where, Losses()))


def _step(message: Fields) -> Step:
    """Returns one message as what it was: a person's, a terminal's, or an agent's."""
    message.lose_unknown(_MESSAGE, "message_key")
    text = content_of(message)
    role, name, did = message.need("role", str), message.maybe("name", str), ""
    if name is None:
        match = _ROLE.fullmatch(role)
        name, did = (match[1], match[2]) if match else (role, "")
    if name.lower() in _TERMINALS or did == "termination condition":
        return ToolStep(text=text, name=role if did else name)
    if name.lower() in ("human", "user"):
        return UserStep(text=text)
    if did.startswith("->"):
        message.lose("addressee")
    thought = (Span(role="think", start=0, end=len(text)),) if did == "thought" and text else ()
    return ModelStep(text=text, agent=name, spans=thought)


def _end(steps: list[Step]) -> End:
    """Returns what the harness said last, where it said anything."""
    last = steps[-1] if steps else None
    if isinstance(last, ToolStep) and last.name.endswith("(termination condition)"):
        return "budget" if last.text.startswith("Max rounds") else "answered"
    return "unknown"


def _marks(record: Record, steps: list[Step], offset: int, agent: str | None) -> tuple[Mark, ...]:
    """Returns the labelled mistake. `mistake_step` counts messages from 0; ours counts steps."""
    label = record.maybe_name("mistake_step")
    if not label:
        return ()
    if _STEP.fullmatch(label) is None or offset + int(label) >= len(steps):
        most = len(steps) - offset - 1
        raise record.wrong("mistake_step", repr(label[:20]), f"a message of 0 to {most}")
    step = steps[offset + int(label)]
    if agent is not None and agent != (step.agent if isinstance(step, ModelStep) else None):
        record.losses.add("labelled_agent_differs", f"{record.where}.mistake_step")
    reason = record.text("mistake_reason")
    return (Mark(kind="mistake", step=offset + int(label), text=reason, source="Who&When"),)
