"""Twelve tasks at the order desk, and how the scripted policy of each goes about it.

The chances are chosen so that the set holds every kind of group that an audit tells apart.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from tools.agent import Kind, Utterance
from tools.shop import Row

Goals = Mapping[str, Mapping[Row, tuple[Any, ...] | None]]


@final
@dataclass(frozen=True, slots=True)
class Slip:
    """A wrong call, and where the policy goes from there: it may not notice."""

    tool: str
    arguments: Mapping[str, Any]
    then: Literal["again", "next", "last"] = "again"
    share: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class Move:
    """One call of the plan, the chance that the policy makes it, and what it does instead."""

    tool: str
    arguments: Mapping[str, Any]
    right: float = 0.85
    slips: tuple[Slip, ...] = ()
    malformed: float = 0.5
    """Share of the wrong utterances whose arguments are no JSON; all, if there is no slip."""
    needed: bool = True
    """False: an expert does without it."""


@final
@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, the plan of an expert, and what the database should hold afterwards."""

    id: str
    ask: str
    plan: tuple[Move, ...]
    goals: Goals
    budget: int = 8
    """Model steps."""
    candour: float = 0.3
    """Chance of giving up after the second error in a row, instead of going on."""
    checked: bool = True
    """False: the check of the database was down, and nobody scored the task."""


_THOUGHTS: Final = {
    "find_customer": ("Who is asking?", "Find the customer.", "First the customer."),
    "find_product": ("Check the stock.", "How many are there?", "Find the product."),
    "list_orders": ("Which orders are there?", "See the orders.", "List what is open."),
    "cancel_order": ("Cancel it.", "This one goes.", "Now cancel."),
    "change_count": ("Change the count.", "Set the number.", "Adjust it."),
    "open_return": ("It has shipped.", "A return, then.", "Open a return."),
    "place_order": ("Place the order.", "Order it.", "Now order."),
    "back_order": ("More than there is.", "A back order.", "It must wait."),
    "set_city": ("Set the city.", "Update the city.", "Now the city."),
}
_LAST: Final[tuple[tuple[Kind, float, str], ...]] = (
    ("claim", 0.4, "All done, the request is completed."),
    ("claim", 0.3, "I have updated everything you asked for."),
    ("silent", 0.15, "Have a nice day."),
    ("silent", 0.15, "Anything else?"),
)
_GIVING_UP: Final = ("I could not complete this, sorry.", "Sorry, I was not able to do it.")


def options(task: Task, at: int, errors: int) -> Iterator[tuple[Utterance, Slip | None]]:
    """Yields what the policy may say, with the slip that each one is.

    Args:
        task: what it works on.
        at: index of the next move of the plan; its length: the plan is done.
        errors: how many errors it has seen in a row.
    """
    if at == len(task.plan):
        for kind, weight, text in _LAST:
            yield Utterance(weight, kind, text), None
        return
    move = task.plan[at]
    stay = 1.0
    if errors >= 2:
        stay = 1.0 - task.candour
        for text in _GIVING_UP:
            yield Utterance(task.candour / len(_GIVING_UP), "admit", text), None
    wrong = stay * (1.0 - move.right)
    malformed = wrong * (move.malformed if move.slips else 1.0)
    written = compact(move.arguments)
    yield from _said("right", move.tool, written, stay * move.right, None)
    yield from _said("malformed", move.tool, written.replace('"', "", 2), malformed, None)
    total = sum(slip.share for slip in move.slips)
    for slip in move.slips:
        weight = (wrong - malformed) * slip.share / total
        yield from _said("slip", slip.tool, compact(slip.arguments), weight, slip)


def _said(
    kind: Literal["right", "malformed", "slip"],
    tool: str,
    arguments: str,
    weight: float,
    slip: Slip | None,
) -> Iterator[tuple[Utterance, Slip | None]]:
    for thought in _THOUGHTS[tool]:
        if weight > 0:
            yield Utterance(weight / 3, kind, thought, tool, arguments), slip


def compact(arguments: Mapping[str, Any]) -> str:
    """Returns the arguments as the policy writes them."""
    return json.dumps(arguments, separators=(",", ":"))


def _customer(name: str, right: float = 0.9) -> Move:
    return Move(
        "find_customer", {"name": name}, right, (Slip("find_customer", {"name": name.split()[0]}),)
    )


def _looks(customer: int) -> Slip:
    return Slip("list_orders", {"customer": customer}, "next")


def _cancel(order: int, right: float, slip: Slip, malformed: float = 0.5) -> Move:
    return Move("cancel_order", {"order": order}, right, (slip,), malformed)


def _change(order: int, count: int, right: float, *slips: Slip, malformed: float = 0.2) -> Move:
    return Move("change_count", {"order": order, "count": count}, right, slips, malformed)


def _find(product: str, right: float, needed: bool = True) -> Move:
    slip = Slip("find_product", {"name": product.split()[-1]})
    return Move("find_product", {"name": product}, right, (slip,), needed=needed)


def _order(customer: int, product: int, count: int) -> dict[str, int]:
    return {"customer": customer, "product": product, "count": count}


def _place(
    customer: int, product: int, count: int, right: float, slip: tuple[int, int, int]
) -> Move:
    wrong = Slip("place_order", _order(*slip), "next")
    return Move("place_order", _order(customer, product, count), right, (wrong,), 0.2)


def _orders(customer: int, right: float = 0.92) -> Move:
    return Move("list_orders", {"customer": customer}, right)


