"""Which session a request belongs to, and whether it is the agent's own: by hand, and against a
plain search that compares whole conversations."""

from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.live.sessions import (
    Placed,
    Sessions,
    chained,
    shared,
    system_of,
    text_of,
    tools_of,
)
from assay.records.live import Consented, NextState
from assay.records.turns import folded
from tests.live.conftest import opened, turn

TOOLS = [{"type": "function", "function": {"name": "look"}}]


def said(*texts: str, system: str = "", **more: Any) -> dict[str, Any]:
    """A request of a user and an assistant who take turns."""
    messages = [{"role": "system", "content": system}] if system else []
    for at, text in enumerate(texts):
        messages.append({"role": "assistant" if at % 2 else "user", "content": text})
    return {"messages": messages, **more}


class Desk:
    """Sessions, and answers to what was asked in them."""

    def __init__(self, most: int = 100) -> None:
        self.sessions, self.count = Sessions(most), 0

    def place(self, request: Any, owner: str = "r\0", **more: Any) -> Placed:
        given: dict[str, Any] = {"named": None, "turn_type": None, "now": 0.0, **more}
        self.count += 1
        return self.sessions.place(request, owner=owner, fresh_id=f"s{self.count}", **given)

    def ask(self, request: Any, answer: str = "ok", **more: Any) -> Placed:
        """Places a request and answers it, as turn t1, t2, ..."""
        placed = self.place(request, **more)
        self.answer(placed, request, answer)
        return placed

    def answer(self, placed: Placed, request: Any, answer: str = "ok") -> None:
        told = {"role": "assistant", "content": answer}
        self.sessions.answered(placed.session, f"t{self.count}", request, told)


# --- a session by its history


def test_what_begins_with_all_that_was_said_goes_on() -> None:
    desk = Desk()
    first = desk.ask(said("a"))
    second = desk.ask(said("a", "ok", "b"))
    third = desk.ask(said("a", "ok", "b", "ok", "c", "its own words", "d"))
    assert (first.new, first.after, first.fresh, first.rule) == (
        True, None, 1, "opens; session by itself"
    )  # fmt: skip
    assert second.session is third.session is first.session
    assert (second.new, second.after, second.fresh) == (False, "t1", 1)
    assert (third.after, third.fresh) == ("t2", 3), "behind the longest that was said"
    assert third.rule == "goes on; session by history"
    assert desk.place(said("a", "ok")).fresh == 0, "the answer is to be gone on with"
    for other in (said("a", "other", "b"), said("b"), said("a", "ok ay"), said("a")):
        assert desk.place(other).new


def test_another_s_history_is_nobody_s() -> None:
    desk = Desk()
    ann = desk.ask(said("a"), owner="r\0ann")
    assert desk.place(said("a", "ok", "b"), owner="r\0bob").new
    assert desk.place(said("a", "ok", "b"), owner="q\0ann").new
    assert desk.place(said("a", "ok", "b"), owner="r\0ann").session is ann.session


def test_of_several_alike_the_first_that_nobody_went_on_from() -> None:
    desk = Desk()
    made = [desk.ask(said("a")).session for _ in range(3)]
    assert len({each.id for each in made}) == 3
    made[0].answered.add("t1")
    assert desk.place(said("a", "ok", "b")).session is made[1]
    made[1].held.add("t2")
    made[2].answered.add("t3")
    assert desk.place(said("a", "ok", "b")).session is made[2], "of all that were: the last"


def test_eight_alike_are_remembered() -> None:
    desk = Desk()
    made = [desk.ask(said("a")).session for _ in range(9)]
    assert desk.place(said("a", "ok", "b")).session is made[1]


def test_a_name_wins_and_its_history_is_its_own() -> None:
    desk = Desk()
    desk.ask(said("a"))
    named = desk.ask(said("x"), named=("r/n", "header"))
    assert (named.new, named.named, named.session.id) == (True, True, "r/n")
    assert named.rule == "opens; session by header"
    other = desk.place(said("a", "ok", "b"), named=("r/n", "key"))
    assert (other.session.id, other.new, other.after, other.fresh) == ("r/n", False, None, 3)
    assert other.rule == "another history; session by key"
    on = desk.place(said("x", "ok", "b"), named=("r/n", "key"))
    assert (on.after, on.fresh, on.rule) == ("t2", 1, "goes on; session by key")


