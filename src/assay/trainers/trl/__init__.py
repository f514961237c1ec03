"""TRL's GRPO with our advantages. Importing this loads no torch; asking for `AssayTrainer` does."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.trainers.trl.trainer import AssayTrainer

__all__ = ["AssayTrainer"]


def __getattr__(name: str) -> Any:
    """Loads the trainer when it is asked for."""
    if name == "AssayTrainer":
        from assay.trainers.trl.trainer import AssayTrainer

        return AssayTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
