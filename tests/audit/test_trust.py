"""What is said before any number is believed: which sentence for which log, and its grammar."""

import dataclasses

import numpy as np
import pytest

from assay import pipeline
from assay.audit import Audit
from assay.audit.kinds import SENTENCES, sentences, told
from assay.audit.warnings import trust
from assay.batch import Batch
from assay.credit import METHODS, Method
from assay.recipes import Part, Recipe
from assay.records import ModelStep, Trajectory


def one(name: str, outcome: float | None, **fields) -> Trajectory:
    step = ModelStep(text=name, token_ids=(1, 2), untrainable=fields.pop("untrainable", None))
    fields = {"task": name[0], "group": name[0], "steps": (step,), **fields}
    return Trajectory(id=name, outcome=outcome, **fields)


def group(name: str, *outcomes: float | None, **fields) -> list[Trajectory]:
    return [one(f"{name}{n}", outcome, **fields) for n, outcome in enumerate(outcomes)]


def audited(records, losses=None, chosen=None, **options):
    recipe, refused = Recipe.compared(**options), dict[str, str]()
    batch, decisions = pipeline.gated(records, recipe)
    found = Audit(batch, decisions, **options)
    for name, advantages in pipeline.credits(batch, recipe, refused):
        found.add(name, advantages)
    return found.result(refused=refused, losses=losses, chosen=chosen)


def said(records, losses=None, chosen=None, **options) -> list[str]:
    return audited(records, losses, chosen, **options)["trust"]["warnings"]


MIXED = group("a", 1.0, 0.0)


def test_a_clean_set_says_nothing():
    assert said(MIXED) == []
    assert said([*MIXED, *group("b", -1.0, 1.0)]) == []


@pytest.mark.parametrize(
    ("outcomes", "pass_at", "warns"),
    [
        ((0.0, 40.0, 100.0), 1.0, True),
        ((0.0, 40.0, 100.0), 60.0, False),
        ((0.0, 100.0), 1.0, False),  # two outcomes: whatever passes is the success
        ((0.0, 1.0, 1.2), 1.0, False),  # a bonus
        ((-1.0, 1.0), 1.0, False),
        ((0.0, 0.5, 0.9), 0.1, True),
    ],
)
def test_outcomes_out_of_the_range_of_the_bar(outcomes, pass_at, warns):
    told_so = [text for text in said(group("a", *outcomes), pass_at=pass_at) if "lie" in text]
    low, high = min(outcomes), max(outcomes)
    sentence = f"outcomes lie between {low:g} and {high:g}, and {pass_at:g} or more passes: say "
    assert told_so == ([f"{sentence}with --pass-at what a success is"] if warns else [])


def test_nothing_passes_though_outcomes_differ():
    (text,) = said(group("a", 0.0, 0.2))
    assert text.startswith("nothing passes: the highest outcome is 0.2, and 1 or more passes;")
    assert said(group("a", 0.0, -0.2)) == []  # penalties
    assert said(group("a", 0.0, 0.0)) == []


def test_a_shaped_outcome_over_a_raw_one_that_does_not_differ():
    shaped = [one(f"a{n}", 0.1 * n, rewards={"acc": 0.0}) for n in range(3)]
    fine = [one(f"b{n}", float(n), rewards={"acc": float(n)}) for n in range(2)]
    dead = [one(f"c{n}", 0.5, rewards={"acc": 0.0}) for n in range(2)]
    texts = said([*shaped, *fine, *dead])
    assert [text for text in texts if "acc" in text] == [
        "in 1 of 3 groups outcomes differ though acc does not: what is trained there is the rest "
        "of the reward; --outcome acc audits it alone"
    ]
    # a part that is no raw outcome by its name, beside others; or that is none by its values
    named = [one(f"a{n}", 0.5 * n, rewards={"fmt": 0.0, "len": 0.5 * n}) for n in range(3)]
    assert said(named) == []
    graded = [one(f"a{n}", 0.5 * n, rewards={"acc": 0.3}) for n in range(3)]
    assert said(graded) == []


def test_groups_of_one_compare_nothing():
    lone = [one("a", 1.0), one("b", 0.0)]
    assert [text for text in said(lone) if "--group" in text] == [
        "every group has one scored member, so nothing is compared with anything: name with "
        "--group what attempts at one task share"
    ]
    assert said([one("a", 1.0)]) == []
    fan = [one("a1", 1.0, session="s"), one("a2", 1.0, session="s"), one("b", 0.0)]
    assert len([text for text in said(fan) if "--group" in text]) == 1


@pytest.mark.parametrize(("groups", "warns"), [(9, False), (10, True)])
def test_many_groups_of_which_none_is_dead(groups, warns):
    names = [f"{n:x}" for n in range(groups)]
    records = [each for name in names for each in group(name, 1.0, 0.0)]
    texts = said(records)
    expected = (
        f"all {groups} groups are mixed: engines that drop groups without signal leave such logs, "
        "and the share of dead groups is then a lower bound"
    )
    assert texts == ([expected] if warns else [])
    assert said([*records, *group("z", 0.0, 0.0)]) == []


def test_sessions_and_where_their_outcomes_differ():
    fan = [one(f"a{n}", 1.0, session="s") for n in range(3)]
    expected = "4 trajectories are outputs of 2 sessions, each of which counts once"
    assert said([*fan, one("a9", 0.0)]) == [expected]
    fan[0] = one("a0", 0.0, session="s")
    assert said([*fan, one("a9", 0.0)]) == [
        expected,
        "in 1 session outcomes differ: the last scored one counts",
    ]


