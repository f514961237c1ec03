"""The store of a gateway as a log: sessions are trajectories, and what was sampled is theirs."""

from pathlib import Path

import pytest

from assay.importers import Losses, load
from assay.live.store import Store
from assay.records import ModelStep, ToolStep
from assay.records.live import TurnLabel
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
    assert model.scores == {"label:judge": 0.5}
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


def test_a_history_that_began_anew_is_a_trajectory_of_its_own(tmp_path):
    with Store.open(tmp_path) as store:
        turns = turn("t-1", "s"), turn("t-2", "s", index=1, after="t-1", shared=6)
        other = turn("t-3", "s", index=2, messages=({"role": "user", "content": "else"},))
        store.append(opened("s"), *turns, other, durable=True).result(timeout=30)
        made = read(tmp_path)
        assert {name: each.session for name, each in made.items()} == {"s": "s", "s#1": "s"}
        assert [len(each.steps) for each in made.values()] == [4, 2]
