"""Which format a folder is: every file is ranked, the surest wins, the rest is counted or named."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest

from assay.audit.kinds import sentences
from assay.errors import DataError
from assay.files.probe import probe
from assay.importers import IMPORTERS, Choices, Importer, Log, Losses, Rank, Record, load
from assay.importers.base import Groups
from assay.importers.recognise import look
from assay.records import Trajectory, UserStep
from tests.importers.hostile import fixture_files, paths_of, put

FIXTURES = Path(__file__).parent.parent / "fixtures"
CHAT = {"task": "t", "messages": [{"role": "user", "content": "hi"}]}
TAU = [{"task_id": 1, "trial": 0, "reward": 1.0, "info": {}, "traj": []}]
OWN = {"schema": "assay.trajectory/1", "id": "a", "task": "t", "group": "t"}


def written(folder: Path, **files: object) -> Path:
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_most_files_win_and_those_of_another_format_are_counted(tmp_path: Path):
    folder = written(tmp_path, a=TAU, b=CHAT, c={**CHAT, "trial": 1}, d={"x": 1})
    losses = Losses()
    name, trajectories = load(folder, losses=losses)
    assert (name, len(list(trajectories))) == ("chat", 2)
    # a.json is a log that somebody reads; d.json is none
    assert losses.counts == {"other_format:tau_bench": 1, "not_a_log": 1}
    assert losses.first["other_format:tau_bench"].endswith("a.json")


def test_what_says_its_format_itself_beats_more_files_by_shape(tmp_path: Path):
    folder = written(tmp_path, a=CHAT, b=CHAT, z=OWN)
    assert load(folder)[0] == "assay"


def test_a_tie_is_asked_about(tmp_path: Path):
    folder = written(tmp_path, a=TAU, b=CHAT)
    with pytest.raises(DataError, match="could be chat or tau_bench; say which with --format"):
        load(folder)
    losses = Losses()
    assert len(list(load(folder, format="tau_bench", losses=losses)[1])) == 1
    assert losses.counts == {"other_format:chat": 1}
    (told,) = sentences(losses.counts)
    assert told == "1 file was not read: of another format, chat; --format chat reads it"


def test_a_refusal_names_the_nearest_format_and_the_field_that_is_missing(tmp_path: Path):
    rows = [{"task_id": 1, "reward": 1.0, "info": {}}]
    written(tmp_path, a={"x": 1}, b={"input": "p", "output": "o", "step": 1})
    with pytest.raises(DataError, match=r"; of b\.json the nearest is verl, which needs score;"):
        load(tmp_path)
    alone = written(tmp_path, c={"task": 1, "messages": {}}) / "c.json"
    with pytest.raises(DataError, match=r"; nearest is chat, which needs messages \(array\);"):
        load(alone)
    with pytest.raises(DataError, match=r"; nearest is tau_bench, which needs traj;"):
        load(written(tmp_path, d=rows) / "d.json")


def test_a_file_that_is_no_json_is_named(tmp_path: Path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: not JSON"):
        load(tmp_path)
    # among logs it may hold a part of them: counted, or refused by who wants all or nothing
    written(tmp_path, b=CHAT)
    losses = Losses()
    assert len(list(load(tmp_path, losses=losses)[1])) == 1
    assert losses.counts == {"torn_record": 1}
    assert "a.json: not JSON" in losses.first["torn_record"]
    with pytest.raises(DataError, match=r"a\.json: not JSON"):
        load(tmp_path, choices=Choices(strict=True))


def test_what_an_audit_left_below_is_no_log(tmp_path: Path):
    written(tmp_path, a=CHAT)
    for name, kind in (("left", "audit"), ("trained", "train")):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        (run / "run.json").write_text(f'{{"schema":"assay.run/1","kind":"{kind}"}}')
        (run / "trajectories.jsonl").write_text(json.dumps(OWN))
    exported = tmp_path / "runs" / "exported"
    exported.mkdir()
    (exported / "manifest.json").write_text('{\n  "schema": "assay.export/1"\n}')
    (exported / "traces.jsonl").write_text(json.dumps(OWN))
    making = tmp_path / "runs" / ".left.tmp-7"
    making.mkdir()
    (making / "x.jsonl").write_text(json.dumps(OWN))
    found = look(tmp_path, {}).found
    names = sorted(str(file.relative_to(tmp_path)) for file in found)
    assert names == ["a.json", "runs/trained/run.json", "runs/trained/trajectories.jsonl"]
    # asked for itself, it is a log
    assert [file.name for file in look(exported, {}).found] == ["traces.jsonl"]


def test_a_text_that_was_never_json_is_no_log(tmp_path: Path):
    path = tmp_path / "LICENSE"
    path.write_text("Permission is granted\n")
    with pytest.raises(DataError, match=r"LICENSE: no known log format \(it holds no JSON\);"):
        load(path)


@pytest.mark.parametrize("format", ["verl", "trl", "nemo", "tinker", "verifiers", "rllm"])
def test_a_log_by_another_name_is_read_of_its_folder_too(format: str, tmp_path: Path):
    """As a file alone is; beside files of the names that the format gives, it may be a copy."""
    one = IMPORTERS.get(format)()
    file = next(each for each in fixture_files(FIXTURES / format) if one.rank(probe(each)) >= 2)
    other = tmp_path / f"part{file.suffix}"
    shutil.copy(file, other)
    assert not one.is_named(other)
    name, alone = load(other)
    assert name == format
    expected, losses = list(alone), Losses()
    name, found = load(tmp_path, losses=losses)
    assert (name, list(found)) == (format, expected)
    assert "not_a_log" not in losses.counts

    named = {"verl": "1.jsonl", "trl": "completions_1.parquet", "nemo": "train_data_step1.jsonl"}
    named |= {"tinker": "train_rollout_summaries.jsonl", "verifiers": "traces.jsonl"}
    shutil.copy(file, tmp_path / named.get(format, "episode_hash1.json"))
    losses = Losses()
    assert len(list(load(tmp_path, losses=losses)[1])) == len(expected)
    assert losses.counts[f"other_name:{format}"] == 1
    assert any("audit it alone" in told for told in sentences(losses.counts))


class Rows(Importer):
    """A format in a dozen lines."""

    name, title, record = "rows", "rows of a table", "a row"
    needs = "instance question:text"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        question = UserStep(text=record.need("question", str))
        record.lose_unknown({"instance", "question", "resolved"})
        outcome = record.scored(record.number("resolved"))
        yield record.trajectory(record.name("instance"), [question], outcome=outcome)


def test_a_format_is_a_short_class(tmp_path: Path):
    log = tmp_path / "rows.jsonl"
    log.write_text('{"instance": 7, "question": "q", "cost": 2}\n')
    sight = look(log, {"rows": Rows()})
    assert sight.found == {log: {"rows": Rank.SHAPE}}
    losses = Losses()
    (row,) = Rows().read(Log(log, (log,), losses, Groups()))
    assert (row.id, row.task, row.group, row.outcome) == ("7/0", "7", "7", None)
    assert row.origin is not None
    assert (row.origin.format, row.origin.path) == ("rows", "rows.jsonl")
    assert losses.counts == {"key:cost": 1, "no_outcome": 1}
    log.write_text('{"instance": 7, "question": 1}\n')
    with pytest.raises(DataError, match=r"line 1\.question: got int 1; expected str"):
        list(Rows().read(Log(log, (log,), losses, Groups())))


@pytest.mark.parametrize("key", ["x", "completion"])
def test_a_refusal_has_an_end_however_long_the_names(key: str, tmp_path: Path):
    names = [f"{letter * 40}" for letter in "abcdef"]
    row = {**dict.fromkeys(names, 1), key: "y", "prompt": "z"}
    with pytest.raises(DataError) as caught:
        load(written(tmp_path, **{"n" * 200: row}) / f"{'n' * 200}.json")
    assert len(str(caught.value)) <= 500
    assert str(caught.value).endswith(
        "name" if key == "x" else "prompt=prompt,completion=completion"
    )


@pytest.mark.parametrize("value", [{}, [], {"a": []}, 1, None])
def test_no_value_of_a_line_stops_recognition(value: object, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    keys = ("type", "role", "payload", "event", "format", "schema", "kind", "messages", "columns")
    path.write_text(json.dumps(dict.fromkeys(keys, value)) + "\n")
    with pytest.raises(DataError, match="no known log format"):
        load(path)


@pytest.mark.parametrize("format", sorted(IMPORTERS.names()))
def test_no_value_of_a_known_log_stops_recognition(format: str):
    """Each place near the top of each of its first lines holds what should stand elsewhere."""
    importers = [IMPORTERS.get(name)() for name in IMPORTERS.names()]
    values = cycle(([[]], {"a": []}, 1.5))
    files = {file.name: file for file in fixture_files(FIXTURES / format)}
    for file in files.values():
        seen = probe(file)
        for index, line in enumerate(seen.few[:3]):
            for at in (at for at in paths_of(line) if 0 < len(at) < 3):
                put_in = put(line, at, next(values))
                lines = (*seen.few[:index], put_in, *seen.few[index + 1 :])
                spoiled = replace(seen, first=lines[0], few=lines)
                for one in importers:
                    one.rank(spoiled)
                    one.missing(spoiled)