@st.composite
def talks(draw: Any) -> list[tuple[str, list[str], str]]:
    """Requests of two owners: some of them go on from an earlier one, with its answer or another,
    and one thing or two behind."""
    made: list[tuple[str, list[str], str]] = []
    for _ in range(draw(st.integers(1, 12))):
        owner = draw(st.sampled_from("AB"))
        before: list[str] = []
        if made and draw(st.booleans()):
            _, texts, answer = draw(st.sampled_from(made))
            before = [*texts, draw(st.sampled_from([answer, "x"]))]
        fresh = draw(st.sampled_from([["a"], ["b"], ["a", "x", "b"]]))
        made.append((owner, before + fresh, draw(st.sampled_from("xy"))))
    return made


@settings(max_examples=200)
@given(talks(), st.data())
def test_the_session_is_that_of_a_plain_search(requests: Any, data: Any) -> None:
    """Among all conversations of the owner, answers included, the longest that the request begins
    with; of those the first whose turn nobody has answered, else the last."""
    desk, kept = Desk(), list[tuple[str, list[str], str, str]]()
    gone = set[str]()
    for number, (owner, texts, answer) in enumerate(requests, 1):
        found = desk.ask(said(*texts), answer, owner=owner)
        fits = [each for each in kept if each[0] == owner and each[1] == texts[: len(each[1])]]
        longest = [e for e in fits if len(e[1]) == max(len(f[1]) for f in fits)]
        best = next((e for e in longest if e[3] not in gone), longest[-1] if longest else None)
        if best is None:
            assert (found.session.id, found.new) == (f"s{number}", True)
        else:
            assert (found.session.id, found.after) == (best[2], best[3])
            assert found.fresh == len(texts) - len(best[1])
            if data.draw(st.booleans()):
                gone.add(best[3])
                found.session.answered.add(best[3])
        kept.append((owner, [*texts, answer], found.session.id, f"t{number}"))


# --- what is the same, however it is written


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1,"b":2}'}}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"role": "user", "content": "a"}, {"role": "user", "content": " a\n"}, True),
        ({"role": "user", "content": "a"}, {"role": "user", "content": "a b"}, False),
        ({"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}, False),
        ({"role": "system", "content": "a"}, {"role": "developer", "content": "a"}, True),
        (
            {"role": "user", "content": "a\nb"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}, "odd"]},
            True,
        ),
        ({"role": "user", "content": None}, {"role": "user"}, True),
        (
            {"role": "assistant", "content": "a", "reasoning_content": "long"},
            {"role": "assistant", "content": "a"},
            True,
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"function": {"name": "f", "arguments": '{"b": 2, "a": 1}'}}]},
            True,
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "assistant", "content": "", "tool_calls": [
                {**CALL, "function": {"name": "f", "arguments": {"b": 2, "a": 1}}}]},
            True,
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "g", "arguments": '{"a":1,"b":2}'}}]},
            False,
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "f", "arguments": '{"a":1,"b":3}'}}]},
            False,
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "assistant", "content": ""},
            False,
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "f", "arguments": "{broken"}}]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "f", "arguments": "{broken "}}]},
            False,
        ),
    ],
)  # fmt: skip
def test_what_is_the_same_message(one: Any, other: Any, same: bool) -> None:
    assert (chained([one], "o") == chained([other], "o")) == same


TEXTS = st.lists(st.sampled_from(["a", "b", '"', "],["]), max_size=5)


@given(TEXTS, TEXTS, st.sampled_from(["o", "p"]))
def test_a_chain_tells_each_beginning(one: list[str], other: list[str], owner: str) -> None:
    first, second = (chained(said(*each)["messages"], "o") for each in (one, other))
    assert len(first) == len(one)
    for at in range(min(len(one), len(other))):
        assert (first[at] == second[at]) == (one[: at + 1] == other[: at + 1])
    if one and owner != "o":
        assert not {*first} & {*chained(said(*one)["messages"], owner)}


def test_instructions_and_tools_are_told_apart() -> None:
    first = system_of(said("a", system="be brief")["messages"])
    assert first
    assert first != system_of(said("a", system="be long")["messages"])
    assert system_of(said("a")["messages"]) == ""
    late = [*said("a", "b")["messages"], {"role": "system", "content": "be brief"}]
    assert system_of(late) == "", "only at the beginning"
    assert tools_of({"tools": TOOLS}) not in ("", tools_of({"tools": TOOLS * 2}))
    assert tools_of({"tools": []}) == tools_of({}) == ""


