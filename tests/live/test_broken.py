"""Stores that are broken, full, of another version or cut short, and a gateway that is started anew
over TLS: one line, and nothing that was acknowledged is lost."""

import json
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import openai
import pytest

from assay.errors import DataError
from assay.live.status import status, write_page
from assay.live.store import FILE, Store
from assay.records.live import TurnLabel
from tests.live.conftest import opened, turn
from tests.live.engines import Stub, served
from tests.processes import process

ALONE = ["unshare", "--user", "--map-root-user", "--mount"]


def files(folder):
    return {each.name: each.read_bytes() for each in folder.iterdir() if "-shm" not in each.name}


@pytest.fixture
def kept(tmp_path):
    """The folder of a store with one turn, closed."""
    with Store.open(tmp_path / "live") as store:
        store.append(opened(), turn("t-1"), durable=True).result(timeout=30)
    return tmp_path / "live"


VERBS = [
    ("live", "status", "STORE"),
    ("live", "resolve", "STORE"),
    ("audit", "STORE"),
    ("serve", "--upstream", "http://127.0.0.1:9/v1", "--port", "0", "--store", "STORE"),
]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: " ".join(words[:2]))
def test_a_store_of_a_later_version_is_refused_and_left_as_it_is(kept, tmp_path, assay, words):
    with closing(sqlite3.connect(kept / FILE)) as db:
        db.execute("PRAGMA user_version=9")
    before = files(kept)
    said = assay(*[str(kept) if word == "STORE" else word for word in words])
    assert said.code == 3
    assert "written by a later version of Assay (form 9; this one knows 1)" in " ".join(
        said.err.split()
    )
    assert said.err.count("assay:") == 1
    assert files(kept) == before


def test_a_later_version_is_known_although_its_mark_lies_beside_the_file(kept):
    with closing(sqlite3.connect(kept / FILE)) as db:
        db.execute("PRAGMA user_version=9")
        for write in (True, False):
            with pytest.raises(DataError, match="form 9"):
                Store.open(kept, write=write)


def test_a_store_of_before_versions_were_written_is_read_and_written(kept):
    with closing(sqlite3.connect(kept / FILE)) as db:
        db.execute("PRAGMA user_version=0")
    with Store.open(kept) as store:
        store.append(turn("t-2"), durable=True).result(timeout=30)
        assert len(store.turns()) == 2


def test_events_beside_a_file_that_is_not_there_are_left(kept, assay):
    with Store.open(kept) as store:
        store.append(turn("t-2"), durable=True).result(timeout=30)
        beside = (kept / f"{FILE}-wal").read_bytes()
    whole = (kept / FILE).read_bytes()
    (kept / FILE).unlink()
    (kept / f"{FILE}-wal").write_bytes(beside)
    before = files(kept)
    with pytest.raises(DataError, match=r"put that file back, or move this one away"):
        Store.open(kept)
    assert assay("live", "status", str(kept)).code == 3
    assert files(kept) == before
    (kept / FILE).write_bytes(whole)
    with Store.open(kept) as store:
        assert [each.turn.id for each in store.turns()] == ["t-1", "t-2"]


def test_a_move_that_was_cut_short_leaves_a_store(kept, tmp_path):
    """A kill, or a full disk: the first page says how long the file is, and it is not yet."""
    cut = tmp_path / "cut"
    cut.mkdir()
    with Store.open(kept) as store, closing(sqlite3.connect(kept / FILE)) as other:
        for at in range(2, 30):
            text = ({"role": "user", "content": "x" * 9000},)
            store.append(turn(f"t-{at}", messages=text), durable=True).result(timeout=30)
        short = (kept / FILE).stat().st_size
        shutil.copy(kept / f"{FILE}-wal", cut / f"{FILE}-wal")
        assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
        moved = (kept / FILE).read_bytes()
    assert len(moved) > 2 * short
    (cut / FILE).write_bytes(moved[:short])
    with Store.open(cut, write=False) as store:
        assert len(store.turns()) == 29
    with Store.open(cut) as store:
        store.append(turn("t-30"), durable=True).result(timeout=30)
        assert len(store.turns()) == 30


