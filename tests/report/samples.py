"""Small sets whose every number can be counted by hand."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from assay import pipeline
from assay.audit import audit
from assay.batch import Batch
from assay.credit import Method, credit
from assay.gate import gate
from assay.recipes import Recipe
from assay.records import (
    Call,
    ExpertCall,
    Hint,
    Ledger,
    Mark,
    ModelStep,
    Rescue,
    Step,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
)
from assay.report import Report

LOOK = Call(name="look", arguments='{"id": 1}')
BOOK = Call(name="book", arguments='{"id": 1, "seat": "4A"}')
WRONG = Call(name="book", arguments='{"id": 2}')


def attempt(
    number: int, group: str, outcome: float | None, calls: Iterable[Call], last: str, **more: Any
) -> Trajectory:
    steps: list[Step] = [SystemStep(text="Be kind."), UserStep(text="Book 4A for me.")]
    for call in calls:
        steps.append(ModelStep(text=f"I will {call.name}.", calls=(call,)))
        text = "Error: no such seat" if call is WRONG else '{"ok": true}'
        steps.append(ToolStep(text=text, name=call.name, call=(len(steps) - 1, 0)))
    steps.append(ModelStep(text=last))
    return Trajectory(
        id=f"{group}/{number}",
        task=more.pop("task", group),
        group=group,
        trial=number,
        steps=tuple(steps),
        outcome=outcome,
        end=more.pop("end", "answered"),
        **more,
    )


def mixed_set() -> list[Trajectory]:
    """Eight attempts in four groups: mixed (2 of 3 fail), all fail, all pass, one unscored.

    In "mixed", attempts 1 and 2 make the call `look` that the successful attempt 0 makes too, so
    two correct calls are punished; attempt 1's other call is answered by an error.
    """
    expert = (ExpertCall(name="book", arguments='{"seat":"4A","id":1}'),)
    return [
        attempt(0, "mixed", 1.0, [LOOK, BOOK], "I have booked seat 4A.", expert=expert),
        attempt(1, "mixed", 0.0, [LOOK, WRONG], "I have booked seat 4A.", expert=expert),
        attempt(2, "mixed", 0.0, [LOOK], "I could not find it.", expert=expert),
        attempt(0, "fails", 0.0, [WRONG], "Goodbye."),
        attempt(1, "fails", 0.0, [LOOK], "Goodbye.", marks=(Mark(kind="mistake", step=2),)),
        attempt(0, "passes", 1.0, [BOOK], "Goodbye."),
        attempt(1, "passes", 1.0, [BOOK], "I have booked it."),
        attempt(0, "lost", None, [LOOK], "Goodbye.", end="infra"),
    ]


def graded_set() -> list[Trajectory]:
    """Outcomes between 0 and 1, trees, and a group that all fail alike."""
    outcomes = {"a": [1.0, 0.5, 0.0, 0.25], "b": [0.0, 0.0, 0.0], "c": [0.1, 0.3, 0.2]}
    return [
        attempt(n, group, outcome, [LOOK, BOOK][: n % 3], "Done.", tree=f"tree {n // 2}")
        for group, given in outcomes.items()
        for n, outcome in enumerate(given)
    ]


def token_set() -> list[Trajectory]:
    """Two attempts with token ids: 3 of prompt; 2 of scaffold, 3 of text, 1 forced, 2 of text, 4
    of a call; 2 of the observation.
    """

    def one(number: int, outcome: float) -> Trajectory:
        call = Call(name="look", arguments='{"id": 1}', start=8, end=12)
        step = ModelStep(
            text="thinking about it",
            calls=(call,),
            token_ids=tuple(range(100, 112)),
            sampled=((2, 5), (6, 12)),
            logprobs=tuple(-0.25 * (i + 1) for i in range(9)),
            entropies=tuple(0.125 * (i + 1) for i in range(9)),
        )
        return Trajectory(
            id=f"t/{number}",
            task="t",
            group="t",
            outcome=outcome,
            end="answered",
            steps=(
                UserStep(text="go", token_ids=(1, 2, 3)),
                step,
                ToolStep(text="ok", call=(1, 0), token_ids=(4, 5)),
            ),
        )

    return [one(0, 1.0), one(1, 0.0)]


def report_of(
    records: list[Trajectory],
    out: Path,
    *,
    change: Callable[[dict[str, Any]], None] | None = None,
    methods: Iterable[str] | None = None,
    by: Mapping[str, Method] | None = None,
    read: list[Trajectory] | None = None,
    **options: Any,
) -> tuple[Path, dict[str, Any]]:
    """Returns the page written for the records, and the audit that it was given.

    `change` alters the audit; `by` adds methods or puts others in their place; `read` is what the
    report reads instead of the records.
    """
    batch = Batch.of(records)
    decisions = gate(batch)
    batch = batch.gated(decisions)
    refused = dict[str, str]()
    credits = dict(pipeline.credits(batch, Recipe.compared(methods), refused))
    credits |= {name: credit(batch, each) for name, each in (by or {}).items()}
    credits = {"grpo": credits["grpo"], **credits}
    result = audit(batch, decisions, credits, refused=refused, losses={"info:cost": 3})
    if change is not None:
        change(result)
    redact = options.pop("redact", True)
    around = {name: options.pop(name, None) for name in ("replay", "run")}
    report = Report(out, batch, decisions, redact=redact, **around)
    for name, given in credits.items():
        report.add(name, given)
    page = report.write(
        title=options.pop("title", "a set"),
        audit=result,
        trajectories=lambda _: iter(records if read is None else read),
        **options,
    )
    return page, result


def index_of(page: Path) -> dict[str, Any]:
    """Returns the JSON twin of a page."""
    return json.loads(page.with_suffix(".json").read_bytes())


def branch(number: int, outcome: float | None, path: str, **more: Any) -> Trajectory:
    """A leaf of tree "oak" in group "wood": one step a letter, and a letter's node is the path to
    it. A capital letter is a call that is answered by an error."""
    steps: list[Step] = [UserStep(text="Book 4A for me.")]
    for n, letter in enumerate(path):
        call = WRONG if letter.isupper() else LOOK
        place = {"node": path[: n + 1], "parent": path[:n] or None}
        steps.append(ModelStep(text=f"I will {letter}.", calls=(call,), **place))
        text = "Error: no such seat" if call is WRONG else '{"ok": true}'
        steps.append(ToolStep(text=text, name=call.name, call=(len(steps) - 1, 0)))
    kept = {"task": "wood", "group": "wood", "tree": "oak", "end": "answered", **more}
    return Trajectory(id=f"wood/{number}", steps=tuple(steps), outcome=outcome, **kept)


def wood() -> list[Trajectory]:
    """A tree of 9 steps that parts after "a" and after "ac", and another of one leaf.

    a - b - x            passed
      - c - d - e - f    failed, cut off
          - G            failed, its last step an error
    p - q                unscored, of tree "ash"
    """
    return [
        branch(0, 1.0, "abx"),
        branch(1, 0.0, "acdef", end="budget"),
        branch(2, 0.0, "acG"),
        branch(3, None, "pq", tree="ash"),
    ]


SEEN = "Error: no   such\nseat: 9Z\nof this train"
HINTS = (
    Hint(text="Seat 9Z is of another train.", source="env", quote="no such seat"),
    Hint(text="Ask first.", source="env", quote="seat: 9Z"),
    Hint(text="Look before you book.", source="judge", quote="nobody said this"),
)
"""Of the step that SEEN answers: the first two quotes overlap in it, the third is not there."""


def told(number: int, **more: Any) -> Trajectory:
    """An attempt of group "dead" whose first step is 8 tokens, 5 of them sampled, with hints.

    Told less neutral: +0.5, -0.25, 0, not scored, +0.25; in sum +0.5 over 4 tokens.
    """
    step = ModelStep(
        text="I will book.",
        calls=(WRONG,),
        token_ids=tuple(range(100, 108)),
        sampled=((2, 5), (6, 8)),
        logprobs=(-1.0,) * 5,
        hints=HINTS,
        told=(-0.5, -1.25, -1.0, None, -0.75),
        neutral=(-1.0,) * 5,
    )
    steps = (
        UserStep(text="Book 9Z.", token_ids=(1, 2, 3)),
        more.pop("step", step),
        ToolStep(text=SEEN, call=(1, 0), token_ids=(4, 5)),
        ModelStep(text="Goodbye.", token_ids=(6, 7), logprobs=(-0.5, -0.5)),
    )
    kept: dict[str, Any] = {"task": "dead", "group": "dead", "outcome": 0.0, "end": "answered"}
    return Trajectory(id=f"dead/{number}", steps=steps, **(kept | more))


def helped_set() -> list[Trajectory]:
    """Group "dead": two that failed alone; one of the first, behind its error, that passed; one of
    a failure that is not there, which failed. Group "alone": two that failed, and nobody helped."""
    copied = ModelStep(
        text="I will book.",
        calls=(WRONG,),
        token_ids=tuple(range(100, 108)),
        sampled=(),
        untrainable="copied",
    )
    return [
        told(0),
        told(1),
        told(
            2,
            step=copied,
            outcome=1.0,
            rescue=Rescue(rung="feedback", of="dead/0", given=SEEN),
            ledger=Ledger(tokens=1204, calls=1, scoring_forwards=2),
        ),
        told(
            3,
            rescue=Rescue(rung="self_hint", of="gone/9", given="!be wise " * 60),
            ledger=Ledger(tokens=96, calls=0),
        ),
        *(told(n, task="alone", group="alone") for n in (4, 5)),
    ]
