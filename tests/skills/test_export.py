"""Skills as folders: a page stays a page whatever a skill says."""

import pytest

from assay.skills.export import name_of, page
from assay.skills.skill import Evidence
from tests.skills.test_bank import skill
from tests.skills.test_block import HOSTILE


def test_a_page_by_hand() -> None:
    rests = tuple(Evidence(trajectory=f"t/{n}", task="t") for n in range(6))
    one = skill("do this", title="City of: Least!", when='the "city"', avoid="that", evidence=rests)
    assert (
        page(one)
        == f"""---
name: city-of-least-{one.id}
description: "City of: Least!. Tasks like: the \\"city\\""
---

do this

Not: that

From: t/0, t/1, t/2, t/3, and 2 more
"""
    )
    general = page(skill("do this", when=""))
    assert 'description: "lesson. All tasks."' in general
    assert "From: nobody" in general


@pytest.mark.parametrize("text", [*HOSTILE, "---\nname: other\n---"])
def test_a_page_stays_a_page_whatever_a_skill_says(text: str) -> None:
    lines = page(skill(text, title=text, when=text, avoid=text)).splitlines()
    assert [n for n, line in enumerate(lines) if line == "---"] == [0, 3]
    assert len(name_of(skill(text, title=text * 9))) <= 64
