"""Labels and hints of a store go out with its conversations, and come back as from the store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import load
from assay.live.store import Store
from assay.live.traces import write_traces
from assay.records import Grade, Hint, ModelStep, Trajectory
from assay.records.live import Event, TurnHint, TurnLabel, packed
from tests.live.conftest import opened, turn

STOP = {"finish_reason": "stop"}


def label(turn: str | None, source: str, value: float | None, evidence: Any, **more: Any) -> Event:
    return TurnLabel(
        session="r/s", at=20.5, turn=turn, source=source, value=value, evidence=evidence, **more
    )


@pytest.fixture
def labelled(tmp_path: Path) -> Iterator[Store]:
    """A session of two turns that go on from each other and one that begins anew, and a session
    without a label; turns and the session are labelled by several."""
    with Store.open(tmp_path / "live") as store:
        store.append(
            opened("r/s"),
            turn("t0", "r/s", **STOP),
            turn("t1", "r/s", index=1, after="t0", shared=6, prompt_ids=packed([7]), **STOP,
                 messages=({"role": "user", "content": "no"},)),
            turn("t2", "r/s", index=2, messages=({"role": "user", "content": "else"},), **STOP),
            opened("r/none"),
            turn("t9", "r/none", messages=({"role": "user", "content": "hi"},), **STOP),
            label("t0", "user", 0.0, "E2", reason='it says "no"'),
            label("t0", "judge", None, "E1", rho0=0.25, rho1=0.5),
            label("t1", "user", 1.0, "E2"),
            label("t2", "person", 0.5, "E4"),
            label(None, "state", 1.0, "E3", reason="checked"),
            label(None, "person", 0.0, "E4"),
            TurnHint(session="r/s", at=21.0, turn="t0", text="say <b>less</b>", source="user"),
            TurnHint(session="r/s", at=22.0, turn="t0", text="look first", source="judge"),
            durable=True,
        ).result(timeout=30)  # fmt: skip
        yield store


def said(record: Trajectory) -> list[Any]:
    steps = [step for step in record.steps if type(step) is ModelStep and not step.untrainable]
    return [(step.text, step.scores, step.hints) for step in steps]


@pytest.mark.parametrize("to", ["otel", "atif"])
def test_labels_and_hints_come_back_as_from_the_store(
    labelled: Store, tmp_path: Path, to: str
) -> None:
    out = tmp_path / "x.jsonl"
    assert write_traces(labelled, out, to=to, now=30.0) == 3
    name, found = load(out)
    back, ours = [*found], [*load(tmp_path / "live")[1]]
    assert name == to
    by_text = {each.steps[1].text: each for each in back}
    for mine in ours:
        theirs = by_text[mine.steps[1].text]
        assert said(theirs) == said(mine)
        assert (theirs.task, theirs.group) == (mine.task, mine.group), "so they can be compared"
        assert theirs.session == mine.session
        assert (theirs.outcome, theirs.grades) == (mine.outcome, mine.grades)
    first, anew = by_text["answer of t0"], by_text["answer of t2"]
    assert said(first) == [
        (
            "answer of t0",
            {"label:user": 0.0, "label:judge": None, "next_state": -1.0},
            (
                Hint(text="say <b>less</b>", source="user"),
                Hint(text="look first", source="judge"),
            ),
        ),
        ("answer of t1", {"label:user": 1.0, "next_state": 1.0}, ()),
    ]
    assert (first.outcome, first.grades) == (None, ())
    assert anew.outcome == 1.0  # of a session that began anew its last conversation is graded
    assert anew.grades == (
        Grade(level="E3", value=1.0, source="state", reason="checked"),
        Grade(level="E4", value=0.0, source="person"),
    )
    assert (by_text["answer of t9"].outcome, by_text["answer of t9"].grades) == (None, ())


@pytest.mark.parametrize("to", ["otel", "atif"])
def test_the_audit_of_an_export_is_that_of_the_store(
    labelled: Store, tmp_path: Path, assay: Any, to: str
) -> None:
    out = tmp_path / "x.jsonl"
    write_traces(labelled, out, to=to, now=30.0)
    seen = [assay("audit", str(path), "--json", "-").json for path in (out, tmp_path / "live")]
    for key in ("total", "sessions", "scored", "unscored", "pass_rate", "by_category"):
        assert seen[0]["trajectories"][key] == seen[1]["trajectories"][key]
    assert "scope_not_tested" not in json.dumps(seen[0])


def events(path: Path) -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Spans and their events, attributes as plain values, of OTLP JSON."""
    found = []
    for line in path.read_text().splitlines():
        for span in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            for event in span.get("events", ()):
                values = {
                    each["key"]: next(iter(each["value"].values())) for each in event["attributes"]
                }
                found.append((span, event["name"], values))
    return found


