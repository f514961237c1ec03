"""Cells, rows on disk, and a run that goes on."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from claims.noise import FalseNegatives
from claims.sign_by_difficulty import SCALES

from assay.claims import Arm, Row, Rows, committed, experiment, with_controls
from assay.claims import load as experiments
from assay.claims.cells import ARMS, Cell, Scale
from assay.claims.forecast import Forecast
from assay.claims.page import figures, page, summary
from assay.claims.results import data, parsed, read
from assay.errors import DataError, UnknownNameError, UsageError
from assay.recipes import Recipe
from assay.recipes import read as load_recipe
from assay.rollout.recording import solve
from assay.runs.config import parsed as configured
from assay.world import load
from tests.processes import process

CLAIMS = Path(__file__).parents[2] / "claims"
EXPERIMENTS = experiments(CLAIMS)

TINY = Scale(name="tiny", steps=1, prompts=1, group=2, checkpoints=1, held_out=2, samples=2)
BASE = Cell(env="lookup", start="strong", arm="base", seed=0)


def test_every_cell_has_a_key_of_its_own_and_a_configuration_that_is_accepted():
    cells: list[Cell] = []
    for scale in SCALES.values():
        cells = list(EXPERIMENTS["sign_by_difficulty"].cells(scale, 1))
        assert len({cell.key for cell in cells}) == len(cells)
    seen = [cell for cell in cells if cell.arm in ARMS]
    assert {cell.arm for cell in seen} == set(ARMS)
    for cell in seen:
        config = configured(cell.tables(SCALES["full"]))
        assert config.train.learning_rate == SCALES["full"].learning_rate
        assert config.train.steps == 120 * cell.length * cell.minibatches


def test_the_full_factorial_has_every_arm_at_every_start_both_ways():
    cells = list(EXPERIMENTS["sign_by_difficulty"].cells(SCALES["full"], 5))
    plain = [c for c in cells if (c.batch, c.length, c.false_negatives) == (1, 1, 0.0)]
    trained = [c for c in plain if c.arm in ARMS]
    # two families x three starts x arms x five seeds, on-policy and with four minibatches
    assert len(trained) == 2 * 3 * len(ARMS) * 5 * 2


def test_curves_are_measured_where_a_prediction_reads_them():
    cells = {c.key: c for c in EXPERIMENTS["sign_by_difficulty"].cells(SCALES["small"], 1)}
    for arm in ("psr", "nsr", "grpo_positive"):
        for env in ("lookup", "countdown"):
            assert cells[f"{env}-weak-{arm}-0"].curve
            assert not cells[f"{env}-strong-{arm}-0"].curve
    few, many = (cells[f"lookup-{s}-nsr-0"].tables(SCALES["small"])["train"] for s in (
        "strong", "weak"))  # fmt: skip
    assert (few["save_every"], few["keep"]) == (16, 1)
    assert (many["save_every"], many["keep"]) == (8, 2)


def test_quick_is_a_few_cells_of_every_experiment():
    for each in EXPERIMENTS.values():
        keys = {cell.key.rpartition("-")[0] for cell in each.cells(each.scales["quick"], 1)}
        assert set(each.quick) <= keys
        assert len(each.quick) <= 9
        few = [c for c in each.cells(each.scales["quick"], 1) if c.key.rpartition("-")[0] in (
            each.quick)]  # fmt: skip
        # what it will take is said before it begins: two cores are done in a few minutes
        forecast = Forecast(few, each.scales["quick"], [], workers=2)
        assert forecast.left is not None
        assert forecast.left < 60


def test_the_shipped_recipe_is_trained_as_it_is_shipped():
    full = EXPERIMENTS["dead_start"].scales["full"]
    cells = [c for c in EXPERIMENTS["dead_start"].cells(full, 5) if c.arm not in ("base", "null")]
    assert [cell.arm for cell in cells] == ["grpo", "assay"] * 5
    for cell in cells:
        config, recipe = configured(cell.tables(full)), configured(load_recipe(cell.arm))
        assert config.recipe == recipe.recipe
        for name in ("prompts", "group", "learning_rate", "max_tokens", "turn_tokens"):
            assert getattr(config.train, name) == getattr(recipe.train, name)


def test_an_unknown_arm_and_an_unknown_claim_are_refused():
    with pytest.raises(UsageError, match="no arm 'nope'"):
        Cell(env="lookup", start="weak", arm="nope", seed=0).tables(TINY)
    with pytest.raises(UnknownNameError, match="sign_by_difficulty"):
        experiment("nope", CLAIMS)


def test_a_folder_without_experiments_is_refused(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="no experiments there; run this in a checkout"):
            experiments(folder)


def test_rows_come_back_as_they_were_written():
    row = Row(BASE.data(), {"0": [1, 0]}, 4, about={"scale": "tiny"})
    assert parsed([json.dumps(data(row))], "x") == [row]
    with pytest.raises(DataError, match=r"x:1: .*assay\.claims/1"):
        parsed(['{"schema": "other"}'], "x")


def test_false_negatives_turn_some_passes_into_failures():
    def share(rate: float) -> float:
        scores: list[float] = []
        for seed in range(40):
            environment = FalseNegatives(env="lookup/even", rate=rate)
            turns = solve(load("lookup/even"), seed)
            assert turns is not None
            environment.reset(seed)
            replies = [environment.step(turn) for turn in turns]
            scores.append(replies[-1].score or 0.0)
        return sum(scores) / len(scores)

    assert share(0.0) == 1.0
    assert 0.2 < share(0.5) < 0.8
    with pytest.raises(UsageError, match="rate"):
        FalseNegatives(env="lookup/even", rate=1.0)


def test_a_page_names_verdicts_and_draws_what_was_run():
    about = {"scale": "tiny", "steps": 4, "prompts": 1, "cores": 2, "machine": "x"}
    about |= {"versions": {"python": "3"}}
    arms = (("nsr", [2, 1], 1), ("grpo", [3, 2], 1), ("base", [1, 0], 1), ("nsr", [4, 4], 4))
    rows = Rows(
        Row(
            Cell(env="lookup", start="weak", arm=arm, seed=0, minibatches=many).data(),
            {"4": passed},
            4,
            about=about,
            entropy=0.5,
            dead_share=0.25,
        )
        for arm, passed, many in arms
    )
    made = figures(EXPERIMENTS["sign_by_difficulty"], rows)
    assert set(made) == {"sign_by_difficulty-lookup-weak.svg"}
    text = page(EXPERIMENTS["sign_by_difficulty"], rows, {"lookup weak": "lookup-weak.svg"})
    assert "3 runs at the scale `tiny`" in text
    # 3/8 less 1/8; tasks gain 2/4 - 1/4 and 1/4 - 0. pass@2: 5/6 and 1/2, less 1/2 and 0
    gains = "37.5% | +25.0% [+25.0%, +25.0%] | 66.7% | +41.7% [+33.3%, +50.0%]"
    assert f"| lookup | weak | nsr | 1 | {gains} | 0.500 | 25% |" in text
    order = [text.index(f"| lookup | weak | {arm} |") for arm in ("base", "grpo", "nsr")]
    assert order == sorted(order)
    on_policy, stale = text.split("With four optimiser steps a batch, the later ones off-policy:")
    assert "| lookup | weak | nsr | 1 | 100.0% | +87.5% [+75.0%, +100.0%] | 100.0%" in stale
    assert "100.0%" not in on_policy.split("| tasks |")[1]
    assert "three times the steps" not in text
    # tasks gain 1/2 and 3/4 in pass@1; in pass@2 5/6 -> 1 and 1/2 -> 1
    off = "+62.5% [+50.0%, +75.0%] | +33.3% [+16.7%, +50.0%]"
    assert f"| weak | nsr, off-policy less on-policy | {off} |" in text
    assert "of 2 intervals at 95 %" in text
    found = {each["id"]: each for each in summary(EXPERIMENTS["sign_by_difficulty"], rows)[
        "predictions"]}  # fmt: skip
    assert found["P1 weak"]["seen"][0] == pytest.approx(0.5)  # (.375 - .125)/(.625 - .125)
    assert found["P6"]["verdict"] == "not run"


def test_what_three_arms_gained_is_drawn():
    arms = (("base", [1, 0]), ("nsr", [2, 1]), ("grpo", [3, 2]), ("psr", [4, 2]))
    rows = Rows(
        Row(Cell(env="lookup", start="weak", arm=arm, seed=0).data(), {"4": passed}, 4)
        for arm, passed in arms
    )
    made = figures(EXPERIMENTS["sign_by_difficulty"], rows)
    svg = made["sign_by_difficulty-gains.svg"].decode()
    assert [svg.count(f">{arm}<") for arm in ("grpo", "psr", "nsr", "w_1")] == [1, 1, 1, 0]


@pytest.mark.slow
def test_committed_rows_are_of_one_scale_and_their_page_is_up_to_date():
    for name, each in EXPERIMENTS.items():
        rows = committed(CLAIMS, name)
        assert len({row.about["scale"] for row in rows.rows}) <= 1
        file = Path(__file__).parents[2] / "docs" / "claims" / f"{name}.md"
        drawn = figures(each, rows)
        assert {path.name for path in file.parent.glob(f"{name}-*.svg")} == set(drawn)
        for svg, text in drawn.items():
            assert (file.parent / svg).read_bytes() == text
        made = {svg.removesuffix(".svg"): svg for svg in drawn}
        assert file.read_text(encoding="utf-8") == page(each, rows, made)


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_and_refuses_rows_of_another_scale(tmp_path: Path):
    pytest.importorskip("trl")
    from assay.claims.runner import run

    said: list[str] = []
    nsr = Cell(env="lookup", start="strong", arm="nsr", seed=0)
    run([BASE], TINY, tmp_path, workers=1, say=said.append)
    with (tmp_path / "rows.jsonl").open("a") as stream:
        stream.write('{"cut off by a ki')
    rows = run([BASE, nsr], TINY, tmp_path, workers=1, say=said.append)
    assert [row.cell["arm"] for row in rows.rows] == ["base", "nsr"]
    assert said[2].startswith("2 cells, 1 of them done; 1 at a time; about ")
    assert said[3].endswith("  0:00 left")
    trained = rows.rows[1]
    assert set(trained.passed) == {"1"}
    assert len(trained.last) == 2
    assert trained.tokens > 0
    assert not (tmp_path / nsr.key / "checkpoints").exists()
    assert read(tmp_path / "rows.jsonl").rows == rows.rows
    for text in (tmp_path / "rows.jsonl").read_text().splitlines():
        assert json.loads(text)["about"]["scale"] == "tiny"
    with pytest.raises(UsageError, match="holds rows of scale tiny"):
        run([BASE], SCALES["quick"], tmp_path, workers=1, say=said.append)


def test_a_cell_that_no_row_holds_is_refused_before_it_is_trained(tmp_path: Path):
    from assay.claims.runner import run

    arm = Arm(name="endless", recipe={"method": "grpo"}, tables={"train": {"beta": float("inf")}})
    cell = Cell.of(arm, env="lookup", start="strong", seed=0)
    with pytest.raises(UsageError, match=r"lookup-strong-endless-0: .*expected numbers that JSON"):
        run([cell], SCALES["quick"], tmp_path, workers=1, say=print)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path):
    code = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from assay.claims.runner import _begin
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_begin) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 60)  # at work when its parent dies
        time.sleep(60)
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    with process(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert _lives(worker)
        parent.kill()
        parent.wait()
    late = time.monotonic() + 20
    while _lives(worker) and time.monotonic() < late:
        time.sleep(0.05)
    assert not _lives(worker)


@pytest.mark.slow
def test_a_run_that_is_told_to_end_leaves_no_worker_and_no_message_of_pythons_own(tmp_path: Path):
    pytest.importorskip("trl")
    quick = (
        "claims",
        "run",
        "structure",
        "--quick",
        "--workers",
        "1",
        "--only",
        "lookup-dead-base",
    )
    with process(
        [sys.executable, "-m", "assay", *quick, "--folder", str(CLAIMS), "-o", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline().startswith("1 cells, 0 of them done; 1 at a time; about ")
        late = time.monotonic() + 60
        while not (tmp_path / "log.txt").exists() and time.monotonic() < late:
            time.sleep(0.05)
        worker = int(Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()[-1])
        run.terminate()
        assert run.wait(timeout=60) == 130
        assert run.stderr.read() == "assay: interrupted; nothing was half-written\n"
        assert not _lives(worker)


def _lives(process: int) -> bool:
    """Says whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


