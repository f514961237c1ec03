"""The one base of everything on disk."""

from msgspec import Struct


class Record(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Frozen, closed, and silent about defaults, so that write, read, write gives the same bytes."""
