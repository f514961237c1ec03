"""The store of a gateway as a log: sessions are trajectories, and what was sampled is theirs."""

import json
from pathlib import Path

import pytest

from assay.importers import Losses, load
from assay.live.resolver import record_of
from assay.live.store import Store
from assay.records import ModelStep, ToolStep
from assay.records.live import TurnLabel
from tests.live.conftest import assay as assay
from tests.live.conftest import opened, turn

FIXTURE = Path(__file__).parent.parent / "fixtures" / "live"


def read(path: Path, losses: Losses | None = None):
    name, found = load(path, losses=losses)
    assert name == "live"
    return {each.id: each for each in found}


def test_sessions_are_trajectories_with_the_tokens_that_were_sampled():
    losses = Losses()
    made = read(FIXTURE, losses)
    first, bare = made["r/a"], made["r/b"]
    user, model, tool, last = first.steps
    # the prompt 1 2 3 is the user's; the call samples 4 5; 6 is the tool's; 7 8 are sampled
    assert (user.token_ids, model.token_ids, tool.token_ids, last.token_ids) == (
        (1, 2, 3), (4, 5), (6,), (7, 8)
    )  # fmt: skip
    assert (model.logprobs, last.logprobs) == ((-0.5, -0.25), (-1.0, -0.125))
    assert isinstance(tool, ToolStep)
    assert tool.call == (1, 0)
    assert isinstance(model, ModelStep)
    assert model.calls[0].arguments == '{"at": "door"}'
    assert model.scores == {"label:judge": 0.5, "next_state": 1.0}  # half is a pass
    assert (first.outcome, first.end, first.policy_version) == (1.0, "answered", "base")
    assert (bare.outcome, bare.end) == (0.0, "unknown")
    assert bare.steps[-1].token_ids is None
    assert bare.steps[-1].untrainable == "masked"
    assert first.group == bare.group
    assert (first.trial, bare.trial) == (0, 1)
    assert losses.counts["side_turn"] == 1


def test_it_is_known_by_its_folder_and_by_its_file():
    assert [*read(FIXTURE)] == [*read(FIXTURE / "store.sqlite")]


def test_it_is_read_while_it_is_written(tmp_path):
    with Store.open(tmp_path) as store:
        store.append(opened("s"), turn("t-1", "s"), durable=True).result(timeout=30)
        assert read(tmp_path)["s"].outcome is None
        label = TurnLabel(session="s", at=2.0, value=1.0, source="check", evidence="E3")
        store.append(label, durable=True).result(timeout=30)
        assert read(tmp_path)["s"].outcome == 1.0


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        ([("E4", 1.0)], None),  # a person is a grade, which the gate hears
        ([("E1", 0.0), ("E3", 1.0)], 1.0),
        ([("E2", 0.0), ("E1", 1.0)], 0.0),
        ([("E3", 0.0), ("E3", 1.0)], None),  # they disagree
        ([("E3", None), ("E1", 1.0)], 1.0),  # one abstained
        ([("E0", 1.0)], None),  # a claim is no outcome
    ],
)
def test_the_strongest_label_of_a_session_is_its_outcome(tmp_path, labels, outcome):
    with Store.open(tmp_path) as store:
        given = [
            TurnLabel(session="s", at=2.0, value=value, source=f"{at}", evidence=level)
            for at, (level, value) in enumerate(labels)
        ]
        store.append(opened("s"), turn("t-1", "s"), *given, durable=True).result(timeout=30)
        (made,) = read(tmp_path).values()
        assert made.outcome == outcome
        assert len(made.grades) == len(labels)


@pytest.mark.parametrize(
    "labels",
    [
        [],
        [("E2", 1.0)],
        [("E2", 0.0), ("E4", 1.0)],  # a person overrules what was read from words
        [("E1", 0.49), ("E3", 0.5)],
        [("E2", 0.0), ("E2", 1.0), ("E1", 1.0)],  # the strongest differ
        [("E2", None), ("E1", 0.0)],
        [("E0", 1.0)],
    ],
)
def test_labels_of_a_turn_are_what_next_state_reads_as_in_training(tmp_path, labels):
    with Store.open(tmp_path) as store:
        given = [
            TurnLabel(session="s", at=2.0, turn="t-1", value=value, source=f"{at}", evidence=level)
            for at, (level, value) in enumerate(labels)
        ]
        store.append(opened("s"), turn("t-1", "s"), *given, durable=True).result(timeout=30)
        (session,) = store.sessions().values()
        trained = record_of(session, session.turns[0])
        (audited,) = read(tmp_path).values()
    ours, theirs = (
        [s for s in each.steps if type(s) is ModelStep][-1] for each in (audited, trained)
    )
    assert ours.scores.get("next_state") == theirs.scores.get("next_state")
    assert ours.scores.keys() - {"next_state"} == {f"label:{at}" for at in range(len(labels))}


def test_a_person_s_label_arrives_where_credit_is_given(tmp_path, assay):
    with Store.open(tmp_path / "live") as store:
        for at, name in enumerate("ab"):
            store.append(opened(name), turn(f"t-{name}", name)).result(timeout=30)
            words = ("live", "label", f"t-{name}", f"{at}", "--store", tmp_path / "live")
            assert assay(*words).code == 0
    made = assay("credit", tmp_path / "live", "-m", "next_state", "--json", "-")
    assert made.code == 0, made.err
    rows = [json.loads(line) for line in made.out.splitlines()]
    assert {row["id"]: row["step_advantage"] for row in rows} == {"a": [-1.0], "b": [1.0]}
    both = assay("credit", tmp_path / "live", "-m", "next_state:variant=step", "--json", "-")
    assert b'"step_advantage":[null]' in both.out, "which compares outcomes, and there are none"
    assert assay("live", "label", "a", "1", "--store", tmp_path / "live").code == 0  # a session
    said = assay("audit", tmp_path / "live", "-o", "run")
    assert said.code == 0
    (line, _) = Path("run/credit/next_state.jsonl").read_text().splitlines()
    assert json.loads(line)["step_advantage"] == [-1.0], "what the audit has an outcome of"


def test_an_audit_of_the_store_where_it_lies_goes_beside_it(tmp_path, assay):
    with Store.open(tmp_path / "runs" / "live") as store:
        store.append(opened("s"), turn("t-1", "s"), durable=True).result(timeout=30)
        made = assay("audit", "runs/live", "--no-report")
    assert made.code == 0, made.err
    assert "run directory  runs/runs-live" in made.text


def test_what_a_store_keeps_beside_it_is_no_log_that_was_not_read(tmp_path, assay):
    home = tmp_path / "live"
    with Store.open(home) as store:
        store.append(opened("s"), turn("t-1", "s"), durable=True).result(timeout=30)
        for name in ("gateway.json", "versions/pol-000001/config.json", "versions/x/live.json"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text("{}")
        for name in ("secret", "TRAIN", "PUBLISH", "versions/x/model.safetensors"):
            (home / name).write_bytes(b"x")
        losses = Losses()
        assert [*read(home, losses)] == ["s"]
        assert losses.counts == {}
        (home / "mine.txt").write_text("x")
        (home / "other").mkdir()
        (home / "other" / "mine.json").write_text("{}")
        losses = Losses()
        read(home, losses)
        assert sum(losses.counts.values()) == 1, "what is somebody else's is counted as before"
