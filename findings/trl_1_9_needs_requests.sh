#!/usr/bin/env bash
# TRL 1.9.2 beside huggingface_hub 2.4.0: GRPOTrainer cannot be imported, a package is missing.
#
# One would guess: what `pip install trl==1.9.2` brings is enough to import its trainers.
# Behaviour: the module of the vLLM client, which the trainer's module imports whether vLLM is used
#   or not, imports `requests` and `urllib3` at its top; TRL names requests only under its extra
#   [vllm]. Older releases of huggingface_hub brought requests along; from 1.0 on it uses httpx.
# What follows: install requests beside TRL 1.9 to 1.14, or take TRL 1.15 or newer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    trl==1.9.2 transformers==5.23.0 huggingface_hub==2.4.0 datasets==5.2.0 accelerate==1.15.0
"$folder/env/bin/python" - <<'PYTHON'
try:
    from trl import GRPOTrainer
except RuntimeError as error:
    print(str(error).splitlines()[-1])
    assert "requests" in str(error)
else:
    raise SystemExit(f"imported: {GRPOTrainer}")
PYTHON
