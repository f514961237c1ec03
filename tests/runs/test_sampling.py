"""Who samples a run's rollouts: this process through a chat template, or a server over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("trl")

from assay.errors import DataError, UsageError
from assay.records import ModelStep, ToolStep, read
from assay.rollout import Chat, Line
from assay.rollout.protocols.named import protocol_of
from assay.runs.config import parsed
from assay.runs.folder import Folder
from assay.runs.sampling import STALE, promised
from assay.runs.start import resume, start
from assay.world import load
from tests.judges import server
from tests.rollout.chats import HERMES, STRIPPING, Door, tokenizer
from tests.rollout.fakes import Guess
from tests.runs.tiny import policy, settings
from tests.trainers.trl.quiet import MARKS

pytestmark = MARKS


@pytest.mark.parametrize(
    ("name", "template", "env", "start", "found"),
    [
        ("auto", HERMES, Guess(), False, Chat),
        ("auto", None, Guess(), False, Line),
        ("auto", None, Door(), False, Chat),
        ("auto", HERMES, load("lookup"), False, Line),
        ("auto", HERMES, Guess(), True, Line),
        ("chat", None, Guess(), True, Chat),
        ("line", HERMES, Door(), False, Line),
    ],
)
def test_how_a_policy_talks(name: str, template: str, env: Any, start: bool, found: type) -> None:
    assert type(protocol_of(name, tokenizer(template), env, start=start)) is found


class Handler(BaseHTTPRequestHandler):
    """Answers `=x`, where x depends on the seed that it is asked with; fails when told to."""

    fails_at: ClassVar[int] = 0
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if "model_path" in body:
            self.reply(200, {"success": Path(body["model_path"], "config.json").is_file()})
            return
        if len([each for each in self.asked if "prompt" in each]) == self.fails_at:
            self.reply(500, {})
            return
        ids = [6, 2 + body["seed"] % 4, 8]  # "=", a letter, the line's end
        chances = {"token_logprobs": [-0.5, -1.5, -0.25]}
        self.reply(200, {"choices": [{"token_ids": ids, "logprobs": chances}]})

    def reply(self, code: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # 32 requests at the same time, on a machine that is busy


@pytest.fixture
def url() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        Handler.fails_at, Handler.asked = 0, []
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def bytes_of(run: Folder) -> dict[str, bytes]:
    """What a run promises to repeat: rollouts, credit, ledger and metrics."""
    kept = [*run.path.glob("rollouts/*"), *run.path.glob("credit/*")]
    kept += [run.path / "ledger.jsonl", run.path / "metrics.jsonl"]
    return {str(path.relative_to(run.path)): path.read_bytes() for path in kept}


def test_a_run_that_a_server_samples_goes_on_after_a_failure_with_the_same_bytes(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = settings(policy(tmp_path / "model"), steps=2)
    tables["sampling"] = {"backend": "server", "url": f"{url}/v1", "update": f"{url}/update"}
    whole = start(parsed(tables), tmp_path / "whole", seed=3)
    said = " ".join(capsys.readouterr().err.split())
    assert f"rollouts are sampled by {url}/v1: after a kill --resume repeats" in said
    assert STALE not in said
    asked = [each for each in Handler.asked if "prompt" in each]
    assert (len(asked), len(Handler.asked) - len(asked)) == (32, 2)  # weights once a step
    Handler.asked, Handler.fails_at = [], 20  # in the second step, sixteen rows each
    with pytest.raises(DataError, match="500"):
        start(parsed(tables), tmp_path / "broken", seed=3)
    broken = resume(tmp_path / "broken")
    assert bytes_of(broken) == bytes_of(whole)
    first, *_ = read(next(iter(sorted(whole.path.glob("rollouts/*")))))
    (step,) = (each for each in first.steps if isinstance(each, ModelStep))
    assert step.logprobs == (-0.5, -1.5, -0.25)
    assert first.policy_version == "step_0"


def test_a_server_that_is_told_of_no_weights_makes_off_policy_rollouts_and_we_say_so(
    tmp_path: Path, url: str
) -> None:
    tables = settings(policy(tmp_path / "model"), steps=2)
    tables["sampling"] = {"backend": "server", "url": f"{url}/v1"}
    config = parsed(tables)
    made = tokenizer(None)
    assert promised(config, Line(made))[1] == STALE
    run = start(config, tmp_path / "run", seed=3)
    files = sorted(run.path.glob("rollouts/*"))
    assert {t.policy_version for path in files for t in read(path)} == {"step_0"}


def test_weights_that_are_sent_elsewhere_are_not_taken_for_loaded(tmp_path: Path, url: str) -> None:
    with server.answering(302, f"{url}/update") as moved:
        tables = settings(policy(tmp_path / "model"), steps=2)
        tables["sampling"] = {"backend": "server", "url": f"{url}/v1", "update": f"{moved}/update"}
        with pytest.raises(DataError, match=r"sampling.update .*: 302 to .*; give that address"):
            start(parsed(tables), tmp_path / "run", seed=3)


def test_a_template_that_strips_thoughts_is_said_once(tmp_path: Path) -> None:
    config = parsed(settings(tmp_path))
    assert len(promised(config, Chat(tokenizer(STRIPPING)))) == 1
    assert promised(config, Chat(tokenizer(HERMES))) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"backend": "server"}, "expected an address with backend=server"),
        ({"url": "http://127.0.0.1:1/v1"}, "expected an address with backend=server"),
        ({"update": "http://127.0.0.1:1/u"}, "only a server is told of weights"),
    ],
)
def test_engines_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed({"sampling": given})


def test_adapters_stay_in_this_process() -> None:
    with pytest.raises(UsageError, match="adapters"):
        parsed({"sampling": {"backend": "vllm"}, "model": {"lora": 4}})


def test_a_chat_policy_trains_and_its_calls_are_in_the_records(tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    made = tokenizer(HERMES)
    made.save_pretrained(tmp_path / "model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(made), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=2048,
        eos_token_id=made.convert_tokens_to_ids("<|im_end|>"), pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    tables = settings(tmp_path / "model", steps=2)
    tables["env"]["name"] = "tests.rollout.chats:Door"
    tables["train"] |= {"prompts": 1, "group": 2, "max_tokens": 24, "turn_tokens": 12,
                        "max_length": 1500}  # fmt: skip
    run = start(parsed(tables), tmp_path / "run", seed=0)
    records = [t for path in sorted(run.path.glob("rollouts/*")) for t in read(path)]
    assert len(records) == 4
    for record in records:
        assert record.steps[0].text == "Answer in one word."
        asked = made.decode(list(record.steps[1].token_ids or ()))
        assert asked.endswith("Which colour has the door?<|im_end|>\n<|im_start|>assistant\n")
        assert not any(isinstance(step, ToolStep) and step.call is None for step in record.steps)
    assert run.about["status"] == "finished"
