#!/usr/bin/env bash
# datasets 5.2.0: Dataset.from_list keeps only the columns that the first row has.
#
# One would guess: a column that some rows lack is filled with None, as it is inside a column of
#   dictionaries; or a row with an unknown key is refused.
# Behaviour: the keys of the first row are the columns. What later rows have beyond them is dropped
#   without a word, so whether a log of rollouts keeps its optional fields depends on which rollout
#   comes first. Keys inside a column of dictionaries are united instead.
# What follows: give every row every key, or build the table column by column.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
HF_HUB_OFFLINE=1 "$folder/env/bin/python" - <<'PYTHON'
from datasets import Dataset

bare = {"id": "a", "reward": 0.0, "info": {"turns": 3}}
full = {"id": "b", "reward": 1.0, "info": {"turns": 2, "tools": 1}, "error": "timeout"}
for rows in ([bare, full], [full, bare]):
    kept = Dataset.from_list(rows)
    print([row["id"] for row in rows], "->", kept.column_names, [row["info"] for row in kept])
assert Dataset.from_list([bare, full]).column_names == ["id", "reward", "info"]
assert "error" in Dataset.from_list([full, bare]).column_names
assert Dataset.from_list([bare, full])[0]["info"] == {"turns": 3, "tools": None}
PYTHON