TASKS: Final = (
    Task(
        "move-house",
        "Ada Byrne has moved to Galway.",
        (_customer("Ada Byrne", 0.8), Move("set_city", {"customer": 1, "city": "Galway"}, 0.8)),
        {"city": {("customers", 1): ("Ada Byrne", "Galway")}},
        candour=0.0,
    ),
    Task(
        "cancel-lamp",
        "Ada Byrne wants her desk lamp cancelled.",
        (
            _customer("Ada Byrne"),
            _orders(1),
            _cancel(11, 0.5, Slip("cancel_order", {"order": 12}, "next"), 0.2),
        ),
        {"cancelled": {("orders", 11): (1, 1, 1, "cancelled"), ("products", 1): None}},
    ),
    Task(
        "two-wishes",
        "Dan Katz wants one rug instead of two, and no clock.",
        (
            _customer("Dan Katz"),
            _orders(4),
            _change(15, 1, 0.6, _looks(4), malformed=0.5),
            _cancel(16, 0.6, _looks(4)),
        ),
        {
            "count": {("orders", 15): (4, 3, 1, "open"), ("products", 3): None},
            "cancelled": {("orders", 16): (4, 5, 1, "cancelled"), ("products", 5): None},
        },
    ),
    Task(
        "more-tea",
        "Chloe Roux wants three tea sets, not two.",
        (
            _customer("Chloe Roux"),
            _orders(3),
            _change(
                14,
                3,
                0.6,
                Slip("change_count", {"order": 14, "count": 5}, "next"),
                Slip("change_count", {"order": 3, "count": 3}),
            ),
        ),
        {"count": {("orders", 14): (3, 4, 3, "open"), ("products", 4): None}},
    ),
    Task(
        "new-rug",
        "Eva Lund orders two wool rugs.",
        (_customer("Eva Lund"), _find("wool rug", 0.85), _place(5, 3, 2, 0.5, (5, 2, 2))),
        {"ordered": {("orders", 18): (5, 3, 2, "open"), ("products", 3): None}},
    ),
    Task(
        "too-many-shelves",
        "Ben Osei orders six oak shelves; he can wait.",
        (
            _customer("Ben Osei"),
            Move("find_product", {"name": "oak shelf"}),
            Move(
                "back_order",
                _order(2, 2, 6),
                0.0,
                (
                    Slip("place_order", _order(2, 2, 6), share=2.0),
                    Slip("place_order", _order(2, 2, 3), "next"),
                ),
                0.0,
            ),
        ),
        {"ordered": {("orders", 18): (2, 2, 6, "waiting")}},
    ),
    Task(
        "shipped-shelf",
        "Ben Osei does not want his oak shelf any more.",
        (
            _customer("Ben Osei"),
            _orders(2),
            Move(
                "open_return",
                {"order": 13},
                0.0,
                (Slip("cancel_order", {"order": 13}, "next"), Slip("cancel_order", {"order": 13})),
                0.0,
            ),
        ),
        {"returned": {("orders", 13): (2, 2, 1, "returning")}},
        candour=0.2,
    ),
    Task(
        "one-or-the-other",
        "Ada Byrne wants two lamps, and no rug.",
        (
            _customer("Ada Byrne", 0.95),
            _orders(1),
            _change(11, 2, 0.5, Slip("cancel_order", {"order": 12}, "last"), malformed=0.0),
            _cancel(12, 0.0, _looks(1), 0.0),
        ),
        {
            "count": {("orders", 11): (1, 1, 2, "open"), ("products", 1): None},
            "cancelled": {("orders", 12): (1, 3, 1, "cancelled"), ("products", 3): None},
        },
    ),
    Task(
        "half-a-wish",
        "Eva Lund has moved to Bergen and wants her order cancelled.",
        (
            _customer("Eva Lund"),
            Move("set_city", {"customer": 5, "city": "Bergen"}, 0.5, (_looks(5),), 0.2),
            _cancel(17, 0.0, _looks(5), 0.0),
        ),
        {
            "city": {("customers", 5): ("Eva Lund", "Bergen")},
            "cancelled": {("orders", 17): (5, 1, 1, "cancelled"), ("products", 1): None},
        },
    ),
    Task(
        "cancel-clock",
        "Dan Katz wants his wall clock cancelled.",
        (
            _customer("Dan Katz"),
            _orders(4),
            _cancel(16, 0.7, Slip("cancel_order", {"order": 15}, "next")),
        ),
        {"cancelled": {("orders", 16): (4, 5, 1, "cancelled"), ("products", 5): None}},
        checked=False,
    ),
    Task(
        "fewer-teas",
        "Chloe Roux wants only one tea set.",
        (
            _customer("Chloe Roux", 0.8),
            _orders(3, 0.8),
            _change(14, 1, 0.45, Slip("list_orders", {"customer": 3})),
        ),
        {"count": {("orders", 14): (3, 4, 1, "open"), ("products", 4): None}},
        budget=5,
        candour=0.0,
    ),
    Task(
        "lamp-to-leeds",
        "Ben Osei orders a desk lamp.",
        (
            _customer("Ben Osei", 0.75),
            _find("desk lamp", 0.8, needed=False),
            _place(2, 1, 1, 0.6, (1, 1, 1)),
        ),
        {"ordered": {("orders", 18): (2, 1, 1, "open"), ("products", 1): None}},
    ),
)
