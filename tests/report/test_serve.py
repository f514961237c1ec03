"""The server answers with its own files, to this machine, and with nothing else."""

import http.client
import socket
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from assay.errors import UsageError
from assay.report.serve import known, serve, server
from tests.report.conftest import answering
from tests.report.samples import mixed_set, report_of


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    page, _ = report_of(mixed_set(), tmp_path / "run" / "report.html", limit_trajectories=1)
    (tmp_path / "run" / "secret.txt").write_text("secret")
    (page.parent / "notes.txt").write_text("secret")
    (page.parent / "chunks" / "x.bin").write_text("secret")
    with server(page.parent, port=0) as made, answering(made):
        yield made


def ask(
    running: ThreadingHTTPServer, path: str, *, method: str = "GET", host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    port = running.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.putrequest(method, path, skip_host=True)
        for each in (host or f"127.0.0.1:{port}").split("|"):
            connection.putheader("Host", each)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def test_the_page_and_its_chunks_are_served(running: ThreadingHTTPServer):
    status, body, headers = ask(running, "/")
    assert status == 200
    assert b"<title>a set" in body
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert policy.endswith("frame-ancestors 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(running, "/index.html")[1] == body
    status, empty, headers = ask(running, "/", method="HEAD")
    assert (status, empty, headers["Content-Length"]) == (200, b"", str(len(body)))


def test_a_refusal_of_head_has_no_body_either(running: ThreadingHTTPServer):
    port = running.server_address[1]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
        asked.sendall(f"HEAD /no HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        said = b"".join(iter(lambda: asked.recv(4096), b""))  # it is closed after a refusal
    assert said.startswith(b"HTTP/1.1 404 ")
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/chunks/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/notes.txt",
        "/chunks/x.bin",
        "/chunks/",
        "//etc/passwd",
        "/chunks/0000000000000000.bin",
        "http://127.0.0.1/notes.txt",
        "/index.html/",
    ],
)
def test_nothing_else_is(running: ThreadingHTTPServer, path: str):
    status, body, _ = ask(running, path)
    assert status == 404
    assert b"secret" not in body


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"])
def test_other_names_of_this_machine_are_refused(running: ThreadingHTTPServer, host: str):
    assert ask(running, "/", host=host)[0] == 421


def test_two_hosts_are_refused_and_localhost_is_not(running: ThreadingHTTPServer):
    port = running.server_address[1]
    assert ask(running, "/", host=f"127.0.0.1:{port}|evil.example")[0] == 421
    assert ask(running, "/", host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH"])
def test_only_get_and_head(running: ThreadingHTTPServer, method: str):
    assert ask(running, "/", method=method)[0] == 501


def test_it_is_bound_to_this_machine_only(running: ThreadingHTTPServer):
    assert running.server_address[0] == "127.0.0.1"


def test_no_report_and_a_taken_port_are_said_plainly(running: ThreadingHTTPServer, tmp_path: Path):
    with pytest.raises(UsageError, match=r"no index\.html here"):
        known(tmp_path)
    port = running.server_address[1]
    (tmp_path / "report.html").write_text("")
    with pytest.raises(UsageError, match=f"127.0.0.1:{port}: .* choose another --port"):
        serve(tmp_path, port=port, ready=lambda url: None)
