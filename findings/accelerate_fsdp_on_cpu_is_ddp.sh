#!/usr/bin/env bash
# accelerate 1.15.0, FSDP2 asked for on a machine without a GPU (or with cpu=True).
#
# One would guess: the model is in shards, as torch's fully_shard makes them on gloo too; or FSDP is
#   refused there.
# Behaviour: the plug-in is dropped without a word, whether it came from `accelerate launch
#   --use_fsdp` or from code. `prepare` returns DistributedDataParallel, and each process keeps all
#   parameters. The same model under fully_shard itself keeps half of them in each of two.
# What follows: look at `accelerator.distributed_type` before trusting a test on CPU of a script
#   that is meant for FSDP.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check accelerate==1.15.0
cat > "$folder/shards.py" <<'PYTHON'
import os
import sys
import warnings

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

given = sys.argv[1] == "plugin"
asked = FullyShardedDataParallelPlugin(fsdp_version=2) if given else None
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    accelerator = Accelerator(cpu=True, fsdp_plugin=asked)
    whole = torch.nn.Linear(64, 64, bias=False)
    model = accelerator.prepare(whole)
said = [str(each.message) for each in said if "fsdp" in str(each.message).lower()]
own = sum(p.numel() for p in model.parameters())
mesh = init_device_mesh("cpu", (2,))
sharded = fully_shard(torch.nn.Linear(64, 64, bias=False), mesh=mesh)
half = sum(p.to_local().numel() for p in sharded.parameters())
if accelerator.process_index == 0:
    launched = os.environ.get("ACCELERATE_USE_FSDP", "not set")
    print(f"{sys.argv[1]}: ACCELERATE_USE_FSDP {launched}, {accelerator.distributed_type},", end=" ")
    print(f"{type(model).__name__}, {own} parameters a process, warned: {said or 'of nothing'};")
    print(f"  under fully_shard {half}")
assert type(model).__name__ == "DistributedDataParallel", type(model)
assert (own, half, said) == (64 * 64, 64 * 32, []), (own, half, said)
accelerator.end_training()
PYTHON
export OMP_NUM_THREADS=1
cd "$folder"
for way in plugin launched; do
    options=(--num_machines 1 --num_processes 2 --mixed_precision no --dynamo_backend no)
    if [ "$way" = plugin ]; then options+=(--multi_gpu); else options+=(--use_fsdp --fsdp_version 2); fi
    port=$((20000 + RANDOM % 20000))
    "$folder/env/bin/accelerate" launch "${options[@]}" --main_process_port "$port" \
        "$folder/shards.py" "$way"
done
