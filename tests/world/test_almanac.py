"""The almanac: made-up facts that are the same in every task, lines that tell them or mislead."""

import pytest

from assay.errors import UsageError
from assay.rollout.checking import RULES, check
from assay.world import load
from assay.world.facts import facts

SEEDS = range(300)


def asked(seed: int, **dials):
    made = load("almanac", **dials)
    return made, made.reset(seed)


def test_a_question_has_options_and_a_line_that_tells():
    made, prompt = asked(3)
    aspect, _, country = prompt.removeprefix("?").partition(" of ")
    assert made.context() == f"!The {aspect} of {country} is {made.answer()}."
    assert len(set(made.options())) == 4
    assert made.best() in made.options()
    reply = made.step(f"{made.best()}\n")
    assert (reply.done, reply.score) == (True, 1.0)
    wrong = next(each for each in made.options() if each != made.best())
    made.reset(3)
    assert made.step(f"{wrong}\n").score == 0.0
    made.reset(3)
    assert made.step(f">{aspect}({country})\n").end == "budget"


def test_facts_are_those_of_no_world_and_the_same_in_every_task():
    known, of = {}, {}
    for seed in SEEDS:
        made, prompt = asked(seed, countries=8)
        assert known.setdefault(prompt, made.answer()) == made.answer()
        aspect, _, country = prompt.removeprefix("?").partition(" of ")
        of[prompt] = facts().one(aspect, country)
    assert len(known) == 32  # 8 countries with 4 facts each, 300 draws
    assert len({prompt.partition(" of ")[2] for prompt in known}) == 8
    # a shuffle of 232 leaves one where it was; of five regions many are equal by chance
    moved = [known[prompt] != of[prompt] for prompt in known if "region" not in prompt]
    assert sum(moved) >= 21


def test_a_share_of_lines_misleads_and_names_an_option():
    found = {}
    for seed in SEEDS:
        made, prompt = asked(seed, countries=232, wrong=0.3)
        told = made.context().rpartition(" is ")[2].removesuffix(".")
        assert f"={told}" in made.options()
        assert len(set(made.options())) == 4
        assert made.best() in made.options()
        assert found.setdefault(prompt, told) == told
        found[prompt] = told
        found[prompt, "right"] = told == made.answer()
    right = [each for key, each in found.items() if isinstance(key, tuple)]
    assert 0.6 < sum(right) / len(right) < 0.8  # 4 deviations of sqrt(.21 / 250) are .12
    for seed in range(20):
        made, _ = asked(seed, wrong=1.0)
        assert made.answer() not in made.context()


def test_hints_tell_and_mislead():
    made, _ = asked(5)
    assert made.hint("right") == made.context()
    assert made.answer() not in made.hint("wrong")


def test_several_ask_what_the_one_asks():
    both = load("several:lookup/even+almanac")
    one = load("almanac")
    prompt = one.reset(2)  # task 5 of two is task 2 of the second
    assert both.reset(5) == prompt
    assert (both.options(), both.context()) == (one.options(), one.context())
    both.reset(4)
    assert (both.options(), both.context()) == ((), None)


def test_it_is_sound():
    found = {line.rule: line.verdict for line in check(lambda: load("almanac"), range(4))}
    assert found == dict.fromkeys(RULES, "ok")


@pytest.mark.parametrize("dials", [{"options": 6}, {"options": 1}, {"countries": 0},
                                   {"countries": 233}, {"wrong": 1.5}])  # fmt: skip
def test_dials_out_of_range_are_refused(dials):
    with pytest.raises(UsageError, match="almanac: got "):
        load("almanac", **dials)