def test_parts_without_an_outcome():
    bare = [one("a1", None, rewards={"style": 1.0, "cost": None}), one("a2", None)]
    assert said([*MIXED, *bare])[0] == (
        "1 trajectory has parts of a reward (style) and no outcome: name one of them with --outcome"
    )


def test_who_named_the_outcome_is_not_told_to():
    bare = [one("b1", None, rewards={"style": 1.0}), one("b2", None)]
    assert said([*MIXED, *bare], chosen="tests") == ["2 of 4 trajectories have no outcome at all"]


def test_one_and_many_are_said_right():
    records = [
        *MIXED,
        *group("b", None, None),
        one("c1", 0.0, end="infra"),
        one("d1", 1.0, untrainable="masked"),
        *[one("e1", 0.0), one("e1", 1.0)],
    ]
    texts = said(records)
    assert "1 of 8 trajectories was stopped by infrastructure; it is unscored here, " in texts[0]
    assert texts[1:] == [
        "2 more of 8 trajectories have no outcome at all",
        "1 trajectory repeats another one of its group",
        "1 trajectory id occurs more than once",
        "1 trajectory is masked by the trainer: it counts in pass rates, and in no baseline",
    ]


def test_losses_that_put_numbers_in_doubt_become_sentences():
    losses = {"torn_record": 2, "other_format:atif": 1, "column:x": 9, "not_a_number": 1}
    assert said(MIXED, losses) == [
        "2 records are cut short or damaged and not read: what a killed run left unfinished counts "
        "nowhere",
        "1 number is NaN or infinite in the log and read as missing: a reward of NaN is unscored",
        "1 file was not read: of another format, atif; --format atif reads it",
    ]


@pytest.mark.parametrize("kind", SENTENCES)
def test_every_sentence_can_be_said_of_one_and_of_many(kind):
    for count in (1, 1234):
        (text,) = sentences({f"{kind}:it": count})
        assert not set(text) & set("[]{}|")
        assert ("it" in text) or "{of}" not in SENTENCES[kind]
    assert "1,234" in told("{n}", 1234)


def test_a_name_is_never_taken_for_a_part_of_a_sentence():
    assert told("{n} [column|columns] {of}", 1, "[a|b]{n}") == "1 column [a|b]{n}"


# --- a method that cannot run is said so, and takes nothing with it


@pytest.mark.parametrize("low", [-1.0, -0.5])
def test_outcomes_below_0_are_audited(low):
    found = audited([*group("p", 1.0, low, low), *group("q", 1.0, 0.0)])
    assert found["trajectories"]["passed"] == 2
    assert found["not_applicable"]["max_rl"] == (
        f"max_rl needs mean outcomes above 0, and that of group 'p' is {(1 + 2 * low) / 3:g}; "
        "shift the outcomes or take another method"
    )


def test_a_method_that_breaks_does_not_take_the_audit_with_it():
    @dataclasses.dataclass(frozen=True)
    class Broken(Method):
        name = "broken"
        source = "nobody"

        def terms(self, batch):
            raise IndexError("out of reach")

    recipe = Recipe((Part("grpo", METHODS.get("grpo")()), Part("broken", Broken())))
    batch = Batch.of(MIXED)
    refused: dict[str, str] = {}
    assert [name for name, _ in pipeline.credits(batch, recipe, refused)] == ["grpo"]
    assert refused == {"broken": "broken failed, IndexError: out of reach"}
    with pytest.raises(IndexError):
        list(pipeline.credits(batch, recipe))


def test_a_trial_without_a_trajectory_is_not_called_scored():
    (told_so,) = sentences({"no_trajectory": 1})
    assert told_so == "1 trial has no trajectory: calls, errors and claims cannot be said of it"


def test_a_bar_that_was_stated_is_not_asked_for():
    far = group("a", 0.0, 40.0, 100.0)
    found = [Batch.of(far), [], np.array([False, True, True])]
    assert [t for t in trust(*found, stated=False)["warnings"] if "--pass-at" in t]
    assert not [t for t in trust(*found, stated=True)["warnings"] if "--pass-at" in t]


@pytest.mark.parametrize(
    ("rewards", "warns"),
    [
        (((1.0, 0.5), (0.5, 0.5), (0.0, 0.5)), True),  # half and half would pass
        (((0.5, 0.5), (0.5, 0.0)), False),  # all of both or no pass
        (((1.5, None), (None, 1.0)), False),  # of one part each
        (((1.25, 0.0), (1.0, 0.0)), False),  # the first part is the outcome
    ],
)
def test_a_sum_of_parts_is_told_where_parts_may_make_up_for_each_other(rewards, warns):
    records = [
        one(
            f"a{n}",
            sum(filter(None, each)),
            rewards=dict(zip(("exact", "style"), each, strict=True)),
        )
        for n, each in enumerate(rewards)
    ]
    told_so = [text for text in said(records) if "--pass-at" in text]
    highest = max(sum(filter(None, each)) for each in rewards)
    assert (
        told_so
        == [
            f"the outcome is made of several parts (exact, style), up to {highest:g}, and 1 or "
            "more passes, whichever parts reach it: say with --pass-at what a success is, or with "
            "--outcome which part tells"
        ]
        * warns
    )
    assert not any("several parts" in text for text in said(records, chosen="exact"))
