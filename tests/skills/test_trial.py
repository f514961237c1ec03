"""Who is admitted: a lesson helps a policy that does as it is told, or it does not."""

import math
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from assay.kernels.uplift import LEVEL, Uplift
from assay.records import Trajectory
from assay.rollout import Sampling
from assay.rollout.protocols.line import Line
from assay.skills.bank import Bank
from assay.skills.shelf import Shelf
from assay.skills.skill import Evidence, Skill, Trial
from assay.skills.trial import (
    Arena,
    broken,
    defects,
    injected,
    silence,
    sound,
    tried,
    waiting,
)
from assay.world import Reply
from tests.rollout.fakes import Characters, Guess, Obeys
from tests.skills.test_bank import skill


class Kinds(Guess):
    """A number that the kind of the task decides: 1, 2 or 3."""

    def reset(self, seed: int) -> str:
        self.secret = seed % 3 + 1
        return f"?a number of kind{self.secret} please"

    def step(self, text: str) -> Reply:
        right = text.strip() == f"={self.secret}"
        return Reply(done=True, score=float(right))


def lesson(kind: int, said: int, **more: Any) -> Skill:
    return skill(f"say {said} there", when=f"kind{kind}", category="guess", **more)


def arena(**more: Any) -> Arena:
    made: dict[str, Any] = {
        "backend": Obeys(which=-1),
        "make": Kinds,
        "tasks": range(60),
        "sampling": Sampling(),
        "protocol": Line(Characters()),
        "pairs": 20,
        **more,
    }
    return Arena(**made)


def test_what_helps_is_admitted_and_what_does_not_is_not():
    right, wrong, nowhere = lesson(1, 1), lesson(2, 7), lesson(5, 5)
    where = arena()
    found, played = tried(Bank(), [right, wrong, nowhere], where, (3,))
    assert (found[right.id].pairs, found[right.id].told, found[right.id].bare) == (20, 20.0, 0.0)
    assert found[right.id].admitted
    assert found[right.id].lower == 1.0, "no pair differs from another"
    assert (found[wrong.id].told, found[wrong.id].admitted) == (0.0, False)
    assert (found[nowhere.id].pairs, found[nowhere.id].lower) == (0, None)
    assert len(played) == 80
    assert [each.outcome for each in played[:2]] == [1.0, 0.0]
    texts = where.backend.prompts  # type: ignore[attr-defined]
    assert texts[0] == "?a number of kind1 please\n!say 1 there\n"
    assert texts[1] == "?a number of kind1 please\n", "bare, and otherwise the same"


def trial(pairs: int, told: float, bare: float, differ: float | None, **more: Any) -> Trial:
    made: dict[str, Any] = {"lower": 0.0, "admitted": False, "differ": differ, **more}
    return Trial(pairs=pairs, told=told, bare=bare, **made)


def test_untried_candidates_come_first_and_then_those_with_fewest_pairs():
    rests = [Evidence(trajectory=f"{n}", task="t") for n in range(3)]
    some = {
        "many": skill("a", evidence=tuple(rests)),
        "one": skill("b", evidence=tuple(rests[:1])),
        "twice": skill("c", evidence=tuple(rests), trial=trial(128, 1, 1, 0)),
        "once": skill("d", trial=trial(64, 1, 1, 0)),
        "nowhere": skill("e", evidence=tuple(rests), trial=trial(0, 0, 0, 0)),
        "active": skill("f", status="active"),
    }
    order = [each.principle for each in waiting(Bank().next(some.values()))]
    assert order == ["a", "b", "e", "d", "c"]


def test_a_second_trial_goes_on_where_the_first_ended():
    """Tasks 0, 3, ... 57 are of the kind: twelve pairs are of 0 to 33, the next ones of 36 to 57
    and, again, of 0 to 9. Told always passes: 12 + 12 of 24, no pair that differs from another."""
    one, where = lesson(1, 1), arena(pairs=12)
    bank = Bank().next([one])
    found, played = tried(bank, [one], where, (3,))
    first = found[one.id]
    assert (first.pairs, first.admitted, first.looks, first.differ) == (12, False, 1, 12.0)
    assert [seed(each) for each in played[::2]] == [*range(0, 36, 3)]
    after = bank.decided(found)
    found, played = tried(after, waiting(after), where, (3,))
    second = found[one.id]
    assert [seed(each) for each in played[::2]] == [*range(36, 60, 3), 0, 3, 6, 9]
    assert [each.trial for each in played[::2]] == [0] * 8 + [1] * 4
    assert (second.pairs, second.told, second.bare, second.differ) == (24, 24.0, 0.0, 24.0)
    assert (second.looks, second.admitted, second.level) == (2, True, 0.95)
    seeds = where.backend.seeds  # type: ignore[attr-defined]
    assert len(set(seeds)) == len(seeds) == 2, "another chance, though the seed is the same"


