"""Values that a verb cannot work with are refused before it begins, in one line."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import assay.cli as command_line
from assay.cli import eval_
from assay.cli.train import asked_for_more
from tests.cli.conftest import Assay

TOO_LARGE = str(2**32)


@pytest.mark.parametrize("seed", ["-1", TOO_LARGE])
@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "LOG", "--json", "f"],
        ["train", "grpo", "-o", "x"],
        ["eval", "x"],
        ["demo", "-o", "x"],
        ["world", "play", "lookup"],
        ["world", "measure"],
    ],
)
def test_seeds_are_those_that_every_source_of_chance_takes(
    assay: Assay, log: Path, tmp_path: Path, arguments: list[str], seed: str
):
    ended = assay(*(str(log) if a == "LOG" else a for a in arguments), "--seed", seed)
    assert ended.code == 2
    assert "Invalid value for '--seed'" in ended.error
    assert list(tmp_path.iterdir()) == [log]


def test_the_largest_seed_is_taken(assay: Assay, log: Path):
    assert assay("audit", log, "--json", "-", "--seed", 2**32 - 1).code == 0


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("verb", [["audit"], ["credit", "-m", "psr"]])
def test_a_bar_is_a_finite_number(assay: Assay, log: Path, verb: list[str], value: str):
    ended = assay(*verb, log, "--json", "-", f"--pass-at={value}")
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error == f"--pass-at {value}: expected a finite number"


@pytest.mark.parametrize("option", ["--samples", "--prompts"])
def test_eval_counts_from_one(assay: Assay, option: str):
    for value in ("-3", "0"):
        ended = assay("eval", "x", option, value)
        assert ended.code == 2
        assert f"Invalid value for '{option}'" in ended.error


def test_eval_refuses_a_file_for_its_folder_before_it_measures(assay: Assay, log: Path):
    ended = assay("eval", "x", "-o", log)
    assert ended.code == 2
    assert "is a file" in ended.error


def test_a_log_that_is_not_there(assay: Assay, tmp_path: Path):
    """Its run would go to runs/tpyo, which is the log's own name."""
    ended = assay("audit", "runs/tpyo")
    assert (ended.code, ended.error) == (3, "runs/tpyo: no such file")
    assert list(tmp_path.iterdir()) == []


# --- configurations


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"env.name": "lookp"}, "no environment 'lookp'. Did you mean 'lookup'?"),
        ({"env.name": "lookup/easy"}, "lookup has no level 'easy'. Known: even, hard, dead"),
        ({"env.dials.hops": 99}, "lookup: got hops=99; expected 1 to 8"),
        ({"env.dials.hop": 2}, "got an unexpected keyword argument 'hop'; it takes hops"),
        ({"train.turn_tokens": 0}, "train.turn_tokens: got 0; expected at least 1"),
    ],
)
@pytest.mark.parametrize("verb", [["train", "grpo", "--print-config"], ["demo"]])
def test_a_configuration_is_whole_before_anything_is_made(
    assay: Assay, tmp_path: Path, verb: list[str], changes: dict[str, Any], said: str
):
    pairs = [f"--set={name}={json.dumps(value)}" for name, value in changes.items()]
    ended = assay(*verb, *pairs)
    assert ended.code == 2
    assert said in ended.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[about]\ntitle = "\xff"\n', "recipe own.toml: not UTF-8 at byte 17; save it as UTF-8"),
        (b"[env.dials]\nd = 2026-01-01\n", "recipe own.toml: env.dials.d is 2026-01-01; expected"),
        (b"[train]\nlearning_rate = inf\n", "train.learning_rate: got inf; expected a finite"),
    ],
)
def test_a_recipe_that_no_run_can_write_down(
    assay: Assay, tmp_path: Path, content: bytes, said: str
):
    (tmp_path / "own.toml").write_bytes(content)
    ended = assay("train", "own.toml", "-o", "x")
    assert ended.code == 2
    assert said in ended.error
    assert [path.name for path in tmp_path.iterdir()] == ["own.toml"]


