"""Runs that begin with an expert's steps: what is sampled, what is credited, what follows."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.errors import UsageError
from assay.recipes.recipe import Recipe
from assay.records import ModelStep, Trajectory, read
from assay.runs.config import parsed
from assay.runs.imitation import imitating
from assay.runs.ledger import check
from tests.runs import tiny
from tests.runs.tiny import rows

pytestmark = [pytest.mark.filterwarnings("ignore")]
LED: dict[str, Any] = {
    "env__name": "tests.runs.tiny:Led",
    "train__max_tokens": 16,
    "train__max_length": 48,
    "start__kind": "srl",
    "start__steps": 2,
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.policy(tmp_path_factory.mktemp("policy"))


def started(tables: dict[str, Any], out: Path) -> Path:
    from assay.runs.start import start

    return start(parsed(tables), out, seed=5).path


def records(run: Path, step: int) -> list[Trajectory]:
    return list(read(run / "rollouts" / f"step_{step:06d}.jsonl"))


def own(record: Trajectory) -> list[ModelStep]:
    steps = [step for step in record.steps if type(step) is ModelStep]
    return [step for step in steps if step.untrainable is None]


@pytest.fixture(scope="module")
def led(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(tiny.settings(policy, **LED), tmp_path_factory.mktemp("runs") / "led")


@pytest.mark.slow
def test_a_start_samples_one_turn_of_one_instance_a_group(led: Path) -> None:
    made = records(led, 1) + records(led, 2)
    assert len(made) == 2 * 16
    assert {len(own(record)) for record in made} == {1}
    groups: dict[str, list[Trajectory]] = {}
    for record in made:
        groups.setdefault(record.group, []).append(record)
        (step,) = own(record)
        assert record.outcome == step.scores["srl"] == record.rewards["srl"]
        assert record.outcome is not None
        assert -1 <= record.outcome <= 1
    assert {len(each) for each in groups.values()} == {4}
    places = {name: {own(r)[0].scores["srl_step"] for r in each} for name, each in groups.items()}
    assert {len(each) for each in places.values()} == {1}
    assert {place for each in places.values() for place in each} == {0.0, 1.0}
    check(rows(led / "ledger.jsonl"))


@pytest.mark.slow
def test_srl_credits_the_start_and_the_recipe_what_follows(led: Path) -> None:
    names = [rows(led / "credit" / f"step_{step:06d}.jsonl")[0]["method"] for step in range(1, 5)]
    assert names == ["srl", "srl", "grpo", "grpo"]
    said = rows(led / "metrics.jsonl")
    assert [row["start"] for row in said] == [1, 1, 0, 0]
    over = ["the start is over: from step 3 on grpo trains" in row["events"] for row in said]
    assert over == [False, False, True, False]
    later = records(led, 3)
    assert all("srl" not in record.rewards for record in later)
    assert all(step.scores == {} for record in later for step in own(record))
    for line in rows(led / "credit" / "step_000001.jsonl"):
        carried = [n for n in line["carried"] if n]
        assert len(carried) == 1  # the turn of its own: nothing of the expert's


@pytest.mark.slow
def test_shuffled_in_time_the_same_turns_are_judged_by_any_of_the_expert_s_steps(
    led: Path, policy: Path, tmp_path: Path
) -> None:
    run = started(tiny.settings(policy, **LED, recipe__control="shuffled"), tmp_path / "run")
    told = [own(record)[0] for record in records(run, 1)]
    plain = [own(record)[0] for record in records(led, 1)]
    assert [step.text for step in told] == [step.text for step in plain]
    assert [step.scores["srl_step"] for step in told] == [s.scores["srl_step"] for s in plain]
    assert [step.reward for step in told] != [step.reward for step in plain]
    assert rows(run / "credit" / "step_000001.jsonl")[0]["method"] == "srl-shuffled"


@pytest.mark.slow
def test_a_start_is_resumed_to_the_byte(led: Path, policy: Path, tmp_path: Path) -> None:
    found = tiny.resumed(lambda out: started(tiny.settings(policy, **LED), out), tmp_path / "run")
    for name in ("ledger.jsonl", "metrics.jsonl", "credit/step_000003.jsonl"):
        assert (found / name).read_bytes() == (led / name).read_bytes()


@pytest.mark.slow
def test_the_first_or_the_last_step_can_be_left_out(policy: Path, tmp_path: Path) -> None:
    for unused, place in (("first", 1.0), ("last", 0.0)):
        more: dict[str, Any] = {**LED, "start__unused": unused, "train__steps": 2, "train__pool": 3}
        # task 0 asks for "a", of which the expert takes one step
        run = started(tiny.settings(policy, **more, train__first_task=1), tmp_path / unused)
        assert {own(r)[0].scores["srl_step"] for r in records(run, 1)} == {place}


@pytest.mark.slow
def test_a_start_is_refused_where_there_is_nothing_to_write(policy: Path, tmp_path: Path) -> None:
    short: dict[str, Any] = {**LED, "env__name": "tests.runs.tiny:Solved", "start__unused": "first"}
    with pytest.raises(UsageError, match=r"start.unused=first: the expert of task .* takes 1 step"):
        started(tiny.settings(policy, **short), tmp_path / "one")
    nobody: dict[str, Any] = {**LED, "env__name": "tests.runs.tiny:Letter"}
    with pytest.raises(UsageError, match="environment letter: no expert of task"):
        started(tiny.settings(policy, **nobody), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_settings_of_a_start_are_checked(policy: Path) -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"start__kind": "srl"}, "got kind=srl with steps=0; expected steps above 0"),
        ({"start__steps": 3}, "got kind=none with steps=3"),
        ({"start__kind": "srl", "start__steps": 9}, "start.steps: got 9; expected a multiple"),
        (
            {"start__kind": "srl", "start__steps": 1, "train__minibatches": 2,
             "train__save_every": 2},
            "start.steps: got 1; expected a multiple of train.minibatches",
        ),
    )  # fmt: skip
    for more, said in cases:
        with pytest.raises(UsageError, match=said):
            parsed(tiny.settings(policy, **more))


def test_a_run_that_is_all_start_says_so_before_it_begins(policy: Path) -> None:
    from assay.policy.loading import load
    from assay.rollout.protocols.line import Line
    from assay.runs.sampling import promised

    for steps, said in ((4, 1), (2, 0)):
        config = parsed(tiny.settings(policy, **{**LED, "start__steps": steps}))
        lines = promised(config, Line(load(str(policy))[1]))
        assert len(lines) == said
        assert all("its recipe never trains; raise train.steps" in line for line in lines)


def test_a_folder_that_is_taken_is_refused_before_anything_heavy_is_loaded(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.runs import start

    monkeypatch.setattr(start, "_imported", lambda: pytest.fail("torch is loaded"))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(UsageError, match="there: exists already; go on with it by --resume"):
        started(tiny.settings(policy), tmp_path / "there")


def test_a_start_is_credited_by_srl_alone() -> None:
    recipe = Recipe.of({"method": "grpo", "gates": ["degenerate"], "safety": {"cap": 2.0}})
    made = imitating(recipe)
    assert [part.name for part in made.parts] == ["srl"]
    assert [gate.name for gate in made.gates] == ["integrity"]
    assert (made.safety.cap, made.safety.all_fail) == (2.0, "method")
