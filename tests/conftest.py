"""What must hold before any test imports transformers or assay, here and in its processes."""

import os

import jaxtyping

from tests import checked

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a tokenizer writes down whether it was offline
jaxtyping.jaxtyped = checked.jaxtyped
