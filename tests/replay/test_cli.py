"""`assay replay` of a training run, and of logs, by the command line."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("trl")

from msgspec import structs

from assay.records import Trajectory, read, replayed, write
from assay.runs.config import parsed
from assay.runs.start import start
from tests.cli.conftest import Assay, assay
from tests.runs import tiny
from tests.trainers.trl.quiet import MARKS

__all__ = ["assay"]
pytestmark = MARKS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = parsed(tiny.settings(tiny.policy(folder / "policy"), steps=2))
    return start(config, folder / "run", seed=0).path


def test_a_run_is_replayed_and_says_what_it_spends_first(assay: Assay, run: Path, tmp_path: Path):
    shutil.copytree(run, tmp_path / "run")
    said = assay("replay", "run", "--decisions", "6", "--samples", "3", "--processes", "1")
    assert said.code == 0
    # one turn a trajectory: the end of each is known, so there is one point a decision
    assert "batches 1 to 2, continued by the policy after step 2" in said.err
    assert "budget: 6 decisions, 18 continuations, about " in said.err
    assert said.text.startswith("No method stands above its own credit")
    assert "comparisons with a shuffled control were made" in said.text
    assert "tasks are too few: intervals take 10 tasks; what is left out (auroc_" in said.text
    assert "Finding the steps that matter" not in said.text, "a table of nothing"
    assert len(said.text.splitlines()) < 40, "the rest is in the page"
    whole = (tmp_path / "run" / "replay" / "truth.md").read_text()
    assert "## Rank correlation of credit and true advantage" in whole
    assert "- tree_grpo: needs trees, and no trajectory of the set has any: " in whole
    count = whole.partition("## Not compared")[2].count("\n- ")
    assert f"replay/truth.md  ({count} are not compared)" in said.text
    rows = list(replayed(tmp_path / "run" / "replay" / "decisions.jsonl"))
    assert [row.before.count for row in rows] == [3] * 6
    assert all(row.after.exact for row in rows)
    before = (tmp_path / "run" / "replay" / "decisions.jsonl").read_bytes()
    asked = ("replay", "run", "--decisions", "6", "--samples", "3", "--json", "-")
    other = assay(*asked, "-m", "grpo:ddof=0").json["methods"]
    again = assay(*asked)
    assert again.code == 0
    assert other.pop("grpo:ddof=0")["decisions"] == 6
    assert other == again.json["methods"]
    assert again.json["schema"] == "assay.truth/1"
    assert again.json == json.loads((tmp_path / "run" / "replay" / "truth.json").read_bytes())
    assert "budget" not in again.err  # nothing is left to spend
    assert (tmp_path / "run" / "replay" / "decisions.jsonl").read_bytes() == before


def test_the_policy_that_a_run_began_with_continues_its_first_batch(assay: Assay, run: Path):
    said = assay(
        "replay", run, "--decisions", "2", "--samples", "2", "--checkpoint", "0", "-o", "base"
    )
    assert said.code == 0
    assert "batches 1 to 1, continued by the policy that the run began with" in said.err


def test_a_log_is_replayed_with_the_environment_that_is_named(
    assay: Assay, run: Path, tmp_path: Path
):
    policy = run.parent / "policy"
    log = run / "rollouts" / "step_000001.jsonl"
    options = ("--model", policy, "--decisions", "2", "--samples", "2", "--processes", "1")
    said = assay("replay", log, "--env", "tests.runs.tiny:Letter", *options, "-o", "out")
    assert said.code == 0
    assert len(list(replayed(tmp_path / "out" / "decisions.jsonl"))) == 2
    task = next(iter(read(log))).task
    said = assay(
        "replay", log, "--env", "tests.runs.tiny:Letter", *options, "--task", task, "-o", "one"
    )
    assert {row.task for row in replayed(tmp_path / "one" / "decisions.jsonl")} == {task}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "is a log; name a folder for the result with -o"),
        (("-o", "out", "--checkpoint", "1"), "--checkpoint: a log has none; name --model"),
        (
            ("-o", "out", "--env", "lookup"),
            "the environment makes lookup[hops=2,flaky=0.0,steps=7]",
        ),
        (("-o", "out", "--task", "nothing"), "no decision to replay; expected scored"),
        (("-o", "out", "-m", "gpro"), "gpro"),
        (("-o", "policy.toml/out", "--model", "no/such"), "policy.toml/out: cannot be written"),
        (("-o", "out", "-m", "tree_grpo"), "-m tree_grpo: tree_grpo needs trees"),
        (("-o", "out", "-m", "carl", "-m", "gigpo:w=x"), "gigpo: "),
        (
            ("-o", "out", "-m", "tree_grpo:compare=intra"),
            "-m tree_grpo:compare=intra: tree_g",
        ),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_spent(
    assay: Assay, run: Path, tmp_path: Path, arguments: tuple[str, ...], error: str
):
    (tmp_path / "policy.toml").write_text("")
    env = () if "--env" in arguments else ("--env", "tests.runs.tiny:Letter")
    said = assay("replay", run / "rollouts" / "step_000001.jsonl", *env, *arguments)
    assert said.code in (2, 3)
    assert error in said.error
    assert not (tmp_path / "out").exists()  # a plan that stayed would refuse what is asked next


def test_options_of_logs_are_refused_for_runs_and_checkpoints_are_named(assay: Assay, run: Path):
    assert assay("replay", run, "--model", "x").error.startswith("--model: a training run says it")
    assert (
        "no checkpoint of step 9; there are 0, 1, 2"
        in assay("replay", run, "--checkpoint", "9").error
    )


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ({}, "no origin.extra['family']; expected one of lookup, countdown"),
        ({"family": "maze", "seed": "1"}, "origin.extra['family'] is 'maze'"),
        ({"family": "lookup", "seed": "1", "dials": "x"}, "origin.extra['dials'] is 'x'"),
        ({"family": "lookup", "dials": "{}"}, "origin.extra['seed'] is ''"),
    ],
)
def test_records_that_do_not_say_how_to_start_again(
    assay: Assay, run: Path, tmp_path: Path, extra: dict[str, str], error: str
):
    (first, *_) = read(run / "rollouts" / "step_000001.jsonl")
    assert first.origin is not None
    changed: Trajectory = structs.replace(first, origin=structs.replace(first.origin, extra=extra))
    write(tmp_path / "log.jsonl", [changed])
    said = assay("replay", "log.jsonl", "-o", "out")
    assert said.code in (2, 3)
    assert error in said.error


def test_a_log_of_two_environments_is_refused_before_anything_is_played(
    assay: Assay, run: Path, tmp_path: Path
):
    records = list(read(run / "rollouts" / "step_000001.jsonl"))
    other = structs.replace(records[-1], task="letter[hard=1]/3")
    unscored = structs.replace(records[0], id="u", task="other[]/0", outcome=None)
    options = ("--env", "tests.runs.tiny:Letter", "--model", run.parent / "policy", "-o", "out")
    many = ("--decisions", "2", "--samples", "2", "--processes", "1")
    write(tmp_path / "log.jsonl", [*records[:-1], other])
    said = assay("replay", "log.jsonl", *options, *many)
    assert said.code == 2
    assert f"trajectory {other.id!r} is of task letter[hard=1]/3; the environment" in said.error
    assert "a log of it alone" in said.error
    assert not (tmp_path / "out").exists()
    write(tmp_path / "log.jsonl", [unscored, *records])
    assert assay("replay", "log.jsonl", *options, *many).code == 0
