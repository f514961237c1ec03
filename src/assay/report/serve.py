"""Serves a report from 127.0.0.1: its own files, to this machine, and nothing else."""

import re
import sys
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, final

from assay.errors import UsageError

_CHUNK: Final = re.compile(r"[0-9a-f]{16}\.bin")
_POLICY: Final = re.compile(rb'Content-Security-Policy" content="([^"]{1,2000})"')


def serve(folder: Path, *, port: int, ready: Callable[[str], None]) -> None:
    """Serves the report in `folder` until interrupted.

    Args:
        folder: holds index.html and chunks/, as `build` wrote them; or report.html.
        port: on 127.0.0.1; 0 picks a free one.
        ready: called once with the address, when it answers.

    Raises:
        UsageError: there is no report in the folder, or the port is taken.
    """
    with server(folder, port=port) as running:
        ready(f"http://127.0.0.1:{running.server_address[1]}/")
        try:
            running.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


def server(folder: Path, *, port: int) -> ThreadingHTTPServer:
    """Returns the bound server, not yet answering; see `serve`."""
    files = known(folder)
    return _bound(lambda: files, port)


def live(page: Callable[[], Path | None], *, port: int) -> ThreadingHTTPServer:
    """Returns a bound server of a report that is replaced as a whole again and again.

    Args:
        page: where the page is now; None: there is none.
        port: as for `serve`.

    Raises:
        UsageError: the port is taken.
    """

    def files() -> dict[str, Path]:
        try:
            now = page()
            return {} if now is None else known(now.parent)
        except (OSError, UsageError):  # just then it is replaced
            return {}

    return _bound(files, port)


def _bound(files: Callable[[], dict[str, Path]], port: int) -> ThreadingHTTPServer:
    try:
        return _Server(("127.0.0.1", port), partial(_Handler, files))
    except OSError as error:
        raise UsageError(f"127.0.0.1:{port}: {error.strerror}; choose another --port") from None


def known(folder: Path) -> dict[str, Path]:
    """Returns the paths that are answered, with the file of each. Read once: nothing is looked up
    on disk by a name that came over the network.

    Raises:
        UsageError: there is no report in the folder.
    """
    page = next((p for n in ("index.html", "report.html") if (p := folder / n).is_file()), None)
    if page is None:
        raise UsageError(f"{folder}: no index.html here; make a report with assay audit")
    files = {"/": page, f"/{page.name}": page}
    chunks = folder / "chunks"
    for path in sorted(chunks.iterdir()) if chunks.is_dir() else ():
        if _CHUNK.fullmatch(path.name) and path.is_file():
            files[f"/chunks/{path.name}"] = path
    return files


@final
class _Server(ThreadingHTTPServer):
    """A server to which a browser that goes away while it loads is no error."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints what went wrong here, as the base class does."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@final
class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of known files to requests that name this host."""

    protocol_version = "HTTP/1.1"
    server_version = "assay"
    sys_version = ""
    timeout = 30

    def __init__(self, files: Callable[[], dict[str, Path]], *args: Any) -> None:
        self._files = files
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answers with the file; HEAD, with its headers only."""
        port = self.connection.getsockname()[1]
        if self.headers.get_all("Host") not in ([f"127.0.0.1:{port}"], [f"localhost:{port}"]):
            # a page elsewhere that points its own name at 127.0.0.1 is not this page
            return self._refuse(421, "this server answers to 127.0.0.1 only")
        path = self._files().get(self.path.split("?", 1)[0])
        if path is None:
            return self._refuse(404, "no such file in this report")
        try:
            data, stat = path.read_bytes(), path.stat()
        except OSError:
            return self._refuse(404, "this report was replaced; start assay view again")
        page = path.suffix == ".html"
        kind = "text/html; charset=utf-8" if page else "application/octet-stream"
        tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        return self._send(200, data, kind, page=page, tag=tag)

    do_HEAD = do_GET  # the name that http.server looks for

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True
        self._send(status, f"{why}\n".encode(), "text/plain; charset=utf-8", page=False)

    def _send(
        self, status: int, data: bytes, kind: str, *, page: bool, tag: str | None = None
    ) -> None:
        found = _POLICY.search(data[:4096]) if page else None
        policy = found[1].decode() if found else "default-src 'none'"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", f"{policy}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-cache")
        if tag is not None:
            self.send_header("ETag", tag)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal belongs to the command."""
