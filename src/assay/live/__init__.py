"""Live use becomes signal: a gateway that serves and records, and the store of what it recorded.

Needs the extra [live]. `store.Store` is what the other parts read and write; docs/live.md.
"""
