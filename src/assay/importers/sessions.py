"""What logs of single sessions share: no task, no group, and a verdict that lies beside at most.

The verdict of `NAME.jsonl` (or of a folder `NAME`) is `NAME.result.json`: an object with `resolved`
(true or false) or `reward` (a number). Its other numbers are parts of the reward.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.files.packed import plain_name
from assay.importers.base import Importer, Log, Record, graded, prompt_name
from assay.importers.fields import Fields
from assay.records import Ledger, ModelStep, Step, Trajectory, UserStep

_SHOWN = 80
"""Characters of a prompt that name its task."""


def result_of(path: Path) -> Path:
    """Returns where the verdict of a session file, or of a session's folder, would lie."""
    name = plain_name(path)
    stem = name if path.is_dir() else name.removesuffix(".jsonl").removesuffix(".json")
    return path.with_name(f"{stem}.result.json")


class Sessions(Importer):
    """A format whose files are sessions, each with its verdict beside it."""

    def beside(self, file: Path) -> tuple[Path, ...]:
        return tuple(one for one in (result_of(file),) if one.is_file())

    def parts(self, file: Path) -> tuple[Path, ...]:
        return file, result_of(file)


def verdict(log: Log, file: Path) -> dict[str, float | None]:
    """Returns the numbers of a verdict, true as 1; none where there is no such file."""
    raw = log.document(file) if file.is_file() else None
    if raw is None:
        return {}
    told = Fields(raw, str(file), log.losses, "a verdict object")
    numbers = {key: told.raw[key] for key in ("resolved", "reward") if key in told.raw}
    numbers |= {k: v for k, v in told.raw.items() if isinstance(v, (bool, int, float))}
    return {key: told.score(key) for key in numbers}


def task_of(folder: str, prompt: str) -> str:
    """Returns the name of a task: where it was asked and what; a long prompt is cut and hashed."""
    line = " ".join(prompt.split())
    if len(line) > _SHOWN:
        line = f"{line[: _SHOWN - 20].rstrip()} {prompt_name(prompt)}"
    return f"{folder}: {line}" if folder and line else folder or line or "no task"


@dataclass(slots=True)
class Session:
    """What is known of one session, however its log is written."""

    id: str
    at: Fields
    """Its first record."""
    verdict: Path
    folder: str = ""
    """Where it worked."""
    models: dict[str, None] = field(default_factory=dict)
    tokens: int | None = None
    """Generated ones, as far as the log counts them."""
    facts: dict[str, Any] = field(default_factory=dict)
    """More that `--group` may name."""

    def spent(self, tokens: int | None) -> None:
        """Adds the tokens of one model call."""
        if tokens is not None:
            self.tokens = (self.tokens or 0) + tokens

    def trajectory(
        self, log: Log, importer: Importer, place: int, steps: Iterable[Step], **rest: Any
    ) -> Trajectory:
        """Returns its trajectory, a group of its own.

        `--group` and `--outcome` may name `session`, `folder`, `prompt`, `model` and its facts.
        """
        steps = tuple(steps)
        prompt = next((step.text for step in steps if type(step) is UserStep), "")
        model = ", ".join(list(self.models)[:3]) or None
        raw = {
            "session": self.id,
            "folder": self.folder,
            "prompt": prompt,
            "model": model,
            **self.facts,
        }
        record = Record(raw, self.at.where, log, importer, place, 0)
        parts = verdict(log, self.verdict)
        source = "resolved" if "resolved" in parts else "reward"
        outcome = record.scored(parts.get(source))
        calls = sum(len(s.calls) for s in steps if type(s) is ModelStep)
        extra: dict[str, Any] = {k: raw[k] or None for k in ("session", "folder", *self.facts)}
        return record.trajectory(
            task_of(self.folder, prompt),
            steps,
            id=self.id,
            group=self.id,
            outcome=outcome,
            rewards=parts,
            grades=graded(outcome, source),
            policy_version=model,
            ledger=Ledger(tokens=self.tokens, calls=calls),
            origin=record.origin(0, **extra),
            **rest,
        )
