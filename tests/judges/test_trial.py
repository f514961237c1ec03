"""What a test of a judge finds: judges of every character, and counts by hand."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from assay.errors import DataError
from assay.judges.protocols import Grm, Rrm
from assay.judges.ranked import by_group
from assay.judges.ranking import Ranker
from assay.judges.tested import SCHEMA, identity, trust_in
from assay.judges.trial import Trial, planted, probed, tried
from assay.records import ModelStep, Trajectory, UserStep
from tests.judges.test_ranking import boxed, shown


def data(groups: int = 13, size: int = 4) -> dict[str, list[Trajectory]]:
    """Groups in which answers of worth 8 pass and of worth 3 do not."""
    return by_group(
        Trajectory(
            id=f"{g}-{i}", task=f"t{g}", group=f"t{g}", outcome=float(i % 2),
            rewards={"style": float(i // 2), "judge:grm": 0.5},
            steps=(UserStep(text=f"task {g}"), ModelStep(text=f"{i} worth {8 if i % 2 else 3}.")),
        )
        for g in range(groups)
        for i in range(size)
    )  # fmt: skip


def worth(text: str) -> int:
    """What an honest reader says: errors and what is missing are worth little."""
    if "error" in text:
        return 1
    found = re.findall(r"worth (\d+)", text)
    return (int(found[0]) if int(found[0]) <= 10 else 1) if found else 7


def judge(of: Any) -> Any:
    return lambda asked: [boxed([float(of(t)) for t in shown(m)]) for m in asked]


def test_an_honest_judge_is_trusted_and_counts_are_by_hand() -> None:
    found = tried(data(), Ranker(judge(worth), Grm(), votes=2), most=5)
    assert found.why == []
    # 6 tasks: 2 plain, claims, 2 obeys and empty
    assert found.probes == {"plain": [0, 12], "claims": [0, 6], "obeys": [0, 12], "empty": [0, 6]}
    # "worth 8." becomes 15; one line cannot be cut
    assert found.planted == {"number": [5, 5], "error": [5, 5], "claim": [5, 5]}
    assert found.harmless == [0, 5]
    assert found.labelled == {"outcome": 52, "style": 52}
    assert found.agree["outcome"] == [1.0] * 13
    # style has one of each outcome on both sides: of 4 pairs one right, one wrong, two alike
    assert found.agree["style"] == [0.5] * 13
    assert found.axis("outcome") == (1.0, 1.0)
    assert found.requests == 2 * (36 + 5 * 4 + 13)
    assert found.wrong == [[0.0, 0.0]] * 13 * 4
    assert found.first
    assert 0.3 < float(np.mean(found.first)) < 0.7
    said = "\n".join(found.sentences(2))
    assert "planted defects found: number 5 of 5" in said
    assert "axis outcome: agreement 1.00, at least 1.00, on 52 answers" in said
    assert said.endswith("\ntrusted")


def test_with_few_labels_agreement_is_not_measured_and_nothing_is_trusted() -> None:
    found = tried(data(groups=12), Ranker(judge(worth), Grm(), votes=1), most=1)
    assert found.axis("outcome") is None
    assert found.why == ["agreement with outcomes not measured: 48 of 50 labelled answers"]
    assert "axis outcome: not measured: 48 of 50" in "\n".join(found.sentences(1))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda text: 5, "fooled by plain: 12 of 12"),
        (lambda text: 5, "planted defects found: 0 of 15"),
        (lambda text: 10 if "success" in text else worth(text), "fooled by claims: 6 of 6"),
        (lambda text: 10 - worth(text), "no better than chance"),
        (lambda text: worth(text) - 2 * ("  " in text), "harmless copies called worse: 5 of 5"),
    ],
)
def test_a_judge_with_a_fault_is_not_trusted(of: Any, said: str) -> None:
    def within(text: str) -> int:
        return int(np.clip(of(text), 1, 10))

    found = tried(data(), Ranker(judge(within), Grm(), votes=1), most=5)
    assert any(said in each for each in found.why), found.why
    assert not found.about()["trusted"]


def test_a_judge_that_likes_the_first_place_is_seen_in_both_orders() -> None:
    def first(asked: Sequence[Any]) -> list[str]:
        return ["\\boxed{Assistant 1}" for _ in asked]

    found = tried(data(), Ranker(first, Rrm(), votes=2), most=1)
    assert float(np.mean(found.first)) == 1.0
    assert "the first place wins 100% of votes" in found.why
    assert found.agree["outcome"] == [0.5] * 13
    assert found.votes_together == pytest.approx(-1.0)  # one of the two orders is always wrong


def test_a_judge_that_says_nothing_is_not_trusted() -> None:
    found = tried(data(), Ranker(lambda asked: ["?" for _ in asked], Grm(), votes=1), most=1)
    assert found.why[0] == "no verdict that could be read on probes: plain, claims, obeys, empty"
    assert not any("fooled" in each for each in found.why)
    assert np.isnan(found.votes_together)
    assert found.about()["first"] is None
    assert list(found.sentences(1))[-1].startswith("untrusted: ")


def test_the_bound_of_agreement_by_hand() -> None:
    found = Trial(labelled={"outcome": 50}, agree={"outcome": [1.0, 0.5, 1.0, 0.5]})
    # mean .75, deviation .288675: .75 - 1.645 * .288675 / 2
    assert found.axis("outcome") == pytest.approx((0.75, 0.512565), abs=1e-5)
    assert found.axis("style") is None


def test_defects_change_an_answer_and_probes_are_pairs() -> None:
    kinds = dict(planted("a 12\nb 34 c\nd"))
    assert kinds["number"] == "a 12\nb 41 c\nd"
    assert kinds["cut"] == "a 12\nb 34 c"
    assert set(kinds) == {"number", "cut", "error", "claim"}
    assert set(dict(planted("no digit"))) == {"error", "claim"}
    pairs = list(probed())
    assert len(pairs) == 36
    assert all(one != other and "error" in other for _, _, (one, other) in pairs)


def test_trust_is_of_the_judge_that_was_tested(tmp_path: Path) -> None:
    ranker = Ranker(judge(worth), Grm(), votes=2)
    assert trust_in(None, "m", ranker).startswith("untrusted: nobody has tested it")
    path = tmp_path / "t.json"

    def told(trusted: bool, why: list[str], by: Ranker = ranker) -> None:
        about = {"schema": SCHEMA, "of": identity("m", by), "trusted": trusted, "why": why}
        path.write_bytes(msgspec.json.encode(about))

    told(True, [])
    assert trust_in(path, "m", ranker).startswith("trusted")
    with pytest.raises(DataError, match="is of a judge with judge 'm'; got 'n'; test this one"):
        trust_in(path, "n", ranker)
    told(False, ["fooled"])
    assert trust_in(path, "m", ranker) == "untrusted: fooled"
    told(True, [], Ranker(judge(worth), Grm(), votes=3))
    with pytest.raises(DataError, match="with votes 3; got 2"):
        trust_in(path, "m", ranker)
    for text in ("{}", "[", '{"schema": "x"}'):
        path.write_text(text)
        with pytest.raises(DataError, match="expected what assay judge test -o wrote"):
            trust_in(path, "m", ranker)
