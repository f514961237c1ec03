"""Where is the learning signal of a log, and where is it lost?

    python examples/audit_a_log.py [LOG]

Without a log it audits the recorded set that ships with Assay.
"""

import sys

from assay import audit
from assay.demo import RECORDED

result = audit(sys.argv[1] if len(sys.argv) > 1 else RECORDED)

groups = result["groups"]
print(f"{groups['total']} groups, {groups['dead']} of them dead: GRPO learns nothing from those")
print(f"  all failed {groups['all_fail']}, all passed {groups['all_pass']}")

measure = result["measure"]
for fate, seen in result["fate"].items():
    if seen[measure]:
        print(f"{fate:17}{seen[measure]:8,} {measure} in {seen['trajectories']:3} trajectories")

print("what other methods find in the dead groups:")
best = sorted(result["recovered"].items(), key=lambda pair: -pair[1]["share_of_dead"])
for name, found in best[:5]:
    print(f"  {name:13} a signal for {found['share_of_dead']:4.0%} of the steps there")
