"""Any OpenAI-compatible server that takes token ids and returns them with log-probabilities.

`POST URL/completions` with `prompt` a list of ids. vLLM and SGLang answer so; a server that gives
text alone is refused, because text that is tokenised again is not what was sampled.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

from assay.errors import DataError, UsageError
from assay.rollout.backend import Reader, Sampling
from assay.rollout.seeds import number
from assay.rollout.turns import STOP, Row

_TOKEN = "token_id:"


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
    ) -> None:
        """Takes the address up to and with its version, as in http://127.0.0.1:8000/v1.

        Args:
            url: where the server is.
            model: what it calls the model.
            tokenizer: the model's own.
            key: sent as a bearer token; never logged.
            parallel: requests at the same time.
            timeout: seconds of one request.

        Raises:
            UsageError: no http address.
        """
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"server {url!r}: expected an address like http://127.0.0.1:8000/v1")
        self._url, self._model, self._tokenizer = url.rstrip("/"), model, tokenizer
        self._key, self._parallel, self._timeout = key, parallel, timeout

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._tokenizer

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        reader: Reader,
        *,
        sampling: Sampling,
        seed: Sequence[int],
    ) -> None:
        """Continues every prompt, each in its own thread's time."""

        def follow(row: Row) -> None:
            while not row.done:
                answer = self._asked(row, sampling, seed)
                ids, logprobs = parsed(answer, self._url)
                row.take(ids, logprobs, reader, sampling)

        with ThreadPoolExecutor(self._parallel) as pool:
            rows = (Row(at, list(ids)) for at, ids in enumerate(prompts))
            for done in [pool.submit(follow, row) for row in rows]:
                done.result()

    def _asked(self, row: Row, sampling: Sampling, seed: Sequence[int]) -> Mapping[str, Any]:
        body = {
            "model": self._model,
            "prompt": row.ids,
            "max_tokens": row.budget(sampling),
            "temperature": sampling.temperature,
            "logprobs": 0,
            "stop": [STOP],
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
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(200).decode("utf-8", "replace").strip()
            raise DataError(f"server {self._url}: {error.code} {said}") from None
        except (OSError, ValueError) as error:
            raise DataError(f"server {self._url}: {error}") from None


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
