"""`assay judge`: scores onto records, votes and reasons beside, and going on from there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from assay.records import ModelStep, Trajectory, UserStep, read, write
from tests.cli.conftest import Assay
from tests.judges import server
from tests.judges.test_ranking import boxed, shown
from tests.judges.test_trial import data, worth


def answered(worth: float, group: str = "a", **more: Any) -> Trajectory:
    steps = (UserStep(text=f"task {group}"), ModelStep(text=f"worth {worth:g}"))
    fields = {"id": f"{group}{worth:g}", "task": group, "group": group, **more}
    return Trajectory(**fields, steps=steps)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    write(path, [answered(1), answered(10, outcome=1.0), answered(4, "b"), answered(7, "b"),
                 answered(2, "c", rewards={"own": 0.5})])  # fmt: skip
    return path


def honest(body: dict[str, Any]) -> str:
    worth = [float(re.findall(r"worth ([\d.]+)", t)[0]) for t in shown(body["messages"])]
    return boxed(worth)


def scores(path: Path) -> list[float | None]:
    return [record.rewards["judge:grm"] for record in read(path)]


def test_scores_are_written_onto_records_and_reasons_beside(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    before, out = log.read_bytes(), tmp_path / "out.jsonl"
    with server.serving(honest) as url:
        ended = assay("judge", "rank", log, "-o", out, "--endpoint", url, "--votes", "3")
    assert ended.code == 0, ended.err
    assert scores(out) == pytest.approx([0.0, 1.0, 1 / 3, 2 / 3, None])
    records = [*read(out)]
    assert records[4].rewards == {"own": 0.5, "judge:grm": None}
    assert (records[1].outcome, records[0].outcome) == (1.0, None)
    assert log.read_bytes() == before
    said = " ".join(ended.err.split())
    assert f"judge default at {url}, grm: untrusted: nobody has tested it" in said
    assert "4 of 5 answers scored (without: alone 1)" in ended.text
    assert "cost: 6 requests" in ended.text
    rows = [
        json.loads(line) for line in (tmp_path / "out.jsonl.judged.jsonl").read_text().splitlines()
    ]
    assert [row["group"] for row in rows] == ["a", "b", "c"]
    assert rows[0]["votes"][0]["text"].startswith("Analysis.")
    assert rows[0]["answers"] == ["AGENT: worth 1", "AGENT: worth 10"]
    assert rows[2]["why"] == ["alone"]


def test_what_was_asked_is_not_asked_again(assay: Assay, log: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "out.jsonl", list[Any]()

    def counted(body: dict[str, Any]) -> str | int:
        asked.append(body)
        return honest(body)

    with server.serving(counted) as url:
        command = ["judge", "rank", log, "-o", out, "--endpoint", url, "--votes", "2"]
        ended = assay(*command)
        assert "cost: 4 requests" in ended.text
        assert "journal" not in ended.text.split("cost:")[1]
        first = out.read_bytes()
        journal = tmp_path / "out.jsonl.judged.jsonl"
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(lines[0] + lines[1][:40])  # a kill in the second group
        out.unlink()
        ended = assay(*command)
        assert "cost: 2 requests" in ended.text  # of the first group and the lone one none
        assert "1 of 3 groups are from the journal" in ended.text
        assert len(asked) == 4 + 2
        assert out.read_bytes() == first
        told = json.loads(assay(*command, "--json", "-").text)
        assert (told["requests"], told["characters"], told["tokens"]) == (0, [0, 0], None)
        assert (told["seconds"], told["kept"], told["groups"], told["answers"]) == (0, 3, 3, 5)
        assert len(asked) == 6
        assert assay("judge", "show", journal, "-o", tmp_path / "page.html").code == 0
        assert "cost: 4 requests" in (tmp_path / "page.html").read_text()  # what it ever cost
        assert assay(*command, "--seed", "1").code == 0  # another order is another question
        assert len(asked) == 10


def test_a_filter_keeps_votes_and_its_grades_lie_in_the_journal(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    out, models = tmp_path / "out.jsonl", list[str]()

    def judge(body: dict[str, Any]) -> str:
        models.append(body["model"])
        texts = shown(body["messages"])
        if "boxed" not in texts[-1]:  # each vote likes what it is shown first, half of them more
            return boxed([10.0 if models.count("m") % 2 else 4.0, *[1.0] * (len(texts) - 1)])
        return "\\boxed{9}" if "10" in texts[-1] else "\\boxed{2}"

    with server.serving(judge) as url:
        command = ["judge", "rank", log, "-o", out, "--endpoint", url, "--model", "m"]
        command += ["--votes", "4", "--parallel", "1"]
        ended = assay(*command, "--meta", "2", "--meta-model", "grader")
        assert ended.code == 0, ended.err
        assert (models.count("m"), models.count("grader")) == (8, 8)
        assert "cost: 16 requests" in ended.text
        rows = [*map(json.loads, (tmp_path / "out.jsonl.judged.jsonl").read_text().splitlines())]
        votes = rows[0]["votes"]
        assert [vote["kept"] for vote in votes] == [max(v["scores"]) == 10 for v in votes]
        assert sum(vote["kept"] for vote in votes) == 2
        assert {round(9 * vote["grade"]) for vote in votes} == {8, 1}
        assert sum(s or 0.0 for s in rows[0]["scores"]) == pytest.approx(1.0)  # (10 - 1) / 9
        page = tmp_path / "page.html"
        assert assay("judge", "show", tmp_path / "out.jsonl.judged.jsonl", "-o", page).code == 0
        assert "graded 0.11, left out</summary>" in page.read_text()
        assert "graded 0.89</summary>" in page.read_text()
        models.clear()
        assert assay(*command, "--meta", "2").code == 0  # the judge grades its own
        assert models == ["m"] * 16
    ended = assay(*command, "--meta-model", "grader")
    assert ended.code == 2
    assert "--meta-model is of --meta" in ended.err


def test_a_server_that_fails_leaves_null_and_says_why(
    assay: Assay, log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    with server.serving(lambda _: 500) as url:
        ended = assay("judge", "rank", log, "-o", out, "--endpoint", url, "--votes", "2")
    assert ended.code == 0
    assert scores(out) == [None] * 5
    assert "votes lost: refused 4" in ended.text


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "give --endpoint URL, or --model NAME"),
        (["--model", "start", "--key", "K"], 2, "--key is of --endpoint"),
        (["--endpoint", "localhost"], 2, "expected an address"),
        (["--endpoint", "http://x/v1", "--key", "NOT_SET"], 3, "variable NOT_SET is not set"),
        (["--endpoint", "http://x/v1", "--protocol", "rulr"], 2, "Did you mean 'ruler'"),
        (["--endpoint", "http://x/v1", "--protocol", "rrm", "--votes", "3"], 2, "even number"),
        (["--endpoint", "http://x/v1", "--knockout"], 2, "a knockout is for pairs"),
    ],
)
def test_what_does_not_fit_is_one_line_and_writes_nothing(
    assay: Assay, log: Path, tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    ended = assay("judge", "rank", log, "-o", tmp_path / "out.jsonl", *options)
    assert ended.code == code
    assert said in " ".join(ended.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_journal_that_is_none_is_refused(assay: Assay, log: Path, tmp_path: Path) -> None:
    for name, text in (("a", "no json\n"), ("b", '{"schema": "other/1"}\n'), ("c", "[1]\n")):
        bad = tmp_path / name
        bad.write_text(text)
        command = ["judge", "rank", log, "-o", tmp_path / "o.jsonl", "--endpoint", "http://x/v1"]
        ended = assay(*command, "--journal", bad)
        assert ended.code == 3
        assert "expected a journal, schema assay.judged/1" in " ".join(ended.err.split())
        assert bad.read_text() == text
    ended = assay(*command, "--journal", log)
    assert ended.code == 2


def reader(body: dict[str, Any]) -> str:
    return boxed([float(worth(text)) for text in shown(body["messages"])])


def test_a_judge_is_tested_and_what_was_found_goes_with_its_use(
    assay: Assay, tmp_path: Path
) -> None:
    log, found, out = (tmp_path / name for name in ("log.jsonl", "test.json", "out.jsonl"))
    write(log, [record for group in data().values() for record in group])
    with server.serving(reader) as url:
        ended = assay(
            "judge", "test", url, "--data", log, "-o", found, "--votes", "1", "--most", "2"
        )
        assert ended.code == 0, ended.err
        assert "axis outcome: agreement 1.00" in ended.text
        assert "\ntrusted\n" in ended.text
        assert "cost: 57 requests" in ended.text  # 36 probes, 2 answers of 4 copies, 13 groups
        told = json.loads(found.read_text())
        assert (told["schema"], told["trusted"], told["axes"]["outcome"]) == (
            "assay.judge-test/1", True, [1.0, 1.0])  # fmt: skip
        command = ["judge", "rank", log, "-o", out, "--endpoint", url, "--tested", found]
        ended = assay(*command, "--votes", "1")
        assert "grm: trusted: its test found nothing" in " ".join(ended.err.split())
        ended = assay(*command, "--votes", "2")
        assert ended.code == 3
        assert "is of a judge with votes 1; got 2" in " ".join(ended.err.split())
        ended = assay(*command, "--votes", "1", "--meta", "1")
        assert ended.code == 3
        said = f"is of a judge with meta None; got 'the best 1 by default at {url}'"
        assert said in " ".join(ended.err.split())
    ended = assay("judge", "test", "start", "--data", log, "--model", "x")
    assert ended.code == 2
    assert "--model is a server's name" in " ".join(ended.err.split())


def test_a_page_shows_votes_and_reasons_as_text(assay: Assay, tmp_path: Path) -> None:
    log, out, to = (tmp_path / name for name in ("log.jsonl", "out.jsonl", "votes.html"))
    write(log, [answered(1), answered(10), answered(4, "<b>b</b>"), answered(7, "<b>b</b>")])

    def odd(body: dict[str, Any]) -> str:
        return f"<script>alert(1)</script> {honest(body)}"

    with server.serving(odd) as url:
        command = ["judge", "rank", log, "-o", out, "--endpoint", url, "--votes", "2"]
        assert assay(*command).code == 0
    ended = assay("judge", "show", tmp_path / "out.jsonl.judged.jsonl", "-o", to)
    assert ended.code == 0, ended.err
    page = to.read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;b&lt;/b&gt;" in page
    assert page.count("<summary>vote ") == 4
    assert "4 of 4 answers scored" in page
    assert assay("judge", "show", log, "-o", to).code == 3


@pytest.mark.slow
def test_a_model_of_this_machine_runs_end_to_end(assay: Assay, log: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "out.jsonl"
    command = ["judge", "rank", log, "-o", out, "--model", "start", "--votes", "2"]
    ended = assay(*command, "--max-tokens", "8", "--shown", "100", "--json", "-")
    assert ended.code == 0, ended.err
    told = json.loads(ended.text)
    assert told["requests"] == 4
    assert sum(told["lost"].values()) == 4  # it knows no form of a verdict
    assert told["tokens"][1] <= 4 * 8
    assert scores(out) == [None] * 5
    long = assay(*command, "--max-tokens", "1000", "--seed", "1", "--json", "-")
    assert json.loads(long.text)["lost"] == {"long": 4}
