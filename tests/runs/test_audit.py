"""A run on disk: whole or not there, replaced at once, and never instead of its own source."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

import assay.runs.audit as run_dir
from assay import __version__
from assay.batch import parallel
from assay.batch.pieces import Workers
from assay.errors import DataError, UsageError
from assay.records import ModelStep, Trajectory, read, write
from assay.report import build
from assay.runs.audit import audit_log
from assay.runs.directory import records_of
from assay.runs.reading import gated_batch
from tests.processes import process

FIXTURES = Path(__file__).parents[1] / "fixtures"
CHAT = [  # two tasks, two trials
    {
        "task": task,
        "trial": trial,
        "reward": float(trial == 0 or task == "b"),
        "messages": [
            {"role": "user", "content": "please"},
            {"role": "assistant", "content": f"text {task}{trial}"},
        ],
    }
    for task in ("a", "b")
    for trial in (0, 1)
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in CHAT))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_file_says_what_it_is(log: Path, tmp_path: Path):
    out = tmp_path / "deep" / "run"
    run = audit_log(log, out=out, report=False, seed=7, pass_at=0.5)
    assert run.folder == out
    assert run.report is None
    assert run.format == "chat"
    assert run.title == "4 trajectories in 2 groups"
    about = json.loads((out / "run.json").read_bytes())
    assert {k: about[k] for k in ("schema", "kind", "assay", "source", "format", "options")} == {
        "schema": "assay.run/1",
        "kind": "audit",
        "assay": __version__,
        "source": "log.jsonl",
        "format": "chat",
        "options": {"pass_at": 0.5, "seed": 7, "outcome": None, "group": None},
    }
    assert json.loads((out / "audit.json").read_bytes()) == json.loads(
        msgspec.json.encode(run.audit)
    )
    records = list(read(out / "trajectories.jsonl.zst"))
    assert [r.id for r in records] == ["a/0", "a/1", "b/0", "b/1"]
    decisions = lines(out / "decisions.jsonl")
    assert [d["trajectory"] for d in decisions] == ["a/0", "a/1", "b/0", "b/1"]
    for file in (out / "credit").iterdir():
        annotated = lines(file)
        assert [line["id"] for line in annotated] == ["a/0", "a/1", "b/0", "b/1"]
        assert {line["method"] for line in annotated} == {file.stem}
        assert {line["schema"] for line in annotated} == {"assay.credit/1"}
    methods = {file.stem for file in (out / "credit").iterdir()}
    assert methods == set(run.audit["recovered"])
    assert sorted(path.name for path in out.parent.iterdir()) == ["run"]


def test_the_report_is_named(log: Path, tmp_path: Path):
    run = audit_log(log, out=tmp_path / "run")
    assert run.report == tmp_path / "run" / "report.html"
    assert run.report.is_file()


def test_without_out_nothing_is_written(log: Path, tmp_path: Path):
    audit_log(log)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl"]


def test_the_same_log_leaves_the_same_bytes(log: Path, tmp_path: Path):
    for name in ("one", "two"):
        audit_log(log, out=tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) > 8
    for file in files:
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        if file.suffix == ".zst":
            one, two = (zstandard.ZstdDecompressor().stream_reader(b).readall() for b in (one, two))
        assert one == two, file


def test_a_run_replaces_a_run_at_once(log: Path, tmp_path: Path):
    out = tmp_path / "run"
    audit_log(log, out=out, report=False)
    (out / "credit" / "left_over.jsonl").write_text("from an older version")
    audit_log(log, out=out, report=False, seed=1)
    assert not (out / "credit" / "left_over.jsonl").exists()
    assert json.loads((out / "run.json").read_bytes())["options"]["seed"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "run"]


def test_what_the_user_put_beside_a_run_stays(log: Path, tmp_path: Path):
    out = tmp_path / "run"
    audit_log(log, out=out)
    (out / "notes.md").write_text("mine")
    (out / "credit" / "old.jsonl").touch()  # of a method that is not computed any more
    audit_log(log, out=out)
    assert (out / "notes.md").read_text() == "mine"
    assert not (out / "credit" / "old.jsonl").exists()


def test_a_failed_run_leaves_the_old_one(log: Path, tmp_path: Path):
    out = tmp_path / "run"
    audit_log(log, out=out, report=False)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    log.write_text(log.read_text() + '{"task": "c", "reward": "no number", "messages": []}\n')
    with pytest.raises(DataError, match="line 5"):
        audit_log(log, out=out, report=False)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "run"]
    with pytest.raises(DataError):
        audit_log(log, out=tmp_path / "new", report=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_stopped_between_the_two_renames_the_old_one_comes_back(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
):
    out = tmp_path / "run"
    audit_log(log, out=out, report=False)
    rename = Path.replace

    def stopped(self: Path, target: Path) -> Path:
        if ".tmp-" in self.name and target == out:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(error):
        audit_log(log, out=out, report=False, seed=1)
    assert json.loads((out / "run.json").read_bytes())["options"]["seed"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "run"]


def test_what_a_killed_process_left_is_swept(log: Path, tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    out = tmp_path / "run"
    dead = tmp_path / f".run.tmp-{gone.pid}"
    alive = tmp_path / f".run.tmp-{os.getppid()}"
    other = tmp_path / f".run2.tmp-{gone.pid}"
    odd = tmp_path / ".run.tmp-mine"
    for folder in (dead, alive, other, odd):
        folder.mkdir()
    audit_log(log, out=out, report=False)
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()
    assert odd.exists()


def test_a_run_that_a_killed_process_moved_aside_comes_back(log: Path, tmp_path: Path):
    out = tmp_path / "run"
    audit_log(log, out=out, report=False)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    out.replace(tmp_path / f".run.old-{gone.pid}")
    log.write_text("nonsense")
    with pytest.raises(DataError):
        audit_log(log, out=out, report=False)
    assert (out / "audit.json").is_file()


@pytest.mark.parametrize(
    "make",
    [
        lambda out: out.write_text("a file"),
        lambda out: (out.mkdir(), (out / "mine.txt").write_text("mine")),
        lambda out: (out.mkdir(), (out / "run.json").write_text("not json")),
        lambda out: (out.mkdir(), (out / "run.json").write_text('{"kind": "audit"}')),
        lambda out: (
            out.mkdir(),
            (out / "run.json").write_text('{"schema": "assay.run/1", "kind": "train"}'),
        ),
    ],
    ids=["file", "folder", "no json", "foreign run.json", "training run"],
)
def test_nothing_but_an_audit_is_replaced(log: Path, tmp_path: Path, make: Any):
    out = tmp_path / "precious"
    make(out)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="precious: exists"):
        audit_log(log, out=out, report=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(log: Path, tmp_path: Path):
    (tmp_path / "run").mkdir()
    audit_log(log, out=tmp_path / "run", report=False)
    assert (tmp_path / "run" / "audit.json").is_file()


def test_the_folder_one_stands_in_is_not_replaced(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    with pytest.raises(UsageError, match="the current folder is in it; choose another --out"):
        audit_log(log, out=Path("."), report=False)
    audit_log(log, out=Path("run"), report=False)
    monkeypatch.chdir(tmp_path / "here" / "below" / "run")
    with pytest.raises(UsageError, match="the current folder is in it"):
        audit_log(log, out=tmp_path / "here" / "below" / "run", report=False)
    assert Path("run.json").is_file()


def test_a_run_never_replaces_its_own_source(log: Path, tmp_path: Path):
    out = tmp_path / "run"
    audit_log(log, out=out, report=False)
    for source in (out, out / "trajectories.jsonl.zst", tmp_path / "." / "run"):
        with pytest.raises(UsageError, match="holds the log"):
            audit_log(source, out=out, report=False)
    assert (out / "trajectories.jsonl.zst").is_file()


def test_a_run_directory_can_be_audited_again(log: Path, tmp_path: Path):
    first = audit_log(log, out=tmp_path / "run", report=False)
    again = audit_log(tmp_path / "run")
    assert again.format == "assay"
    for key in first.audit:
        if key != "losses":
            assert again.audit[key] == first.audit[key], key
    assert gated_batch(tmp_path / "run")[0].ids == ("a/0", "a/1", "b/0", "b/1")
    assert records_of(log) == log
    (tmp_path / "run" / "trajectories.jsonl.zst").unlink()
    with pytest.raises(DataError, match=f"holds no records, its log does; give that log, {log}"):
        audit_log(tmp_path / "run")


def test_records_are_not_copied(tmp_path: Path):
    records = tmp_path / "records.jsonl"
    write(records, [Trajectory(id="a", task="t", group="t", steps=(ModelStep(text="x"),))])
    audit_log(records, out=tmp_path / "run", report=False)
    assert not (tmp_path / "run" / "trajectories.jsonl.zst").exists()


def test_a_mixed_log_is_measured_in_characters_and_copied_whole(tmp_path: Path):
    from assay.importers import Losses

    records = [
        Trajectory(id=name, task="t", group="t", outcome=1.0, steps=(step,))
        for name, step in (
            ("a", ModelStep(text="ab", token_ids=(1, 2, 3))),
            ("b", ModelStep(text="cdef")),
            ("a", ModelStep(text="g")),
        )
    ]
    write(tmp_path / "records.jsonl", records)
    batch, decisions, name = gated_batch(tmp_path / "records.jsonl")
    assert (batch.measure, name, len(decisions)) == ("characters", "assay", 3)
    assert batch.length_R.tolist() == [2, 4, 1]
    # counted once, although the log was read twice and the first time not to its end
    losses = Losses()
    gated_batch(tmp_path / "records.jsonl", losses=losses)
    assert losses.counts == {"repeated_id": 1, "tokens_of_some": 1}


@pytest.mark.parametrize(
    ("has", "says"),
    [
        ((1, 0, 1, 0), "2 of 4 trajectories have no token ids: they can be audited and credited, "),
        ((1, 1, 0), "1 of 3 trajectories has no token ids: it can be audited and credited, "),
        ((0, 0, 0), "no token ids: this set can be audited and credited, not trained on"),
        ((1, 1), ""),
        ((2, 1), "some turns have no token ids: lengths are in characters; an export has the "),
    ],
)
def test_a_log_says_how_many_trajectories_have_no_token_ids(tmp_path: Path, has, says: str):
    """0: no turn has ids, 1: its turn has, 2: one of two turns has."""
    bare, known = ModelStep(text="x"), ModelStep(text="x", token_ids=(1,))
    turns = ((bare,), (known,), (known, bare))
    records = [
        Trajectory(id=f"t{n}", task="t", group="t", outcome=1.0, steps=turns[each])
        for n, each in enumerate(has)
    ]
    write(tmp_path / "records.jsonl", records)
    for _ in range(2):  # again, with what the first audit left
        run = audit_log(tmp_path / "records.jsonl", out=tmp_path / "run", report=False, reuse=True)
        said = [text for text in run.audit["trust"]["warnings"] if "token ids" in text]
        assert [text.startswith(says) for text in said] == [True] * bool(says)
        assert all("others" in text for text in said if "this set" not in text)


def test_a_mixed_log_of_another_format_leaves_records_that_can_be_read(tmp_path: Path):
    """The copy that was begun before the mixture was seen is not written over the whole one."""
    first = json.loads((FIXTURES / "verifiers" / "traces.jsonl").read_text().splitlines()[0])
    rows = [first]
    for number in range(30):
        bare = json.loads(json.dumps(first))
        bare["id"] = f"bare {number}"
        for trace in bare["traces"]:
            trace["id"] = f"{number}{trace['id']}"
            for node in trace["nodes"]:
                node["token_ids"], node["mask"], node["logprobs"] = [], [], []
        rows.append(bare)
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = audit_log(log, out=tmp_path / "run", report=False)
    records = list(read(tmp_path / "run" / "trajectories.jsonl.zst"))
    assert len(records) == run.audit["trajectories"]["total"] > 30


def test_how_a_file_is_read_changes_no_id(tmp_path: Path):
    """Several processes cannot see each other's ids; one reader tells copies apart."""
    from assay.importers import Losses

    step = ModelStep(text="x")
    records = [
        Trajectory(id=name, task="t", group="t", outcome=1.0, steps=(step,)) for name in "abcdca"
    ]
    write(tmp_path / "records.jsonl", records)
    expected = ("a", "b", "c", "d", "c~2", "a~2")
    for processes in (1, 2, 3):
        by = partial(Workers, processes)
        losses = Losses()
        log = tmp_path / "records.jsonl"
        assert gated_batch(log, losses=losses, by=lambda _, by=by: by())[0].ids == expected
        assert losses.counts == {"repeated_id": 2}


