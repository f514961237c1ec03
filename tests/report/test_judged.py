"""The page of votes: which groups come first, and what it says of each vote."""

import re
from typing import Any

from assay.report.judged import MOST, page


def vote(order: list[int], scores: list[float] | None, **more: Any) -> dict[str, Any]:
    why = "" if scores else "prose"
    return {"order": order, "scores": scores, "why": why, "text": "because", **more}


def row(group: str, scores: list[Any], *votes: dict[str, Any]) -> dict[str, Any]:
    why = ["" if score is not None else "votes" for score in scores]
    return {"group": group, "judge": "m", "protocol": "grm", "task": "t", "why": why,
            "answers": [f"answer {i}" for i in range(len(scores))], "scores": scores,
            "votes": [*votes]}  # fmt: skip


def order(*rows: dict[str, Any]) -> list[str]:
    return re.findall(r"<h2>(\w+)</h2>", page(rows, []))


def test_groups_that_agree_least_come_first_and_those_without_a_score_last() -> None:
    all_agree = row("all", [0.1, 0.9], vote([0, 1], [1, 9]), vote([1, 0], [9, 1]))
    half = row("half", [0.1, 0.9], vote([0, 1], [1, 9]), vote([0, 1], [9, 1]))
    tie = row("tie", [0.5, 0.6], vote([0, 1], [5, 5]), vote([1, 0], [6, 6]))  # nobody above
    mute = row("mute", [None, None], vote([0, 1], None), vote([1, 0], [1, 0]))
    assert order(all_agree, mute, half, tie) == ["tie", "half", "all", "mute"]
    # a vote that was lost, did not see the best, or was left out by a filter does not speak
    lost = row("lost", [0.1, 0.9, 0.2], vote([0, 1], [1, 9]), vote([0, 1], None),
               vote([0, 2], [9, 1]), vote([0, 1], [9, 1], kept=False))  # fmt: skip
    assert order(all_agree, half, lost) == ["half", "all", "lost"]


def test_a_vote_shows_its_scores_by_answer_and_what_became_of_it() -> None:
    left = vote([0, 1], [2, 4], grade=0.25, kept=False)
    votes = (
        vote([1, 0], [7, 3]),
        vote([0, 1], None, kept=False),
        left,
        vote([0, 1], [2, 4], grade=1.0),
    )
    told = page([row("g", [0.25, None], *votes)], ["three votes"])
    assert "<summary>vote 1: shown as 2, 1</summary>" in told
    assert "<summary>vote 2: shown as 1, 2, lost: prose</summary>" in told
    assert "<summary>vote 3: shown as 1, 2, graded 0.25, left out</summary>" in told
    assert "<summary>vote 4: shown as 1, 2, graded 1.00</summary>" in told
    cells = re.findall(r"<td>(.*?)</td>", told)
    assert cells == ["1", "0.250", "3", "", "2", "2", "2", "votes", "7", "", "4", "4"]
    assert "<th>vote 4</th>" in told
    assert "three votes" in told
    assert "further groups" not in told


def test_a_page_has_an_end_and_says_what_is_left() -> None:
    rows = [row(f"g{i}", [0.1, 0.9], vote([0, 1], [1, 9])) for i in range(MOST + 3)]
    rows[0]["judge"] = "other"
    told = page(rows, [])
    assert len(re.findall("<h2>", told)) == MOST
    assert "3 further groups are in the journal alone" in told
    assert told.count("<code>other</code>, <code>m</code>") == 1
