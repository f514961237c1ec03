"""Agents and evals of other people through `assay serve`: whole runs, from an environment of their
own, against an engine that plays a part and against the embedded policy. `make test-clients`."""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assay.live.store import Store
from assay.policy.loading import load
from assay.records.turns import Seen, Session
from tests.clients.engine import Said, Scripted
from tests.live.conftest import assay as assay
from tests.live.engines import served
from tests.processes import process

PYTHON = Path(__file__).parents[2] / ".venv-clients" / "bin" / "python"
pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs the clients: make test-clients"),
]


def bash(command: str) -> tuple[str, dict[str, Any]]:
    return "bash", {"command": command}


SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
PARTS = {
    "count the lines": [
        Said("I write two lines, and look.", (bash("printf 'a\\nb\\n' > two.txt"), bash("ls"))),
        Said("", (bash("cat absent.txt"),)),
        Said("That was another file.", (bash("wc -l < two.txt | tr -d ' ' | tee count.txt"),)),
        Said("Done.", (bash(f"{SUBMIT} && cat count.txt"),)),
    ],
    "write hello": [
        Said("Grüße: I write it.", (bash("echo hello > hello.txt"),)),
        Said("Done.", (bash(f"{SUBMIT} && cat hello.txt"),)),
    ],
    "2 and 3": [Said("I add.", (("add", {"x": 2, "y": 3}),)), Said("The sum is 5.")],
    "the note": [
        Said("", (("find", {"name": "note.txt"}),)),
        Said("Another way.", (("add", {"x": 1, "y": 1}), ("add", {"x": 2, "y": 2}))),
        Said("There is no note."),
    ],
}


