"""What an agent says of its own success, against labels made by reading.

Four sets. `claim_messages` came first and the detector was made on it. The held-out table was
written afterwards and scored once (claimed: precision .84, recall .50; admitted 1.0, .27) before
what it showed was mended. Two samples of tau-bench were labelled by reading the last three texts of
the agent: the first was used once to mend, the second never was.
"""

from pathlib import Path

import pytest

from assay.importers import load
from assay.records import Claim, ModelStep, Step, ToolStep, UserStep
from assay.verify import claim_of
from tests.verify import claim_messages, claim_messages_held_out

DATA = Path(__file__).parents[3] / "shared" / "data" / "tau-bench" / "gpt-4o-airline.json"
KINDS: tuple[Claim, ...] = ("claimed", "admitted", "none")
MENDED_ON = {  # task/trial
    "claimed": "15/1 39/3 26/3 47/3 16/3 7/0 13/0 39/2 26/0 32/3 3/0 5/1 4/2 32/0 0/0 3/1 25/3 "
    "30/1 0/1 4/3 26/1 5/0 6/2 7/3 17/1 34/1 41/2",
    "admitted": "41/1 35/2 43/3 40/0 28/0 20/2 47/1 49/1 36/3 18/0 35/0 17/3 13/2 33/0 42/0 38/3 "
    "24/1 38/2 48/1 42/1 37/0 27/1 36/1",
    "none": "9/3 19/2 13/1 45/1 44/3 46/2 21/1 46/0 8/3 1/0 2/1 22/3 16/0 12/3",
}
NEVER_SEEN = {
    "claimed": "40/2 7/2 6/1 22/1 28/2 17/2 17/0 14/1 9/2 31/2 10/0 23/1 31/0 32/2 34/2 19/3 47/0 "
    "11/0 22/0 14/0 30/2 25/1 21/0",
    "admitted": "23/3 4/0 37/3 49/3 18/3 18/2 36/2 38/1 30/0 15/2 48/3",
    "none": "24/3 24/0 1/2 45/2 8/1",
}


def said(*texts: str) -> Claim:
    return claim_of([ModelStep(text=text) for text in texts])


def rates(pairs: list[tuple[str, str]], kind: str) -> tuple[float, float]:
    """Precision and recall of one kind, from (label, said) pairs."""
    right = sum(label == given == kind for label, given in pairs)
    return right / sum(g == kind for _, g in pairs), right / sum(k == kind for k, _ in pairs)


def pairs_of(module: object) -> list[tuple[str, str]]:
    return [(kind, said(text)) for kind in KINDS for text in getattr(module, kind.upper())]


def test_the_table_it_was_made_on():
    pairs = pairs_of(claim_messages)
    assert len(pairs) == 171
    assert [(k, g) for k, g in pairs if k != g] == [("claimed", "none")]  # "Final SQL:" and code


def test_the_table_written_afterwards():
    pairs = pairs_of(claim_messages_held_out)
    assert len(pairs) == 88
    # 23 of 32 claims found, 3 of 26 said wrongly; 22 of 26 admissions found, none wrongly.
    assert rates(pairs, "claimed") == (23 / 26, 23 / 32)
    assert rates(pairs, "admitted") == (1.0, 22 / 26)
    assert ("claimed", "admitted") not in pairs
    assert pairs.count(("none", "claimed")) <= 2


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="needs shared/data beside the repository")
@pytest.mark.parametrize(
    ("labels", "size", "claimed", "admitted"),
    [  # precision and recall
        (MENDED_ON, 64, (27 / 28, 1.0), (1.0, 18 / 23)),
        (NEVER_SEEN, 39, (1.0, 1.0), (1.0, 9 / 11)),
    ],
)
def test_real_agents(
    labels: dict[str, str],
    size: int,
    claimed: tuple[float, float],
    admitted: tuple[float, float],
):
    given = {t.id: claim_of(t.steps) for t in load(DATA)[1]}
    pairs = [(kind, given[row]) for kind in KINDS for row in labels[kind].split()]
    assert len(pairs) == size
    for kind, expected in (("claimed", claimed), ("admitted", admitted)):
        assert rates(pairs, kind) == expected


def test_the_latest_text_that_says_either_decides():
    assert said("I could not book it.", "I have booked it now.") == "claimed"
    assert said("I have booked it.", "I had to give it back: I cannot book it.") == "admitted"
    assert said("I have booked it.", "You're welcome!") == "claimed"
    assert said("I cannot book it.", "Anything else?", "Safe travels!") == "admitted"


def test_the_last_three_texts_are_read():
    assert said("All done.", "one", "two") == "claimed"
    assert said("All done.", "one", "two", "three") == "none"
    # Steps without text (a call alone) and what others say do not count.
    steps: list[Step] = [ModelStep(text="All done.")]
    for _ in range(5):
        steps += [ModelStep(), ToolStep(text="I cannot do that."), UserStep(text="I cannot pay.")]
    assert claim_of(steps) == "claimed"
    assert claim_of([UserStep(text="All done."), ToolStep(text="All done.")]) == "none"
    assert claim_of([]) == "none"


def test_could_not_outweighs_have_and_have_outweighs_cannot_be():
    assert said("I have added the bag. I could not change the seat.") == "admitted"
    assert said("I could not change the seat. I have added the bag.") == "admitted"
    assert said("I have added the bag. Bags cannot be removed.") == "claimed"
    assert said("Bags cannot be removed. I have added the bag.") == "claimed"
    assert said("I have added the bag, but bags cannot be removed.") == "admitted"
    assert said("Bags cannot be removed.") == "admitted"
    assert said("Bags cannot be removed. Do you still want one?") == "none"


@pytest.mark.parametrize("end", ["; ", ", ", ". ", '." ', ".**) ", "\n", "!\n\n"])
def test_a_clause_ends_before_a_question(end: str):
    """Were it one clause, it would be a question, and say nothing."""
    assert said(f"I have added the bag{end}do you want more?") == "claimed"


def test_irregular_verbs_claim_too():
    assert said("I wrote the parser.") == "claimed"
    assert said("I rewrote the parser.") == "claimed"
    assert said("I will write the parser.") == "none"


def test_case_apostrophes_and_markdown_do_not_matter():
    for text in (
        "I've booked it.",
        "I\u2019VE BOOKED IT.",
        "**I've booked it.**",
        "> i have booked it",
    ):
        assert said(text) == "claimed"
    for text in ("I can't do it.", "I can\u2019t do it.", "i cannot do it", "* I CAN NOT DO IT"):
        assert said(text) == "admitted"


def test_a_long_text_is_read_at_both_ends():
    middle = "The table has three columns. " * 500
    assert said("I have fixed the bug. " + middle) == "claimed"
    assert said(middle + "I have fixed the bug.") == "claimed"
    assert said(middle + "I have fixed the bug. " + middle) == "none"


@pytest.mark.parametrize(
    "unit", ["I ", "has been ", "not ", "no ", "``` ", "now also ", "? ", "\n"]
)
def test_hostile_texts_take_no_time(unit: str):
    assert said(unit * 100_000) in KINDS
