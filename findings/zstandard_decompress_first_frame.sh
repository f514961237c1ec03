#!/usr/bin/env bash
# zstandard 0.25.0: decompress() of a log that was appended to returns the first part alone.
#
# One would guess: the format allows frames one after the other, so bytes that `zstd -d` and the
#   package's own open() read whole are read whole, or what is left over is refused.
# Behaviour: ZstdDecompressor().decompress stops behind the first frame and says nothing. open() and
#   stream_reader read on. A log of rollouts that two runs appended to loses the second run's lines,
#   and what is left parses.
# What follows: read with zstandard.open or stream_reader, also what lies in memory.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check zstandard==0.25.0
"$folder/env/bin/python" - "$folder/log.jsonl.zst" <<'PYTHON'
import io
import sys

import zstandard

path = sys.argv[1]
for run in (1, 2):
    with open(path, "ab") as log:
        log.write(zstandard.ZstdCompressor().compress(f'{{"run": {run}}}\n'.encode()))
with open(path, "rb") as log:
    data = log.read()
reader = zstandard.ZstdDecompressor()
whole = zstandard.open(path).read()
once = reader.decompress(data)
stream = reader.stream_reader(io.BytesIO(data)).read()
print("open         ", whole)
print("stream_reader", stream)
print("decompress   ", once)
assert whole == stream == b'{"run": 1}\n{"run": 2}\n'
assert once == b'{"run": 1}\n'
PYTHON
