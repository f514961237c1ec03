"""`assay live train STORE -o RUN`: what was served, resolved and agreed to becomes a new version.

    RUN/run.json              schema "assay.run/1", kind "live": parent, settings, what was picked
    RUN/turns.jsonl           the turns that it was trained on, assay.trajectory/1; to forget a
                              session takes its lines out
    RUN/metrics.jsonl         one line
    STORE/versions/NAME       the policy, as transformers opens it (of LoRA, as peft does)

The folder is made whole or not at all, and the version is in the store only after it. What others
put in the folder meanwhile stays there, whatever becomes of the training. Needs torch.
"""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import msgspec

from assay.errors import DataError, UsageError, imported
from assay.files.folders import locked, refuse_unwritable, taken_away, whole
from assay.files.outputs import aside
from assay.importers.live import check_not_own
from assay.importers.live_outputs import StoreRead, told_only
from assay.live.admission import listened, standings
from assay.live.learning import Learner, Learning, Learnt, Teaching
from assay.live.publisher import (
    FOLDER,
    Publisher,
    check_not_stopped,
    files_of,
    folder_of,
    next_name,
    serving,
)
from assay.live.selection import BASE, Rules, Selection, selected, version_of
from assay.live.store import Store
from assay.policy.averaging import Average
from assay.policy.loading import START, load
from assay.policy.loading import device as measured_on
from assay.records import Trajectory, encode, write
from assay.records.live import Version
from assay.rollout.teaching import hinted

WRITTEN: Final = ("run.json", "turns.jsonl", "metrics.jsonl")
"""Of a run."""
ABOUT: Final = "live.json"
"""In a version's folder: its base, and the running statistics of labels."""


