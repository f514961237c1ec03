"""verl's rollout by name `assay`: transformers in a Ray actor of its own, on CPU. Needs verl.

    actor_rollout_ref.rollout.name=assay  actor_rollout_ref.rollout.dtype=float64

`Server` generates, `Replica` starts one, `Adapter` lives in the trainer's worker and sends weights.
"""
# pyright: reportMissingImports=false, reportUntypedBaseClass=false
# pyright: reportUnknownParameterType=false

import asyncio
import os
from collections.abc import Generator
from typing import Any, Final

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

from assay.rollout.verl.engine import Engine, Request

NAME: Final = "assay_transformers_{}"
"""Of the actor of each replica."""
TOGETHER: Final = 0.005
"""Seconds without a new request after which those that came are sampled together."""
MOST: Final = 256
"""Requests sampled together."""


class Server:
    """What verl asks of a server: tokens for tokens, and to wake, sleep and take weights."""

    def __init__(self, path: str, seed: int, longest: int, dtype: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
        tokenizer = AutoTokenizer.from_pretrained(path)
        self._engine = Engine(model.eval(), tokenizer, seed=seed, longest=longest)
        self._waiting: list[tuple[Request, asyncio.Future[TokenOutput]]] = []
        self._working: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()

    async def ready(self) -> bool:
        """Returns True once the model is loaded."""
        return True

    async def update_weights(self, state: dict[str, torch.Tensor], version: int | None) -> None:
        """Takes new weights, between two batches."""
        async with self._busy:
            self._engine.load(state, version)

    async def generate(
        self, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        """Returns what follows the prompt."""
        asked = self._engine.request(prompt_ids, sampling_params)
        answer: asyncio.Future[TokenOutput] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            before = 0
            while before < len(self._waiting) < MOST:  # others of this wave are on their way
                before = len(self._waiting)
                await asyncio.sleep(TOGETHER)
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                async with self._busy:
                    made = await asyncio.to_thread(self._engine.run, [each for each, _ in batch])
            except Exception as error:
                for _, answer in batch:
                    answer.set_exception(error)
                continue
            for (_, answer), each in zip(batch, made, strict=True):
                if not answer.done():
                    answer.set_result(self._said(each.ids, each.logprobs, each.finished))
        self._working = None

    def _said(self, ids: list[int], logprobs: list[float], finished: bool) -> TokenOutput:
        return TokenOutput(
            token_ids=ids,
            log_probs=logprobs,
            stop_reason="completed" if finished else "length",
            num_preempted=0,
            extra_fields={"global_steps": self._engine.version},
        )

    async def nothing(self, *_: Any, **__: Any) -> None:
        """Does what a server without memory to free, or a profiler, has to do: nothing."""

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = nothing
    abort_all_requests = resume_generation = start_profile = stop_profile = nothing


class Replica(RolloutReplica):
    """Starts one server for each rank of the trainer."""

    async def launch_servers(self) -> None:
        """Starts the server and waits for its model."""
        settings = self.config
        longest = settings.max_model_len or settings.prompt_length + settings.response_length
        actor: Any = ray.remote(num_cpus=0, max_concurrency=self.max_concurrency)(Server)
        server = actor.options(name=NAME.format(self.replica_rank)).remote(
            self.model_config.path,
            settings.seed + self.replica_rank,
            longest,
            settings.dtype,
        )
        await server.ready.remote()
        self.servers = [server]
        self._server_handle = server
        self._server_address = f"assay:{self.replica_rank}"


class Adapter(BaseRollout):
    """Sends the actor's weights to its server, through Ray's object store."""

    async def resume(self, tags: list[str]) -> None:
        """Does nothing: the server keeps its memory."""

    async def release(self) -> None:
        """Does nothing: the server keeps its memory."""

    async def update_weights(
        self,
        weights: Generator[tuple[str, torch.Tensor], None, None],
        wire_format: str = "named_tensors",
        global_steps: int | None = None,
        **_: Any,
    ) -> None:
        """Sends all weights.

        Raises:
            ValueError: they come in another form.
        """
        if wire_format != "named_tensors":
            raise ValueError(f"wire_format {wire_format!r}: expected named_tensors")
        state = {name: each.detach().float().cpu().clone() for name, each in weights}
        server = ray.get_actor(NAME.format(int(os.environ["RANK"])))
        await server.update_weights.remote(state, global_steps)
