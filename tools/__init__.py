"""What makes the files that ship: the recorded set, the facts and the starting policy.

Run from the repository's root, in the environment of `make test`; nothing of it is in the wheel.

    python -m tools.record    src/assay/demo/rollouts.jsonl, and tools/planted.json: its faults
    python -m tools.facts     src/assay/world/facts.sqlite
    python -m tools.policy    src/assay/policy/start
"""
