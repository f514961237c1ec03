"""The page of `assay judge show`: votes of a judge with their reasons; all of it in the journal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from assay.report.template import rendered

MOST: Final = 100
"""Groups that a page shows."""


def page(rows: Sequence[Mapping[str, Any]], said: Sequence[str]) -> str:
    """Returns the page of the rows of a journal, schema "assay.judged/1".

    Args:
        rows: one a group.
        said: what they come to, in sentences.
    """
    most = sorted(rows, key=_agreement)[:MOST]
    left = len(rows) - len(most)
    more = [f"{left:,} further groups are in the journal alone"] if left else []
    judges = list(dict.fromkeys(row["judge"] for row in rows))
    shown = [{**row, "shown": [_vote(row, vote) for vote in row["votes"]]} for row in most]
    return rendered("judged.html", rows=shown, said=[*said, *more], judges=judges)


def _vote(row: Mapping[str, Any], vote: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a vote with its scores by answer; None: not shown to it, or no vote."""
    of: list[float | None] = [None] * len(row["answers"])
    for place, at in enumerate(vote["order"]):
        of[at] = None if vote["scores"] is None else vote["scores"][place]
    order = ", ".join(str(at + 1) for at in vote["order"])
    said = [f"shown as {order}"]
    if vote["why"]:
        said.append(f"lost: {vote['why']}")
    elif not vote.get("kept", True):
        said.append("left out")
    if (grade := vote.get("grade")) is not None:
        said.insert(1, f"graded {grade:.2f}")
    return {"of": of, "said": ", ".join(said), "text": vote["text"]}


def _agreement(row: Mapping[str, Any]) -> float:
    """Returns the share of votes that have the answer of the best score above all others; 2 where
    there is none to agree on."""
    scores = [-1.0 if score is None else score for score in row["scores"]]
    if max(scores, default=-1.0) < 0:
        return 2.0
    best, found = scores.index(max(scores)), list[bool]()
    for vote in row["votes"]:
        counts = vote["scores"] is not None and vote.get("kept", True)
        if counts and best in vote["order"]:
            of = vote["scores"][vote["order"].index(best)]
            found.append(vote["scores"].count(of) == 1 and of == max(vote["scores"]))
    return sum(found) / len(found) if found else 2.0
