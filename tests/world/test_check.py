"""`assay world check` passes what is sound and finds each planted defect by its own rule."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli import world as verbs
from assay.errors import UnknownNameError, UsageError
from assay.world import BUILT_IN, load
from assay.world.checking import RULES, check
from tests.world import bad

run = CliRunner().invoke


def verdicts(made, seeds=range(4)):
    return {line.rule: (line.verdict, line.detail) for line in check(made, seeds)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_families_are_sound(name):
    found = verdicts(lambda: load(name, flaky=0.3))
    assert {rule: v for rule, (v, _) in found.items()} == dict.fromkeys(RULES, "ok")


def test_a_sound_environment_of_thirty_lines_is_sound():
    assert {v for v, _ in verdicts(bad.Good).values()} == {"ok"}


@pytest.mark.parametrize(
    ("made", "rule", "said"),
    [
        (bad.Random_, "same seed, same task", "a second environment differs"),
        (bad.Stained, "same seed, same task", "one used before differs"),
        (bad.Leaking, "no answer in the prompt", "4 of 4 prompts"),
        (bad.Strict, "verifier accepts the expert", "score 0.0; expected 1"),
        (bad.Generous, "verifier rejects the empty answer", "scores 1.0"),
        (bad.Endless, "limits", "did not end it"),
        (bad.Forgiving, "step after the end is refused", "was played"),
        (bad.Crashing, "limits", "raised KeyError"),
        (bad.OutOfRange, "limits", "score -1.0"),
        (bad.Same, "prompts", "seeds 0 to 3 are one task"),
        (bad.NaN, "limits", "score nan"),
    ],
)
def test_each_defect_is_found(made, rule, said):
    verdict, detail = verdicts(made, range(8) if made is bad.Stained else range(4))[rule]
    assert verdict == "finding"
    assert said in detail or made is bad.Same


def test_what_cannot_be_checked_is_not_passed():
    found = verdicts(bad.Silent)
    assert found["verifier accepts the expert"][0] == "skipped"
    assert found["no answer in the prompt"][0] == "skipped"


def test_the_command_prints_a_line_a_rule_and_exits_with_1_on_a_finding():
    sound = run(verbs.app, ["check", "tests.world.bad:Good"])
    assert sound.exit_code == 0
    assert len(sound.stdout.splitlines()) == len(RULES)
    leaking = run(verbs.app, ["check", "tests.world.bad:Leaking", "--json", "-"])
    assert leaking.exit_code == 1
    result = json.loads(leaking.stdout)
    assert result["schema"] == "assay.check/1"
    assert {x["rule"] for x in result["lines"] if x["verdict"] == "finding"} == {
        "no answer in the prompt"
    }


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("lokup", UnknownNameError, "Did you mean 'lookup'"),
        ("lookup/easy", UnknownNameError, "lookup has no level 'easy'. Known: even, hard, dead"),
        ("no_such_module:X", UnknownNameError, "expected my_package:MyEnvironment"),
        ("tests.world.bad:Missing", UnknownNameError, "Missing"),
        ("tests.world.bad:NOT_A_CLASS", UsageError, "expected a class that derives"),
        (":", UnknownNameError, "expected my_package:MyEnvironment"),
    ],
)
def test_names_that_are_wrong_are_one_clear_line(name, error, said):
    with pytest.raises(error) as raised:
        load(name)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_list_and_play(monkeypatch):
    listed = run(verbs.app, ["list", "--json", "-"])
    assert [e["name"] for e in json.loads(listed.stdout)["environments"]][:5] == list(BUILT_IN)
    assert "lookup/dead" in run(verbs.app, ["list"]).stdout
    environment = load("lookup", hops=1)
    environment.reset(7)
    played = run(
        verbs.app,
        ["play", "lookup", "--set", "hops=1", "--seed", "7", "--hint", "right"],
        input=f">fly(x)\n={environment.answer()}\n",
    )
    assert played.exit_code == 0
    assert "<error no tool fly" in played.stdout
    assert "!first " in played.stdout
    assert played.stdout.splitlines()[-1].startswith("score 1; ")
