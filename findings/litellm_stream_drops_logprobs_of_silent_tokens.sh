#!/usr/bin/env bash
# litellm 1.108.7: a streamed answer has fewer log-probabilities than tokens.
#
# One would guess: with logprobs=True a stream passes on the log-probability of every token that
#   the server sent, as the same answer not streamed does, and as OpenAI's client does for this
#   stream.
# Behaviour: a piece whose text is empty is dropped whole, its log-probability with it. Servers
#   send such pieces for tokens that show no text yet: the first bytes of a character, a control
#   token.
# What follows: sums of log-probabilities and importance ratios come out too high, and numbers no
#   longer stand beside their tokens. Take them from an answer that is not streamed.
# Seen: OpenAI's client 5 of 5 tokens, sum -15.0; litellm not streamed 5, -15.0; streamed 3, -3.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check litellm==1.108.7 openai==3.57.0
cat > "$folder/silent.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm
from openai import OpenAI

# A character of three tokens: two show no text, the third shows it.
tokens = [("a", -0.5), ("", -5.0), ("", -7.0), ("\u732b", -1.0), (".", -1.5)]
shared = {"id": "x", "created": 1, "model": "m"}


def told(text, nats):
    one = {"token": text, "logprob": nats, "bytes": None, "top_logprobs": []}
    return {"content": [one], "refusal": None}


def piece(delta, logprobs=None, finish=None):
    choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    return {**shared, "object": "chat.completion.chunk", "choices": [choice]}


class Server(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked.get("stream"):
            sent = [piece({"role": "assistant", "content": t}, told(t, n)) for t, n in tokens]
            lines = [json.dumps(one) for one in [*sent, piece({}, finish="stop")]] + ["[DONE]"]
            kind, body = "text/event-stream", "".join(f"data: {line}\n\n" for line in lines)
        else:
            words = {"content": [told(t, n)["content"][0] for t, n in tokens], "refusal": None}
            message = {"role": "assistant", "content": "".join(t for t, _ in tokens)}
            choice = {"index": 0, "message": message, "logprobs": words, "finish_reason": "stop"}
            kind, body = "application/json", json.dumps(
                {**shared, "object": "chat.completion", "choices": [choice]}
            )
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


def say(who, answers):
    nats = [t.logprob for a in answers for c in a.choices if c.logprobs for t in c.logprobs.content]
    print(f"{who:22}{len(nats)} of {len(tokens)} tokens, sum {sum(nats):.1f}")


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
ask = {"messages": [{"role": "user", "content": "?"}], "logprobs": True}
there = {"model": "openai/m", "api_base": url, "api_key": "none"}
client = OpenAI(base_url=url, api_key="none")
say("openai, streamed", client.chat.completions.create(model="m", stream=True, **ask))
say("litellm, not streamed", [litellm.completion(**there, **ask)])
say("litellm, streamed", litellm.completion(**there, **ask, stream=True))
server.shutdown()
PYTHON
said=$(LITELLM_LOCAL_MODEL_COST_MAP=True NO_PROXY=127.0.0.1 \
    "$folder/env/bin/python" "$folder/silent.py" 2>"$folder/log") \
    || { cat "$folder/log" >&2; exit 1; }
echo "litellm==1.108.7, openai==3.57.0"
echo "$said"
expected=$'openai, streamed      5 of 5 tokens, sum -15.0
litellm, not streamed 5 of 5 tokens, sum -15.0
litellm, streamed     3 of 5 tokens, sum -3.0'
if [ "$said" != "$expected" ]; then
    printf 'expected:\n%s\n' "$expected" >&2
    exit 1
fi
