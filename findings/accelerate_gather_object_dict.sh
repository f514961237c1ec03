#!/usr/bin/env bash
# accelerate 1.15.0: gather_object of a dictionary gives the dictionary in one process, and nothing
# but its keys in two.
#
# One would guess: as the docstring names dictionaries, each process gets the dictionaries of all.
# Behaviour: what the processes hand in is joined as if it were lists. In two processes a dictionary
#   is joined by its keys, the values are gone, and a text falls into letters. In one process the
#   object itself comes back, not a list of it, so that a script tested in one process reads well.
# What follows: wrap what is to be gathered in a list of one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check accelerate==1.15.0
cat > "$folder/gather.py" <<'PYTHON'
from accelerate import Accelerator
from accelerate.utils import gather_object

accelerator = Accelerator(cpu=True)
rank, size = accelerator.process_index, accelerator.num_processes
facts = gather_object({"reward": 0.5 + rank, "turns": 3})
words = gather_object(f"r{rank}")
wrapped = gather_object([{"reward": 0.5 + rank}])
if rank == 0:
    print(f"{size} processes:", facts, words, wrapped)
if size == 1:
    assert facts == {"reward": 0.5, "turns": 3} and words == "r0", (facts, words)
else:
    assert facts == ["reward", "turns", "reward", "turns"], facts
    assert words == ["r", "0", "r", "1"], words
    assert wrapped == [{"reward": 0.5}, {"reward": 1.5}], wrapped
accelerator.end_training()
PYTHON
export OMP_NUM_THREADS=1
"$folder/env/bin/python" "$folder/gather.py"
"$folder/env/bin/python" -m torch.distributed.run --standalone --nproc_per_node 2 "$folder/gather.py"
