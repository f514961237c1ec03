"""A gateway with its engine and its store, over real sockets, and its clients."""

import json
import time
from contextlib import ExitStack, contextmanager

import anthropic
import openai

from assay.live.gateway import Gateway
from assay.live.guard import Guard
from assay.live.store import Store
from assay.live.upstream import Server
from tests.live.engines import Stub, served

SECRET = b"s" * 32
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def wait_for(what):
    """Waits until something is so, 20 seconds at most."""
    deadline = time.monotonic() + 20
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert what()


class Running:
    """A gateway, its engine and its store."""

    def __init__(self, url, stub, store, gateway):
        self.url, self.stub, self.store, self.gateway = url, stub, store, gateway
        self.clients = []

    def kept(self, client):
        self.clients.append(client)
        return client

    def openai(self, run="r", key="any", **headers):
        return self.kept(openai.OpenAI(
            base_url=f"{self.url}/r/{run}/v1", api_key=key, max_retries=0, timeout=30,
            default_headers=headers,
        ))  # fmt: skip

    def anthropic(self, run="r", key="any", **headers):
        return self.kept(anthropic.Anthropic(
            base_url=f"{self.url}/r/{run}", api_key=key, max_retries=0, timeout=30,
            default_headers=headers,
        ))  # fmt: skip

    def sessions(self):
        self.store.append().result(timeout=30)
        return self.store.sessions()

    def turns(self):
        self.store.append().result(timeout=30)
        return self.store.turns()


@contextmanager
def running(tmp_path, kind="vllm", *, stub=None, store=True, **more):
    with ExitStack() as stack:
        stub = stub or Stub(kind)
        behind = stack.enter_context(served(stub.app))
        kept = stack.enter_context(Store.open(tmp_path / "store")) if store is True else store
        guard = Guard(
            secret=SECRET,
            needs_key=more.pop("needs_key", False),
            consent=more.pop("consent", "train"),
            hosts=frozenset({"127.0.0.1", "localhost"}),
        )
        upstream = Server(
            f"{behind}/v1", key="upstream-key", engine=more.pop("engine", None),
            timeout=more.pop("timeout", 20.0), most=100,
        )  # fmt: skip
        gateway = Gateway(upstream=upstream, store=kept, guard=guard, **more)
        url = stack.enter_context(served(gateway.app))
        made = Running(url, stub, kept, gateway)
        try:
            yield made
        finally:
            for client in made.clients:
                client.close()


def ask(client, *messages, **more):
    said = [{"role": "user" if i % 2 == 0 else "assistant", "content": m}
            for i, m in enumerate(messages)]  # fmt: skip
    return client.chat.completions.create(model="m", messages=said, **more)


def post(url, headers=None, body=None, path="/r/r/v1/chat/completions", method="POST"):
    """Sends bytes as they are; returns status and body."""
    import http.client

    said = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    data = json.dumps(said).encode() if body is None else body
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(
            method, path, data, {"Content-Type": "application/json", **(headers or {})}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
