"""What a replay found out, on the pages: of steps, of methods, and of a log that was changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.batch import Batch
from assay.records import Ledger, Replayed, Value, replayed_line, write
from assay.report.replay import Replays
from assay.runs.audit import audit_log
from tests.report.conftest import Visit
from tests.report.samples import mixed_set, report_of, wood

Start = Callable[..., Visit]
METHODS = ("grpo", "tree_grpo", "reinforce")
NOTHING = {"value": None, "low": None, "high": None}
UNKNOWN = dict.fromkeys(("value", "shuffled", "random", "over_shuffled"), NOTHING)


def row(trajectory: str, step: int, advantage: float | None, verdict: str) -> Replayed:
    low, high = (None, None) if advantage is None else (advantage - 0.25, advantage + 0.25)
    value = Value(mean=0.5, count=8, passed=4)
    return Replayed(
        trajectory=trajectory,
        step=step,
        task="wood",
        group="wood",
        stratum="mixed/first",
        weight=1.0,
        before=value,
        after=value,
        advantage=advantage,
        low=low,
        high=high,
        verdict=verdict,  # type: ignore[arg-type]
        cost=Ledger(),
    )


ROWS = [
    row("wood/1", 3, -0.5, "bad"),  # "c", which wood/2 shares
    row("wood/0", 3, 0.5, "good"),  # "b"
    row("wood/0", 5, 0.125, "open"),  # "x"
    row("wood/2", 5, None, "unscored"),  # "G"
]


def truth(**change: Any) -> dict[str, Any]:
    known = {
        "value": {"value": 0.75, "low": 0.6, "high": 0.9},
        "shuffled": {"value": 0.5, "low": 0.4, "high": 0.6},
        "random": {"value": 0.5, "low": 0.45, "high": 0.55},
        "over_shuffled": {"value": 0.25, "low": 0.125, "high": 0.375},
    }
    still = {**known, "over_shuffled": {"value": 0.0, "low": 0.0, "high": 0.0}}
    metrics = ("auroc_matters", "auroc_sign", "rank", "sign", "bias")
    return {
        "schema": "assay.truth/1",
        "asked": {"decisions": 4, "samples": 8, "seed": 0},
        "headline": "Above their own credit shuffled in time: tree_grpo.",
        "compared": 2,
        "decisions": 4,
        "scored": 3,
        "tasks": 1,
        "verdicts": {"good": 1, "bad": 1, "open": 1, "unscored": 1},
        "matters": {"value": 0.5, "low": None, "high": None, "strata": {}},
        "half_width": 0.25,
        "methods": {
            "grpo": {"decisions": 3, **dict.fromkeys(metrics, still)},
            "tree_grpo": {"decisions": 3, **dict.fromkeys(metrics, known)},
        },
        "evidence": {"ran": {"decisions": 0, **dict.fromkeys(metrics, UNKNOWN)}},
        "refused": {"carl": "carl needs entropies"},
        **change,
    }


def left(folder: Path, rows: list[Replayed] = ROWS, told: object = None) -> Path:
    """Leaves a replay in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decisions.jsonl").write_bytes(b"".join(map(replayed_line, rows)))
    (folder / "truth.json").write_text(json.dumps(truth() if told is None else told), "utf-8")
    return folder


def test_a_row_belongs_to_every_step_that_is_its_node(tmp_path: Path):
    replays = Replays(left(tmp_path / "replay"), Batch.of(wood()))
    shared = replays.of(1, 3)["replay"]
    assert shared == replays.of(2, 3)["replay"]
    assert shared == {
        "verdict": "bad",
        "advantage": -0.5,
        "low": -0.75,
        "high": -0.25,
        "before": 0.5,
        "after": 0.5,
    }
    assert replays.of(0, 3)["replay"]["verdict"] == "good"
    assert replays.of(2, 5)["replay"]["advantage"] is None
    assert replays.of(0, 1) == {}
    assert replays.index is not None
    assert replays.index["trouble"] == []
    assert replays.index["of"] == 4
    assert replays.index["rows"]["k"] == [1, 0, 0, 2]


def test_without_a_replay_nothing_is_said(tmp_path: Path):
    page, _ = report_of(wood(), tmp_path / "a.html", methods=METHODS, replay=tmp_path / "none")
    twin = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert "replay" not in twin
    assert not any("replay" in step for member in twin["members"] for step in member["steps"])


def troubles(folder: Path, records: list[Any] | None = None) -> list[str]:
    index = Replays(folder, Batch.of(records or wood())).index
    assert index is not None
    return index["trouble"]


def test_a_changed_log_is_one_line(tmp_path: Path):
    folder = left(tmp_path / "replay", [*ROWS, row("wood/9", 1, 0.5, "good")])
    assert troubles(folder) == [
        "replay/decisions.jsonl: of its 5 decisions only 4 can be found in this log, which was "
        "changed since, or is another one; replay this one into another folder (assay replay -o)."
    ]
    (line,) = troubles(folder, mixed_set())
    assert "of its 5 decisions none can be found" in line
    left(folder, [row("wood/0", 2, 0.5, "good")])  # an observation is no decision
    assert len(troubles(folder)) == 1


