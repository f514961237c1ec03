"""The engines that stop at a line, against a stand-in that speaks their protocol."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from assay.errors import AlignmentError, DataError, UsageError
from assay.records import ModelStep
from assay.rollout import Planned, Sampling, collect
from assay.rollout.backends.server import Server
from assay.rollout.backends.turns import Pending
from assay.rollout.backends.vllm import Vllm
from tests.rollout.fakes import Characters, Guess, Silent

LINES = ("#hm\n", ">ask(3)\n", "=5\n")


def next_line(ids: list[int]) -> str:
    """Returns what the stand-in says after these tokens: one line more than it said so far."""
    text = "".join(map(chr, ids))
    return LINES[sum(line in text for line in LINES)]


class Handler(BaseHTTPRequestHandler):
    style = "ids"
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        line = next_line(body["prompt"])[: body["max_tokens"]]
        chances = [-i / 4 for i in range(1, len(line) + 1)]
        logprobs: dict[str, Any] = {"token_logprobs": chances, "tokens": list(line)}
        choice: dict[str, Any] = {"text": line, "logprobs": logprobs}
        if self.style == "ids":
            choice["token_ids"] = [ord(c) for c in line]
        if self.style == "names":
            logprobs["tokens"] = [f"token_id:{ord(c)}" for c in line]
        if self.style == "bare":
            choice["logprobs"] = None
        if self.style == "rude":
            self.wfile.write(b"hello\r\n" * 3)
            self.close_connection = True
            return
        status = 404 if self.style == "missing" else 200
        answer = json.dumps({"choices": [choice]} if status == 200 else {"error": "no model"})
        self.send_response(status)
        if self.style == "cut":
            self.send_header("Content-Length", str(len(answer) + 10))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        Handler.asked = []
        Handler.style = "ids"
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def attempts(n: int = 3) -> list[Planned]:
    return [Planned(environment=Guess(), seed=4, trial=trial) for trial in range(n)]


@pytest.mark.parametrize("style", ["ids", "names"])
def test_a_server_is_asked_line_by_line_with_ids(url: str, style: str) -> None:
    Handler.style = style
    backend = Server(url, "tiny", Characters(), key="secret")
    records = list(collect(backend, attempts(), sampling=Sampling(), seed=(0,)))
    assert [record.outcome for record in records] == [1.0] * 3
    steps = [step for step in records[0].steps if isinstance(step, ModelStep)]
    # a thought and the call after it are one turn, sampled in two requests
    assert steps[0].token_ids == tuple(map(ord, "#hm\n>ask(3)\n"))
    first, second = [-i / 4 for i in range(1, 5)], [-i / 4 for i in range(1, 9)]
    assert steps[0].logprobs == (*first, *second)
    assert len(Handler.asked) == 9
    assert all(type(token) is int for body in Handler.asked for token in body["prompt"])
    assert len({body["seed"] for body in Handler.asked}) == 9


def test_nothing_but_the_temperature_shapes_what_is_drawn(url: str) -> None:
    """vLLM's CompletionRequest takes what is left out from the model's generation_config."""
    backend = Server(url, "tiny", Characters())
    list(collect(backend, attempts(1), sampling=Sampling(temperature=0.7), seed=(0,)))
    shaping = {
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }
    for body in Handler.asked:
        assert {name: body.get(name) for name in shaping} == shaping


def test_limits_are_asked_for(url: str) -> None:
    backend = Server(url, "tiny", Characters())
    sampling = Sampling(max_tokens=7)
    record = next(collect(backend, attempts(1), sampling=sampling, seed=(0,)))
    assert [body["max_tokens"] for body in Handler.asked] == [7, 3]
    assert (record.end, record.ledger.tokens) == ("budget", 7)


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("text", "no token ids"),
        ("bare", "no log-prob"),
        ("missing", "404 .*no model"),
        ("cut", "IncompleteRead"),
        ("rude", "hello"),
    ],
)
def test_a_server_that_does_not_say_what_it_sampled_is_refused(
    url: str, style: str, said: str
) -> None:
    Handler.style = style
    backend = Server(url, "tiny", Characters())
    with pytest.raises(DataError, match=said) as raised:
        list(collect(backend, attempts(1), sampling=Sampling(), seed=(0,)))
    assert "\n" not in str(raised.value)


def test_the_first_failure_ends_the_other_rows(url: str) -> None:
    Handler.style = "missing"
    backend = Server(url, "tiny", Characters(), parallel=1)
    with pytest.raises(DataError, match="no model"):
        list(collect(backend, attempts(20), sampling=Sampling(), seed=(0,)))
    assert len(Handler.asked) == 1


def test_no_server_is_one_line() -> None:
    backend = Server("http://127.0.0.1:1/v1", "tiny", Characters())
    with pytest.raises(DataError, match="refused"):
        list(collect(backend, attempts(1), sampling=Sampling(), seed=(0,)))


def test_what_no_request_can_hold_is_refused_at_once_and_the_key_not_shown() -> None:
    with pytest.raises(UsageError, match="the key has") as raised:
        Server("http://127.0.0.1:1/v1", "tiny", Characters(), key="secret\n")
    assert "secret" not in str(raised.value)
    with pytest.raises(UsageError, match="expected an address"):
        Server("127.0.0.1", "tiny", Characters())


class Engine:
    """Stands in for vllm.LLM: one call for all rows under way."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def get_tokenizer(self) -> Characters:
        return Characters()

    def generate(self, prompts: list[Any], parameters: list[Any], *, use_tqdm: bool) -> list[Any]:
        assert not use_tqdm
        self.calls.append(len(prompts))
        answers = []
        for prompt, wanted in zip(prompts, parameters, strict=True):
            ids = [ord(c) for c in next_line(prompt["prompt_token_ids"])[: wanted.max_tokens]]
            chances = [{i: SimpleNamespace(logprob=-n / 4)} for n, i in enumerate(ids, start=1)]
            output = SimpleNamespace(token_ids=ids, logprobs=chances)
            answers.append(SimpleNamespace(outputs=[output]))
        return answers