GIGPO = Arm(name="gigpo", recipe={"method": {"name": "gigpo", "gamma": 1.0}})
TREE = Arm(
    name="tree",
    recipe={"method": "tree_grpo"},
    tables={"rollout": {"kind": "tree", "expansions": 4}, "env": {"dials": {"hops": 3}}},
)


def test_a_methods_controls_stand_beside_it():
    arms = with_controls(GIGPO, budget=5000, dose=0.5)
    assert [arm.name for arm in arms] == [
        "gigpo-d0.5",
        "gigpo-shuffled-d0.5",
        "gigpo-random-d0.5",
        "grpo-d0.5",
    ]
    for arm in arms:
        config = configured(Cell.of(arm, env="lookup", start="dead", seed=1).tables(TINY))
        recipe = Recipe.of(config.recipe)
        assert (recipe.dose, config.rollout.budget_tokens) == (0.5, 5000)
        assert recipe.label == arm.name.removesuffix("-d0.5")
    plain = with_controls(GIGPO)
    assert [arm.name for arm in plain] == ["gigpo", "gigpo-shuffled", "gigpo-random", "grpo"]
    assert plain[0] == GIGPO


def test_an_arm_of_an_experiments_own_has_its_rollouts_and_dials():
    cell = Cell.of(TREE, env="lookup", start="weak", seed=2)
    assert cell.key == "lookup-weak-tree-2"
    config = configured(cell.tables(TINY))
    assert config.rollout.shape is not None
    assert config.train.group == config.rollout.shape.leaves == 10
    assert config.train.micro == 10  # the most up to 16 that divides one task's ten leaves
    assert config.env.dials == {"hops": 3}
    assert Cell(**json.loads(json.dumps(cell.data()))) == cell
    shuffled = with_controls(TREE)[1]
    assert Cell.of(shuffled, env="lookup", start="weak", seed=2).tables(TINY)["recipe"] == {
        "method": "tree_grpo",
        "control": "shuffled",
    }


