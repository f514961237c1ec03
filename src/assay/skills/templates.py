"""Skills from a record's own facts, without a model: which calls in which order.

A lesson says what should have been called: what the record's known solution calls, else what
another attempt at the task called that passed. "First A then B" is what advice looks like in the
embedded worlds. It says what went wrong too: the first call that left that solution. A
demonstration says what a success wrote and read.

To which tasks it applies is the task's text without what is this task's alone: arguments of its
calls that stand in it, and its answer.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from assay.judges.texts import task_of
from assay.records import Call, ModelStep, ToolStep, Trajectory
from assay.skills.building import Case, Draft
from assay.skills.skill import LONGEST
from assay.verify import CallForm, call_form, is_error

_WHEN: Final = 300
"""Characters of a task that a skill names."""
_WORD: Final = re.compile(r"\w+")
BLOCK: Final = "skills_block"
"""Of `Origin.extra`: the block that stood in a record's prompt."""


def written(cases: Sequence[Case]) -> list[Draft | None]:
    """Returns drafts by template; None: the record has no calls to speak of."""
    return [_transcript(each) if each.raw else _draft(each) for each in cases]


def task_text(record: Trajectory) -> str:
    """Returns a record's task as it is without skills."""
    shown = record.origin.extra.get(BLOCK, "") if record.origin else ""
    text = task_of(record)
    return text.replace(shown, "") if shown else text


def _draft(case: Case) -> Draft | None:
    if case.kind == "lesson":
        return _lesson(case)
    return _demonstration(case)


def _lesson(case: Case) -> Draft | None:
    names, contrast = _should(case)
    if not names:
        return None
    at, wrong = _mistake(case)
    when = when_of(case.record)
    return Draft(
        principle=_listed("first ", names, " then "),
        when=when,
        title=_title(when),
        avoid=wrong,
        steps=() if at is None else (at,),
        contrast=contrast,
    )


def _should(case: Case) -> tuple[list[str], bool]:
    """Returns the calls that would have been right, by name, and whether another attempt made
    them."""
    if case.passed:
        return _ran(case.record), False
    if case.record.expert:
        return [call.name for call in case.record.expert], False
    for other in case.successes:
        return _ran(other), True
    return [], False


def _ran(record: Trajectory) -> list[str]:
    return [call.name for _, call, errored in _judged(record) if not errored]


def _listed(first: str, names: Sequence[str], between: str) -> str:
    """Returns names in their order, whole ones, as far as a text of a skill reaches; "..." stands
    for those behind."""
    text, end = first + between.join(names), f"{between}..."
    if len(text) <= LONGEST:
        return text
    whole = text[: LONGEST - len("...")].rpartition(between)[0]
    return (whole or text[: LONGEST - len(end)]) + end


def _mistake(case: Case) -> tuple[int | None, str]:
    """Returns where a failure went wrong, and what it did there: the call that left the known
    solution first, or another attempt's where none is known; the last step, where none did."""
    if case.passed:
        return None, ""
    steps = case.record.steps
    turns = {at: step.text for at, step in enumerate(steps) if type(step) is ModelStep}
    away = _left_solution(case.record) if case.record.expert else _left_success(case)
    at, call = (max(turns, default=None), None) if away is None else away
    text = turns.get(-1 if at is None else at, "")
    if call is not None and not _names(text, call):
        text = f"{call.name}({call.arguments})"
    return at, " ".join(text.split())[:LONGEST]


def _left_solution(record: Trajectory) -> tuple[int, Call] | None:
    left = [call_form(each.name, each.arguments) for each in record.expert or ()]
    for at, call in _calls(record):
        if not left or _form(call) != left[0]:
            return at, call
        left.pop(0)
    return None


def _left_success(case: Case) -> tuple[int, Call] | None:
    """Returns the first call that errored, if the success did not make it too, or that has another
    name than the success's in its place: arguments that differ need not be wrong."""
    other = case.successes[0]
    right, tried = _ran(other), {_form(call) for _, call, errored in _judged(other) if errored}
    for at, call, errored in _judged(case.record):
        if errored and _form(call) in tried:
            continue
        if errored or not right or call.name != right[0]:
            return at, call
        right.pop(0)
    return None


def _form(call: Call) -> CallForm:
    return call_form(call.name, call.arguments)


def _names(text: str, call: Call) -> bool:
    """Returns whether what a step says shows a call, and does not only come with it."""
    return call.name in text and all(value in text for value in _values(call.arguments))


def _demonstration(case: Case) -> Draft | None:
    when = when_of(case.record)
    if not case.passed:
        names, contrast = _should(case)
        said = _listed("", names, " ")
        return Draft(principle=said, when=when, contrast=contrast) if names else None
    said = " ".join(" ".join(text.split()) for text in _texts(case.record))
    at = tuple(dict.fromkeys(n for n, _ in _calls(case.record)))
    return Draft(principle=said.strip()[:LONGEST], when=when, title=_title(when), steps=at)


def _transcript(case: Case) -> Draft:
    said = "\n".join(text.strip() for text in _texts(case.record))
    result = "passed" if case.passed else "failed"
    return Draft(principle=f"{said[: LONGEST - 10]}\n({result})", when=when_of(case.record))


def _texts(record: Trajectory) -> list[str]:
    """Returns what was read and written, the task as it is without skills."""
    first = next((n for n, s in enumerate(record.steps) if type(s) is ModelStep), 0)
    return [task_text(record), *(step.text for step in record.steps[first:])]


def when_of(record: Trajectory) -> str:
    """Returns a task's text without what is its own alone."""
    text = " ".join(task_text(record).split())
    for value in sorted(_own(record), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", " ", text)
    return " ".join(text.strip("?=<>!# ").split())[:_WHEN]


def _own(record: Trajectory) -> set[str]:
    """Returns texts that belong to this task alone: arguments of calls, and its answer."""
    found = {record.reference or ""}
    calls = [*(record.expert or ()), *(call for _, call in _calls(record))]
    for call in calls:
        found |= set(_values(call.arguments))
    return {value for value in found if _WORD.search(value)}


def _values(arguments: str) -> Iterator[str]:
    try:
        said: Any = json.loads(arguments)
    except ValueError:
        return
    for value in said.values() if isinstance(said, dict) else ():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            yield str(value)


def _calls(record: Trajectory) -> Iterator[tuple[int, Call]]:
    for at, step in enumerate(record.steps):
        if type(step) is ModelStep:
            yield from ((at, call) for call in step.calls)


def _judged(record: Trajectory) -> Iterator[tuple[int, Call, bool]]:
    """Yields calls and whether they errored: as the record says, else by what was answered."""
    answered = {
        step.call: is_error(step.text) if step.error is None else step.error
        for step in record.steps
        if type(step) is ToolStep
    }
    for at, step in enumerate(record.steps):
        for n, call in enumerate(step.calls if type(step) is ModelStep else ()):
            ran = call.evidence.ran
            yield at, call, answered.get((at, n), False) if ran is None else not ran


def _title(when: str) -> str:
    return " ".join(when.split()[:5])
