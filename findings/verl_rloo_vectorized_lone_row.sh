#!/usr/bin/env bash
# verl 0.9.1, algorithm.adv_estimator=rloo and rloo_vectorized, and the two of grpo beside them.
#
# One would guess: the vectorized estimator is the loop, faster; for grpo it is.
# Behaviour: a row that is alone in its group (the others were filtered, or n=1) keeps its raw reward
#   under rloo and gets 0 under rloo_vectorized. Under both of grpo it keeps its raw reward. Rows of
#   larger groups agree everywhere.
# What follows: a curve does not compare across the two names where groups lose rows; under rloo a
#   lone success is reinforced without a baseline, under rloo_vectorized it teaches nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    verl==0.9.1 ray==2.60.0 tensordict==0.10.0 transformers==5.10.4 peft==0.21.2 accelerate==1.15.0
cat > "$folder/lone.py" <<'PYTHON'
import numpy as np
import torch
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

rewards = torch.zeros(5, 3)
rewards[:, -1] = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0])
group = np.array(["lone", "mixed", "mixed", "equal", "equal"], dtype=object)
for name in ("rloo", "rloo_vectorized", "grpo", "grpo_vectorized"):
    made, _ = get_adv_estimator_fn(name)(
        token_level_rewards=rewards, response_mask=torch.ones(5, 3), index=group, config=None
    )
    print(f"{name:16}", *(f"{row:5.2f}" for row in made[:, 0]))
PYTHON
said=$("$folder/env/bin/python" "$folder/lone.py" 2>"$folder/log") || { cat "$folder/log" >&2; exit 1; }
echo "verl==0.9.1, torch==2.13.0"
echo "rewards 1 (alone in its group), 1 and 0, 1 and 1"
echo "$said"
expected=$'rloo              1.00  1.00 -1.00  0.00  0.00
rloo_vectorized   0.00  1.00 -1.00  0.00  0.00
grpo              1.00  0.71 -0.71  0.00  0.00
grpo_vectorized   1.00  0.71 -0.71  0.00  0.00'
if [ "$said" != "$expected" ]; then
    printf 'expected:\n%s\n' "$expected" >&2
    exit 1
fi
