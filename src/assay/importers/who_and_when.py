"""Who&When: failed multi-agent conversations with a person's label of the decisive mistake.

Two forms. Algorithm-Generated messages name their agent (`name`); in Hand-Crafted ones `role` is
the agent, with what it did in brackets: "Orchestrator (thought)", "Orchestrator (-> WebSurfer)".
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import content_text, count_keys, origin, take, typed
from assay.importers.reading import documents
from assay.importers.recognise import log_files
from assay.records import (
    End,
    Grade,
    Mark,
    ModelStep,
    Span,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)

_KEYS = frozenset(
    [
        "is_correct",
        "is_corrected",
        "question",
        "question_ID",
        "level",
        "ground_truth",
        "history",
        "mistake_agent",
        "mistake_step",
        "mistake_reason",
        "system_prompt",
    ]
)
_MESSAGE = frozenset({"content", "role", "name"})
_ROLE = re.compile(r"([^(]*?) *\((.*)\)", re.DOTALL)
_TERMINALS = frozenset({"computer_terminal", "computerterminal"})
_STEP = re.compile(r"[0-9]{1,9}")


@final
class WhoAndWhen(Importer):
    """One conversation a file. Lost: to whom an agent spoke (`addressee`)."""

    name: ClassVar[str] = "who_and_when"
    title: ClassVar[str] = "Who&When conversations"

    def recognises(self, probe: Probe) -> bool:
        return probe.log.has("history", "mistake_step", "mistake_agent", "ground_truth")

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        tries: Counter[str] = Counter()
        for file in log_files(path, self.recognises, losses):
            for index, (where, record) in enumerate(documents(file)):
                record = typed(record, dict, where, "a conversation object")
                yield _trajectory(record, where, file, index, tries, losses)


def _trajectory(
    record: dict[str, Any],
    where: str,
    file: Path,
    index: int,
    tries: Counter[str],
    losses: Losses,
) -> Trajectory:
    """One conversation; `tries` counts how many about the same question came before it."""
    count_keys(record, _KEYS, where, losses)
    task = str(take(record, "question_ID", (str, int), where))
    trial = tries[task]
    tries[task] += 1
    question = take(record, "question", str, where)
    history = take(record, "history", list, where)
    steps: list[Step] = list(_prompts(record, where))
    if not history or question.strip() not in _first_text(history[0], where):
        steps.append(UserStep(text=question))
    offset = len(steps)
    steps += [_step(m, f"{where}.history[{i}]", losses) for i, m in enumerate(history)]
    correct = take(record, "is_correct", bool, where, default=None)
    if correct is None:
        correct = take(record, "is_corrected", bool, where, default=None)
    outcome = None if correct is None else float(correct)
    agent = take(record, "mistake_agent", str, where, default=None)
    return Trajectory(
        id=f"{task}/{trial}",
        task=task,
        group=task,
        trial=trial,
        steps=tuple(steps),
        outcome=outcome,
        grades=() if outcome is None else (Grade(level="E3", value=outcome, source="answer key"),),
        reference=str(take(record, "ground_truth", (str, int, float), where, default="")) or None,
        end=_end(steps),
        marks=_marks(record, where, steps, offset, agent, losses),
        origin=origin(
            "who_and_when",
            file,
            index,
            mistake_agent=agent,
            level=take(record, "level", (str, int), where, default=None),
        ),
    )


def _first_text(message: Any, where: str) -> str:
    message = typed(message, dict, f"{where}.history[0]", "a message object")
    return content_text(message.get("content"), f"{where}.history[0].content", Losses())


def _prompts(record: dict[str, Any], where: str) -> Iterator[SystemStep]:
    """Yields the system prompt of each agent, under its name."""
    prompts = take(record, "system_prompt", dict, where, default={})
    for agent in prompts:
        text = take(prompts, agent, str, f"{where}.system_prompt", default="")
        yield SystemStep(text=f"# {agent}\n{text}")


def _step(message: Any, where: str, losses: Losses) -> Step:
    """Returns one message as what it was: a person's, a terminal's, or an agent's."""
    message = typed(message, dict, where, "a message object")
    count_keys(message, _MESSAGE, where, losses, kind="message_key")
    text = content_text(message.get("content"), f"{where}.content", losses)
    role = take(message, "role", str, where)
    name = take(message, "name", str, where, default=None)
    did = ""
    if name is None:
        match = _ROLE.fullmatch(role)
        name, did = (match[1], match[2]) if match else (role, "")
    if name.lower() in _TERMINALS or did == "termination condition":
        return ToolStep(text=text, name=role if did else name)
    if name.lower() in ("human", "user"):
        return UserStep(text=text)
    if did.startswith("->"):
        losses.add("addressee", where)
    thought = (Span(role="think", start=0, end=len(text)),) if did == "thought" and text else ()
    return ModelStep(text=text, agent=name, spans=thought)


def _end(steps: list[Step]) -> End:
    """Returns what the harness said last, where it said anything."""
    last = steps[-1] if steps else None
    if isinstance(last, ToolStep) and last.name.endswith("(termination condition)"):
        return "budget" if last.text.startswith("Max rounds") else "answered"
    return "unknown"


def _marks(
    record: dict[str, Any],
    where: str,
    steps: list[Step],
    offset: int,
    agent: str | None,
    losses: Losses,
) -> tuple[Mark, ...]:
    """Returns the labelled mistake. `mistake_step` counts messages from 0; ours counts steps."""
    label = str(take(record, "mistake_step", (str, int), where, default=""))
    if not label:
        return ()
    here = f"{where}.mistake_step"
    if _STEP.fullmatch(label) is None or offset + int(label) >= len(steps):
        raise DataError(
            f"{here}: got {label[:20]!r}; expected a message of 0 to {len(steps) - offset - 1}"
        )
    index = offset + int(label)
    step = steps[index]
    spoke = step.agent if isinstance(step, ModelStep) else None
    if agent is not None and spoke != agent:
        losses.add("labelled_agent_differs", here)
    reason = take(record, "mistake_reason", str, where, default="")
    return (Mark(kind="mistake", step=index, text=reason, source="Who&When"),)
