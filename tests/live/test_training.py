"""From a selection to a version on the disk and in the store. The policy and the learner are parts
that are played: what they are told, what is written, and what is left where something fails."""

import hashlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from assay.errors import DataError, UsageError
from assay.files.folders import locked
from assay.live import training as module
from assay.live.learning import Learning, Learnt
from assay.live.publisher import STOP
from assay.live.selection import Rules
from assay.live.store import Store, StoreError
from assay.live.training import Training, about_of, base_of, digest_of
from assay.records import Trajectory
from assay.records.live import Derived, Made, Moved, Version
from tests.live.test_selection import crowd, heard


class Policy:
    """A policy that writes its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def save_pretrained(self, folder: Path) -> None:
        (folder / self.name).write_text(self.name)


class Learner:
    """What the learner was told."""

    made: list["Learner"] = []  # noqa: RUF012
    during: Any = staticmethod(lambda: None)

    def __init__(self, *given: Any) -> None:
        self.given, self.loaded = given, list[Path]()
        Learner.made.append(self)

    def load(self, folder: Path) -> None:
        self.loaded.append(folder)

    def save(self, folder: Path) -> None:
        (folder / "optimizer.json").write_text("{}")

    def update(
        self,
        turns: Sequence[Trajectory],
        statistics: Mapping[str, float],
        *,
        own: Any,
        seed: Sequence[int],
    ) -> Learnt:
        self.turns, self.statistics, self.seed = list(turns), dict(statistics), tuple(seed)
        self.own = [*map(own, turns)]
        Learner.during()
        return Learnt({"rows": 2.0}, {"mean": statistics.get("mean", 0.0) + 1.0})


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    Learner.made.clear()
    monkeypatch.setattr(Learner, "during", staticmethod(lambda: None))
    monkeypatch.setattr(module, "Learner", Learner)
    policies = Policy("model"), Policy("tokenizer")
    monkeypatch.setattr(module, "opened", lambda where, base: policies)
    monkeypatch.setattr(module, "base_of", lambda *given: given[1:])


def training(store: Store, **more: Any) -> Training:
    given: dict[str, Any] = {
        "learning": Learning(admit=False),
        "rules": Rules(turns=8, sessions=8),
        **more,
    }
    return Training(store, clock=lambda: 99.0, **given)


def talked(store: Store) -> Store:
    """Eight users, a resolved turn each."""
    store.append(*crowd(8), durable=True).result(timeout=30)
    return store


def test_a_version_and_its_run(store: Store, tmp_path: Path) -> None:
    kept = (Trajectory(id="k", task="t", group="g"),)
    out = tmp_path / "run"
    made = training(talked(store), kept=kept).run(out)
    home = store.path.parent / "versions" / "pol-000001"
    names = tuple(f"s{n}-0" for n in range(8))
    assert made == Version(
        at=99.0, name="pol-000001", state="made", parent="start", path=str(home),
        sha256=made.sha256, sessions=names, made_of=made.made_of,
    )  # fmt: skip
    assert sorted(each.name for each in home.iterdir()) == [
        "live.json", "model", "optimizer.json", "tokenizer"
    ]  # fmt: skip
    assert json.loads((home / "live.json").read_text()) == {
        "base": "start", "statistics": {"mean": 1.0}
    }  # fmt: skip
    about = json.loads((out / "run.json").read_text())
    assert (about["schema"], about["kind"], about["version"], about["parent"]) == (
        "assay.run/1", "live", "pol-000001", "start"
    )  # fmt: skip
    assert (about["turns"], about["rows"], about["base"], about["status"]) == (
        8, 2.0, "start", "finished"
    )  # fmt: skip
    assert (about["learning"]["signal"], about["rules"]["turns"]) == ("combined", 8)
    assert json.loads((out / "metrics.jsonl").read_text())["step"] == 1
    lines = [json.loads(line) for line in (out / "turns.jsonl").read_text().splitlines()]
    assert [line["session"] for line in lines] == list(names)
    (learner,) = Learner.made
    assert [each.id for each in learner.turns] == [f"t{n}-0" for n in range(8)]
    assert (learner.statistics, learner.seed, learner.own) == ({}, (0,), [True] * 8)
    assert learner.given[3:] == (("start", "start"), kept)
    assert learner.loaded == [Path("start")]


def test_what_the_store_hears_and_in_which_order(store: Store, tmp_path: Path) -> None:
    """What was derived first: a kill after it leaves a file that forgetting reaches."""
    made = training(talked(store)).run(tmp_path / "run")
    events = [event for _, event in store.events()][-11:]
    derived, files, *moved, version = events
    assert derived == Derived(
        at=99.0, path=str((tmp_path / "run").resolve()), sessions=made.sessions,
        what="read as a log",
    )  # fmt: skip
    assert isinstance(files, Made)
    assert {*files.files} == {"run.json", "metrics.jsonl", "turns.jsonl"}
    assert moved == [
        Moved(session=f"s{n}-0", at=99.0, turn=f"t{n}-0", to="trained", why="pol-000001")
        for n in range(8)
    ]
    assert version == made
    assert [each.progress for each in store.turns()] == ["trained"] * 8


def test_the_next_one_goes_on_from_the_one_that_serves(store: Store, tmp_path: Path) -> None:
    """Four of its turns are the served version's, four of the base's."""
    first = training(talked(store)).run(tmp_path / "first")
    served = structs.replace(first, state="served")
    store.append(served).result(timeout=30)
    events = list[Any]()
    for n in range(8):
        version = "pol-000001" if n < 4 else "Qwen/Qwen3-4B"
        events += heard(f"again{n}", f"s{n}-0", policy_version=version)
    store.append(*events, durable=True).result(timeout=30)
    made = training(store).run(tmp_path / "second")
    assert (made.name, made.parent) == ("pol-000002", "pol-000001")
    learner = Learner.made[-1]
    assert learner.statistics == {"mean": 1.0}
    assert (learner.own.count(True), len(learner.own)) == (4, 8)
    assert learner.seed == (1,)
    assert learner.loaded == [Path(first.path)]
    assert learner.given[3] == (first.path, "start")
    home = Path(made.path)
    assert json.loads((home / "live.json").read_text())["statistics"] == {"mean": 2.0}


def test_the_same_is_not_made_again_where_it_did_not_last(store: Store, tmp_path: Path) -> None:
    """What it would be made of is told by turns, settings and what is kept."""
    made = training(talked(store)).run(tmp_path / "run")
    back = [
        Moved(session=f"s{n}-0", at=100.0, turn=f"t{n}-0", to="resolved", why="pol-000001")
        for n in range(8)
    ]
    store.append(structs.replace(made, state="refused"), *back).result(timeout=30)
    with pytest.raises(UsageError, match="pol-000001, made of the same 8 turns"):
        training(store).run(tmp_path / "again")
    kept = (Trajectory(id="k", task="t", group="g"),)
    assert training(store, kept=kept).run(tmp_path / "again").name == "pol-000002"


def digest_by_hand(folder: Path) -> str:
    found = [path for path in folder.rglob("*") if path.is_file()]
    whole = b"".join(
        str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(found)
    )
    return hashlib.sha256(whole).hexdigest()


def test_a_digest_is_of_names_and_bytes(store: Store, tmp_path: Path) -> None:
    made = training(talked(store)).run(tmp_path / "run")
    assert made.sha256 == digest_of(Path(made.path)) == digest_by_hand(Path(made.path))
    folder = tmp_path / "one"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "b").write_bytes(b"2")
    (folder / "a").write_bytes(b"1")
    before = digest_of(folder)
    assert before == digest_by_hand(folder)
    (folder / "a").rename(folder / "c")
    assert digest_of(folder) not in (before, "")
    (folder / "c").rename(folder / "a")
    (folder / "a").write_bytes(b"3")
    assert digest_of(folder) != before


def nothing_left(store: Store, out: Path) -> bool:
    return not store.versions() and not out.exists() and not [
        *(store.path.parent / "versions").glob("pol-*")
    ]  # fmt: skip


def test_too_little_makes_nothing(store: Store, tmp_path: Path) -> None:
    store.append(*crowd(7), durable=True).result(timeout=30)
    with pytest.raises(DataError, match=r"7 turns of 7 sessions may teach.*expected 8 turns"):
        training(store).run(tmp_path / "run")
    assert nothing_left(store, tmp_path / "run")
    assert Learner.made == []
    assert training(store).selection().missing


def test_who_may_not_train(store: Store, tmp_path: Path) -> None:
    out, home = tmp_path / "run", store.path.parent
    talked(store)
    (home / STOP).touch()
    with pytest.raises(UsageError, match="stops training"):
        training(store).run(out)
    (home / STOP).unlink()
    for taken in (tmp_path / "file", tmp_path / "full" / "x"):
        taken.parent.mkdir(exist_ok=True)
        taken.touch()
    for where in (tmp_path / "file", tmp_path / "full"):
        with pytest.raises(UsageError, match="exists already; choose another --out"):
            training(store).run(where)
    with locked(home / "TRAIN", "mine"), pytest.raises(UsageError, match="another process trains"):
        training(store).run(out)
    assert nothing_left(store, out)
    out.mkdir()
    assert training(store).run(out).name == "pol-000001", "an empty folder is taken"


def test_a_session_that_is_forgotten_meanwhile_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talked(store)
    gone = staticmethod(lambda: store.forget("s3-0", at=50.0))
    monkeypatch.setattr(Learner, "during", gone)
    with pytest.raises(DataError, match="forgotten while it was trained on; train again"):
        training(store).run(tmp_path / "run")
    assert nothing_left(store, tmp_path / "run")
    assert [each.progress for each in store.turns()] == ["resolved"] * 7


def test_of_a_run_the_lines_of_who_is_forgotten_go_and_the_run_stays(
    store: Store, tmp_path: Path
) -> None:
    out, home = tmp_path / "run", store.path.parent / "versions" / "pol-000001"
    training(talked(store)).run(out)
    before = (out / "run.json").read_bytes()
    store.append(*crowd(1), durable=True).result(timeout=30)
    made = store.forget("s3-0", at=50.0)
    assert (made.rewritten, made.versions) == ([str(out.resolve())], ["pol-000001"])
    assert '"s3-0"' not in (out / "turns.jsonl").read_text()
    assert len((out / "turns.jsonl").read_text().splitlines()) == 7
    assert (out / "run.json").read_bytes() == before
    assert home.is_dir(), "weights are not undone by deleting text"
    assert store.forget("s4-0", at=51.0).rewritten == [str(out.resolve())], "it is still known"
    (out / "metrics.jsonl").write_text("mine")
    (failed,) = store.forget("s5-0", at=52.0).failed
    assert "metrics.jsonl: is not what was written there" in failed


@pytest.mark.parametrize("count", range(4))
def test_what_a_killed_training_left_is_reached_wherever_it_was_killed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Killed before or after the move of the version, and of the run."""
    talked(store)
    plain, done = Path.replace, list[int]()

    def dies(self: Path, target: Any) -> Any:
        if ".tmp-" in self.name:
            done.append(1)
        if len(done) == count // 2 + 1:
            if count % 2:
                plain(self, target)
            os._exit(9)
        return plain(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    if (child := os.fork()) == 0:
        signal.alarm(60)  # it waits for nobody for ever
        try:
            with Store.open(store.path.parent) as own:
                training(own).run(tmp_path / "run")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    monkeypatch.undo()
    made = store.forget("s3-0", at=50.0)
    assert made.failed == []
    left = [each for each in tmp_path.rglob("*") if each.is_file() and "live" not in each.parts]
    assert not [each for each in left if b'"s3-0"' in each.read_bytes()], left
    assert [*(store.path.parent / "versions").glob("*pol-*")] == []


@pytest.mark.parametrize("count", [0])
def test_what_the_store_cannot_take_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """It fails at the version."""
    talked(store)
    plain, calls = Store.append, list[int]()

    def append(self: Store, *events: Any, durable: bool = False) -> Any:
        calls.append(len(calls))
        if calls[-1] == count:
            raise StoreError("the disk is full")
        return plain(self, *events, durable=durable)

    with monkeypatch.context() as broken:
        broken.setattr(Store, "append", append)
        with pytest.raises(StoreError, match="the disk is full"):
            training(store).run(tmp_path / "run")
    assert nothing_left(store, tmp_path / "run")
    assert [each.progress for each in store.turns()] == ["resolved"] * 8


def files_in(folder: Path) -> dict[str, str]:
    found = (each for each in folder.rglob("*") if each.is_file())
    return {each.relative_to(folder).as_posix(): each.read_text() for each in found}


def puts(monkeypatch: pytest.MonkeyPatch, path: Path, *more: Any) -> None:
    """Somebody writes a file while it is trained."""

    def during() -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        for each in more:
            each()

    monkeypatch.setattr(Learner, "during", staticmethod(during))


def test_what_others_put_there_meanwhile_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    puts(monkeypatch, out / "notes.txt")
    training(talked(store)).run(out)
    assert {*files_in(out)} == {"notes.txt", "run.json", "metrics.jsonl", "turns.jsonl"}
    assert (out / "notes.txt").read_text() == "mine"
    made = [event for _, event in store.events() if isinstance(event, Made)]
    assert {*made[-1].files} == {"run.json", "metrics.jsonl", "turns.jsonl"}


@pytest.mark.parametrize("when", ["while it is trained", "while it is written", "at the end"])
def test_what_others_put_there_meanwhile_stays_where_it_fails(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    out, ends = tmp_path / "run", {"while it is written": KeyboardInterrupt, "at the end": OSError}
    talked(store)
    forget = [lambda: store.forget("s3-0", at=50.0)] if when == "while it is trained" else []
    puts(monkeypatch, out / "notes.txt", *forget)

    def fails(*_: Any, **__: Any) -> Any:
        raise ends[when]

    if when == "while it is written":
        monkeypatch.setattr(module, "write", fails)
    if when == "at the end":
        monkeypatch.setattr(Store, "append", fails)
    with pytest.raises(ends.get(when, DataError)):
        training(store).run(out)
    assert files_in(out) == {"notes.txt": "mine"}
    assert [*(store.path.parent / "versions").glob("*pol-*")] == []
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["", "run.json"])
def test_a_file_that_others_put_in_its_way_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out = tmp_path / "run"
    puts(monkeypatch, out / name)
    with pytest.raises(UsageError, match="move it, or choose --out"):
        training(talked(store)).run(out)
    assert (out / name).read_text() == "mine"
    assert [*(store.path.parent / "versions").glob("*pol-*")] == []
    assert {each.name for each in tmp_path.iterdir()} == {"live", "run"}


def test_where_it_cannot_be_written_is_said_before_it_is_trained(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talked(store)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    home = store.path.parent
    for out, kind, why in (
        (Path(), UsageError, "the current folder is in it"),
        (tmp_path / "file" / "run", DataError, "cannot be written"),
        (home / "versions" / "pol-000001", UsageError, "is the store's own; choose another"),
        (home / "STOP", UsageError, "is the store's own; choose another"),
    ):
        with pytest.raises(kind, match=why):
            training(store).run(out)
    assert Learner.made == []
    assert {each.name for each in tmp_path.iterdir()} == {"live", "file", "empty"}
    assert not {"versions", "STOP"} & {each.name for each in home.iterdir()}
    training(store).run(tmp_path / "new" / "run")


def test_what_is_said_of_a_base_policy_is_nothing(tmp_path: Path) -> None:
    assert about_of("start") == {}
    (tmp_path / "live.json").write_text('{"base": "b"}')
    assert about_of(str(tmp_path)) == {"base": "b"}


class Adapted(Policy):
    """A policy with adapters."""

    peft_config: Any = None

    def disable_adapter(self) -> Any:
        return nullcontext()


def test_adapters_are_not_trained_as_a_whole() -> None:
    adapted = Adapted("a")
    assert module._adapted(adapted, 4) is adapted  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(UsageError, match="is of adapters; expected lora above 0"):
        module._adapted(adapted, 0)  # pyright: ignore[reportPrivateUsage]
    plain = Policy("p")
    assert module._adapted(plain, 0) is plain  # pyright: ignore[reportPrivateUsage]


def test_what_makes_a_version_the_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    adapted = Adapted("a")
    assert base_of(adapted, "anywhere", "start") == adapted.disable_adapter
    assert base_of(Policy("p"), "start", "start") is None
    asked = list[str]()

    class Average:
        def __init__(self, model: Any, decay: float) -> None:
            self.told = (model, decay)

        def worn(self, model: Any) -> Any:
            return (*self.told, model)

    def load(name: str, *, device: str) -> Any:
        asked.append(name)
        return f"weights of {name}", None

    monkeypatch.setattr(module, "Average", Average)
    monkeypatch.setattr(module, "load", load)
    found: Any = base_of("model", str(tmp_path), "start")
    assert found() == ("weights of start", 1.0, "model")
    (tmp_path / "live.json").write_text('{"base": "Qwen/Qwen3-4B"}')
    base_of("model", str(tmp_path), "start")
    assert asked == ["start", "Qwen/Qwen3-4B"], "what its folder says"
