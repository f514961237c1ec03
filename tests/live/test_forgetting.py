"""To forget a session reaches what verbs made of its store: by a search over every byte."""

import json
import shutil
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Timer

import pytest
import zstandard
from msgspec import structs

from assay.errors import DataError
from assay.files.event_log import EventLog
from assay.files.folders import locked, removed
from assay.files.lines import lines
from assay.files.packed import is_packed
from assay.files.written import marks
from assay.live import reaching
from assay.live.store import Store
from assay.records import read
from assay.records.live import Derived, Event, Made, NextState, TurnLabel
from assay.skills import store as banks
from assay.skills.bank import Bank
from tests.live.conftest import opened, turn
from tests.skills.test_bank import skill

PHRASE = "the heron of Xanadu"
OTHER = "a perfectly plain request"


def said(session: str, text: str, user: str = "u") -> list[Event]:
    """A session whose failure and success can teach a skill: text everywhere."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "look", "arguments": f'["{text}"]'},
    }
    return [
        opened(session, user=user),
        turn(
            f"{session}-1", session, messages=({"role": "user", "content": text},),
            answer={"role": "assistant", "content": text, "tool_calls": [call]},
        ),
        NextState(session=session, at=11.0, turn=f"{session}-1", role="tool", text=text),
        turn(
            f"{session}-2", session, index=1, after=f"{session}-1",
            messages=({"role": "tool", "tool_call_id": "c1", "content": text},),
            answer={"role": "assistant", "content": f"done: {text}"}, shared=6,
        ),
        TurnLabel(session=session, at=12.0, value=1.0, source="check", evidence="E3", reason=text),
    ]  # fmt: skip


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "live") as store:
        for name, text in (("gone", PHRASE), ("stays", OTHER)):
            store.append(*said(name, text), durable=True).result(timeout=30)
    return tmp_path / "live"


def holding(folder: Path, text: str = PHRASE) -> list[str]:
    """Names of the files below a folder with a text in them, packed or not."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if data.startswith(b"\x28\xb5\x2f\xfd"):
                data += zstandard.ZstdDecompressor().decompressobj().decompress(data)
            if text.encode() in data:
                found.append(path.relative_to(folder).as_posix())
    return found


def ids(path: Path) -> list[str]:
    with lines(path) as numbered:
        return [json.loads(line)["id"] for _, line in numbered]


def test_no_byte_is_left_of_what_verbs_made(lived, tmp_path, assay):
    for words in (
        ("audit", lived, "-o", "run"),
        ("audit", lived, "--json", "audit.json"),
        ("import", lived, "-o", "plain.jsonl"),
        ("import", lived, "-o", "packed.jsonl.zst"),
        ("credit", lived, "-m", "grpo", "-m", "nsr", "-o", "credit"),
        ("credit", lived, "-m", "grpo", "--json", "one.jsonl"),
        ("skills", "build", lived, "-o", "bank", "--active"),
        ("skills", "build", lived, "-o", "raw", "--how", "raw"),
        ("label", lived, "--judge", "echo 1", "-o", "said.labels.jsonl"),
        ("label", lived, "--template", "table.csv"),
        ("export", lived, "--to", "verifiers", "-m", "grpo", "-o", "traces"),
    ):
        made = assay(*words)
        assert made.code == 0, (words, made.err)
    before = holding(tmp_path)
    assert {each.partition("/")[0] for each in before} >= {
        "live", "run", "plain.jsonl", "packed.jsonl.zst", "bank", "raw", "traces"
    }  # fmt: skip
    ended = assay("live", "forget", "gone", "--store", lived)
    assert ended.code == 0, ended.err
    assert holding(tmp_path) == []
    assert is_packed(Path("packed.jsonl.zst")), "as it was"
    assert ids(Path("plain.jsonl")) == ids(Path("packed.jsonl.zst")) == ["stays"]
    assert [each.id for each in read("packed.jsonl.zst")] == ["stays"]
    assert ids(Path("credit/grpo.jsonl")) == ids(Path("said.labels.jsonl")) == ["stays"]
    assert not Path("run").exists()
    assert not Path("traces").exists()
    assert not Path("audit.json").exists()
    assert holding(tmp_path, OTHER), "what others said is left"
    for name in ("plain.jsonl: its part went", "run: deleted", "bank: its part went"):
        assert name in ended.text
    with Store.open(lived, write=False) as store:
        known = [e for _, e in store.events("derived") if isinstance(e, Derived)]
    assert all("gone" not in each.sessions for each in known)


