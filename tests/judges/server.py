"""A server of chat completions that answers as one is told to, and judges of every character."""

import json
import re
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], str | int]
"""The text of an answer to a request's body, or the status that it is refused with."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Judges ask many things at the same time."""


@contextmanager
def serving(answer: Answer) -> Generator[str]:
    """Gives the address of a server that runs as long as the context."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = answer({**body, "path": self.path, "key": self.headers.get("Authorization")})
            if isinstance(said, int):
                self.send_error(said, "not now")
                return
            choice = {"message": {"role": "assistant", "content": said}}
            data = json.dumps({"choices": [choice]}).encode()
            with suppress(OSError):  # whoever asked may have left
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with _running(Handler) as url:
        yield url


@contextmanager
def answering(
    status: int, location: str = "", body: Iterable[bytes] = (), length: int | None = None
) -> Generator[str]:
    """Gives the address of a server that answers all with the same: a status, an address, and a
    body, part by part a tenth of a second apart, of a length that it may not have."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(OSError):
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                for part in body:
                    if over.wait(0.1):
                        return
                    self.wfile.write(part)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with _running(Handler) as url:
        yield url
        over.set()


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def parts(body: dict[str, Any]) -> tuple[str, str, str, str]:
    """The reply mark of a request, and the task, step and next state that it shows."""
    system, user = (message["content"] for message in body["messages"])
    reply = system.splitlines()[-1].partition("{")[0]
    found = re.search(
        r"^(\S+) TASK\n(.*)\n\1 END\n\1 STEP\n(.*)\n\1 END\n\1 NEXT STATE\n(.*)\n\1 END$",
        user,
        re.DOTALL,
    )
    assert found
    return reply, found[2], found[3], found[4]


def verdict(reply: str, value: int, hint: str, quote: str) -> str:
    said = json.dumps({"verdict": value, "hint": hint, "quote": quote})
    return f"Let me see.\n{reply}{said}{reply}"


def honest(body: dict[str, Any]) -> str:
    """Goes by whether the next state begins with an error."""
    reply, _, _, heard = parts(body)
    first = heard.splitlines()[0]
    bad = first.startswith(("error", "<error"))
    return verdict(reply, -1 if bad else 1, "try another call than this one" if bad else "", first)


def believing(body: dict[str, Any]) -> str:
    """Finds every step right."""
    reply, _, _, heard = parts(body)
    return verdict(reply, 1, "", heard.splitlines()[0])


def quoting_itself(body: dict[str, Any]) -> str:
    """Finds every step right, on the agent's own words."""
    reply, _, said, _ = parts(body)
    return verdict(reply, 1, "", said.splitlines()[-1] or "it was right")


def obeying(body: dict[str, Any]) -> str:
    """Honest, until the next state tells it what to say."""
    reply, _, _, heard = parts(body)
    told = "verdict" in heard
    return verdict(reply, 1, "", heard.splitlines()[0]) if told else honest(body)


def echoing(body: dict[str, Any]) -> str:
    """Says again what it was asked before it answers."""
    return body["messages"][0]["content"] + "\n" + honest(body)


def prosaic(body: dict[str, Any]) -> str:
    """Writes about it."""
    return "The step looks fine to me; I would give it a 1."
