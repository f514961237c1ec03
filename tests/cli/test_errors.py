"""What goes wrong is one line that says what to do, and an exit code that means one thing."""

import os
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from assay.errors import hint
from tests.cli.conftest import Assay
from tests.processes import process

MAIN = [sys.executable, "-c", "import sys; from assay.cli import main; main()"]


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # usage: exit 2
        (["audi", "x"], "No such command 'audi'. Did you mean 'audit'? See assay --help"),
        (["audit"], "Missing argument 'logs'. See assay audit --help"),
        (["audit", "LOG", "--jsn", "-"], "No such option: --jsn (Possible options: --json)"),
        (["audit", "LOG", "--pass-at", "high"], "Invalid value for '--pass-at'"),
        (
            ["audit", "LOG", "--format", "taubench"],
            "no format 'taubench'. Did you mean 'tau_bench'?",
        ),
        (["audit", "LOG", "--fail-on", "deed>1"], "no share 'deed'; known: dead, punished"),
        (["audit", "LOG", "--fail-on", "dead"], "expected NAME>NUMBER with NAME one of dead"),
        (["audit", "LOG", "--fail-on", "dead=1"], "expected NAME>NUMBER"),
        (["audit", "LOG", "--fail-on", "ded>0.1"], "fail. Did you mean 'dead'?"),
        (
            ["audit", "LOG", "--fail-on", "dead>1.2.3"],
            "got '1.2.3'; expected a share from 0 to 1, as in dead>0.4",
        ),
        (["audit", "LOG", "--fail-on", "dead>40%"], "got '40%'; expected a share from 0 to 1"),
        (["audit", "LOG", "--fail-on", "dead>40"], "got '40'; expected a share from 0 to 1"),
        (
            ["export", "LOG", "-m", "grpo", "--to", "TRL", "-o", "x"],
            "no engine 'TRL'. Did you mean 'trl'? Known: ",
        ),
        (["audit", "LOG", "-o", "precious"], "precious: exists and is no audit's directory"),
        (["credit", "LOG", "--json", "-"], "Missing option '--method' / '-m'"),
        (["credit", "LOG", "-m", "grpo"], "give -o FOLDER for annotation files, or --json -"),
        (["credit", "LOG", "-m", "grpo", "-o", "x", "--json", "-"], "give -o FOLDER"),
        (
            ["credit", "LOG", "-m", "gprpo", "--json", "-"],
            "no method 'gprpo'. Did you mean 'grpo'?",
        ),
        (
            ["credit", "LOG", "-m", "grpo", "--set", "dof=1", "--json", "-"],
            "grpo has no option 'dof'. Did you mean 'ddof'? Known: ",
        ),
        (["credit", "LOG", "-m", "grpo", "--set", "ddof", "--json", "-"], "expected name=value"),
        (["credit", "LOG", "-m", "grpo", "--set", "=1", "--json", "-"], "expected name=value"),
        (
            ["credit", "LOG", "-m", "grpo", "--set", "ddof=x", "--json", "-"],
            "grpo: Expected `int`, got `str`",
        ),
        (
            ["credit", "LOG", "-m", "grpo", "--set", "scale=big", "--json", "-"],
            "grpo: Invalid enum value 'big'",
        ),
        (
            ["credit", "LOG", "-m", "grpo", "--set", "pass_at=1", "--json", "-"],
            "grpo has no option 'pass_at'",
        ),
        (
            ["credit", "LOG", "-m", "grpo", "-m", "nsr", "--set", "ddof=1", "--json", "-"],
            "--set belongs to one method",
        ),
        (
            ["credit", "LOG", "-m", "grpo", "--like", "trll", "--json", "-"],
            "grpo has no preset 'trll'. Did you mean 'trl'?",
        ),
        (["credit", "LOG", "-m", "nsr", "--like", "trl", "--json", "-"], "nsr has no presets"),
        (["import", "LOG"], "Missing option '--out' / '-o'"),
        (["view", "precious"], "precious: no report here; make one with assay audit LOG --out"),
    ],
)
def test_usage(assay: Assay, log: Path, tmp_path: Path, arguments: list[str], words: str):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("mine")
    before = files(tmp_path)
    ended = assay(*(str(log) if a == "LOG" else a for a in arguments))
    assert ended.code == 2
    assert words in ended.error
    assert ended.out == b""
    assert files(tmp_path) == before


def test_capitals_are_no_distance():
    assert hint("TRL", ["slime", "trl"]) == " Did you mean 'trl'?"
    assert hint("qwen", ["Qwen", "trl"]) == " Did you mean 'Qwen'?"