def test_a_bank_goes_on_without_the_text_of_skills(lived, tmp_path, assay):
    for words in (("--how", "raw"), ("--active",), ()):
        assert assay("skills", "build", lived, "-o", "bank", *words).code == 0
    bank = Path("bank")
    old, names = banks.opened(bank), banks.names(bank)
    resting = {s.id for s in old.skills if any(e.trajectory == "gone" for e in s.evidence)}
    assert resting
    assert assay("live", "forget", "gone", "--store", lived).code == 0
    assert holding(bank) == []
    now = banks.opened(bank)
    assert (now.version, now.generation) == (old.version + 1, old.generation + 1)
    assert now.parent == banks.opened(bank, old.version).sha256
    for each in now.skills:
        rests = {e.trajectory for e in each.evidence}
        assert "gone" not in rests
        if each.id in resting:
            assert (each.status, each.why, each.principle) == ("retired", "forgotten", "")
        else:
            assert each == old.get(each.id)
    assert banks.names(bank).items() >= names.items(), "rollouts that read it are still known"
    assert banks.opened(bank, 2).parent == banks.opened(bank, 1).sha256
    assert assay("skills", "build", lived, "-o", "bank", "--active").code == 0
    assert {s.id for s in banks.opened(bank).active}.isdisjoint(resting)


def test_what_a_killed_verb_left_half_is_reached(lived, tmp_path, assay, monkeypatch):
    def half(rows):
        for row in rows:
            with Store.open(lived, write=False) as store:
                known = [e.path for _, e in store.events("derived") if isinstance(e, Derived)]
            assert known == [str(tmp_path / "out.jsonl")], "known before a byte of it is written"
            yield row

    from assay.cli import import_

    write = import_.write
    monkeypatch.setattr(import_, "write", lambda path, rows: write(path, half(rows)))
    assert assay("import", lived, "-o", "out.jsonl").code == 0
    Path("out.jsonl").rename(".out.jsonl.tmp-999999999")
    folder = tmp_path / ".out.jsonl.tmp-999999998"
    folder.mkdir()
    (folder / "half").write_text(PHRASE)
    assert assay("live", "forget", "gone", "--store", lived).code == 0
    assert holding(tmp_path) == []
    assert not folder.exists()


def test_a_session_forgotten_while_a_verb_is_at_work_is_not_in_what_it_leaves(
    lived, tmp_path, assay, monkeypatch
):
    from assay.cli import credit, import_

    def forgets():
        with Store.open(lived) as store:
            store.forget("gone", at=1e12)

    write, spooled = import_.write, credit._possible

    def after(rows):
        yield from rows
        forgets()

    monkeypatch.setattr(import_, "write", lambda path, rows: write(path, after(rows)))
    made = assay("import", lived, "-o", "out.jsonl")
    assert made.code == 3
    assert "was forgotten while this was made" in made.error
    assert not Path("out.jsonl").exists()
    assert holding(tmp_path) == []
    with Store.open(lived) as store:
        store.append(*said("more", PHRASE), durable=True).result(timeout=30)

    def possible(*given, **more):
        with Store.open(lived) as store:
            store.forget("more", at=1e12)
        return spooled(*given, **more)

    monkeypatch.setattr(credit, "_possible", possible)
    made = assay("credit", lived, "-m", "grpo", "-o", "credit")
    assert made.code == 3
    assert "forgotten while it was read" in made.error
    assert not Path("credit").exists()