def test_what_an_event_of_an_evaluation_holds(labelled: Store, tmp_path: Path) -> None:
    """As gen_ai.evaluation.result of the GenAI conventions: on the span that is evaluated, with a
    name, a value and a label where there are such, an explanation, the id of the response."""
    out = tmp_path / "x.jsonl"
    write_traces(labelled, out, to="otel", now=30.0)
    of_turn = [
        (name, values) for span, name, values in events(out) if span["name"].startswith("chat")
    ]
    assert of_turn[:3] == [
        ("gen_ai.evaluation.result", {
            "gen_ai.evaluation.name": "user", "gen_ai.evaluation.score.label": "fail",
            "gen_ai.evaluation.score.value": 0.0,
            "gen_ai.evaluation.explanation": 'it says "no"',
            "gen_ai.response.id": "t0", "assay.evidence": "E2",
        }),
        ("gen_ai.evaluation.result", {
            "gen_ai.evaluation.name": "judge", "gen_ai.evaluation.score.label": "unscored",
            "gen_ai.response.id": "t0", "assay.evidence": "E1",
            "assay.rho0": 0.25, "assay.rho1": 0.5,
        }),
        ("assay.hint", {"assay.hint.source": "user", "assay.hint.text": "say <b>less</b>"}),
    ]  # fmt: skip
    of_session = [(span, values) for span, _, values in events(out) if "invoke" in span["name"]]
    assert [values["assay.evidence"] for _, values in of_session] == ["E3", "E4"]
    assert all("gen_ai.response.id" not in values for _, values in of_session)
    (root, _), *_ = of_session
    (chat,) = [span for span, _, v in events(out) if v.get("gen_ai.response.id") == "t2"]
    assert (chat["parentSpanId"], chat["traceId"]) == (root["spanId"], root["traceId"])
    assert chat["events"][0]["timeUnixNano"] == "20500000000"


def test_evaluations_of_others_are_rewards_as_before(labelled: Store, tmp_path: Path) -> None:
    """One without evidence is of the conversation, whatever span it stands on."""
    out = tmp_path / "x.jsonl"
    write_traces(labelled, out, to="otel", now=30.0)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    for line in lines:
        for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            for event in span["events"]:
                event["attributes"] = [
                    each for each in event["attributes"] if each["key"] != "assay.evidence"
                ]
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    by_text = {each.steps[1].text: each for each in load(out)[1]}
    anew = by_text["answer of t2"]
    assert anew.rewards == {"state": 1.0, "person": 0.5}  # of one name the last span's counts
    assert said(anew)[0][1] == {}


@pytest.mark.parametrize("to", ["otel", "atif"])
def test_evidence_that_is_none_is_refused(labelled: Store, tmp_path: Path, to: str) -> None:
    out = tmp_path / "x.jsonl"
    write_traces(labelled, out, to=to, now=30.0)
    out.write_text(out.read_text().replace('"E2"', '"E7"'))
    with pytest.raises(DataError, match=r"E7.*expected E0, E1, E2, E3, E4"):
        list(load(out)[1])


def test_what_verifiers_has_no_place_for_is_said(
    labelled: Store, tmp_path: Path, assay: Any
) -> None:
    store, out = str(tmp_path / "live"), tmp_path / "v"
    found = assay("live", "export", store, "--to", "verifiers", "-o", str(out))
    assert "left out: 4 labels of turns, 2 hints: verifiers" in found.text + found.err
