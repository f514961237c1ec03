"""How policy and world talk: `line` and `chat`; start with `base`."""