@pytest.mark.parametrize(
    "words",
    [("export", "--to", "otel", "-o", "x.jsonl"), ("export", "--to", "atif", "-o", "x.jsonl"),
     ("status", "--page", "page.html")],
    ids=["otel", "atif", "page"],
)  # fmt: skip
@pytest.mark.parametrize("when", ["read", "moved"])
def test_what_is_written_of_a_store_itself_goes_where_somebody_is_forgotten(
    lived, tmp_path, assay, monkeypatch, words, when
):
    plain, last, done = Path.replace, EventLog.last, list[int]()

    def forgets():
        if not done:
            done.append(1)
            with Store.open(lived) as store:
                store.forget("gone", at=1e12)

    def moves(self, target):
        if ".tmp-" in self.name:
            forgets()
        return plain(self, target)

    def ends(self):
        found = last(self)
        forgets()
        return found

    name = "replace" if when == "moved" else "last"
    monkeypatch.setattr(*((Path, name, moves) if when == "moved" else (EventLog, name, ends)))
    verb, *more = words
    made = assay("live", verb, lived, *more)
    monkeypatch.undo()
    assert (made.code, done) == (3, [1]), made.err
    assert "forgotten" in made.error
    assert holding(tmp_path) == []
    assert {each.name for each in tmp_path.iterdir()} == {"live"}


