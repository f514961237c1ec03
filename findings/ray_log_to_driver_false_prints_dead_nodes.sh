#!/usr/bin/env bash
# ray 2.60.0, two nodes of one machine, ray.init(log_to_driver=False, logging_level="ERROR"); the
#   second node's raylet is killed.
#
# One would guess: the driver's standard output has what the driver prints; of the node one hears by
#   exceptions, or on standard error.
# Behaviour: news of the dead node, with the last lines of the raylet's log, more than 2,000
#   characters in all, come in the middle of the driver's standard output. Not a byte of them is on
#   standard error.
# What follows: a command whose output is data (`... --json - | jq`) and that runs tasks on Ray has
#   to turn Ray's writer off itself, or send its own output elsewhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0
cat > "$folder/driver.py" <<'PYTHON'
import os
import signal
import time

import ray
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
print("first line of data", flush=True)
os.kill(second.all_processes["raylet"][0].process.pid, signal.SIGKILL)
late = time.monotonic() + 120
while sum(node["Alive"] for node in ray.nodes()) == 2 and time.monotonic() < late:
    time.sleep(0.5)
time.sleep(5)
print("last line of data", flush=True)
ray.shutdown()
cluster.shutdown()
PYTHON
cat > "$folder/check.py" <<'PYTHON'
import sys
from pathlib import Path

out, errors = (Path(each).read_text() for each in sys.argv[1:])
begin, end = "first line of data\n", "last line of data"
between = out[out.index(begin) + len(begin) : out.index(end)]
first = between.splitlines()[0] if between else ""
print(f"characters between two lines of data on standard output: {len(between):,}")
print(f"the first line there begins: {first[:60]!r}")
print(f"raylet on standard error: {'raylet' in errors}")
sys.exit(0 if "(raylet)" in first and len(between) > 2000 and "raylet" not in errors else 1)
PYTHON
export RAY_USAGE_STATS_ENABLED=0
cd "$folder"
timeout 300 "$folder/env/bin/python" driver.py >out.txt 2>errors.txt
"$folder/env/bin/python" check.py out.txt errors.txt
