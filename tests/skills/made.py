"""Attempts at tasks of two kinds, by hand."""

from typing import Any

from assay.records import (
    Call,
    CallEvidence,
    ExpertCall,
    Grade,
    ModelStep,
    Origin,
    ToolStep,
    Trajectory,
    UserStep,
)


def call(text: str, *, ran: bool = True) -> ModelStep:
    name, _, rest = text.strip()[1:].partition("(")
    arguments = f'{{"input": "{rest[:-1]}"}}'
    evidence = CallEvidence(ran=ran)
    return ModelStep(text=text, calls=(Call(name=name, arguments=arguments, evidence=evidence),))


def attempt(id: str, outcome: float | None, *turns: str, **more: Any) -> Trajectory:
    """An attempt at "?city of least of San Marino", whose solution is smallest, then capital."""
    steps = [UserStep(text="?city of least of San Marino\n")]
    for text in turns:
        steps += [call(text), ToolStep(text="<x\n")] if text[0] == ">" else [ModelStep(text=text)]
    level = "E3" if outcome is not None else "E0"
    made: dict[str, Any] = {
        "task": "lookup[hops=2]/7",
        "group": "0/7",
        "outcome": outcome,
        "grades": (Grade(level=level, value=outcome, source="world"),),
        "expert": (
            ExpertCall(name="smallest", arguments='{"input": "San Marino"}'),
            ExpertCall(name="capital", arguments='{"input": "Italy"}'),
        ),
        "reference": "Rome",
        "origin": Origin(format="assay.world", extra={"family": "lookup", "seed": "7"}),
        **more,
    }
    return Trajectory(id=id, steps=tuple(steps), **made)


LOST = attempt("a/0", 0.0, ">smallest(San Marino)", ">region(Italy)", "=Europe")
WON = attempt("a/1", 1.0, ">smallest(San Marino)", ">capital(Italy)", "=Rome")