def test_a_store_that_cannot_be_written_is_told_of_in_one_line(lived, assay, monkeypatch):
    def read_only(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(EventLog, "append", read_only)
    made = assay("credit", lived, "-m", "grpo", "-m", "nsr", "-o", "credit")
    assert made.code == 0
    assert "assay live forget will not reach what this command leaves" in made.error
    assert Path("credit/nsr.jsonl").exists()


def test_what_was_moved_is_named_and_reached_when_it_is_back(lived, tmp_path, assay):
    """A file, where a kill left half of a later one; and all that is in a folder."""
    assert assay("import", lived, "-o", "out.jsonl").code == 0
    assert assay("audit", lived, "-o", "run").code == 0
    Path("out.jsonl").rename("moved.jsonl")
    Path(".out.jsonl.tmp-999999999").write_text(PHRASE)
    Path("run").rename("away")
    Path("run").mkdir()
    ended = assay("live", "forget", "gone", "--store", lived)
    assert ended.code == 0
    for name in ("out.jsonl", "run"):
        assert f"{tmp_path / name}: not there; if you moved it" in ended.text
    Path("moved.jsonl").rename("out.jsonl")
    Path("away").rename("run")
    ended = assay("live", "forget", "gone", "--store", lived)
    assert "out.jsonl: its part went" in ended.text
    assert "run: deleted" in ended.text
    assert holding(tmp_path) == []
    assert assay("live", "forget", "never", "--store", lived).code == 2


def test_a_path_that_is_no_utf_8_is_told_of_in_one_line(lived, assay):
    for code, words in ((3, ("live", "export", "--to", "atif")), (0, ("import",))):
        made = assay(*words, lived, "-o", "x\udcff.jsonl")
        assert made.code == code
        assert f"{lived / 'store.sqlite'}: cannot hold a path that is no UTF-8; " in made.error
        assert Path("x\udcff.jsonl").exists() == (code == 0)


def test_a_second_audit_tells_the_store_nothing_new(lived, assay):
    for _ in range(3):
        assert assay("audit", lived, "-o", "run").code == 0
    with Store.open(lived) as store:
        assert store.counts()["derived"] == 1
        store.append(*said("new", OTHER), durable=True).result(timeout=30)
        assert assay("audit", lived, "-o", "run").code == 0
        told = [e.sessions for _, e in store.events("derived") if isinstance(e, Derived)]
    assert told == [("gone", "stays"), ("new",)], "each name once"


def test_files_of_others_in_an_audit_s_folder_stay(lived, assay):
    assert assay("audit", lived, "-o", "run").code == 0
    Path("run/notes.txt").write_text("mine")
    assert assay("live", "forget", "gone", "--store", lived).code == 0
    assert [each.name for each in Path("run").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("name", "of"),
    [("s", True), ("s#1", True), ("s~2", True), ("s#1~2", True), ("s1", False), ("s#", False),
     ("S", False), (None, False), (1, False)],
)  # fmt: skip
def test_whose_a_name_is(name, of):
    assert reaching.belongs("s")(name) is of
    assert not reaching.belongs("a.c")("abc")


def derived(store, path, how="whole"):
    event = Derived(at=1.0, path=str(path), sessions=("gone",), how=how)
    store.append(event, durable=True).result(timeout=30)


def test_where_the_disk_is_full_others_lines_stay(lived, tmp_path, monkeypatch):
    labels = tmp_path / "x.labels.jsonl"
    labels.write_text('{"id": "gone"}\n{"id": "x", "value": NaN}\n')

    @contextmanager
    def full(path, **_):
        raise DataError(f"{path}: cannot be written: No space left on device")
        yield

    with Store.open(lived) as store:
        derived(store, labels, "lines")
        with monkeypatch.context() as broken:
            broken.setattr(reaching, "published", full)
            made = store.forget("gone", at=20.0)
        assert made.failed == [f"{labels}: cannot be written: No space left on device"]
        assert "NaN" in labels.read_text()
        assert store.forget("gone", at=21.0).rewritten == [str(labels)], "once there is room"
    assert labels.read_text() == '{"id": "x", "value": NaN}\n'


def test_what_others_put_where_a_command_wrote_is_never_touched(lived, tmp_path, assay):
    for words in (
        ("audit", lived, "--json", "audit.json"), ("audit", lived, "-o", "run"),
        ("audit", lived, "-o", "again"), ("import", lived, "-o", "p.jsonl"),
        ("export", lived, "-m", "grpo", "--to", "trl", "-o", "exp"),
        ("credit", lived, "-m", "grpo", "-m", "nsr", "-o", "credit"),
    ):  # fmt: skip
        assert assay(*words).code == 0
    mine = {
        "audit.json": '{"my": "thesis"}', "p.jsonl": '{"id": "gone", "x": 1}\n{"id": "b",  torn\n',
        "run/run.json": '{"mine": 1}', "run/data.bin": "mine", "exp/src/app.js": "mine",
        "exp/manifest.json": '{"name": "my web app"}', "credit/nsr.jsonl": "edited",
    }  # fmt: skip
    for name in ("audit.json", "p.jsonl", "run", "exp", "credit/nsr.jsonl"):
        removed(tmp_path / name)
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for _ in range(2):
        ended = assay("live", "forget", "gone", "--store", lived)
        assert ended.code == 3
        for name in ("audit.json", "p.jsonl", "run/run.json", "exp/manifest.json"):
            assert f"{tmp_path / name}: is not what was written there" in ended.error
        assert "/again" not in ended.error
        assert {name: (tmp_path / name).read_text() for name in mine} == mine
    assert not (tmp_path / "again").exists()
    assert ids(tmp_path / "credit" / "grpo.jsonl") == ["stays"]


def test_what_was_reached_is_not_asked_for_again(lived, tmp_path, assay):
    assert assay("audit", lived, "-o", "run").code == 0
    with Store.open(lived) as store:
        store.append(*said("new", OTHER), durable=True).result(timeout=30)
    for name in ("run", "rows.jsonl"):
        verb = "audit" if name == "run" else "import"
        assert assay(verb, lived, "-o", name).code == 0
    assert "run: deleted" in assay("live", "forget", "gone", "--store", lived).text
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"kind":"audit"}')
    again = assay("live", "forget", "gone", "--store", lived)
    assert (again.code, "reached" in again.text) == (0, False)
    ended = assay("live", "forget", "new", "--store", lived)
    assert (ended.code, "rows.jsonl: its part went" in ended.text) == (0, True)
    assert "run" not in ended.text.split()
    assert (tmp_path / "run" / "run.json").exists()
    assert ids(tmp_path / "rows.jsonl") == ["stays"]


def test_where_a_command_failed_nothing_is_looked_for(lived, tmp_path, assay, monkeypatch):
    from assay.cli import import_

    def broken(rows):
        yield next(iter(rows))
        raise DataError("torn")

    write = import_.write
    monkeypatch.setattr(import_, "write", lambda path, rows: write(path, broken(rows)))
    assert assay("import", lived, "-o", "e1").code == 3
    with Store.open(lived) as store:
        assert str(tmp_path / "e1") in {e.path for _, e in store.events("derived")}
    for name in ("gone", "stays"):
        ended = assay("live", "forget", name, "--store", lived)
        assert (ended.code, "e1" in ended.text) == (0, False)


