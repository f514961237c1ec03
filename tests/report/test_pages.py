"""The pages in a real browser: numbers, addresses, keys, colours, and what goes wrong plainly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.records import ModelStep, Trajectory, UserStep
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
    # sibling; any level; look gets 2/3 - 1/3 - 1/3 = 0 in sum, so both average out. No row of 0
    punished = rows(seen, "Punished calls")
    assert [row[0].split("\n")[0] for row in punished] == [
        "Made by a successful sibling",
        "Any of these",
        "Averages out",
    ]
    assert [row[1] for row in punished] == ["2", "2", "2"]
    assert audit["calls"]["punished"] > 2  # what averages out is a share of the two right ones
    assert [row[2] for row in punished[1:]] == [f"2 of {audit['calls']['punished']}", "2 of 2"]
    recovered = {row[0]: row[2:] for row in rows(seen, "What other methods")}
    assert recovered == {
        name: [str(row["steps"]), str(row["groups"])]
        for name, row in audit["recovered"].items()
        if row["steps"]
    }
    passes = rows(seen, "pass@k")
    assert [row[0] for row in passes] == list(audit["pass_at_k"])
    for k, at, hat, groups in passes:
        assert at.startswith(f"{audit['pass_at_k'][k]:.3f}")
        assert hat.startswith(f"{audit['pass_hat_k'][k]:.3f}")
        assert groups == str(audit["pass_k_groups"][k])
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


def test_the_landing_page_says_how_the_log_was_read_and_what_to_do(tmp_path: Path, visit: Start):
    reading = "Plain chat \u00b7 outcome: acc \u00b7 pass at 0.5 \u00b7 grouped by prompt_id"
    losses = {"no_outcome": 1, "info:cost": 3}
    page, _ = report_of(
        mixed_set(),
        tmp_path / "report.html",
        reading=reading,
        change=lambda audit: audit.update(losses=losses),
    )
    seen = visit().open(page)
    assert seen.text.startswith(reading)
    assert rows(seen, "Losses") == [
        ["1 trajectory has no outcome\nno_outcome", "1"],
        ["info:cost", "3"],
    ]
    assert seen.page.locator("table code").all_inner_texts() == ["no_outcome", "info:cost"]
    # 4 groups: mixed; all of 2 fail; all of 2 pass; one trajectory, stopped by infrastructure
    assert "3 of 4 groups teach GRPO nothing" in seen.text
    assert seen.page.locator(".advice li").all_inner_texts() == [
        "In 1 of 4 groups every trajectory fails. Take easier tasks, more trajectories of each, "
        "an outcome with partial credit (--outcome), or rescue them as you train (docs/rescue.md).",
        "In 1 of 4 groups every trajectory passes. These tasks are solved: take harder ones.",
        "In 1 of 4 groups no trajectory has an outcome. Infrastructure stopped them all.",
        "1 of 8 trajectories was stopped by infrastructure. Mend the harness: they count nowhere.",
    ]
    seen.page.click("text=In 1 of 4 groups every trajectory fails.")
    assert seen.page.url.endswith("#/groups?fate=all_fail")


def test_few_things_are_counted_and_never_100_percent(tmp_path: Path, visit: Start):
    records = [attempt(0, "a", 1.0, [LOOK], "I have booked seat 4A.")]
    seen = visit().open(report_of(records, tmp_path / "report.html")[0])
    tiles = seen.page.locator(".tile b").all_inner_texts()
    assert tiles == ["0 of 1", "0 of 1", "0", "0", "0 of 1"]
    assert [row[1:] for row in rows(seen, "Groups by fate")] == [["1", "1 of 1"]]
    # one group: there is no interval to draw, and nothing was punished
    assert rows(seen, "pass@k") == [["1", "1.000", "1.000", "1"]]
    assert seen.page.locator("caption", has_text="Punished").count() == 0
    assert "No call with an advantage below 0 under GRPO; 0 of all 1 call were" in seen.text
    assert seen.errors == []


@pytest.mark.parametrize("bounds", [None, [None, None], [0.5, 0.5]])
def test_an_interval_that_is_none_is_not_drawn(tmp_path: Path, visit: Start, bounds: Any):
    def change(audit: dict[str, Any]) -> None:
        for name in ("pass_at_k_interval", "pass_hat_k_interval"):
            audit[name] = dict.fromkeys(audit[name], bounds)

    seen = visit().open(report_of(mixed_set(), tmp_path / "report.html", change=change)[0])
    assert all(len(value) == 5 for row in rows(seen, "pass@k") for value in row[1:3])
    assert "95 %" not in seen.text
    assert seen.errors == []


def test_an_unscored_trajectory_has_no_advantage_and_says_why(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/7?method=mt_grpo")
    box = seen.page.locator(".inspector")
    assert box.locator(".value").inner_text() == "\u2013"
    assert "No advantage. Nobody scored this attempt" in box.inner_text()
    assert box.locator("table").count() == 0
    assert seen.page.locator("#step-2 header .value").inner_text() == "\u2013"
    assert seen.page.locator("#compare").count() == 0
    seen.go("#/group/3")
    assert "Book 4A for me." in seen.page.locator(".asked").inner_text()


def test_the_prompt_of_a_group_is_what_was_asked_last(tmp_path: Path, visit: Start):
    steps = (
        UserStep(text="2+2?"),
        ModelStep(text="4", untrainable="copied"),  # of an example in the prompt
        UserStep(text="1+2?"),
        ModelStep(text="3"),
        UserStep(text="Sure?"),
        ModelStep(text="Yes"),
    )
    records = [
        Trajectory(id=f"a{n}", task="t", group="t", outcome=float(n), steps=steps) for n in range(2)
    ]
    seen = visit().open(report_of(records, tmp_path / "report.html")[0], "#/group/0")
    assert seen.page.locator(".asked").inner_text() == "1+2?"


def test_where_it_is_narrow_the_reasons_are_folded(made: Any, visit: Start):
    seen = visit()
    seen.page.set_viewport_size({"width": 390, "height": 800})
    seen.open(made[0], "#/trajectory/1")
    box = seen.page.locator(".inspector")
    assert not box.locator("table").is_visible()
    assert "\u22120.577, step 2" in box.inner_text()
    box.locator("summary").click()
    assert box.locator("table").is_visible()


def test_warnings_beyond_the_first_are_folded(tmp_path: Path, visit: Start):
    for count, shown, more in ((7, 7, 0), (9, 6, 3)):
        said = [f"warning {n}" for n in range(count)]
        page, _ = report_of(
            mixed_set(),
            tmp_path / f"{count}.html",
            change=lambda audit, said=said: audit["trust"].update(warnings=said),
        )
        seen = visit().open(page)
        visible = [each.is_visible() for each in seen.page.locator(".warnings li").all()]
        assert (sum(visible), len(visible)) == (shown, count)
        assert (f"{more} more on how the log was read" in seen.text) == bool(more)


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
        "How the log was read",
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


def test_a_long_trajectory_is_no_wider_than_the_page(tmp_path: Path, visit: Start):
    long = [attempt(n, "a", float(n), [LOOK] * 150, "Done.") for n in range(2)]
    seen = visit()
    seen.page.set_viewport_size({"width": 390, "height": 700})
    for address in ("#/group/0", "#/trajectory/0"):
        seen.open(report_of(long, tmp_path / "report.html")[0], address)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


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
    for address in ("#/groups", "#/group/0", "#/trajectory/0"):
        seen.go(address)
    seen.go("#/claims")  # opens at a cell in which there is somebody
    assert seen.page.locator(".samples a").first.inner_text() == "lost/0"
    seen.go("#/claims?cell=claimed")
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


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG 2 defines it."""
    channels = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_they_stand_on(made: Any, visit: Start, scheme: Any):
    colour = (
        """(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"""
    )
    seen = visit(color_scheme=scheme).open(made[0])
    value = lambda name: luminance(seen.page.evaluate(colour, f"--{name}"))  # noqa: E731
    for ground in ("paper", "raised", "sunken"):
        for text in ("ink", "soft", "faint", "accent", "alarm"):
            low, high = sorted((value(ground), value(text)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_a_set_of_outcomes_without_text_has_no_bar_and_no_box(tmp_path: Path, visit: Start):
    steps = (ModelStep(reward=0.5), ModelStep())
    group = [
        Trajectory(id=f"a{i}", task="t", group="t", outcome=float(i), steps=steps) for i in range(2)
    ]
    seen = visit().open(report_of(group, tmp_path / "report.html")[0], "#/trajectory/0")
    assert "paid 0.5" in seen.text
    assert seen.page.locator(".overview, .inspector").count() == 0
    seen.go("#/group/0")
    assert "They wrote nothing." in seen.text
    assert "What each method would do here" not in seen.text
