#!/usr/bin/env bash
# Runs the contract tests on releases of TRL, beside the environment's own packages.
#
#   bash tests/trainers/trl/releases.sh                     each release and combination named below
#   bash tests/trainers/trl/releases.sh 1.9.2               one release; CI runs the oldest like this
#   bash tests/trainers/trl/releases.sh 1.13.0,transformers==5.17.0,datasets==4.8.5
#
# An argument is a release of TRL and, behind commas, the pins of packages that take the place of
# the environment's. PYTHON names the environment's interpreter (.venv/bin/python).
set -euo pipefail
cd "$(dirname "$0")/../../.."
unsloth=1.13.0,transformers==5.17.0,datasets==4.8.5 # under its caps of October 2026
[ $# -gt 0 ] || set -- 1.9.2 1.13.0 "$unsloth"
python=${PYTHON:-.venv/bin/python}
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for each in "$@"; do
    echo "== trl ${each//,/ }"
    # an environment above the other: pip brings what the pins need and the other lacks
    own=$folder/$each
    "$python" -m venv "$own"
    echo "$packages" >"$("$own/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/below.pth"
    # before 1.15 TRL imports requests, which it does not require
    IFS=, read -ra pins <<<"trl==$each"
    "$own/bin/pip" install --quiet --disable-pip-version-check "${pins[@]}" requests
    "$own/bin/pip" --disable-pip-version-check freeze 2>/dev/null | grep -E '^(trl|transformers|datasets|torch)==' | paste -sd' '
    PYTHONPATH=src "$own/bin/python" -m pytest -q -p no:cacheprovider tests/trainers/trl/test_contract.py
done