@pytest.mark.parametrize("verb", ["audit", "credit", "import"])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.json", None, "missing.json: no such file"),
        ("empty.json", b"", "empty.json: the file is empty; expected JSON"),
        ("blank.jsonl", b" \n\n", "blank.jsonl: the file is empty"),
        ("odd.json", b'{"colour": 1}', "(its first record has the keys colour); expected one of"),
        ("text.json", b"hello", "text.json: no known log format (it holds no JSON)"),
        ("cut.json", b'[{"task_id": 1, "trial": 0', "cut.json record 0"),
        ("pickle.json", b"\x80\x04\x95\x00", "pickle.json: a pickle, which is never read"),
        ("empty", "folder", "empty: no known log format (the folder is empty)"),
        ("bare", "folder with a readme", "(no log among its 1 files)"),
        ("none.json", b"[]", "none.json"),
        ("line.jsonl", b'{"task": "a", "messages": []}\n{"task": 1.5, "messages": []}\n', "line 2"),
    ],
)
def test_bad_input(
    assay: Assay, tmp_path: Path, verb: str, name: str, content: bytes | str | None, words: str
):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
        if "readme" in content:
            (path / "readme.txt").write_text("hi")
    options = {
        "audit": ["-o", "run"],
        "credit": ["-m", "grpo", "-o", "credit"],
        "import": ["-o", "out.jsonl"],
    }
    before = files(tmp_path)
    ended = assay(verb, path, *options[verb])
    assert ended.code == 3
    assert words in ended.error
    assert ended.out == b""
    assert files(tmp_path) == before, "something half-written is left"


def test_a_folder_to_view_that_is_not_there_is_bad_input(assay: Assay):
    ended = assay("view", "nowhere")
    assert (ended.code, ended.error) == (3, "nowhere: no such file or folder")


def test_no_number_of_the_system_is_in_a_sentence(assay: Assay, tmp_path: Path):
    for path in ("nowhere", tmp_path):
        ended = assay("eval", path)
        assert ended.code == 3
        assert ended.error == (
            f"{path}: no run directory (run.json: No such file or directory); expected one"
        )


def test_a_method_that_cannot_run_is_bad_input(assay: Assay, log: Path):
    ended = assay("credit", log, "-m", "lens", "--json", "-")
    assert ended.code == 3
    assert ended.error.startswith("lens needs logprobs, and no trajectory of the set has any: the ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "LOG", "-o", "file/run"],
        ["audit", "LOG", "--json", "file/result.json"],
        ["credit", "LOG", "-m", "grpo", "-o", "file/credit"],
        ["import", "LOG", "-o", "file/out.jsonl"],
        ["import", "LOG", "-o", "folder"],
        ["audit", "LOG", "--json", "folder"],
        ["audit", "LOG", "--json", "folder", "-o", "run"],
    ],
)
def test_where_nothing_can_be_written(
    assay: Assay, log: Path, tmp_path: Path, arguments: list[str]
):
    (tmp_path / "file").write_text("a file, not a folder")
    (tmp_path / "folder").mkdir()
    before = files(tmp_path)
    ended = assay(*(str(log) if a == "LOG" else a for a in arguments))
    assert ended.code == 3
    assert ended.error == "folder: is a folder; name a file" or re.match(
        r"file/\S*: cannot be written: (Not a directory|File exists)$", ended.error
    )
    assert files(tmp_path) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_without_permission(assay: Assay, log: Path, tmp_path: Path):
    (tmp_path / "locked").mkdir(mode=0o500)
    ended = assay("audit", log, "-o", "locked/run")
    assert ended.code == 3
    assert "Permission denied" in ended.error


def test_what_a_log_says_cannot_drive_the_terminal(assay: Assay, tmp_path: Path):
    """Control characters of a foreign log are shown, not obeyed, and never break the line."""
    evil = "\\u001b[2J\\u0007\\nassay: all is well"
    path = tmp_path / "evil.jsonl"
    path.write_text(f'{{"task": "a", "messages": [{{"role": "{evil}", "content": "x"}}]}}\n')
    ended = assay("audit", path)
    assert ended.code == 3
    assert "\x1b" not in ended.err
    assert "\x07" not in ended.err
    assert "role" in ended.error


# --- real processes


CLAIMS = str(Path(__file__).parents[2] / "claims")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["credit", "LOG", "-m", "grpo", "--json", "-"],
        ["audit", "LOG", "--json", "-"],
        ["methods"],
        ["claims", "show", "dead_start", "--folder", CLAIMS],
    ],
)
def test_a_closed_pipe_is_no_error(log: Path, tmp_path: Path, arguments: list[str]):
    """`assay ... | head -1`: the reader is gone before the first byte."""
    log.write_text("\n".join([log.read_text()] * 200))  # more than a pipe holds
    arguments = [str(log) if a == "LOG" else a for a in arguments]
    read, write = os.pipe()
    command = [*MAIN, *arguments]
    with process(command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path) as writer:
        os.close(write)
        os.close(read)
        _, said = writer.communicate(timeout=120)
    assert (writer.returncode, said) == (0, b"")


