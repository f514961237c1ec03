"""What must hold before any test imports transformers, in this process and in those it starts."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a tokenizer writes down whether it was offline