def test_a_foreign_environment_is_named_as_it_is():
    cell = Cell.of(GIGPO, env="textarena:GuessTheNumber-v0-raw", start="even", seed=0)
    assert cell.level == "textarena:GuessTheNumber-v0-raw"
    assert cell.key == "textarena_GuessTheNumber-v0-raw-even-gigpo-0"
    assert Cell.of(GIGPO, env="twenty", start="strong", seed=0).level == "twenty/even"


def test_the_dose_of_each_arm_is_on_the_page_and_in_the_result():
    rows: list[Row] = []
    for seed in range(3):
        base = replace(BASE, env="twenty", seed=0)
        if not seed:
            rows.append(Row(base.data(), {"0": [0, 1]}, 2))
        for arm, dose in zip(with_controls(GIGPO, dose=0.5), (2.0, 2.1, 1.9, 2.0), strict=True):
            cell = Cell.of(arm, env="twenty", start="strong", seed=seed)
            rows.append(Row(cell.data(), {"1": [1, 2]}, 2, tokens=900, dose=dose + seed))
    about = replace_about(rows)
    experiment_ = EXPERIMENTS["dead_start"]
    text = page(experiment_, Rows(about), {})
    line = next(line for line in text.splitlines() if "gigpo-shuffled-d0.5" in line)
    assert line.startswith("| twenty | strong | gigpo-shuffled-d0.5 | 3 | 75.0% | +50.0%")
    assert line.endswith("| - | - | 900 | 3.1 |")
    found = {arm["arm"]: arm for arm in summary(experiment_, Rows(about))["arms"]}
    assert found["gigpo-random-d0.5"]["dose"] == pytest.approx(2.9)
    assert found["grpo-d0.5"]["tokens"] == 900


def replace_about(rows: list[Row]) -> list[Row]:
    said = {"scale": "tiny", "steps": 1, "prompts": 1, "cores": 2, "machine": "m", "versions": {}}
    return [replace(row, about=said) for row in rows]
