#!/usr/bin/env bash
# numpy 2.4.6: a list of seeds that ends in 0 names the same generator as the list without it.
#
# One would guess: [run, step] and [run, step, 0] are two seeds, so that "attempt 0 of step 7" and
#   "step 7" draw different numbers.
# Behaviour: entropy is padded with zeros to four words before it is mixed. Up to four words, zeros
#   at the end change nothing; a fifth word does.
# What follows: give every source of chance a list of one fixed length, or put the length first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np


def first(*words):
    return np.random.default_rng(list(words)).integers(2**32)


print("[11, 7]          ", first(11, 7))
print("[11, 7, 0]       ", first(11, 7, 0))
print("[11, 7, 0, 0]    ", first(11, 7, 0, 0))
print("[11, 7, 0, 0, 0] ", first(11, 7, 0, 0, 0))
assert first(11, 7) == first(11, 7, 0) == first(11, 7, 0, 0)
assert first(11, 7) != first(11, 7, 0, 0, 0)
assert first(11, 7) != first(0, 11, 7)
PYTHON
