"""What a test of a judge says of a use of it: of the same one alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.judges.protocols import Grm, Rrm
from assay.judges.ranking import Meta, Ranker
from assay.judges.tested import identity, trust_in

SCHEMA = "assay.judge-test/1"


def ranker(**more: Any) -> Ranker:
    return Ranker(lambda asked: ["" for _ in asked], **{"protocol": Grm(), "votes": 2, **more})


def written(path: Path, of: Any, *, trusted: bool = True, schema: str = SCHEMA) -> Path:
    why = [] if trusted else ["fooled by plain: 4 of 4", "another"]
    path.write_text(json.dumps({"schema": schema, "of": of, "trusted": trusted, "why": why}))
    return path


def test_nobody_is_trusted_untested_and_a_test_says_why(tmp_path: Path) -> None:
    of = identity("m", ranker())
    assert of == {"judge": "m", "protocol": "grm", "votes": 2, "shown": 4000,
                  "schedule": "round_robin", "meta": None}  # fmt: skip
    assert trust_in(None, "m", ranker()).startswith("untrusted: nobody has tested it")
    good, bad = written(tmp_path / "a", of), written(tmp_path / "b", of, trusted=False)
    assert trust_in(good, "m", ranker()) == "trusted: its test found nothing against it"
    assert trust_in(bad, "m", ranker()) == "untrusted: fooled by plain: 4 of 4"
    del of["meta"]  # as tests were written before there was a filter
    assert trust_in(written(tmp_path / "c", of), "m", ranker()).startswith("trusted")


@pytest.mark.parametrize(
    ("who", "other", "name"),
    [
        ("n", {}, "judge"),
        ("m", {"votes": 4}, "votes"),
        ("m", {"protocol": Rrm()}, "protocol"),
        ("m", {"shown": 9}, "shown"),
        ("m", {"protocol": Rrm(), "schedule": "knockout"}, "protocol"),
        ("m", {"meta": Meta(lambda _: [], "m", 1)}, "meta"),
    ],
)
def test_a_test_of_another_judge_is_refused(
    tmp_path: Path, who: str, other: Any, name: str
) -> None:
    path = written(tmp_path / "a", identity("m", ranker()))
    with pytest.raises(DataError, match=f"is of a judge with {name} .*; test this one"):
        trust_in(path, who, ranker(**other))
    path = written(tmp_path / "a", identity("m", ranker(protocol=Rrm())))
    with pytest.raises(DataError, match="with schedule 'round_robin'; got 'knockout'"):
        trust_in(path, "m", ranker(protocol=Rrm(), schedule="knockout"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "assay.judge-test/1"}', "nope"])
def test_what_is_no_test_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(DataError, match="expected what assay judge test -o wrote"):
        trust_in(tmp_path / "a", "m", ranker())
    of = identity("m", ranker())
    with pytest.raises(DataError, match="got schema 'assay"):
        trust_in(written(tmp_path / "b", of, schema="assay.judge-test/2"), "m", ranker())
