"""Paired replays of a world in which hints help a policy that does as it is told, or do not."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from assay.errors import DataError
from assay.feedback import turns
from assay.feedback.admission import Trust, advice, neutral, replayed, sentence
from assay.kernels.uplift import Uplift
from assay.records import Hint, ModelStep, Origin, Trajectory, UserStep
from assay.rollout import Reader, Sampling
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.line import Line
from tests.feedback.made import record
from tests.rollout.fakes import END, Characters, Guess


class Obeys:
    """Answers with the digit of a hint that names one, else with 9."""

    def __init__(self) -> None:
        self.tokenizer, self.prompts, self.seeds = Characters(), list[str](), list[Any]()

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        self.seeds.append(tuple(seed))
        for at, prompt in enumerate(prompts):
            text = "".join(map(chr, prompt))
            self.prompts.append(text)
            digits = [c for c in text.partition("!")[2] if c.isdigit()]
            said = f"={digits[0] if digits else 9}"
            reader(at, [*map(ord, said), END], [-1.0] * 3)


def failures(n: int, told: str | None = "it is {}") -> list[Trajectory]:
    """Failed trajectories of tasks 0 to n - 1, whose secrets are 1 to 9 and again."""
    made: list[Trajectory] = []
    for seed in range(n):
        hints = () if told is None else (Hint(text=told.format(seed % 9 + 1), source="x"),)
        steps = (UserStep(text="?"), ModelStep(text="=9", hints=hints))
        origin = Origin(format="assay.world", extra={"seed": str(seed)})
        made.append(structs.replace(record(f"{seed}"), steps=steps, origin=origin))
    return made


def played(records: Sequence[Trajectory], pairs: int, **more: Any) -> Any:
    backend = Obeys()
    found = replayed(
        records, pairs, backend, Guess, sampling=Sampling(), seed=(5, 2),
        protocol=Line(Characters()), **more,
    )  # fmt: skip
    return found, backend


def test_right_hints_are_admitted() -> None:
    """Of 20 tasks two have the secret 9 that is always said: 20 pass told, 2 untold."""
    found, backend = played(failures(20), 64)
    assert found.uplift == Uplift(20, 2, 20)
    assert found.uplift.admits
    assert len(found.played) == 40
    told, bare = (backend.prompts[at::2] for at in (0, 1))
    assert all("\n!it is " in text for text in told)
    assert all(text.partition("\n!")[2].startswith("this li") for text in bare)
    assert [len(text) for text in told] == [len(text) for text in bare]


def test_wrong_hints_and_none_are_not() -> None:
    assert not played(failures(20, "it is 9"), 64)[0].uplift.admits
    silent, backend = played(failures(20, None), 64)
    assert silent.uplift == Uplift(0, 0, 0)
    assert (silent.played, backend.prompts) == ((), [])


def test_pairs_are_drawn_by_the_seed_each_once() -> None:
    found, backend = played(failures(20), 8)
    again, _ = played(failures(20), 8)
    assert found.uplift.pairs == 8
    assert [each.id for each in found.played] == [each.id for each in again.played]
    tasks = [each.task for each in found.played[::2]]
    assert len({*tasks}) == 8
    assert tasks != sorted(tasks)
    assert [each.task for each in found.played[1::2]] == tasks
    assert backend.seeds[0][:2] == (5, 2)


class Unscored(Guess):
    """Does not score even secrets."""

    def step(self, text: str) -> Any:
        reply = super().step(text)
        return reply if self.secret % 2 else structs_replace(reply)


def structs_replace(reply: Any) -> Any:
    from dataclasses import replace

    return replace(reply, score=None, parts={})


def test_what_nobody_scored_is_no_pair() -> None:
    found = replayed(
        failures(18), 64, Obeys(), Unscored, sampling=Sampling(), seed=(5, 2),
        protocol=Line(Characters()),
    )  # fmt: skip
    assert found.uplift == Uplift(10, 2, 10)  # odd secrets of twice 1 to 9
    assert len(found.played) == 36


def test_the_bar_is_what_passes() -> None:
    found, _ = played(failures(20), 64, pass_at=2.0)
    assert found.uplift == Uplift(0, 0, 20)


def test_a_record_without_a_seed_is_refused() -> None:
    lost = structs.replace(failures(1)[0], origin=None)
    with pytest.raises(DataError, match="expected the number that names its task"):
        played([lost], 4)


def test_advice_is_every_hint_once_on_one_line() -> None:
    first, second = Hint(text="a  b\nc", source="x"), Hint(text="d", source="y")
    steps = (
        ModelStep(text="1", hints=(first, second)), ModelStep(text="2", hints=(second,)),
    )  # fmt: skip
    made = structs.replace(record(), steps=steps)
    assert advice(made) == "a b c; d"
    assert advice(record()) == ""
    long = structs.replace(record(), steps=(ModelStep(hints=(Hint(text="x" * 900, source="y"),)),))
    assert len(advice(long)) == 300
    assert [len(neutral("x" * n, Guess(), 0)) for n in (1, 60, 300)] == [1, 60, 300]
    assert len([*turns(made)]) == 2


class Calm(Guess):
    """Has a line of its own that says nothing."""

    def hint(self, kind: str) -> str | None:
        return f"!stay calm at {self.secret // 10}" if kind == "neutral" else "!never"


def test_what_the_world_itself_says_of_nothing_comes_first() -> None:
    backend = Obeys()
    found = replayed(
        failures(9), 64, backend, Calm, sampling=Sampling(), seed=(5, 2),
        protocol=Line(Characters()),
    )  # fmt: skip
    assert {text.partition("\n!")[2] for text in backend.prompts[1::2]} == {"stay calm at 0\n"}
    assert found.uplift == Uplift(9, 0, 9)


@pytest.mark.parametrize(("right", "admitted"), [(20, True), (14, True), (8, True), (2, False)])
def test_a_source_that_errs_is_admitted_as_long_as_it_helps(right: int, admitted: bool) -> None:
    """Wrong ones say 0, which is never right; two of twenty pass untold. Told, so many pass."""
    said = [*failures(right), *failures(20, "it is 0")[right:]]
    found, _ = played(said, 64)
    assert found.uplift == Uplift(right, 2, 20)
    assert found.uplift.admits == admitted


def test_a_chat_is_told_without_a_mark() -> None:
    from assay.feedback.admission import _noted

    assert _noted(Line(Characters()), "!it is 3") == "!it is 3"
    assert _noted(Chat(), "it is 3") == "it is 3"


def test_trust_is_measured_at_once_and_then_every_so_often() -> None:
    trust = Trust(every=3, keep=0.5)
    good, bad = Uplift(16, 0, 16), Uplift(0, 0, 16)
    assert trust.due
    assert trust.take(good)
    asked = list[bool]()
    for _ in range(2):
        asked.append(trust.due)
        assert trust.take(None)
    assert asked == [False, False]
    assert trust.due
    # half of 16 of 16 and none of 16: 8 of 24 against 0, .333 less 1.28 x .096
    assert trust.take(bad)
    assert trust.seen == Uplift(8, 0, 24)
    for _ in range(3):
        trust.take(None)
    assert trust.take(Uplift(0, 16, 16)) is False  # the hints harm by now
    again = Trust(every=3, keep=0.5)
    again.restore(trust.row())
    assert again == trust


def test_a_measurement_without_hints_leaves_it_as_it_was_and_due() -> None:
    trust = Trust(every=3, keep=0.5)
    assert not trust.take(Uplift(0, 0, 0))
    assert trust.due
    assert trust.row()["lower"] is None


def test_words() -> None:
    assert sentence("file", Uplift(14, 8, 20)) == (
        "file: admitted: told 14 of 20 pass, neutral 8: uplift +30.0%, at least +10.8% by 90 %"
    )
    assert "not admitted: told 8 of 20" in sentence("file", Uplift(8, 8, 20))
    assert sentence("env", Uplift(0, 0, 31)).startswith(
        "env: not admitted: in 31 pairs of replays no attempt passed, told or not, so whether its"
    )
    assert sentence("file", Uplift(0, 0, 0)).startswith("file: not admitted: there were no hints")