def test_a_log_that_is_not_there_is_said_before_where_the_run_would_go(tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    for out in (tmp_path / "none", tmp_path, tmp_path / "full", None):
        with pytest.raises(DataError, match=r"none: no such file$"):
            audit_log(tmp_path / "none", out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_run_under_a_link_replaces_what_the_link_names(log: Path, tmp_path: Path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "disk" / "run")  # first nothing is there, then an audit
    for seed in (1, 2):
        audit_log(log, out=link, report=False, seed=seed)
        assert link.is_symlink()
        assert json.loads((tmp_path / "disk/run/run.json").read_bytes())["options"]["seed"] == seed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "log.jsonl", "run"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["run"]


def test_a_run_that_cannot_be_written_names_where_it_was_to_be(log: Path, tmp_path: Path):
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(DataError, match=r"file/run: cannot be written: (File exists|Not a dir)"):
        audit_log(log, out=tmp_path / "file" / "run", report=False)


def test_a_log_without_a_trajectory_is_an_error(tmp_path: Path):
    (tmp_path / "log.json").write_text("[]")
    with pytest.raises(DataError, match=r"log\.json"):
        audit_log(tmp_path / "log.json", format="tau_bench")


SLOW = """
import sys, time
from pathlib import Path
import assay.runs.audit as run_dir
stage = run_dir.credits_in_blocks
def slow(*args, **options):
    print("ready", flush=True)
    time.sleep(60)
    return stage(*args, **options)
run_dir.credits_in_blocks = slow
run_dir.audit_log(Path(sys.argv[1]), out=Path(sys.argv[2]), report=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killed_in_the_middle(log: Path, tmp_path: Path, number: signal.Signals):
    out = tmp_path / "run"
    audit_log(log, out=out, report=False)
    command = [sys.executable, "-c", SLOW, str(log), str(out)]
    with process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as audit:
        assert audit.stdout is not None
        assert audit.stdout.readline() == b"ready\n"
        audit.send_signal(number)
        audit.wait(timeout=30)
    assert json.loads((out / "run.json").read_bytes())["kind"] == "audit"
    left = sorted(path.name for path in tmp_path.iterdir())
    if number == signal.SIGINT:
        assert left == ["log.jsonl", "run"]
    audit_log(log, out=out, report=False)  # what a SIGKILL left is swept by the next run
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "run"]


@pytest.mark.slow
def test_readers_see_the_old_or_the_new_and_nothing_between(log: Path, tmp_path: Path):
    """While runs replace each other, a reader finds all files or, for an instant, no folder."""
    out = tmp_path / "run"
    audit_log(log, out=out, report=False)
    program = (
        "import sys; from pathlib import Path; from assay.runs.audit import audit_log\n"
        "for seed in range(6):\n"
        "    audit_log(Path(sys.argv[1]), out=Path(sys.argv[2]), report=False, seed=seed)\n"
    )
    seen = set()
    with process([sys.executable, "-c", program, str(log), str(out)]) as audits:
        while audits.poll() is None:
            try:
                seen.add(frozenset(os.listdir(out)))
            except FileNotFoundError:
                continue
            time.sleep(0.0005)
    assert audits.returncode == 0
    whole = {"audit.json", "credit", "decisions.jsonl", "run.json", "trajectories.jsonl.zst"}
    assert seen == {frozenset(whole)}
    assert run_dir.SCHEMA == "assay.run/1"


def test_records_of_one_id_are_told_apart_in_the_report_too(tmp_path: Path):
    log, step = tmp_path / "log.jsonl", ModelStep(text="a")
    write(log, [Trajectory(id="same", task="t", group="g", steps=(step,), outcome=1.0)] * 2)
    run = audit_log(log, out=tmp_path / "run")
    twin = json.loads((tmp_path / "run" / "report.json").read_bytes())
    assert twin["trajectories"]["id"] == ["same", "same~2"]
    assert run.audit["losses"]["repeated_id"] == 1


def test_a_run_does_not_depend_on_the_number_of_processes(tmp_path: Path, monkeypatch):
    log = tmp_path / "log.jsonl"
    write(log, map(_of_many, range(40)))
    folders: list[dict[str, bytes]] = []
    for worth in (1, 1000):  # trajectories that a process must have
        monkeypatch.setattr(run_dir, "_WORTH_IT", worth)
        monkeypatch.setattr(build, "_WORTH_IT", worth)
        monkeypatch.setattr(parallel.os, "cpu_count", lambda: 3)
        out = tmp_path / str(worth)
        audit_log(log, out=out)
        files = sorted(path for path in out.rglob("*") if path.is_file())
        folders.append({str(path.relative_to(out)): path.read_bytes() for path in files})
    assert folders[0] == folders[1]


def _of_many(number: int) -> Trajectory:
    """Trials of ten tasks, interleaved; they share their first text and not their last."""
    task, steps = f"t{number % 10}", (ModelStep(text="look"), ModelStep(text=f"say {number % 7}"))
    outcome = float(number % 3 == 0)
    return Trajectory(id=f"a{number}", task=task, group=task, outcome=outcome, steps=steps)
