"""`assay live resolve`, `train`, `publish`, `rollback` as a person types them, and the demo."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assay.cli.verbs import app
from assay.demo.live import run
from assay.errors import DataError, UsageError
from assay.live.learning import Learner
from assay.live.publisher import serving
from assay.live.resolver import Resolver
from assay.live.simulated import request, served, session_of
from assay.live.status import sentences, status
from assay.live.store import Store
from assay.policy.loading import load


def said(*arguments: object, code: int = 0) -> str:
    found = CliRunner().invoke(app, ["live", *map(str, arguments)])
    assert found.exit_code == code, found.output
    return found.output


@pytest.fixture
def talked(tmp_path: Path) -> Path:
    """A store with 32 sessions of the simulated users; nobody has resolved them."""
    model, tokenizer = load()
    asked = [request(n) for n in range(32)]
    with Store.open(tmp_path / "live") as store:
        for n, answer in enumerate(served(model, tokenizer, asked, (0,))):
            events = session_of(
                asked[n], answer, name=f"s{n}", user=f"u{n % 4}", version="start", at=float(n)
            )
            store.append(*events).result(timeout=30)
    return tmp_path / "live"


def suites(path: Path, margin: float) -> Path:
    path.write_text(
        f'[[suite]]\nname = "tasks"\nenv = "lookup/even"\ntasks = 24\nmargin = {margin}\n'
    )
    return path


def test_from_next_states_to_a_version_that_serves_and_back(talked: Path, tmp_path: Path) -> None:
    assert f"{talked}  32 turns resolved" in said("resolve", talked)
    out = tmp_path / "run"
    assert "pol-000001  from start, 32 sessions" in said("train", talked, "-o", out)
    assert json.loads((out / "run.json").read_text())["learning"]["signal"] == "combined"
    loose = suites(tmp_path / "loose.toml", 0.9)
    told = tmp_path / "canary.json"
    assert "pol-000001  served" in said("publish", talked, "--suites", loose, "--json", told)
    found: Any = json.loads(told.read_text())
    assert (found["schema"], found["state"]) == ("assay.canary/1", "served")
    assert found["figures"]["tasks/tasks"] == 24
    assert "taken back; the policy before any version serves" in said("rollback", talked)
    with Store.open(talked, write=False) as store:
        assert serving(store) is None
    again = CliRunner().invoke(app, ["live", "rollback", str(talked)])
    assert isinstance(again.exception, UsageError)


def test_one_resolver_works_at_a_time(talked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would each write what all sources say, and pay a judge twice."""
    step, told = Resolver.step, list[BaseException | None]()

    def meanwhile(self: Resolver) -> int:
        monkeypatch.setattr(Resolver, "step", step)
        told.append(CliRunner().invoke(app, ["live", "resolve", str(talked)]).exception)
        return step(self)

    monkeypatch.setattr(Resolver, "step", meanwhile)
    assert "32 turns resolved" in said("resolve", talked)
    assert isinstance(told[0], UsageError)
    assert str(told[0]) == f"{talked}: another process resolves turns of this store"
    assert "0 turns resolved" in said("resolve", talked)
    with Store.open(talked, write=False) as store:
        assert store.counts()["label"] == sum(len(each.labels) for each in store.turns())


def test_a_version_that_may_be_worse_is_refused_and_exits_with_1(
    talked: Path, tmp_path: Path
) -> None:
    said("resolve", talked)
    said(
        "train", talked, "-o", tmp_path / "run", "--signal", "binary", "--set", "learning_rate=1.0"
    )
    tight = suites(tmp_path / "tight.toml", 0.01)  # 24 tasks cannot show so little
    output = said("publish", talked, "--suites", tight, code=1)
    assert "tasks: FAILS" in output
    assert "pol-000001  refused" in output


def test_what_is_wrong_is_said(talked: Path, tmp_path: Path) -> None:
    for arguments, kind, text in (
        (["train", talked, "-o", tmp_path / "r"], DataError, "left out: not resolved yet 32"),
        (["train", tmp_path, "-o", tmp_path / "r"], DataError, "no store there"),
        (["train", talked, "-o", tmp_path / "r", "--set", "turn=1"], UsageError, "'turns'"),
        (["publish", talked], UsageError, "assay live train makes one"),
    ):
        found = CliRunner().invoke(app, ["live", *map(str, arguments)])
        assert isinstance(found.exception, kind)
        assert text in str(found.exception)
    found = CliRunner().invoke(app, ["demo", "alive"])
    assert isinstance(found.exception, UsageError)