def test_the_text_of_a_message() -> None:
    assert text_of({"content": "a"}) == "a"
    parts = [{"text": "a"}, {"image": 1}, 5, {"text": None}, {"text": "b"}]
    assert text_of({"content": parts}) == "a\nb"
    assert text_of({"content": 5}) == text_of({}) == ""


# --- main and side turns


@pytest.mark.parametrize(
    ("request_", "turn_type", "type_", "why"),
    [
        (said("x", tools=TOOLS), None, "main", "opens"),
        (said("x", tools=TOOLS), "side", "side", "header"),
        (said("x", tools=TOOLS), "system", "system", "header"),
        (said("x", max_tokens=1), "main", "main", "header"),
        (said("x", tools=TOOLS), "odd", "main", "opens"),
        (said("x", max_tokens=1, tools=TOOLS), None, "side", "one token asked for"),
        (said("x", max_completion_tokens=1), None, "side", "one token asked for"),
        (said("x", max_tokens=2, max_completion_tokens=1), None, "main", "opens"),
        (said("Write a short title"), None, "side", "asks for a title or a summary"),
        (said("Write a short title", tools=TOOLS), None, "main", "opens"),
        (said("Write a short title", "no", "x"), None, "main", "opens"),
        (said("x", system="Summarize this conversation."), None, "side",
         "asks for a title or a summary"),
        (said("x" * 4000 + " summarize the chat"), None, "main", "opens"),
        (said("what is the title of the book"), None, "main", "opens"),
        (said("Is this a new topic?"), None, "side", "asks for a title or a summary"),
    ],
)  # fmt: skip
def test_what_tells_a_turn_s_type(request_: Any, turn_type: Any, type_: str, why: str) -> None:
    placed = Desk().place(request_, turn_type=turn_type)
    assert (placed.turn_type, placed.rule.partition(";")[0]) == (type_, why)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (said("check", system="You check facts."), "no tools, other instructions"),
        (said("check", system="Be brief."), "another history"),
        (said("check", system="You check facts.", tools=TOOLS), "another history"),
        (said("work", "ok", "more", system="Be brief."), "goes on"),
    ],
)
def test_beside_a_session_with_tools(request_: Any, why: str) -> None:
    desk = Desk()
    main = desk.ask(said("work", tools=TOOLS, system="Be brief."), named=("r/n", "header"))
    placed = desk.place(request_, named=("r/n", "header"))
    assert placed.session is main.session
    assert placed.rule.partition(";")[0] == why
    assert placed.turn_type == ("side" if "other" in why and "tools" in why else "main")


def test_it_is_told_by_its_own_session_where_it_has_one() -> None:
    """Another one, heard of since, has no tools."""
    desk = Desk()
    desk.ask(said("work", tools=TOOLS, system="Be brief."), named=("r/n", "header"))
    desk.ask(said("other"), named=("r/m", "header"))
    check = said("check", system="You check facts.")
    assert desk.place(check, named=("r/n", "header")).turn_type == "side"
    assert desk.place(check, named=("r/m", "header")).turn_type == "main"


def test_a_side_turn_without_a_name_is_of_the_session_last_heard_of() -> None:
    """Of its owner, within ten minutes: after them it begins one."""
    title = said("Write a short title")
    desk = Desk()
    first = desk.ask(said("work", tools=TOOLS), now=0.0)
    desk.ask(said("work"), owner="q\0", now=10.0)
    assert desk.place(title, now=600.0).session is first.session
    assert desk.place(title, now=1200.0).session is first.session, "it was heard of since"
    assert desk.place(title, now=1800.5).new
    assert desk.place(title, owner="z\0", now=10.0).new
    other = said("check", system="You check facts.")
    assert desk.place(other, owner="q\0", now=10.0).new, "its session has no tools"


def test_what_was_said_beside_is_no_history() -> None:
    """Only main turns are taken in, by whoever answers (the gateway's `_take`)."""
    desk = Desk()
    main = desk.ask(said("work", tools=TOOLS))
    desk.place(said("Write a short title"))
    assert desk.place(said("Write a short title", "ok", "and now?")).new
    assert desk.place(said("work", "ok", "more")).session is main.session


