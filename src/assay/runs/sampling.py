"""Who samples the rollouts of a run, and how policy and world talk."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, final

from assay.errors import DataError
from assay.files.web import refusal, sent
from assay.policy.loading import START
from assay.rollout.backends.base import Backend
from assay.rollout.backends.server import LARGEST
from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.named import protocol_of
from assay.runs.config import Config
from assay.signal.origins import OriginRow
from assay.world.environment import Environment


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a run trains with, made from its configuration and seed."""

    config: Config
    seed: int
    make: Callable[[], Environment]
    model: Any
    tokenizer: Any
    protocol: Protocol
    probe: Sequence[OriginRow]


REPEATS: Final = (
    "rollouts are sampled by {who}: after a kill --resume repeats their bytes only if the same "
    "seed and prompt give the same tokens there, whatever else it computes beside them"
)
STALE: Final = (
    "the server keeps the weights that it has (sampling.update is empty): from the second step on "
    "rollouts are off-policy; their log-probabilities are the server's"
)


def of_config(config: Config, tokenizer: Any, environment: Environment, model: Any) -> Protocol:
    """Returns the protocol of a run."""
    return protocol_of(
        config.model.protocol,
        tokenizer,
        environment,
        model=model,
        start=config.model.name == START,
    )


def promised(config: Config, protocol: Protocol) -> list[str]:
    """Returns what a run says of its sampling before it begins, line by line."""
    engine, said = config.sampling, list[str]()
    if isinstance(protocol, Chat) and protocol.warning:
        said.append(f"{config.model.name}: {protocol.warning}")
    if engine.backend != "local":
        said.append(REPEATS.format(who=engine.url or "vLLM"))
    if engine.backend == "server" and not engine.update:
        said.append(STALE)
    if config.start.steps == config.train.steps:
        said.append(
            f"start.steps={config.start.steps} are all steps of the run: it ends with the start, "
            "and its recipe never trains; raise train.steps"
        )
    return said


@final
class Engines:
    """Gives the backend of each step, with the weights of the step before where it can."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config, self._served = config, folder / "served"

    @property
    def follows(self) -> bool:
        """Whether what samples has the weights that are trained."""
        return self._config.sampling.backend != "server" or bool(self._config.sampling.update)

    def __call__(self, trainer: Any) -> Backend:
        """Returns the backend over a trainer's model as it is now.

        Raises:
            DataError: the server did not take the weights.
        """
        engine, accelerator = self._config.sampling, trainer.accelerator
        model, tokenizer = accelerator.unwrap_model(trainer.model), trainer.processing_class
        if engine.backend == "local":
            from assay.rollout.backends.local import Transformers

            return Transformers(model, tokenizer)
        if engine.backend == "vllm":
            self._vllm.update(model)
            return self._vllm
        if engine.update:
            if accelerator.is_main_process:
                model.save_pretrained(self._served)
                _told(engine.update, self._served, engine.timeout)
            accelerator.wait_for_everyone()
        from assay.rollout.backends.server import Server

        key = os.environ.get(engine.key) if engine.key else None
        return Server(
            engine.url,
            engine.model or self._config.model.name,
            tokenizer,
            key=key,
            parallel=engine.parallel,
            timeout=engine.timeout,
        )

    @cached_property
    def _vllm(self) -> Any:
        from assay.rollout.backends.vllm import Vllm

        return Vllm.open(self._config.model.name)


def _told(url: str, folder: Path, timeout: float) -> None:
    """Asks a server to load weights from a folder, as SGLang's /update_weights_from_disk does."""
    body = json.dumps({"model_path": str(folder.resolve())}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        said = json.loads(sent(request, timeout=timeout, most=LARGEST) or b"{}")
    except urllib.error.HTTPError as error:  # a redirect too: nobody has loaded anything then
        raise DataError(f"sampling.update {url}: {refusal(error)}") from None
    except (OSError, ValueError, HTTPException, RecursionError) as error:
        raise DataError(f"sampling.update {url}: {error}; the run can be resumed") from None
    if isinstance(said, dict) and said.get("success") is False:
        raise DataError(f"sampling.update {url}: refused: {said.get('message', '')}")