def test_vllm_gets_all_rows_in_each_call() -> None:
    engine = Engine()
    backend = Vllm(engine, parameters=lambda **wanted: SimpleNamespace(**wanted))
    records = list(collect(backend, attempts(), sampling=Sampling(), seed=(0,)))
    assert engine.calls == [3, 3, 3]
    assert [record.outcome for record in records] == [1.0] * 3
    steps = [step for step in records[2].steps if isinstance(step, ModelStep)]
    assert steps[1].token_ids == tuple(map(ord, "=5\n"))
    assert steps[1].logprobs == (-0.25, -0.5, -0.75)


def vllm() -> Vllm:
    return Vllm(Engine(), parameters=lambda **wanted: SimpleNamespace(**wanted))


def test_a_world_that_answers_nothing_leaves_the_next_turn_its_tokens(url: str) -> None:
    """12 tokens of the first turn, 3 of the second: a turn of 13 at most is enough for both."""
    for backend in (vllm(), Server(url, "tiny", Characters())):
        attempt = Planned(environment=Silent(), seed=4)
        sampling = Sampling(turn_tokens=13)
        (record,) = collect(backend, [attempt], sampling=sampling, seed=(0,))
        said = [step.text for step in record.steps if isinstance(step, ModelStep)]
        assert said == ["#hm\n>ask(3)\n", "=5\n"]
        assert (record.outcome, record.ledger.tokens) == (1.0, 15)


def test_a_prompt_without_room_after_it_is_a_failure_by_budget(url: str) -> None:
    prompt = len("?a number from 1 to 9\n")
    for backend in (vllm(), Server(url, "tiny", Characters())):
        sampling = Sampling(max_length=prompt)
        (record,) = collect(backend, attempts(1), sampling=sampling, seed=(0,))
        assert (record.outcome, record.end, len(record.steps)) == (0.0, "budget", 1)
    assert Handler.asked == []


def test_tokens_and_log_probs_must_be_as_many() -> None:
    row = Pending(0, [5])
    for ids, chances in (([1, 2], [-0.1]), ([], [])):
        with pytest.raises(AlignmentError, match="expected as many"):
            row.take(ids, chances, lambda *_: None, Sampling())