def test_a_disk_that_is_full_and_has_room_again(tmp_path):
    mount = 'mount -t tmpfs -o size=5m none "$0" && exec "$@"'
    asked = [*ALONE, "sh", "-c", mount, str(tmp_path)]
    may = subprocess.run([*asked, "true"], capture_output=True, timeout=60, check=False)
    if may.returncode:
        pytest.skip("cannot mount a file system of its own here")
    done = subprocess.run(
        [*asked, sys.executable, "-m", "tests.live.full_disk", str(tmp_path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert "full" in said["failing"]
    assert said["answers"] == ["Hello you"], "every user got the answer"
    assert said["lost"] >= 6
    assert said["kept_after"] >= 5
    assert said["kept"] > 20
    gone = (said["gone_when_full"], said["gone"], said["twice"], said["check"])
    assert gone == (0, 0, 0, "ok"), "what was said to be kept is there"


def test_status_and_page_of_a_thousand_sessions(tmp_path):
    with Store.open(tmp_path / "live") as store:
        for at in range(1000):
            name = f"s-{at}"
            store.append(opened(name), *(turn(f"t-{at}-{n}", name, index=n) for n in range(5)))
            store.append(
                TurnLabel(
                    session=name, at=2.0, turn=f"t-{at}-0", value=1.0, source="u", evidence="E4"
                )
            )
        store.append(durable=True).result(timeout=120)
        begun = time.process_time()
        found = status(store, now=3.0)
        assert (found["sessions"]["all"], found["turns"]["to train on"]) == (1000, 5000)
        write_page(store, tmp_path / "live.html", now=3.0)
        assert time.process_time() - begun < 10, "0.5 s on an idle core"
    assert (tmp_path / "live.html").stat().st_size < 500_000


# --- TLS, and gateways that are started anew


@contextmanager
def gateway(behind, folder, port, certificate):
    out = folder / "out.txt"
    command = [sys.executable, "-m", "assay", "serve", "--upstream", f"{behind}/v1"]
    command += ["--port", str(port), "--store", str(folder / "live"), "--consent", "train"]
    command += ["--cert", str(certificate), "--cert-key", str(certificate.with_suffix(".key"))]
    with out.open("w") as told, process(
        command, stdin=subprocess.DEVNULL, stdout=told, stderr=told,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as running:  # fmt: skip
        deadline = time.monotonic() + 60
        while "Ctrl-C stops" not in (said := out.read_text()):
            assert running.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        yield running, said.split()[0]


@pytest.fixture
def certificate(tmp_path):
    made = tmp_path / "cert.pem"
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(made.with_suffix(".key")), "-out", str(made)],
        check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    return made


def test_over_tls_a_session_goes_on_across_gateways_that_are_killed(tmp_path, certificate):
    stub, said, names, port = Stub(), list[dict[str, str]](), list[str](), 0
    trusted = ssl.create_default_context(cafile=str(certificate))
    with served(stub.app) as behind:
        for number, end in enumerate((signal.SIGKILL, signal.SIGTERM)):
            with gateway(behind, tmp_path, port, certificate) as (running, address):
                assert address.startswith("https://127.0.0.1:")
                port = int(address.rpartition(":")[2])
                for stranger in ("http", "https"):  # without TLS, and without the certificate
                    url = f"{stranger}://{address.partition('//')[2]}/r/r/v1"
                    with openai.OpenAI(
                        base_url=url, api_key="x", timeout=30, max_retries=0
                    ) as other, pytest.raises(openai.APIConnectionError):  # fmt: skip
                        other.models.list()
                web = openai.DefaultHttpxClient(verify=trusted)
                with openai.OpenAI(
                    base_url=f"{address}/r/r/v1", api_key="x", timeout=30, max_retries=0,
                    http_client=web,
                ) as client:  # fmt: skip
                    said.append({"role": "user", "content": f"turn {number}"})
                    text = ""
                    with client.chat.completions.with_streaming_response.create(
                        model="m", messages=said, stream=True
                    ) as raw:
                        names.append(raw.headers["x-assay-session"])
                        for line in raw.iter_lines():
                            if line.startswith("data: {"):
                                delta = json.loads(line[6:])["choices"][0]["delta"]
                                text += delta.get("content") or ""
                    said.append({"role": "assistant", "content": text})
                running.send_signal(end)
                running.wait(60)
    assert len({*names}) == 1
    with Store.open(tmp_path / "live", write=False) as store:
        (session,) = store.sessions().values()
        assert [each.turn.index for each in session.turns] == [0, 1]
        assert len(session.trainable()) == 2
        state = session.turns[0].next_state
        assert state is not None
        assert state.text == "turn 1"
