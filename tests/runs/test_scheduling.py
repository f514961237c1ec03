"""Runs of several domains: what is practised when, what rows say of it, and kills."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

import torch

from assay.errors import DataError, UsageError
from assay.policy.loading import load
from assay.records import read
from assay.runs.config import Config, parsed
from assay.runs.sampling import Prepared
from assay.runs.scheduling import FILE, UNGUARDED, Scheduling
from assay.runs.start import start
from assay.world import load as environment
from tests.runs import tiny
from tests.runs.test_train import of_the_run, rows

pytestmark = [pytest.mark.filterwarnings("ignore")]
A, B = "tests.runs.tiny:Letter", "tests.runs.tiny:Solved"
SEVERAL = f"several:{A}+{B}"


def config(policy: Path, **more: Any) -> Config:
    return parsed(tiny.settings(policy, env__name=SEVERAL, **more))


def prepared(config: Config, seed: int = 3) -> Prepared:
    from assay.rollout.protocols.line import Line

    model, tokenizer = load(config.model.name)
    return Prepared(
        config=config,
        seed=seed,
        make=lambda: environment(config.env.name),
        model=model,
        tokenizer=tokenizer,
        protocol=Line(tokenizer),
        probe=(),
    )


def trainer(model: Any, heard: list[str], processes: int = 1) -> Any:
    return SimpleNamespace(
        accelerator=SimpleNamespace(num_processes=processes, unwrap_model=lambda each: each),
        model=model,
        session=SimpleNamespace(event=heard.append),
    )


def given(scheduling: Scheduling, run: Prepared, step: int, done: float = 0.0) -> list[int]:
    """Returns the tasks of a batch of 4 places, each asked for twice."""
    first = 4 * (step - 1)
    prompts = [f"{place} 99" for place in range(first, first + 4) for _ in range(2)]
    found = scheduling.tasks(prompts, step=step, done=done, trainer=trainer(run.model, []))
    assert [each.split()[0] for each in found] == [each.split()[0] for each in prompts]
    assert found[::2] == found[1::2]
    return [int(each.split()[1]) for each in found[::2]]


def test_uniform_batches_hold_both_and_every_task_comes_once_an_epoch(policy: Path) -> None:
    run = prepared(config(policy, train__pool=16, train__first_task=3))
    scheduling = Scheduling(run)
    tasks = [given(scheduling, run, step) for step in range(1, 5)]
    assert all(sum(task % 2 for task in each) == 2 for each in tasks)
    assert sorted(task for each in tasks for task in each) == [*range(3, 19)]
    assert scheduling.facts["schedule/domain"] is None
    assert scheduling.facts[f"schedule/prompts/{A}"] == 2.0
    again = Scheduling(run)
    assert [given(again, run, step) for step in range(1, 5)] == tasks


def test_stages_follow_what_lies_behind(policy: Path) -> None:
    run = prepared(config(policy, schedule={"mode": "fixed", "order": [B, A]}))
    scheduling = Scheduling(run)
    found = [given(scheduling, run, 1 + n, done=n / 4) for n in range(4)]
    assert [{task % 2 for task in each} for each in found] == [{1}, {1}, {0}, {0}]
    assert scheduling.facts["schedule/domain"] == A
    assert scheduling.facts[f"schedule/weight/{A}"] == 1.0
    assert scheduling.facts[f"schedule/weight/{B}"] == 0.0


def test_a_task_in_the_place_of_another_is_of_its_domain(policy: Path) -> None:
    scheduling = Scheduling(prepared(config(policy)))
    rng = np.random.default_rng(0)
    assert {scheduling.other(5, rng) for _ in range(60)} == {1, 3, 5, 7, 9}


def test_a_run_of_one_domain_is_left_as_it_is(policy: Path, tmp_path: Path) -> None:
    run = prepared(parsed(tiny.settings(policy)))
    scheduling = Scheduling(run)
    prompts = ["0 7", "1 3"]
    assert scheduling.tasks(prompts, step=1, done=0.0, trainer=None) is prompts
    scheduling.met([])
    scheduling.save(tmp_path)
    assert not [*tmp_path.iterdir()]
    assert scheduling.facts == {}


def test_several_processes_are_refused(policy: Path) -> None:
    scheduling = Scheduling(prepared(config(policy)))
    with pytest.raises(UsageError, match="schedule: got 2 processes; expected one"):
        scheduling.tasks(["0 7"], step=1, done=0.0, trainer=trainer(None, [], processes=2))


def test_entropy_is_that_of_the_tokens_that_the_expert_wrote(policy: Path) -> None:
    """`?b` and `=b`, newlines: entropies of two tokens and the newline, by a forward of all."""
    run = prepared(config(policy, schedule={"guard": 0.5, "probe": 2}))
    found = Scheduling(run).entropies(run.model)
    assert np.isnan(found[0]), "Letter has no expert"
    wanted = []
    for letter in "ab":  # tasks 1 and 3 are 0 and 1 of the second
        ids = run.tokenizer(f"?{letter}\n={letter}\n", add_special_tokens=False).input_ids
        with torch.no_grad():
            logits = run.model(torch.tensor([ids])).logits[0, 2:-1]
        chance = logits.double().softmax(-1)
        wanted += (-(chance * chance.log()).sum(-1)).tolist()
    assert found[1] == pytest.approx(np.mean(wanted), abs=1e-5)


def test_what_the_guard_sees_pauses_a_domain(policy: Path) -> None:
    run = prepared(config(policy, schedule={"guard": 0.5, "probe": 2}))
    scheduling, heard = Scheduling(run), list[str]()
    places = [f"{place} 0" for place in range(4)]
    scheduling.tasks(places, step=1, done=0.0, trainer=trainer(run.model, heard))
    assert heard == [UNGUARDED.format(names=A)]
    with torch.no_grad():
        run.model.get_output_embeddings().weight.mul_(40)
    found = scheduling.tasks(places, step=2, done=0.2, trainer=trainer(run.model, heard))
    assert heard[1].startswith(f"{B} is paused: its mean token entropy")
    assert {int(each.split()[1]) % 2 for each in found} == {0}
    assert scheduling.facts[f"schedule/paused/{B}"] == 1.0
    assert scheduling.facts[f"schedule/weight/{A}"] == 1.0


def test_a_checkpoint_of_others_is_refused(policy: Path, tmp_path: Path) -> None:
    run = prepared(config(policy))
    scheduling = Scheduling(run)
    with pytest.raises(DataError, match="expected what the run saved there"):
        scheduling.load(tmp_path)
    given(scheduling, run, 1)
    scheduling.save(tmp_path)
    fresh = Scheduling(run)
    fresh.load(tmp_path)
    assert given(fresh, run, 2) == given(scheduling, run, 2)
    state = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**state, "domains": ["x", "y"]}))
    with pytest.raises(DataError, match=r"of \['x', 'y'\]; expected"):
        fresh.load(tmp_path)


def test_a_pool_holds_a_task_of_each(policy: Path) -> None:
    with pytest.raises(UsageError, match="pool: got 1; expected a task of each of 2 domains"):
        config(policy, train__pool=1)
    with pytest.raises(UsageError, match=r"schedule\.mode: got fixed, and one domain"):
        parsed(tiny.settings(policy, schedule={"mode": "fixed", "weights": {A: 1.0}}))


@pytest.mark.slow
def test_a_run_says_what_it_practised(policy: Path, tmp_path: Path) -> None:
    plan = tmp_path / "schedule.json"
    plan.write_text(json.dumps({"schema": "assay.schedule/1", "order": [B, A]}))
    out = tmp_path / "run"
    start(config(policy, schedule={"mode": "exact", "plan": str(plan)}), out, seed=1)
    plan.unlink()
    found = rows(out / "metrics.jsonl")
    assert [row["schedule/domain"] for row in found] == [B, B, A, A]
    assert [row[f"schedule/weight/{B}"] for row in found] == [1.0, 1.0, 0.0, 0.0]
    for row, at in zip(found, (B, B, A, A), strict=True):
        other = A if at == B else B
        assert row[f"schedule/pass_rate/{at}"] == pytest.approx(row["pass_rate"])
        assert row[f"schedule/pass_rate/{other}"] is None
    records = [each for file in sorted((out / "rollouts").iterdir()) for each in read(file)]
    assert [int(each.task.rpartition("/")[2]) % 2 for each in records[::16]] == [1, 1, 0, 0]
    names = {each.task.rpartition("/")[0] for each in records}
    assert names == {f"several[of={A}+{B}]"}


@pytest.mark.slow
def test_a_bandit_learns_from_advantages_and_gradients(policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    start(config(policy, schedule={"mode": "tac"}), out, seed=1)
    first, second, *_ = found = rows(out / "metrics.jsonl")
    assert [row["schedule/domain"] for row in (first, second)] == [A, B], "each once"
    assert first[f"schedule/alignment/{A}"] is None, "there was nothing to compare with"
    assert -1 <= second[f"schedule/alignment/{B}"] <= 1
    for row in found:
        at = row["schedule/domain"]
        # every token of a batch is carried: mean |A| is what mass there is by what was sampled
        mass = row["mass/positive"] + abs(row["mass/negative"])
        tokens = 16 * row["length/mean"]
        assert row[f"schedule/learnability/{at}"] == pytest.approx(mass / tokens)
        weights = [row[f"schedule/weight/{name}"] for name in (A, B)]
        assert sum(weights) == pytest.approx(1)
    assert min(weights) >= 0.25, "half of an equal chance"


def test_a_batch_is_learnt_from_once(policy: Path) -> None:
    run = prepared(config(policy, schedule={"mode": "tac"}))
    scheduling = Scheduling(run)
    given(scheduling, run, 1)
    scheduling.stepped(run.model)
    assert f"schedule/alignment/{A}" not in scheduling.facts, "nothing was credited yet"


@pytest.mark.slow
def test_a_run_of_one_domain_keeps_a_pool(policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    start(parsed(tiny.settings(policy, schedule={"pool": 3}, recipe__pass_at=0.5)), out, seed=1)
    found, name = rows(out / "metrics.jsonl"), "tests.runs.tiny:Letter"
    tasks = [each["tasks"] for each in rows(out / "ledger.jsonl")]
    known = set[str]()
    for row, batch in zip(found, tasks, strict=True):
        assert row[f"schedule/pool/tasks/{name}"] <= 3
        fresh = row[f"schedule/pool/fresh/{name}"]
        assert fresh >= len({*batch} - known), "what was never met is fresh"
        known |= {*batch}
        assert row[f"schedule/pool/cost/{name}"] <= row["tokens_generated"]
    assert len(known) < sum(len(batch) for batch in tasks), "some came again"


MODES: dict[str, dict[str, Any]] = {
    "uniform": {"guard": 0.9, "probe": 2},
    "whole": {"mode": "fixed", "weights": {A: 1.0, B: 2.0}, "whole": True},
    "tac": {"mode": "tac", "temperature": 0.1},
    "pool": {"pool": 3},
    "stages": {"mode": "fixed", "order": [A, B], "guard": 0.99, "probe": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_was_killed_ends_with_the_same_bytes(
    mode: str, policy: Path, tmp_path: Path
) -> None:
    of = config(policy, schedule=MODES[mode])
    start(of, tmp_path / "whole", seed=2)
    resumed = tiny.resumed(lambda out: start(of, out, seed=2), tmp_path / "killed", at=2)
    found, wanted = (of_the_run(run) for run in (resumed, tmp_path / "whole"))
    assert {*found} == {*wanted}
    for name in found:  # of Python's own generator this process has used, and its sum is COMMITTED
        if not name.endswith(("random.json", "COMMITTED")):
            assert found[name] == wanted[name], name
    row = rows(resumed / "metrics.jsonl")[-1]
    assert (f"schedule/alignment/{A}" in row) == (mode == "tac")
    assert {f"schedule/{what}/{A}" for what in ("weight", "prompts", "pass_rate")} <= {*row}
