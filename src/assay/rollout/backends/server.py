"""Any OpenAI-compatible server that takes token ids and returns them with log-probabilities.

`POST URL/completions` with `prompt` a list of ids. vLLM and SGLang answer so; a server that gives
text alone is refused, because text that is tokenised again is not what was sampled. Nothing but
temperature shapes the distribution: what else a server would take from the model's own
generation_config is asked for as neutral (`NEUTRAL`), in names that OpenAI itself partly does not
know. Log-probs are recorded as they come, so vLLM must be started with
`--logprobs-mode processed_logprobs`: its default, raw_logprobs, leaves the temperature out.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPException
from threading import Event
from typing import Any, Final, final

from assay.errors import DataError
from assay.files.web import check_address, refusal, sent
from assay.rollout.backends.base import Reader, Sampling, number
from assay.rollout.backends.turns import Pending, begun

NEUTRAL: Final[Mapping[str, float]] = {
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Settings at which every token keeps its chance; vLLM's order is request, model, its default."""
_TOKEN = "token_id:"
LARGEST: Final = 1 << 26
"""Bytes of an answer."""


@final
class Server:
    """Backend over HTTP. Rows are asked in parallel; each waits for its own world."""

    def __init__(
        self,
        url: str,
        model: str,
        tokenizer: Any,
        *,
        key: str | None = None,
        parallel: int = 32,
        timeout: float = 300.0,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes the address up to and with its version, as in http://127.0.0.1:8000/v1.

        Args:
            url: where the server is.
            model: what it calls the model.
            tokenizer: the model's own.
            key: sent as a bearer token; never logged.
            parallel: requests at the same time.
            timeout: seconds of one request.
            more: fields of every request beside ours, as SGLang's `lora_path`.

        Raises:
            UsageError: no http address, or a key that no header can hold.
        """
        check_address("server", url, key)
        self._url, self._model, self.tokenizer = url.rstrip("/"), model, tokenizer
        self._key, self._parallel, self._timeout = key, parallel, timeout
        self._more = {**(more or {})}

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        """Continues every prompt, each in its own thread's time; the first failure ends all."""
        failed = Event()

        def follow(row: Pending) -> None:
            try:
                while not (row.done or failed.is_set()):
                    ids, logprobs = parsed(self._asked(row, sampling, seed), self._url)
                    if not failed.is_set():
                        row.take(ids, logprobs, reader, sampling)
            except BaseException:
                failed.set()
                raise

        pool = ThreadPoolExecutor(self._parallel)
        try:
            rows = [pool.submit(follow, row) for row in begun(prompts, sampling)]
            for row in as_completed(rows):
                row.result()
        finally:
            failed.set()  # also where this thread was interrupted: no row asks again
            pool.shutdown(wait=False, cancel_futures=True)

    def _asked(self, row: Pending, sampling: Sampling, seed: Sequence[int]) -> Mapping[str, Any]:
        body = {
            **self._more,
            "model": self._model,
            "prompt": row.ids,
            "max_tokens": row.budget(sampling),
            "temperature": sampling.temperature,
            **NEUTRAL,
            "logprobs": 0,
            "stop": list(sampling.stop),
            **({"stop_token_ids": list(sampling.ends)} if sampling.ends else {}),
            "include_stop_str_in_output": True,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            "seed": number((*seed, row.at, row.requests)) % 2**31,
        }
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(
            f"{self._url}/completions", json.dumps(body).encode(), headers
        )
        try:
            return json.loads(sent(request, timeout=self._timeout, most=LARGEST))
        except urllib.error.HTTPError as error:
            raise DataError(f"server {self._url}: {refusal(error)}") from None
        except (OSError, ValueError, HTTPException, RecursionError) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(f"server {self._url}: {said}") from None


def parsed(answer: Mapping[str, Any], url: str) -> tuple[list[int], list[float]]:
    """Returns the ids and log-probs of an answer.

    Raises:
        DataError: it has no ids or no log-probs.
    """
    try:
        choice = answer["choices"][0]
        chances = choice["logprobs"]
        logprobs = [float(value) for value in chances["token_logprobs"]]
        given = choice.get("token_ids")
        names = chances.get("tokens") or ()
        if given is None and names and all(str(name).startswith(_TOKEN) for name in names):
            given = [int(name.removeprefix(_TOKEN)) for name in names]
        if given is not None:
            return [int(token) for token in given], logprobs
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"server {url}: no log-probabilities in its answer ({error!r}); expected "
            "choices[0].logprobs.token_logprobs"
        ) from None
    raise DataError(
        f"server {url}: no token ids in its answer; expected choices[0].token_ids (vLLM's "
        "return_token_ids): text that is tokenised again is not what was sampled"
    )
