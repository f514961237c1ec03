#!/usr/bin/env bash
# scienceworld 1.2.3: the expert's path of one variation depends on how Java numbers its objects.
#
# One would guess: task and variation fix the game, so two processes give the same gold path.
# Behaviour: Java's identity hash decides which of several animals, doors or pots the expert takes.
#   The virtual machine deals the hash out as it runs, so now and then a process has another path
#   (find-living-thing: one of six processes). Below, an option fixes the hash at 1: the path is
#   another, the same each time, and both reach full marks.
# What follows: store the path beside the trajectory; do not derive it again. For runs that repeat,
#   set JAVA_TOOL_OPTIONS as below. Needs a Java runtime (17 was used).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check scienceworld==1.2.3 py4j==0.10.9.9
cat > "$folder/path.py" <<'PYTHON'
from scienceworld import ScienceWorldEnv

world = ScienceWorldEnv("")
world.load("find-animal", 0, "", generateGoldPath=True)
world.reset()
path = world.get_gold_action_sequence()
for action in path:
    _, _, done, info = world.step(action)
    if done:
        break
print(info["score"], *path, sep=" | ")
world.close()
PYTHON
fixed="-XX:+UnlockExperimentalVMOptions -XX:hashCode=2"
play() { JAVA_TOOL_OPTIONS=$1 "$folder/env/bin/python" "$folder/path.py" 2>/dev/null | tail -1; }
usual=$(play "")
one=$(play "$fixed")
other=$(play "$fixed")
printf '%s\n' "as it comes: $usual" "hash is 1:   $one"
if [ "${usual%%|*}" != "100 " ] || [ "${one%%|*}" != "100 " ]; then
    echo "expected full marks on both paths" >&2
    exit 1
fi
if [ "$one" != "$other" ] || [ "$one" = "$usual" ]; then
    echo "expected two different paths, the second of them twice" >&2
    exit 1
fi
