"""An audit of several files is the audit of what is in them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import DataError
from assay.files.shards import log_of
from assay.importers import Losses, load
from assay.records import ModelStep, Trajectory, read, write
from assay.runs.audit import audit_log


def trajectory(number: int) -> Trajectory:
    return Trajectory(
        id=f"t{number}",
        task=f"task {number % 5}",
        group=f"group {number % 5}",
        outcome=float(number % 3 == 0),
        steps=(ModelStep(text=f"said {number % 4}"),),
    )


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty trajectories of five groups, one after the other in every shard."""
    monkeypatch.chdir(tmp_path)
    for shard in range(3):
        folder = tmp_path / "logs" / f"host{shard}"
        folder.mkdir(parents=True)
        write(folder / "part.jsonl", map(trajectory, range(10 * shard, 10 * shard + 10)))
    write(tmp_path / "whole.jsonl", map(trajectory, range(30)))
    return tmp_path


def chat(path: Path, tasks: str, *, reward: float = 1.0) -> None:
    rows = [
        {
            "task": task,
            "trial": 0,
            "reward": reward,
            "messages": [
                {"role": "user", "content": "please"},
                {"role": "assistant", "content": f"text {task}"},
            ],
        }
        for task in tasks
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_groups_that_span_shards_are_complete_and_the_audit_is_that_of_one_file(logs: Path):
    whole = audit_log(logs / "whole.jsonl", out=logs / "one")
    shards = audit_log(log_of([Path("logs/**/*.jsonl")]), out=logs / "many")
    assert shards.audit == whole.audit
    assert whole.audit["groups"]["total"] == 5
    for name in ("audit.json", "decisions.jsonl", "credit/grpo.jsonl"):
        assert (logs / "one" / name).read_bytes() == (logs / "many" / name).read_bytes(), name
    said = json.loads((logs / "many" / "run.json").read_bytes())
    assert said["path"].endswith("logs/**/*.jsonl")


def test_the_order_is_that_of_the_names_or_that_in_which_they_are_asked_for(logs: Path):
    _, found = load(log_of([Path("logs/**/*.jsonl")]))
    assert [each.id for each in found] == [f"t{n}" for n in range(30)]
    _, found = load(log_of([Path("logs/host2"), Path("logs/host0/part.jsonl")]))
    assert [each.id for each in found] == [f"t{n}" for n in (*range(20, 30), *range(10))]


def test_another_format_is_read_over_shards_as_well(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, tasks in (("a.jsonl", "xy"), ("b.jsonl", "xz")):
        chat(tmp_path / name, tasks)
    run = audit_log(log_of([Path("*.jsonl")]))
    assert run.format == "chat"
    assert run.audit["trajectories"]["total"] == 4
    assert run.audit["groups"]["total"] == 3


def test_a_second_audit_of_the_same_shards_reads_nothing_and_sees_a_new_one(logs: Path):
    def look():
        found = log_of([Path("logs/**/*.jsonl")])
        return audit_log(found, out=logs / "run", reuse=True, report=False)

    look()
    assert look().again == (0, 0)
    write(logs / "logs" / "host9.jsonl", [trajectory(99)])
    assert look().audit["trajectories"]["total"] == 31


def test_several_formats_are_one_line_and_nothing_is_left(logs: Path):
    chat(logs / "logs" / "other.jsonl", "xy")
    with pytest.raises(DataError, match=r"logs/other\.jsonl: is chat, others of .* are assay"):
        audit_log(log_of([Path("logs/**/*.jsonl")]), out=logs / "run")
    assert not (logs / "run").exists()


def test_what_is_named_by_itself_is_told_of_where_it_is_no_log(logs: Path):
    (logs / "logs" / "empty.jsonl").touch()
    losses = Losses()
    _, found = load(log_of([Path("logs/**/*.jsonl")]), losses=losses)
    assert len([*found]) == 30
    assert losses.counts == {"torn_record": 1}
    assert "empty.jsonl" in losses.first["torn_record"]


def test_a_file_that_is_named_and_holds_no_json_is_refused_as_it_is_alone(logs: Path):
    (logs / "make.py").write_text("import os\n\n\ndef f(x):\n    return {x: [1]}\n")
    said = []
    for named in (["make.py"], ["logs/host0/part.jsonl", "make.py"], ["logs", "make.py"]):
        with pytest.raises(DataError) as told:
            audit_log(log_of([Path(name) for name in named]), out=logs / "run")
        said.append(str(told.value))
    assert said[0].startswith("make.py: no known log format (it holds no JSON); expected one of")
    assert len(set(said)) == 1
    _, found = load(log_of([Path("logs/host0"), Path("*.py")]))  # a pattern may match more
    assert len([*found]) == 10


def test_a_damaged_shard_is_one_line(logs: Path):
    write(logs / "logs" / "packed.jsonl.zst", map(trajectory, range(90, 99)))
    packed = bytearray((logs / "logs" / "packed.jsonl.zst").read_bytes())
    packed[20:40] = bytes(20)
    (logs / "logs" / "packed.jsonl.zst").write_bytes(packed)
    with pytest.raises(DataError, match=r"packed\.jsonl\.zst.*broken packed stream"):
        audit_log(log_of([Path("logs/**/*.jsonl*")]), out=logs / "run")
    assert not (logs / "run").exists()


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = "from assay.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words], cwd=cwd, capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_command_line_takes_a_pattern_or_several(logs: Path):
    audited = command("audit", "logs/**/*.jsonl", "--json", "-", cwd=logs)
    alone = command("audit", "whole.jsonl", "--json", "-", cwd=logs)
    assert audited.stdout == alone.stdout
    three = [f"logs/host{n}" for n in range(3)]
    assert command("audit", *three, "--json", "-", cwd=logs).stdout == alone.stdout
    credit = command("credit", "logs/**/*.jsonl", "-m", "grpo", "--json", "-", cwd=logs)
    assert (
        credit.stdout
        == command("credit", "whole.jsonl", "-m", "grpo", "--json", "-", cwd=logs).stdout
    )
    none = command("audit", "logs/**/*.csv", cwd=logs)
    assert (none.returncode, none.stdout) == (3, "")
    assert none.stderr.startswith("assay: logs/**/*.csv: no file matches")
    watch = command("audit", *three, "--watch", cwd=logs)
    assert (watch.returncode, len(watch.stderr.splitlines())) == (2, 1)
    assert [path.name for path in (logs / "logs").iterdir() if path.name.startswith(".")] == []
    assert len([*read(logs / "whole.jsonl")]) == 30