def test_what_is_torn_or_strange_is_one_line_and_the_rest_is_shown(tmp_path: Path):
    folder = left(tmp_path / "replay")
    whole = (folder / "decisions.jsonl").read_bytes()
    (folder / "decisions.jsonl").write_bytes(whole[:-9])  # a kill cut the last line short
    assert troubles(folder) == []
    (folder / "decisions.jsonl").write_bytes(whole + b"{}\n")
    (line,) = troubles(folder)
    assert line.startswith("replay/decisions.jsonl line 5: ")
    assert str(tmp_path) not in line
    for told in ({"schema": "assay.truth/2"}, [], truth(methods={"grpo": 3})):
        left(folder, told=told)
        (line,) = troubles(folder)
        assert line.startswith("replay/truth.json: ")
        assert line.endswith("expected an assay.truth/1; replay it again.")
    (folder / "truth.json").unlink()
    (line,) = troubles(folder)
    assert "the replay is not finished" in line


def test_an_audit_shows_the_replay_beside_its_log_and_looks_again_when_it_changes(tmp_path: Path):
    log, out = tmp_path / "logs" / "wood.jsonl", tmp_path / "out"
    log.parent.mkdir()
    write(log, wood())

    def shown() -> Any:
        audit_log(log, out=out, reuse=True)
        return json.loads((out / "report.json").read_text("utf-8")).get("replay")

    assert shown() is None
    left(log.parent / "replay", ROWS[:2])
    assert shown()["of"] == 2
    left(log.parent / "replay")
    assert shown()["of"] == 4


# ---- in the browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    given = left(folder / "replay")
    return report_of(wood(), folder / "report.html", methods=METHODS, replay=given)[0]


@pytest.mark.chromium
def test_a_replayed_step_shows_its_truth_beside_the_credit_of_each_method(made: Path, visit: Start):
    seen = visit().open(made, "#/trajectory/1")
    box = seen.page.locator("#step-3 .replayed")
    text = box.inner_text()
    assert "true advantage \u22120.5 [\u22120.75, \u22120.25], a bad step." in text
    # GRPO -.577, tree_grpo less than 0 too, REINFORCE -1
    assert "Of 3 methods 3 credit it with this sign, 0 with the other." in text
    names = box.locator(".credits a").all_inner_texts()
    assert names == list(METHODS)
    assert box.locator(".credits li").first.inner_text().split() == [
        "grpo",
        "\u22120.577",
        "\u2713",
    ]
    assert seen.page.locator(".replayed").count() == 1  # the others were not replayed
    seen.open(made, "#/trajectory/0")
    assert "+0.125 [\u22120.125, +0.375], replay cannot tell it from zero." in (
        seen.page.locator("#step-5 .replayed").inner_text()
    )
    seen.open(made, "#/trajectory/2")
    assert "nobody scored its continuations" in (
        seen.page.locator("#step-5 .replayed").inner_text()
    )
    assert seen.errors == []


@pytest.mark.chromium
def test_group_tree_and_what_if_show_it_too(made: Path, visit: Start):
    seen = visit().open(made, "#/group/0")
    told = seen.page.locator(".lane .cell[class*=replayed]")
    assert told.count() == 5  # "c" stands in two attempts
    assert "a good step" in (seen.page.locator(".replayed-good").get_attribute("aria-label") or "")
    seen.open(made, "#/tree/0?beside=reinforce")
    assert seen.page.locator(".tree .verdict").all_text_contents() == ["▲", "○", "▼", "?"]
    # "c"
    assert "▼ \u22120.5 [\u22120.75, \u22120.25]" in seen.page.locator(".what-if").inner_text()
    assert seen.errors == []


@pytest.mark.chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_the_replay(made: Path, visit: Start, width: int):
    seen = visit()
    seen.page.set_viewport_size({"width": width, "height": 800})
    seen.open(made, "#/waste")
    seen.page.keyboard.press("r")
    seen.settle()
    assert seen.page.locator("h1").inner_text() == "Credit against replay"
    assert seen.page.locator("main p").first.inner_text() == truth()["headline"]
    assert "1 good and 1 bad steps of 3" in seen.text
    rows = seen.page.locator(".judged").first.locator("tbody tr")
    first = rows.first.locator("th, td").all_text_contents()
    assert first[0] == "tree_grpo"  # the furthest above its control comes first
    assert first[2] == "0.75 0.60 to 0.90"
    assert first[4:] == ["0.50", "0.50", "+0.25 0.12 to 0.38"]  # .125: as Python, to even
    assert rows.nth(1).locator("td").last.inner_text() == "constant in time"
    assert rows.nth(2).locator("td").nth(1).inner_text() == "\u2013"
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    steps = seen.page.locator(".decisions tbody a")
    assert steps.all_inner_texts() == [
        "step 3 of wood/1",
        "step 3 of wood/0",
        "step 5 of wood/0",
        "step 5 of wood/2",
    ]
    seen.page.get_by_text("○ open (1)").click()
    seen.settle()
    assert steps.all_inner_texts() == ["step 5 of wood/0"]
    steps.first.click()
    seen.settle()
    assert seen.page.evaluate("location.hash") == "#/trajectory/0?step=5"
    assert seen.errors == []


@pytest.mark.chromium
def test_a_page_says_what_is_wrong_with_a_replay_and_that_there_is_none(
    tmp_path: Path, visit: Start
):
    folder = left(tmp_path / "replay", [row("wood/9", 1, 0.5, "good")], told=[])
    page, _ = report_of(wood(), tmp_path / "a.html", methods=METHODS, replay=folder)
    seen = visit().open(page, "#/replay")
    assert seen.page.locator(".trouble").count() == 2
    bare, _ = report_of(wood(), tmp_path / "b.html", methods=METHODS)
    seen.open(bare, "#/replay")
    assert "No decision of this log was replayed" in seen.text
    assert "Replay" not in seen.page.locator("nav[aria-label=Pages]").inner_text()
    assert seen.errors == []
