"""Engines that continue token ids. Importing this loads no torch; `local` does."""

from assay.rollout.backends.base import SILENCE, Backend, Reader, Sampling

__all__ = ["SILENCE", "Backend", "Reader", "Sampling"]
