"""`assay audit --watch`: waits for a log and for what is not whole, ends with all that is there."""

import json
import re
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from assay.cli import watch
from assay.files.outputs import telling
from assay.importers import Kept, Losses, load
from assay.live.store import Store
from assay.report.serve import live
from assay.runs.audit import audit_log
from tests.live.test_forgetting import said

LATER = 2**62


def row(trial: int) -> str:
    said = [{"role": "assistant", "content": f"text {trial}"}]
    return json.dumps({"task": "a", "trial": trial, "reward": float(trial), "messages": said})


def test_what_is_not_whole_is_waited_for_and_in_the_end_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log, out, said = tmp_path / "log", tmp_path / "run", list[tuple[int, dict[str, int]]]()
    log.mkdir()
    file = log / "a.jsonl"
    states = iter(["", row(0), f"{row(0)}\n{row(1)[:20]}", f"{row(0)}\n{row(1)}\n{row(2)[:9]}"])

    def grow(_: float) -> None:
        text = next(states, None)
        if text is None:
            raise KeyboardInterrupt
        file.write_text(text)

    monkeypatch.setattr(watch.time, "sleep", grow)

    def audit(is_live: bool) -> Any:
        return audit_log(log, out=out, report=False, reuse=True, now=LATER, live=is_live)

    def show(run: Any) -> None:
        said.append((run.audit["trajectories"]["total"], run.audit["losses"]))

    run = watch.Watch(log, audit, show).run(1.0)
    assert said == [(1, {}), (1, {}), (2, {}), (2, {"torn_record": 1})]
    assert json.loads((out / "audit.json").read_bytes()) == json.loads(json.dumps(run.audit))


def test_the_address_of_the_page_stays_on_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    file, out, screens = tmp_path / "a.jsonl", tmp_path / "run", list[str]()
    file.write_text(f"{row(0)}\n")
    states = iter([f"{row(0)}\n{row(1)}\n", f"{row(0)}\n{row(1)}\n{row(2)}\n"])

    def grow(_: float) -> None:
        screens.append(capsys.readouterr().out)
        text = next(states, None)
        if text is None:
            raise KeyboardInterrupt
        file.write_text(text)

    servers = list[ThreadingHTTPServer]()

    def bound(*given: Any, **more: Any) -> ThreadingHTTPServer:
        servers.append(live(*given, **more))
        return servers[-1]

    monkeypatch.setattr(import_module("assay.report.serve"), "live", bound)
    monkeypatch.setattr(watch.time, "sleep", grow)
    try:
        watch.Watch(file, lambda live: audit_log(file, out=out, live=live), lambda _: None).run(1.0)
    finally:
        for each in servers:
            each.shutdown()
            each.server_close()
    assert len(servers) == 1
    found = [re.findall(r"the page, kept fresh: (http://127\.0\.0\.1:\d+/)", s) for s in screens]
    assert len(screens) == 3
    assert all(len(each) == 1 and each == found[0] for each in found)


def test_a_store_is_audited_again_where_it_has_grown_and_not_because_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log, looks, slept = tmp_path / "live", list[int](), iter(["", "", "b", "", ""])

    def grow(name: str) -> None:
        with Store.open(log) as store:
            store.append(*said(name, "x"), durable=True).result(timeout=30)

    def sleep(_: float) -> None:
        if name := next(slept, "end"):
            if name == "end":
                raise KeyboardInterrupt
            grow(name)

    def audit(is_live: bool) -> Any:
        return audit_log(log, out=tmp_path / "run", report=False, live=is_live)

    def show(run: Any) -> None:
        looks.append(run.audit["trajectories"]["total"])

    monkeypatch.setattr(watch.time, "sleep", sleep)
    grow("a")
    with telling(lambda: 1.0, pytest.fail):  # what the audit leaves is told to the store
        watch.Watch(log, audit, show).run(1.0)
    assert looks == [1, 2, 2], "once, when it grew, and at the end"


def test_a_waited_file_is_read_again(tmp_path: Path):
    file = tmp_path / "a.jsonl"
    file.write_text(f"{row(0)}\n{row(1)[:20]}")
    kept, losses = Kept(live=True), Losses()
    assert len(list(load(file, losses=losses, kept=kept)[1])) == 1
    assert losses.counts == {}
    assert not kept.vouched


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    from threading import Thread

    page = tmp_path / "report.html"
    server = live(lambda: page if page.is_file() else None, port=0)
    Thread(target=server.serve_forever, daemon=True).start()
    yield page, f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_a_page_that_is_replaced_has_another_tag(served: tuple[Path, str]):
    page, address = served
    with pytest.raises(HTTPError, match="404"):
        urlopen(address)
    tags = set[str]()
    for text in ("one", "longer"):
        page.write_text(text)
        with urlopen(Request(address, method="HEAD")) as answer:
            tags.add(answer.headers["ETag"])
    assert len(tags) == 2
