"""Lines: how they are counted, how long they may be, what a kill leaves of the last."""

import os

import pytest

from assay.errors import DataError
from assay.files import lines as module
from assay.files.lines import append, cut, lines, rows, stretches_of, write_rows


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n\n\r\ntwo\r\nthree")
    with lines(path) as numbered:
        assert list(numbered) == [(1, b"one"), (4, b"two"), (5, b"three")]


def test_a_line_beyond_the_limit_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_RECORD", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 100 + b"\n" + b"x" * 101 + b"\n")
    with lines(path) as numbered:
        assert next(numbered) == (1, b"x" * 100)
        with pytest.raises(DataError, match="line 2: record is longer than 100 bytes"):
            next(numbered)


@pytest.mark.parametrize("size", [1, 3_000, 5_000, 1 << 20])
def test_stretches_are_whole_lines_numbered_from_the_first(tmp_path, size):
    path = tmp_path / "a.jsonl"
    content = [b"x" * (700 * n % 2_300) for n in range(40)]  # blank ones among them
    path.write_bytes(b"\n".join(content))  # and no newline at the end
    found = list(stretches_of(path, size))
    assert (len(found) == 1) == (size == 1 << 20)
    assert [each.start for each in found] == [0, *(each.end for each in found[:-1])]
    assert found[-1].end == path.stat().st_size
    numbered = [(n, line) for n, line in enumerate(content, 1) if line]
    for each in found:
        with lines(path, each) as some:
            for own in some:
                assert own == numbered.pop(0)
    assert not numbered


def test_stretches_are_as_long_as_each_other(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes((b"x" * 99 + b"\n") * 101)
    found = [each.end - each.start for each in stretches_of(path, 5_000)]
    assert len(found) == 3, "10,100 bytes, where the last would have 100 alone"
    assert max(found) - min(found) <= 300


@pytest.mark.parametrize("left", [0, 2_050, 6_000])
def test_a_file_cut_short_while_its_stretches_are_found_ends_where_it_ends(
    tmp_path, monkeypatch, left
):
    monkeypatch.setattr(module, "_BUFFER", 512)  # what was read ahead is still there
    path = tmp_path / "a.jsonl"
    path.write_bytes((b"x" * 99 + b"\n") * 101)
    found = stretches_of(path, 5_000)
    begun = [next(found)]
    os.truncate(path, left)
    own = list[tuple[int, bytes]]()
    for each in [*begun, *found]:
        with lines(path, each) as some:
            own += some
    with lines(path) as alone:
        assert own == list(alone)


def test_a_torn_last_line_is_no_row_and_is_cut_away(tmp_path):
    path = tmp_path / "log.jsonl"
    for step in (1, 2, 3):
        append(path, {"step": step})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 4, "to')
    assert [row["step"] for row in rows(path)] == [1, 2, 3]
    cut(path)
    assert path.read_bytes() == whole
    cut(path, lambda row: row["step"] <= 1)
    assert path.read_bytes() == b'{"step": 1}\n'


def test_a_number_that_json_lacks_is_refused_by_a_log_and_null_in_rows(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        append(tmp_path / "log.jsonl", {"loss": float("nan")})
    assert not (tmp_path / "log.jsonl").exists()
    write_rows(tmp_path / "rows.jsonl", [{"loss": float("nan")}, [1]])
    assert (tmp_path / "rows.jsonl").read_bytes() == b'{"loss":null}\n[1]\n'
