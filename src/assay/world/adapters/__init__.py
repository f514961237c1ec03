"""Environments of other libraries as ours, one file a library.

A library is imported when one of its environments is asked for by name; `FromGymnasium` and
`FromVerifiers` use objects through a few methods and import nothing.
"""

from assay.world.adapters.gymnasium import FromGymnasium
from assay.world.adapters.verifiers import FromVerifiers

__all__ = ["FromGymnasium", "FromVerifiers"]
