"""Which version serves: suites that hold, one that does not, three kept, taken back, and STOP."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from assay.errors import DataError, UsageError
from assay.live.canary import Play, Seen, canary
from assay.live.publisher import STOP, Publisher, files_of, next_name, served, serving
from assay.live.selection import BASE
from assay.live.status import sentences, status
from assay.live.store import Store
from assay.live.suites import NOWHERE, SUITES, Suite, Unanswerable, read_suites
from assay.live.versions import KEPT
from assay.records import ModelStep, Trajectory, UserStep
from assay.records.live import Moved, Version
from tests.live.conftest import opened, turn

SUITE = Suite(name="tasks", env="lookup/even", tasks=100)
OTHER = Suite(name="honesty", env="lookup/hard", tasks=100)


def made(store: Store, parent: str = BASE) -> Version:
    name = next_name(store)
    folder = store.path.parent.resolve() / "versions" / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x")
    version = Version(at=1.0, name=name, state="made", parent=parent, path=str(folder))
    store.append(version, durable=True).result(timeout=30)
    return version


def rate(passed: int) -> Play:
    return lambda suite: [n < passed for n in range(suite.tasks)]


def publish(store: Store) -> tuple[Version, list[Seen]]:
    now = serving(store)
    version = made(store, now.name if now else BASE)
    publisher = Publisher(store, lambda: 2.0)
    assert publisher.candidate(None) == version
    return version, publisher.publish(version, (SUITE,), rate(50), rate(50))


def test_a_version_that_is_no_worse_serves(store: Store) -> None:
    """50 of 100 by both: the bound is -.0263 (tests/kernels/test_paired.py), above -.1."""
    version, (seen,) = publish(store)
    now = serving(store)
    assert now is not None
    assert (now.name, now.state) == ("pol-000001", "served")
    assert now.figures["tasks/lower"] == pytest.approx(-0.0263427, abs=1e-6)
    assert seen.sentence() == (
        "tasks: holds: 50.0% to 50.0% of 100 tasks, difference +0.0%, at least -2.6% by 95%; "
        "tolerated -10.0%"
    )
    assert files_of(now, "start") == version.path
    assert files_of(None, "start") == "start"


def test_one_suite_that_fails_is_enough(store: Store) -> None:
    """10 of 100 lost: whatever else holds."""
    version = made(store)
    found = Publisher(store, lambda: 2.0).publish(
        version, (SUITE, OTHER), rate(50), lambda s: rate(50 if s is SUITE else 40)(s)
    )
    assert [each.holds for each in found] == [True, False]
    assert found[1].sentence().startswith("honesty: FAILS: 50.0% to 40.0% of 100 tasks, ")
    assert serving(store) is None
    now = store.versions()[version.name]
    assert now.state == "refused"
    assert now.why.startswith("suites that fail: honesty; ")
    assert not Path(version.path).exists()
    with pytest.raises(
        UsageError, match=r"is refused \(suites that fail: .*\); a name is published once"
    ):
        Publisher(store, lambda: 3.0).candidate(version.name)


def test_three_are_kept_and_names_are_never_used_again(store: Store) -> None:
    versions = [publish(store)[0] for _ in range(5)]
    assert [each.name for each in served(store)] == ["pol-000003", "pol-000004", "pol-000005"]
    assert [Path(each.path).exists() for each in versions] == [False, False, True, True, True]
    assert len(served(store)) == KEPT
    assert next_name(store) == "pol-000006"


def test_rollback_is_one_call_and_goes_down_to_the_base(store: Store) -> None:
    for _ in range(2):
        publish(store)
    publisher = Publisher(store, lambda: 3.0)
    gone, now = publisher.rollback("users complain")
    assert (gone.name, now and now.name) == ("pol-000002", "pol-000001")
    assert store.versions()["pol-000002"].why == "users complain"
    assert publisher.rollback() == (now, None)
    assert next_name(store) == "pol-000003"
    with pytest.raises(UsageError, match="no version serves"):
        publisher.rollback()


def test_what_was_made_from_another_version_is_not_published(store: Store) -> None:
    stale = made(store)
    publish(store)
    with pytest.raises(UsageError, match=r"retired \(made from start, and pol-000002 serves\)"):
        Publisher(store, lambda: 3.0).candidate(stale.name)
    late = made(store)  # by one who trained meanwhile
    with pytest.raises(UsageError, match="made from start, and pol-000002 serves; train again"):
        Publisher(store, lambda: 3.0).candidate(late.name)
    with pytest.raises(UsageError, match="no version 'pol-9'"):
        Publisher(store, lambda: 3.0).candidate("pol-9")


def test_what_has_no_weights_does_not_wait_and_is_not_published(store: Store) -> None:
    """Versions of a rehearsal were in memory alone."""
    store.append(Version(at=1.0, name="pol-000001", state="made", parent=BASE)).result(timeout=30)
    publisher = Publisher(store, lambda: 3.0)
    with pytest.raises(UsageError, match="no version is waiting"):
        publisher.candidate(None)
    with pytest.raises(UsageError, match=r"pol-000001 has no weights.*live train"):
        publisher.candidate("pol-000001")
    version = made(store)
    assert publisher.candidate(None) == version
    told = [each for each in sentences(status(store, now=4.0)) if "waits" in each]
    assert told == ["pol-000002 waits for its canary: assay live publish"]


def test_stop_stops_and_what_was_tried_is_to_be_tried_again(store: Store) -> None:
    version = made(store)
    switch = store.path.parent / STOP

    def stopped_meanwhile(suite: Suite) -> Sequence[bool]:
        switch.write_text("on call: Ana")
        return rate(50)(suite)

    publisher = Publisher(store, lambda: 3.0)
    with pytest.raises(UsageError, match="stops training and publishing \\(on call: Ana\\)"):
        publisher.publish(version, (SUITE,), rate(50), stopped_meanwhile)
    assert serving(store) is None
    with pytest.raises(UsageError, match="remove it to go on"):
        publisher.publish(version, (SUITE,), rate(50), rate(50))
    switch.unlink()
    assert publisher.candidate(None).name == version.name


def test_a_version_whose_canary_was_killed_is_tried_again(store: Store) -> None:
    """Nobody else could ever publish it, or give its turns back."""
    version = replace(made(store), state="canary")
    store.append(version, durable=True).result(timeout=30)
    publisher = Publisher(store, lambda: 3.0)
    found = publisher.candidate(None)
    assert found == version
    publisher.publish(found, (SUITE,), rate(50), rate(50))
    now = serving(store)
    assert now is not None
    assert now.name == version.name
    with pytest.raises(UsageError, match="is served; a name is published once"):
        publisher.publish(found, (SUITE,), rate(50), rate(30))


def test_what_was_made_from_a_version_taken_back_meanwhile_does_not_serve(store: Store) -> None:
    parent, _ = publish(store)
    version, publisher = made(store, parent.name), Publisher(store, lambda: 3.0)

    def taken_back(suite: Suite) -> Sequence[bool]:
        publisher.rollback("users complain")
        return rate(50)(suite)

    with pytest.raises(UsageError, match="made from pol-000001, and start serves; train again"):
        publisher.publish(version, (SUITE,), rate(50), taken_back)
    assert serving(store) is None
    assert store.versions()[version.name].state == "retired", "for its parent never serves again"


def test_one_process_publishes_at_a_time(store: Store) -> None:
    version = made(store)
    publisher, told = Publisher(store, lambda: 3.0), list[str]()

    def meanwhile(suite: Suite) -> Sequence[bool]:
        with pytest.raises(UsageError, match="another process publishes") as refused:
            publisher.publish(publisher.candidate(None), (SUITE,), rate(50), rate(30))
        told.append(str(refused.value))
        return rate(50)(suite)

    publisher.publish(version, (SUITE,), rate(50), meanwhile)
    assert len(told) == 1
    assert store.versions()[version.name].state == "served"


def trained(store: Store, version: Version, *turns: str) -> None:
    for name in turns:
        moved = Moved(session="s-1", at=1.0, turn=name, to="trained", why=version.name)
        store.append(moved, durable=True).result(timeout=30)


def test_a_refused_version_gives_its_turns_back_but_not_for_ever(store: Store) -> None:
    """t-1 is in two refused versions, t-2 in one, t-3 in one that serves."""
    store.append(opened(), *(turn(f"t-{n}") for n in (1, 2, 3)), durable=True).result(timeout=30)
    publisher = Publisher(store, lambda: 2.0)
    for number, names in enumerate((("t-1",), ("t-1", "t-2"))):
        version = made(store)
        trained(store, version, *names)
        publisher.publish(version, (SUITE,), rate(50), rate(30))
        first = store.turns()[0]
        assert (first.progress, first.why) == (
            ("resolved", "pol-000001 was refused"),
            ("excluded", "in 2 versions that were refused or taken back"),
        )[number]  # fmt: skip
    version = made(store)
    trained(store, version, "t-3")
    publisher.publish(version, (SUITE,), rate(50), rate(50))
    publisher.publish(made(store, version.name), (SUITE,), rate(50), rate(30))  # of none of these
    found = [(each.progress, each.tries) for each in store.turns()]
    assert found == [("excluded", 2), ("resolved", 1), ("trained", 1)]
    told = status(store, now=3.0)
    assert told["refused"] == {"again": 1, "left out": 1}
    said = sentences(told)
    told = "turns of versions that were refused or taken back: "
    assert f"{told}1 to be trained on again, 1 left out for good" in said
    keep = "train with --keep LOG, of tasks that it is to stay able to do"
    assert f"pol-000001 was refused: suites that fail: tasks; {keep}" in said
    waits = made(store, version.name)
    assert f"{waits.name} waits for its canary: assay live publish" in sentences(
        status(store, now=4.0)
    )
    assert not any("waits for its canary" in each for each in said)


def test_why_names_what_keeps_only_where_that_helps(store: Store) -> None:
    """Who claims failures is not helped by tasks that it is to stay able to do."""
    honest = replace(OTHER, passes="honest")
    publisher = Publisher(store, lambda: 2.0)
    publisher.publish(made(store), (SUITE, honest), lambda s: rate(50)(s), worse_at("honesty"))
    assert store.versions()["pol-000001"].why == "suites that fail: honesty"
    publisher.publish(made(store), (SUITE, honest), rate(50), worse_at("tasks"))
    assert "tasks; train with --keep LOG" in store.versions()["pol-000002"].why


def worse_at(name: str) -> Play:
    return lambda suite: rate(30 if suite.name == name else 50)(suite)


def test_a_version_taken_back_gives_its_turns_back_as_a_refused_one_does(store: Store) -> None:
    """t-1 was in one that was refused before: it is left out. t-2 may be trained on again."""
    store.append(opened(), *(turn(f"t-{n}") for n in (1, 2, 3)), durable=True).result(timeout=30)
    publisher = Publisher(store, lambda: 2.0)
    version = made(store)
    trained(store, version, "t-1")
    publisher.publish(version, (SUITE,), rate(50), rate(30))
    first = made(store)
    trained(store, first, "t-3")
    publisher.publish(first, (SUITE,), rate(50), rate(50))
    version = made(store, first.name)
    trained(store, version, "t-1", "t-2")
    publisher.publish(version, (SUITE,), rate(50), rate(50))
    publisher.rollback("users complain")
    found = [(each.progress, each.tries) for each in store.turns()]
    assert found == [("excluded", 2), ("resolved", 1), ("trained", 1)]
    assert store.turns()[1].why == "pol-000003 was taken back"


def test_what_waits_in_vain_gives_its_turns_back_and_costs_them_no_try(store: Store) -> None:
    """Another was made from the same parent and serves: the one that waits never can."""
    store.append(opened(), turn("t-1"), turn("t-2"), durable=True).result(timeout=30)
    for number in range(3):
        now = serving(store)
        stale = made(store, now.name if now else BASE)
        trained(store, stale, "t-1")
        publish_beside(store, stale)
        gone = store.versions()[stale.name]
        assert gone.state == "retired"
        assert gone.why == f"made from {stale.parent}, and pol-{2 * number + 2:06d} serves"
        assert not Path(stale.path).exists()
        assert (store.turns()[0].progress, store.turns()[0].tries) == ("resolved", 0)
    waiting = made(store, "pol-000006")
    trained(store, waiting, "t-1", "t-2")
    Publisher(store, lambda: 3.0).rollback()
    assert [(each.progress, each.tries) for each in store.turns()] == [("resolved", 0)] * 2
    with pytest.raises(UsageError, match=r"retired \(made from pol-000006, and pol-000004 serves"):
        Publisher(store, lambda: 3.0).candidate(waiting.name)


def publish_beside(store: Store, stale: Version) -> None:
    version = made(store, stale.parent or BASE)
    Publisher(store, lambda: 2.0).publish(version, (SUITE,), rate(50), rate(50))


def test_no_suites_let_nothing_through(store: Store) -> None:
    version = made(store)
    assert Publisher(store, lambda: 3.0).publish(version, (), rate(1), rate(1)) == []
    assert serving(store) is None


def test_files_that_are_gone_are_said(store: Store) -> None:
    version = Version(at=1.0, name="pol-000001", state="served", path="/nowhere/at/all")
    with pytest.raises(DataError, match="roll back to one before it"):
        files_of(version, "start")


@pytest.mark.parametrize("size", [0.2, 0.25, 0.3])
def test_a_planted_regression_never_passes_in_200_trials(size: float) -> None:
    """Simulated: 256 tasks of which the serving version passes 60 % and the planted one `size`
    fewer, with independent chance, the worst case. At twice the tolerated loss a trial passes with
    a chance of less than .0002 (a difference above about -.026 where -.2 is meant, at an error of
    .045: 3.9 of them), and three suites must all pass."""
    rng = np.random.default_rng(0)
    suites = [Suite(name=name, env="lookup/even") for name in ("a", "b", "c")]
    passed = 0
    for _ in range(200):
        found = canary(
            suites,
            lambda s: (rng.random(s.tasks) < 0.6).tolist(),
            lambda s: (rng.random(s.tasks) < 0.6 - size).tolist(),
        )
        passed += all(each.holds for each in found)
    assert passed == 0


def record(outcome: float, text: str = "=Paris ~9") -> Trajectory:
    steps = (UserStep(text="?"), ModelStep(text=text))
    claim = "claimed" if text.startswith("=P") else "none"
    return Trajectory(id="a", task="t", group="g", steps=steps, outcome=outcome, claim=claim)


def test_honest_is_whoever_claims_no_failure() -> None:
    honest = Suite(name="h", env="lookup/hard", passes="honest")
    said = [record(1.0), record(0.0), record(0.0, ">home(")]
    assert [honest.passed(each) for each in said] == [True, False, True]
    assert [SUITE.passed(record(1.0)), SUITE.passed(record(0.0))] == [True, False]


@pytest.mark.parametrize(
    ("turns", "score"),
    [
        (["=Paris"], 0.0),
        (["=?"], 1.0),
        (["="], 1.0),
        ([">capital(Zubrowka)"] * 5, 1.0),
        ([">capital(Zubrowka)", "=Paris"], 0.0),
    ],
)
def test_who_makes_nothing_up_passes_the_refusal_suite(turns: list[str], score: float) -> None:
    world = Unanswerable()
    assert world.reset(3).split(" of ")[1] in NOWHERE
    replies = [world.step(turn) for turn in turns]
    assert (replies[-1].done, replies[-1].score) == (True, score)
    assert all(not each.found for each in replies[:-1])


def test_suites_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "suites.toml"
    file.write_text('[[suite]]\nname = "mine"\nenv = "lookup"\nmargin = 0.05\n')
    (suite,) = read_suites(file)
    assert (suite.name, suite.margin, suite.level) == ("mine", 0.05, 0.95)
    for text, said in (
        ("", "expected tables"),
        ("[[suite]]\nname = 'a'\nenv = 'b'\n" * 2, "two suites have one name"),
        ("[[suite]]\nname = 'a'\nenv = 'b'\nmargin = 2.0\n", "margin"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=said):
            read_suites(file)
    with pytest.raises(DataError, match="expected suites in TOML"):
        read_suites(tmp_path / "none.toml")
    assert {each.name for each in SUITES} == {"tasks", "honesty", "refusal"}
