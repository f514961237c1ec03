"""Rollouts that slime or miles dumped, as Assay records:

    python slime_to_assay.py TOKENIZER rollout_0.pt rollout_1.pt > rollouts.jsonl

`torch.load` runs what a pickle tells it to: use this where the files were made, on your own alone.
A reward that is a dictionary becomes its parts; `assay audit --outcome NAME` says which counts.
"""

import hashlib
import json
import sys
from itertools import groupby

ENDS = {"completed": "answered", "truncated": "budget", "aborted": "infra", "failed": "infra"}


def record(sample, name, index, decode):
    """Returns one sample as a record: a step for each run of its loss mask."""
    ids, count = [int(one) for one in sample["tokens"]], int(sample["response_length"])
    start = at = len(ids) - count
    mask = [int(one) for one in sample.get("loss_mask") or [1] * count]
    logprobs = sample.get("rollout_log_probs")
    steps = [{"kind": "user", "text": decode(ids[:at]), "token_ids": ids[:at]}]
    for own, run in groupby(mask):
        end = at + len(list(run))
        step = {"kind": "model" if own else "tool"}
        step |= {"text": decode(ids[at:end]), "token_ids": ids[at:end]}
        if own and logprobs is not None:
            step["logprobs"] = [float(one) for one in logprobs[at - start : end - start]]
        if own and sample.get("remove_sample"):
            step["untrainable"] = "masked"
        steps.append(step)
        at = end
    reward, status = sample.get("reward"), str(getattr(sample["status"], "value", sample["status"]))
    measured = not isinstance(reward, dict) and status not in ("aborted", "failed")
    return {
        "schema": "assay.trajectory/1",
        "id": f"{name}/{index}",
        "task": hashlib.sha256(str(sample["prompt"]).encode()).hexdigest()[:12],
        "group": f"{name}/{sample['group_index']}",
        "steps": steps,
        "outcome": reward if measured else None,
        "rewards": reward if isinstance(reward, dict) else {},
        "end": ENDS.get(status, "unknown"),
        "policy_version": str((sample.get("weight_versions") or [""])[-1]) or None,
    }


def main(tokenizer, *paths):
    """Prints the records of all samples of the dumps."""
    import torch
    from transformers import AutoTokenizer

    decode = AutoTokenizer.from_pretrained(tokenizer).decode
    for path in paths:
        samples = torch.load(path, weights_only=False, map_location="cpu")["samples"]
        for index, sample in enumerate(samples):
            print(json.dumps(record(sample, path.rpartition("/")[2], index, decode)))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 2 else print(__doc__)
