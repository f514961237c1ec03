"""A file that is whole or not there, and what is no file."""

import os
import resource
import subprocess
import sys

import pytest

from assay.files import atomic
from assay.files.atomic import published


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for the disk: the same code path, another errno."""
    script = (
        "import resource, sys\n"
        "from assay.files.atomic import published\n"
        "from assay.errors import DataError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    with published(sys.argv[1]) as stream:\n"
        "        for _ in range(100): stream.write(b'x' * 10_000)\n"
        "except DataError as error: print(error)\n"
    )
    path = tmp_path / "a.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{path}: cannot be written: File too large\n"
    assert list(tmp_path.iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_a_published_file_is_complete_when_it_appears(tmp_path):
    path = tmp_path / "a"
    with published(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
        stream.write(b"whole")
    assert path.read_bytes() == b"halfwhole"


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "link", tmp_path / "disk" / "a"
    link.symlink_to("disk/a")
    for content in (b"first", b"second"):  # a link to nothing yet, then to a file
        with published(link) as stream:
            stream.write(content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    with pytest.raises(RuntimeError), published(link):
        raise RuntimeError
    assert target.read_bytes() == b"second"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "disk", "link"]


def test_a_pipe_gets_the_bytes_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with published(path) as stream:
                stream.write(b"hello")
            assert os.read(reader, 100) == b"hello"
        finally:
            os.close(reader)
        assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_device_gets_the_bytes_and_stays():
    """A terminal of our own: nobody minds what is written there, and nothing can replace it."""
    ours, theirs = os.openpty()
    try:
        with published(os.ttyname(theirs)) as stream:
            stream.write(b"hello")
        assert os.read(ours, 100) == b"hello"
    finally:
        os.close(ours)
        os.close(theirs)


def test_standard_output_is_written_on_where_it_stands(tmp_path, monkeypatch):
    """Under a name of our own: a mistake here would replace the /dev/stdout of the machine."""
    path = tmp_path / "stdout"
    with path.open("wb") as out:
        monkeypatch.setitem(atomic._OPEN, str(path), out.fileno())
        for part in (b"one ", b"two "):
            with published(str(path)) as stream:
                stream.write(part)
        out.write(b"three")
    assert path.read_bytes() == b"one two three"


def test_who_reads_the_old_file_reads_it_to_its_end(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        with published(path) as stream:
            stream.write(b"new and longer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new and longer"
