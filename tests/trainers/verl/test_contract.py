"""What we rely on in verl: fails when a key, a table or a signature moves. `make test-verl`."""

import importlib.util
import inspect
from importlib.metadata import entry_points, version
from typing import Any

import pytest

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("verl") is None, reason="needs verl: make test-verl"
    ),
]


def source(thing: Any) -> str:
    return inspect.getsource(thing)


def test_the_release_is_the_one_that_we_name() -> None:
    assert version("verl") == "0.9.1"
    found = [each.value for each in entry_points(group="verl.plugins") if each.name == "assay"]
    assert found == ["assay.trainers.verl.plugin"]


def test_importing_verl_puts_everything_into_its_tables() -> None:
    import verl as _verl  # noqa: F401
    from hydra.core.config_store import ConfigStore
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls
    from verl.workers.rollout.base import get_rollout_class
    from verl.workers.rollout.replica import get_rollout_replica_class

    from assay.credit import METHODS
    from assay.rollout.verl.loop import WorldLoop
    from assay.rollout.verl.server import Adapter, Replica
    from assay.trainers.verl.loss import clipped
    from assay.trainers.verl.plugin import LOADED, PARTS
    from assay.trainers.verl.processes import PARTS as NAMES
    from assay.trainers.verl.trainer import AssayTrainer

    assert tuple(LOADED) == tuple(PARTS) == NAMES
    assert get_trainer_cls("sync") is AssayTrainer
    assert get_rollout_class("assay") is Adapter
    assert get_rollout_replica_class("assay") is Replica
    assert get_policy_loss_fn("assay") is clipped
    target = f"{WorldLoop.__module__}.{WorldLoop.__qualname__}"
    assert _agent_loop_registry["assay"] == {"_target_": target}
    assert {"cpu.yaml", "world.yaml"} <= set(ConfigStore.instance().repo["assay"])
    for name in ("assay", *METHODS.names()):
        assert get_adv_estimator_fn(name) is not None


def test_names_that_verl_has_are_verl_s() -> None:
    from verl.trainer.ppo import core_algos

    assert core_algos.get_adv_estimator_fn("grpo") is core_algos.compute_grpo_outcome_advantage
    assert core_algos.get_adv_estimator_fn("rloo") is core_algos.compute_rloo_outcome_advantage


def test_the_methods_that_the_trainer_overrides() -> None:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    expected = {
        "__init__": ["self", "config"],
        "fit": ["self", "agent_loop_manager"],
        "_balance_batch": ["self", "batch", "metrics", "logging_prefix", "keep_minibatch"],
        "_compute_advantage": ["self", "batch", "metrics"],
        "_update_actor": ["self", "batch", "metrics"],
        "_save_checkpoint": ["self"],
        "_load_checkpoint": ["self"],
    }
    for name, parameters in expected.items():
        assert list(inspect.signature(getattr(PPOTrainer, name)).parameters) == parameters
        assert name == "__init__" or name not in vars(PPOTrainerSync)
    step = source(PPOTrainer._step_once)
    order = ["_balance_batch", "_compute_old_log_prob", "_compute_advantage", "_update_actor"]
    assert sorted(order, key=step.index) == order


def test_the_fields_of_its_store() -> None:
    from verl.trainer.ppo.v1 import agent_loop_tq
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    own = source(PPOTrainer._compute_advantage)
    for name in ("rm_scores", "response_mask", '"advantages", "returns"', "kv_batch_put"):
        assert name in own
    stored = source(agent_loop_tq)
    assert 'f"{uid}_{session_id}_{i}"' in stored
    assert 'field["loss_mask"] = field["response_mask"]' in stored
    assert "session_id=i" in stored
    assert '"actor/entropy"' in source(PPOTrainer._compute_old_log_prob)
    assert '"old_log_probs", "entropy"' in source(PPOTrainer._compute_old_log_prob)


def test_the_output_of_an_agent_loop() -> None:
    from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput

    made = AgentLoopOutput(
        prompt_ids=[1],
        response_ids=[2, 3],
        response_mask=[1, 0],
        response_logprobs=[-0.5, 0.0],
        reward_score=0.25,
        metrics=AgentLoopMetrics(),
        extra_fields={"trajectory": "x"},
    ).as_dict()
    assert made["rm_scores"].tolist() == [0.0, 0.25]
    assert made["extra_fields"]["trajectory"] == "x"
    assert {"prompts", "responses", "response_mask", "rollout_log_probs"} <= made.keys()


def test_padding_rows_are_as_we_know_them() -> None:
    from verl.trainer.ppo import padding_utils

    made = source(padding_utils)
    assert "is_padding=True" in made
    assert 'f"{pad_uid}_{local_idx}_0"' in made
    assert "response_mask = torch.zeros_like(responses)" in made


def test_the_signature_of_a_loss_and_what_it_may_say() -> None:
    from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla

    from assay.trainers.verl.loss import clipped

    theirs, ours = inspect.signature(compute_policy_loss_vanilla), inspect.signature(clipped)
    assert list(theirs.parameters) == list(ours.parameters)


def test_the_server_offers_all_that_a_replica_asks() -> None:
    import re

    from verl.workers.rollout.replica import RolloutReplica

    from assay.rollout.verl.server import Server

    asked = set(re.findall(r"server\.(\w+)\.remote", source(RolloutReplica)))
    assert {"wake_up", "sleep", "abort_all_requests"} <= asked
    assert [name for name in sorted(asked) if not hasattr(Server, name)] == []


def test_the_platform_is_whole() -> None:
    from assay.trainers.verl.platform import CPU

    assert CPU.__abstractmethods__ == frozenset()
    platform = CPU()
    assert platform.device_module.memory_allocated() == 0
    assert platform.communication_backend_name() == "gloo"


def test_the_poll_of_the_replay_buffer_has_its_name() -> None:
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    assert "self.poll_interval = poll_interval" in source(ReplayBuffer.__init__)
    assert "self.poll_interval" in source(ReplayBuffer._wait_for_next_poll)