@contextmanager
def gateway(store: Path, *words: str) -> Iterator[str]:
    """Runs `assay serve`; gives its address."""
    told = store.with_suffix(".out")
    command = [sys.executable, "-m", "assay", "serve", *words, "--port", "0", "--consent", "train"]
    with (
        told.open("w") as out,
        process(
            [*command, "--store", str(store)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as running,
    ):  # fmt: skip
        deadline = time.monotonic() + 120
        while "Ctrl-C stops" not in (said := told.read_text()):
            assert running.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        yield said.split()[0]
        running.terminate()
        assert running.wait(60) == 0, told.read_text()


def client(script: str, home: Path, **asked: Any) -> Any:
    """Runs a client to its end; returns what it says it came to."""
    home.mkdir()
    done = subprocess.run(
        [str(PYTHON), "-P", str(Path(__file__).with_name(script)), json.dumps(asked)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "MSWEA_GLOBAL_CONFIG_DIR": str(home),
            "MSWEA_SILENT_STARTUP": "1",
            "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "1",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def kept(store: Path) -> list[Session]:
    with Store.open(store, write=False) as opened:
        return list(opened.sessions().values())


def ids_of(turn: Seen) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    assert turn.prompt_ids is not None
    assert turn.completion_ids is not None
    assert turn.logprobs is not None
    return tuple(turn.prompt_ids), tuple(turn.completion_ids), tuple(turn.logprobs)


def check_whole(sessions: list[Session], engine: Scripted) -> None:
    """What was sampled is in the store, once, and each turn goes on from the one before it."""
    found = [ids_of(turn) for session in sessions for turn in session.turns]
    made = [(tuple(s.prompt), tuple(s.ids), tuple(s.logprobs)) for s in engine.sampled]
    assert sorted(found) == sorted(made)
    for session in sessions:
        assert [turn.turn.index for turn in session.turns] == [*range(len(session.turns))]
        assert [turn.turn.turn_type for turn in session.turns] == ["main"] * len(session.turns)
        assert session.trainable() == session.turns
        for before, turn in zip(session.turns, session.turns[1:], strict=False):
            assert turn.turn.after == before.turn.id
            past = [*before.messages, before.turn.answer]
            assert list(turn.messages[: len(past)]) == past
            assert turn.turn.shared == sum(map(len, ids_of(before)[:2])), "no break in the ids"
            results = turn.messages[len(past) :]
            assert {each["role"] for each in results} == {"tool"}
            assert before.next_state is not None
            assert before.next_state.role == "tool"
            assert before.next_state.text == "\n".join(each["content"] for each in results)
        assert session.turns[-1].next_state is None, "nothing came after it"


def resolved(store: Path, assay: Any) -> dict[str, list[float | None]]:
    """Resolves a store; returns what each session's turns are worth to the facts, and what the
    audit reads of it, as it agrees with the store."""
    assert assay("live", "resolve", str(store)).code == 0
    sessions = kept(store)
    for session in sessions:
        states = [turn.progress for turn in session.turns]
        assert states == ["resolved"] * (len(states) - 1) + ["open"]
    said = assay("audit", str(store), "--json", "-")
    assert said.code == 0, said.err
    found = json.loads(said.text)
    assert found["measure"] == "tokens"
    assert found["trajectories"]["total"] == len(sessions)
    assert found["steps"]["total"] == sum(len(session.turns) for session in sessions)
    return {
        session.id: [turn.labels["facts"].value for turn in session.turns[:-1]]
        for session in sessions
    }


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_mini_swe_agent_does_its_tasks(tmp_path: Path, assay: Any, api: str) -> None:
    """Two attempts at one task that begin and go alike, and another task, at the same time."""
    engine, store = Scripted(PARTS), tmp_path / "live"
    with (
        served(engine.app) as behind,
        gateway(store, "--upstream", f"{behind}/v1") as address,
    ):
        tasks = ["count the lines", "count the lines", "write hello"]
        done = client(
            "run_mini.py", tmp_path / "home", url=f"{address}/r/mini/v1", api=api, tasks=tasks,
            folder=str(tmp_path / "work"),
        )  # fmt: skip
        worth = resolved(store, assay)
    assert [each["exit_status"] for each in done] == ["Submitted"] * 3
    assert [each["submission"] for each in done] == ["2\n", "2\n", "hello\n"]
    assert [each["calls"] for each in done] == [4, 4, 2]
    sessions = kept(store)
    assert sorted(len(session.turns) for session in sessions) == [2, 4, 4]
    check_whole(sessions, engine)
    assert sorted(worth.values(), key=len) == [[None], [None, 0.0, None], [None, 0.0, None]]
    assert {turn.turn.shape for session in sessions for turn in session.turns} == {api}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_inspect_ai_does_an_eval(tmp_path: Path, assay: Any, api: str, stream: bool) -> None:
    engine, store = Scripted(PARTS), tmp_path / "live"
    samples = [
        {"input": "What do 2 and 3 come to?", "target": "5"},
        {"input": "What does the note say?", "target": "no note"},
    ]
    with (
        served(engine.app) as behind,
        gateway(store, "--upstream", f"{behind}/v1") as address,
    ):
        done = client(
            "run_inspect.py", tmp_path / "home", url=f"{address}/r/eval/v1", api=api,
            stream=stream, samples=samples, tools=["add", "find"], at_once=2,
            folder=str(tmp_path / "logs"),
        )  # fmt: skip
        worth = resolved(store, assay)
    assert (done["status"], done["error"]) == ("success", None)
    assert [each["answer"] for each in done["samples"]] == ["The sum is 5.", "There is no note."]
    assert [each["score"] for each in done["samples"]] == ["C", "C"]
    assert {bool(each.asked.get("stream")) for each in engine.sampled} == {stream}
    sessions = kept(store)
    assert sorted(len(session.turns) for session in sessions) == [2, 3]
    check_whole(sessions, engine)
    assert sorted(worth.values(), key=len) == [[None], [0.0, None]]


def check_own(sessions: list[Session]) -> None:
    """What the policy of the process sampled is what its sessions say, and may be trained on."""
    for session in sessions:
        assert session.trainable() == session.turns
        for before, turn in zip(session.turns, session.turns[1:], strict=False):
            goes_on = turn.turn.after == before.turn.id
            assert (before.next_state is not None) == goes_on
            assert not goes_on or turn.turn.shared == sum(map(len, ids_of(before)[:2]))
        for turn in session.turns:
            text = tokenizer().decode(ids_of(turn)[1], skip_special_tokens=True)
            assert text.strip() == str(turn.turn.answer["content"]).strip()


@functools.cache
def tokenizer() -> Any:
    return load("start")[1]


def test_inspect_ai_does_an_eval_of_the_embedded_policy(tmp_path: Path, assay: Any) -> None:
    """Its tools are those of the policy's own world: what it calls is run, and it goes on."""
    store = tmp_path / "live"
    samples = [
        {"input": "currency of home of Accra", "target": "GHS"},
        {"input": "currency of home of Paris", "target": "EUR"},
    ]
    with gateway(store, "--embedded") as address:
        done = client(
            "run_inspect.py", tmp_path / "home", url=f"{address}/r/eval/v1", api="chat",
            stream=False, samples=samples, tools=["home", "currency"], at_once=1, model="start",
            folder=str(tmp_path / "logs"),
        )  # fmt: skip
        assert assay("live", "resolve", str(store)).code == 0
    assert (done["status"], done["error"]) == ("success", None)
    sessions = kept(store)
    check_own(sessions)
    assert len(sessions) == 2
    for session, sample in zip(sessions, done["samples"], strict=True):
        assert len(session.turns) == sample["roles"].count("assistant")
        assert session.turns[-1].turn.answer["content"] == sample["answer"]
        assert {t.next_state.role for t in session.turns if t.next_state} == {"tool"}
    assert json.loads(assay("audit", str(store), "--json", "-").text)["measure"] == "tokens"


def test_mini_swe_agent_runs_with_the_embedded_policy(tmp_path: Path, assay: Any) -> None:
    """The policy knows no bash: the agent says so, without its answer, until its own limit ends the
    run. A header holds the turns together, which go on from none before them."""
    store = tmp_path / "live"
    with gateway(store, "--embedded") as address:
        (done,) = client(
            "run_mini.py", tmp_path / "home", url=f"{address}/r/mini/v1", api="chat",
            tasks=["currency of home of Accra"], folder=str(tmp_path / "work"),
            agent={"system_template": "be brief", "instance_template": "{{task}}"},
            headers={"X-Session-Id": "one"}, model="start",
        )  # fmt: skip
    assert done["exit_status"] == "RepeatedFormatError"
    (session,) = kept(store)
    assert (session.id, len(session.turns)) == ("mini/one", done["calls"])
    check_own([session])