def test_pairs_of_several_trials_have_a_stricter_bound():
    """5 told and 13 bare of 64 pairs, then 16 and 0 of 16: 21 - 13 of 80 is .1, and 18 + 16 differ,
    so its error is sqrt((34 / 80 - .01) / 80) = .072024. At 90 % it is at least .1 - 1.281552 x
    .072024 = .0077, at 95 % .1 - 1.644854 x .072024 = -.01847."""
    one = lesson(1, 1, trial=trial(64, 5, 13, 18))
    found, _ = tried(Bank(), [one], arena(pairs=16), (0,))
    seen = found[one.id]
    assert (seen.pairs, seen.told, seen.bare, seen.differ) == (80, 21.0, 13.0, 34.0)
    assert seen.lower == pytest.approx(-0.01847, abs=1e-5)
    assert Uplift(21, 13, 80, 34).lower == pytest.approx(0.0077, abs=1e-4)
    assert not seen.admitted
    unknown, _ = tried(Bank(), [structs.replace(one, trial=trial(64, 5, 13, None))], arena(), (0,))
    assert unknown[one.id].differ is None, "whoever tried it did not count them"


def test_what_no_task_is_like_takes_no_place_and_keeps_what_is_known():
    nowhere, right, other = lesson(5, 5), lesson(1, 1), lesson(2, 2)
    found, played = tried(Bank(), [nowhere, right, other], arena(), (0,), limit=1, most=6)
    assert {id: each.pairs for id, each in found.items()} == {nowhere.id: 0, right.id: 20}
    assert len(played) == 40
    known = trial(20, 3, 1, 4)
    found, _ = tried(Bank(), [structs.replace(nowhere, trial=known)], arena(), (0,))
    assert found[nowhere.id] == known


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], None),
        ([trial(64, 64, 63, 1), trial(64, 62, 64, 2)], "easy"),
        ([trial(64, 1, 0, 1), trial(64, 0, 0, 0)], "hard"),
        ([trial(64, 32, 30, 6)], "alike"),  # 6 of 64 are less than one in ten
        ([trial(64, 32, 29, 7)], None),  # 7 are more
        ([trial(64, 64, 63, 1), trial(64, 5, 1, 4, admitted=True)], None),
        ([trial(0, 0, 0, 0)], "no task"),
        ([trial(0, 0, 0, 0), trial(64, 2, 2, None)], None),  # nobody knows
        ([trial(0, 0, 0, 0), trial(64, 2, 2, 0)], "hard"),
        # 9 in 10 pass of 20 attempts, and one less
        ([trial(10, 9, 9, 0)], "easy"),
        ([trial(10, 9, 8, 0)], "alike"),
        ([trial(10, 1, 1, 0)], "hard"),
    ],
)
def test_a_trial_whose_arms_are_alike_says_nothing(found: list[Trial], why: str | None):
    assert silence(found) == why


def seed(record: Trajectory) -> int:
    return int(record.task.rpartition("/")[2])


def test_what_is_active_stands_beside_both():
    active = lesson(1, 4, status="active")
    bank, better = Bank(skills=(active,)), lesson(1, 1)
    _, played = tried(bank, [better], arena(pairs=16), (0,))
    told, bare = (each.steps[0].text for each in played[:2])
    assert set(told.splitlines()[1:]) == {"!say 4 there", "!say 1 there"}
    assert bare.splitlines()[1:] == ["!say 4 there"]


def test_few_tasks_are_played_again_and_too_few_pairs_admit_nothing():
    found, played = tried(Bank(), [lesson(1, 1)], arena(tasks=range(6), pairs=20), (0,))
    (only,) = found.values()
    assert only.pairs == 20
    assert [each.trial for each in played[::2]][:4] == [0, 0, 1, 1], "tasks 0 and 3, again"
    few, _ = tried(Bank(), [lesson(1, 1)], arena(pairs=15), (0,))
    assert not next(iter(few.values())).admitted


