"""verl from end to end on CPU: Ray, FSDP2 on gloo, the world, the shipped policy. `make test-verl`.

Two runs of verl's own command, each with two ranks: three steps, and the third of them again from
the checkpoint.
"""

import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay import audit, load
from assay.recipes import Recipe
from assay.records import ModelStep, Trajectory, read
from assay.signal import signal
from assay.signal.origins import row_of

from .command import python, training

pytestmark = [
    pytest.mark.verl,
    pytest.mark.slow,
    pytest.mark.timeout(580),  # a run is most of a minute, and some on a busy machine
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("verl") is None, reason="needs verl: make test-verl"
    ),
]
RAGGED = "tests.trainers.verl.ragged"
RECIPE = """
[recipe]
method = "gigpo"
[recipe.safety]
cap = 2.0
all_fail = "zero"
[recipe.safety.entropy]
"""
RANKS = 2
WORDS = (
    f"trainer.n_gpus_per_node={RANKS}",
    f"ray_kwargs.ray_init.num_gpus={RANKS}",
    "data.train_batch_size=5",
    f"data.custom_cls.path=pkg://{RAGGED}",
    "data.custom_cls.name=Ragged",
    "actor_rollout_ref.actor.ppo_mini_batch_size=5",
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=5",
    "actor_rollout_ref.actor.policy_loss.loss_mode=witness",
    "actor_rollout_ref.actor.optim.lr=3e-4",
    "actor_rollout_ref.rollout.n=4",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=5",
    "data.val_files=lookup/even@1000000:1000004",
    "trainer.total_training_steps=3",
    "trainer.save_freq=2",
)


@dataclass
class Run:
    folder: Path
    said: str

    def log(self, step: int) -> bytes:
        return (self.folder / "log" / f"step_{step:06d}.jsonl").read_bytes()

    def records(self, step: int) -> list[Trajectory]:
        return list(read(self.folder / "log" / f"step_{step:06d}.jsonl"))

    def seen(self) -> list[list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]]:
        """(advantages, mask) of each row that a rank trained on, in order; one list a rank."""
        ranks: list[Any] = [[] for _ in range(RANKS)]
        for rank, rows in enumerate(ranks):
            for path in sorted((self.folder / "witness").glob(f"{rank}_*.npz")):
                with np.load(path) as file:
                    rows += zip(file["advantages"], file["response_mask"], strict=True)
        return ranks


def ran(folder: Path, *overrides: str) -> Run:
    folder.mkdir(exist_ok=True)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    words = training(folder, f"+assay.recipe={recipe}", *WORDS, *overrides)
    said = python(
        words,
        timeout=550,
        VERL_USE_EXTERNAL_MODULES=RAGGED,
        ASSAY_TEST_WITNESS=str(folder / "witness"),
    )
    return Run(folder, said)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return ran(tmp_path_factory.mktemp("verl") / "first", "trainer.val_before_train=True")


@pytest.fixture(scope="module")
def resumed(first: Run) -> Run:
    checkpoint = first.folder / "checkpoints" / "global_step_2"
    return ran(
        first.folder.parent / "resumed",
        "trainer.resume_mode=resume_path",
        f"trainer.resume_from_path={checkpoint}",
    )


def test_it_trained_and_every_process_had_the_plug_in(first: Run) -> None:
    assert re.search(r"the plug-in is in all \d+ processes that train: 2 actor, 1 agent loop, "
                     r"1 reward loop, 2 rollout server", first.said)  # fmt: skip
    steps = re.findall(r"(?<!global_)step:(\d) - ", first.said)
    assert steps == ["0", "1", "2", "3"]  # 0: the validation before
    norms = [float(each) for each in re.findall(r"actor/grad_norm:([0-9.e-]+)", first.said)]
    assert all(norm > 0 for norm in norms)
    assert len(norms) == 3
    assert re.search(r"val-core/lookup/even/reward/mean@\d", first.said)


def test_the_log_is_one_that_the_audit_reads(first: Run) -> None:
    log = load(first.folder / "log")
    assert log.format == "assay"
    found = audit(log)
    assert found["groups"]["total"] == 15  # five tasks, three steps
    assert 0.0 < np.mean([each.outcome for each in log]) < 1.0


