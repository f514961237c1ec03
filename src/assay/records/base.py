"""The one base of everything on disk."""

from msgspec import Struct


class Record(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False
):
    """Frozen, closed, silent about defaults: write, read, write gives the same bytes.

    Its parts are older than itself, so it is in no cycle, and the collector need not look at it.
    """
