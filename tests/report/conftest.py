"""A real browser for the tests of the report's pages."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
_DRAWN = """async () => {
  const late = performance.now() + 10_000;
  while (!performance.getEntriesByName("assay:drawn").length) {
    if (performance.now() > late) throw new Error("the page was not drawn within 10 s");
    await new Promise((done) => setTimeout(done, 2));
  }
}"""


@contextmanager
def answering(server: ThreadingHTTPServer) -> Iterator[None]:
    """Lets a server answer in a thread that ends with the block, however the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("ASSAY_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} on the path, ASSAY_CHROMIUM not set")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_SWITCHES)
        yield browser
        browser.close()


class Visit:
    """A page under watch: what it logged, asked for, opened and threw."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.asked = 0
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self._console(said))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", self._dialog)

    def _console(self, said: Any) -> None:
        if said.type in ("error", "warning"):
            self.errors.append(said.text)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open(self, path: Path, address: str = "") -> "Visit":
        """Opens the file afresh at an address such as #/group/0."""
        self.page.goto("about:blank")
        return self.goto(path.as_uri() + address)

    def goto(self, url: str) -> "Visit":
        self.page.goto(url)
        # not wait_for_function: when it has to look twice, the page's own policy forbids its eval
        self.page.evaluate(_DRAWN)
        return self

    def settle(self) -> "Visit":
        """Waits until a page that a key or link asked for has been drawn."""
        self.page.wait_for_timeout(150)
        return self

    def go(self, address: str) -> "Visit":
        """Follows an address inside the open page."""
        self.page.evaluate(
            """(to) => {
              if (location.hash === to) return;
              performance.clearMarks("assay:drawn");
              location.hash = to;
            }""",
            address,
        )
        self.page.evaluate(_DRAWN)
        return self

    @property
    def text(self) -> str:
        return self.page.locator("main").inner_text()

    def foreign(self) -> list[str]:
        """Returns requests for anything but files of this disk."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "about:"))]


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visit]]:
    contexts: list[Any] = []

    def start(**options: Any) -> Visit:
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        return Visit(page)

    yield start
    for context in contexts:
        context.close()