def offline(records: Sequence[Trajectory], statistics: Any, step: int) -> tuple[Any, Any]:
    made = signal(records, Recipe.of(recipe()), seed=(0, step - 1), statistics=statistics)
    rows = [row_of(each) for each in records]
    skip = np.array([len(each.prompt_ids) for each in rows])
    return made, made.rows(skip_K=skip)[0]


def recipe() -> Any:
    import tomllib

    return tomllib.loads(RECIPE)["recipe"]


def test_the_actor_saw_the_offline_path_to_the_bit(first: Run) -> None:
    ranks, statistics = first.seen(), {}
    kinds = {"padding": 0, "several": 0, "ragged": set[int](), "bare": 0}
    for step in (1, 2, 3):
        records = first.records(step)
        made, advantage_KT = offline(records, statistics, step)
        statistics = made.statistics
        count = -(-len(records) // 20) * 20 // RANKS  # verl fills up to 5 prompts of 4
        rows = [row for rank in ranks for row in rank[:count]]
        for advantages, mask in rows:
            assert not advantages[~mask.astype(bool)].any()
        real = [row for row in rows if row[1].any()]
        expected = (
            (np.resize(advantage, len(sampled)), np.array(sampled))
            for advantage, sampled in zip(advantage_KT, map(sampled_of, records), strict=True)
        )
        assert in_bits(real) == in_bits(expected)
        for rank in ranks:
            assert any(advantages.any() for advantages, _ in rank[:count])
            del rank[:count]
        kinds["padding"] += len(rows) - len(real)
        kinds["several"] += sum(each.session is not None for each in records)
        kinds["bare"] += sum(each.end == "unknown" for each in records)
        kinds["ragged"] |= {len(each) for each in groups(records)}
    assert ranks == [[], []]
    assert kinds["padding"] > 0
    assert kinds["several"] > 0
    assert kinds["bare"] >= kinds["several"]
    assert kinds["ragged"] == {2, 3, 4}


def sampled_of(record: Trajectory) -> list[int]:
    return [int(each > 0) for each in row_of(record).sampled]


def in_bits(rows: Iterable[Any]) -> Counter[Any]:
    """Rows of (advantages, mask) as bytes up to the last sampled token, with 0 off the mask: which
    of them lies on which rank is verl's to choose."""
    found = Counter[Any]()
    for advantages, mask in rows:
        end = int(np.flatnonzero(mask)[-1]) + 1
        exact = np.where(mask[:end], advantages[:end].astype(np.float32), np.float32(0))
        found[(mask[:end] > 0).tobytes(), exact.tobytes()] += 1
    return found


def groups(records: Sequence[Trajectory]) -> list[set[Any]]:
    found: dict[str, set[Any]] = {}
    for each in records:
        found.setdefault(each.group, set()).add(each.session or each.id)
    return list(found.values())


def test_records_hold_what_was_sampled(first: Run) -> None:
    for record in first.records(1):
        steps = [step for step in record.steps if type(step) is ModelStep]
        assert steps
        assert all(step.token_ids for step in steps)
        assert record.outcome is not None
        if record.end != "unknown":
            assert record.expert
            assert all(step.logprobs and max(step.logprobs) <= 0 for step in steps)


def test_the_third_step_again_from_the_checkpoint(first: Run, resumed: Run) -> None:
    # another set of processes, with the weights, the optimiser, the data's order and the
    # statistics of step 2: the same rollouts and the same numbers, byte by byte
    assert re.findall(r"(?<!global_)step:(\d) - ", resumed.said) == ["3"]
    assert resumed.log(3) == first.log(3)
    for own, all_of in zip(resumed.seen(), first.seen(), strict=True):
        assert own
        for (a, mask), (b, other_mask) in zip(own, all_of[-len(own) :], strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(mask, other_mask)
    last = [re.findall(r"actor/pg_loss:([0-9.e-]+)", run.said)[-1] for run in (first, resumed)]
    assert last[0] == last[1]


def test_the_doctor_says_so_of_every_node(tmp_path: Path) -> None:
    said = python(["-m", "assay", "doctor", "verl"], timeout=200)
    assert "the plug-in loads on 1 of 1 nodes" in said
