#!/usr/bin/env bash
# verl 0.9.1, rollout_correction with rollout_rs=token_k1, seq_sum_k1 or seq_mean_k1: what stays.
#
# One would guess: rollout_rs_threshold="0.6_1.4" keeps tokens whose ratio of probabilities,
#   training over rollout, is from 0.6 to 1.4. verl's page on it has that example, and says that
#   rejection drops what has "IS ratios outside [lower_threshold, upper_threshold]"; as
#   rollout_is_threshold the same words mean it.
# Behaviour: the bounds are laid on -log r, so on the inverse: kept is 1/1.4 to 1/0.6, .714 to
#   1.667. A token that became likelier by half is trained on, one that became less likely by a
#   third is not. Only bounds that are each other's inverse, as a single number makes them, mean
#   what they say.
# What follows: write what is meant as "1/upper_1/lower", here "0.714_1.667".
# Seen: the lines of `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    verl==0.9.1 ray==2.60.0 tensordict==0.10.0 transformers==5.10.4 peft==0.21.2 accelerate==1.15.0
cat > "$folder/bounds.py" <<'PYTHON'
import torch
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_rejection_mask

ratios = torch.tensor([[0.5, 0.65, 0.75, 1.0, 1.3, 1.5, 1.8]])
rollout = torch.full_like(ratios, -2.0)


def kept(bounds):
    weights, mask, _ = compute_rollout_correction_and_rejection_mask(
        old_log_prob=rollout + ratios.log(), rollout_log_prob=rollout,
        response_mask=torch.ones_like(ratios),
        rollout_is="token", rollout_is_threshold=bounds,
        rollout_rs="token_k1", rollout_rs_threshold=bounds,
    )
    return weights.batch["rollout_is_weights"][0] > 0, mask[0] > 0


for bounds in ("0.6_1.4", "0.714_1.667"):
    for name, stay in zip(("rollout_is", "token_k1"), kept(bounds)):
        print(f"{bounds:12} {name:10} keeps", *(f"{ratio:.2f}" for ratio in ratios[0][stay]))
PYTHON
said=$("$folder/env/bin/python" "$folder/bounds.py" 2>"$folder/log") \
    || { cat "$folder/log" >&2; exit 1; }
echo "verl==0.9.1, torch==2.13.0"
echo "ratios 0.50 0.65 0.75 1.00 1.30 1.50 1.80"
echo "$said"
expected=$'0.6_1.4      rollout_is keeps 0.65 0.75 1.00 1.30
0.6_1.4      token_k1   keeps 0.75 1.00 1.30 1.50
0.714_1.667  rollout_is keeps 0.75 1.00 1.30 1.50
0.714_1.667  token_k1   keeps 0.65 0.75 1.00 1.30'
if [ "$said" != "$expected" ]; then
    printf 'expected:\n%s\n' "$expected" >&2
    exit 1
fi
