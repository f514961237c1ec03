"""An environment in the place of a rollout function: its tasks, its verdicts, its rescue."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.grpo_config import GRPOConfig

from assay.errors import UsageError
from assay.recipes import Recipe
from assay.rescue import playing
from assay.rescue.playing import Playing, rescues_of
from assay.trainers.trl import AssayTrainer
from assay.trainers.trl.environments import telling
from tests.runs import tiny
from tests.trainers.trl.quiet import MARKS

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore")]
LADDER = {
    "kind": "ladder", "rungs": ["oracle"], "after": 1, "tries": 4, "share": 1.0, "budget": 9.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.policy(tmp_path_factory.mktemp("policy"))


def trainer(policy: Path, out: Path, prompts: list[str], **given: Any) -> AssayTrainer:
    model: Any = AutoModelForCausalLM.from_pretrained(policy)
    settings = GRPOConfig(
        output_dir=str(out), use_cpu=True, bf16=False, report_to="none", save_steps=1, seed=3,
        max_steps=2, per_device_train_batch_size=8, num_generations=2, max_completion_length=6,
        shuffle_dataset=False,
    )  # fmt: skip
    return AssayTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=AutoTokenizer.from_pretrained(policy),
        **given,
    )


def test_dead_groups_are_rescued_and_all_of_it_is_counted(policy: Path, tmp_path: Path) -> None:
    rows: list[Any] = []
    made = trainer(
        policy, tmp_path, [*"01234567"], environment=tiny.Hinted, rescue=LADDER,
        metrics_path=rows.append, log=tmp_path / "log",
    )  # fmt: skip
    made.train()
    assert [row["step"] for row in rows] == [1, 2]
    assert all(row["rescue/rescued"] for row in rows)
    assert rows[1]["rescue/oracle/tried"] >= rows[1]["rescue/oracle/rescued"] >= 2
    from assay.records import read

    records = [each for path in sorted((tmp_path / "log").iterdir()) for each in read(path)]
    assert len(records) == 16
    rescued = [each for each in records if each.rescue is not None]
    assert len(rescued) == sum(row["rescue/rescued"] for row in rows)
    assert all(each.outcome == 1.0 and each.steps[0].text.count("\n") == 1 for each in rescued)
    spent = sum(each.ledger.tokens or 0 for each in records)
    assert rows[-1]["tokens_generated"] > spent  # what was replaced and failed counts as well
    saved = tmp_path / "checkpoint-2" / "assay_rescue.json"
    played: Any = Playing(tiny.Hinted, rescues_of("grpo", LADDER), Recipe())
    played.load(saved.parent)
    assert played._state
    assert played._state["tallies"]["oracle"]["tried"] == rows[1]["rescue/oracle/tried"]


def test_without_a_ladder_it_is_played_and_nothing_more(policy: Path, tmp_path: Path) -> None:
    rows: list[Any] = []
    made = trainer(
        policy, tmp_path, [*"0123"], environment=tiny.Letter, metrics_path=rows.append, say=print
    )
    made.train()
    assert not any(name.startswith("rescue/") for name in rows[0])
    assert rows[0]["trajectories"] == 8


def test_what_rescue_brought_is_in_the_row_for_all_who_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Playing, "facts", lambda _: {"rescue/rescued": 2})
    played, seen = Playing.__new__(Playing), list[Any]()
    for metrics in (seen.append, None):  # None: trackers and the line on the terminal read it
        told, row = telling(metrics, played), {"step": 1}
        assert told is not None
        told(row)
        assert row == {"step": 1, "rescue/rescued": 2}
    assert seen == [{"step": 1, "rescue/rescued": 2}]


def test_a_recipe_that_ships_brings_its_own_rescue() -> None:
    assert rescues_of("rescue", None).kind == "ladder"
    assert rescues_of("grpo", None).kind == "none"
    assert rescues_of("rescue", {"kind": "none"}).kind == "none"
    assert rescues_of("grpo", {"after": 1}).kind == "ladder"  # who names a key wants it


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rescue": LADDER}, "give environment="),
        ({"recipe": "rescue"}, "give environment="),
        ({"environment": tiny.Letter()}, "expected a name, a class, or a function"),
        ({"environment": 5}, "got 5; expected a name, a class, or a function"),
        ({"environment": tiny.Letter, "rollout_func": print}, "leave rollout_func out"),
        ({"environment": dict}, "expected an assay.world.Environment"),
        ({"environment": tiny.Letter, "rescue": {"rungs": ["oracel"]}}, "oracle"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    policy: Path, tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        trainer(policy, tmp_path, ["0"], reward_funcs=len, **given)


def test_a_share_that_is_no_row_is_refused(policy: Path, tmp_path: Path) -> None:
    small = {**LADDER, "share": 0.1}
    made = trainer(policy, tmp_path, [*"01234567"], environment=tiny.Hinted, rescue=small)
    with pytest.raises(UsageError, match=r"share: got 0\.1 of the 8 rows"):
        made.train()


def test_what_is_counted_twice_is_taken_off_for_the_rows_of_all_processes(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process with the same rows: what lies beside them is there twice, and so is what is
    counted twice, 5 tokens each: two processes pay twice what one pays."""
    paid: list[dict[str, int]] = []
    monkeypatch.setattr(playing, "counted_twice", lambda _: 5)
    for many in (1, 2):
        made = trainer(
            policy, tmp_path / str(many), [*"01234567"], environment=tiny.Hinted, rescue=LADDER
        )
        monkeypatch.setattr(playing, "together", lambda _, mine, many=many: [*mine] * many)
        monkeypatch.setattr(made.session, "spend", lambda **each: paid.append(each))
        made.args.max_steps, made.args.save_strategy = 1, "no"
        made.train()
    assert paid[1] == {name: 2 * value for name, value in paid[0].items()}


def test_a_prompt_that_names_no_task_is_refused(policy: Path, tmp_path: Path) -> None:
    made = trainer(policy, tmp_path, [*"abcd"], environment=tiny.Letter)
    with pytest.raises(UsageError, match="got the prompt 'a'; expected the number of a task"):
        made.train()
