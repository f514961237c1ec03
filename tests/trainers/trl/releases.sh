#!/usr/bin/env bash
# Runs the contract tests on each release of TRL that we name, beside the environment's own packages.
# CI runs the newest, which is installed, and the oldest: bash tests/trainers/trl/releases.sh 1.9.2
set -euo pipefail
cd "$(dirname "$0")/../../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=.venv/bin/python
for release in "${@:-1.9.2 1.13.0}"; do
    for each in $release; do
        echo "== trl $each"
        # before 1.15 it imports requests, which it does not require
        "$python" -m pip install --quiet --disable-pip-version-check --target "$folder/$each/more" requests
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/$each" "trl==$each"
        PYTHONPATH="$folder/$each:$folder/$each/more" "$python" -m pytest -q -p no:cacheprovider \
            tests/trainers/trl/test_contract.py
    done
done
