"""Rebuilds what ships: the facts, and the starting policy."""

from pathlib import Path

from assay.errors import MissingExtraError


def build_facts() -> int:
    """Writes `facts.sqlite` anew, whole or not at all, and returns how many countries it holds.

    Raises:
        MissingExtraError: the package countryinfo is not installed.
    """
    from assay.world.facts import facts
    from assay.world.facts_build import build

    target = Path(__file__).with_name("facts.sqlite")
    temporary = target.with_name(".facts.sqlite.tmp")
    temporary.unlink(missing_ok=True)
    try:
        count = build(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    facts.cache_clear()
    return count


def build_policy(out: Path | None = None, seed: int = 0, batches: int | None = None) -> None:
    """Trains the starting policy into `out`, by default into the package.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        from assay.policy.loading import folder
        from assay.policy.training import Schedule, build
    except ImportError as error:
        raise MissingExtraError.of(
            error.name or "torch", extra="train", to="training the policy"
        ) from None
    schedule = Schedule(seed=seed) if batches is None else Schedule(seed=seed, batches=batches)
    build(folder() if out is None else out, schedule)
