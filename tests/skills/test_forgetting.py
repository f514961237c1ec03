"""What rests on a forgotten trajectory leaves a bank, wherever a kill comes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from assay.errors import UsageError
from assay.files.folders import locked
from assay.skills import store
from assay.skills.bank import Bank
from assay.skills.forgetting import forget
from assay.skills.skill import Evidence
from tests.skills.test_bank import skill

TEXT = "heron"


def gone(id: str) -> bool:
    return id == "gone"


def on(*names: str) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(trajectory=name, task=f"t-{name}", level="E3", digest=f"d-{name}")
        for name in names
    )


def made(path: Path) -> Path:
    """Three versions: in the last two a skill of "gone" and of another, which is active in the
    last; and a fourth that a kill left, which does not count, and has it without saying of whom."""
    plain = skill("plain", evidence=on("a"), status="active")
    told = skill(
        f"the {TEXT}", title=TEXT, when=f"{TEXT}?", avoid=f"no {TEXT}", evidence=on("b", "gone")
    )
    bank = store.save(path, Bank(version=1, skills=(plain,)))
    bank = store.save(path, bank.next([plain, told]))
    bank = store.save(path, bank.next([plain, structs.replace(told, status="active")]))
    store.put(path, bank.next([plain, structs.replace(told, evidence=on("b"))]))
    (path / "versions" / ".000005.json.tmp-999999999").write_text(TEXT)
    return path


def holding(path: Path) -> list[str]:
    files = [each for each in path.rglob("*") if each.is_file()]
    return [each.name for each in files if {TEXT, "gone"} & {*_words(each.read_text())}]


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text).split()


def test_every_version_by_hand(tmp_path: Path) -> None:
    path, first = made(tmp_path), tmp_path / "versions" / "000001.json"
    before, at = [store.opened(path, n) for n in (1, 2, 3, 4)], first.stat().st_ino
    (told,) = [each.id for each in before[2].skills if TEXT in each.principle]
    forget(path, gone, "-")
    assert holding(path) == []
    assert first.stat().st_ino == at, "it held none, and was not written"
    after = [store.opened(path, n) for n in (1, 2, 3, 4)]
    now = store.opened(path)
    for old, new in zip(before[1:], after[1:], strict=True):
        empty = dict.fromkeys(("title", "principle", "when", "avoid"), "")
        rests = (*on("b"), Evidence(trajectory="-", task="", level="E3"))[: 1 + (new.version < 4)]
        expected = structs.replace(
            old.get(told), **empty, evidence=rests, status="retired", why="forgotten"
        )
        assert new.get(told) == expected
        assert [s for s in new.skills if s.id != told] == [s for s in old.skills if s.id != told]
    for n in (1, 2, 3):
        assert after[n].parent == after[n - 1].sha256
    assert (now.version, now.parent) == (5, after[2].sha256), "behind the one that a kill left"
    assert now.generation == after[2].generation + 1, "one that was active is not any more"
    assert now.skills == after[2].skills
    names = store.names(path)
    for n in (1, 2, 3, 4):
        assert names[before[n - 1].name] == names[after[n - 1].name] == n
    forget(path, gone, "-")
    assert store.opened(path) == now, "it is done"
    forget(path, lambda id: id == "a", "x")
    assert {each.why for each in store.opened(path).skills} == {"forgotten"}
    assert names.items() <= store.names(path).items(), "also those that were renamed before"


def test_where_no_active_skill_goes_the_generation_stays(tmp_path: Path) -> None:
    bank = Bank(version=1, generation=4, skills=(skill("a", evidence=on("gone")),))
    store.save(tmp_path, bank)
    forget(tmp_path, gone, "-")
    assert store.opened(tmp_path).generation == 4


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("count", range(5))
def test_a_kill_at_any_moment_leaves_a_bank_that_opens_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, moved: bool
) -> None:
    """Names, the new version, the pointer, and the three versions that held it."""
    path = made(tmp_path)
    names, seen = store.names(path), list[int]()
    plain: Callable[..., object] = Path.replace

    def dies(self: Path, target: Path) -> object:
        seen.append(1)
        if len(seen) == count + 1 and not moved:
            raise ZeroDivisionError
        done = plain(self, target)
        if len(seen) == count + 1:
            raise ZeroDivisionError
        return done

    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", dies)
        with pytest.raises(ZeroDivisionError):
            forget(path, gone, "-")
    store.opened(path)
    assert names.keys() <= store.names(path).keys()
    forget(path, gone, "-")
    assert holding(path) == []
    assert names.items() <= store.names(path).items(), "rollouts that read it are still known"
    for n in (2, 3, 4):
        assert store.opened(path, n).parent == store.opened(path, n - 1).sha256


def test_of_versions_that_no_pointer_names_none_is_left(tmp_path: Path) -> None:
    path = made(tmp_path)
    (path / "bank.json").unlink()
    forget(path, gone, "-")
    assert holding(path) == []
    assert [*(path / "versions").iterdir()] == []


def test_who_writes_it_is_not_disturbed(tmp_path: Path) -> None:
    path = made(tmp_path)
    with locked(path / "LOCK", ""), pytest.raises(UsageError, match="another process writes"):
        forget(path, gone, "-")
    assert len(holding(path)) == 4, "two versions that count, one that does not, and half of one"


def test_a_skill_whose_evidence_is_not_all_kept_goes_too(tmp_path: Path) -> None:
    """Version 1 holds the trajectory, version 2 counts it only; another skill keeps all of its."""
    rests = [Evidence(trajectory=name, task=name, level="E3") for name in ("gone", "b", "c", "d")]
    bank = Bank(evidence=2).merged([skill("a", evidence=tuple(rests[:2])), skill("x")])
    store.save(tmp_path, bank)
    store.save(tmp_path, bank.merged([skill("a", evidence=tuple(rests[2:]))]))
    # and one that no version has by name
    more = [skill("z", evidence=(each,)) for each in (rests[0], *rests[1:])]
    store.save(tmp_path, store.opened(tmp_path).merged(more))
    kept = {each.trajectory for s in store.opened(tmp_path).skills for each in s.evidence}
    assert "gone" not in kept
    forget(tmp_path, gone, "-")
    for number in range(1, 5):
        said = {each.principle for each in store.opened(tmp_path, number).skills}
        assert said == {"", "x"}, number
    assert {each.why for each in store.opened(tmp_path).of("retired")} == {"forgotten"}
    now = store.opened(tmp_path)
    assert not any(each.rest for each in now.skills), "it holds how names of tasks begin"
    forget(tmp_path, gone, "-")
    assert store.opened(tmp_path) == now, "it is done"
