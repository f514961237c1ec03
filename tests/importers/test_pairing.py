"""Which call a result answers: by id, then by name, then by position, never by force."""

from typing import Any

import pytest

from assay.importers import Losses
from assay.importers.messages import chat
from assay.records import ToolStep


def told(*calls: tuple[str | None, str]) -> dict[str, Any]:
    made = [
        {"function": {"name": name, "arguments": "{}"}, **({} if id is None else {"id": id})}
        for id, name in calls
    ]
    return {"role": "assistant", "content": "", "tool_calls": made}


def result(id: str | None = None, name: str | None = None) -> dict[str, Any]:
    given = {"tool_call_id": id, "name": name}
    return {"role": "tool", "content": "", **{k: v for k, v in given.items() if v is not None}}


def pairs(*messages: dict[str, Any]) -> tuple[list[tuple[int, int] | None], int]:
    losses = Losses()
    steps = chat(messages, "m", losses)
    found = [step.call for step in steps if type(step) is ToolStep]
    return found, losses.counts.get("result_of_no_call", 0)


AGAIN = {"role": "assistant", "content": "wait"}


@pytest.mark.parametrize(
    ("messages", "calls"),
    [
        # by id, in any order
        ([told(("x", "a"), ("y", "b")), result("y"), result("x")], [(0, 1), (0, 0)]),
        # an id that no call has answers none and shifts none
        (
            [told(("x", "a"), ("y", "b")), result("z"), result("x"), result("y")],
            [None, (0, 0), (0, 1)],
        ),
        # an id twice in one turn: by name, else in order
        ([told(("x", "a"), ("x", "b")), result("x", "b"), result("x", "a")], [(0, 1), (0, 0)]),
        ([told(("x", "a"), ("x", "b")), result("x"), result("x")], [(0, 0), (0, 1)]),
        # a second result to one call
        ([told(("x", "a"), ("y", "b")), result("x"), result("x")], [(0, 0), None]),
        # a result after the next turn, by its id
        ([told(("x", "a")), AGAIN, result("x")], [(0, 0)]),
        # an id that comes again belongs to the last turn
        ([told(("x", "a")), told(("x", "a")), result("x")], [(1, 0)]),
        # an id that two earlier turns left open is nobody's
        ([told(("x", "a")), told(("x", "a")), AGAIN, result("x")], [None]),
        # no ids: by name
        ([told((None, "a"), (None, "b")), result(name="b"), result(name="a")], [(0, 1), (0, 0)]),
        ([told((None, "a"), (None, "a")), result(name="a"), result(name="a")], [(0, 0), (0, 1)]),
        # a name that no open call has
        ([told((None, "a"), (None, "b")), result(name="c"), result(name="b")], [None, (0, 1)]),
        # neither id nor name: by position, within the turn
        ([told((None, "a"), (None, "b")), result(), result(), result()], [(0, 0), (0, 1), None]),
        ([told((None, "a")), AGAIN, result()], [None]),
        # the result has an id and the calls have none: by name, else by position
        ([told((None, "a"), (None, "b")), result("x", "b"), result("y")], [(0, 1), (0, 0)]),
        # what a later result names by id is not for one that names nothing, whichever comes first
        ([told(("x", "a"), ("y", "a")), result(), result("x")], [(0, 1), (0, 0)]),
        ([told(("x", "a"), ("y", "a")), result(name="a"), result("x")], [(0, 1), (0, 0)]),
        (
            [told(("x", "a"), ("y", "a"), ("z", "a")), result(), result(), result("x"), AGAIN],
            [(0, 1), (0, 2), (0, 0)],
        ),
        # nor is what a later result names by name
        ([told((None, "a"), (None, "b")), result(), result(name="a")], [(0, 1), (0, 0)]),
    ],
)  # fmt: skip
def test_a_result_answers(
    messages: list[dict[str, Any]], calls: list[tuple[int, int] | None]
) -> None:
    assert pairs(*messages) == (calls, calls.count(None))


def test_a_result_without_a_name_takes_that_of_its_call() -> None:
    steps = chat([told(("x", "a")), result("x"), result("y")], "m", Losses())
    assert [step.name for step in steps if type(step) is ToolStep] == ["a", ""]
