"""The simulated user, his sessions, and serving and learning in turn. The policy is a part that is
played: what is held here is who is asked what, what is recorded, and what is learnt from."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp
from typing import Any

import numpy as np
import pytest

from assay.live import rehearsal as module
from assay.live.learning import Learning, Learnt
from assay.live.rehearsal import Rehearsal, Round
from assay.live.resolver import Resolver, by_rule
from assay.live.simulated import (
    HELD_OUT,
    LONGEST,
    Request,
    Served,
    request,
    served,
    session_of,
    understood,
)
from assay.live.store import Store
from assay.policy.loading import load
from assay.policy.scoring import Asked, score
from assay.records import Trajectory
from assay.records.live import Closed, NextState, Opened, Turn, unpacked, unpacked_floats
from assay.world.lookup import RENAMED

TOOLS = ["capital", "currency", "language", "region"]


def test_what_he_says_by_the_stated_rule() -> None:
    """Of each number Python's own generator, seeded with "own words/N", gives x, then y: he says
    what he meant where x is below a half, another tool in its place where y is below a tenth."""
    for number in range(300):
        asked = Request(number, "?money of Peru", "currency")
        rng = random.Random(f"own words/{number}")
        more, misled = rng.random() < 0.5, rng.random() < 0.1
        said = asked.reply(">region(Peru)\n")
        if not more:
            assert said == "no, that is not what I asked for"
        elif not misled:
            assert said == "no, I meant currency"
        else:
            assert said.removeprefix("no, I meant ") in {*TOOLS} - {"currency"}
        assert asked.reply(">currency(Peru)\n") == "thanks, that is it"
        assert asked.reply("currency of Peru\n") == said, "what is no call is not it"
        assert replace(asked, misleads=0.0).reply("x") in (
            "no, I meant currency", "no, that is not what I asked for"
        )  # fmt: skip


def test_requests_are_of_their_numbers() -> None:
    made = [request(number) for number in range(60)]
    for number, each in enumerate(made):
        assert each.number == number
        assert each.text.startswith("?")
        assert RENAMED[each.meant] in each.text
        assert each.meant not in each.text
    assert {each.meant for each in made} == {*TOOLS}
    assert request(7) == request(7)
    assert len({each.text for each in made}) > 20


def test_a_session_of_his() -> None:
    answer = Served((1, 2), (3, 4, 5), (-0.5, -0.25, -0.125), ">region(Peru)\n")
    asked = Request(1, "?money of Peru", "currency")
    begun, spoken, said, over = session_of(
        asked, answer, name="s", user="u", version="pol-000001", at=7.0
    )
    assert begun == Opened(session="s", at=7.0, run="simulated", user="u", consent="train")
    assert isinstance(spoken, Turn)
    assert (spoken.id, spoken.index, spoken.trainable, spoken.policy_version) == (
        "s/0", 0, True, "pol-000001"
    )  # fmt: skip
    assert list(unpacked(spoken.prompt_ids) or ()) == [1, 2]
    assert list(unpacked(spoken.completion_ids) or ()) == [3, 4, 5]
    assert list(unpacked_floats(spoken.logprobs) or ()) == [-0.5, -0.25, -0.125]
    assert spoken.messages == ({"role": "user", "content": "?money of Peru"},)
    assert spoken.answer["content"] == ">region(Peru)\n"
    assert said == NextState(
        session="s", at=7.0, turn="s/0", role="user", text=asked.reply(answer.text)
    )
    assert over == Closed(session="s", at=7.0)


def test_what_a_policy_answers_is_what_it_says_of_itself() -> None:
    model, tokenizer = load()
    asked = [request(n) for n in range(4)]
    made = served(model, tokenizer, asked, (1, 2))
    assert made == served(model, tokenizer, asked, (1, 2))
    assert made != served(model, tokenizer, asked, (1, 3))
    for each, answer in zip(asked, made, strict=True):
        assert tokenizer.decode(list(answer.prompt_ids)) == f"{each.text}\n"
        assert 0 < len(answer.ids) <= LONGEST
        told = Asked(0, len(answer.prompt_ids), (), answer.ids)
        found = score(model, [answer.prompt_ids], [told])[0]
        assert answer.logprobs == pytest.approx(found, abs=1e-4)
        begins = tuple(tokenizer(f">{each.meant}(", add_special_tokens=False).input_ids)
        told = Asked(0, len(answer.prompt_ids), (), begins)
        chance = exp(sum(score(model, [answer.prompt_ids], [told])[0]))
        assert understood(model, tokenizer, [each])[0] == pytest.approx(chance, rel=1e-5)


# --- serving and learning in turn


class Plays:
    """What the learner of a rehearsal was told."""

    def __init__(self, *_: Any, **more: Any) -> None:
        self.settings, self.kept = _[2], more.get("kept", ())
        self.updates = list[tuple[list[Trajectory], dict[str, float], list[bool], Any]]()
        LEARNERS.append(self)

    def update(
        self,
        turns: Sequence[Trajectory],
        statistics: Mapping[str, float],
        *,
        own: Any,
        seed: Sequence[int],
    ) -> Learnt:
        self.updates.append((list(turns), dict(statistics), [*map(own, turns)], tuple(seed)))
        return Learnt({"rows": float(len(turns))}, {"mean": float(len(self.updates))})


LEARNERS = list[Plays]()


def answers(requests: Sequence[Request], number: int) -> list[Served]:
    """Every other time the tool that was meant, one later in the next round."""
    return [
        Served(
            (1, number),
            (n, number, hash(each.text) % 1000),
            (-1.0, -1.0, -1.0),
            f">{each.meant if (n + number) % 2 else 'home'}(x)\n",
        )
        for n, each in enumerate(requests)
    ]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    LEARNERS.clear()
    monkeypatch.setattr(module, "Learner", Plays)
    monkeypatch.setattr(module, "understood", lambda *given: np.full(len(given[2]), 0.25))
    monkeypatch.setattr(module, "served", lambda _, __, asked, seed: answers(asked, seed[1]))


def rehearsed(store: Store, updates: int, **more: Any) -> tuple[list[Round], Any]:
    given: dict[str, Any] = {"seed": 2, "turns": 8, "held_out": 3, **more}
    made = Rehearsal(store, None, None, Learning(admit=False), **given)
    return [*made.rounds(updates)], made


@pytest.mark.usefixtures("played")
def test_rounds_by_hand(store: Store) -> None:
    """Eight turns of four users a round: a quarter each. Half of them pleased."""
    rounds, made = rehearsed(store, 2)
    assert [(each.number, each.understood, each.pleased) for each in rounds] == [
        (1, 0.25, 0.5), (2, 0.25, 0.5)
    ]  # fmt: skip
    assert [each.number for each in made.held_out] == [HELD_OUT, HELD_OUT + 1, HELD_OUT + 2]
    facts = rounds[0].facts
    assert (facts["turns"], facts["users"], facts["share"], facts["rows"]) == (8, 4, 0.25, 8.0)
    turns = store.turns()
    assert [t.turn.session for t in turns] == [f"s{r}-{n}" for r in (1, 2) for n in range(8)]
    assert [t.turn.at for t in turns] == [float(n) for n in range(16)]
    assert [t.turn.policy_version for t in turns] == ["start"] * 8 + ["pol-000001"] * 8
    assert [t.progress for t in turns] == ["trained"] * 16
    assert [t.why for t in turns] == ["pol-000001"] * 8 + ["pol-000002"] * 8
    assert [(v.name, v.parent, v.state, v.at) for v in store.versions().values()] == [
        ("pol-000001", "start", "made", 8.0), ("pol-000002", "pol-000001", "made", 16.0)
    ]  # fmt: skip
    assert made.version == "pol-000002"
    assert [list(t.prompt_ids or ()) for t in turns] == [[1, 1]] * 8 + [[1, 2]] * 8, "own chance"
    users = [each.user for each in store.sessions().values()]
    assert users == ["u0", "u1", "u2", "u3"] * 4
    (learner,) = LEARNERS
    first, second = learner.updates
    assert [len(each[0]) for each in (first, second)] == [8, 8]
    assert (first[1], second[1]) == ({}, {"mean": 1.0})
    assert (first[2], second[2]) == ([True] * 8, [True] * 8), "of the version that serves"
    assert (first[3], second[3]) == ((2, 1), (2, 2))


@pytest.mark.usefixtures("played")
def test_nobody_asks_the_same_twice_and_each_seed_asks_others(store: Store, tmp_path: Any) -> None:
    """Of these, the 36th for the fourth user would be the 28th again."""
    rehearsed(store, 5, seed=7)
    asked = [
        (each.user, each.turns[0].messages[0]["content"]) for each in store.sessions().values()
    ]
    assert len({*asked}) == len(asked) == 40
    with Store.open(tmp_path / "other") as other:
        rehearsed(other, 1, seed=3)
        texts = [turn.messages[0]["content"] for turn in other.turns()]
        assert texts[0] == request(3 * 10_007).text
        assert texts != [text for _, text in asked[:8]]


@pytest.mark.usefixtures("played")
def test_what_is_said_changes_places_where_it_is_shuffled(store: Store, tmp_path: Any) -> None:
    def heard(store_: Store) -> list[str]:
        return [e.text for _, e in store_.events("next") if isinstance(e, NextState)]

    rounds, _ = rehearsed(store, 1, turns=16)
    with Store.open(tmp_path / "other") as other:
        mixed, _ = rehearsed(other, 1, turns=16, shuffled=True)
        assert Counter(heard(store)) == Counter(heard(other))
        assert heard(store) != heard(other)
        assert [t.turn for t in store.turns()] == [t.turn for t in other.turns()]
    assert mixed[0].pleased == rounds[0].pleased, "what was answered, not what was said of it"


@pytest.mark.usefixtures("played")
def test_how_often_he_misleads_is_told(store: Store, tmp_path: Any) -> None:
    def named(store_: Store) -> list[bool]:
        """Whether each that says what he meant names the tool that he did mean."""
        told = list[bool]()
        for seen in store_.turns():
            assert seen.next_state is not None
            text = seen.next_state.text
            if text.startswith("no, I meant "):
                word = RENAMED[text.removeprefix("no, I meant ")]
                told.append(word in str(seen.messages[0]["content"]))
        return told

    rehearsed(store, 1, turns=64, misleads=0.0)
    assert named(store)
    assert all(named(store))
    with Store.open(tmp_path / "other") as other:
        rehearsed(other, 1, turns=64, misleads=1.0)
        assert not any(named(other))


@pytest.mark.usefixtures("played")
def test_too_little_is_said_and_nothing_is_made(store: Store) -> None:
    """A gateway that recorded nothing."""
    told = list[tuple[int, str]]()

    def through(asked: Any, version: str) -> list[str]:
        told.append((len(asked), version))
        return [f">{made.meant}(x)\n" for made, _, _ in asked]

    kept = (Trajectory(id="k", task="t", group="g"),)
    (found,), made = rehearsed(store, 1, through=through, kept=kept)
    assert (told, found.pleased) == ([(8, "start")], 1.0)
    assert "expected 8 turns of 8 sessions" in found.facts["missing"]
    assert (store.versions(), made.version) == ({}, "start")
    assert LEARNERS[0].updates == []
    assert LEARNERS[0].kept == kept


@pytest.mark.usefixtures("played")
def test_his_words_are_heard_by_rule(store: Store) -> None:
    """ "no, I meant X" is a failure with a hint, "thanks" a success."""
    asked = [Request(n, f"?money of {n}", "currency") for n in range(20)]
    for n, each in enumerate(asked):
        text = ">currency(x)\n" if n % 2 else ">region(x)\n"
        answer = Served((1,), (n,), (-1.0,), text)
        store.append(*session_of(each, answer, name=f"s{n}", user="u", version="start", at=1.0))
    store.append(durable=True).result(timeout=30)
    Resolver(store, by_rule(), clock=lambda: 2.0).step()
    for seen, each in zip(store.turns(), asked, strict=True):
        pleased = each.number % 2 == 1
        assert seen.labels["user"].value == float(pleased)
        said = each.reply(">region(x)\n")
        hints = [said.removeprefix("no, ")] if "I meant" in said and not pleased else []
        assert [hint.text for hint in seen.hints] == hints