def test_a_kill_between_what_is_noted_and_what_is_moved_loses_neither(
    lived, tmp_path, assay, monkeypatch
):
    """What was there before is still known; the new one is swept."""
    assert assay("import", lived, "-o", "p.jsonl").code == 0
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", lambda *_: 1 / 0)
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(ZeroDivisionError):
            assay("import", lived, "-o", "p.jsonl")
    (left,) = tmp_path.glob(".p.jsonl.tmp-*")
    left.rename(tmp_path / ".p.jsonl.tmp-999999999")
    ended = assay("live", "forget", "gone", "--store", lived)
    assert (ended.code, "p.jsonl: its part went" in ended.text) == (0, True)
    assert holding(tmp_path) == []


def test_a_manifest_names_nothing_outside_of_its_folder(lived, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine.txt"
    (out / "sub").mkdir(parents=True)
    for path in (mine, out / "rows.jsonl", out / "sub" / "more.jsonl", out / "notes.txt"):
        path.write_text(PHRASE if path.suffix == ".jsonl" else "mine")
    files = ["rows.jsonl", "sub/more.jsonl", "../mine.txt", str(mine)]
    (out / "manifest.json").write_text(json.dumps({"schema": "assay.export/1", "files": files}))
    run, whole = tmp_path / "run", tmp_path / "whole"
    run.mkdir()
    whole.mkdir()
    (whole / "manifest.json").write_text('{"schema": "assay.export/1", "files": []}')
    (run / "run.json").write_text('{"kind":"train"}')
    with Store.open(lived) as store:
        derived(store, out)
        derived(store, whole)
        derived(store, run)
        made = store.forget("gone", at=20.0)
    assert mine.read_text() == "mine"
    assert {each.name for each in out.iterdir()} == {"notes.txt", "sub"}
    assert [*(out / "sub").iterdir()] == []
    assert (made.deleted, len(made.failed)) == ([str(out), str(whole)], 1)
    assert not whole.exists(), "nothing is left in it"
    assert "a training run that read it" in made.failed[0]
    assert run.exists()


def test_a_bank_that_is_being_written_is_waited_for(lived, tmp_path, assay, monkeypatch):
    assert assay("skills", "build", lived, "-o", "bank").code == 0
    with Store.open(lived) as store:
        with monkeypatch.context() as short, locked(Path("bank/LOCK"), "busy"):
            short.setattr(reaching, "WAIT", 0.0)
            (failed,) = store.forget("gone", at=20.0).failed
        assert "another process writes this bank" in failed
        with ExitStack() as held:
            held.enter_context(locked(Path("bank/LOCK"), "busy"))
            Timer(0.3, held.pop_all().close).start()  # within the ten seconds that it gets
            assert store.forget("gone", at=21.0).rewritten == [str(tmp_path / "bank")]
    assert holding(tmp_path / "bank") == []


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("killed", ["at the version", "at the pointer"])
def test_of_a_bank_that_a_kill_left_half_nothing_is_left(
    lived, tmp_path, assay, monkeypatch, first, killed
):
    bank = tmp_path / "bank"
    if not first:
        banks.save(bank, Bank().merged([skill("mine")]))
    with monkeypatch.context() as broken:
        plain = Path.replace

        def dies(self, target):
            if killed == "at the version" or self.name.startswith(".bank.json"):
                raise ZeroDivisionError
            return plain(self, target)

        broken.setattr(Path, "replace", dies)
        broken.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(ZeroDivisionError):
            assay("skills", "build", lived, "-o", "bank", "--how", "raw", "--active")
    assert [each for each in holding(tmp_path) if each.startswith("bank")]
    ended = assay("live", "forget", "gone", "--store", lived)
    assert ended.code == 0, ended.err
    assert holding(tmp_path) == []
    assert first or banks.opened(bank).skills == (skill("mine"),)


def test_lines_that_do_not_say_whose_they_are_go_with_their_file(lived, tmp_path):
    with Store.open(lived) as store:
        for name, text in (("a.jsonl", '{"group": "g"}\n'), ("b.jsonl.zst", "cut short")):
            (tmp_path / name).write_text(text)
            event = Derived(at=1.0, path=str(tmp_path / name), sessions=("gone",), how="lines")
            store.append(event, durable=True).result(timeout=30)
        mine = tmp_path / "mine.jsonl"
        mine.write_text('{"id": "gone"}\n{"id": "x", "session": "gone"}\n{"trajectory": "y"}\n')
        mine.chmod(0o600)
        event = Derived(at=1.0, path=str(mine), sessions=("gone",), how="lines")
        store.append(event, durable=True).result(timeout=30)
        made = store.forget("gone", at=20.0)
    assert sorted(Path(each).name for each in made.deleted) == ["a.jsonl"]
    assert mine.read_text() == '{"trajectory": "y"}\n'
    assert mine.stat().st_mode & 0o777 == 0o600


def test_an_audit_beside_a_gateway_loses_no_acknowledged_turn(lived, assay):
    """The audit's process opens the store to read, by its bytes, and to write, and closes it."""
    with Store.open(lived) as store:
        for at in range(3):
            store.append(turn(f"t-{at}", "stays"), durable=True).result(timeout=30)
            process = assay_process(lived, f"run{at}")
            assert process.returncode == 0, process.stderr
            store.append(turn(f"u-{at}", "stays"), durable=True).result(timeout=30)
        count = len([*store.events()])
        with closing(sqlite3.connect(store.path)) as other:
            assert other.execute("SELECT COUNT(*) FROM events").fetchone() == (count,)
    with Store.open(lived, write=False) as again:
        assert {f"{k}-{n}" for k in "tu" for n in range(3)} <= {t.turn.id for t in again.turns()}


def assay_process(store: Path, out: str):
    import subprocess
    import sys

    return subprocess.run(
        [sys.executable, "-m", "assay", "audit", str(store), "-o", out, "--no-report"],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_an_export_in_the_place_of_another_is_reached(lived: Path, assay, tmp_path: Path):
    for to in ("trl", "slime"):
        assert assay("export", lived, "-m", "reinforce", "--to", to, "-o", "out").code == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert assay("live", "forget", "gone", "--store", lived).code == 0
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("manifest", ['{"name": "my web app"}', '{"files": ["app.js"]}', "{"])
def test_a_project_where_a_bank_was_stays(lived: Path, assay, tmp_path: Path, manifest: str):
    assert assay("skills", "build", lived, "-o", "bank").code == 0
    shutil.rmtree(tmp_path / "bank")
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "manifest.json").write_text(manifest)
    (tmp_path / "bank" / "app.js").write_text("mine")
    ended = assay("live", "forget", "gone", "--store", lived)
    assert ended.code == 3
    assert "does not say what Assay wrote in it" in ended.err
    assert (tmp_path / "bank" / "app.js").read_text() == "mine"


def test_a_file_where_a_bank_was_stays(lived: Path, assay, tmp_path: Path):
    assert assay("skills", "build", lived, "-o", "bank").code == 0
    shutil.rmtree(tmp_path / "bank")
    (tmp_path / "bank").write_text("mine")
    assert assay("live", "forget", "gone", "--store", lived).code == 3
    assert (tmp_path / "bank").read_text() == "mine"


def test_a_file_that_went_is_noted_at_once(tmp_path: Path):
    """A kill before all is settled finds it noted: what somebody puts there then is his."""
    (tmp_path / "a.json").write_text(PHRASE)
    known, noted = Made(at=1.0, path="", files=marks(tmp_path / "a.json")), list[Made]()
    file = Derived(at=1.0, path=str(tmp_path / "a.json"), sessions=("gone",))
    assert reaching.reach(reaching.Left(file, known, noted.append), "gone", "x") == "deleted"
    assert noted == [structs.replace(known, files={})]
