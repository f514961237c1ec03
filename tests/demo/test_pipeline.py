"""The demo end to end with a tiny policy: one budget, resumption, a page that loads nothing."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.demo.plan import opened, plan
from assay.demo.words import verdict
from assay.errors import UsageError
from assay.runs.config import Config
from tests.processes import process
from tests.runs.tiny import PATHS, assay, policy

pytestmark = pytest.mark.slow

SETTINGS = {
    "env.name": "tests.runs.tiny:Letter", "rollout.budget_tokens": 0, "train.steps": 6,
    "train.prompts": 4, "train.group": 4,
    "train.micro": 0, "train.pool": 10, "train.save_every": 1, "train.max_tokens": 6,
    "train.turn_tokens": 6, "train.max_length": 32, "eval.prompts": 4, "eval.samples": 8,
}  # fmt: skip


def asked(folder: Path) -> list[str]:
    pairs = {**SETTINGS, "model.name": str(folder / "policy")}
    changes = (part for name, value in pairs.items() for part in ("--set", f"{name}={value}"))
    return ["demo", "--out", "out", "--seed", "5", *changes]


def ended(folder: Path, end: Callable[[int], None], *more: str) -> int:
    """Begins a demo, and ends it once every arm has a checkpoint; returns its exit code."""
    with process(
        [sys.executable, "-m", "assay", *asked(folder), *more],
        cwd=folder, env={**os.environ, "PYTHONPATH": PATHS}, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:  # fmt: skip
        until = time.monotonic() + 240
        while running.poll() is None and time.monotonic() < until:
            done = (folder / "out").glob("*/checkpoints/step_*/COMMITTED")
            if len({each.parents[2] for each in done}) == 2:
                end(running.pid)
                break
            time.sleep(0.02)
        return running.wait(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo that was interrupted, run again, and is finished."""
    folder = tmp_path_factory.mktemp("demo")
    policy(folder / "policy")
    assert ended(folder, lambda pid: os.killpg(pid, signal.SIGINT)) == 130
    assert not (folder / "out" / "report.html").exists()
    again = assay(*asked(folder), cwd=folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == "report  out/report.html"
    return folder


@pytest.fixture(scope="module")
def result(folder: Path):
    return json.loads((folder / "out" / "report.json").read_bytes())


def rows(path: Path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_demo_that_is_killed_takes_its_arms_with_it(tmp_path: Path):
    policy(tmp_path / "policy")
    endless = ("--set", "train.steps=100000", "--set", "train.save_every=1")
    killed = ended(tmp_path, lambda pid: os.kill(pid, signal.SIGKILL), *endless)
    assert killed == -signal.SIGKILL
    for arm in ("grpo", "rescue"):
        with (tmp_path / "out" / arm / "LOCK").open() as lock:
            until = time.monotonic() + 30
            while True:  # the arm holds it as long as it lives
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    assert time.monotonic() < until, f"{arm} is still training"
                    time.sleep(0.1)


def test_an_interrupted_arm_ends_as_one_that_was_not(folder: Path):
    whole = assay("train", "out/grpo.toml", "--out", "whole", "--seed", "5", cwd=folder)
    assert whole.returncode == 0, whole.stderr
    for name in ("metrics.jsonl", "ledger.jsonl"):
        assert (folder / "out/grpo" / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_both_arms_spend_the_same_budget(folder: Path, result):
    # 6 steps of 4 tasks x 4 attempts: 24 tasks, 96 trajectories
    ledgers = {name: rows(folder / "out" / name / "ledger.jsonl") for name in ("grpo", "rescue")}
    assert list(result["arms"]) == ["grpo", "rescue"]
    for name, ledger in ledgers.items():
        budget = result["arms"][name]["budget"]
        assert (budget["prompts"], budget["trajectories"]) == (24, 96)
        assert budget["tokens"] == sum(row["tokens"] for row in ledger)
        assert budget["calls"] == sum(row["calls"] for row in ledger)
    tasks = [[row["tasks"] for row in ledger] for ledger in ledgers.values()]
    assert tasks[0] == tasks[1]


def test_the_signal_is_what_the_metrics_say(folder: Path, result):
    for name, arm in result["arms"].items():
        metrics = rows(folder / "out" / name / "metrics.jsonl")
        assert arm["curve"]["reward"] == [row["reward"] for row in metrics]
        for sign in ("positive", "negative"):
            total = sum(row[f"mass/{sign}"] for row in metrics)
            assert arm["mass"][sign] == pytest.approx(total)
        dead = sum(row["dead_share"] for row in metrics) / 6
        assert sum(arm["dead"].values()) == pytest.approx(dead)


def test_numbers_on_the_page_are_those_of_the_files(folder: Path, result):
    page = (folder / "out" / "report.html").read_text("utf-8")
    measured = json.loads((folder / "out" / "eval" / "eval.json").read_bytes())
    for name, arm in {**measured["arms"], "null": measured["null"]}.items():
        ends = arm["ci"][0]
        told = "" if ends is None else f" <small>{ends[0]:.3f} to {ends[1]:.3f}"
        assert f"{arm['pass_at_k'][0]:.3f}{told}" in page, name
        assert f"{arm['difference']['value']:+.3f} <small>" in page
    for arm in result["arms"].values():
        assert f"<td>{arm['budget']['tokens']:,}</td>" in page
        assert f"<td>{arm['mass']['negative']:,.0f}</td>" in page


def test_the_page_loads_nothing_and_its_links_lead_somewhere(folder: Path):
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert not re.search(
        r"https?://|<script|<link (?!rel=\"icon\" href=\"data:,\")|url\(|src=\"(?!data:image/)",
        page,
    )
    links = [link for link in re.findall(r'href="([^"]+)"', page) if link != "data:,"]
    assert sorted(links) == [
        "grpo/audit/report.html", "recorded/report.html", "rescue/audit/report.html",
    ]  # fmt: skip
    for link in links:
        assert (folder / "out" / link).is_file()


def test_a_finished_demo_says_so_and_another_plan_is_refused(folder: Path):
    before = (folder / "out" / "report.html").stat().st_mtime_ns
    again = assay(*asked(folder), cwd=folder)
    assert again.returncode == 0
    assert "finished before" in again.stderr
    assert again.stdout.splitlines()[-1] == "report  out/report.html"
    assert (folder / "out" / "report.html").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="another seed"):
        opened(plan(SETTINGS, 6), folder / "out")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="no demo's folder"):
        opened(plan({}, 0), tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_arms_differ_in_nothing_but_credit_and_rescue():
    made = plan({}, 0)
    grpo, ours = made.arms["grpo"], made.arms["rescue"]
    differ = [
        name for name in Config.__struct_fields__ if getattr(grpo, name) != getattr(ours, name)
    ]
    assert differ == ["about", "rescue", "recipe"]
    assert (grpo.env.name, grpo.rescue.kind) == ("lookup/dead", "none")
    assert grpo.rollout.budget_tokens == ours.rollout.budget_tokens > 0
    for change in ({"recipe.method": "nsr"}, {"rescue.tries": 3}):
        with pytest.raises(UsageError, match="differ in"):
            plan(change, 0)


def gap(value: float, low: float, high: float):
    return {"value": value, "low": low, "high": high, "excludes_zero": low > 0 or high < 0}


@pytest.mark.parametrize(
    ("between", "says"),
    [
        (gap(0.05, 0.01, 0.09), "rescue beat grpo"),
        (gap(0.05, -0.01, 0.09), "rescue did not beat grpo on this run"),
        (gap(-0.05, -0.09, -0.01), "grpo was better"),
    ],
)
def test_the_page_says_who_won_only_where_the_interval_does(between, says):
    arms = {
        "grpo": {"difference": gap(0.2, 0.1, 0.3), "budget": {"tokens": 10}},
        "rescue": {"difference": gap(0.01, -0.1, 0.1), "budget": {"tokens": 12}},
    }
    null = {"difference": gap(0.0, -0.02, 0.02)}
    said = verdict({"arms": arms, "against": {"rescue": {"arm": "grpo", **between}}, "null": null})
    assert said[0].startswith("grpo learnt: pass@1 +0.200")
    assert said[1].startswith("rescue shows no change")
    assert says in said[2]
    assert ("not beat" in said[2]) == (between["low"] <= 0)
    assert "gives nothing away" in said[3]


def test_without_torch_it_says_what_to_install_and_what_runs(tmp_path: Path):
    script = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "sys.argv = ['assay', 'demo']\nfrom assay.cli import main\nmain()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert "assay[train]" in line
    assert "--audit-only" in line
    assert not list(tmp_path.iterdir())
