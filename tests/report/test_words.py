"""The headline: its numbers worked out by hand."""

from typing import Any

import pytest

from assay.report.words import counted, headline, large, share


def fates(**amounts: int) -> dict[str, Any]:
    return {
        "measure": "tokens",
        "trajectories": {"scored": 1},
        "fate": {kind: {"trajectories": 1, "tokens": n} for kind, n in amounts.items()},
    }


def test_headline_counts_everything_but_rightly_signed_text_as_lost():
    # 1,400,000 in all; 300,000 + 288,000 carry a right sign; 812,000 / 1,400,000 = 58 %
    audit = fates(trained_up=300_000, trained_down=288_000, punished_correct=42_000, dead=770_000)
    assert headline(audit) == (
        "Of the 1.4 M tokens the policy wrote, 58 % carried no or wrong-signed signal; "
        "3 % was pushed down although evidence says that it was right."
    )


def test_headline_without_wronged_calls_and_without_text():
    assert headline(fates(trained_up=40, dead=60)) == (
        "Of the 100 tokens the policy wrote, 60 % carried no or wrong-signed signal."
    )
    assert headline(fates(dead=0)) == "The policy wrote nothing that a signal could reach."


@pytest.mark.parametrize(
    ("n", "calls", "failed", "again", "said"),
    [
        (1, 0, 0, 0, "1 trajectory without an outcome, and no call was made."),
        (
            *(2, 1, 0, 0),
            "2 trajectories without an outcome: one call, which was not answered by an error.",
        ),
        (
            *(2, 3, 1, 0),
            "2 trajectories without an outcome: of 3 calls 1 was answered by an error, and none "
            "repeated one that had been answered the same.",
        ),
        (
            *(1200, 4000, 1000, 20),
            "1,200 trajectories without an outcome: of 4,000 calls 1,000 (25 %) were answered by "
            "an error, and 20 (under 1 %) repeated one that had been answered the same.",
        ),
    ],
)
def test_the_headline_of_a_log_that_nobody_scored(n, calls, failed, again, said):
    did = {"errors": {"calls": failed}, "repeats": {"calls": again}}
    counts = {"trajectories": {"scored": 0, "total": n}, "calls": {"total": calls}}
    assert headline({**fates(unscored=5), **counts, "behaviour": did}) == said


@pytest.mark.parametrize(
    ("part", "said"),
    [(0, "0 %"), (1, "under 1 %"), (1000, "all"), (999, "over 99 %"), (505, "50 %")],
)
def test_a_share_is_never_rounded_to_nothing_or_all(part: int, said: str):
    assert share(part, 1000) == said


def test_of_few_things_a_share_is_a_count():
    assert (share(1, 1), share(1, 2), share(19, 19), share(5, 20)) == ("all", "1", "all", "25 %")
    assert [counted(n, 3) for n in range(4)] == ["none is", "1 is", "2 are", "3 are"]
    assert counted(5, 20) == "5 (25 %) are"


@pytest.mark.parametrize(
    ("right", "even", "said"),
    [
        (1, 1, "its one call is"),
        (1, 0, "its one call is not"),
        (30, 0, "none of its 30 calls is"),
        (30, 1, "1 of its 30 calls is"),
        (30, 12, "12 of its 30 calls are"),
        (30, 30, "all of its 30 calls are"),
    ],
)
def test_calls_that_average_out_are_counted(right: int, even: int, said: str):
    calls = {"punished_correct": right, "punished_variance": even}
    line = headline({**fates(trained_up=75, punished_correct=25), "calls": calls})
    assert line == (
        "Of the 100 tokens the policy wrote, 25 % carried no or wrong-signed signal; 25 % was "
        f"pushed down although evidence says that it was right ({said} rewarded as much in the "
        "same place, which averages out)."
    )


def test_headline_where_all_or_nothing_is_lost():
    assert headline(fates(dead=60)) == (
        "Of the 60 tokens the policy wrote, all carried no or wrong-signed signal."
    )
    assert headline(fates(trained_up=40, trained_down=2)) == (
        "All of the 42 tokens the policy wrote carried a signal, and nothing says that its sign is "
        "wrong."
    )


@pytest.mark.parametrize(("n", "said"), [(812, "812"), (41_200, "41,200"), (2_000_000_000, "2 G")])
def test_large_numbers(n: int, said: str):
    assert large(n) == said
