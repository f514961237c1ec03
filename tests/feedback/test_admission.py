"""Paired replays of a world in which hints help a policy that does as it is told, or do not."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from assay.errors import DataError
from assay.feedback import turns
from assay.feedback.admission import Trust, advice, neutral, replayed
from assay.feedback.progress import progress
from assay.feedback.verdict import sentence
from assay.kernels.uplift import Measured, Uplift
from assay.records import (
    Call,
    CallEvidence,
    ExpertCall,
    Hint,
    ModelStep,
    Origin,
    Trajectory,
    UserStep,
)
from assay.rollout import Sampling
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.line import Line
from tests.feedback.made import record
from tests.rollout.fakes import Characters, Guess, Obeys, Said


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
    assert found.found == Measured(Uplift(20, 2, 20, 18))
    assert found.found.decides.admits
    assert len(found.played) == 40
    told, bare = (backend.prompts[at::2] for at in (0, 1))
    assert all("\n!it is " in text for text in told)
    assert all(text.partition("\n!")[2].startswith("this li") for text in bare)
    assert [len(text) for text in told] == [len(text) for text in bare]


def test_wrong_hints_and_none_are_not() -> None:
    assert not played(failures(20, "it is 9"), 64)[0].found.decides.admits
    silent, backend = played(failures(20, None), 64)
    assert silent.found == Measured(Uplift(0, 0, 0, 0))
    assert (silent.played, backend.prompts) == ((), [])


def test_pairs_are_drawn_by_the_seed_each_once() -> None:
    found, backend = played(failures(20), 8)
    again, _ = played(failures(20), 8)
    assert found.found.passes.pairs == 8
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
    assert found.found.passes == Uplift(10, 2, 10, 8)  # odd secrets of twice 1 to 9
    assert len(found.played) == 36


def test_the_bar_is_what_passes() -> None:
    found, _ = played(failures(20), 64, pass_at=2.0)
    assert found.found.passes == Uplift(0, 0, 20, 0)


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
    assert found.found.passes == Uplift(9, 0, 9, 9)


@pytest.mark.parametrize(("right", "admitted"), [(20, True), (14, True), (8, True), (2, False)])
def test_a_source_that_errs_is_admitted_as_long_as_it_helps(right: int, admitted: bool) -> None:
    """Wrong ones say 0, which is never right; two of twenty pass untold. Told, so many pass."""
    said = [*failures(right), *failures(20, "it is 0")[right:]]
    found, _ = played(said, 64)
    assert (found.found.passes.told, found.found.passes.neutral) == (right, 2)
    assert found.found.decides.admits == admitted


def test_a_chat_is_told_without_a_mark() -> None:
    from assay.feedback.admission import _noted

    assert _noted(Line(Characters()), "!it is 3") == "!it is 3"
    assert _noted(Chat(), "it is 3") == "it is 3"


def test_trust_is_measured_at_once_and_then_every_so_often() -> None:
    trust = Trust(every=3, keep=0.5)
    good, bad = Measured(Uplift(16, 0, 16, 16)), Measured(Uplift(0, 0, 16, 0))
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
    assert trust.seen.passes == Uplift(8, 0, 24, 8)
    for _ in range(3):
        trust.take(None)
    assert trust.take(Measured(Uplift(0, 16, 16, 16))) is False  # the hints harm by now
    again = Trust(every=3, keep=0.5)
    again.restore(trust.row())
    assert again == trust


def test_a_measurement_without_hints_leaves_it_as_it_was_and_due() -> None:
    trust = Trust(every=3, keep=0.5)
    assert not trust.take(Measured(Uplift(0, 0, 0, 0)))
    assert trust.due
    assert trust.row()["lower"] is None


def test_words() -> None:
    assert sentence("file", Measured(Uplift(14, 8, 20))) == (
        "file: admitted: told 14 of 20 pass, neutral 8: uplift +30.0%, at least +10.8% by 90 %"
    )
    # 4.507865 (.5 x .5 + .4 x .6) / .01 = 220.9
    assert sentence("file", Measured(Uplift(10, 8, 20))).endswith(
        "uplift +10.0%, at least -10.1% by 90 %; so much needs 221 pairs"
    )
    assert "not admitted: told 8 of 20" in sentence("file", Measured(Uplift(8, 8, 20)))
    assert sentence("env", Measured(Uplift(0, 0, 31))).startswith(
        "env: not admitted: in 31 pairs of replays no attempt passed, told or not, so whether its"
    )
    none = Measured(Uplift(0, 0, 0))
    assert sentence("file", none).startswith("file: not admitted: there were no hints")
    assert sentence("file", Measured(Uplift(1, 0, 64, 1), Uplift(12.0, 4.0, 64, 6.0), "state")) == (
        "file: admitted: told 1 of 64 pass, neutral 0: by progress (state), told 0.188, neutral "
        "0.062: uplift +12.5%, at least +8.0% by 90 %"
    )


class Ladder(Guess):
    """Nobody passes: a call on the way to the secret brings it a step nearer, three in all."""

    def reset(self, seed: int) -> str:
        self.at = 0
        return super().reset(seed)

    def step(self, text: str) -> Any:
        from assay.world import Reply

        if text.strip() == f"={self.secret}":
            self.at += 1
        return Reply(text="<on", done=self.at == 3 or "=9" in text, score=0.0)

    def progress(self) -> float:
        return self.at / 4


def test_where_nobody_passes_how_far_they_came_decides() -> None:
    """Told, three turns bring 3 / 4 of the way, of which the last turn's is its outcome: 2 / 4.
    Untold only the two tasks with the secret 9 come anywhere, and end at once."""
    found = replayed(
        failures(20), 64, Again(), Ladder, sampling=Sampling(), seed=(5, 2),
        protocol=Line(Characters()),
    ).found  # fmt: skip
    assert found.passes == Uplift(0, 0, 20, 0)
    assert (found.by, found.measure) == ("state", "state")
    assert found.progress == Uplift(9.0, 0.0, 20, 4.5)
    assert found.decides.admits
    trust = Trust(every=3, keep=0.5)
    assert trust.take(found)
    row = trust.row()
    assert (row["measure"], row["uplift"], row["admitted"]) == ("state", 0.45, True)
    assert (row["told"], row["progress"]["told"]) == (0, 9.0)
    again = Trust(every=3, keep=0.5)
    again.restore(row)
    assert again == trust


class Again(Obeys):
    """Says the same at every turn."""

    def row(self, at: int, prompt: str, said: Said, sampling: Sampling) -> None:
        def over(ids: Sequence[int], logprobs: Sequence[float]) -> None:
            while said(ids, logprobs) is not None:
                pass

        super().row(at, prompt, over, sampling)


def way(*states: float | None, outcome: float = 0.0, calls: str = "") -> Trajectory:
    steps = tuple(
        ModelStep(
            scores={} if state is None else {"state": state},
            calls=tuple(
                Call(name=c, arguments="{}", evidence=CallEvidence(ran=c != "x")) for c in calls
            ),
        )
        for state in states
    )
    return structs.replace(record(outcome=outcome), steps=steps)


def test_progress_is_the_best_state_before_the_end() -> None:
    """A pass is 1, whatever was said before; a failure's last turn has its outcome for a state,
    which somebody may have judged: it is left out. A state beyond [0, 1] is cut."""
    pairs = [
        (way(0.25, 0.5, 0.25, 0.9), way(0.75, 0.0)),
        (way(0.25, outcome=1.0), way(0.9)),
        (way(1.5, 0.0), way(-1.0, 0.0)),
    ]
    of = [record()] * 3
    assert progress(pairs, of) == ("state", [(0.5, 0.75), (1.0, 0.0), (1.0, 0.0)])
    assert progress([(way(0.5, 0.0, outcome=0.6),) * 2], of[:1], 0.6) == ("state", [(1.0, 1.0)])
    assert progress([], []) is None


def test_progress_is_else_the_share_of_a_known_solution() -> None:
    """Calls a, b and x are the solution: 1 / 4 for a, again for a twice, 2 / 4 for a and b; x did
    not run. Where one trajectory has no state, none is measured by it."""
    expert = tuple(ExpertCall(name=c, arguments="{ }") for c in "abxa")
    of = structs.replace(record(), expert=expert)
    pairs = [(way(None, calls="aa"), way(0.5, calls="c")), (way(None, calls="abx"), way(None))]
    assert progress(pairs, [of, of]) == ("expert", [(0.25, 0.0), (0.5, 0.0)])
    assert progress(pairs, [of, record()]) is None
    assert progress([(way(0.5, 0.0), way(None))], [record()]) is None
    told = structs.replace(way(0.5, 0.0), expert=expert)
    assert progress([(told, way(0.25, 0.0, calls="a"))], [of]) == ("state", [(0.5, 0.25)])