def test_defects_are_broken_in_each_way():
    some = [skill("first home then capital", when="a"), skill("do it", when="b")]
    made = defects(some, np.random.default_rng(0))
    assert [each.principle for each in made["shuffled"]] == ["do it", "first home then capital"]
    # words of five letters and more change places: "first" and "capital"
    assert [each.principle for each in made["corrupted"]] == ["capital home then first"]
    assert [each.principle for each in made["empty"]] == [
        "this line says nothing "[:23],
        "this ",
    ]
    assert {each.status for kind in made.values() for each in kind} == {"candidate"}
    assert [each.when for each in made["shuffled"]] == ["a", "b"]
    bank = Bank(skills=tuple(sorted((structs.replace(s, status="active") for s in some),
                                    key=lambda s: s.id)))  # fmt: skip
    control = broken(bank, "shuffled", np.random.default_rng(0))
    assert {each.principle for each in control.active} == {each.principle for each in some}
    assert not {each.id for each in control.active} & {each.id for each in bank.active}


def test_a_judge_that_believes_whatever_was_read_is_found_out():
    some = [lesson(1, 1), lesson(2, 2), lesson(3, 3)]
    honest = injected(Bank(), some, arena(), (1,))
    assert honest["shuffled"] == (0, 3)
    assert sound(honest)

    def believes(record: Trajectory) -> float:
        return float("!" in record.steps[0].text)

    fooled = injected(Bank(), some, arena(grade=believes), (1,))
    assert fooled["shuffled"] == (3, 3)
    assert not sound(fooled)


def test_what_nobody_graded_is_no_pair():
    def half(record: Trajectory) -> float | None:
        return 1.0 if "!" in record.steps[0].text else None

    one_side, _ = tried(Bank(), [lesson(1, 1)], arena(grade=half), (1,))
    assert next(iter(one_side.values())).pairs == 0
    found, _ = tried(Bank(), [lesson(1, 1)], arena(grade=lambda _: None), (1,))
    assert next(iter(found.values())).pairs == 0


def test_exposure_is_drawn_for_each_skill_by_itself():
    tokenizer = Characters()
    bank = Bank(skills=tuple(sorted(
        (lesson(1, n, status="active") for n in range(1, 4)), key=lambda each: each.id
    )))  # fmt: skip
    shelf = Shelf.of(bank, "line", tokenizer)
    found = shelf.found("kind1", "guess")
    rng = np.random.default_rng(5)
    drawn = [shelf.drawn(found, 0.8, rng) for _ in range(2000)]
    shares = np.mean([[each in one.skills for each in found] for one in drawn], 0)
    np.testing.assert_allclose(shares, 0.8, atol=0.03)
    assert all({*one.skills, *one.held} == {*found} for one in drawn)
    assert list(drawn[0].skills) == [s for s in found if s in drawn[0].skills]
    assert shelf.drawn(found, 0.0, rng).text == ""
    assert (drawn[0].chance, shelf.read(found).chance) == (0.8, None)


# One look at n pairs of a base of .40 whose two sides correlate by .6 (a Gaussian copula): of
# useless skills .107 and .098 pass at 64 and 128, of those worth ten points .596 and .791. With
# 20,000 trials the standard error is .0022 at .107 and .0035 at .6; the reference has it too.
@pytest.mark.parametrize(
    ("n", "gain", "share", "within"),
    [(64, 0.0, 0.107, 0.010), (64, 0.1, 0.596, 0.015), (128, 0.0, 0.098, 0.010),
     (128, 0.1, 0.791, 0.013)],
)  # fmt: skip
def test_the_gate_s_rates_are_those_of_the_simulation(
    n: int, gain: float, share: float, within: float
):
    rng, trials = np.random.default_rng(11), 20_000
    common, own = rng.standard_normal((trials, n)), rng.standard_normal((2, trials, n))
    score = math.sqrt(0.6) * common + math.sqrt(0.4) * own
    ends = [NormalDist().inv_cdf(p) for p in (0.4, 0.4 + gain)]
    bare, told = (score[k] < end for k, end in enumerate(ends))
    differ = (told != bare).sum(1)
    counts = zip(told.sum(1).tolist(), bare.sum(1).tolist(), differ.tolist(), strict=True)
    admits = cache(lambda t, b, d: Uplift(t, b, n, d).admits)
    passed = [admits(*each) for each in counts]
    assert LEVEL == 0.9
    assert np.mean(passed) == pytest.approx(share, abs=within)