def test_hints_are_measured_and_then_count(talked: Path, tmp_path: Path) -> None:
    """Unmeasured they do not count, and hints alone teach nothing; measured on the users' own word
    of what they meant they are said to. The policy fits in 8 pairs of 4 users: too few."""
    said("resolve", talked)
    found = CliRunner().invoke(
        app, ["live", "train", str(talked), "-o", str(tmp_path / "x"), "--signal", "hints"]
    )
    assert isinstance(found.exception, DataError)
    assert "no hint counts: user: not admitted: 0 pairs of replays, 16 decide" in str(
        found.exception
    )
    check = ("--check", "assay.live.simulated:pleases")
    told = said("admit", talked, *check, "--json", str(tmp_path / "a.json"))
    made = json.loads((tmp_path / "a.json").read_text())
    new = made["sources"]["user"]["new"]
    assert 4 <= new < 16
    assert made["schema"] == "assay.live-admit/1"
    assert (
        told.strip() == f"hints by user: not admitted: {new} pairs of replays, 16 decide; {new} new"
    )
    assert f"user: not admitted: {new} pairs" in said("status", talked)
    assert "0 new" in said("admit", talked, *check)
    assert "0 new" in said("admit", talked)  # of one turn a session nothing was accepted later
    trained = said("train", talked, "-o", tmp_path / "run")
    assert f"hints do not count of user: not admitted: {new} pairs of replays" in trained
    assert '"hints"' not in (tmp_path / "run" / "turns.jsonl").read_text()


def test_a_session_forgotten_while_it_is_trained_on_leaves_no_version(
    talked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said("resolve", talked)
    update = Learner.update

    def forgets(self: Learner, *given: Any, **more: Any) -> Any:
        with Store.open(talked) as other:
            other.forget(next(iter(other.sessions())), at=1e12)
        return update(self, *given, **more)

    monkeypatch.setattr(Learner, "update", forgets)
    found = CliRunner().invoke(app, ["live", "train", str(talked), "-o", str(tmp_path / "run")])
    assert isinstance(found.exception, DataError)
    assert "forgotten while it was trained on" in str(found.exception)
    assert not (tmp_path / "run").exists()
    assert not [*(talked / "versions").glob("pol-*")]
    with Store.open(talked, write=False) as store:
        assert not store.versions()


def test_the_demo_serves_through_the_gateway_and_learns(tmp_path: Path) -> None:
    lines = list[str]()
    found = run(tmp_path / "demo", seed=0, say=lines.append, updates=2, tasks=12)
    assert found["understood"][-1] > found["understood"][0] + 0.05
    assert found["tried"]["spoilt"]["state"] == "refused"
    page = (tmp_path / "demo" / "live.html").read_text()
    assert "learns its users" in page
    assert found["first"][0][0] in page
    with Store.open(tmp_path / "demo" / "store") as store:
        rounds = [store.versions()[name] for name in ("pol-000001", "pol-000002")]
        assert {(v.state, v.why) for v in rounds} == {("retired", "pol-000004 went on from it")}
        assert not [each for each in sentences(status(store, now=1e12)) if "waits" in each]
        turns = [t for t in store.turns() if t.tries]  # 12 tasks a suite are too few to serve
        assert {(t.progress, t.why, t.tries) for t in turns} == {
            ("resolved", "pol-000004 was refused", 1)
        }
        assert len(turns) == 64
        assert {t.turn.policy_version for t in turns} == {"start", "pol-000001"}
        assert all(t.why_not is None for t in turns)
        forgot = store.forget(found["first"][0][3], at=1e12)
        assert {Path(each).name for each in forgot.deleted} == {"live.html", "live.json"}
        assert set(forgot.versions) >= {"pol-000001", "pol-000003"}
    with pytest.raises(UsageError, match="exists already"):
        run(tmp_path / "demo", seed=0, say=lines.append)
