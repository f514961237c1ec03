"""A server that answers what TRL 1.16's client asks of `vllm serve`: health, model, configuration,
completions with token ids and log-probabilities, and a reset of its prefix cache.
"""

import json
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answers(BaseHTTPRequestHandler):
    """One request; `completions` and `asked` are set by `serving`."""

    completions: Sequence[tuple[Sequence[int], Sequence[float]]]
    """Token ids and log-probabilities of each row of a batch."""
    asked: list[tuple[str, Any]]

    def do_GET(self) -> None:
        """Health, models, configuration."""
        path = self.path.partition("?")[0]
        self._told(
            {
                "/health": {},
                "/v1/models": {"data": [{"id": "tiny"}]},
                "/server_info": {
                    "vllm_config": {"model_config": {"logprobs_mode": "processed_logprobs"}}
                },
            }[path]
        )

    def do_POST(self) -> None:
        """Completions: prompt by prompt, `n` rows each."""
        size = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(size) or b"null")
        self.asked.append((self.path, body))
        if self.path != "/v1/completions":
            self._told({})
            return
        choices: list[dict[str, Any]] = []
        for prompt in body["prompt"]:
            for _ in range(body["n"]):
                ids, logprobs = self.completions[len(choices) % len(self.completions)]
                tokens = [f"token_id:{each}" for each in ids]
                said: dict[str, Any] = {"tokens": tokens, "token_logprobs": list(logprobs)}
                said["top_logprobs"] = [{t: v} for t, v in zip(tokens, logprobs, strict=True)]
                choices.append(
                    {"prompt_token_ids": prompt, "token_ids": list(ids), "logprobs": said}
                )
        self._told({"choices": choices})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def _told(self, what: Any) -> None:
        data = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(
    completions: Sequence[tuple[Sequence[int], Sequence[float]]],
) -> Generator[tuple[str, list[tuple[str, Any]]]]:
    """Yields the address, and what is asked there: paths and bodies of posts."""
    asked: list[tuple[str, Any]] = []
    handler = type("Given", (Answers,), {"completions": completions, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
