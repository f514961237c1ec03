"""What can help from a start: numbers by hand, and verdicts for starts of every kind."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from assay.rollout import Reader, Sampling
from assay.rollout.headroom import Played, Probe, headroom, play, sentences
from assay.rollout.protocols.line import Line
from tests.rollout.fakes import END, Characters, Guess

NAN = float("nan")


def played(*outcomes: Sequence[float], told: Sequence[float] = (), **more: Any) -> Played:
    rows = np.array(outcomes, float)
    return Played(
        greedy_G=more.get("greedy", rows[:, 0]),
        outcome_GN=rows,
        told_M=np.array(told, float),
        heard=more.get("heard", 0.0),
        tokens=more.get("tokens", 7),
    )


def test_numbers_by_hand() -> None:
    """Two tasks of four attempts: one of four passes, none of four.

    pass@2: 1 - C(3,2)/C(4,2) = 1/2 and 0; of pairs C(3,2)/C(4,2) = 1/2 and all are alike, all of
    them failures. A batch of 8 groups holds 8 x 1/4 = 2 that can be compared, 8 x 3/4 = 6 dead.
    """
    found = headroom(played([0, 0, 0, 1], [0, 0, 0, 0], greedy=np.array([0.0, 1.0])),
                     group=2, prompts=8)  # fmt: skip
    assert {k: each["value"] for k, each in found["pass_at"].items()} == {
        "1": 1 / 8, "2": 1 / 4, "4": 1 / 2,
    }  # fmt: skip
    assert {name: each["value"] for name, each in found["groups"].items()} == {
        "compared": 1 / 4, "all_fail": 3 / 4, "all_pass": 0.0,
    }  # fmt: skip
    assert found["per_batch"] == {"compared": 2.0, "all_fail": 6.0}
    assert (found["greedy"], found["reached"], found["told"]) == (1 / 2, 1, None)
    assert found["means"] == ["success"]
    assert found["helps"] == ["comparison", "rescue"]


@pytest.mark.parametrize(
    ("seen", "helps", "means", "said"),
    [
        # nothing passes, nothing is said: neither
        (played([0] * 4, [0] * 4), [], [], "rescue cannot help: 4.0 groups of a batch all fail"),
        # hints that do not work are no means
        (played([0] * 4, told=[0, 0]), [], [], "take easier tasks or another start"),
        (played([0] * 4, told=[0, 1]), ["rescue"], ["hint"], "right hint 50.0% pass"),
        (played([0] * 4, heard=0.5), ["rescue"], ["feedback"], "answers 50.0% of failures"),
        # outcomes differ, so groups are compared; 8 of 4 x 1/2 = 2 groups are alike and fail
        (
            played([0, 0, 0, 0.5]),
            ["comparison", "rescue"],
            ["partly"],
            "25.0% of failures scored more than the least",
        ),
        (played([1] * 4), [], ["success"], "take harder tasks"),
        # 1 of 8 tasks has a group that can be compared in half of all draws: 4 x 1/16 of a batch
        (
            played([0, 0, 0, 1], *[[0] * 4] * 7),
            ["rescue"],
            ["success"],
            "comparison cannot help: a batch of 4 groups holds 0.2",
        ),
    ],
)
def test_what_can_help(seen: Played, helps: list[str], means: list[str], said: str) -> None:
    found = headroom(seen, group=2, prompts=4)
    assert (found["helps"], found["means"]) == (helps, means)
    assert said in " ".join(sentences(found))


def test_least_is_what_somebody_scored() -> None:
    """Of a third and two halves, all failures, two scored more; the unscored one did not."""
    found = headroom(played([1 / 3, 1 / 2, 1 / 2, NAN]), group=2, prompts=4)
    assert found["partly"] == pytest.approx(2 / 3)


def test_what_nobody_scored_counts_nowhere() -> None:
    found = headroom(played([0, 1, NAN, NAN], [NAN] * 4, [0, NAN, NAN, NAN]), group=2, prompts=4)
    assert found["pass_at"]["1"]["value"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["groups"]["compared"]["value"] == 1.0  # the only pair there is
    assert found["pass_at"]["4"]["value"] is None
    assert "pass@4 - (too few samples)" in sentences(found)[1]


class Advised(Guess):
    """Knows a hint for even tasks; calls are answered."""

    name = "advised"

    def hint(self, kind: str) -> str | None:
        return f"!say {self.secret}" if kind == "right" and self.secret % 2 else None


class Obeys:
    """Says what it is told under the task, or else what the temperature makes of it."""

    def __init__(self) -> None:
        self.tokenizer, self.asked = Characters(), list[tuple[float, int, tuple[int, ...]]]()

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        self.asked.append((sampling.temperature, len(prompts), tuple(seed)))
        for at, prompt in enumerate(prompts):
            text = "".join(map(chr, prompt))
            said = f"={text[-2]}" if "!say" in text else "=7" if sampling.temperature else "=1"
            reader(at, [*map(ord, said), END], [-1.0] * (len(said) + 1))


def test_a_start_is_tried_greedily_by_chance_and_under_a_right_hint() -> None:
    backend = Obeys()
    seen = play(
        backend, Advised, range(4), Probe(tasks=4, samples=3, told=2),
        sampling=Sampling(temperature=0.5), seed=9, protocol=Line(Characters()),
    )  # fmt: skip
    # secrets are 1, 2, 3, 4: greedily it says 1, by chance 7, told 1 and 3 what it is told
    assert seen.greedy_G.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert seen.outcome_GN.tolist() == [[0.0] * 3] * 4
    assert seen.told_M.tolist() == [1.0] * 4
    assert [each[:2] for each in backend.asked] == [(0.0, 4), (0.5, 12), (0.5, 4)]
    assert len({each[2] for each in backend.asked}) == 3  # chance of their own
    assert seen.tokens == 3 * (4 + 12 + 4)
    assert seen.heard == 0.0


class Asks(Obeys):
    """Asks before it answers, but in every other attempt; the eighth is right, of an even seed."""

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        for at, _ in enumerate(prompts):
            answer = "=2" if at == 7 else "=7"
            for said in (">ask(5)\n", answer) if at % 2 else (answer,):
                ids = [*map(ord, said)] + ([END] if said[0] == "=" else [])
                reader(at, ids, [-1.0] * len(ids))


def test_it_is_seen_whether_the_world_answers_what_fails() -> None:
    seen = play(
        Asks(), Guess, range(2), Probe(tasks=2, samples=4, told=2),
        sampling=Sampling(), seed=9, protocol=Line(Characters()),
    )  # fmt: skip
    assert seen.heard == 3 / 7  # of eight one passed, and it had asked as well
    assert seen.told_M.size == 0  # there is no hint
    assert headroom(seen, group=2, prompts=4)["told"] is None