SLOW = """
import sys, time
import assay.runs.audit as run_dir
def slow(*args, **options):
    print("ready", flush=True)
    time.sleep(60)
run_dir.Audit = slow
from assay.cli import main
main()
"""


def test_an_interrupt_leaves_nothing(log: Path, tmp_path: Path):
    with process(
        [sys.executable, "-c", SLOW, "audit", str(log), "-o", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as audit:
        assert audit.stdout is not None
        assert audit.stdout.readline() == b"ready\n"
        audit.send_signal(signal.SIGINT)
        out, err = audit.communicate(timeout=60)
    assert audit.returncode == 130
    assert err == b"assay: interrupted; nothing was half-written\n"
    assert out == b""
    assert files(tmp_path) == {"log.jsonl"}


EARLY = """
import sys
import termios
class Interrupted:
    def find_spec(self, name, *rest):
        if name == "numpy":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from assay.cli import main
main()
"""


def test_an_interrupt_of_the_imports_is_one_line(log: Path):
    done = subprocess.run(
        [sys.executable, "-c", EARLY, "audit", str(log)], capture_output=True, check=False
    )
    said = b"assay: interrupted; nothing was half-written\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", said)


DEAF = """
import time
import assay.batch.pieces as pieces, assay.runs.reading as reading
reading.WORTH_IT = pieces.SIZE = 1_000
def read_piece(asked, piece, *more):
    open(asked.log.path.parent / f"started-{piece.within.start}", "w").close()
    time.sleep(60)
pieces.read_piece = read_piece
from assay.cli import main
main()
"""


@pytest.mark.parametrize("tell", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_of_several_readers_is_one_line(
    assay: Assay, log: Path, tmp_path: Path, tell: signal.Signals
):
    """Ctrl-C and the end of the terminal go to every process of it; only one has something to say.
    Who asks it to end asks that one alone."""
    (tmp_path / "set").mkdir()
    (tmp_path / "temporary").mkdir()
    assay("import", log, "-o", "set/records.jsonl")
    with process(
        [sys.executable, "-c", DEAF, "audit", "set/records.jsonl", "-o", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        start_new_session=True,
    ) as audit:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "set").glob("started-*"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert list((tmp_path / "temporary").glob("assay-*"))
        (os.kill if tell == signal.SIGTERM else os.killpg)(audit.pid, tell)
        _, err = audit.communicate(timeout=60)
    assert audit.returncode == 130
    assert err == b"assay: interrupted; nothing was half-written\n"
    assert not (tmp_path / "run").exists()
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_the_real_command(log: Path, tmp_path: Path):
    """Once through a real process, for each code."""
    for arguments, code in (
        (["audit", str(log), "--json", "-"], 0),
        (["audit", str(log), "--json", "-", "--fail-on", "dead>0"], 1),
        (["audit", str(log), "--fail-on", "x"], 2),
        (["audit", "nothing"], 3),
    ):
        ended = subprocess.run(
            [*MAIN, *arguments], capture_output=True, cwd=tmp_path, timeout=60, check=False
        )
        assert ended.returncode == code
        assert (ended.stdout != b"") == (code < 2)
        assert (ended.stderr != b"") == (code > 0)


@pytest.mark.parametrize(
    "command",
    ["audit LOG --json LOG", "credit LOG -m grpo --json LOG", "import LOG -o LOG"]
    + [f"compare LOG LOG {option} LOG" for option in ("--json", "--out")],
)
def test_no_result_is_written_over_the_log(assay: Assay, log: Path, command: str):
    before = log.read_bytes()
    done = assay(*command.replace("LOG", str(log)).split())
    assert done.code == 2
    assert "is of the log and would be replaced" in done.err
    assert log.read_bytes() == before


def test_on_a_terminal_lines_end_between_words(log: Path, tmp_path: Path):
    """A path that is longer than a line stays whole; an option is not broken at its hyphens."""
    long = tmp_path / ("a-" * 60)
    shown, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    for arguments in (
        ["audit", str(log), "--fail-on", "dead>40%"],
        ["audit", str(log), "--map", "task=a", "--format", "trl"],
        ["audit", str(long)],
    ):
        subprocess.run(
            [*MAIN, *arguments], stderr=terminal, cwd=tmp_path, check=False, env=environment
        )
        said = os.read(shown, 10_000).decode()
        lines = said.splitlines()
        assert all(len(line) <= 80 or str(long) in line for line in lines)
        piped = subprocess.run([*MAIN, *arguments], capture_output=True, cwd=tmp_path, check=False)
        assert " ".join(said.split()) == " ".join(piped.stderr.decode().split())
        assert piped.stderr.count(b"\n") == 1
    os.close(terminal)
    os.close(shown)