# --- what is remembered


def test_as_many_are_remembered_as_may_be() -> None:
    desk = Desk(most=2)
    first = desk.ask(said("a"))
    second = desk.ask(said("b"))
    desk.place(said("a", "ok", "x"))  # heard of again
    desk.ask(said("c"))
    assert len(desk.sessions) == 2
    assert desk.place(said("b", "ok", "x")).session is not second.session
    assert desk.place(said("a", "ok", "x")).session is not first.session, "two came after it"


def test_conversations_are_remembered_twice_as_many() -> None:
    desk = Desk(most=2)
    named = ("r/n", "key")
    for at in range(5):
        desk.ask(said(f"{at}"), named=named)
    desk.place(said("none"), named=named)
    assert desk.place(said("0", "ok", "x"), named=named).after is None
    assert desk.place(said("1", "ok", "x"), named=named).after == "t2"


def test_who_is_quiet_or_done_is_forgotten() -> None:
    desk = Desk()
    first, second = (desk.ask(said(text), now=at).session for text, at in (("a", 1.0), ("b", 2.0)))
    assert desk.sessions.idle(before=1.0) == []
    assert desk.sessions.idle(before=2.0) == [first]
    assert desk.place(said("a", "ok", "x")).new
    assert desk.sessions.drop(second.id) is second
    assert desk.sessions.drop(second.id) is None
    assert desk.place(said("b", "ok", "x")).new


def test_sessions_of_a_store_go_on_where_they_were_left() -> None:
    own = {"messages": ({"role": "user", "content": "a"},), "tools": tuple(TOOLS)}
    side = {"messages": ({"role": "user", "content": "title"},), "turn_type": "side", "index": 1}
    events = [
        opened("r/1", user="ann", policy_version="pol-000001"),
        opened("r/2", user="ann", at=2.0),
        turn("u1", "r/1", answer={"role": "assistant", "content": "ok"}, **own),
        turn("u2", "r/1", answer={"role": "assistant", "content": "ok"}, **side),
        turn("u3", "r/2", at=20.0, prompt_ids=None, **own),
        Consented(session="r/2", at=21.0, consent="record"),
        NextState(session="r/1", at=30.0, turn="u1", role="user", text="b"),
    ]
    desk = Desk()
    desk.sessions.restore(folded(events).values())
    placed = desk.place(said("a", "ok", "b"), owner="r\0ann", now=31.0)
    going = placed.session
    assert (going.id, placed.after, going.consent, going.version) == (
        "r/1", "u1", "train", "pol-000001"
    )  # fmt: skip
    assert (going.count, going.turn, going.answered) == (2, "u1", {"u1"})
    assert going.ids == array("i", [1, 2, 3, 4, 5, 6])
    assert going.tools == tools_of({"tools": TOOLS})
    assert desk.place(said("title", "ok", "b"), owner="r\0ann").new, "side turns are no history"
    again = Desk()
    again.sessions.restore(folded(events).values())
    title = again.place(said("Write a short title"), owner="r\0ann", now=31.0).session
    assert title.id == "r/1", "the last that was heard of, at 30, though it began first"
    other = again.place(said("x"), owner="r\0ann", named=("r/2", "header"), now=31.0).session
    assert (other.consent, other.ids, other.turn, other.seen) == ("record", None, "u3", 31.0)
    assert other.answered == set()
    quiet = Sessions()
    quiet.restore(folded(events).values())
    assert [each.id for each in quiet.idle(before=21.5)] == ["r/2"]


# --- ids that a prompt shares with what was before


def plainly_shared(before: Sequence[int] | None, prompt: Sequence[int]) -> int:
    count = 0
    for one, other in zip(before or (), prompt, strict=False):
        if one != other:
            break
        count += 1
    return count


IDS = st.lists(st.integers(0, 2), max_size=12)


@settings(max_examples=300)
@given(st.none() | IDS, IDS)
def test_shared_ids_are_counted(before: Any, prompt: list[int]) -> None:
    held = None if before is None else array("i", before)
    assert shared(held, array("i", prompt)) == plainly_shared(before, prompt)


@given(IDS, IDS, IDS)
def test_shared_ids_of_what_goes_on(same: list[int], one: list[int], other: list[int]) -> None:
    found = shared(array("i", same + one), array("i", same + other))
    assert found == len(same) + plainly_shared(one, other)
