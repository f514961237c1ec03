#!/usr/bin/env bash
# litellm 1.108.7, stream=True with n=2: which of two answers was cut off.
#
# One would guess: each choice of a stream ends with its own finish_reason, as it does through
#   OpenAI's client, and as in the same two answers not streamed.
# Behaviour: the first finish_reason that arrives is given to choice 0, whoever it was sent for; no
#   other choice gets one. Here choice 1 is cut off ("length") and choice 0 ends by itself
#   ("stop"): the stream says "length" of choice 0, in the middle of its text, and nothing of
#   choice 1.
# What follows: with truncated answers masked or punished, a complete one is, and the truncated one
#   is trained on. Who reads a choice until its finish_reason loses the rest of choice 0, and waits
#   for choice 1 until the stream ends. Sample with n=1, or without a stream.
# Seen: the three lines of `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check litellm==1.108.7 openai==3.57.0
cat > "$folder/ends.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm
from openai import OpenAI

# (choice, text, how it ends), in the order in which a server sends them
parts = [
    (0, "one ", None), (1, "two ", None), (1, "thr", None), (1, None, "length"),
    (0, "half", None), (0, None, "stop"),
]
shared = {"id": "x", "created": 1, "model": "m"}


def piece(index, text, finish):
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {**shared, "object": "chat.completion.chunk", "choices": [choice]}


def whole(index):
    text = "".join(t for i, t, _ in parts if i == index and t)
    finish = next(f for i, _, f in parts if i == index and f)
    message = {"role": "assistant", "content": text}
    return {"index": index, "message": message, "finish_reason": finish}


class Server(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked.get("stream"):
            lines = [json.dumps(piece(*part)) for part in parts] + ["[DONE]"]
            kind, body = "text/event-stream", "".join(f"data: {line}\n\n" for line in lines)
        else:
            kind, body = "application/json", json.dumps(
                {**shared, "object": "chat.completion", "choices": [whole(0), whole(1)]}
            )
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def say(who, answers):
    texts, ends = {0: "", 1: ""}, {0: [], 1: []}
    for choice in (c for answer in answers for c in answer.choices):
        part = getattr(choice, "delta", None) or choice.message
        texts[choice.index] += part.content or ""
        if choice.finish_reason:
            ends[choice.index].append(f"{choice.finish_reason} after {texts[choice.index]!r}")
    print(f"{who:22}", *(f"{i}: {', '.join(ends[i]) or 'never'};" for i in (0, 1)))


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
ask = {"messages": [{"role": "user", "content": "?"}], "n": 2}
there = {"model": "openai/m", "api_base": url, "api_key": "none"}
client = OpenAI(base_url=url, api_key="none")
say("openai, streamed", client.chat.completions.create(model="m", stream=True, **ask))
say("litellm, not streamed", [litellm.completion(**there, **ask)])
say("litellm, streamed", litellm.completion(**there, **ask, stream=True))
server.shutdown()
PYTHON
said=$(LITELLM_LOCAL_MODEL_COST_MAP=True NO_PROXY=127.0.0.1 \
    "$folder/env/bin/python" "$folder/ends.py" 2>"$folder/log") \
    || { cat "$folder/log" >&2; exit 1; }
echo "litellm==1.108.7, openai==3.57.0"
echo "$said"
expected="openai, streamed       0: stop after 'one half'; 1: length after 'two thr';
litellm, not streamed  0: stop after 'one half'; 1: length after 'two thr';
litellm, streamed      0: length after 'one '; 1: never;"
if [ "$said" != "$expected" ]; then
    printf 'expected:\n%s\n' "$expected" >&2
    exit 1
fi
