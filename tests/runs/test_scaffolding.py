"""Runs in which part of a group reads the rubric: what is sampled, trained, measured and kept."""

from itertools import groupby
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.records import ModelStep, Trajectory, UserStep, read
from assay.runs.config import parsed
from assay.runs.ledger import check
from assay.runs.start import resume, start
from tests.runs import tiny
from tests.runs.tiny import rows

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ITEMS = [
    *({"id": f"of {n}", "text": "abcd"[n % 4], "task": f"letter[]/{n}"} for n in range(10)),
    {"id": "equal", "text": "="},
]
SHOWN: dict[str, Any] = {
    "scaffold__kind": "rubric",
    "scaffold__start": 0.5,
    "scaffold__steep": 8.0,
    "recipe__rubric": {"items": ITEMS},
}


def started(policy: Path, out: Path, **more: Any) -> Path:
    made = tiny.settings(policy, **{**SHOWN, **more})
    return start(parsed(made), out, seed=5).path


def records(run: Path, step: int = 1) -> list[Trajectory]:
    return list(read(run / "rollouts" / f"step_{step:06d}.jsonl"))


@pytest.fixture(scope="module")
def run(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(policy, tmp_path_factory.mktemp("runs") / "run", scaffold__gap=3)


def said(record: Trajectory) -> list[ModelStep]:
    return [step for step in record.steps if type(step) is ModelStep]


def test_the_first_of_each_group_reads_most_and_the_last_nothing(run: Path) -> None:
    for step in (1, 2, 3, 4):
        left = 1 / (1 + exp(8 * ((step - 1) / 3 - 0.5)))
        sizes = [round(2 * (3 - at) / 3 * left) for at in range(4)]
        for _, group in groupby(records(run, step), lambda r: r.group):
            given = [each.rescue.given if each.rescue else "" for each in group]
            assert [len(text.removeprefix("!").split()) for text in given] == sizes
            assert {name for text in given for name in text} <= {*"! =abcd"}
    # which ones is drawn: of the first step's second rollouts some read one, some the other
    seconds = [each.rescue.given for each in records(run) if each.trial == 1 and each.rescue]
    assert any("=" in text for text in seconds) != all("=" in text for text in seconds)


def test_it_is_trained_under_the_bare_task(run: Path) -> None:
    helped = [each for each in records(run) if each.rescue is not None]
    own = {each.task: each for each in records(run) if each.rescue is None}
    assert len(helped) == 12
    for record in helped:
        first, *_ = record.steps
        assert type(first) is UserStep
        assert first == own[record.task].steps[0]
        assert record.rescue
        assert record.rescue.rung == "scaffold"
        assert all(step.helped and step.helped != step.logprobs for step in said(record))
        assert record.ledger.scoring_forwards == 1
    assert all(step.helped is None for each in own.values() for step in said(each))


def test_a_row_of_metrics_says_who_read_what_and_what_came_of_it(run: Path) -> None:
    first, *_, last = rows(run / "metrics.jsonl")
    # 2, 1, 1 and 0 of two items
    assert first["rubric/shown"] == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)
    assert first["rubric/aided"] == 0.75
    helped = [each.outcome or 0.0 for each in records(run) if each.rescue is not None]
    own = [each.outcome or 0.0 for each in records(run) if each.rescue is None]
    assert first["rubric/aided_reward"] == pytest.approx(sum(helped) / 12)
    assert first["reward"] == pytest.approx(sum(own) / 4)
    assert last["rubric/aided"] == last["rubric/shown"] == 0.0
    assert last["rubric/aided_reward"] is None


def test_the_gap_is_of_rollouts_that_are_paid_for_and_not_trained_on(
    run: Path, policy: Path, tmp_path: Path
) -> None:
    first, *_, last = rows(run / "metrics.jsonl")
    assert first["rubric/gap"] != last["rubric/gap"]  # measured when nobody reads any of it, too
    ledger = rows(run / "ledger.jsonl")
    assert [row["trajectories"] for row in ledger] == [16 + 3] * 4
    assert ledger[-1]["thrown"]["trajectories"] == 3
    assert check(ledger)["tokens"] == last["tokens_generated"]
    # without them it is that of the batch's own tokens
    plain = started(policy, tmp_path / "plain", train__steps=1, scaffold__start=1.0)
    steps = [step for each in records(plain) for step in said(each) if step.helped]
    alone, helped = (
        np.array([value for step in steps for value in getattr(step, name)], float)
        for name in ("logprobs", "helped")
    )
    gap = float((alone - helped).mean())
    assert rows(plain / "metrics.jsonl")[0]["rubric/gap"] == pytest.approx(gap, rel=1e-5)
    assert "rubric/gap" not in rows(plain / "ledger.jsonl")[0]


def test_the_control_reads_as_much_and_nothing_of_the_rubric(policy: Path, tmp_path: Path) -> None:
    neutral = started(policy, tmp_path / "run", train__steps=1, scaffold__kind="neutral")
    asked = started(policy, tmp_path / "other", train__steps=1)
    sizes = {
        out: [len(each.rescue.given if each.rescue else "") for each in records(out)]
        for out in (neutral, asked)
    }
    # a letter is a token; "!a =" has four, "!t" two
    assert [size > 0 for size in sizes[neutral]] == [size > 0 for size in sizes[asked]]
    given = [each.rescue.given for each in records(neutral) if each.rescue]
    assert all(text.startswith("!this") for text in given)


def test_importance_none_is_another_run(policy: Path, tmp_path: Path) -> None:
    ours, theirs = (
        started(policy, tmp_path / kind, train__steps=1, recipe__importance=kind)
        for kind in ("truncated", "none")
    )
    assert records(ours) == records(theirs)
    masses = [rows(run / "metrics.jsonl")[0]["mass/positive"] for run in (ours, theirs)]
    assert 0 < masses[0] < masses[1]


def test_a_killed_run_is_resumed_to_the_byte(
    run: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.runs import rollouts

    whole = rollouts.Rollouts.__call__

    def killed(self: Any, prompts: Any, trainer: Any) -> Any:
        if trainer.state.global_step == 2:
            raise KeyboardInterrupt
        return whole(self, prompts, trainer)

    monkeypatch.setattr(rollouts.Rollouts, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        started(policy, tmp_path / "run", scaffold__gap=3)
    monkeypatch.setattr(rollouts.Rollouts, "__call__", whole)
    again = resume(tmp_path / "run").path
    for name in (
        "metrics.jsonl",
        "ledger.jsonl",
        *(f"rollouts/step_{n:06d}.jsonl" for n in (3, 4)),
    ):
        assert (again / name).read_bytes() == (run / name).read_bytes()
