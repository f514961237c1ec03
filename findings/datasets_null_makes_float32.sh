#!/usr/bin/env bash
# datasets 5.2.0: a row without a seed changes the seed of the row beside it.
#
# One would guess: a column of integers stays integer in the numpy format, or a missing one is
#   refused or masked.
# Behaviour: a slice that holds a None becomes float32 (not float64), and integers above 2**24 are
#   rounded. The row read alone is whole, so what a seed, an id of a token or a time stamp is depends
#   on the other rows of the batch. The torch format does the same.
# What follows: keep such columns out of the format (`columns=`), or fill the gaps with a number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
HF_HUB_OFFLINE=1 "$folder/env/bin/python" - <<'PYTHON'
from datasets import Dataset

kept = Dataset.from_dict({"seed": [123456789, 7, None]}).with_format("numpy")
print("type of the column:", kept.features["seed"].dtype)
for rows in ([0], [0, 1], [0, 2]):
    seeds = kept[rows]["seed"]
    print("rows", rows, seeds.dtype, int(seeds[0]))
assert kept.features["seed"].dtype == "int64"
assert int(kept[0]["seed"]) == int(kept[[0, 1]]["seed"][0]) == 123456789
assert kept[[0, 2]]["seed"].dtype == "float32"
assert int(kept[[0, 2]]["seed"][0]) == 123456792
PYTHON
