"""`assay world check` passes what is sound and finds each planted defect by its own rule."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli import world as verbs
from assay.errors import UnknownNameError, UsageError
from assay.rollout.checking import RULES, check
from assay.world import BUILT_IN, FAMILIES, load
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
        (bad.Lavish, "verifier accepts the expert", "score 5.0; expected one in [0, 1]"),
        (bad.Twin, "copies", "a copy and then its original say"),
        (bad.Partless, "verifier accepts the expert", "part 'tone' is inf"),
    ],
)
def test_each_defect_is_found(made, rule, said):
    verdict, detail = verdicts(made, range(8) if made is bad.Stained else range(4))[rule]
    assert verdict == "finding"
    assert said in detail or made is bad.Same


def test_an_expert_that_runs_out_of_steps_says_nothing_of_the_verifier():
    rule = "verifier accepts the expert"
    assert verdicts(bad.Late)[rule] == ("skipped", "the expert runs out of steps on 4 tasks of 4")
    some = verdicts(lambda: bad.Late(every=2))[rule]
    assert some == ("ok", "score 1 on 2 tasks, 2 steps at most; out of steps on 2")
    assert verdicts(lambda: load("twenty/dead"))[rule][0] != "finding"


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


BROKEN = """
from assay.world import Environment

class Broken(Environment):
    def __init__(self, where="here"):
        raise RuntimeError(f"no database {where}:\\n  gave up")
    def reset(self, seed): ...
    def step(self, text): ...
"""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("def (\n", "importing {name} raised SyntaxError: invalid syntax ({name}.py, line 1); "),
        (
            "raise RuntimeError('two\\nlines')\n",
            "importing {name} raised RuntimeError: two lines; ",
        ),
        ("import no_such_module_9\n", "{name}:Broken: No module named 'no_such_module_9'; "),
        (BROKEN, "{name}:Broken() raised RuntimeError: no database here: gave up; it takes where"),
    ],
)
def test_what_a_module_of_yours_raises_is_one_clear_line(module, said, tmp_path, monkeypatch):
    name = f"of_yours_{abs(hash(module))}"  # modules are kept under their names
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError) as raised:
        load(f"{name}:Broken")
    assert said.format(name=name) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_dial_of_the_wrong_type_is_one_clear_line():
    with pytest.raises(UsageError) as raised:
        load("lookup", hops="x")
    assert str(raised.value).startswith("lookup(hops='x') raised Type")
    assert str(raised.value).endswith("; it takes hops, renamed, flaky, steps")
    with pytest.raises(UsageError, match=r"^lookup: got hops=99; expected 1 to 8$"):
        load("lookup", hops=99)


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


def test_an_end_that_nobody_scored_is_said_and_not_formatted():
    played = run(verbs.app, ["play", "tests.world.bad:Unscored", "--seed", "1"], input="=1\n")
    assert played.exit_code == 0
    assert played.stdout.splitlines()[-1].startswith("not scored; the reference is ")


def test_one_plug_in_that_cannot_be_made_leaves_the_others_listed(monkeypatch):
    class Added:
        name, value = "needy", "tests.world.bad:Needy"

        def load(self):
            return bad.Needy

    monkeypatch.setattr(FAMILIES, "_added", lambda: (Added(),))
    listed = run(verbs.app, ["list", "--json", "-"])
    assert listed.exit_code == 0
    rows = json.loads(listed.stdout)["environments"]
    assert [row["name"] for row in rows] == [*BUILT_IN, "almanac", "needy"]
    assert "where" in rows[-1]["example"]
    assert "\n" not in rows[-1]["example"]
