"""The pages in a real browser: numbers, addresses, keys, colours, and what goes wrong plainly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.records import Trajectory
from assay.report.serve import server
from tests.report.conftest import Visit, answering
from tests.report.samples import LOOK, WRONG, attempt, mixed_set, report_of, token_set

pytestmark = pytest.mark.chromium

Start = Callable[..., Visit]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return report_of(mixed_set(), tmp_path_factory.mktemp("mixed") / "report.html")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_of(token_set(), tmp_path_factory.mktemp("tokens") / "report.html")[0]


def rows(seen: Visit, caption: str) -> list[list[str]]:
    """Returns the body of a table as texts."""
    return seen.page.evaluate(
        """(caption) => {
          const table = [...document.querySelectorAll("table")]
            .find((each) => each.caption && each.caption.textContent.startsWith(caption));
          return [...table.tBodies[0].rows]
            .map((row) => [...row.cells].map((cell) => cell.innerText));
        }""",
        caption,
    )


def test_the_numbers_of_the_landing_page_are_the_audits(made: Any, visit: Start):
    page, audit = made
    seen = visit().open(page)
    fates = {row[0].split("\n")[0]: row[1:3] for row in rows(seen, "What became of")}
    names = {
        "trained_up": "Trained up",
        "trained_down": "Trained down",
        "punished_correct": "Punished though correct",
        "dead": "Dead group",
        "infrastructure": "Infrastructure",
    }
    assert fates == {
        names[kind]: [str(row["trajectories"]), f"{row['characters']:,}"]
        for kind, row in audit["fate"].items()
        if row["trajectories"]
    }
    groups = {row[0].split("\n")[0]: row[1] for row in rows(seen, "Groups by fate")}
    assert groups == {"Mixed": "1", "All fail": "1", "All pass": "1", "Unscored": "1"}
    # expert, sibling, state; any of them; look gets 2/3 - 1/3 - 1/3 = 0 in sum, so both average out
    punished = rows(seen, "Punished calls")
    assert [row[1] for row in punished] == ["0", "2", "0", "2", "2", "0"]
    assert audit["calls"]["punished"] > 2  # what averages out is a share of the two right ones
    assert [row[2].rstrip("%").strip() for row in punished[4:]] == ["100", "0"]
    recovered = {row[0]: row[2:] for row in rows(seen, "What other methods")}
    assert recovered == {
        name: [str(row["steps"]), str(row["groups"])]
        for name, row in audit["recovered"].items()
        if row["steps"]
    }
    passes = rows(seen, "pass@k")
    assert [row[0] for row in passes] == list(audit["pass_at_k"])
    for k, at, hat in passes:
        assert at.startswith(f"{audit['pass_at_k'][k]:.3f}")
        assert hat.startswith(f"{audit['pass_hat_k'][k]:.3f}")
    assert rows(seen, "Losses") == [["info:cost", "3"]]
    assert seen.page.locator(".tile").nth(4).inner_text().startswith("1 of 3")
    assert seen.page.locator("h1").inner_text().startswith("Of the ")
    assert seen.errors == []


def test_the_claims_page_counts_and_lists(made: Any, visit: Start):
    page, audit = made
    seen = visit().open(page, "#/claims")
    for cell in ("claimed_verified", "claimed_failed", "silent_verified", "silent_failed"):
        box = seen.page.locator(f".claim-cell.{cell}")
        assert box.locator("b").inner_text() == str(audit["claims"][cell])
        seen.go(f"#/claims?cell={cell}")
        assert seen.page.locator(".samples li").count() == audit["claims"][cell]
    seen.go("#/claims?cell=claimed_failed")
    assert seen.page.locator(".samples a").first.inner_text() == "mixed/1"


def test_a_log_that_nobody_scored_has_no_empty_pane(tmp_path: Path, visit: Start):
    stuck = [WRONG, WRONG, WRONG]
    records = [
        attempt(0, "a", None, stuck, "I have booked seat 4A."),
        attempt(1, "a", None, [LOOK], "I could not book it."),
        attempt(2, "a", None, [], "Hello."),
    ]
    seen = visit().open(report_of(records, tmp_path / "report.html")[0])
    assert seen.page.locator("h1").inner_text().startswith("3 trajectories without an outcome")
    sections = seen.page.locator("section").all_inner_texts()
    assert [text.split("\n")[0] for text in sections] == [
        "Can the rewards be trusted?",
        "Where agents stalled",
        "Calls, by evidence",
        "Claims against what came last",
        "What it took",
        "What the report leaves out",
    ]
    assert "name the number that is it with --outcome" in sections[0]
    assert rows(seen, "Where agents stalled") == [["a/0", "2", "3", "3"]]
    assert ["Says it is done", "1"] in rows(seen, "Claims against")
    seen.page.click("text=a/0")
    assert "trajectory/0" in seen.page.url
    seen.go("#/claims")
    assert seen.page.locator(".samples a").first.inner_text() == "a/0"
    for cell in ("claimed", "admitted", "none"):
        assert seen.page.locator(f".claim-cell.{cell} b").inner_text() == "1"
    seen.go("#/groups")
    assert seen.page.locator(".row:not(.head) .c-passed").inner_text() == "\u2013"
    seen.go("#/group/0")
    assert "Nobody scored any of its 3 attempts." in seen.text
    assert seen.errors == []


def test_groups_are_sorted_and_filtered(made: Any, visit: Start):
    seen = visit().open(made[0], "#/groups")
    ids = lambda: seen.page.locator(".row:not(.head) .c-id a").all_inner_texts()  # noqa: E731
    assert ids() == ["mixed", "fails", "passes", "lost"]
    seen.page.click("#sort-punished")
    assert ids()[0] == "mixed"
    assert "sort=punished" in seen.page.url
    seen.page.click(".chip >> text=All fail")
    assert ids() == ["fails"]
    seen.page.click(".chip >> text=All >> nth=0")
    seen.page.fill("#filter", "PASS")
    assert ids() == ["passes"]
    seen.page.fill("#filter", "nowhere")
    assert "nothing fits" in seen.text
    seen.open(made[0], "#/groups?fate=mixed&q=mix")
    assert ids() == ["mixed"]


def test_the_group_page_shows_siblings_and_says_why(made: Any, visit: Start):
    seen = visit().open(made[0], "#/group/0")
    assert "1 of 3 attempts passed" in seen.text
    names = seen.page.locator(".lane-name a").all_inner_texts()
    assert names == ["mixed/0", "mixed/1", "mixed/2"]
    lane = seen.page.locator(".lane").nth(1).locator(".cell")
    assert lane.count() == 3
    assert lane.first.get_attribute("aria-label") == (
        "step 2, look, advantage \u22120.577, punished though correct"
    )
    assert "error" in str(lane.nth(1).get_attribute("aria-label"))
    lane.first.focus()
    detail = seen.page.locator(".lane-detail")
    assert "although its call is correct by evidence" in detail.inner_text()
    # the same call is marked in all three attempts
    assert seen.page.locator(".cell.same").count() == 3
    seen.page.keyboard.press("ArrowDown")
    assert "mixed/2" in str(
        seen.page.evaluate("document.activeElement.parentNode.getAttribute('aria-label')")
    )
    seen.go("#/group/0?align=calls")
    columns = seen.page.evaluate(
        """[...document.querySelectorAll(".lane")].map((lane) =>
          [...lane.children].map((cell) => Number(cell.style.gridColumnStart)))"""
    )
    # look, book, text; look, other booking, text; look, text: equal calls and last texts line up
    assert columns == [[1, 2, 3], [1, 2, 3], [1, 3]]


def test_the_trajectory_page_has_value_reason_evidence_and_terms(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/1")
    card = seen.page.locator("#step-2")
    text = card.inner_text()
    assert "\u22120.577" in text
    assert "punished though correct" in text
    assert "Same call occurs in sibling mixed/0 (passed), step 2" in text
    link = card.locator(".fact a")
    assert link.get_attribute("href") == "#/trajectory/0?step=2"
    card.focus()
    assert rows(seen, "Terms") == [
        [
            "outcome\nover the deviation of its peers (ddof 1) plus 1e-06, 0.577",
            "0\nminus the mean of its peers, 0.333 (3 peers)",
            "\u22120.577",
        ]
    ]
    assert "error" in seen.page.locator("#step-5").inner_text()
    link.click()
    seen.settle()
    assert seen.page.url.endswith("#/trajectory/0?step=2")
    assert seen.page.evaluate("document.activeElement.id") == "step-2"


def test_marks_are_shown_at_their_step(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/4")
    assert "mistake" in seen.page.locator("#step-2 .fact.mark").inner_text()


def test_what_if_recolours(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/3")
    value = seen.page.locator("#step-2 header .value")
    assert value.inner_text() == "0"
    assert "zero" in str(value.get_attribute("class"))
    assert "all 2 attempts fail" in seen.page.locator("#step-2 .reason").inner_text()
    seen.page.select_option("#method", "nsr")
    seen.settle()
    value = seen.page.locator("#step-2 header .value")
    assert value.inner_text() == "\u22121"
    assert "n5" in str(value.get_attribute("class"))
    assert "method=nsr" in seen.page.url
    seen.page.keyboard.press("Escape")
    seen.page.evaluate("document.activeElement.blur()")
    seen.page.keyboard.press("m")
    seen.settle()
    assert "method=nsr" not in seen.page.url
    seen.go("#/group/1?method=nsr")
    assert seen.page.locator(".lane .cell.n5").count() == 4
    # the choice stays on the way down
    seen.page.locator(".lane-name a").first.click()
    seen.settle()
    assert seen.page.url.endswith("#/trajectory/3?method=nsr")


def test_addresses_open_afresh(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/3?step=4&method=nsr")
    assert seen.page.evaluate("document.activeElement.id") == "step-4"
    assert seen.page.locator("#method").input_value() == "nsr"
    for bad in ("#/trajectory/99", "#/group/-1", "#/group/x", "#/trajectory/"):
        seen.open(made[0], bad)
        assert "There is no such" in seen.text
    seen.open(made[0], "#/nonsense?method=nope")
    assert seen.page.locator("h1").inner_text().startswith("Of the ")
    assert seen.errors == []


def test_the_whole_report_by_keyboard(made: Any, visit: Start):
    seen = visit().open(made[0])
    press = lambda key: (seen.page.keyboard.press(key), seen.settle())  # noqa: E731
    where = lambda: seen.page.evaluate("location.hash")  # noqa: E731
    press("Tab")
    assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the report"
    press("g")
    assert where() == "#/groups"
    press("j")
    press("j")
    press("k")
    assert seen.page.evaluate("document.activeElement.textContent") == "mixed"
    press("Enter")
    assert where() == "#/group/0"
    press("j")
    press("j")
    press("Enter")
    assert where() == "#/trajectory/1"
    press("j")
    press("j")
    press("j")
    assert seen.page.evaluate("document.activeElement.id") == "step-2"
    assert where() == "#/trajectory/1?step=2"
    press("c")
    assert where() == "#/trajectory/1?with=0"
    press("u")
    assert where() == "#/trajectory/1"
    press("]")
    assert where() == "#/trajectory/2"
    press("[")
    press("u")
    assert where() == "#/group/0"
    press("]")
    assert where() == "#/group/1"
    press("?")
    assert seen.page.locator("dialog").is_visible()
    press("Escape")
    assert seen.page.locator("dialog").count() == 0
    press("/")
    assert where() == "#/groups"
    press("/")
    assert seen.page.evaluate("document.activeElement.id") == "filter"
    seen.page.keyboard.type("jk")
    assert "q=jk" in where()
    press("Escape")
    press("v")
    press("w")
    assert where() == "#/waste"
    assert seen.errors == []


def test_token_strips_are_walked_and_explained(tokens: Path, visit: Start):
    seen = visit().open(tokens, "#/trajectory/0?method=toolpo")
    strip = seen.page.locator("#step-1 .strip .run")
    # 2 of scaffold (hatched), 3 of text, 1 forced (hatched), 2 of text, 4 of the call
    assert [len(each) for each in strip.all_inner_texts()] == [2, 3, 1, 2, 4]
    assert strip.nth(2).get_attribute("class") == "run masked"
    assert strip.first.get_attribute("class") == "run masked"
    strip.first.focus()
    seen.page.keyboard.press("ArrowRight")
    box = seen.page.locator(".inspector")
    assert "text, 3 tokens" in box.inner_text()
    assert "id 102, log-probability \u22120.25, entropy 0.125" in box.inner_text()
    seen.page.keyboard.press("ArrowRight")
    assert "id 105, not sampled" in box.inner_text()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("ArrowRight")
    assert "Call look" in box.inner_text()
    # token 108 is the sixth of the sampled ones: 102, 103, 104, 106, 107, 108
    assert "id 108, log-probability \u22121.5, entropy 0.75" in box.inner_text()
    assert seen.errors == []


def test_copies_are_complete(made: Any, visit: Start):
    seen = visit(permissions=["clipboard-read", "clipboard-write"]).open(
        made[0], "#/trajectory/2?method=nsr"
    )
    seen.page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    seen.page.click("text=Copy permalink")
    assert seen.page.evaluate("window.copied") == seen.page.url
    seen.page.click("text=Copy JSON")
    copied = json.loads(seen.page.evaluate("window.copied"))
    assert copied["id"] == "mixed/2"
    assert copied["steps"][-1]["text"] == "I could not find it."
    assert copied["assay"]["methods"]["nsr"]["step"] == -1
    seen.settle()
    assert seen.page.locator("#live").inner_text() == "JSON copied"


def test_dark_light_narrow_and_print(made: Any, visit: Start):
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = visit(color_scheme="light").open(made[0]).page.evaluate(paper)
    dark = visit(color_scheme="dark").open(made[0]).page.evaluate(paper)
    assert light != dark
    seen = visit()
    seen.page.set_viewport_size({"width": 360, "height": 700})
    for address in ("#/waste", "#/groups", "#/group/0", "#/trajectory/1", "#/trajectory/1?with=0",
                    "#/claims"):  # fmt: skip
        seen.open(made[0], address)
        wide = seen.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, address
    seen.page.emulate_media(media="print")
    assert not seen.page.locator("#method").is_visible()


def test_everything_that_can_be_reached_has_a_name(made: Any, visit: Start):
    seen = visit()
    for address in ("#/waste", "#/groups", "#/group/0", "#/trajectory/1", "#/claims"):
        seen.open(made[0], address)
        nameless = seen.page.evaluate(
            """[...document.querySelectorAll("a, button, select, input, summary")]
              .filter((each) => !(each.innerText || "").trim() && !each.ariaLabel)
              .map((each) => each.outerHTML)"""
        )
        assert nameless == [], address
        assert seen.page.locator("h1").count() == 1


def test_without_script_or_unpacking_it_says_so(made: Any, visit: Start):
    seen = visit(java_script_enabled=False)
    seen.page.goto(made[0].as_uri())
    assert "draws its pages with JavaScript" in seen.page.locator("noscript").inner_text()
    seen = visit()
    seen.page.add_init_script("delete window.DecompressionStream")
    seen.open(made[0])
    assert seen.page.locator("h1").inner_text().startswith("Of the ")
    seen.go("#/trajectory/0")
    assert "cannot unpack the trajectories" in seen.text


def test_a_file_that_is_cut_off_says_so(made: Any, tmp_path: Path, visit: Start):
    whole = made[0].read_text()
    cut = tmp_path / "cut.html"
    cut.write_text(whole[: whole.index('id="c3"') - 40])
    seen = visit().open(cut, "#/trajectory/0")
    assert "cut off" in seen.text


def test_a_set_that_taught_nothing_has_plain_pages(tmp_path: Path, visit: Start):
    lost = [each for each in mixed_set() if each.group == "lost"]
    page, _ = report_of(lost, tmp_path / "report.html")
    seen = visit().open(page)
    assert "1 trajectory without an outcome" in seen.text
    for address in ("#/groups", "#/group/0", "#/trajectory/0", "#/claims"):
        seen.go(address)
    assert "No trajectory is in this cell" in seen.text
    assert seen.errors == []


def test_a_folder_is_served_and_on_disk_says_how_to_open_it(tmp_path: Path, visit: Start):
    page, _ = report_of(mixed_set(), tmp_path / "report.html", limit_trajectories=2)
    seen = visit().open(page)
    assert seen.page.locator("h1").inner_text().startswith("Of the ")
    seen.go("#/group/0")
    assert "assay view RUN" in seen.text
    with server(page.parent, port=0) as running, answering(running):
        url = f"http://127.0.0.1:{running.server_address[1]}/"
        seen = visit().goto(url + "#/trajectory/1?step=2")
        assert "punished though correct" in seen.page.locator("#step-2").inner_text()
        assert seen.errors == []
        assert {request.split("/")[2] for request in seen.requests if "://" in request} == {
            f"127.0.0.1:{running.server_address[1]}"
        }


def test_outcomes_without_any_text_leave_no_empty_table(tmp_path: Path, visit: Start):
    group = [Trajectory(id=f"a{i}", task="t", group="t", outcome=float(i)) for i in range(2)]
    text = visit().open(report_of(group, tmp_path / "report.html")[0]).page.inner_text("main")
    assert "The log holds no text of the policy." in text
    assert "The log holds no tool call." in text
