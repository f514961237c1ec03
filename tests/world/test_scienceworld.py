"""ScienceWorld through its own Java process. What is expected is read off the task's own words."""

import sys
from shutil import which

import pytest

from assay.errors import MissingExtraError, UnknownNameError, UsageError
from assay.rollout.checking import check
from assay.world import load
from assay.world.adapters import scienceworld as module

pytestmark = pytest.mark.slow

NAME = "scienceworld:lifespan-longest-lived"


@pytest.fixture
def science():
    pytest.importorskip("scienceworld", reason="needs the extra assay[scienceworld]")
    if which("java") is None:
        pytest.skip("needs a Java runtime")


def test_without_the_library_or_java_one_line_says_so(monkeypatch):
    monkeypatch.setattr(module, "_SERVERS", {})
    monkeypatch.setitem(sys.modules, "scienceworld", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'assay\[scienceworld\]'"):
        load(NAME)
    monkeypatch.setitem(sys.modules, "scienceworld", sys)
    monkeypatch.setattr(module, "which", lambda name: None)
    with pytest.raises(MissingExtraError, match="needs a Java runtime"):
        load(NAME)
    with pytest.raises(UsageError, match="got part=all; expected train, dev or test"):
        load(NAME, part="all")


@pytest.mark.usefixtures("science")
def test_names_and_simplifications_are_the_world_s():
    with pytest.raises(UnknownNameError, match=r"no task 'boyl'. Did you mean 'boil'"):
        load("scienceworld:boyl")
    with pytest.raises(UsageError, match=r"got easy=open; expected some of easy, noE"):
        load(NAME, easy="open")


@pytest.mark.usefixtures("science")
def test_two_worlds_of_one_process_do_not_touch_and_a_used_one_starts_afresh():
    one, other = load(NAME), load("scienceworld:find-plant")
    prompt, key = one.reset(1), one.state_key()
    solution = []
    while (turn := one.best()) is not None:
        other.reset(0) if not solution else other.step("look around")
        solution.append(turn)
        reply = one.step(f"{turn}\n")
        if reply.done:
            break
    assert (reply.score, dict(reply.parts), reply.end) == (1.0, {"score": 1.0}, "answered")
    assert one.state_key() != key
    assert (one.reset(1), one.state_key()) == (prompt, key)  # the score of before is gone
    replayed = [one.step(turn) for turn in solution]
    assert (replayed[-1].score, replayed[0].ran) == (1.0, True)
    with pytest.raises(UsageError, match="after the end"):
        one.step("look around")
    assert one.dials() == {"task": "lifespan-longest-lived", "part": "train"}


@pytest.mark.usefixtures("science")
def test_what_is_not_understood_did_not_run_and_a_lost_task_scores_nothing():
    environment = load(NAME, steps=2)
    environment.reset(0)
    assert environment.best() is not None
    assert environment.step("#I think\ndance wildly").ran is False
    assert environment.best() is None  # the solution was left
    last = environment.step("inventory")
    assert (last.done, last.end, last.score) == (True, "budget", 0.0)
    environment = load("scienceworld:boil")
    environment.reset(0)
    lost = environment.step("focus on agent")  # "First, focus on the substance"
    assert (lost.done, lost.score, lost.end) == (True, 0.0, "answered")
    assert lost.parts["score"] < 0
    assert "OBJ" in environment.system()


@pytest.mark.usefixtures("science")
def test_a_task_passes_the_check():
    lines = list(check(lambda: load(NAME, steps=12), range(1)))
    assert [line for line in lines if line.verdict == "finding"] == []
    assert {line.rule: line.verdict for line in lines}["verifier accepts the expert"] == "ok"
