#!/usr/bin/env bash
# bm25s 0.3.16, method="bm25+" and method="bm25l": what delta is worth.
#
# One would guess: delta is the least that a word found in a document counts, however long the
#   document (Lv and Zhai, 2011), so a larger delta lifts long documents over those that lack it.
# Behaviour: a document that lacks the word is given the same delta ("non-occurrence"). Of bm25+ a
#   larger delta adds one number to every document of the index, those without any word of the
#   query too: differences, and so the ranking, are those of delta 0. Of bm25l it takes away: to
#   have the word counts for less over not having it, and at delta 5 for next to nothing.
# What follows: a search over delta finds nothing; a threshold on the score, or "above 0", lets
#   pass documents that share no word with the query.
# Seen: the lines of `expected` below; `paper` is Lv and Zhai's bm25+ of the same index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check bm25s==0.3.16 numpy==2.4.6
cat > "$folder/delta.py" <<'PYTHON'
from math import log

import bm25s

# Both words of the query among 60 others; one of them, twice, in a short one; neither.
long, short = ["red", "blue", *(f"f{n}" for n in range(60))], ["red", "red", "other"]
index = [long, short, *([f"x{n}", "y", "z"] for n in range(20))]
query, k1, b = ["red", "blue"], 1.5, 0.75
mean = sum(len(document) for document in index) / len(index)


def paper(document, delta):
    total = 0.0
    for word in query:
        if (count := document.count(word)) > 0:
            idf = log((len(index) + 1) / sum(word in each for each in index))
            room = k1 * (1 - b + b * len(document) / mean)
            total += idf * (delta + count * (k1 + 1) / (count + room))
    return total


def say(who, delta, long, short, neither):
    first = "long" if long > short else "short"
    print(f"{who:6} delta {delta}: neither {neither:5.2f}, ", end="")
    print(f"long +{long - neither:.2f}, short +{short - neither:.2f}, first {first}")


for delta in (0, 1, 5):
    say("paper", delta, *(paper(document, delta) for document in index[:3]))
for method in ("bm25+", "bm25l"):
    for delta in (0, 1, 5):
        made = bm25s.BM25(method=method, delta=delta, k1=k1, b=b)
        made.index(index, show_progress=False)
        say(method, delta, *made.get_scores(query)[:3].tolist())
PYTHON
said=$("$folder/env/bin/python" "$folder/delta.py" 2>"$folder/log") \
    || { cat "$folder/log" >&2; exit 1; }
echo "bm25s==0.3.16, numpy==2.4.6"
echo "$said"
expected=$'paper  delta 0: neither  0.00, long +1.02, short +4.11, first short
paper  delta 1: neither  0.00, long +6.60, short +6.56, first long
paper  delta 5: neither  0.00, long +28.91, short +16.32, first long
bm25+  delta 0: neither  0.00, long +1.02, short +4.11, first short
bm25+  delta 1: neither  5.58, long +1.02, short +4.11, first short
bm25+  delta 5: neither 27.89, long +1.02, short +4.11, first short
bm25l  delta 0: neither  0.00, long +0.91, short +3.74, first short
bm25l  delta 1: neither  4.95, long +0.34, short +1.84, first short
bm25l  delta 5: neither  9.52, long +0.05, short +0.41, first short'
if [ "$said" != "$expected" ]; then
    printf 'expected:\n%s\n' "$expected" >&2
    exit 1
fi
