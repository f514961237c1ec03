"""vLLM in this process, offline: whole turns for many rows in one call."""

from collections.abc import Sequence
from typing import Any, final

from assay.errors import MissingExtraError
from assay.rollout.backends.base import Reader, Sampling, number
from assay.rollout.backends.turns import begun


@final
class Vllm:
    """Backend over a `vllm.LLM`. Written against vLLM 0.31; not run on a GPU by us yet."""

    def __init__(self, engine: Any, *, parameters: Any = None) -> None:
        """Takes an engine; `parameters` makes its SamplingParams. None: vLLM's own.

        The engine must return the log-probs that it samples from: logprobs_mode=
        "processed_logprobs", which `open` sets.

        Raises:
            MissingExtraError: vllm is not installed.
        """
        self._engine, self._parameters = engine, parameters or _vllm().SamplingParams

    @staticmethod
    def open(model: str, **settings: Any) -> "Vllm":
        """Returns a backend of a model by name; settings go to `vllm.LLM`."""
        given = {"logprobs_mode": "processed_logprobs", **settings}
        return Vllm(_vllm().LLM(model=model, **given))

    def update(self, model: Any) -> None:
        """Gives the engine, in this same process, the weights of a transformers model."""
        weights = [(name, value.detach()) for name, value in model.state_dict().items()]
        self._engine.apply_model(lambda served: served.load_weights(weights))
        self._engine.reset_prefix_cache()

    @property
    def tokenizer(self) -> Any:
        """The engine's tokenizer."""
        return self._engine.get_tokenizer()

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        """Continues every prompt, all rows that are under way in each call."""
        rows = begun(prompts, sampling)
        while under_way := [row for row in rows if not row.done]:
            wanted = [
                self._parameters(
                    max_tokens=row.budget(sampling),
                    temperature=sampling.temperature,
                    logprobs=0,
                    stop=list(sampling.stop),
                    stop_token_ids=list(sampling.ends),
                    include_stop_str_in_output=True,
                    seed=number((*seed, row.at, row.requests)) % 2**31,
                )
                for row in under_way
            ]
            asked = [{"prompt_token_ids": list(row.ids)} for row in under_way]
            answers = self._engine.generate(asked, wanted, use_tqdm=False)
            for row, answer in zip(under_way, answers, strict=True):
                output = answer.outputs[0]
                ids = [int(token) for token in output.token_ids]
                chances = [
                    float(chance[token].logprob)
                    for token, chance in zip(ids, output.logprobs, strict=True)
                ]
                row.take(ids, chances, reader, sampling)


def _vllm() -> Any:
    try:
        import vllm  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtraError(
            "sampling with vLLM needs vllm, which is not installed: pip install 'trl[vllm]'"
        ) from None
    return vllm
