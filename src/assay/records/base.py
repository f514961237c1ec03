"""The one base of everything on disk."""

from msgspec import Struct


class Record(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Frozen, closed, silent about defaults: write, read, write gives the same bytes."""
