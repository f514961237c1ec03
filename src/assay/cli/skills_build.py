"""What `assay skills build` takes: who writes, what may teach, and the bank that grows."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import DataError, UsageError, one_line

if TYPE_CHECKING:
    from assay.skills.bank import Bank


def begun(path: Path, cap: int | None, evidence: int | None) -> "Bank":
    """Returns the bank that a build adds to.

    Raises:
        UsageError: it is there, and has another bound.
    """
    from assay.skills import store
    from assay.skills.bank import Bank

    new = not store.is_bank(path)
    known = Bank() if new else store.opened(path)
    asked = {"cap": cap or known.cap, "evidence": evidence or known.evidence}
    if new:
        return Bank(cap=asked["cap"], evidence=asked["evidence"])
    for name, wanted in asked.items():
        if wanted != (has := getattr(known, name)):
            raise UsageError(f"--{name} {wanted}: {path} has {has}, and a bank keeps its bounds; "
                             "leave it out, or build another one with -o")  # fmt: skip
    return known


def of_training(log: Path, records: Iterable[Any], losses: Any) -> Iterator[Any]:
    """Yields the records of a log of which nobody said what is measured on.

    Raises:
        DataError: some of them are of an evaluation.
    """
    yield from records
    measured = {kind.partition(":")[2]: n for kind, n in losses.counts.items()
                if kind.startswith("of_evaluation")}  # fmt: skip
    if measured:
        which = ", ".join(f"{one_line(name)} {n:,}" for name, n in sorted(measured.items()))
        raise DataError(
            f"{log}: holds trajectories of an evaluation ({which}); what is measured on teaches "
            "nothing: give the training logs alone, or name those tasks with --held-out"
        )


def lost(write: Any, name: str) -> list[str]:
    """Returns in words what a model did not write; nothing where there is nothing to say.

    Raises:
        DataError: it never answered.
    """
    lost = getattr(write, "lost", {})
    why = ", ".join(f"{why} {n:,}" for why, n in sorted(lost.items()))
    if lost and write.silent:
        raise DataError(f"--writer {name}: never answered ({why}); nothing was written")
    return [f"of the writer: {why}"] if why else []


def tasks(path: Path) -> set[str]:
    """Returns the tasks that a file names, a line each.

    Raises:
        DataError: it is no text.
    """
    try:
        return {line.strip() for line in path.read_text("utf-8").splitlines()} - {""}
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {error.reason} at byte {error.start}; expected UTF-8") from None


def writer(name: str, model: str, key: str | None, timeout: float) -> Any:
    """Returns who writes: the template, a model behind an address, or one of this machine."""
    from assay.skills.asking import Asked
    from assay.skills.templates import written

    if name == "template":
        return written
    if name.startswith(("http://", "https://")):
        from assay.cli.rubric import endpoint_of

        return Asked(endpoint_of(name, model, key, timeout))
    if name.startswith("policy:"):
        from assay.policy.judging import LocalJudge

        local = LocalJudge(name.removeprefix("policy:"))

        def ask(messages: Any) -> str:
            (said,) = local([messages])
            if isinstance(said, Exception):
                raise said
            return said

        return Asked(ask, parallel=1)
    raise UsageError(f"--writer {name}: expected template, an address (http://...) or policy:NAME")
