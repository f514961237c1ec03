"""verl's agent loop by name `assay`: a task of an environment, over several turns. Needs verl.

The row names environment and seed (`assay.rollout.verl.tasks`), or any dataset does, in a column
`extra_info`: {"environment": "lookup/even", "seed": 7, "index": 7}. The record of what happened
goes with the row, in `extra_fields`; tokens, mask and log-probabilities are read off the record.
"""
# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUnknownParameterType=false

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, final

from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
)

from assay.errors import AssayError, DataError, told
from assay.records import ModelStep, Trajectory, encode
from assay.rollout.backends.base import Sampling, number
from assay.rollout.backends.turns import begun
from assay.rollout.chain import Planned, Player
from assay.rollout.protocols.named import protocol_of
from assay.rollout.recording import solve
from assay.signal.given import FIELD
from assay.signal.origins import columns
from assay.world.catalogue import load

SEEDED: Final = ("assay", "vllm")
"""Engines that take a seed with each request."""
LOST: Final[list[str]] = []
"""What the first trajectory of this process that could not be played ended in; see `lost` of
`assay.trainers.verl.processes`."""


@final
class WorldLoop(AgentLoopBase):
    """Plays one trajectory; verl makes an object for each."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Returns the tokens of one trajectory, its reward, and its record.

        Args:
            sampling_params: temperature and the like; limits and stops are ours.
            **kwargs: the row: `extra_info`, `session_id`, `global_steps`.

        Raises:
            DataError: the row names no environment and seed.
        """
        try:
            return await self._played(sampling_params, kwargs)
        except Exception as error:
            if not LOST:
                LOST.append(str(error) if isinstance(error, AssayError) else told(error))
            raise

    async def _played(
        self, sampling_params: dict[str, Any], kwargs: Mapping[str, Any]
    ) -> AgentLoopOutput:
        info = task_of(kwargs)
        sampling = self._sampling(float(sampling_params.get("temperature", 1.0)))
        environment = load(info["environment"], **info.get("dials", {}))
        talk = protocol_of(self._given("protocol", "auto"), self.tokenizer, environment)
        sampling = replace(sampling, stop=talk.stop, ends=talk.ends)
        seed, trial = int(info["seed"]), int(kwargs.get("session_id", 0))
        player = Player(
            Planned(
                environment=environment,
                seed=seed,
                trial=trial,
                expert=_expert(info["environment"], tuple(info.get("dials", {}).items()), seed),
            ),
            talk,
            sampling,
        )
        row = begun([player.prompt], sampling)[0]
        if row.done:
            raise DataError(
                f"agent loop assay: {info['environment']}@{seed}: its prompt of {len(row.ids)} "
                f"tokens leaves no room for an answer in {sampling.max_length}; raise "
                "data.max_prompt_length"
            )
        step, versions = int(kwargs.get("global_steps", 0)), list[int]()
        chance = (int(self.rollout_config.get("seed", 0)), step, seed, trial)
        while not row.done:
            wanted = {**sampling_params, **self._limits(sampling, row.budget(sampling))}
            if self.rollout_config.name in SEEDED:
                wanted["seed"] = number((*chance, row.requests)) % 2**31
            said = await self.server_manager.generate(
                f"{seed}-{step}-{trial}", prompt_ids=list(row.ids), sampling_params=wanted
            )
            versions.append(said.extra_fields.get("global_steps") or 0)
            row.take(said.token_ids, said.log_probs, lambda _, *new: player.read(*new), sampling)
        return output_of(player.finished(str(max(step - 1, 0)), None), versions or [0])

    def _given(self, name: str, otherwise: Any) -> Any:
        own = self.config.get("assay") or {}
        return own.get(name, otherwise)

    def _sampling(self, temperature: float) -> Sampling:
        room = int(self.rollout_config.response_length)
        return Sampling(
            temperature=temperature,
            max_tokens=int(self._given("max_tokens", room)),
            turn_tokens=int(self._given("turn_tokens", room)),
            max_length=int(self.rollout_config.prompt_length) + room,
        )

    def _limits(self, sampling: Sampling, budget: int) -> dict[str, Any]:
        made: dict[str, Any] = {"max_tokens": budget, "logprobs": True}
        if sampling.stop:
            made |= {"stop": list(sampling.stop), "include_stop_str_in_output": True}
        return made | ({"stop_token_ids": list(sampling.ends)} if sampling.ends else {})


@lru_cache(maxsize=4096)
def _expert(name: str, dials: tuple[tuple[str, Any], ...], seed: int) -> tuple[str, ...] | None:
    return solve(load(name, **dict(dials)), seed)


def task_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what names the task of a row.

    Raises:
        DataError: it names no environment, or no seed.
    """
    info = row.get("extra_info")
    if not isinstance(info, Mapping) or not {"environment", "seed"} <= info.keys():
        got = sorted(info) if isinstance(info, Mapping) else info
        raise DataError(
            f"agent loop assay: extra_info of the row holds {got}; expected environment and seed, "
            'as {"environment": "lookup/even", "seed": 7, "index": 7}'
        )
    return info


def output_of(record: Trajectory, versions: Sequence[int]) -> AgentLoopOutput:
    """Returns a record as verl takes it.

    Args:
        record: with token ids.
        versions: of the weights, one for each request.
    """
    made = {name: value[0] for name, value in columns([record]).items()}
    return AgentLoopOutput(
        prompt_ids=made["prompt_ids"],
        response_ids=made["completion_ids"],
        response_mask=made["env_mask"],
        response_logprobs=made["logprobs"],
        reward_score=0.0 if record.outcome is None else record.outcome,
        num_turns=sum(type(step) is ModelStep for step in record.steps),
        metrics=AgentLoopMetrics(),
        extra_fields={
            FIELD: encode(record).decode(),
            "min_global_steps": min(versions),
            "max_global_steps": max(versions),
            "reward_extra_info": {},
        },
    )
