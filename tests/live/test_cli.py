"""`assay serve` and `assay live`, as a person types them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest

from assay.errors import UsageError
from assay.importers import load
from assay.live.guard import check_bind
from assay.live.keys import opened as key_opened
from assay.live.keys import secret_of
from assay.live.status import status
from assay.live.store import Store
from tests.live.engines import Stub, served
from tests.live.test_status import kept as kept

FIXTURE = Path(__file__).parent.parent / "fixtures" / "live"


def test_the_verbs_work_on_a_store(kept, tmp_path, assay):
    store = str(tmp_path / "live")
    said = assay("live", "status", store)
    assert said.code == 0
    assert "2 turns, 1 to train on" in said.text
    assert "serves pol-1" in said.text
    made = json.loads(assay("live", "status", store, "--json", "-").out)
    assert made["schema"] == "assay.live/1"
    page = tmp_path / "page.html"
    assert assay("live", "status", store, "--page", str(page)).code == 0
    assert assay("live", "label", "t-1", "0.5", "--store", store, "--reason", "slow").code == 0
    assert assay("live", "label", "r/s-1", "none", "--store", store).code == 0
    session = kept.sessions()["r/s-1"]
    given = session.turns[0].labels["person"]
    assert (given.value, given.evidence, given.reason) == (0.5, "E4", "slow")
    assert session.labels["person"].value is None
    gone = assay("live", "forget", "r/s-1", "--store", store)
    assert gone.code == 0, gone.err
    assert "pol-1 trained on it" in gone.text
    assert str(page) in gone.text
    assert kept.sessions() == {}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("status",), "no store there"),
        (("label", "t", "1"), "no store there"),
        (("forget", "t"), "no store there"),
        (("key",), "no store there"),
    ],
)
def test_where_no_store_is_the_verbs_say_so(tmp_path, assay, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    said = assay("live", *words)
    assert said.code == 3
    assert told in said.err
    assert len(said.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["2", "-1", "much", "nan"])
def test_a_label_that_is_no_value_is_refused(kept, tmp_path, assay, value):
    said = assay("live", "label", "--store", str(tmp_path / "live"), "--", "t-1", value)
    assert said.code == 2
    assert "from 0 to 1" in said.err
    assert "person" not in kept.labels()["t-1"]


def test_of_what_is_not_there_nothing_is_labelled_or_forgotten(kept, tmp_path, assay):
    store = str(tmp_path / "live")
    assert assay("live", "label", "t-9", "1", "--store", store).code == 2
    assert assay("live", "forget", "r/s-1", "r/s-9", "--store", store).code == 2
    assert list(kept.sessions()) == ["r/s-1"], "all or none"


def test_a_key_is_of_its_store(kept, tmp_path, assay):
    store = tmp_path / "live"
    said = assay("live", "key", str(store), "--run", "r", "--user", "ann", "--consent", "train")
    key = key_opened(secret_of(store), said.text.strip(), now=0.0)
    assert (key.run, key.user, key.consent, key.session) == ("r", "ann", "train", None)
    assert assay("live", "key", str(store), "--consent", "all").code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--upstream URL or --embedded"),
        (("--upstream", "http://x/v1", "--embedded"), "--upstream URL or --embedded"),
        (("--upstream", "nowhere"), "expected an address"),
        (("--upstream", "http://x/v1", "--host", "0.0.0.0"), "add --keys and --cert"),
        (("--upstream", "http://x/v1", "--host", "0.0.0.0", "--keys"), "add --cert"),
        (("--upstream", "http://x/v1", "--consent", "all"), "expected none, record, train"),
        (("--upstream", "http://x/v1", "--engine", "other"), "expected auto, vllm"),
        (("--upstream", "http://x/v1", "--cert", "c.pem"), "give both"),
        (("--upstream", "http://x/v1", "--key-env", "NO_SUCH_KEY"), "no such variable"),
        (("--embedded", "--processed"), "--processed is of --upstream"),
        (("--embedded", "--key-env", "NO_SUCH_KEY"), "--key-env is of --upstream"),
        (("--embedded", "--engine", "vllm"), "--engine is of --upstream"),
        (("--upstream", "http://x/v1", "--model", "start"), "--model is of --embedded"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path, assay, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    said = assay("serve", *words)
    assert said.code == 2
    assert told in said.err
    assert list(tmp_path.iterdir()) == [], "before a store is made"


def test_a_taken_port_leaves_no_store(tmp_path, assay):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, store = str(taken.getsockname()[1]), tmp_path / "live"
        said = assay("serve", "--upstream", "http://x/v1", "--port", port, "--store", str(store))
    assert said.code == 2
    assert f"--port {port}" in said.err
    assert not store.exists()


@pytest.mark.parametrize("run", ["a/b", "", "-a", "x" * 65])
def test_a_key_of_a_run_that_no_address_has_is_refused(kept, tmp_path, assay, run):
    said = assay("live", "key", str(tmp_path / "live"), f"--run={run}")
    assert said.code == 2
    assert f"--run {run}: no address has it" in " ".join(said.err.split())
    assert not (tmp_path / "live" / "secret").exists()


def test_loopback_needs_neither_key_nor_certificate():
    for host in ("127.0.0.1", "localhost", "::1"):
        check_bind(host, needs_key=False, tls=False)
    check_bind("0.0.0.0", needs_key=True, tls=True)
    with pytest.raises(UsageError):
        check_bind("192.0.2.1", needs_key=False, tls=True)


def test_a_gateway_serves_a_store_alone_until_it_is_told_to_stop(tmp_path):
    stub = Stub()
    with served(stub.app) as behind:
        words = ["serve", "--upstream", f"{behind}/v1", "--port", "0", "--consent", "train"]
        command = [sys.executable, "-m", "assay", *words, "--store", str(tmp_path / "live")]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            address = process.stdout.readline().split()[0]
            with openai.OpenAI(base_url=f"{address}/r/r/v1", api_key="x", timeout=30) as client:
                said = [{"role": "user", "content": "hi"}]
                client.chat.completions.create(model="m", messages=said)
            deadline = time.monotonic() + 20
            with Store.open(tmp_path / "live", write=False) as store:
                while (made := status(store, now=1.0))["gateway"] is None:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert made["turns"]["to train on"] == 1
            assert made["gateway"]["address"] == address
            second = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
            )
            assert (second.returncode, second.stdout) == (2, "")
            assert "another gateway serves this store; stop it" in " ".join(second.stderr.split())
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0
        assert "every turn that was acknowledged is in the store" in rest
        assert not (tmp_path / "live" / "gateway.json").exists()


@pytest.mark.parametrize("to", ["atif", "otel"])
def test_what_is_exported_is_read_back_alike(tmp_path, assay, to):
    store, out = tmp_path / "live", tmp_path / f"{to}.jsonl"
    shutil.copytree(FIXTURE, store)
    assert assay("live", "export", str(store), "--to", to, "-o", str(out)).code == 0
    name, found = load(out)
    assert name == to
    back = {each.id: each for each in found}
    ours = {each.id: each for each in load(store)[1]}
    assert len(back) == 2
    for mine, theirs in zip(ours.values(), back.values(), strict=True):
        assert [type(step) for step in theirs.steps] == [type(step) for step in mine.steps]
        assert [step.text for step in theirs.steps] == [step.text for step in mine.steps]
        if to == "atif":
            assert theirs.id == mine.id
            assert theirs.outcome == mine.outcome
            assert [s.token_ids for s in theirs.steps] == [s.token_ids for s in mine.steps]
            assert theirs.steps[1].logprobs == mine.steps[1].logprobs
    with Store.open(store) as opened_:
        assert opened_.forget("r/a", at=1.0).deleted == [str(out)]


def test_verifiers_get_the_credit(tmp_path, assay):
    store, out = tmp_path / "live", tmp_path / "v"
    shutil.copytree(FIXTURE, store)
    said = assay("live", "export", str(store), "--to", "verifiers", "-o", str(out))
    assert said.code == 0, said.err
    assert "4 tokens with an advantage" in said.text
    with Store.open(store) as opened_:
        assert opened_.forget("r/a", at=1.0).deleted == [str(out)]


def test_an_export_that_cannot_be_is_refused(kept, tmp_path, assay):
    store = str(tmp_path / "live")
    out = str(tmp_path / "x.jsonl")
    assert assay("live", "export", store, "--to", "other", "-o", out).code == 2
    assert not (tmp_path / "x.jsonl").exists()


def test_audit_reads_a_store_directly(tmp_path, assay):
    store = tmp_path / "live"
    shutil.copytree(FIXTURE, store)
    said = assay("audit", store, "--json", "-")
    assert said.code == 0, said.err
    assert said.json["trajectories"]["total"] == 2