# --- runs


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What is left of a training run."""
    (tmp_path / "g-0").mkdir()
    (tmp_path / "g-0" / "run.json").write_text('{"schema": "assay.run/1", "kind": "train"}')
    return Path("g-0")


def test_a_run_without_its_configuration(assay: Assay, run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(eval_, "check_installed", lambda verb: None)
    ended = assay("eval", run)
    assert ended.code == 3
    assert ended.error.startswith("g-0: the run has no config.toml, ")


def test_view_audits_a_run_again_when_its_replay_is_newer(assay: Assay, run: Path, log: Path):
    (run / "rollouts").mkdir()
    shutil.copy(log, run / "rollouts" / "0.jsonl")
    page = run / "audit" / "report.html"
    assert assay("view", run, "--no-open").code == 0
    page.write_text("kept")
    assert assay("view", run, "--no-open").code == 0
    assert page.read_text() == "kept"
    (run / "replay").mkdir()
    (run / "replay" / "decisions.jsonl").touch()
    os.utime(page, (0, 0))
    os.utime(run / "rollouts" / "0.jsonl", (0, 0))
    assert assay("view", run, "--no-open").code == 0
    assert "the replay is not finished" in page.read_text("utf-8")


def test_view_says_how_a_report_is_made(assay: Assay, run: Path, log: Path):
    ended = assay("view", run)  # a training run is audited on the way; this one is empty
    assert (ended.code, ended.out) == (3, b"")
    assert ended.error.startswith("g-0/rollouts: no such file")
    assay("audit", log, "-o", "audited", "--no-report")
    said = "audited: no report here; make one with assay audit LOG --out audited"
    assert assay("view", "audited").error == said


# --- environments


def test_an_environment_is_looked_up_before_the_policy_is_loaded(
    assay: Assay, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "assay.evaluate.measure", None)
    ended = assay("world", "measure", "--env", "lookup/dead", "--env", "nope")
    assert ended.code == 2
    assert ended.error.startswith("no environment 'nope'. Known: lookup")


OWN = """
from assay.world import Environment, Reply

class Crashing(Environment):
    def __init__(self, at="reset"):
        self.at = at
    def reset(self, seed):
        if self.at == "reset":
            raise KeyError("two\\nlines")
        return "?x"
    def step(self, text):
        raise KeyError("two\\nlines")
"""


def test_an_environment_of_the_folder_one_is_in_may_crash(
    assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "path", list(sys.path))  # the verb adds the folder
    (tmp_path / "own_crashing.py").write_text(OWN)
    monkeypatch.setattr("builtins.input", lambda: "=x")
    for at in ("reset", "step"):
        ended = assay("world", "play", "own_crashing:Crashing", "--set", f"at={at}", "--seed", 7)
        assert ended.code == 3
        assert f"environment Crashing, task of seed 7: {at} raised KeyError" in ended.error


# --- what is not installed

CLAIMS = str(Path(__file__).parents[2] / "claims")


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "x"],
        ["claims", "run", "dead_start", "--quick", "--folder", CLAIMS],
        ["world", "measure", "--env", "lookup"],
    ],
)
def test_a_missing_extra_is_named_before_anything_begins(
    assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    monkeypatch.setitem(sys.modules, "torch", None)
    ended = assay(*arguments)
    verb = " ".join(arguments[: 1 if arguments[0] == "eval" else 2])
    needs = "needs torch, which is not installed: pip install 'assay[train]'"
    assert (ended.code, ended.error) == (2, f"assay {verb} {needs}")
    assert list(tmp_path.iterdir()) == []


# --- consoles


def test_every_verb_prints_to_the_console_that_lets_a_closed_pipe_through():
    folder = Path(command_line.__file__).parent
    using = [p.name for p in folder.glob("*.py") if "rich.console" in p.read_text("utf-8")]
    assert using == ["options.py"]


def test_brackets_in_the_name_of_a_run_are_no_markup(capsys: pytest.CaptureFixture[str]):
    curve = {"pass_at_k": [0.5], "ci": [[0.25, 0.75]]}
    none = {"pass_at_k": [0.5], "ci": [None]}
    new = {"solved": 1, "once": 0.5, "unreached_by_base": 2}
    gap = {"value": 0.25, "low": 0.125, "high": 0.5}
    eval_._print(
        {
            **{"prompts": 2, "samples": 2, "k": [1], "books": None},
            "base": curve,
            "null": {**none, "newly_solved": new},
            "arms": {
                "[red]run": {
                    **curve,
                    "difference": gap,
                    "newly_solved": new,
                    "calibration": None,
                }
            },
        }
    )
    said = capsys.readouterr().out
    assert said.count("[red]run") == 2  # in the table, and below it
    assert said.count("0.500 [0.250, 0.750]") == 2
    assert said.count("0.500 -") == 1  # too few tasks for an interval


def test_one_process_where_several_were_asked_for_is_noticed():
    alone = {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_MIXED_PRECISION": "no"}
    assert asked_for_more(alone)
    assert not asked_for_more({**alone, "WORLD_SIZE": "2", "LOCAL_RANK": "0"})
    assert not asked_for_more({"ACCELERATE_MIXED_PRECISION": "no"})
    assert not asked_for_more({"MASTER_ADDR": "10.0.0.1"})
