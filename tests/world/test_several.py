"""Several environments as one: whose task a seed is, and that all is the current one's."""

import pytest

from assay.errors import UnknownNameError, UsageError
from assay.rollout.protocols.chat import spoken
from assay.rollout.protocols.line import LINE
from assay.rollout.recording import led, solve, task_name
from assay.world import load
from assay.world.several import domains

NAME = "several:lookup/even+countdown/even+lake/even"
PARTS = ("lookup/even", "countdown/even", "lake/even")


def test_the_seed_says_of_which_it_is():
    # 3 domains: seeds 7, 8, 9 are tasks 2 of the second, 2 of the third, 3 of the first
    several = load(NAME)
    for seed, part, task in ((7, PARTS[1], 2), (8, PARTS[2], 2), (9, PARTS[0], 3)):
        assert several.reset(seed) == load(part).reset(task)


@pytest.mark.parametrize("seed", range(6))
def test_all_it_says_is_what_the_current_one_says(seed):
    several, alone = load(NAME), load(PARTS[seed % 3])
    turns, reply = led(several, seed)
    expected, other = led(alone, seed // 3)
    assert (turns, reply) == (expected, other)
    assert solve(several, seed) == solve(alone, seed // 3)
    several.reset(seed)
    alone.reset(seed // 3)
    for name in ("answer", "belief", "progress", "best", "achieved", "tools", "system"):
        assert getattr(several, name)() == getattr(alone, name)(), name
    for kind in ("right", "neutral", "wrong"):
        assert several.hint(kind) == alone.hint(kind)
    key = alone.state_key()
    assert several.state_key() == (key and f"{PARTS[seed % 3]} {key}")
    assert several.as_call("x") == alone.as_call("x")


def test_a_name_of_a_task_does_not_depend_on_what_was_played():
    several = load(NAME)
    before = task_name(several, 8)
    several.reset(4)
    assert task_name(several, 8) == before
    assert task_name(several, 9) != before


def test_a_copy_plays_on_by_itself():
    several = load(NAME)
    several.reset(1)
    copy = several.fork()
    turn = several.best()
    first = several.step(f"{turn}\n")
    assert copy.step(f"{turn}\n") == first
    copy.reset(2)
    again = load(NAME)
    again.reset(1)
    again.step(f"{turn}\n")
    assert several.best() == again.best()


def test_dials_are_given_by_name():
    several = load("several:lookup+countdown", countdown={"numbers": 4})
    alone = load("countdown", numbers=4)
    assert several.reset(5) == alone.reset(2)
    with pytest.raises(UsageError, match="expected tables named lookup, countdown"):
        load("several:lookup+countdown", lake={"size": 3})
    with pytest.raises(UsageError, match="got dials countdown=4"):
        load("several:lookup+countdown", countdown=4)


@pytest.mark.parametrize("name", ["several:lookup", "several:lookup+", "several:lake+lake"])
def test_what_is_not_several_is_refused(name):
    with pytest.raises(UsageError, match="two or more environments, each once"):
        domains(name)
    with pytest.raises(UsageError, match="two or more environments"):
        load(name)


def test_names_are_looked_up_one_by_one():
    assert domains("lookup/even") == ("lookup/even",)
    assert domains(NAME) == PARTS
    with pytest.raises(UnknownNameError, match="has no level 'evn'"):
        load("several:lookup/evn+lake")
    with pytest.raises(UsageError, match="several:lookup/even: expected two"):
        load("several:lookup/even")


def test_it_is_played_in_lines_where_its_parts_are():
    assert spoken(load(NAME)) is LINE
    with pytest.raises(UsageError, match="some of these are played in lines and others by tools"):
        load("several:lookup+tests.runs.tiny:Letter")
