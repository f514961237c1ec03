"""A small trajectory: a call that fails, one that works, an answer."""

from typing import Any

from assay.records import Call, CallEvidence, ModelStep, ToolStep, Trajectory, UserStep


def turn(text: str, *, ran: bool | None = None, **more: Any) -> ModelStep:
    evidence = CallEvidence(ran=ran)
    calls = (Call(name="look", arguments="{}", evidence=evidence),) if text[0] == ">" else ()
    return ModelStep(text=text, calls=calls, **more)


def record(id: str = "0/t/0", outcome: float | None = 0.0, **more: Any) -> Trajectory:
    return Trajectory(
        id=id,
        task="t",
        group="0/t",
        outcome=outcome,
        steps=(
            UserStep(text="?where is it"),
            turn(">look(c)\n", ran=False),
            ToolStep(text="<error no c", name="look"),
            turn(">look(a)\n", ran=True),
            ToolStep(text="<b", name="look"),
            turn("=a"),
        ),
        **more,
    )
