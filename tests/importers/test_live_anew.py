"""Sessions of a store in which a client began anew: several trajectories, one rollout; and in which
it took its consent back: none."""

import json
from pathlib import Path

from assay.importers import Losses, load
from assay.live.status import status
from assay.live.store import Store
from assay.live.traces import write_traces
from assay.records import Trajectory
from assay.records.live import Consent, Consented, TurnLabel
from tests.live.conftest import assay as assay
from tests.live.conftest import opened, turn

WITHDRAWN: dict[str, Consent] = {"s": "none", "r": "record"}


def read(path: Path) -> dict[str, Trajectory]:
    return {each.id: each for each in load(path)[1]}


def test_a_history_that_began_anew_is_a_trajectory_of_its_own(tmp_path):
    with Store.open(tmp_path) as store:
        turns = turn("t-1", "s"), turn("t-2", "s", index=1, after="t-1", shared=6)
        other = turn("t-3", "s", index=2, messages=({"role": "user", "content": "else"},))
        store.append(opened("s"), *turns, other, durable=True).result(timeout=30)
        made = read(tmp_path)
        assert {name: each.session for name, each in made.items()} == {"s": "s", "s#1": "s"}
        assert [len(each.steps) for each in made.values()] == [4, 2]


def test_a_session_that_began_anew_counts_once_wherever_sessions_are_counted(tmp_path, assay):
    """Two sessions of two histories each: four trajectories, of which two are labelled."""
    home = tmp_path / "live"
    with Store.open(home) as store:
        for at, name in enumerate(("r/a", "r/b")):
            asked = ({"role": "user", "content": f"else {at}"},)
            anew = turn(f"u-{at}", name, index=1, messages=asked, finish_reason="stop")
            label = TurnLabel(session=name, at=2.0, value=float(at), source="check", evidence="E3")
            store.append(opened(name), turn(f"t-{at}", name), anew, label).result(timeout=30)
    side = turn("v", "r/b", index=2, turn_type="side", finish_reason="stop")
    with Store.open(home) as store:
        store.append(side, durable=True).result(timeout=30)
    made = read(home)
    assert [*made] == ["r/a", "r/a#1", "r/b", "r/b#1"]
    assert len({(each.task, each.group) for each in made.values()}) == 1
    assert [each.trial for each in made.values()] == [0, 0, 1, 1]
    for to in ("otel", "atif"):
        assert assay("live", "export", home, "--to", to, "-o", f"{to}.jsonl").code == 0
    for log in (home, "otel.jsonl", "atif.jsonl"):
        found = assay("audit", log, "-o", "run", "--json", "-").json
        names = ("total", "sessions", "scored", "unscored", "passed")
        assert [found["trajectories"][name] for name in names] == [4, 2, 2, 0, 1], log
    page = json.loads(Path("run/report.json").read_text())
    assert page["groups"]["sessions"] == [2]
    assert assay("live", "status", home, "--json", "-").json["sessions"]["all"] == 2


def test_a_session_whose_consent_was_taken_back_is_left_out(tmp_path):
    losses = Losses()
    with Store.open(tmp_path) as store:
        store.append(opened("s"), turn("t-1", "s"), opened("r"), turn("t-2", "r"))
        back = [Consented(session=name, at=3.0, consent=to) for name, to in WITHDRAWN.items()]
        store.append(*back, durable=True).result(timeout=30)
        assert status(store, now=9.0)["sessions"]["none"] == 1
        assert write_traces(store, tmp_path / "out.jsonl", to="otel", now=9.0) == 1
    assert [each.id for each in load(tmp_path / "store.sqlite", losses=losses)[1]] == ["r"]
    assert losses.counts["without_consent"] == 1