@final
class Training:
    """One update of the policy that serves."""

    def __init__(
        self,
        store: Store,
        *,
        learning: Learning,
        rules: Rules,
        base: str = START,
        kept: Sequence[Trajectory] = (),
        clock: Callable[[], float],
    ) -> None:
        """Takes a store that is open to write.

        Args:
            store: whose turns teach.
            learning: how.
            rules: how much it takes.
            base: the policy that there was before any version.
            kept: trajectories of it that stay likely.
            clock: seconds since 1970.
        """
        self._store, self._learning, self._rules = store, learning, rules
        self._base, self._kept, self._clock = base, kept, clock

    def selection(self) -> Selection:
        """Returns the turns that teach now, or what is missing."""
        now, known = serving(self._store), [*self._store.versions().values()]
        name, sessions = now.name if now else BASE, [*self._store.sessions().values()]
        if self._learning.admit:
            sessions = listened(sessions)
        return selected(sessions, known, name, self._rules)

    def unheard(self) -> list[str]:
        """Returns, in words, where each source stands whose hints do not count."""
        found = standings(self._store.sessions().values()) if self._learning.admit else {}
        return [each.sentence(name) for name, each in found.items() if not each.admitted]

    def run(self, out: Path) -> Version:
        """Trains, and returns the version that was made; it does not serve yet.

        Versions that wait and cannot serve any more give their turns back first.

        Raises:
            DataError: too few turns teach; says what is missing.
            UsageError: the kill switch is there, `out` is taken, another process trains, or the
                same turns with the same settings made a version that was refused or taken back;
                or there is a file by now where the run is to be.
        """
        check_not_stopped(self._store)
        home = folder_of(self._store)
        _check_free(out, home)
        with locked(home / "TRAIN", f"{home}: another process trains from this store"):
            Publisher(self._store, self._clock).sweep()
            read, found = self._store.reading(), self.selection()
            if found.missing:
                raise DataError(found.missing)
            self._check_heard(found)
            self._check_new(found)
            made_from = frozenset(found.sessions)
            return self._trained(out, found, replace(read, of=made_from, only=True))

    def _check_heard(self, found: Selection) -> None:
        """Raises DataError where hints alone are to teach, and none counts."""
        if self._learning.signal == "hints" and not any(
            hinted(step) for each in found.turns for step in each.record.steps
        ):
            why = "; ".join(self.unheard()) or "there are none"
            raise DataError(f"live: no hint counts: {why}; assay live admit measures them")

    def _check_new(self, found: Selection) -> None:
        """Raises UsageError where the same was made before and did not last: it would be the same
        again, and cost its turns another try."""
        made_of = self._made_of(found)
        for each in self._store.versions().values():
            if each.made_of == made_of and each.state in ("refused", "rolled_back"):
                why = f" ({each.why})" if each.why else ""
                raise UsageError(
                    f"live: {each.name}, made of the same {len(found.turns)} turns with the same "
                    f"settings, was {each.state.replace('_', ' ')}{why}; nothing was trained. "
                    "Change --keep, --set, --signal or --lora, or wait for new turns"
                )

    def _made_of(self, found: Selection) -> str:
        """Returns a digest of all that decides what is learnt."""
        parent = serving(self._store)
        settings: list[Any] = [parent.name if parent else BASE, self._base, self._learning]
        digest = hashlib.blake2b(msgspec.json.encode(settings), digest_size=16)
        for records in ([each.record for each in found.turns], self._kept):
            digest.update(b"%d:" % len(records))
            for record in records:
                digest.update(encode(record) + b"\n")
        return digest.hexdigest()

    def _trained(self, out: Path, found: Selection, read: StoreRead) -> Version:
        parent, name, at = serving(self._store), next_name(self._store), self._clock()
        own = parent.name if parent else BASE
        home = folder_of(self._store) / FOLDER / name
        made_of, learnt = self._made_of(found), self._learnt(home, own, parent, found)
        try:
            version = Version(
                at=at,
                name=name,
                state="made",
                parent=own,
                path=str(home),
                sha256=digest_of(home),
                sessions=found.sessions,
                made_of=made_of,
            )
            self._check_known(found)
            with told_only(read, at), whole(out, synced=True, made=()) as fresh:
                self._write(fresh, name, own, found, learnt)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        self._record(out, version, found)
        return version

    def _learnt(self, home: Path, own: str, parent: Version | None, found: Selection) -> Learnt:
        """Trains, and leaves the policy at `home`."""
        where = files_of(parent, self._base)
        before = about_of(where)
        model, tokenizer = opened(where, self._base)
        model = _adapted(model, self._learning.lora)
        teaching = base_of(model, where, self._base)
        learner = Learner(model, tokenizer, self._learning, teaching, self._kept)
        learner.load(Path(where))
        learnt = learner.update(
            [each.record for each in found.turns],
            before.get("statistics", {}),
            own=lambda record: version_of(record.policy_version) == own,
            seed=(len(self._store.versions()),),
        )
        with aside(home), whole(home, synced=True) as fresh:
            _saved(model, tokenizer, fresh, self._base, learnt)
            learner.save(fresh)
        return learnt

    def _write(self, out: Path, name: str, parent: str, found: Selection, learnt: Learnt) -> None:
        facts = {**found.facts(), **learnt.facts}
        about = {
            "schema": "assay.run/1",
            "kind": "live",
            "version": name,
            "parent": parent,
            "base": self._base,
            "learning": msgspec.to_builtins(self._learning),
            "rules": msgspec.to_builtins(self._rules),
            "status": "finished",
            **facts,
        }
        (out / "run.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        (out / "metrics.jsonl").write_text(json.dumps({"step": 1, **facts}) + "\n", "utf-8")
        write(out / "turns.jsonl", [each.record for each in found.turns])

    def _record(self, out: Path, version: Version, found: Selection) -> None:
        """Says in the store what was made, of which sessions; where it cannot be, nothing was."""
        try:
            moved = found.trained(version.name, at=version.at)
            self._store.append(*moved, version, durable=True).result()
        except (OSError, DataError):
            shutil.rmtree(version.path, ignore_errors=True)
            taken_away(Path(os.path.realpath(out)), WRITTEN)
            raise

    def _check_known(self, found: Selection) -> None:
        """Raises DataError where a session was forgotten while it was trained on."""
        if any(name not in self._store.sessions(name) for name in found.sessions):
            raise DataError("live: a session was forgotten while it was trained on; train again")


def _check_free(out: Path, home: Path) -> None:
    """Raises UsageError or DataError where a run cannot be, before it costs anything."""
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise UsageError(f"{out}: exists already; choose another --out")
    refuse_unwritable(out)
    check_not_own(out, home)


def about_of(where: str) -> Mapping[str, Any]:
    """Returns what a version's folder says of it; of a base policy nothing."""
    file = Path(where) / ABOUT
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def opened(where: str, base: str, device: str | None = None) -> tuple[Any, Any]:
    """Returns the policy of a version, or of the base, and its tokenizer; the device None is the
    one where policies are measured."""
    on = measured_on() if device is None else device
    if not (Path(where) / "adapter_config.json").is_file():
        return load(where, device=on)
    model, tokenizer = load(about_of(where).get("base", base), device=on)
    with _quiet():
        peft = imported("peft", extra="train", to="LoRA")
        model = peft.PeftModel.from_pretrained(model, where, is_trainable=True)
    return model.eval(), tokenizer


def _adapted(model: Any, rank: int) -> Any:
    """Returns the model with adapters where a rank is asked for and it has none.

    Raises:
        UsageError: it has adapters, and the whole is to be trained.
    """
    has = hasattr(model, "peft_config")
    if has and not rank:
        raise UsageError("live: the version that serves is of adapters; expected lora above 0")
    if has or not rank:
        return model
    from assay.trainers.trl.one_gpu import adapters

    with _quiet():
        peft = imported("peft", extra="train", to="LoRA")
        return peft.get_peft_model(model, adapters(rank)).eval()


@contextmanager
def _quiet() -> Generator[None]:
    """Keeps what PEFT and transformers have to say of each other from people."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def base_of(model: Any, where: str, base: str) -> Teaching | None:
    """Returns what makes a version's model the base policy; None: it is that now."""
    if hasattr(model, "peft_config"):
        return model.disable_adapter
    if where == base:
        return None
    weights = Average(load(about_of(where).get("base", base), device=measured_on())[0], 1.0)
    return partial(weights.worn, model)


def _saved(model: Any, tokenizer: Any, out: Path, base: str, learnt: Learnt) -> None:
    with _quiet():
        model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    about = {"base": base, "statistics": learnt.statistics}
    (out / ABOUT).write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def digest_of(folder: Path) -> str:
    """Returns a digest of the files of a folder, names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
