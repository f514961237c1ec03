"""A page that is served while its log grows: it follows, and the reader stays where they were."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.report.serve import live
from tests.report.conftest import Visit, answering
from tests.report.samples import LOOK, WRONG, attempt, mixed_set, report_of

pytestmark = pytest.mark.chromium

Start = Callable[..., Visit]
EARLIER = attempt(0, "early", 0.0, [WRONG], "Goodbye.")


def seen_until(visit: Visit, text: str) -> str:
    visit.page.locator("main", has_text=text).wait_for()
    return visit.text


def test_the_page_follows_and_keeps_address_and_scroll(tmp_path: Path, visit: Start):
    page, _ = report_of(mixed_set(), tmp_path / "report.html", live=True)
    with live(lambda: page, port=0) as running, answering(running):
        seen = visit().goto(f"http://127.0.0.1:{running.server_address[1]}/#/waste?method=nsr")
        assert "8 trajectories" in seen.text
        seen.page.evaluate("scrollTo(0, 300)")
        report_of([*mixed_set(), EARLIER], page, live=True)
        assert "9 trajectories" in seen_until(seen, "9 trajectories")
        seen.settle()
        assert seen.page.url.endswith("#/waste?method=nsr")
        assert seen.page.evaluate("scrollY") == 300
        assert seen.errors == []


def test_a_group_is_followed_by_its_name(tmp_path: Path, visit: Start):
    page, _ = report_of(mixed_set(), tmp_path / "report.html", live=True)
    with live(lambda: page, port=0) as running, answering(running):
        seen = visit().goto(f"http://127.0.0.1:{running.server_address[1]}/#/group/0")
        assert "Group mixed" in seen.text
        more = attempt(3, "mixed", 0.0, [LOOK], "Goodbye.")
        report_of([EARLIER, *mixed_set(), more], page, live=True)  # now it is the second
        assert "Group mixed" in seen_until(seen, "1 of 4 attempts")
        assert seen.page.url.endswith("#/group/1")


def test_who_reads_a_trajectory_is_asked(tmp_path: Path, visit: Start):
    page, _ = report_of(mixed_set(), tmp_path / "report.html", live=True)
    with live(lambda: page, port=0) as running, answering(running):
        seen = visit()
        seen.page.set_viewport_size({"width": 390, "height": 700})  # where nothing stands open
        seen.goto(f"http://127.0.0.1:{running.server_address[1]}/#/trajectory/1")
        report_of([EARLIER, *mixed_set()], page, live=True)
        seen.page.click("text=Show it")
        seen.page.wait_for_url("**/#/trajectory/2")
        assert "mixed/1" in seen_until(seen, "mixed/1")
        assert seen.page.locator("#newer").count() == 0
