#!/usr/bin/env bash
# safetensors 0.8.0: a numpy array in Fortran order comes back with its values in other places.
#
# One would guess: what save_file takes without a word, load_file gives back. The docstring asks for
#   arrays that are contiguous and dense, which a transposed matrix is; the torch side refuses what
#   it cannot store.
# Behaviour: the shape is written in C order and the memory as it lies, so a matrix of
#   log-probabilities that was transposed once is read back shuffled, in the right shape and dtype.
#   0.7.0 stored the same array rightly.
# What follows: np.ascontiguousarray before safetensors.numpy.save, or 0.7.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cat > "$folder/turn.py" <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

by_token = np.array([[-0.1, -0.2, -0.3], [-1.1, -1.2, -1.3]], np.float32)  # (row, token)
by_row = by_token.T
assert by_row.flags.f_contiguous and not by_row.flags.c_contiguous
save_file({"logps": by_row}, sys.argv[1])
back = load_file(sys.argv[1])["logps"]
assert back.shape == by_row.shape and back.dtype == by_row.dtype
print(by_row.tolist() == back.tolist(), *[" ".join(f"{x:.1f}" for x in row) for row in back], sep=" | ")
PYTHON
for version in 0.7.0 0.8.0; do
    "$folder/env/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version"
    said=$("$folder/env/bin/python" "$folder/turn.py" "$folder/$version")
    echo "safetensors==$version: the same: $said"
    case $version in
        0.7.0) expected='True | -0.1 -1.1 | -0.2 -1.2 | -0.3 -1.3' ;;
        0.8.0) expected='False | -0.1 -0.2 | -0.3 -1.1 | -1.2 -1.3' ;;
    esac
    if [ "$said" != "$expected" ]; then
        echo "expected: $expected" >&2
        exit 1
    fi
done
